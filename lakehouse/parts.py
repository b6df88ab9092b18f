"""Rows divided by key, so that as many keys are in memory at once as fit.

The same key falls into the same part in each of several frames. Few rows are one part, and are not written again.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl

_ROWS_BUFFERED = 262_144
_ROWS_PER_GROUP = (1_024, 16_384)
_PART = "_part"


def parts(
    spool: Path, key: Sequence[str | pl.Expr], frames: Mapping[str, pl.LazyFrame], at_once: int
) -> Iterator[Mapping[str, pl.DataFrame]]:
    """The rows of some frames, part by part.

    Args:
        spool: a folder that is not there yet, for their files.
        key: what all frames have; rows with the same values of it are in the same part.
        frames: rows, by name; they are read twice.
        at_once: how many rows a part holds, more or less.
    """
    rows = sum(
        int(counted.item())
        for counted in pl.collect_all([frame.select(pl.len()) for frame in frames.values()], engine="streaming")
    )
    count = math.ceil(rows / at_once)
    if count <= 1:
        yield {name: frame.collect(engine="streaming") for name, frame in frames.items()}
        return
    least, most = _ROWS_PER_GROUP
    size = min(max(_ROWS_BUFFERED // count, least), most)
    spool.mkdir()
    for name, frame in frames.items():
        _divide(frame, spool / name, pl.struct(key).hash() % count, size)
    for number in range(count):
        yield {name: _part(spool / name, number, frame) for name, frame in frames.items()}


def _divide(frame: pl.LazyFrame, folder: Path, part: pl.Expr, rows_per_group: int) -> None:
    folder.mkdir()
    place = pl.PartitionBy(folder, key=_PART, include_key=False, file_path_provider=_place)
    rows = frame.with_columns(part.alias(_PART))
    rows.sink_parquet(place, compression="lz4", row_group_size=rows_per_group, statistics=False, engine="streaming")


def _place(file: pl.FileProviderArgs) -> str:
    return f"{file.partition_keys[_PART][0]}-{file.index_in_partition}.parquet"


def _part(folder: Path, number: int, frame: pl.LazyFrame) -> pl.DataFrame:
    """The rows of one part; its files are no longer needed then."""
    files = sorted(folder.glob(f"{number}-*.parquet"))
    rows = pl.read_parquet(files) if files else frame.clear().collect()
    for file in files:
        file.unlink()
    return rows
