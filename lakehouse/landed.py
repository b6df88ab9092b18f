"""Which deliveries a lake holds already, as its own rows say.

A raw row names its delivery in `_source`: `<file name>#<start of the hash of its bytes>`. Where a file of a raw table
holds one delivery, the statistics in the Delta log answer without reading data; where small ones share a file, its rows
do.
Bytes that are delivered several times are one delivery: the one that was written first, whichever was landed first.
Which bytes a file in landing has is told by the register of deliveries.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, cast

import polars as pl
from deltalake import DeltaTable

from lakehouse.dead_letters import DEAD_LETTERS, UNREADABLE, DeadLetters
from lakehouse.deliveries import DELIVERIES, Register, digest_of, name_of, registered
from lakehouse.lake import Lake, files
from lakehouse.sources.landing import Entry
from lakehouse.tables import ORIGIN

_DIGITS = 16
_SAID = pl.Schema({"_source": pl.String(), "_modified_at": ORIGIN["_modified_at"]})
_NONE = pl.DataFrame(schema={"digest": pl.String(), "_modified_at": ORIGIN["_modified_at"], "name": pl.String()})


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
        register: what the register knows of each file that was read, landed or not.
        settled: entries that would change nothing.
        lacking: those of the deliveries with rows whose dead letters are not all there, though they had been.
    """

    version: int
    by_digest: dict[str, Origin]
    rowless: frozenset[str]
    register: Register
    settled: frozenset[Entry]
    lacking: frozenset[str] = frozenset()

    def holds(self, entry: Entry) -> bool:
        """Whether an entry would change nothing, as far as can be told by its name, time and size."""
        return entry in self.settled

    def is_registered(self, entry: Entry, digest: str) -> bool:
        """Whether the register says so already."""
        return self.register.digests.get(entry) == digest[:_DIGITS]

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
    rows = _first(_of_table(lake, table, handle)) if handle is not None else _NONE
    letters, register = DeadLetters(lake, table).files(), registered(lake, table)
    of_dead = [(source, moment) for source, moment, is_dead, _ in letters if is_dead]
    dead = _first(pl.DataFrame(of_dead, schema=_SAID, orient="row"))
    there = {source.rpartition("#")[2]: count for source, _, _, count in letters}
    is_lacking = [(digest, there.get(digest, 0) < count) for digest, count in register.dead.items()]
    lacking = set(rows["digest"]) & {digest for digest, is_so in is_lacking if is_so}
    rowless = dead.join(rows, on="digest", how="anti")
    settled = _settled(register, rows, rowless, lacking)
    version = -1 if handle is None else handle.version()
    by_digest = {**_origins(rowless), **_origins(rows)}
    return Landed(version, by_digest, frozenset(rowless["digest"]), register, settled, frozenset(lacking))


def _settled(register: Register, rows: pl.DataFrame, rowless: pl.DataFrame, lacking: set[str]) -> frozenset[Entry]:
    """The files whose bytes are landed, by them or by one that was written first, with all their dead letters."""
    known = register.files.filter(~pl.col("digest").is_in(pl.Series(sorted(lacking), dtype=pl.String).implode()))
    by_rows = known.join(rows.rename({"name": "first"}), on="digest")
    is_first = (pl.col("_modified_at") < pl.col("modified_at")) | (
        (pl.col("_modified_at") == pl.col("modified_at")) & (pl.col("first") <= pl.col("name"))
    )
    settled = [by_rows.filter(is_first), known.join(rowless, on="digest", how="semi")]
    return frozenset(row for files in settled for row in cast("list[Entry]", files.select(Entry._fields).rows()))


def delivered(lake: Lake, table: str, handle: DeltaTable) -> dict[str, Origin]:
    """The origin of each delivery of which a raw table holds rows, at the handle's version, by its hash's start."""
    return _origins(_first(_of_table(lake, table, handle)))


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


def _origins(first: pl.DataFrame) -> dict[str, Origin]:
    return {digest: Origin(moment, name) for digest, moment, name in first.iter_rows()}


def _of_table(lake: Lake, table: str, handle: DeltaTable) -> pl.DataFrame:
    """`_source` and `_modified_at` of the deliveries of which a table holds rows."""
    live = files(handle)
    bounds = [f"{end}.{column}" for column in _SAID for end in ("min", "max")]
    if live.is_empty():
        return pl.DataFrame(schema=_SAID)
    if any(bound not in live.columns for bound in bounds):
        return _read(lake, table, live["path"])
    one = (pl.col(bounds[0]) == pl.col(bounds[1])) & (pl.col(bounds[2]) == pl.col(bounds[3]))
    told = live.filter(one).select(_source=bounds[0], _modified_at=bounds[2])
    return pl.concat([told.cast(_SAID), _read(lake, table, live.filter(~one.fill_null(False))["path"])])


def _read(lake: Lake, table: str, paths: Iterable[str]) -> pl.DataFrame:
    """What the rows of some files say; a process reads a file once, since it never changes, until others are asked."""
    known, options = lake.handles.sources.get(table, {}), dict(lake.options) or None
    found: dict[str, pl.DataFrame] = {}
    for path in paths:
        if (said := known.get(path)) is None:
            uri = f"{lake.uri(table)}/{path}"
            rows = pl.scan_parquet(uri, hive_partitioning=False, glob=False, storage_options=options)
            said = rows.select("_source", "_modified_at").cast(_SAID).unique().collect(engine="streaming")
        found[path] = said
    lake.handles.sources[table] = found  # those of files that are gone would become ever more
    return pl.concat([pl.DataFrame(schema=_SAID), *found.values()])
