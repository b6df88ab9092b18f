"""Calls a transform with whole numbers so wide that no sum or product of them wraps.

Belongs here: how wide the columns of each input are handed over. Does not belong here: what a
result that has no room in its contract leads to (`lazy_pass.py`).

64 bits do for almost every table. Where the log says that the numbers of a column are so large or
so many that their sum may have no room, and the transform adds up or multiplies whole numbers,
the column is handed over in 128 bits.
"""

from collections.abc import Mapping

import polars as pl

from lakehouse.storage.lake import Lake, list_data_files
from lakehouse.tables.table_types import DerivedTable
from lakehouse.tables.whole_numbers import adds_up, widen_rows
from lakehouse.transform.inputs import InputFrames, PinnedInput

_ROOM = 2**63
_FACTOR = 2**31
"""Two numbers of this size have a product that needs all 64 bits."""


def call_transform(
    lake: Lake, table: DerivedTable, opened: InputFrames, first: pl.LazyFrame
) -> pl.LazyFrame:
    """Returns what a transform makes of its inputs; its result may be wider than its contract.

    Args:
        lake: where the tables are.
        table: the table that is made; its transform is a Python function.
        opened: the inputs.
        first: the rows of the first input, as the transform gets them.
    """
    frames = [widen_rows(frame) for frame in (first, *opened.others)]
    rows: pl.LazyFrame = table.transform(*frames)
    large = [_find_large(lake, one) for one in opened.inputs]
    if not any(large) or not adds_up(_call_on_no_rows(table, frames)):
        return rows
    return table.transform(  # type: ignore[no-any-return]  # of Any
        *(
            frame.with_columns(pl.col(sorted(names)).cast(pl.Int128)) if names else frame
            for frame, names in zip(frames, large, strict=True)
        )
    )


def _call_on_no_rows(table: DerivedTable, frames: list[pl.LazyFrame]) -> pl.LazyFrame:
    """Returns the plan of a transform without the files of its inputs."""
    empty = (pl.LazyFrame(schema=frame.collect_schema()) for frame in frames)
    return table.transform(*empty)  # type: ignore[no-any-return]  # of Any


def _find_large(lake: Lake, one: PinnedInput) -> set[str]:
    """Returns the columns of 64 bits whose sum or product may need more, by the log of the input.

    A column without bounds in the log, such as one of personal data, counts as small.
    """
    schema: Mapping[str, pl.DataType] = one.source.schema
    whole = [name for name, dtype in schema.items() if dtype == pl.Int64 and name[0] != "_"]
    handle = one.open(lake) if whole else None
    if handle is None:
        return set()
    files = list_data_files(handle)
    rows = int(files["num_records"].sum() or 0)
    found = set()
    for name in whole:
        ends = [files[end] for end in (f"min.{name}", f"max.{name}") if end in files.columns]
        # In 128 bits: the smallest number of 64 bits has no positive one.
        sizes = [end.cast(pl.Int128).abs().max() for end in ends]
        largest = max((size for size in sizes if isinstance(size, int)), default=0)
        if largest >= _FACTOR or largest * rows >= _ROOM:
            found.add(name)
    return found
