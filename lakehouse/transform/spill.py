"""Splits rows by key into parts that each fit in memory.

Rows of one key are in the same part, whichever frame they come from. Few rows are one part, and are
not written to files.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import polars as pl

from lakehouse.storage.parquet import scan_parquet_files

# Rows. A reader holds one row group of each file that it reads.
_ROWS_PER_GROUP = 16_384
_PART, _GROUP, _FIRST, _SEVERAL, _ROUND = "_part", "_group", "_first", "_several", "_round"
_PLACE = {_FIRST: pl.UInt64, _SEVERAL: pl.UInt64}


def split_by_key(  # rows, their key, and the two limits of memory that callers pass on
    spool: Path,
    key: Sequence[str | pl.Expr],
    frames: Mapping[str, pl.LazyFrame],
    rows_at_once: int,
    open_files: int,
    *,
    group: pl.Expr | None = None,
) -> Iterator[Mapping[str, pl.DataFrame]]:
    """Yields the rows of some frames, part by part.

    Args:
        spool: a folder that does not exist yet, for their files.
        key: columns that all frames have; rows with the same values in them are in the same part.
        frames: rows, by name; they are read twice.
        rows_at_once: about how many rows a part holds.
        open_files: how many files are written at once; more parts are split in several rounds.
        group: a part of the key that orders the parts, so that rows of one group stay together.
    """
    groups = pl.lit(0) if group is None else group
    sizes = pl.concat([frame.group_by(groups.alias(_GROUP)).len() for frame in frames.values()])
    places = _places(
        sizes.group_by(_GROUP).agg(pl.col("len").sum()).collect(engine="streaming"), rows_at_once
    )
    count = int(places.select((pl.col(_FIRST) + pl.col(_SEVERAL)).max()).item() or 0)
    if count <= 1:
        yield {name: frame.collect(engine="streaming") for name, frame in frames.items()}
        return
    # Equal keys have equal hashes in every frame of one process.
    part = pl.struct(key).hash() % count
    if group is not None:
        # Looked up batch by batch: a join in the stream would hold all rows of a group in memory.
        # That took 2.9 GiB for the first load of 15 million rows, and takes 0.5 now.
        place = group.map_batches(
            partial(_look_up, places), return_dtype=pl.Struct(_PLACE), is_elementwise=True
        ).struct
        part = place.field(_FIRST) + pl.struct(key).hash() % place.field(_SEVERAL)
    numbered = {name: frame.with_columns(part.alias(_PART)) for name, frame in frames.items()}
    yield from _split(spool, numbered, range(count), open_files)


def _look_up(places: pl.DataFrame, groups: pl.Series) -> pl.Series:
    """Returns the place of each of some groups."""
    return (
        groups.to_frame(_GROUP)
        .join(places, on=_GROUP, how="left", nulls_equal=True, maintain_order="left")
        .select(*_PLACE)
        .to_struct()
    )


def _places(sizes: pl.DataFrame, rows_at_once: int) -> pl.DataFrame:
    """Returns each group's first part and number of parts; small neighbours share one."""
    found, part, rows = [], -1, 0
    for group, size in sizes.sort(_GROUP).iter_rows():
        if part < 0 or rows + size > rows_at_once:
            part, rows = part + 1, 0
        several = max(math.ceil(size / rows_at_once), 1)
        found.append((group, part, several))
        part, rows = part + several - 1, rows + size
    groups, first, pieces = zip(*found, strict=True) if found else ((), (), ())
    return pl.DataFrame(
        {
            _GROUP: pl.Series(groups, dtype=sizes.schema[_GROUP]),
            _FIRST: pl.Series(first, dtype=pl.UInt64),
            _SEVERAL: pl.Series(pieces, dtype=pl.UInt64),
        }
    )


def _split(
    spool: Path, frames: Mapping[str, pl.LazyFrame], numbers: range, open_files: int
) -> Iterator[Mapping[str, pl.DataFrame]]:
    """Yields the parts with some numbers, in rounds that keep few files open."""
    if len(numbers) == 1:
        yield {
            name: frame.drop(_PART).collect(engine="streaming") for name, frame in frames.items()
        }
        return
    # An open file costs memory whatever is in it, so many parts are written in several rounds.
    spool.mkdir()
    parts_per_file = math.ceil(len(numbers) / open_files)
    for name, frame in frames.items():
        place = pl.PartitionBy(
            spool / name, key=_ROUND, include_key=False, file_path_provider=_file_name
        )
        round_of_part = (pl.col(_PART) - numbers.start) // parts_per_file
        frame.with_columns(round_of_part.alias(_ROUND)).sink_parquet(
            place, compression="lz4", row_group_size=_ROWS_PER_GROUP, statistics=False, mkdir=True
        )
    for number, begin in enumerate(range(numbers.start, numbers.stop, parts_per_file)):
        files = {name: sorted((spool / name).glob(f"{number}-*.parquet")) for name in frames}
        # A frame without rows in a round has no file in it.
        rows = {
            name: scan_parquet_files(found) if found else frames[name].clear()
            for name, found in files.items()
        }
        inner = range(begin, min(begin + parts_per_file, numbers.stop))
        yield from _split(spool / str(number), rows, inner, open_files)
        for file in (file for found in files.values() for file in found):
            file.unlink()


def _file_name(file: pl.FileProviderArgs) -> str:
    return f"{file.partition_keys[_ROUND][0]}-{file.index_in_partition}.parquet"
