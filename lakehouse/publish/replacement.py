"""Replacements: which files of a table a request removes, and which of their rows stay.

A replaced day removes the files that hold only replaced days; where a file holds other days too,
those rows move to a new file. Files that hold no replaced day are not read. Rows that are
corrected, and those beside replaced keys, move in the same way.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl
from deltalake import DeltaTable

from lakehouse.errors import REPORT_IT, LawError
from lakehouse.expressions import has_key
from lakehouse.publish.request import Append, ReplaceAll, ReplaceDays, ReplaceKeys, Request
from lakehouse.storage.lake import Lake, list_data_files
from lakehouse.storage.parquet import scan_parquet_files

_FILE, _SOURCE = "_file", "_source"


@dataclass(frozen=True)
class Replacement:
    """The files of a table that a request removes, and the rows of them that stay.

    Attributes:
        removed: the files, one row each, as `lake.list_data_files` gives them.
        kept: the rows that stay, and move to new files; one frame at a time fits in memory.
        replaced: a frame with one number, the rows of these files that do not stay; None where no
            row stays.
        total: the number of rows in the files from which rows move.
        is_exclusive: whether no other commit may come between the version that was read and this
            one.
        is_retyping: whether the rows that stay get other column types.
    """

    removed: pl.DataFrame
    kept: Sequence[pl.LazyFrame] = ()
    replaced: pl.LazyFrame | None = None
    total: int = 0
    is_exclusive: bool = False
    is_retyping: bool = False

    def check_moved_rows(self, table: str, moved: int, replaced: int) -> None:
        """Proves that as many rows moved as had to stay.

        Args:
            table: the name of the table.
            moved: how many rows moved to new files.
            replaced: how many rows of the removed files do not stay.

        Raises:
            LawError: rows were lost or repeated on the way; nothing was published.
        """
        if moved + replaced != self.total:
            raise LawError(
                f"{table}: {self.total:,} rows are in files that are partly replaced, "
                f"{replaced:,} of them are replaced, but {moved:,} were carried over. "
                f"Nothing was published.\n{REPORT_IT}"
            )


def plan_replacement(
    lake: Lake, request: Request, handle: DeltaTable, columns: pl.Schema
) -> Replacement | None:
    """Returns what a request replaces; None where it only adds rows.

    Args:
        lake: where the table is.
        request: what is asked for.
        handle: the table at the version that was read.
        columns: the columns of the new rows.
    """
    match request:
        # Retyping writes every row again, and corrects it on the way.
        case Append() | ReplaceDays() if request.retyped:
            return _plan_retyping(lake, request, handle, columns)
        case Append() if request.corrections:
            return _plan_correction(lake, request.table, handle, request.corrections)
        case Append():
            return None
        # Exclusive, because rows of a commit in between would stay beside the new ones.
        case ReplaceAll():
            return Replacement(list_data_files(handle), is_exclusive=True)
        case ReplaceDays():
            return _plan_day_replacement(lake, request, handle)
        case ReplaceKeys():
            return _plan_key_replacement(lake, request.table, handle, request.keys)


def _plan_day_replacement(lake: Lake, request: ReplaceDays, handle: DeltaTable) -> Replacement:
    """Returns the files that may hold a replaced day; a file without bounds in the log may."""
    live, days = list_data_files(handle), request.days
    bounds = (f"min.{request.day_column}", f"max.{request.day_column}")
    if live.is_empty() or not days:
        return Replacement(live.clear())
    if any(bound not in live.columns for bound in bounds):
        live = live.with_columns(pl.lit(None, dtype=pl.Date).alias(bound) for bound in bounds)
    wanted = pl.Series("day", sorted(days), dtype=pl.Date)
    low, high = (pl.col(bound) for bound in bounds)
    # A file may hold a wanted day if the first one from its lower bound on is not beyond its
    # upper bound. So files in a gap between wanted days are left alone.
    place = wanted.search_sorted(live[bounds[0]].fill_null(date.min))
    first_wanted = wanted.extend_constant(date.max, 1).gather(place)
    # Bounds leave out nulls, so a row without a day shows in the count of nulls alone.
    nulls = f"null_count.{request.day_column}"
    has_undated = pl.col(nulls).fill_null(1) > 0 if nulls in live.columns else pl.lit(True)
    is_unknown = low.is_null() | high.is_null()
    if request.has_undated:
        is_unknown = is_unknown | has_undated
    touched = live.filter(is_unknown | (first_wanted <= high))
    mixed = touched.filter(
        is_unknown | has_undated | (low != high) & ~_holds_only(wanted, low, high)
    )
    # Files of replaced days alone go unread.
    if mixed.is_empty():
        return Replacement(touched)
    stays = _stays(request)
    rows = scan_files(lake, request.table, handle, mixed["path"])
    return Replacement(
        touched, (rows.filter(stays),), rows.select((~stays).sum()), _count_rows(mixed, rows)
    )


def _plan_correction(
    lake: Lake, table: str, handle: DeltaTable, corrections: Mapping[str, Mapping[str, Any]]
) -> Replacement:
    """Returns the files that may hold rows to be corrected; all their rows stay."""
    live = list_data_files(handle)
    bounds = (f"min.{_SOURCE}", f"max.{_SOURCE}")
    if any(bound not in live.columns for bound in bounds):
        live = live.with_columns(pl.lit(None, dtype=pl.String).alias(bound) for bound in bounds)
    low, high = (pl.col(bound) for bound in bounds)
    may_hold = [(pl.lit(value) >= low) & (pl.lit(value) <= high) for value in corrections]
    touched = live.filter(pl.any_horizontal(may_hold).fill_null(True))
    rows = scan_files(lake, table, handle, touched["path"])
    corrected = _correct(corrections, rows.collect_schema())
    # A frame for each file: together they may not fit in memory.
    kept = [
        scan_files(lake, table, handle, [path]).with_columns(corrected) for path in touched["path"]
    ]
    # Bytes that also came under an earlier name get its origin; that adds and replaces no row.
    none_replaced = pl.LazyFrame({"replaced": [0]})
    return Replacement(touched, kept, none_replaced, _count_rows(touched, rows))


def _plan_key_replacement(
    lake: Lake, table: str, handle: DeltaTable, keys: pl.DataFrame
) -> Replacement:
    """Returns the files that hold rows of some keys.

    Small files go with them, so that a table with many commits does not become many small files.
    """
    live, goes, small = list_data_files(handle), has_key(keys), lake.limits.small_file_rows
    if keys.is_empty():
        return Replacement(live.clear(), is_exclusive=True)
    # As a filter, `goes` is applied before other columns are read. Rows that a join keeps held on
    # to the texts of all rows read with them, and memory grew with the table.
    rows = scan_files(lake, table, handle, live["path"], path_column=_FILE)
    counts = (
        rows.select(_FILE, goes.alias("goes"))
        .group_by(_FILE)
        .agg(pl.len().alias("rows"), pl.col("goes").sum())
        .collect(engine="streaming")
        .with_columns(pl.col(_FILE).str.slice(len(lake.uri(table)) + 1))
    )
    # A file without rows has no count; it counts as small.
    counted = live.join(counts, left_on="path", right_on=_FILE, how="left", maintain_order="left")
    touched = counted.filter((pl.col("goes") > 0) | (pl.col("rows") < small).fill_null(True))
    # Each chunk becomes one new file, and only one is in memory at a time.
    chunk = pl.col("rows").cum_sum().fill_null(0) // small
    chunks = touched.group_by(chunk, maintain_order=True).agg("path")["path"]
    return Replacement(
        removed=touched.select(live.columns),
        kept=[scan_files(lake, table, handle, paths).filter(~goes) for paths in chunks],
        replaced=pl.LazyFrame({"replaced": [int(touched["goes"].sum())]}),
        # From the log, not from this scan: rows that it misread would be missing on both sides of
        # the proof. That happened in a folder named like a pattern.
        total=_count_rows(touched, scan_files(lake, table, handle, touched["path"])),
        is_exclusive=True,
    )


def _plan_retyping(
    lake: Lake, request: Append | ReplaceDays, handle: DeltaTable, columns: pl.Schema
) -> Replacement:
    """Returns all files of a table, because its columns get other types.

    A column that the rows lack becomes null.
    """
    # delta-rs has no type widening, so a wider type means that every row is written again.
    live, is_exclusive = list_data_files(handle), isinstance(request, Append)
    if live.is_empty():
        return Replacement(live, is_exclusive=is_exclusive, is_retyping=True)
    rows = scan_files(lake, request.table, handle, live["path"])
    return Replacement(
        removed=live,
        kept=[
            _retype(scan_files(lake, request.table, handle, [path]), request, columns)
            for path in live["path"]
        ],
        replaced=rows.select((~_stays(request)).sum()),
        total=_count_rows(live, rows),
        is_exclusive=is_exclusive,
        is_retyping=True,
    )


def _stays(request: Append | ReplaceDays) -> pl.Expr:
    """Returns an expression that is true for a row that stays."""
    if isinstance(request, Append):
        return pl.lit(True)
    days = pl.Series(request.days, dtype=pl.Date)
    return ~pl.col(request.day_column).is_in(days.implode()).fill_null(request.has_undated)


def _retype(rows: pl.LazyFrame, request: Append | ReplaceDays, columns: pl.Schema) -> pl.LazyFrame:
    """Returns the rows that stay, corrected and in other columns."""
    present = rows.collect_schema()
    corrections = request.corrections if isinstance(request, Append) else {}
    stays = rows.filter(_stays(request))
    if isinstance(request, Append) and request.convert is not None:
        stays = request.convert(stays)
    return stays.with_columns(_correct(corrections, present)).select(
        pl.col(name).cast(dtype) if name in present else pl.lit(None, dtype=dtype).alias(name)
        for name, dtype in columns.items()
    )


def _correct(
    corrections: Mapping[str, Mapping[str, Any]], schema: Mapping[str, pl.DataType]
) -> list[pl.Expr]:
    """Returns the columns that are corrected; rows of every other source keep their values."""
    names = sorted({name for values in corrections.values() for name in values})
    return [_correct_column(name, corrections, schema[name]) for name in names]


def _correct_column(
    name: str, corrections: Mapping[str, Mapping[str, Any]], dtype: pl.DataType
) -> pl.Expr:
    new = {source: values[name] for source, values in corrections.items() if name in values}
    sources = pl.Series(list(new), dtype=pl.String)
    values = pl.Series(list(new.values()), dtype=dtype)
    return (
        pl.col(_SOURCE)
        .replace_strict(sources, values, default=pl.col(name), return_dtype=dtype)
        .alias(name)
    )


def _count_rows(files: pl.DataFrame, rows: pl.LazyFrame) -> int:
    """Counts the rows of some files; reads them where another writer left the counts out."""
    counts = files["num_records"] if "num_records" in files.columns else None
    if counts is None or counts.null_count():
        return int(rows.select(pl.len()).collect(engine="streaming").item())
    return int(counts.sum())


def _holds_only(wanted: pl.Series, low: pl.Expr, high: pl.Expr) -> pl.Expr:
    """Returns an expression that is true where every day from `low` to `high` is wanted.

    It is never true for days with a gap; files with them are read.
    """
    first, last = wanted[0], wanted[-1]
    has_no_gap = (last - first).days + 1 == len(wanted)
    return ((low >= first) & (high <= last)) if has_no_gap else pl.lit(False)


def scan_files(
    lake: Lake, table: str, handle: DeltaTable, paths: Iterable[str], path_column: str | None = None
) -> pl.LazyFrame:
    """Returns the rows of some files, in all columns of the table but the partition column.

    Args:
        lake: where the table is.
        table: its name.
        handle: the table at a version that holds the files.
        paths: the files, relative to the table.
        path_column: a column to add with the URI of the file that holds the row.
    """
    partitions = set(handle.metadata().partition_columns)
    # The columns of the table: a file from before a column was added reads as null in it.
    schema = {
        name: dtype
        for name, dtype in pl.scan_delta(handle).collect_schema().items()
        if name not in partitions
    }
    return scan_parquet_files(
        [f"{lake.uri(table)}/{path}" for path in paths],
        lake.options,
        schema=schema,
        path_column=path_column,
    )
