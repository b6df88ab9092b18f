"""Small files, which become many by and by: the next commit beside them gathers their rows into few.

Belongs here: which files are gathered. Does not belong here: moving their rows (`draft.py`), and the files that a
replacement touches anyway (`slices.py`).
"""

from collections.abc import Sequence
from dataclasses import replace

import polars as pl
from deltalake import DeltaTable

from lakehouse.lake import Lake, files
from lakehouse.sheet import Sheet
from lakehouse.slices import Slice, rows_of

SMALL = 8 << 20
"""Bytes; a larger file is left alone, so that no row moves again and again."""

MANY, MANY_IN_A_PART = 32, 4
"""So many small files are gathered: of a table that is not partitioned, and of a part of one that is."""

_ROWS_AT_ONCE = 1_000_000


def gathered(lake: Lake, sheet: Sheet, handle: DeltaTable, part: Slice | None) -> Slice | None:
    """What a sheet replaces, and the small files beside it where they are many.

    Args:
        lake: where the tables are.
        sheet: what is about to be written.
        handle: the table at the version that stands before.
        part: what the sheet replaces; None where it only adds.
    """
    is_all = part is not None and sheet.days is None  # these look at every file themselves
    small = None if is_all else _small(sheet, handle, part)
    if small is None or small.is_empty():
        return part
    kept = [rows_of(lake, sheet.table, handle, paths) for paths in _chunks(small)]
    found = Slice(small, kept, pl.LazyFrame({"lost": [0]}), int(small["num_records"].sum()), is_moved=part is None)
    if part is None:
        return found
    return replace(
        found,
        removed=pl.concat([part.removed, small], how="diagonal_relaxed"),
        kept=(*part.kept, *kept),
        lost=found.lost if part.lost is None else part.lost,
        stood=part.stood + found.stood,
    )


def _small(sheet: Sheet, handle: DeltaTable, part: Slice | None) -> pl.DataFrame | None:
    """The small files in the places that are written, where they are many."""
    live, place = files(handle), f"partition.{sheet.partition}"
    is_parted = place in live.columns
    if live.is_empty() or "num_records" not in live.columns or is_parted != (sheet.partition is not None):
        return None
    gone = part.removed["path"] if part is not None else pl.Series([], dtype=pl.String)
    small = live.filter((pl.col("size_bytes") < SMALL) & pl.col("num_records").is_not_null())
    small = small.filter(~pl.col("path").is_in(gone.implode()))
    if not is_parted:
        return small if small.height >= MANY else None
    if sheet.days is not None:
        small = small.join(sheet.parts_of(sheet.days).rename(place).to_frame(), on=place, how="semi")
    return small.filter(pl.len().over(place) >= MANY_IN_A_PART).sort(place, maintain_order=True)


def _chunks(small: pl.DataFrame) -> Sequence[Sequence[str]]:
    """The files in parts that are read and written at once."""
    at_once = pl.col("num_records").cum_sum() // _ROWS_AT_ONCE
    return small.group_by(at_once, maintain_order=True).agg("path")["path"].to_list()
