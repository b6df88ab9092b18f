"""Which deliveries a lake holds already, as its own rows say.

A raw row names its delivery in `_source`: `<file name>#<start of the hash of its bytes>`. Where a file of a raw table
holds one delivery, the statistics in the Delta log answer without reading data; where small ones share a file, its rows
do.
Bytes that are delivered several times are one delivery: the one that was written first, whichever was landed first.
Which bytes a file in landing has is told by the register of deliveries.
"""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import NamedTuple

import polars as pl
from deltalake import DeltaTable

from lakehouse.expressions import differs_from_previous
from lakehouse.ingest.delivery_register import (
    DELIVERIES,
    DIGITS,
    Register,
    digest_of,
    name_of,
    read_register,
)
from lakehouse.ingest.files.listing import Entry, Stamp
from lakehouse.quarantine.dead_letters import DEAD_LETTERS, UNREADABLE, DeadLetters
from lakehouse.storage.lake import Lake, list_data_files
from lakehouse.storage.revision import Revision, read_revision
from lakehouse.system_columns import ORIGIN

_FEW = 100
_SAID = pl.Schema({"_source": pl.String(), "_modified_at": ORIGIN["_modified_at"]})
_NONE = pl.DataFrame(
    schema={"digest": pl.String(), "_modified_at": ORIGIN["_modified_at"], "name": pl.String()}
)


def source_of(name: str, digest: str) -> str:
    """The `_source` of a delivery."""
    return f"{name}#{digest[:DIGITS]}"


class Occurrence(NamedTuple):
    """When and under which name bytes were delivered; of several deliveries of the same bytes the least one counts."""

    modified_at: datetime
    name: str


@dataclass(frozen=True)
class LandedFiles:
    """The deliveries of one raw table.

    Attributes:
        revision: the revision of the raw table that says so; None when there is none.
        first: the first origin of each delivery: the start of its hash as `digest`, `_modified_at` and `name`.
        rowless: those of them of which nothing but dead letters is left.
        register: what the register knows of each file that was read, landed or not.
        settled: the files that would change nothing, in the columns of an entry.
        lacking: those of the deliveries with rows whose dead letters are not all there, though they had been.
    """

    revision: Revision | None
    first: pl.DataFrame
    rowless: frozenset[str]
    register: Register
    settled: pl.DataFrame
    lacking: frozenset[str] = frozenset()

    @cached_property
    def stamps(self) -> Mapping[str, Stamp]:
        """Of each settled file when it was written and how long it is; of several of a name the last one's."""
        times = self.settled["modified_at"].dt.epoch("ms").to_list()
        return dict(
            zip(
                self.settled["name"].to_list(),
                zip(times, self.settled["size"].to_list(), strict=True),
                strict=True,
            )
        )

    @cached_property
    def by_digest(self) -> dict[str, Occurrence]:
        """The origin of each delivery, by the start of its hash."""
        return _origins(self.first)

    def select_unsettled(self, entries: Sequence[Entry]) -> list[Entry]:
        """Those of some entries that may change something, as far as can be told by their names, times and sizes."""
        if len(entries) < _FEW:
            names = pl.Series([entry.name for entry in entries], dtype=pl.String).implode()
            settled = frozenset(self.settled.filter(pl.col("name").is_in(names)).rows())
        else:
            settled = self._all_settled
        return [entry for entry in entries if entry not in settled]

    def is_registered(self, entry: Entry, digest: str) -> bool:
        """Whether the register says so already."""
        return (
            self.register.has_name(entry.name)
            and self.register.digests.get(entry) == digest[:DIGITS]
        )

    def twin(self, digest: str) -> Occurrence | None:
        """The delivery with the same bytes, if there is one."""
        return self.by_digest.get(digest[:DIGITS]) if digest[:DIGITS] in self._digests else None

    @cached_property
    def _digests(self) -> frozenset[str]:
        return frozenset(self.first["digest"].to_list())

    @cached_property
    def _all_settled(self) -> frozenset[tuple[object, ...]]:
        return frozenset(self.settled.rows())

    def lacks_letters(self, digest: str) -> bool:
        """Whether dead letters of these bytes were there and are not any more."""
        return digest[:DIGITS] in self.lacking

    def is_rowless(self, digest: str) -> bool:
        """Whether of these bytes nothing but dead letters is left."""
        return digest[:DIGITS] in self.rowless


def occurrence_of(entry: Entry) -> Occurrence:
    """When and under which name an entry was delivered."""
    return Occurrence(entry.modified_at, entry.name)


def read_landed_files(lake: Lake, table: str) -> LandedFiles:
    """The deliveries that a raw table and its dead letters hold."""
    handle = lake.open_shared(table)
    with ThreadPoolExecutor(1) as beside:
        rows = beside.submit(
            _of_rows, lake, table, handle
        )  # of that version, whenever they are read
        by = (handle, lake.open_shared(DEAD_LETTERS), lake.open_shared(DELIVERIES))
        return lake.handles.told(f"landed: {table}", by, lambda: _landed(lake, table, handle, rows))


def _landed(
    lake: Lake, table: str, handle: DeltaTable | None, of_rows: Future[pl.DataFrame]
) -> LandedFiles:
    letters, register = DeadLetters(lake, table).files(), read_register(lake, table)
    rows = of_rows.result()
    of_dead = [(source, moment) for source, moment, is_dead, _ in letters if is_dead]
    dead = _first(pl.DataFrame(of_dead, schema=_SAID, orient="row"))
    there = {source.rpartition("#")[2]: count for source, _, _, count in letters}
    counted = register.files.filter(pl.col("dead") > 0).select("digest", "dead").iter_rows()
    short = {digest for digest, count in counted if there.get(digest, 0) < count}
    lacking = short.intersection(rows["digest"].to_list()) if short else set()
    known = (
        register.files.filter(~pl.col("digest").is_in(sorted(lacking)))
        if lacking
        else register.files
    )
    rowless = dead.join(rows, on="digest", how="anti") if dead.height else dead
    revision = None if handle is None else read_revision(handle)
    first = pl.concat([rowless, rows])
    settled = _settled(known, rows, rowless)
    return LandedFiles(
        revision, first, frozenset(rowless["digest"]), register, settled, frozenset(lacking)
    )


def _settled(known: pl.DataFrame, rows: pl.DataFrame, rowless: pl.DataFrame) -> pl.DataFrame:
    """The files whose bytes are landed, by them or by one that was written first."""
    by_rows = known.join(rows.rename({"name": "first"}), on="digest")
    is_earlier = (pl.col("_modified_at") < pl.col("modified_at")) | (
        (pl.col("_modified_at") == pl.col("modified_at")) & (pl.col("first") <= pl.col("name"))
    )
    of_letters = known.join(rowless, on="digest", how="semi") if rowless.height else known.clear()
    return pl.concat(
        [found.select(Entry._fields) for found in (by_rows.filter(is_earlier), of_letters)]
    )


def read_occurrences(lake: Lake, table: str, handle: DeltaTable) -> dict[str, Occurrence]:
    """The origin of each delivery of which a raw table holds rows, at the handle's version, by its hash's start."""
    return _origins(_of_rows(lake, table, handle))


def _of_rows(lake: Lake, table: str, handle: DeltaTable | None) -> pl.DataFrame:
    """The first origin of each delivery of which a table holds rows."""
    if handle is None:
        return _NONE
    return lake.handles.told(
        f"rows: {table}", (handle,), lambda: _first(_of_table(lake, table, handle))
    )


def _first(said: pl.DataFrame) -> pl.DataFrame:
    """The first origin of each delivery: its `digest`, `_modified_at` and `name`."""
    source = pl.col("_source")
    named = said.lazy().filter(~source.str.ends_with(UNREADABLE))
    return (
        named.select(digest_of(source), "_modified_at", name_of(source))
        .sort("digest", "_modified_at", "name")
        .unique("digest", keep="first", maintain_order=True)
        .collect()
    )


def _origins(first: pl.DataFrame) -> dict[str, Occurrence]:
    return {digest: Occurrence(moment, name) for digest, moment, name in first.iter_rows()}


def _of_table(lake: Lake, table: str, handle: DeltaTable) -> pl.DataFrame:
    """`_source` and `_modified_at` of the deliveries of which a table holds rows."""
    live = list_data_files(handle)
    bounds = [f"{end}.{column}" for column in _SAID for end in ("min", "max")]
    if live.is_empty():
        return pl.DataFrame(schema=_SAID)
    if any(bound not in live.columns for bound in bounds):
        return _read(lake, table, live["path"])
    one = (pl.col(bounds[0]) == pl.col(bounds[1])) & (pl.col(bounds[2]) == pl.col(bounds[3]))
    told = live.filter(one).select(_source=bounds[0], _modified_at=bounds[2])
    return pl.concat(
        [told.cast(_SAID), _read(lake, table, live.filter(~one.fill_null(False))["path"])]
    )


def _read(lake: Lake, table: str, paths: Iterable[str]) -> pl.DataFrame:
    """What the rows of some files say; a process reads a file once, since it never changes, until others are asked."""
    known, options = lake.handles.sources.get(table, {}), dict(lake.options) or None
    found: dict[str, pl.DataFrame] = {}
    for path in paths:
        if (said := known.get(path)) is None:
            uri = f"{lake.uri(table)}/{path}"
            rows = pl.scan_parquet(
                uri, hive_partitioning=False, glob=False, storage_options=options
            )
            # The rows of a delivery lie beside each other, so that few are left.
            said = (
                rows.select(_SAID.names())
                .cast(_SAID)
                .filter(differs_from_previous(_SAID))
                .collect(engine="streaming")
            )
        found[path] = said
    lake.handles.sources[table] = found  # those of files that are gone would become ever more
    return pl.concat([pl.DataFrame(schema=_SAID), *found.values()])
