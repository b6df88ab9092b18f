"""Auto-compaction: a commit also rewrites the small files next to it into fewer, larger ones.

Belongs here: which files are compacted. Does not belong here: moving their rows (`file_writer.py`),
and the files that a replacement removes anyway (`replacement.py`). A file that is odd in any way
stays as it is: compaction is for speed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl
from deltalake import DeltaTable

from lakehouse.errors import REPORT_IT, LawError
from lakehouse.publish.replacement import Replacement, scan_files
from lakehouse.publish.request import ReplaceDays, Request, find_partitioning
from lakehouse.storage.lake import Lake, list_data_files
from lakehouse.storage.limits import WriteLimits
from lakehouse.storage.object_store import fetch_all
from lakehouse.storage.parquet import scan_parquet_files


@dataclass(frozen=True)
class Compaction:
    """Small files whose rows move to larger ones.

    Attributes:
        files: the small files, one row each, as `lake.list_data_files` gives them.
        rows: their rows, in parts that become a file each.
        total: how many rows these are.
    """

    files: pl.DataFrame
    rows: Sequence[pl.LazyFrame]
    total: int

    def check_moved_rows(self, table: str, moved: int) -> None:
        """Proves that all rows of the small files are in the larger ones.

        Raises:
            LawError: rows were lost or repeated on the way; nothing was published.
        """
        if moved != self.total:
            raise LawError(
                f"{table}: {self.total:,} rows are in {self.files.height:,} small files that are "
                f"compacted, but {moved:,} were carried over. Nothing was published.\n{REPORT_IT}"
            )


def plan_compaction(
    lake: Lake, request: Request, handle: DeltaTable, replacement: Replacement | None
) -> Compaction | None:
    """Returns the small files next to the rows of a request; None where there are few.

    Args:
        lake: where the table is.
        request: what is about to be written.
        handle: the table at the version that was read.
        replacement: what the request replaces; None where it only adds rows.
    """
    if not isinstance(request, ReplaceDays) and replacement is not None:
        return None  # it looks at every file, and rewrites the small ones as well
    limits = lake.limits
    # Asked of the log first: whether a file is plain costs a request to open it.
    small = _find_small_files(request, handle, replacement, limits)
    small = _select_many(request, small, limits)
    if small.is_empty():
        return None
    # Odd files stay, so they must not count: beside many of them two plain ones would move with
    # each commit.
    plain = small.filter(_is_plain(lake, request.table, handle, small))
    plain = _select_many(request, plain, limits).head(limits.files_at_once)
    # A file alone would only move.
    chunks = [paths for paths in _chunk(plain, limits) if len(paths) > 1]
    if not chunks:
        return None
    compacted = plain.filter(pl.col("path").is_in([path for paths in chunks for path in paths]))
    rows = [scan_files(lake, request.table, handle, paths) for paths in chunks]
    return Compaction(compacted, rows, int(compacted["num_records"].sum()))


def group_deliveries(sizes: Sequence[tuple[int, int]], limits: WriteLimits) -> list[int]:
    """Returns the number of the new file for each delivery.

    Where as many deliveries are small as a commit would compact, neighbours share a file. Fewer
    have a file each, so that the log tells them apart.

    Args:
        sizes: the rows and the delivered bytes of each delivery.
        limits: when files are small, and when they are many.
    """
    small = [
        size < limits.small_file_bytes and rows < limits.rows_at_once // 2 for rows, size in sizes
    ]
    if sum(small) < limits.many_files:
        return list(range(len(sizes)))
    return _group_neighbours(sizes, small, limits)


def _group_neighbours(
    sizes: Sequence[tuple[int, int]], small: Sequence[bool], limits: WriteLimits
) -> list[int]:
    """Returns the group of each file; small neighbours share one as long as it fits in memory."""
    groups: list[int] = []
    group_rows = group_bytes = 0
    is_open = False
    for is_small, (rows, size) in zip(small, sizes, strict=True):
        # Bounded by bytes as well: 500 files of 8 MiB with few long rows made one of gigabytes.
        fits = (
            group_rows + rows <= limits.rows_at_once and group_bytes + size <= limits.bytes_at_once
        )
        if is_open and is_small and fits:
            groups.append(groups[-1])
            group_rows, group_bytes = group_rows + rows, group_bytes + size
        else:
            groups.append(groups[-1] + 1 if groups else 0)
            group_rows, group_bytes = rows, size
        is_open = is_small
    return groups


def _find_small_files(
    request: Request, handle: DeltaTable, replacement: Replacement | None, limits: WriteLimits
) -> pl.DataFrame:
    """Returns the small files of the written partitions, without those that are replaced."""
    live, partitioning = list_data_files(handle), find_partitioning(request)
    partition_value = _name_partition_value(request)
    if live.is_empty() or "num_records" not in live.columns:
        return live.clear()
    if live.schema.get(partition_value) != (None if partitioning is None else pl.Date()):
        return live.clear()
    # A new file of many short rows can be small in bytes. Without the bound on rows it would move
    # again with every commit.
    small = live.filter(
        pl.col("size_bytes") < limits.small_file_bytes,
        pl.col("num_records") < limits.rows_at_once // 2,
    )
    if replacement is not None:
        small = small.filter(~pl.col("path").is_in(replacement.removed["path"].implode()))
    if partitioning is None or not isinstance(request, ReplaceDays):
        return small
    # Other partitions are left to the commits that write them.
    written = partitioning.list_values(request.days).rename(partition_value).to_frame()
    return small.join(written, on=partition_value, how="semi")


def _select_many(request: Request, small: pl.DataFrame, limits: WriteLimits) -> pl.DataFrame:
    """Returns the small files of the partitions that hold many, sorted by partition."""
    if find_partitioning(request) is None or small.is_empty():
        return small if small.height >= limits.many_files else small.clear()
    partition = _name_partition_value(request)
    is_one_of_many = pl.len().over(partition) >= limits.many_files_in_partition
    return small.filter(is_one_of_many).sort(partition, maintain_order=True)


def _name_partition_value(request: Request) -> str:
    """Returns the column of `lake.list_data_files` with the partition of a file."""
    partitioning = find_partitioning(request)
    return f"partition.{None if partitioning is None else partitioning.name}"


def _is_plain(lake: Lake, table: str, handle: DeltaTable, small: pl.DataFrame) -> pl.Series:
    """Returns for each file whether it holds what the log says, in the column types of the table.

    Other writers may leave it to readers to cast a column or to skip one.
    """
    schema = pl.scan_delta(handle).collect_schema()

    def is_plain(file: tuple[str, int]) -> bool:
        path, rows_in_log = file
        rows = scan_parquet_files(f"{lake.uri(table)}/{path}", lake.options)
        try:
            columns, count = rows.collect_schema(), rows.select(pl.len()).collect().item()
        except (OSError, pl.exceptions.PolarsError):
            return False
        return count == rows_in_log and all(schema.get(n) == dtype for n, dtype in columns.items())

    files = small.select("path", "num_records").rows()
    return pl.Series(fetch_all(is_plain, files, lake.requests_at_once), dtype=pl.Boolean)


def _chunk(small: pl.DataFrame, limits: WriteLimits) -> Sequence[Sequence[str]]:
    """Returns the paths of files in parts that are read and written at once."""
    sizes = small.select("num_records", "size_bytes").rows()
    groups = pl.Series(_group_neighbours(sizes, [True] * len(sizes), limits), dtype=pl.Int64)
    return small.group_by(groups.alias("group"), maintain_order=True).agg("path")["path"].to_list()
