"""The register of deliveries, `quarantine/deliveries`: what came of each file that was read to its end. Grain: a file.

A file in the register need not be read to be known: name, time and size stand for its bytes, and never become wrong.
Whether these bytes are landed is for the raw table to say, so nothing here has to be rolled back with it. And the
register is safe to lose: its files are read once more.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import polars as pl

from lakehouse.errors import BusyError
from lakehouse.ingest.files.listing import Entry
from lakehouse.publish.audit import Audit, Provenance
from lakehouse.publish.publish import publish
from lakehouse.publish.request import Sheet
from lakehouse.publish.retry import retry_if_busy
from lakehouse.quarantine.dead_letters import DEAD_LETTERS
from lakehouse.quarantine.states import OPEN, fill_states, is_in
from lakehouse.storage.lake import Lake, scan_visible_rows
from lakehouse.storage.revision import read_revision
from lakehouse.system_columns import ORIGIN

DELIVERIES = "quarantine/deliveries"
DIGITS = 16
"""How much of the hash of its bytes stands in the `_source` of a delivery, behind its name and a `#`. Lakes hold it."""
REGISTER_SCHEMA = pl.Schema(
    {
        "table": pl.String(),
        "outcome": pl.String(),
        "same_bytes_as": pl.String(),
        "size": pl.Int64(),
        "dead": pl.Int64(),
        **{name: dtype for name, dtype in ORIGIN.items() if name != "_offset"},
    }
)
_COMMENTS = {
    "table": "The raw table for which the file was delivered",
    "outcome": "landed; dead, when it holds nothing but dead letters; repeated, when its bytes had been landed already",
    "same_bytes_as": "The origin of the rows with the same bytes, when this file was read",
    "size": "Bytes of the file",
    "dead": "How many dead letters it has",
    "_source": "The delivered file and the start of the hash of its bytes",
    "_modified_at": "When the file was written",
    "_batch_id": "The batch in which it was read",
    "_ingested_at": "When that was",
}
_FILES = {
    "name": pl.String(),
    "modified_at": ORIGIN["_modified_at"],
    "size": pl.Int64(),
    "problem": pl.String(),
    "digest": pl.String(),
    "dead": pl.Int64(),
}
_KNOWN_BY = ["table", "_source", "_modified_at", "size", "dead"]
_LETTER = ("table", "_source", "_ingested_at", "_offset")


@dataclass(frozen=True)
class Register:
    """What the register says of the files of a raw table.

    Attributes:
        files: the files that were read, those that were read first at the front, in the columns of `_FILES`: what tells
            an entry of landing, the start of the hash of its bytes, and how many dead letters these have, null where
            the register does not know.
    """

    files: pl.DataFrame

    @cached_property
    def digests(self) -> Mapping[Entry, str]:
        """The start of the hash of each file that was read."""
        entries = cast(
            "list[Entry]", self.files.select(Entry._fields).rows()
        )  # plain ones are equal to it
        return dict(zip(entries, self.files["digest"], strict=True))

    def has_name(self, name: str) -> bool:
        """Whether any file of a name was read."""
        return name in self._names

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(self.files["name"].to_list())


def read_register(lake: Lake, table: str) -> Register:
    """What is known of each file that was read for a raw table."""
    handle, source = lake.open_shared(DELIVERIES), pl.col("_source")
    if handle is None:
        return Register(pl.DataFrame(schema=_FILES))
    rows = _widened(scan_visible_rows(handle)).filter(pl.col("table") == table).sort("_ingested_at")
    files = rows.select(
        name_of(source),
        pl.col("_modified_at").alias("modified_at"),
        "size",
        pl.lit(None, dtype=pl.String).alias("problem"),
        digest_of(source),
        "dead",
    )
    # Of two readings of the same name, time and size the later one tells what lies there.
    return Register(files.collect().unique(Entry._fields, keep="last", maintain_order=True))


def name_of(source: pl.Expr) -> pl.Expr:
    """The name of the delivered file that a `_source` tells, as `name`."""
    return source.str.head(-DIGITS - 1).alias("name")


def digest_of(source: pl.Expr) -> pl.Expr:
    """The start of the hash of its bytes that a `_source` tells, as `digest`."""
    return source.str.tail(DIGITS).alias("digest")


def _widened(rows: pl.LazyFrame) -> pl.LazyFrame:
    """The rows of a register, null in columns that an earlier version of this software did not write."""
    standing = rows.collect_schema()
    return rows.select(
        pl.col(n) if n in standing else pl.lit(None, t).alias(n) for n, t in REGISTER_SCHEMA.items()
    )


def count_open_dead_letters(lake: Lake) -> dict[str, int]:
    """How many dead letters of each raw table still ask for something to be done."""
    if lake.open_shared(DEAD_LETTERS) is None:
        return {}
    letters = fill_states(lake.scan(DEAD_LETTERS)).filter(is_in(OPEN)).select(*_LETTER)
    letters = letters.join(
        select_settled_letters(lake, letters), on=_LETTER, how="anti", nulls_equal=True
    )
    return dict(letters.group_by("table").len().collect().iter_rows())


def select_settled_letters(lake: Lake, letters: pl.LazyFrame) -> pl.LazyFrame:
    """Those of some dead letters that a later delivery has settled.

    That of a whole file is settled by a later delivery of the same name, which has its own if it is no better.
    """
    if lake.open_shared(DELIVERIES) is None:
        return letters.select(*_LETTER).clear()
    file = pl.col("_source").str.replace("#[^#]*$", "")
    others = lake.scan(DELIVERIES).select("table", "_source", "_ingested_at", file=file)
    pairs = (
        letters.filter(pl.col("_offset").is_null())
        .select(*_LETTER, file=file)
        .join(others, on=["table", "file"])
    )
    is_later = pl.col("_ingested_at_right") > pl.col("_ingested_at")
    return (
        pairs.filter(is_later & (pl.col("_source_right") != pl.col("_source")))
        .select(*_LETTER)
        .unique()
    )


def register_deliveries(
    lake: Lake, deliveries: Sequence[Mapping[str, object]], provenance: Provenance
) -> None:
    """Add deliveries, as rows of `SCHEMA`, each once; when other writers keep being faster, the next run does it."""
    if deliveries:
        with suppress(BusyError):
            retry_if_busy(lambda: _published(lake, deliveries, provenance))


def _published(
    lake: Lake, deliveries: Sequence[Mapping[str, object]], provenance: Provenance
) -> Audit | None:
    with lake.translate_errors():
        return _appended(lake, pl.DataFrame(deliveries, schema=REGISTER_SCHEMA), provenance)


def _appended(lake: Lake, read: pl.DataFrame, provenance: Provenance) -> Audit | None:
    handle = lake.open_shared(DELIVERIES)
    known = (
        pl.LazyFrame(schema=REGISTER_SCHEMA)
        if handle is None
        else _widened(scan_visible_rows(handle))
    )
    of_these = known.filter(pl.col("_source").is_in(read["_source"].to_list())).collect()
    fresh = read.join(
        of_these, on=_KNOWN_BY, how="anti"
    )  # a landing at the same time may have read them too
    if fresh.is_empty():
        return None
    sheet = Sheet(
        DELIVERIES,
        fresh.lazy(),
        "append",
        base=None if handle is None else read_revision(handle),
        description="Every delivered file that was read to its end, and what came of it.",
        comments=_COMMENTS,
    )
    return publish(
        lake,
        sheet,
        lambda found: Audit(
            DELIVERIES, sheet.mode, read=fresh.height, written=found.rows, provenance=provenance
        ),
    )
