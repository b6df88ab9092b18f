"""From the events of a key to what stands of it: the latest version, or all versions with the time in which each held.

Belongs here: the order of events, ties, partial updates, deletes, and what the next event has to know. Pure functions.
Does not belong here: which events there are (`keyed.py`), and storing anything.

What stands of a key is always what folding all of its events gives. Where events only follow what stands, the same is
had from less: the rows that stand are events themselves, and so `fold(standing rows + new events) = fold(all events)`.
An event that does not follow, because it is late or equal in time, needs all events of its key.
"""

from dataclasses import dataclass

import polars as pl

from lakehouse.expressions import differs_from_next, differs_from_previous
from lakehouse.system_columns import DELETED, LAST, LINEAGE, VALID
from lakehouse.tables.contract import to_polars_schema
from lakehouse.tables.table_types import DerivedTable, Mode

_TIE_BREAK = ("_modified_at", *LINEAGE)


@dataclass(frozen=True)
class EventSemantics:
    """How the events of a table are folded.

    Attributes:
        mode: `upsert` keeps the latest version of a key, `history` all of them.
        key: columns that name what the events are about.
        sequence: columns that order them; the delivery's time and the origin decide between equals.
        values: the other columns.
        is_partial: whether null in an event keeps the value from before.
        is_dumped: whether events come as full dumps.
        is_unpacked: whether a record may hold several events.
    """

    mode: Mode
    key: tuple[str, ...]
    sequence: tuple[str, ...]
    values: tuple[str, ...]
    is_partial: bool = False
    is_dumped: bool = False
    is_unpacked: bool = False

    @classmethod
    def of(cls, table: DerivedTable) -> "EventSemantics":
        """The shape of a table with keys."""
        known = table.properties
        values = (
            name
            for name in to_polars_schema(table.contract)
            if name not in {*known.key, *known.sequence}
        )
        kind = (table.partial, table.full_dumps is not None, table.explode is not None)
        return cls(table.mode, known.key, known.sequence, tuple(values), *kind)

    @property
    def order(self) -> tuple[str, ...]:
        """The columns that order the events of a key, totally: a record that holds several is no order by itself."""
        return (*self.sequence, *_TIE_BREAK, *((DELETED, *self.values) if self.is_unpacked else ()))

    @property
    def needs_all(self) -> bool:
        """Whether an event that does not follow needs all events of its key; the latest of all needs only itself."""
        return self.mode == "history" or self.is_partial or self.is_dumped

    @property
    def instant(self) -> tuple[str, ...]:
        """The columns that two events of one key have to share to be a tie: of a history only the time counts."""
        return self.sequence[:1] if self.mode == "history" else self.sequence


def apply_events(events: pl.DataFrame, shape: EventSemantics) -> pl.DataFrame:
    """What stands of each key after all of its events.

    Args:
        events: one row for each event: key, sequence and values, `_source`, `_offset`, `_modified_at`, `_deleted`;
            where the shape needs all also `_last`, null in events that are new.
        shape: how they are folded.

    Returns:
        One row for each key (`upsert`) or version (`history`, with `valid_from`, `valid_to`, `is_current`), tombstones
        among them with `_deleted`. `_last` is the sequence of the newest event of the key that was seen.
    """
    said = pl.when(~pl.col(DELETED)).then(pl.col(shape.values)) if shape.values else ()
    rows = events.lazy().with_columns(said).sort(*shape.key, *shape.order)
    if shape.needs_all:
        rows = rows.with_columns(_newest(shape))
    rows = _filled(rows, shape) if shape.is_partial else rows
    if shape.mode == "upsert":
        return rows.filter(differs_from_next(shape.key)).collect()
    return _versions(rows.filter(differs_from_next((*shape.key, *shape.instant))), shape).collect()


def count_conflicts(events: pl.DataFrame, shape: EventSemantics) -> int:
    """How many events say something else than a later one of the same key and time, which is taken for the truth."""
    said = [DELETED, *shape.values]
    sayings = pl.struct(said).n_unique() - 1
    groups = events.lazy().group_by(*shape.key, *shape.instant).agg(sayings)
    return int(groups.select(pl.col(DELETED).sum()).collect().item() or 0)


def is_after(first: tuple[str, ...], before: pl.Expr) -> pl.Expr:
    """Whether an event comes truly after what was seen of its key.

    Args:
        first: the columns of the event that order it.
        before: the `_last` of its key.
    """
    later, equal = pl.lit(False), pl.lit(True)
    for name in first:
        seen = before.struct.field(name)
        later = later | (equal & (pl.col(name) > seen))
        equal = equal & (pl.col(name) == seen)
    return later


def _newest(shape: EventSemantics) -> pl.Expr:
    """The order of the newest event of a key, of sorted rows; what was seen before may be newer than what stands."""
    last = pl.when(differs_from_next(shape.key)).then(pl.int_range(pl.len())).backward_fill()
    return pl.coalesce(pl.col(LAST), pl.struct(shape.instant)).gather(last).alias(LAST)


def _filled(rows: pl.LazyFrame, shape: EventSemantics) -> pl.LazyFrame:
    """Sorted rows with the values from before where an event has none; a delete forgets them."""
    number = pl.int_range(pl.len())
    begins = pl.when(differs_from_previous(shape.key) | pl.col(DELETED)).then(number).forward_fill()
    filled = [
        pl.when(pl.when(pl.col(name).is_not_null()).then(number).forward_fill() >= begins)
        .then(pl.col(name).forward_fill())
        .alias(name)
        for name in shape.values
    ]
    return rows.with_columns(filled)


def _versions(rows: pl.LazyFrame, shape: EventSemantics) -> pl.LazyFrame:
    """Of sorted rows those that change something, each with the time in which it held."""
    begins, ends, is_current = VALID
    since = pl.col(shape.sequence[0])
    changed = rows.filter(differs_from_previous((*shape.key, DELETED, *shape.values)))
    until = pl.when(~differs_from_next(shape.key)).then(since.shift(-1))
    changed = changed.with_columns(since.alias(begins), until.alias(ends))
    return changed.with_columns((pl.col(ends).is_null() & ~pl.col(DELETED)).alias(is_current))
