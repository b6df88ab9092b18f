"""A batch: what some deliveries bring to one raw table, frozen and ready to be published.

Belongs here: the value that every source gives. Does not belong here: how a batch is put together
(`batch_builder.py`) and how it is committed (`publish_batch.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import uuid4

import polars as pl

from lakehouse.ingest.delivery_register import FileOutcome
from lakehouse.origin import Origin
from lakehouse.storage.revision import Revision
from lakehouse.system_columns import ORIGIN
from lakehouse.tables.table_types import RawTable


@dataclass(frozen=True)
class BatchStamp:
    """The name of a batch and the moment at which it began; every row of the batch carries both.

    Attributes:
        id: the name, unique in the lake.
        started_at: when it began, UTC.
    """

    id: str
    started_at: datetime

    @classmethod
    def create(cls) -> "BatchStamp":
        """Returns a new stamp for a batch that begins now."""
        now = datetime.now(UTC)
        # Sorts by time; the random digits tell batches of the same second apart.
        return cls(f"{now:%Y%m%dT%H%M%S}-{uuid4().hex[:8]}", now)

    def columns(self) -> list[pl.Expr]:
        """Returns `_batch_id` and `_ingested_at`."""
        return [
            pl.lit(self.id).alias("_batch_id"),
            pl.lit(self.started_at, dtype=ORIGIN["_ingested_at"]).alias("_ingested_at"),
        ]


@dataclass(frozen=True)
class StoredLetters:
    """The dead letters of a raw table that a lake holds before a batch.

    Attributes:
        revision: the revision of the dead letters at which they were counted, or an earlier one;
            None when there is no table.
        count: how many there are.
        uncounted: those of them that no audit has counted, because an attempt was killed after it
            wrote them.
    """

    revision: Revision | None
    count: int
    uncounted: int


@dataclass(frozen=True)
class Batch:
    """What some deliveries bring to one raw table.

    Attributes:
        raw: the table.
        base: the revision of the table that was read before the deliveries; None when there is no
            table.
        stamp: name and moment of the batch.
        has_new_deliveries: whether any delivery is new, even if it has no row.
        rows: the new rows in all columns of the table, with their origin.
        row_count: how many rows.
        file_of_row: gives the number of the data file for a row, as `_file`; None puts all rows
            into one.
        retyped: columns of the table that become wider, with their new types.
        private: columns that may hold anything, so that the log holds no bounds of them.
        corrections: for a `_source` in the table, what `_source` and `_modified_at` become in its
            rows: the same bytes were delivered earlier under another name.
        dead_letters: the dead letters that the lake does not hold yet.
        dead_count: how many dead letters.
        lost_letters: dead letters of landed files that the lake has lost; None when there are none.
        stored_letters: the dead letters that the lake holds.
        outcomes: what became of each file that the register does not know yet.
        repeated: the origin of the same bytes, for each file that repeats them, by its name.
        refused: the reason for each file that could not be read, by its name.
        empty: why a sound file holds no record, by its name.
        changed: files that were written to while they were read; the next run reads them.
        notes: what a person should know of these deliveries.
        assumed: how they were read, where they do not say so themselves.
    """

    raw: RawTable
    base: Revision | None
    stamp: BatchStamp
    has_new_deliveries: bool
    rows: pl.LazyFrame
    row_count: int
    file_of_row: pl.Expr | None
    retyped: Mapping[str, pl.DataType]
    private: frozenset[str]
    corrections: Mapping[str, Mapping[str, object]]
    dead_letters: pl.LazyFrame
    dead_count: int
    lost_letters: pl.LazyFrame | None
    stored_letters: StoredLetters
    outcomes: tuple[FileOutcome, ...]
    repeated: Mapping[str, Origin] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    empty: Mapping[str, str] = field(default_factory=dict)
    changed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    assumed: Mapping[str, str] = field(default_factory=dict)

    @property
    def dead(self) -> int:
        """Dead letters that no audit has counted, those of an attempt that was killed included."""
        # Each letter is in exactly one audit of its raw table, so the sum over the log is right.
        return self.dead_count + self.stored_letters.uncounted

    @property
    def records(self) -> int:
        """Records that no audit has counted; a file that cannot be read counts as one."""
        return self.row_count + self.dead

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to commit to the raw table."""
        # A corrected origin is a commit without a new row: it may change which version of a key is
        # the latest, so readers have to see it.
        return not (self.has_new_deliveries or self.corrections or self.dead)
