"""Removes input rows that repeat each other, a part of the keys at a time."""

import tempfile
from pathlib import Path

import polars as pl

from lakehouse.storage.parquet import scan_parquet_files
from lakehouse.system_columns import LINEAGE
from lakehouse.tables.table_types import DerivedTable
from lakehouse.transform.limits import MakeLimits
from lakehouse.transform.row_verdicts import period_of_row
from lakehouse.transform.spill import split_by_key

# Rows. Each reader of the stream holds a row group of the file that it reads.
_ROWS_PER_GROUP = 8_192


def remove_repeats(
    table: DerivedTable, rows: pl.LazyFrame, spool: Path, limits: MakeLimits
) -> pl.LazyFrame:
    """Returns one row of those in a period that are equal in `distinct` columns: the first origin.

    The rows are written to files, because the pass reads them several times.
    """
    # Parts are in the order of periods, so that rows of one period stay together on their way to
    # its files.
    group = next(iter(period_of_row(table)), None)
    columns: list[str | pl.Expr] = [*table.distinct, *period_of_row(table)]
    folder = Path(tempfile.mkdtemp(dir=spool))
    parts = split_by_key(
        folder / "parts",
        columns,
        {"rows": rows},
        limits.distinct_rows,
        limits.open_files,
        group=group,
    )
    for number, part in enumerate(parts):
        file = folder / f"distinct-{number:06}.parquet"
        first = _first_of_equals(part["rows"], columns)
        first.write_parquet(file, compression="lz4", row_group_size=_ROWS_PER_GROUP)
    return scan_parquet_files(sorted(folder.glob("distinct-*.parquet")))


def _first_of_equals(rows: pl.DataFrame, columns: list[str | pl.Expr]) -> pl.DataFrame:
    """Returns one row of those that are equal in some columns: the one with the first origin.

    Most rows have a hash of their own and so no equal; only the others are sorted.
    """
    is_alone = rows.select(~pl.struct(columns).hash().is_duplicated()).to_series()
    others = rows.filter(~is_alone).sort(LINEAGE).unique(columns, keep="first")
    return pl.concat([rows.filter(is_alone), others], rechunk=False)
