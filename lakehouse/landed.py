"""Which deliveries a lake holds already, as its own rows say.

A raw row names its delivery in `_source`: `<file name>#<start of the hash of its bytes>`. Files of a raw table hold one
delivery each, so the statistics in the Delta log answer without reading data; after a compaction the rows do.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import polars as pl
from deltalake import DeltaTable

from lakehouse.dead_letters import UNREADABLE, DeadLetters
from lakehouse.lake import Lake, files
from lakehouse.sources.landing import Entry

_DIGITS = 16


def source_of(name: str, digest: str) -> str:
    """The `_source` of a delivery."""
    return f"{name}#{digest[:_DIGITS]}"


@dataclass(frozen=True)
class Landed:
    """The deliveries of one raw table.

    Attributes:
        version: the version of the raw table that says so; -1 when there is none.
        written: name and time of each delivery.
        by_digest: the `_source` of each delivery, by the start of its hash.
    """

    version: int
    written: frozenset[tuple[str, datetime]]
    by_digest: dict[str, str]

    def holds(self, entry: Entry) -> bool:
        """Whether an entry is known by its name and time, without reading it."""
        return (entry.name, entry.modified_at) in self.written

    def twin(self, digest: str) -> str | None:
        """The delivery with the same bytes, if there is one."""
        return self.by_digest.get(digest[:_DIGITS])


def landed(lake: Lake, table: str) -> Landed:
    """The deliveries that a raw table and its dead letters hold."""
    handle = lake.open(table)
    pairs = _of_table(lake, table, handle) if handle is not None else []
    pairs += DeadLetters(lake, table).finished()
    named = [(source.rpartition("#"), source, moment) for source, moment in pairs if not source.endswith(UNREADABLE)]
    return Landed(
        -1 if handle is None else handle.version(),
        frozenset((name, moment) for (name, _, _), _, moment in named),
        {digest: source for (_, _, digest), source, _ in named},
    )


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
    uris = [f"{lake.uri(table)}/{path}" for path in paths]
    if not uris:
        return []
    rows = pl.scan_parquet(
        uris, hive_partitioning=False, extra_columns="ignore", storage_options=dict(lake.options) or None
    )
    return list(rows.select("_source", "_modified_at").unique().collect(engine="streaming").iter_rows())
