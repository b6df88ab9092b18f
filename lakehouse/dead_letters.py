"""Dead letters: records that could not be parsed, and files that could not be read, byte for byte with the reason.

One table for the whole lake, `quarantine/dead_letters`. Grain: a record, or a whole file where `_offset` is null.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from lakehouse.lake import Lake
from lakehouse.tables import ORIGIN

DEAD_LETTERS = "quarantine/dead_letters"
UNREADABLE = "#unreadable"
"""Ends the `_source` of a file whose bytes could not be read at all; it is tried again each time."""

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
}


@dataclass(frozen=True)
class DeadLetters:
    """The dead letters of one raw table."""

    lake: Lake
    table: str

    def _rows(self) -> pl.LazyFrame:
        if self.lake.open(DEAD_LETTERS) is None:
            return pl.LazyFrame(schema=SCHEMA)
        return self.lake.scan(DEAD_LETTERS).filter(pl.col("table") == self.table)

    def finished(self) -> list[tuple[str, datetime]]:
        """Origin and time of the files of which nothing but dead letters is left."""
        rows = self._rows().filter(pl.col("landed_rows") == 0).select("_source", "_modified_at").unique()
        return list(rows.collect().iter_rows())

    def known(self, sources: Iterable[str]) -> frozenset[str]:
        """Those of some files whose dead letters are there already, from an attempt that was cut short."""
        wanted = pl.Series(list(sources), dtype=pl.String).implode()
        found = self._rows().filter(pl.col("_source").is_in(wanted)).select(pl.col("_source").unique())
        return frozenset(found.collect().to_series())
