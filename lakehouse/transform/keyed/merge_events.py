"""Merges new events into a table with keys, or all events into a new one, part by part.

Belongs here: the order of the steps, from opened inputs to the rows to publish and their account.
Does not belong here: the order of events (`apply_events.py`), which rows are new (`new_rows.py`),
publishing (`make_keyed.py`).
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import polars as pl

from lakehouse.calendar import Days, join_days
from lakehouse.lineage import dated_changes
from lakehouse.lineage.key_changes import find_affected_days
from lakehouse.publish.audit import Audit
from lakehouse.quarantine.states import OPEN, fill_states, is_in
from lakehouse.storage.lake import Lake, scan_visible_rows
from lakehouse.storage.parquet import scan_parquet_files
from lakehouse.system_columns import EVENT, LINEAGE
from lakehouse.tables.catalog import Catalog
from lakehouse.transform.inputs import InputFrames, open_inputs
from lakehouse.transform.keyed.apply_events import EventSemantics
from lakehouse.transform.keyed.event_files import EventFiles, unnest_events, write_events
from lakehouse.transform.keyed.full_dumps import list_dumps
from lakehouse.transform.keyed.key_rows import KeyRows
from lakehouse.transform.keyed.merge_part import PartCounts, PartMerger
from lakehouse.transform.keyed.tombstones import Watermark
from lakehouse.transform.lazy_pass import judge_rows
from lakehouse.transform.plan import MakePlan
from lakehouse.transform.spill import split_by_key
from lakehouse.transform.superseded_rejects import (
    find_corrected,
    find_superseded,
    list_rewritten,
    select_keyless,
)


@dataclass(frozen=True)
class MergedTable:
    """The outcome of a merge of events into a table.

    Attributes:
        rows: the rows of the touched keys now, in the columns of the table, tombstones among them.
        height: the number of these rows.
        keys: the touched keys, one row each; None when the whole table is made from all events.
        rejected: the rows that broke the contract.
        superseded: origins of rows that break the contract and are not rejected, because a newer
            row has superseded them; those that were rejected before among them.
        audit: the account of the rows that were read.
    """

    rows: pl.LazyFrame
    height: int
    keys: pl.DataFrame | None
    rejected: pl.LazyFrame
    superseded: pl.DataFrame
    audit: Audit


@dataclass(frozen=True)
class EventMerger:
    """A merge of new events into the stored rows of a table, or of all events into a new table.

    Attributes:
        lake: where the tables are.
        catalog: the declared tables.
        plan: what is made.
        folder: an empty folder for what does not fit in memory.
        stored: the rows of the table, tombstones among them; None to make it from all events.
    """

    lake: Lake
    catalog: Catalog
    plan: MakePlan
    folder: Path
    stored: pl.LazyFrame | None = None

    def merge(self, opened: InputFrames) -> MergedTable | None:
        """Merges the events of some inputs.

        Returns:
            None when the stored rows are not enough, because a full dump arrived late.

        Raises:
            RefusedCommitError: too many rows broke the contract.
            DataError: a full dump is too small to be believed.
            LawError: a row is unaccounted for.
        """
        # `publish` adds its own time to the seconds that the audit has by then.
        started = time.monotonic()
        table = self.plan.keyed_table
        semantics = EventSemantics.of(table)
        events = write_events(
            self.lake, self.plan, opened, self.folder, self.stored, self._read_all_events
        )
        dumps = None
        if table.full_dumps is not None:
            dumps = list_dumps(table, events.valid, events.broke, self.stored)
            # Deletes follow from a dump and its next one, so that a dump in between changes both.
            if not dumps["is_next"].all():
                return None
        watermark = None
        if table.tombstone_retention is not None:
            # The latest event of all is always stored, so the stored rows alone give the watermark.
            seen = events.valid if self.stored is None else self.stored
            watermark = Watermark.of(seen, semantics.moment, table.tombstone_retention)
        rows = KeyRows(table, semantics, events, self.stored, watermark, self.folder)
        merger = PartMerger(
            table,
            semantics,
            dumps,
            watermark,
            is_increment=self.stored is not None,
            dated_columns=tuple(dated_changes.list_date_columns(self.catalog, table)),
        )
        counts = self._merge_parts(merger, rows.collect_frames(self._read_all_events))
        return MergedTable(
            rows=scan_parquet_files(sorted(self.folder.glob("merged-*.parquet"))),
            height=sum(one.rows for one in counts),
            keys=None
            if self.stored is None
            else pl.concat([one.keys for one in counts if one.keys is not None]),
            rejected=events.rejected,
            superseded=self._find_superseded(events),
            audit=self._account(events.audit, counts, started),
        )

    def _find_superseded(self, events: EventFiles) -> pl.DataFrame:
        """Returns the origins of superseded rows: of new ones, and of those in quarantine."""
        base, table = self.plan.quarantine_base, self.plan.keyed_table
        found = events.superseded.select(LINEAGE)
        # Where all events are judged, rejected rows are among them.
        if self.stored is None or base is None:
            return found
        rows = fill_states(scan_visible_rows(self.lake.open_revision(table.quarantine, base)))
        if EVENT not in rows.collect_schema():
            return found
        versions = EventSemantics.of(table).versions
        keys = events.valid.select(versions.key).unique()
        # Few, for only those of touched keys are read whole.
        waiting = unnest_events(rows.filter(is_in(OPEN)))
        touched = waiting.join(keys, on=list(versions.key), how="semi").collect(engine="streaming")
        settled = find_superseded(versions, touched, [events.valid, self.stored])
        corrected = self._find_corrected(waiting, events)
        return pl.concat([found, settled.select(LINEAGE), corrected.select(LINEAGE)])

    def _find_corrected(self, waiting: pl.LazyFrame, events: EventFiles) -> pl.DataFrame:
        """Returns the rows in quarantine without a readable key whose file new events correct."""
        semantics = EventSemantics.of(self.plan.keyed_table)
        keyless = select_keyless(semantics.versions.key, waiting).collect(engine="streaming")
        names = list_rewritten(keyless, events.valid)
        if names.is_empty():
            return keyless.clear()
        return find_corrected(keyless, self._read_all_events(), names, semantics.columns)

    def _read_all_events(self) -> pl.LazyFrame:
        """Returns every event of the inputs, judged."""
        # At the pinned revisions, so late keys get no event that the audit does not count.
        opened = open_inputs(self.lake, self.plan.inputs, self.plan.scope)
        return judge_rows(self.lake, self.plan, opened, self.folder).valid

    def _merge_parts(
        self, merger: PartMerger, frames: Mapping[str, pl.LazyFrame]
    ) -> list[PartCounts]:
        """Merges a part of the keys at a time, and writes their rows to files."""
        # All frames are divided alike, older events among them: those of very many late keys were
        # once in memory together.
        limits, counts = self.plan.limits, []
        parts = split_by_key(
            self.folder / "parts",
            merger.semantics.key,
            frames,
            limits.keyed_rows,
            limits.open_files,
        )
        for number, part in enumerate(parts):
            # Rows go to disk at once; only counts, keys and spans stay in memory.
            rows, of_part = merger.merge(part)
            rows.write_parquet(self.folder / f"merged-{number}.parquet", compression="lz4")
            counts.append(of_part)
        return counts

    def _account(self, audit: Audit, counts: Sequence[PartCounts], started: float) -> Audit:
        """Returns the account of the rows that were read, with what the merge made of them.

        An event that the contract let pass and that gave no row is superseded by a later one.
        """
        table, written = self.plan.keyed_table, sum(one.written for one in counts)
        columns = sorted({column for one in counts for column in one.changed})
        spans = {column: pl.concat([one.changed[column] for one in counts]) for column in columns}
        removed = sum(one.removed_tombstones for one in counts)
        notes = [f"tombstones removed: {removed:,}"] if removed else []
        return replace(
            audit,
            mode="replace" if self.stored is None else table.mode,
            written=written,
            superseded=audit.superseded + audit.written - written,
            conflicting_events=sum(one.conflicts for one in counts),
            notes=(*audit.notes, *notes),
            touched=_join_touched_days(counts),
            changed={column: dated_changes.join_spans(days) for column, days in spans.items()},
            affected=find_affected_days(
                self.lake, self.catalog, table, spans, self.plan.request.now
            ),
            seconds=time.monotonic() - started,
        )


def _join_touched_days(counts: Sequence[PartCounts]) -> tuple[Days, ...] | None:
    """Returns the days of the rows that changed, neighbours joined; None where nobody knows."""
    days = [one.days for one in counts if one.days is not None]
    # Without parts there are no keys, and nothing was touched.
    if len(days) < len(counts):
        return None
    return tuple(join_days(set[date]().union(*(part.to_list() for part in days))))
