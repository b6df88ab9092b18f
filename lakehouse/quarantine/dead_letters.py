"""Dead letters: records that could not be parsed, and files that could not be read.

They are kept byte for byte, with the reason, in one table for the whole lake. Grain: a record, or a
whole file where `_offset` is null.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from lakehouse.origin import Origin, select_identity
from lakehouse.quarantine import states
from lakehouse.quarantine.states import (
    OPEN,
    RELEASED,
    SUPERSEDED,
    WITHDRAWN,
    State,
    fill_states,
    is_in,
)
from lakehouse.storage.lake import Lake
from lakehouse.system_columns import ORIGIN

DEAD_LETTERS = "quarantine/dead_letters"
COUNTED_DEAD_LETTERS = "dead letters"
"""Names the transaction id of a raw table that holds how many dead letters its audits counted.

Letters are committed before their raw table. The number is how the next attempt knows those that a
killed one left without an audit."""

UNSETTLED: tuple[State, ...] = (OPEN, SUPERSEDED, WITHDRAWN)
"""The states in which landing may change the letter of a refused file: nobody has decided on it."""

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
    "place": "Where in the file it is",
    "payload": "The bytes of the record, or the beginning of them: see payload_bytes",
    "payload_bytes": "How many bytes the record has",
    "kept_at": "Where in the lake the whole file is kept, when the payload is not all of it",
    "landed_rows": "Rows of the same file that did land; 0 when none did",
    "_source": "The delivered file and the hash of its bytes",
    "_offset": "The record in the file; null for the file as a whole",
    **states.COMMENTS,
}


@dataclass(frozen=True)
class DeadLetters:
    """The dead letters of one raw table."""

    lake: Lake
    table: str

    def rows(self) -> pl.LazyFrame:
        """Returns all of them, with their states."""
        # One table for the whole lake holds them, so each question has to name its raw table.
        if self.lake.open_shared(DEAD_LETTERS) is None:
            return pl.LazyFrame(schema=SCHEMA)
        return fill_states(self.lake.scan(DEAD_LETTERS)).filter(pl.col("table") == self.table)

    def files(self) -> list[tuple[str, datetime, bool, int]]:
        """Returns each file that has dead letters.

        A file with a released dead letter has rows. When these are gone, it has to be read again.

        Returns:
            For each file its origin, when it was written, whether only dead letters are left of it,
            and how many records of it are dead.
        """
        # `landed_rows` is as of the first reading; a release since then has made rows.
        is_dead = (pl.col("landed_rows") == 0) & ~is_in(RELEASED)
        is_whole_file = is_dead & pl.col("_offset").is_null()
        found = (
            self.rows()
            .group_by("_source", "_modified_at")
            .agg(
                is_dead=is_dead.all() | is_whole_file.any(),
                # Of a record that died again after its release there are two letters.
                letters=pl.col("_offset").filter(~is_in(RELEASED)).n_unique(),
            )
        )
        return list(found.collect().iter_rows())

    def refused(self) -> dict[str, State]:
        """Returns the files that were refused whole and that nobody has decided on.

        Returns:
            The state of the letter of each, by its origin.
        """
        is_unsettled = pl.any_horizontal(map(is_in, UNSETTLED))
        letters = self.rows().filter(pl.col("_offset").is_null() & is_unsettled)
        # A file that was refused again after its release has two letters; the open one counts.
        found = letters.select("_source", "_state").unique().sort("_state", descending=True)
        return dict(found.collect().iter_rows())

    def list_refused(self) -> list[tuple[str, str]]:
        """Returns the name of each file that is refused now, with the reason, in order."""
        letters = self.rows().filter(pl.col("_offset").is_null() & is_in(OPEN))
        found = letters.select("_source", "reason").unique().sort("_source", "reason")
        return [(Origin.parse(source).name, reason) for source, reason in found.collect().rows()]

    def list_record_states(self) -> list[tuple[str, State]]:
        """Returns the files with dead records that nobody has decided on, with the state."""
        is_unsettled = pl.any_horizontal(map(is_in, UNSETTLED))
        letters = self.rows().filter(pl.col("_offset").is_not_null() & is_unsettled)
        found = letters.select("_source", "_state").unique().sort("_source", "_state")
        return list(found.collect().iter_rows())

    def offsets(self, source: str) -> pl.Series:
        """Returns the `_offset` of each dead letter of a file; null is the file as a whole."""
        # By the bytes: the letters of a renamed file keep the name that it had.
        is_same = select_identity(pl.col("_source")) == Origin.parse(source).identity
        return self.rows().filter(is_same).select("_offset").collect().to_series()

    def find_known(self, sources: Iterable[str]) -> frozenset[str]:
        """Returns the sources whose bytes have dead letters already, under any name."""
        identities = {source: Origin.parse(source).identity for source in sources}
        wanted = pl.Series(list(identities.values()), dtype=pl.String).implode()
        found = (
            self.rows()
            # A record that is dead again after its release needs a letter of its own.
            .filter(~is_in(RELEASED))
            .select(select_identity(pl.col("_source")).unique())
            .filter(pl.col("identity").is_in(wanted))
        )
        known = set(found.collect().to_series())
        return frozenset(source for source, identity in identities.items() if identity in known)

    def count(self) -> int:
        """Returns how many there are."""
        return int(self.rows().select(pl.len()).collect().item())


def count_open_letters(lake: Lake) -> dict[str, int]:
    """Counts the dead letters of each raw table that somebody still has to act on."""
    if lake.open_shared(DEAD_LETTERS) is None:
        return {}
    letters = fill_states(lake.scan(DEAD_LETTERS)).filter(is_in(OPEN))
    return dict(letters.group_by("table").len().collect().iter_rows())
