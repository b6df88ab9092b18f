"""Rows divided by key, so that as many keys are in memory at once as fit.

The same key falls into the same part in each of several frames. Few rows are one part, and are not written again.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import polars as pl

_FILES_AT_ONCE = 16
"""Each file that is open for writing takes some 5 MB, whatever is written; more parts are divided in several rounds."""

_ROWS_PER_GROUP = 16_384
_PART, _GROUP, _FIRST, _SEVERAL, _ROUND = "_part", "_group", "_first", "_several", "_round"
_PLACE = {_FIRST: pl.UInt64, _SEVERAL: pl.UInt64}


def split_by_key(
    spool: Path,
    key: Sequence[str | pl.Expr],
    frames: Mapping[str, pl.LazyFrame],
    at_once: int,
    *,
    group: pl.Expr | None = None,
) -> Iterator[Mapping[str, pl.DataFrame]]:
    """The rows of some frames, part by part.

    Args:
        spool: a folder that is not there yet, for their files.
        key: what all frames have; rows with the same values of it are in the same part.
        frames: rows, by name; they are read twice.
        at_once: how many rows a part holds, more or less.
        group: a part of the key by which the parts are in order, so that rows that go to the same place stay together.
    """
    groups = pl.lit(0) if group is None else group
    sizes = pl.concat([frame.group_by(groups.alias(_GROUP)).len() for frame in frames.values()])
    places = _places(
        sizes.group_by(_GROUP).agg(pl.col("len").sum()).collect(engine="streaming"), at_once
    )
    count = int(places.select((pl.col(_FIRST) + pl.col(_SEVERAL)).max()).item() or 0)
    if count <= 1:
        yield {name: frame.collect(engine="streaming") for name, frame in frames.items()}
        return
    part = pl.struct(key).hash() % count
    if group is not None:
        # Looked up batch by batch: a join in the stream would hold all rows of a group, which may be all there are.
        place = group.map_batches(
            partial(_found, places), return_dtype=pl.Struct(_PLACE), is_elementwise=True
        ).struct
        part = place.field(_FIRST) + pl.struct(key).hash() % place.field(_SEVERAL)
    numbered = {name: frame.with_columns(part.alias(_PART)) for name, frame in frames.items()}
    yield from _divided(spool, numbered, 0, count)


def _found(places: pl.DataFrame, groups: pl.Series) -> pl.Series:
    """The place of each of some groups."""
    asked = groups.to_frame(_GROUP)
    return (
        asked.join(places, on=_GROUP, how="left", nulls_equal=True, maintain_order="left")
        .select(*_PLACE)
        .to_struct()
    )


def _places(sizes: pl.DataFrame, at_once: int) -> pl.DataFrame:
    """The part in which each group begins, and into how many it is divided; small neighbours share one."""
    found, part, rows = [], -1, 0
    for group, size in sizes.sort(_GROUP).iter_rows():
        if part < 0 or rows + size > at_once:
            part, rows = part + 1, 0
        several = max(math.ceil(size / at_once), 1)
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


def _divided(
    spool: Path, frames: Mapping[str, pl.LazyFrame], first: int, count: int
) -> Iterator[Mapping[str, pl.DataFrame]]:
    """So many parts of rows that know the number of theirs; as many files at a time as may be open."""
    if count == 1:
        yield {
            name: frame.drop(_PART).collect(engine="streaming") for name, frame in frames.items()
        }
        return
    spool.mkdir()
    step = math.ceil(count / _FILES_AT_ONCE)
    for name, frame in frames.items():
        place = pl.PartitionBy(
            spool / name, key=_ROUND, include_key=False, file_path_provider=_place
        )
        rows = frame.with_columns(((pl.col(_PART) - first) // step).alias(_ROUND))
        rows.sink_parquet(
            place, compression="lz4", row_group_size=_ROWS_PER_GROUP, statistics=False, mkdir=True
        )
    for number, begins in enumerate(range(first, first + count, step)):
        files = {name: sorted((spool / name).glob(f"{number}-*.parquet")) for name in frames}
        several = {
            name: pl.scan_parquet(found) if found else frames[name].clear()
            for name, found in files.items()
        }
        yield from _divided(spool / str(number), several, begins, min(step, first + count - begins))
        for file in (one for found in files.values() for one in found):
            file.unlink()


def _place(file: pl.FileProviderArgs) -> str:
    return f"{file.partition_keys[_ROUND][0]}-{file.index_in_partition}.parquet"
