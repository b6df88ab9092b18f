"""The rows that new events are merged with: stored rows, and all events of late keys.

Belongs here: which keys are touched, and for which of them the stored rows are not enough.
Does not belong here: merging (`merge_part.py`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from lakehouse.expressions import has_key
from lakehouse.system_columns import LAST
from lakehouse.tables.table_types import DerivedTable
from lakehouse.transform.keyed.apply_events import EventSemantics, is_after
from lakehouse.transform.keyed.event_files import EventFiles, write_rows
from lakehouse.transform.keyed.tombstones import Watermark

NEW, OLDER, STORED, BROKE = "new", "older", "stored", "broke"
"""The frames: new events, all events of late keys, stored rows, events that broke the contract."""


@dataclass(frozen=True)
class KeyRows:
    """The rows with which the new events of a table are merged.

    Attributes:
        table: the table.
        semantics: how its events are applied.
        events: the new events.
        stored: the rows of the table, tombstones among them; None when it is made from all events.
        watermark: the moment behind which tombstones are removed; None when all are kept.
        folder: where rows are written that are read several times.
    """

    table: DerivedTable
    semantics: EventSemantics
    events: EventFiles
    stored: pl.LazyFrame | None
    watermark: Watermark | None
    folder: Path

    def collect_frames(
        self, read_all_events: Callable[[], pl.LazyFrame]
    ) -> Mapping[str, pl.LazyFrame]:
        """Returns the frames that are merged, by name.

        Args:
            read_all_events: returns every event of the inputs, old and new; called only when a key
                has a late event.
        """
        frames = {
            NEW: self.events.valid,
            OLDER: self.events.valid.clear(),
            STORED: pl.LazyFrame(schema=self.table.stored_schema),
        }
        if self.semantics.is_dumped:
            named = [*self.semantics.key, self.semantics.moment]
            frames[BROKE] = self.events.broke.select(named).drop_nulls()
        if self.stored is None:
            return frames
        # The stored rows are read again by the search for late keys and by the merge.
        frames[STORED] = write_rows(self._touched_rows(self.stored), self.folder / "stored.parquet")
        late = self._late_keys(frames[STORED])
        if not late.is_empty():
            older = read_all_events().filter(has_key(late))
            frames[OLDER] = write_rows(older, self.folder / "older.parquet")
        return frames

    def _touched_rows(self, stored: pl.LazyFrame) -> pl.LazyFrame:
        """Returns the stored rows of the keys of new events, and tombstones to remove."""
        if self.semantics.is_dumped:
            return stored  # a dump is about all keys
        # A filter rather than a join: a row that a join keeps holds on to the texts of all rows
        # read with it, and the memory of an increment grew with the table.
        is_touched = has_key(distinct_keys(self.events.valid, self.semantics))
        if self.watermark is not None:
            is_touched = is_touched | self.watermark.is_old_tombstone
        return stored.filter(is_touched)

    def _late_keys(self, touched: pl.LazyFrame) -> pl.DataFrame:
        """Returns the keys whose stored rows are not enough to apply their new events.

        Nothing was seen of a key without a stored row, or its tombstone was removed; only all of
        its events can tell.
        """
        # Each dump holds all keys, so a table of full dumps is never short of events: a late dump
        # is found out before, and the table is rebuilt.
        key, new = list(self.semantics.key), self.events.valid
        late = [new.select(key).clear()]
        if self.semantics.needs_all_events and not self.semantics.is_dumped:
            seen = touched.filter(self.semantics.is_latest).select(*key, LAST)
            is_late = ~is_after(self.semantics.instant, pl.col(LAST))
            late.append(new.join(seen, on=key).filter(is_late).select(key))
        if self.watermark is not None and not self.semantics.is_dumped:
            is_unknown = new.filter(self.watermark.is_behind).join(touched, on=key, how="anti")
            late.append(is_unknown.select(key))
        return distinct_keys(pl.concat(late), self.semantics)


def distinct_keys(rows: pl.LazyFrame, semantics: EventSemantics) -> pl.DataFrame:
    """Returns the keys of some rows, one row each."""
    return rows.select(semantics.key).unique().collect(engine="streaming")
