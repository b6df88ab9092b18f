"""Dead letters: records that could not be parsed, and files that could not be read, byte for byte with the reason.

One table for the whole lake, `quarantine/dead_letters`. Grain: a record, or a whole file where `_offset` is null.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from lakehouse.origin import Origin, select_identity
from lakehouse.quarantine import states
from lakehouse.quarantine.states import RELEASED, fill_states, is_in
from lakehouse.storage.lake import Lake
from lakehouse.system_columns import ORIGIN

DEAD_LETTERS = "quarantine/dead_letters"
COUNTED_DEAD_LETTERS = "dead letters"
"""Names the mark in a raw table that tells how many of its dead letters its audits have counted."""

SCHEMA = pl.Schema(
    {
        "table": pl.String(),
        "reason": pl.String(),
        "place": pl.String(),
        "payload": pl.Binary(),
        "payload_bytes": pl.Int64(),
        "kept_at": pl.String(),
        "landed_rows": pl.Int64(),
        **ORIGIN,
        **states.STATES,
    }
)
COMMENTS = {
    "table": "The raw table for which the file was delivered",
    "reason": "Why the record could not be parsed",
    "place": "Where in the file it stands",
    "payload": "The bytes of the record, at most the first MiB",
    "payload_bytes": "How many bytes the record has",
    "kept_at": "Where in the lake the whole file is kept, when the payload is not all of it",
    "landed_rows": "Rows of the same file that did land; 0 when none did",
    "_source": "The delivered file and the start of the hash of its bytes",
    "_offset": "The record in the file; null for the file as a whole",
    **states.COMMENTS,
}


@dataclass(frozen=True)
class DeadLetters:
    """The dead letters of one raw table."""

    lake: Lake
    table: str

    def rows(self) -> pl.LazyFrame:
        """All of them, with their states."""
        if self.lake.open_shared(DEAD_LETTERS) is None:
            return pl.LazyFrame(schema=SCHEMA)
        return fill_states(self.lake.scan(DEAD_LETTERS)).filter(pl.col("table") == self.table)

    def files(self) -> list[tuple[str, datetime, bool, int]]:
        """Each file that has any: origin and time, whether nothing else is left of it, and how many letters it has.

        A file of which something was released has rows; when these are gone, it has to be read again.
        """
        dead = (pl.col("landed_rows") == 0) & ~is_in(RELEASED)
        of_file = self.rows().group_by("_source", "_modified_at")
        found = of_file.agg(
            is_dead=dead.all() | (dead & pl.col("_offset").is_null()).any(), letters=pl.len()
        )
        return list(found.collect().iter_rows())

    def offsets(self, source: str) -> pl.Series:
        """The records of a file whose dead letters are there; null stands for the file as a whole."""
        same = select_identity(pl.col("_source")) == Origin.parse(source).identity
        return self.rows().filter(same).select("_offset").collect().to_series()

    def find_known(self, sources: Iterable[str]) -> frozenset[str]:
        """Those of some files whose dead letters are there already: the same bytes, or the same unreadable file."""
        asked = {source: Origin.parse(source).identity for source in sources}
        wanted = pl.Series(list(asked.values()), dtype=pl.String).implode()
        found = set(
            self.rows()
            .filter(~is_in(RELEASED))
            .select(select_identity(pl.col("_source")).unique())
            .filter(pl.col("identity").is_in(wanted))
            .collect()
            .to_series()
        )
        return frozenset(source for source, known in asked.items() if known in found)

    def count(self) -> int:
        """How many there are."""
        return int(self.rows().select(pl.len()).collect().item())
