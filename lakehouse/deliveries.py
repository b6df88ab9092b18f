"""The register of deliveries, `quarantine/deliveries`: what came of each file that was read to its end. Grain: a file.

A file in the register need not be read to be known: name, time and size stand for its bytes, and never become wrong.
Whether these bytes are landed is for the raw table to say, so nothing here has to be rolled back with it. And the
register is safe to lose: its files are read once more.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import polars as pl

from lakehouse.audit import Audit, Provenance
from lakehouse.dead_letters import DEAD_LETTERS
from lakehouse.errors import BusyError
from lakehouse.lake import Lake, scan
from lakehouse.publish import publish
from lakehouse.retry import retrying
from lakehouse.sheet import Sheet
from lakehouse.sources.landing import Entry
from lakehouse.states import OPEN, is_in, told
from lakehouse.tables import ORIGIN

DELIVERIES = "quarantine/deliveries"
SCHEMA = pl.Schema(
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
_KNOWN_BY = ["table", "_source", "_modified_at", "size", "dead"]
_LETTER = ("table", "_source", "_ingested_at", "_offset")


@dataclass(frozen=True)
class Register:
    """What the register says of the files of a raw table.

    Attributes:
        digests: the start of the hash of each file that was read.
        dead: how many dead letters these bytes have, by that start; where the register knows it.
    """

    digests: Mapping[Entry, str] = field(default_factory=dict)
    dead: Mapping[str, int] = field(default_factory=dict)


def registered(lake: Lake, table: str) -> Register:
    """What is known of each file that was read for a raw table."""
    handle = lake.look(DELIVERIES)
    if handle is None:
        return Register()
    rows = _widened(scan(handle)).filter(pl.col("table") == table).sort("_ingested_at")
    found = rows.select("_source", "_modified_at", "size", "dead").collect().iter_rows()
    named = [(source.rpartition("#"), moment, size, dead) for source, moment, size, dead in found]
    return Register(
        {Entry(name, moment, size): digest for (name, _, digest), moment, size, _ in named},
        {digest: dead for (_, _, digest), _, _, dead in named if dead is not None},
    )


def _widened(rows: pl.LazyFrame) -> pl.LazyFrame:
    """The rows of a register, null in columns that an earlier version of this software did not write."""
    standing = rows.collect_schema()
    return rows.select(pl.col(n) if n in standing else pl.lit(None, t).alias(n) for n, t in SCHEMA.items())


def open_letters(lake: Lake) -> dict[str, int]:
    """How many dead letters of each raw table still ask for something to be done."""
    if lake.look(DEAD_LETTERS) is None:
        return {}
    letters = told(lake.scan(DEAD_LETTERS)).filter(is_in(OPEN)).select(*_LETTER)
    letters = letters.join(overtaken(lake, letters), on=_LETTER, how="anti", nulls_equal=True)
    return dict(letters.group_by("table").len().collect().iter_rows())


def overtaken(lake: Lake, letters: pl.LazyFrame) -> pl.LazyFrame:
    """Those of some dead letters that a later delivery has settled.

    That of a whole file is settled by a later delivery of the same name, which has its own if it is no better.
    """
    if lake.look(DELIVERIES) is None:
        return letters.select(*_LETTER).clear()
    file = pl.col("_source").str.replace("#[^#]*$", "")
    others = lake.scan(DELIVERIES).select("table", "_source", "_ingested_at", file=file)
    pairs = letters.filter(pl.col("_offset").is_null()).select(*_LETTER, file=file).join(others, on=["table", "file"])
    is_later = pl.col("_ingested_at_right") > pl.col("_ingested_at")
    return pairs.filter(is_later & (pl.col("_source_right") != pl.col("_source"))).select(*_LETTER).unique()


def register(lake: Lake, deliveries: Sequence[Mapping[str, object]], provenance: Provenance) -> None:
    """Add deliveries, as rows of `SCHEMA`, each once; when other writers keep being faster, the next run does it."""
    if deliveries:
        with suppress(BusyError):
            retrying(lambda: _published(lake, pl.LazyFrame(deliveries, schema=SCHEMA), provenance))


def _published(lake: Lake, read: pl.LazyFrame, provenance: Provenance) -> Audit | None:
    with lake.answering():
        return _appended(lake, read, provenance)


def _appended(lake: Lake, read: pl.LazyFrame, provenance: Provenance) -> Audit | None:
    handle = lake.look(DELIVERIES)
    known = pl.LazyFrame(schema=SCHEMA) if handle is None else _widened(scan(handle))
    fresh = read.join(known, on=_KNOWN_BY, how="anti").collect()  # a landing at the same time may have read them too
    if fresh.is_empty():
        return None
    sheet = Sheet(
        DELIVERIES,
        fresh.lazy(),
        "append",
        based_on=-1 if handle is None else handle.version(),
        description="Every delivered file that was read to its end, and what came of it.",
        comments=_COMMENTS,
    )
    return publish(
        lake,
        sheet,
        lambda found: Audit(DELIVERIES, sheet.mode, read=fresh.height, written=found.rows, provenance=provenance),
    )
