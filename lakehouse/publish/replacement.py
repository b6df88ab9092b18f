"""Which files of a table a replacement touches, and the rows in them that must stay.

A replaced day takes away the files that hold only replaced days; where a file holds other days too, those rows are
carried to a new file. Files that hold no replaced day are not looked at. Rows that are corrected, and those beside
replaced keys, move in the same way.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl
from deltalake import DeltaTable

from lakehouse.errors import LawError
from lakehouse.expressions import has_key
from lakehouse.publish.request import Sheet
from lakehouse.storage.lake import Lake, list_data_files

_FILE, _ORIGIN = "_file", "_source"
_SMALL = 1_000_000


@dataclass(frozen=True)
class Replacement:
    """The part of a table that is about to be replaced.

    Attributes:
        removed: the files that go, one row each, as `lake.files` tells them.
        kept: the rows of those files that have to stay, a part of the files at a time.
        lost: how many of their rows go, where some stay.
        stood: how many rows these files hold.
    """

    removed: pl.DataFrame
    kept: Sequence[pl.LazyFrame] = ()
    lost: pl.LazyFrame | None = None
    stood: int = 0


def plan_full_replacement(handle: DeltaTable) -> Replacement:
    """Everything that a table holds."""
    return Replacement(list_data_files(handle))


def plan_day_replacement(
    lake: Lake, table: str, handle: DeltaTable, column: str, days: Sequence[date]
) -> Replacement:
    """The files that hold one of `days`; a file without statistics counts as one that does."""
    live = list_data_files(handle)
    bounds = (f"min.{column}", f"max.{column}")
    if live.is_empty() or not days:
        return Replacement(live.clear())
    if any(bound not in live.columns for bound in bounds):
        live = live.with_columns(pl.lit(None, dtype=pl.Date).alias(bound) for bound in bounds)
    wanted = pl.Series("day", sorted(days), dtype=pl.Date)
    low, high = (pl.col(bound) for bound in bounds)
    place = wanted.search_sorted(live[bounds[0]].fill_null(date.min))
    first_wanted = wanted.extend_constant(date.max, 1).gather(place)
    touched = live.filter(low.is_null() | high.is_null() | (first_wanted <= high))
    mixed = touched.filter(
        low.is_null() | high.is_null() | (low != high) & ~_all_wanted(low, high, wanted)
    )
    if mixed.is_empty():
        return Replacement(touched)
    stays = ~pl.col(column).is_in(wanted.implode()).fill_null(False)
    rows = scan_files(lake, table, handle, mixed["path"])
    return Replacement(
        touched, (rows.filter(stays),), rows.select((~stays).sum()), _count(mixed, rows)
    )


def plan_correction(
    lake: Lake, table: str, handle: DeltaTable, corrections: Mapping[str, Mapping[str, Any]]
) -> Replacement:
    """The files that hold rows to be corrected; all their rows stay, the corrected ones with other values.

    Args:
        lake: where the table is.
        table: its name.
        handle: the table at the version that is corrected.
        corrections: for a value of `_source`, what columns become in its rows.
    """
    live = list_data_files(handle)
    bounds = (f"min.{_ORIGIN}", f"max.{_ORIGIN}")
    if any(bound not in live.columns for bound in bounds):
        live = live.with_columns(pl.lit(None, dtype=pl.String).alias(bound) for bound in bounds)
    low, high = (pl.col(bound) for bound in bounds)
    may_hold = [(pl.lit(value) >= low) & (pl.lit(value) <= high) for value in corrections]
    touched = live.filter(pl.any_horizontal(may_hold).fill_null(True))
    rows = scan_files(lake, table, handle, touched["path"])
    names = sorted({name for values in corrections.values() for name in values})
    changed = [_replaced(name, corrections, rows.collect_schema()[name]) for name in names]
    kept = [
        scan_files(lake, table, handle, [path]).with_columns(changed) for path in touched["path"]
    ]
    return Replacement(touched, kept, pl.LazyFrame({"lost": [0]}), _count(touched, rows))


def plan_key_replacement(
    lake: Lake, table: str, handle: DeltaTable, keys: pl.DataFrame
) -> Replacement:
    """The files that hold rows of some keys, and small files, so that these do not become many.

    Args:
        lake: where the table is.
        table: its name.
        handle: the table at the version that is replaced.
        keys: the keys whose rows go, one row each, in the key's columns.
    """
    live, goes = list_data_files(handle), has_key(keys)
    if keys.is_empty():
        return Replacement(live.clear())
    rows = scan_files(lake, table, handle, live["path"], named=_FILE)
    counts = (
        rows.select(_FILE, goes.alias("goes"))
        .group_by(_FILE)
        .agg(pl.len().alias("rows"), pl.col("goes").sum())
    )
    held = counts.collect(engine="streaming").with_columns(
        pl.col(_FILE).str.slice(len(lake.uri(table)) + 1)
    )
    held = live.join(held, left_on="path", right_on=_FILE, how="left", maintain_order="left")
    touched = held.filter((pl.col("goes") > 0) | (pl.col("rows") < _SMALL).fill_null(True))
    at_once = touched.group_by(
        pl.col("rows").cum_sum().fill_null(0) // _SMALL, maintain_order=True
    ).agg("path")["path"]
    kept = [scan_files(lake, table, handle, paths).filter(~goes) for paths in at_once]
    stood, lost = (
        _count(touched, scan_files(lake, table, handle, touched["path"])),
        int(touched["goes"].sum()),
    )
    return Replacement(touched.select(live.columns), kept, pl.LazyFrame({"lost": [lost]}), stood)


def plan_retyping(lake: Lake, sheet: Sheet, handle: DeltaTable, schema: pl.Schema) -> Replacement:
    """Everything that a table holds, because its columns get other types.

    Args:
        lake: where the table is.
        sheet: what comes into it.
        handle: the table at the version that is replaced.
        schema: the columns that its rows get; those that they do not have are null.
    """
    live = list_data_files(handle)
    if live.is_empty():
        return Replacement(live)
    rows = scan_files(lake, sheet.table, handle, live["path"])
    kept = [
        _retyped(scan_files(lake, sheet.table, handle, [path]), sheet, schema)
        for path in live["path"]
    ]
    return Replacement(live, kept, rows.select((~_stays(sheet)).sum()), _count(live, rows))


def check_carried(table: str, part: Replacement | None, moved: int, lost: int) -> None:
    """Prove that of the files that go as many rows were carried over as had to stay.

    Raises:
        LawError: they are not; nothing was published.
    """
    stood = part.stood if part else 0
    if moved + lost != stood:
        raise LawError(
            f"{table}: {stood:,} rows stood in files that are partly replaced, {lost:,} of them are "
            f"replaced, but {moved:,} were carried over. Nothing was published."
        )


def _stays(sheet: Sheet) -> pl.Expr:
    """True for a row that stands in no replaced day."""
    if sheet.days is None or sheet.window is None:
        return pl.lit(True)
    return ~pl.col(sheet.window).is_in(pl.Series(sheet.days, dtype=pl.Date).implode()).fill_null(
        False
    )


def _retyped(rows: pl.LazyFrame, sheet: Sheet, schema: pl.Schema) -> pl.LazyFrame:
    """The rows that stay, corrected and in other columns."""
    standing = rows.collect_schema()
    names = sorted({name for values in sheet.corrections.values() for name in values})
    changed = [_replaced(name, sheet.corrections, standing[name]) for name in names]
    return (
        rows.filter(_stays(sheet))
        .with_columns(changed)
        .select(
            pl.col(name).cast(dtype) if name in standing else pl.lit(None, dtype=dtype).alias(name)
            for name, dtype in schema.items()
        )
    )


def _replaced(
    name: str, corrections: Mapping[str, Mapping[str, Any]], dtype: pl.DataType
) -> pl.Expr:
    new = {value: values[name] for value, values in corrections.items() if name in values}
    old, values = pl.Series(list(new), dtype=pl.String), pl.Series(list(new.values()), dtype=dtype)
    return (
        pl.col(_ORIGIN)
        .replace_strict(old, values, default=pl.col(name), return_dtype=dtype)
        .alias(name)
    )


def _count(mixed: pl.DataFrame, rows: pl.LazyFrame) -> int:
    """How many rows some files hold; another writer may have left that out of the log."""
    told = mixed["num_records"] if "num_records" in mixed.columns else None
    if told is None or told.null_count():
        return int(rows.select(pl.len()).collect(engine="streaming").item())
    return int(told.sum())


def _all_wanted(low: pl.Expr, high: pl.Expr, wanted: pl.Series) -> pl.Expr:
    """True where every day from `low` to `high` is wanted; only told for an unbroken span of wanted days."""
    first, last = wanted[0], wanted[-1]
    unbroken = (last - first).days + 1 == len(wanted)
    return ((low >= first) & (high <= last)) if unbroken else pl.lit(False)


def scan_files(
    lake: Lake, table: str, handle: DeltaTable, paths: Iterable[str], named: str | None = None
) -> pl.LazyFrame:
    """The rows of some files of a table, in all columns that the table has; `named` is one for the URI of the file."""
    partitions = set(handle.metadata().partition_columns)
    schema = {
        name: dtype
        for name, dtype in pl.scan_delta(handle).collect_schema().items()
        if name not in partitions
    }
    return pl.scan_parquet(
        [f"{lake.uri(table)}/{path}" for path in paths],
        schema=schema,
        missing_columns="insert",
        hive_partitioning=False,
        glob=False,  # a folder may be named like a pattern
        include_file_paths=named,
        storage_options=dict(lake.options) or None,
    )
