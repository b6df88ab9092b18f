"""Small files, which become many by and by: the next commit beside them gathers their rows into few.

Belongs here: which files are gathered. Does not belong here: moving their rows (`draft.py`), and the files that a
replacement touches anyway (`slices.py`). A file that is odd in any way is left where it is: gathering is for speed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl
from deltalake import DeltaTable

from lakehouse.errors import LawError
from lakehouse.publish.replacement import Replacement, scan_files
from lakehouse.publish.request import Sheet
from lakehouse.storage.lake import Lake, list_data_files

SMALL_FILE_BYTES = 8 << 20
"""Bytes; a larger file is left alone, and one of half the rows that are gathered at once: no row moves for ever."""

MANY_FILES, MANY_FILES_IN_A_PARTITION = 32, 4
"""So many small files are gathered: of a table that is not partitioned, and of a part of one that is."""

_ROWS_AT_ONCE = 1_000_000
_BYTES_AT_ONCE = 16 * SMALL_FILE_BYTES
_FILES_AT_ONCE = 500


@dataclass(frozen=True)
class Compaction:
    """Small files whose rows move to others.

    Attributes:
        files: those that go, one row each, as `lake.files` tells them.
        rows: their rows, in parts that become a file each.
        count: how many these are.
    """

    files: pl.DataFrame
    rows: Sequence[pl.LazyFrame]
    count: int

    def check(self, table: str, moved: int) -> None:
        """Prove that all rows of the files that go stand in others.

        Raises:
            LawError: they do not; nothing was published.
        """
        if moved != self.count:
            raise LawError(
                f"{table}: {self.count:,} rows stood in {self.files.height:,} small files that are gathered, but "
                f"{moved:,} were carried over. Nothing was published."
            )


def group_deliveries(sizes: Sequence[tuple[int, int]]) -> list[int]:
    """Into which new file each of some deliveries goes: neighbours share one, where many are small.

    So many that the next commit would gather them; until then the log tells deliveries apart by their files.

    Args:
        sizes: how many rows and delivered bytes each has.
    """
    small = [length < SMALL_FILE_BYTES and count < _ROWS_AT_ONCE // 2 for count, length in sizes]
    if sum(small) < MANY_FILES:
        return list(range(len(sizes)))
    return _parts(sizes, small)


def _parts(sizes: Sequence[tuple[int, int]], small: Sequence[bool]) -> list[int]:
    """Into which part each of some files goes, of so many rows and bytes each; neighbours that are small share one."""
    found: list[int] = []
    rows = size = 0
    is_open = False
    for is_small, (count, length) in zip(small, sizes, strict=True):
        is_next = (
            is_open
            and is_small
            and rows + count <= _ROWS_AT_ONCE
            and size + length <= _BYTES_AT_ONCE
        )
        rows, size = (rows + count, size + length) if is_next else (count, length)
        found.append(found[-1] + (not is_next) if found else 0)
        is_open = is_small
    return found


def plan_compaction(
    lake: Lake, sheet: Sheet, handle: DeltaTable, part: Replacement | None
) -> Compaction | None:
    """The small files beside what a sheet writes, where they are many; None where there is nothing to gather.

    Args:
        lake: where the tables are.
        sheet: what is about to be written.
        handle: the table at the version that stands before.
        part: what the sheet replaces; None where it only adds.
    """
    if part is not None and sheet.days is None:
        return None  # what looks at every file takes the small ones along itself
    small = _many(sheet, _small(sheet, handle, part))
    if small.is_empty():
        return None
    # Odd files stay, so they must not count: beside many of them two plain ones would move with each commit.
    plain = _many(sheet, small.filter(_is_plain(lake, sheet.table, handle, small)))
    chunks = [paths for paths in _chunks(plain.head(_FILES_AT_ONCE)) if len(paths) > 1]
    if not chunks:
        return None
    taken = plain.filter(pl.col("path").is_in([path for paths in chunks for path in paths]))
    rows = [scan_files(lake, sheet.table, handle, paths) for paths in chunks]
    return Compaction(taken, rows, int(taken["num_records"].sum()))


def _small(sheet: Sheet, handle: DeltaTable, part: Replacement | None) -> pl.DataFrame:
    """The small files in the places that are replaced, or anywhere beside rows that are added."""
    live, place = list_data_files(handle), _place(sheet)
    if live.is_empty() or "num_records" not in live.columns:
        return live.clear()
    if live.schema.get(place) != (pl.Date() if sheet.partition else None):
        return live.clear()
    gone = part.removed["path"] if part is not None else pl.Series([], dtype=pl.String)
    is_small = (pl.col("size_bytes") < SMALL_FILE_BYTES) & (
        pl.col("num_records") < _ROWS_AT_ONCE // 2
    )
    small = live.filter(is_small & ~pl.col("path").is_in(gone.implode()))
    if sheet.partition is None or sheet.days is None:
        return small
    return small.join(sheet.parts_of(sheet.days).rename(place).to_frame(), on=place, how="semi")


def _many(sheet: Sheet, small: pl.DataFrame) -> pl.DataFrame:
    """Those of some small files that are many in their place; those of a place stand together."""
    if sheet.partition is None or small.is_empty():
        return small if small.height >= MANY_FILES else small.clear()
    place = _place(sheet)
    return small.filter(pl.len().over(place) >= MANY_FILES_IN_A_PARTITION).sort(
        place, maintain_order=True
    )


def _place(sheet: Sheet) -> str:
    """The column that holds the part of the table in which a file lies."""
    return f"partition.{sheet.partition}"


def _is_plain(lake: Lake, table: str, handle: DeltaTable, small: pl.DataFrame) -> pl.Series:
    """Whether a file holds what the log says, in the table's types: others write what only readers put right."""
    wanted = pl.scan_delta(handle).collect_schema()
    options = dict(lake.options) or None

    def is_plain(told: tuple[str, int]) -> bool:
        path, records = told
        rows = pl.scan_parquet(
            f"{lake.uri(table)}/{path}",
            glob=False,
            hive_partitioning=False,
            storage_options=options,
        )
        try:
            held, count = rows.collect_schema(), rows.select(pl.len()).collect().item()
        except (OSError, pl.exceptions.PolarsError):
            return False
        return count == records and all(wanted.get(name) == dtype for name, dtype in held.items())

    return pl.Series(
        lake.each(is_plain, small.select("path", "num_records").rows()), dtype=pl.Boolean
    )


def _chunks(small: pl.DataFrame) -> Sequence[Sequence[str]]:
    """The files in parts that are read and written at once."""
    sizes = small.select("num_records", "size_bytes").rows()
    parts = pl.Series(_parts(sizes, [True] * len(sizes)), dtype=pl.Int64)
    return small.group_by(parts.alias("part"), maintain_order=True).agg("path")["path"].to_list()
