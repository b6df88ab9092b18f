"""A batch of deliveries on its way into a raw table: named, counted, and brought to the table's columns.

Belongs here: what became of each file, and the rows and dead letters that come of it. Does not belong here: looking at
the files (`reading.py`), parsing (`sources/delivery.py`) and the commit (`publish.py`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import polars as pl

from lakehouse.ingest.drift.columns import TableColumns
from lakehouse.ingest.drift.projection import Projection, scan_rows
from lakehouse.ingest.files.delivery import Delivery
from lakehouse.ingest.files.listing import Entry
from lakehouse.ingest.landed_files import Occurrence
from lakehouse.ingest.small_deliveries import SmallDeliveries
from lakehouse.publish.auto_compaction import group_deliveries
from lakehouse.publish.request import Sheet
from lakehouse.quarantine.dead_letters import COMMENTS, COUNTED_DEAD_LETTERS, DEAD_LETTERS, SCHEMA
from lakehouse.quarantine.states import Attempt
from lakehouse.storage.revision import Revision
from lakehouse.system_columns import EVENT_DATE, ORIGIN, RESCUED
from lakehouse.tables.table_types import RawTable
from lakehouse.tables.type_widening import align_types

_ORIGIN_COMMENTS = {
    "_source": "The delivered file and the start of the hash of its bytes",
    "_offset": "The number of the record in the file, from 1",
    "_modified_at": "When the file was written",
    "_batch_id": "The batch in which the file was landed",
    "_ingested_at": "When that was",
    EVENT_DATE: "The day that the row belongs to, as it says itself",
    RESCUED: "What was delivered and does not fit into the columns: a JSON object of texts, by the names in the file",
}


@dataclass(frozen=True)
class FittedDelivery:
    """A delivery that was read, with where it was found."""

    entry: Entry
    delivery: Delivery
    source: str
    fit: Projection


@dataclass
class Batch:
    """Deliveries that are landed together.

    Attributes:
        raw: the table that they are for.
        columns: the columns of the table so far, the declared ones when it does not exist yet; and those that are new.
        id: the name of the batch, `_batch_id` in every row.
        reads: the deliveries that are new.
        bundles: the rows of those that are small.
        digests: their origin, by the hash of their bytes.
        rowless: those of these bytes that gave nothing but dead letters.
        repeated: files with the bytes of another delivery, by name.
        returned: deliveries whose rows are landed, and whose dead letters are not all there any more.
        recorded: the deliveries that the register does not know yet.
        corrections: the earlier origin of landed rows, by the origin that they have.
        refused: files that could not be read, with the reason.
        changed: files that were written to while they were read; left for the next run.
        unreadable: dead letters of files whose bytes could not be read at all.
        known_dead: sources whose dead letters are there already.
        standing_dead: how many dead letters there are of this table.
        uncounted_dead: those of them that no audit has counted, because an attempt was cut short.
        dead_revision: the revision of the dead letters that says so, or an earlier one; None when there are none.
    """

    raw: RawTable
    columns: TableColumns
    id: str = field(default_factory=lambda: f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid4().hex[:8]}")
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    reads: list[FittedDelivery] = field(default_factory=list)
    bundles: SmallDeliveries = field(default_factory=SmallDeliveries)
    digests: dict[str, Occurrence] = field(default_factory=dict)
    rowless: set[str] = field(default_factory=set)
    repeated: dict[str, str] = field(default_factory=dict)
    returned: list[FittedDelivery] = field(default_factory=list)
    recorded: list[dict[str, object]] = field(default_factory=list)
    corrections: dict[str, dict[str, object]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)
    unreadable: list[dict[str, object]] = field(default_factory=list)
    known_dead: frozenset[str] = frozenset()
    standing_dead: int = 0
    uncounted_dead: int = 0
    dead_revision: Revision | None = None

    def take(self, read: FittedDelivery, spool: Path) -> None:
        """A delivery that is new; rows that it holds in memory join those of others."""
        rows = read.delivery.in_memory
        if rows is not None:
            self.bundles.add(rows, read.fit, read.source, read.entry.modified_at, spool)
            read = replace(read, delivery=replace(read.delivery, in_memory=None))
        self.reads.append(read)

    def record(
        self, entry: Entry, source: str, outcome: str, dead: int, same_bytes_as: str | None = None
    ) -> None:
        """Keep for the register what came of a delivery."""
        self.recorded.append(
            {
                "table": self.raw.name,
                "outcome": outcome,
                "same_bytes_as": same_bytes_as,
                "size": entry.size,
                "dead": dead,
                "_source": source,
                "_modified_at": entry.modified_at,
                "_batch_id": self.id,
                "_ingested_at": self.started,
            }
        )

    @property
    def has_news(self) -> bool:
        """Whether there is anything to commit."""
        return bool(self.reads or self.corrections or self.dead)

    @property
    def records(self) -> int:
        """Records that no audit has counted; a file that cannot be read counts as one."""
        return sum(read.delivery.rows_count for read in self.reads) + self.dead

    @property
    def dead(self) -> int:
        """Dead letters that no audit has counted."""
        return self.new_dead + self.uncounted_dead

    @property
    def new_dead(self) -> int:
        """Dead letters that are not there yet."""
        counts = (r.delivery.dead_count for r in self.reads if r.source not in self.known_dead)
        return sum(counts) + len(self._new_unreadable())

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of these files."""
        return tuple(self._notes())

    def _notes(self) -> Iterator[str]:
        earlier = {str(new["_source"]).rpartition("#")[0] for new in self.corrections.values()}
        for name, twin in self.repeated.items():
            what = (
                ", written earlier: the rows get its origin"
                if name in earlier
                else ", superseded as a whole"
            )
            yield f"{name}: same bytes as {twin}{what}"
        yield from (f"{name}: {reason}" for name, reason in self.refused.items())
        if self.uncounted_dead:
            yield f"dead letters of an attempt that was cut short, counted here: {self.uncounted_dead:,}"
        if self.columns.added:
            yield f"new columns: {', '.join(self.columns.added)}"
        if wider := [
            f"{n} ({self.columns.stored[n]} to {dtype})"
            for n, dtype in self.columns.retyped.items()
        ]:
            yield f"wider columns: {', '.join(wider)}; the rows that stood in the table were written again"
        for read in self.reads:
            yield from (f"{read.entry.name}: {note}" for note in read.delivery.notes)
            if read.delivery.dead_count and not read.delivery.refused:
                yield f"{read.entry.name}: {_dead_letters(read.delivery)}"
            if read.fit.rescued and not read.delivery.refused:
                values = ", ".join(
                    f"{name} in {count:,}" for name, count in read.fit.rescued.items()
                )
                yield f"{read.entry.name}: rescued from {read.fit.rescued_rows:,} rows: {values}"
            missing = sorted(self.raw.optional - set(read.fit.names.values()))
            if missing and not read.delivery.refused:
                yield f"{read.entry.name}: columns missing, null in its rows: {', '.join(missing)}"

    def _new_unreadable(self) -> list[dict[str, object]]:
        return [row for row in self.unreadable if row["_source"] not in self.known_dead]

    def sheets(self, base: Revision | None) -> tuple[Sheet, Sheet]:
        """The rows for the raw table, and the dead letters."""
        new, retyped = align_types(self._rows(), self.columns.stored)
        rows = Sheet(
            self.raw.name,
            new,
            "append",
            split_by=self._file(),
            base=base,
            marks={COUNTED_DEAD_LETTERS: self.standing_dead + self.new_dead},
            corrections=self.corrections,
            hidden=frozenset({*self.columns.all, RESCUED}),
            retyped=retyped,
            description=self.raw.description,
            comments=_ORIGIN_COMMENTS,
        )
        return rows, self._letters(self._dead())

    def _file(self) -> pl.Expr | None:
        """Tells the file of a row: a delivery has its own, or many small ones share some."""
        read = [read for read in self.reads if read.delivery.rows_count]
        files = group_deliveries([(read.delivery.rows_count, read.delivery.size) for read in read])
        if len(set(files)) <= 1:
            return None
        sources = [one.source for one in read]
        return (
            pl.col("_source").replace_strict(sources, files, return_dtype=pl.UInt32).alias("_file")
        )

    def returning(self, standing: Callable[[str], pl.Series]) -> Sheet:
        """The dead letters of landed files that are not there any more, by what `standing` says of an origin."""
        offset = pl.col("_offset")
        frames = []
        for read in self.returned:
            there = standing(read.source)
            is_there = offset.is_in(there.implode()) | (
                offset.is_null() & pl.lit(there.has_nulls())
            )
            frames.append(self._dead_of(read).filter(~is_there.fill_null(False)))
        return self._letters(pl.concat(frames))

    def _letters(self, rows: pl.LazyFrame) -> Sheet:
        return Sheet(
            DEAD_LETTERS,
            rows,
            "append",
            base=self.dead_revision,
            description="Records that could not be parsed, byte for byte.",
            comments=COMMENTS,
            hidden=frozenset({"payload", "reason", "place"}),
        )

    def _rows(self) -> pl.LazyFrame:
        frames = [self._brought(read) for read in self.reads if read.delivery.rows is not None]
        frames += [self._bundled(*bundle) for bundle in self.bundles.frames()]
        rescued = {RESCUED: pl.String()} if self.raw.drift == "rescue" else {}
        rows = (
            pl.concat(frames)
            if frames
            else pl.LazyFrame(schema={**self.columns.all, **rescued, **ORIGIN})
        )
        return rows if self.raw.day is None else rows.with_columns(self.raw.day.alias(EVENT_DATE))

    def _brought(self, read: FittedDelivery) -> pl.LazyFrame:
        return scan_rows(read.delivery).select(*self.columns.project(read.fit), *self._origin(read))

    def _bundled(self, fit: Projection, rows: pl.LazyFrame) -> pl.LazyFrame:
        return rows.select(
            *self.columns.project(fit), "_source", "_offset", "_modified_at", *self._landing()
        )

    def _origin(self, read: FittedDelivery) -> list[pl.Expr]:
        return [
            pl.lit(read.source).alias("_source"),
            pl.col("_offset"),
            pl.lit(read.entry.modified_at, dtype=ORIGIN["_modified_at"]).alias("_modified_at"),
            *self._landing(),
        ]

    def _landing(self) -> list[pl.Expr]:
        return [
            pl.lit(self.id).alias("_batch_id"),
            pl.lit(self.started, dtype=ORIGIN["_ingested_at"]).alias("_ingested_at"),
        ]

    def _dead(self) -> pl.LazyFrame:
        frames = [
            self._dead_of(read)
            for read in self.reads
            if read.delivery.dead_count and read.source not in self.known_dead
        ]
        unreadable = [
            {**row, "_batch_id": self.id, "_ingested_at": self.started}
            for row in self._new_unreadable()
        ]
        return pl.concat(
            [*frames, pl.LazyFrame(unreadable, schema=SCHEMA).with_columns(self._opened())]
        )

    def _opened(self) -> list[pl.Expr]:
        return Attempt("", now=self.started).opened()

    def _dead_of(self, read: FittedDelivery) -> pl.LazyFrame:
        """The dead letters of a delivery."""
        return (
            pl.scan_parquet(str(read.delivery.dead), hive_partitioning=False)
            .with_columns(
                pl.lit(self.raw.name).alias("table"),
                pl.lit(self._kept_at(read), dtype=pl.String).alias("kept_at"),
                pl.lit(read.delivery.rows_count, dtype=pl.Int64).alias("landed_rows"),
                *self._origin(read),
                *self._opened(),
            )
            .select(SCHEMA.names())
        )

    def _kept_at(self, read: FittedDelivery) -> str | None:
        return locate_kept_file(self.raw, read.source) if read.delivery.is_cut else None


def locate_kept_file(raw: RawTable, source: str) -> str:
    """Where in the lake a file is kept that does not fit into a dead letter."""
    return f"quarantine/_files/{raw.landing}/{source}"


def _dead_letters(delivery: Delivery) -> str:
    """The dead letters of a file of which other records landed, in words."""
    first = (
        pl.scan_parquet(str(delivery.dead), hive_partitioning=False)
        .sort("_offset")
        .select("place", "reason")
        .first()
    )
    [(place, reason)] = first.collect().rows()
    letters = f"{delivery.dead_count:,} dead letter{'s' if delivery.dead_count > 1 else ''}"
    return f"{letters}, the first at {place}: {reason}"
