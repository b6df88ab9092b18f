"""Keyed tables: they apply the change events of a raw table to the keys of a contract."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import polars as pl

from lakehouse.system_columns import DELETED, LAST, LINEAGE, ORIGIN, VALID
from lakehouse.tables.contract import to_polars_schema
from lakehouse.tables.stable_text import describe_expression
from lakehouse.tables.table_types import DerivedTable

Mode = Literal["upsert", "history"]
"""What a keyed table keeps of each key: the latest version, or all versions (SCD type 1 or 2)."""


@dataclass(frozen=True)
class FullDumps:
    """Deliveries that each hold all rows of the source at one moment, their first `sequence`.

    A key that is missing from a later dump was deleted at the source.

    Attributes:
        may_shrink: the largest share of its rows by which a dump may be smaller than the previous
            one.
        accepted: the moments, as text, of dumps that are even smaller and still right.
        emptied: the moments, as text, at which the source was empty. Any other dump without records
            deletes nothing.
        refused: the moments, as text, of dumps that are wrong for good: their rows change nothing,
            and the next dump is compared with the one before.
    """

    # A dump that was cut off would delete every key after the cut.
    may_shrink: float = 0.1
    accepted: tuple[str, ...] = ()
    # An empty file never becomes rows whose number could be compared, so it is declared apart.
    emptied: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class KeyedTable(DerivedTable):
    """A table that applies the change events of a raw table to the keys of its contract.

    New raw rows are applied alone where that gives the same content as all of them.

    Attributes:
        mode: `upsert` keeps the latest version of each key, `history` all versions with the time
            each was valid.
        deletes: true for a row of the transform that deletes its key. Such a row needs no more than
            key and sequence.
        partial: whether null in an event keeps the previous value.
        full_dumps: set where deliveries are full dumps.
        tombstone_retention: how far a tombstone of an `upsert` may lie behind the latest event
            before it is dropped, measured in the first `sequence` column.
    """

    mode: Mode
    deletes: pl.Expr | None = None
    partial: bool = False
    full_dumps: FullDumps | None = None
    tombstone_retention: timedelta | int | None = None

    @property
    def keeps_history(self) -> bool:
        """Whether every version of a key is kept."""
        return self.mode == "history"

    @property
    def schema(self) -> pl.Schema:
        """The columns that a reader sees; a history tells when each version was valid."""
        declared = to_polars_schema(self.contract)
        lineage = {name: ORIGIN[name] for name in LINEAGE}
        if not self.keeps_history or not self.properties.sequence:
            return pl.Schema({**declared, **lineage})
        moment = declared[self.properties.sequence[0]]
        valid = dict(zip(VALID, (moment, moment, pl.Boolean()), strict=True))
        return pl.Schema({**declared, **valid, **lineage})

    @property
    def event_schema(self) -> pl.Schema:
        """The columns of an event: the contract's, its origin, and whether it deletes its key."""
        # `_modified_at` decides between events of one key and sequence: the later delivery counts.
        origin = {name: ORIGIN[name] for name in (*LINEAGE, "_modified_at")}
        return pl.Schema({**to_polars_schema(self.contract), **origin, DELETED: pl.Boolean()})

    @property
    def stored_schema(self) -> pl.Schema:
        """The columns that the table stores, with those that later events are compared to."""
        # `_last` shows which new events are late. In these modes the stored rows of a key are then
        # not enough, and all of its events are read.
        sequence, declared = self.properties.sequence, to_polars_schema(self.contract)
        engine: dict[str, pl.DataType] = {"_modified_at": ORIGIN["_modified_at"]}
        if self.deletes is not None or self.full_dumps is not None:
            engine[DELETED] = pl.Boolean()
        if self.keeps_history or self.partial or self.full_dumps is not None:
            seen = sequence[:1] if self.keeps_history else sequence
            engine[LAST] = pl.Struct({name: declared[name] for name in seen})
        return pl.Schema({**self.schema, **engine})

    @property
    def row_key(self) -> tuple[str, ...]:
        """The columns that name a row; in a history also when its version began."""
        began = (VALID[0],) if self.keeps_history else ()
        return (*self.properties.key, *began)

    def _describe_declaration(self) -> tuple[object, ...]:
        deletes = None if self.deletes is None else describe_expression(self.deletes)
        inherited = super()._describe_declaration()
        declared = (self.mode, deletes, self.partial, self.full_dumps, self.tombstone_retention)
        return (*inherited, *declared)
