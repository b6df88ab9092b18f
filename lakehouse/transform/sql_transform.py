"""Runs transforms written in SQL: DuckDB over views that are pinned to table versions.

The result leaves DuckDB as a Parquet file, so a query of any size streams. From there on it is
treated like the result of any other transform.
"""

from collections.abc import Mapping
from pathlib import Path

import duckdb
import polars as pl

from lakehouse.errors import DataError
from lakehouse.redaction import redact
from lakehouse.storage.duckdb_connection import (
    connect,
    quote_identifier,
    quote_literal,
    restrict_access,
)
from lakehouse.storage.lake import Lake
from lakehouse.storage.parquet import scan_parquet_files
from lakehouse.tables.sql_types import find_wide_columns

_REMEDY = (
    "use TRY_CAST, which gives null, so that the row is quarantined; return sums of whole numbers "
    "without a cast, as the contract narrows them row by row; cast one factor of a product to "
    "HUGEINT. Nothing was published."
)


def run_sql_transform(
    lake: Lake, sql: str, views: Mapping[str, str], spool: Path, *, where: str
) -> pl.LazyFrame:
    """Returns the rows of a query, written to a file.

    Args:
        lake: where the tables are.
        sql: the query.
        views: for each view that it reads, the query behind it.
        spool: a private folder for the result.
        where: the table and the periods that are made, for messages.

    Raises:
        DataError: DuckDB cannot compute it from these rows.
    """
    target = spool / "query.parquet"
    with connect(lake.options, remote=not lake.is_local) as connection:
        for view, behind in views.items():
            connection.execute(f"CREATE VIEW {quote_identifier(view)} AS {behind}")
        # What DuckDB spills goes where it is deleted with everything else of this make.
        restrict_access(connection, lake.root, str(spool))
        try:
            with lake.translate_errors():
                wide = find_wide_columns(connection, sql)
                connection.execute(
                    f"COPY ({_write_wide_as_text(sql, wide)}) "
                    f"TO {quote_literal(str(target))} (FORMAT parquet)"
                )
        except duckdb.Error as error:
            raise DataError(
                f"{where}: the query fails on the data: {redact(error)}\nNext: {_REMEDY}"
            ) from None  # it quotes values
    return scan_parquet_files(target).with_columns(pl.col(wide).cast(pl.Int128))


def _write_wide_as_text(sql: str, wide: list[str]) -> str:
    """Returns a query whose whole numbers of 128 bits are text; Parquet has none."""
    if not wide:
        return f"{sql}\n"
    names = map(quote_identifier, wide)
    texts = ", ".join(f"{name}::VARCHAR AS {name}" for name in names)
    return f"SELECT * REPLACE ({texts}) FROM ({sql}\n)"  # noqa: S608
