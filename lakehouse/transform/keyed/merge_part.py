"""Merges new events into the stored rows of some keys, in memory, and counts their fates."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import polars as pl

from lakehouse.lineage import dated_changes
from lakehouse.lineage.content_hash import compare_days
from lakehouse.system_columns import DELETED, LAST, LINEAGE, VALID, hide_tombstones
from lakehouse.tables.contract import to_polars_schema
from lakehouse.tables.table_types import DerivedTable
from lakehouse.transform.keyed.apply_events import EventSemantics, apply_events, count_conflicts
from lakehouse.transform.keyed.full_dumps import find_deletes
from lakehouse.transform.keyed.key_rows import BROKE, NEW, OLDER, STORED
from lakehouse.transform.keyed.tombstones import Watermark


@dataclass(frozen=True)
class PartCounts:
    """The fates of the events of some keys.

    Attributes:
        rows: rows of these keys now, tombstones among them.
        written: new events that gave one of these rows.
        conflicts: events that differ from a later one of the same key and instant.
        removed_tombstones: tombstones that were removed.
        keys: the keys, one row each; None when the whole table is made.
        days: the days of the rows of these keys that were added, changed or removed; None where
            readers do not read the table by day.
        changed: the spans in which a key has other values than before, by the column by which
            readers date the rows.
    """

    rows: int
    written: int
    conflicts: int
    removed_tombstones: int
    keys: pl.DataFrame | None = None
    days: pl.Series | None = None
    changed: Mapping[str, pl.DataFrame] = field(default_factory=dict)


@dataclass(frozen=True)
class PartMerger:
    """A merge of events that takes some keys at a time.

    Attributes:
        table: the table.
        semantics: how its events are applied.
        dumps: the full dumps among the events and the one before them; None where events are no
            dumps.
        watermark: the moment behind which tombstones are removed; None when all are kept.
        is_increment: whether new events are merged into stored rows; otherwise all events give a
            new table.
        dated_columns: the columns by which readers date the rows, for which an increment notes what
            changed.
    """

    table: DerivedTable
    semantics: EventSemantics
    dumps: pl.DataFrame | None
    watermark: Watermark | None
    is_increment: bool
    dated_columns: tuple[str, ...] = ()

    def merge(self, part: Mapping[str, pl.DataFrame]) -> tuple[pl.DataFrame, PartCounts]:
        """Returns the rows of some keys, in the columns of the table, and the fates of the events.

        Args:
            part: the frames of `KeyRows.collect_frames`, cut to these keys.
        """
        key, new, older, stored = list(self.semantics.key), part[NEW], part[OLDER], part[STORED]
        # All events of a late key are among the older ones: its new events and stored rows are out.
        frames = [older, *(rows.join(older, on=key, how="anti") for rows in (new, stored))]
        events = [self._as_events(frame) for frame in frames]
        if self.dumps is not None and self.dumps.height:
            # A key that a dump lacks is deleted at the moment of that dump, like by an event.
            events.append(self._as_events(self._deletes(part, self.dumps)))
        together = pl.concat(events)
        applied = apply_events(together, self.semantics).select(self.table.stored_schema.names())
        # Old tombstones are removed on both sides, or each removal would look like a change.
        rows, kept = self._without_old_tombstones(applied), self._without_old_tombstones(stored)
        counts = PartCounts(
            rows=rows.height,
            # By origin: a stored row that no new event changed was counted when it came.
            written=rows.join(new, on=[*key, *LINEAGE], how="semi").height,
            conflicts=count_conflicts(together, self.semantics),
            removed_tombstones=stored.height - kept.height,
        )
        if self.is_increment:
            keys = pl.concat([new.select(key), stored.select(key)]).unique()
            days = self._find_touched_days(kept, rows)
            counts = replace(counts, keys=keys, days=days, changed=self._changes(kept, rows))
        return rows, counts

    def _without_old_tombstones(self, rows: pl.DataFrame) -> pl.DataFrame:
        return rows if self.watermark is None else rows.filter(~self.watermark.is_old_tombstone)

    def _as_events(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Returns rows as events: with every column that an event has, null where they lack it."""
        schema = dict(self.table.event_schema)
        if self.semantics.needs_all_events:
            schema[LAST] = self.table.stored_schema[LAST]
        missing = [
            pl.lit(None, dtype).alias(name)
            for name, dtype in schema.items()
            if name not in rows.columns
        ]
        events = rows.with_columns(missing).select(list(schema))
        return events.with_columns(pl.col(DELETED).fill_null(False))

    def _deletes(self, part: Mapping[str, pl.DataFrame], dumps: pl.DataFrame) -> pl.DataFrame:
        """Returns the deletes of keys that a dump lacks, even among its rejected rows."""
        # Every key that is visible now was in the last dump, whatever its own newest event is.
        moment = self.semantics.moment
        last = pl.lit(dumps[moment][0], dumps.schema[moment]).alias(moment)
        before = part[STORED].filter(self.semantics.is_visible).with_columns(last)
        named = [*self.semantics.key, moment]
        present = pl.concat([rows.select(named) for rows in (part[NEW], part[BROKE], before)])
        return find_deletes(present, dumps, self.semantics.key, moment)

    def _find_touched_days(self, before: pl.DataFrame, after: pl.DataFrame) -> pl.Series | None:
        """Returns the days of the rows that a reader sees on one side only; None without days."""
        column = self.table.properties.date_column
        if column is None:
            return None
        old, new = (hide_tombstones(rows.lazy()) for rows in (before, after))
        return compare_days(self.table, old, new, column).collect().to_series()

    def _changes(self, before: pl.DataFrame, after: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """Returns the spans in which changed rows are valid, for readers that read by date."""
        # A history is read by date through `valid_from` alone.
        semantics = self.semantics
        old, new = (self._as_events(rows).lazy() for rows in (before, after))
        if semantics.mode == "history":
            spans = dated_changes.compare_versions(
                old, new, semantics.moment, semantics.key, semantics.values
            )
            return {column: spans.collect() for column in self.dated_columns if column == VALID[0]}
        names = [*to_polars_schema(self.table.contract), DELETED]
        old, new = old.select(names), new.select(names)
        return {
            column: dated_changes.compare_rows(
                old, new, old.clear(), column, semantics.key
            ).collect()
            for column in self.dated_columns
        }
