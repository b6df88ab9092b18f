"""Which deliveries a lake holds already, as its own rows say.

A raw row names its delivery in `_source`: `<file name>#<start of the hash of its bytes>`. A new file of a raw
table holds one delivery, so the statistics in the Delta log answer without reading data; where small files have been
gathered the rows do.
Bytes that are delivered several times are one delivery: the one that was written first, whichever was landed first.
Which bytes a file in landing has is told by the register of deliveries.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import polars as pl
from deltalake import DeltaTable

from lakehouse.dead_letters import DEAD_LETTERS, UNREADABLE, DeadLetters
from lakehouse.deliveries import DELIVERIES, registered
from lakehouse.lake import Lake, files
from lakehouse.sources.landing import Entry

_DIGITS = 16


def source_of(name: str, digest: str) -> str:
    """The `_source` of a delivery."""
    return f"{name}#{digest[:_DIGITS]}"


class Origin(NamedTuple):
    """When and under which name bytes were delivered; of several deliveries of the same bytes the least one counts."""

    modified_at: datetime
    name: str


@dataclass(frozen=True)
class Landed:
    """The deliveries of one raw table.

    Attributes:
        version: the version of the raw table that says so; -1 when there is none.
        by_digest: the origin of each delivery, by the start of its hash.
        rowless: those of them of which nothing but dead letters is left.
        registered: the start of the hash of each file that was read, landed or not.
        lacking: those of the deliveries with rows whose dead letters are not all there, though they had been.
    """

    version: int
    by_digest: dict[str, Origin]
    rowless: frozenset[str]
    registered: Mapping[Entry, str]
    lacking: frozenset[str] = frozenset()

    def holds(self, entry: Entry) -> bool:
        """Whether an entry would change nothing, as far as can be told by its name, time and size."""
        digest = self.registered.get(entry)
        landed = None if digest is None or digest in self.lacking else self.by_digest.get(digest)
        return landed is not None and (landed <= origin_of(entry) or digest in self.rowless)

    def is_registered(self, entry: Entry, digest: str) -> bool:
        """Whether the register says so already."""
        return self.registered.get(entry) == digest[:_DIGITS]

    def twin(self, digest: str) -> Origin | None:
        """The delivery with the same bytes, if there is one."""
        return self.by_digest.get(digest[:_DIGITS])

    def lacks_letters(self, digest: str) -> bool:
        """Whether dead letters of these bytes were there and are not any more."""
        return digest[:_DIGITS] in self.lacking

    def is_rowless(self, digest: str) -> bool:
        """Whether of these bytes nothing but dead letters is left."""
        return digest[:_DIGITS] in self.rowless


def origin_of(entry: Entry) -> Origin:
    """When and under which name an entry was delivered."""
    return Origin(entry.modified_at, entry.name)


def landed(lake: Lake, table: str) -> Landed:
    """The deliveries that a raw table and its dead letters hold."""
    handle, others = lake.look(table), (lake.look(DEAD_LETTERS), lake.look(DELIVERIES))
    return lake.handles.told(f"landed: {table}", (handle, *others), lambda: _landed(lake, table, handle))


def _landed(lake: Lake, table: str, handle: DeltaTable | None) -> Landed:
    rows = delivered(lake, table, handle) if handle is not None else {}
    letters, register = DeadLetters(lake, table).files(), registered(lake, table)
    dead = _by_digest((source, moment) for source, moment, is_dead, _ in letters if is_dead)
    there = {source.rpartition("#")[2]: count for source, _, _, count in letters}
    lacking = {digest for digest, count in register.dead.items() if digest in rows and there.get(digest, 0) < count}
    version = -1 if handle is None else handle.version()
    rowless = frozenset(dead) - frozenset(rows)
    return Landed(version, {**dead, **rows}, rowless, register.digests, frozenset(lacking))


def delivered(lake: Lake, table: str, handle: DeltaTable) -> dict[str, Origin]:
    """The origin of each delivery of which a raw table holds rows, at the handle's version, by its hash's start."""
    return _by_digest(_of_table(lake, table, handle))


def _by_digest(pairs: Iterable[tuple[str, datetime]]) -> dict[str, Origin]:
    """The first origin of each delivery."""
    found: dict[str, Origin] = {}
    for source, moment in pairs:
        name, _, digest = source.rpartition("#")
        if not source.endswith(UNREADABLE):
            found[digest] = min(Origin(moment, name), found.get(digest, Origin(moment, name)))
    return found


def _of_table(lake: Lake, table: str, handle: DeltaTable) -> list[tuple[str, datetime]]:
    live = files(handle)
    bounds = [f"{end}.{column}" for column in ("_source", "_modified_at") for end in ("min", "max")]
    if live.is_empty():
        return []
    if any(bound not in live.columns for bound in bounds):
        return _read(lake, table, live["path"])
    one = (pl.col(bounds[0]) == pl.col(bounds[1])) & (pl.col(bounds[2]) == pl.col(bounds[3]))
    told = live.filter(one).select(bounds[0], bounds[2])
    return [*told.iter_rows(), *_read(lake, table, live.filter(~one.fill_null(False))["path"])]


def _read(lake: Lake, table: str, paths: Iterable[str]) -> list[tuple[str, datetime]]:
    """What the rows of some files say; a process reads a file once, since it never changes."""
    known, options = lake.handles.sources, dict(lake.options) or None
    uris = [f"{lake.uri(table)}/{path}" for path in paths]
    for uri in uris:
        if uri not in known:
            rows = pl.scan_parquet(uri, hive_partitioning=False, glob=False, storage_options=options)
            told = rows.select("_source", "_modified_at").unique().collect(engine="streaming")
            known[uri] = tuple(told.iter_rows())
    return [pair for uri in uris for pair in known[uri]]
