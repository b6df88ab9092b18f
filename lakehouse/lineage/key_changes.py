"""The days that changed keys affect: those on which a reader's first input has a row of such a key.

Belongs here: the days that an update of a table with keys notes for the readers that look keys up,
and the days that have to be added since.
Does not belong here: when a key has other values (`dated_changes.py`), what is stale
(`staleness.py`).

A key may be a person, so commits name days and no keys. Rows of the first input that came after the
days were noted are found in its log: a reader may have seen them before the change.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from itertools import chain

import polars as pl
from deltalake import DeltaTable

from lakehouse.calendar import Days
from lakehouse.expressions import has_key
from lakehouse.lineage.commit_history import list_undone_commits, read_audit
from lakehouse.lineage.dated_changes import (
    ALWAYS,
    FIRST,
    UNTIL,
    DatedInput,
    count_slack_days,
    join_spans,
    round_to_days,
)
from lakehouse.lineage.touched_days import find_touched_days
from lakehouse.publish.changes import AffectedDays
from lakehouse.storage.lake import Lake
from lakehouse.storage.log import Commit
from lakehouse.storage.revision import Revision, log_position, read_revision
from lakehouse.system_columns import WINDOW
from lakehouse.tables.catalog import Catalog
from lakehouse.tables.day_filter import find_day_filter
from lakehouse.tables.reading import scan_declared
from lakehouse.tables.table_types import AsOf, DerivedTable, RawTable, Table, list_series_columns

# The join of days and spans is held in memory, a part of the spans at a time.
_SPANS_AT_ONCE = 1_048_576
_DAY = pl.duration(days=1)


def find_affected_days(
    lake: Lake,
    catalog: Catalog,
    table: DerivedTable,
    changed: Mapping[str, pl.DataFrame],
    now: datetime,
) -> dict[str, AffectedDays]:
    """Returns the affected days of each reader that looks up keys of a table, by reader.

    Args:
        lake: where the tables are.
        catalog: all of them.
        table: the table whose keys changed.
        changed: from when until when each key has other values, by the column that dates the rows.
        now: the instant of the run; readers have days until then.
    """
    found: dict[str, AffectedDays] = {}
    for reader, as_of in _list_lookups(catalog, table):
        if as_of.column in changed and reader.partitions:
            key = list_series_columns(table, as_of.column)
            slack = count_slack_days(table, as_of.column, reader.partitions)
            spans = round_to_days(changed[as_of.column], slack)
            spans = spans.rename(dict(zip(key, as_of.names, strict=True)))
            first, known = find_first_input(catalog, reader), reader.partitions.days_until(now)
            # A reader that is left out here is rebuilt on all days of the spans: that is never
            # wrong. Of one late line of the real year one day mattered, and 232 were made.
            affected = _find_affected(lake, first, known, as_of.names, spans)
            if affected is not None:
                found[reader.name] = affected
    return found


def _list_lookups(catalog: Catalog, source: DerivedTable) -> Iterator[tuple[DerivedTable, AsOf]]:
    """Yields the tables with periods that look up keys of a table, and how they do."""
    for reader in catalog.derived_tables:
        for parameter, name in catalog.find_inputs(reader).items():
            as_of = reader.as_of.get(parameter)
            if name == source.name and reader.partitions and as_of is not None and as_of.names:
                yield reader, as_of


def find_first_input(catalog: Catalog, reader: DerivedTable) -> Table:
    """Returns the first input of a table."""
    return catalog[catalog.find_inputs(reader)[reader.parameters[0]]]


def _find_affected(
    lake: Lake, first: Table, known: Days, by: tuple[str, ...], spans: pl.DataFrame
) -> AffectedDays | None:
    """Returns the days for one reader; None where the first input cannot be read."""
    handle = lake.open_shared(first.name)
    # Without a revision: all that comes into the input later came after the note.
    if handle is None:
        return AffectedDays(by, ())
    try:
        parts = [
            _find_days(handle, first, known, by, part) for part in spans.iter_slices(_SPANS_AT_ONCE)
        ]
    except (OSError, pl.exceptions.PolarsError):
        return None  # vacuum has removed files, or their columns are others than now
    days = join_spans(pl.concat(parts)) if parts else ()
    return AffectedDays(by, days, read_revision(handle))


def _find_days(
    handle: DeltaTable, first: Table, known: Days, by: tuple[str, ...], spans: pl.DataFrame
) -> pl.DataFrame:
    """Returns the days on which a row of a table has a key within a span of that key.

    Each is a span of one day. Files without a day of any span are not read.
    """
    bounds = spans.select(pl.col(FIRST).min(), pl.col(UNTIL).fill_null(date.max).max())
    cut = find_day_filter(first, 0, Days(*bounds.row(0)), known, first=True)
    assert cut is not None  # noqa: S101
    rows = scan_declared(handle, first).filter(cut.rows, has_key(spans.select(by).unique()))
    seen = rows.select(*by, cut.window.alias(WINDOW)).join(spans.lazy(), on=by)
    is_before_end = pl.col(UNTIL).is_null() | (pl.col(WINDOW) < pl.col(UNTIL))
    inside = seen.filter((pl.col(WINDOW) >= pl.col(FIRST)) & is_before_end)
    days = inside.select(pl.col(WINDOW).alias(FIRST)).unique()
    return days.with_columns((pl.col(FIRST) + _DAY).alias(UNTIL)).collect(engine="streaming")


@dataclass(frozen=True)
class LookedUpInput:
    """A dated input whose rows are looked up by key.

    Attributes:
        dated: the input.
        reader: the table that looks it up.
        by: the columns of the reader's first input by which it does.
        first: that first input.
        known: the days that the reader has.
        commits: the commits of the dated input that are asked about.
    """

    dated: DatedInput
    reader: DerivedTable
    by: tuple[str, ...]
    first: Table
    known: Days
    commits: Sequence[Commit]

    def find_changed_days(self, commit: Commit) -> tuple[Days, ...]:
        """Returns the days of the reader that see what a commit changed.

        A day counts if it held a changed key when the change was noted, or if the first input
        touched it since. Where nothing was noted, all days count on which a changed row holds.
        """
        parts = [self._find_seeing_days(part) for part in self._list_parts(commit)]
        # Of a RESTORE whose parts are gone, its own files may still say more than every day.
        if ALWAYS in parts:
            return self.dated.find_changed_days(commit)
        return tuple(chain.from_iterable(parts))

    def _list_parts(self, commit: Commit) -> Sequence[Commit]:
        """Returns the commit itself; of a RESTORE, the commits whose changes it takes back."""
        undone = list_undone_commits(self.dated.lake, self.dated.source.name, commit)
        return [commit] if undone is None else undone

    def _find_seeing_days(self, commit: Commit) -> tuple[Days, ...]:
        spans, note = self.dated.find_changed_days(commit), self._notes.get(commit.version)
        if not spans or note is None:
            return spans
        unknown_until, touched = self._touched_since
        noted_at = log_position(note.revision)
        # What the first input did since is not all known, so the note does not say enough.
        if noted_at < unknown_until:
            return spans
        since = (
            day for day, version in touched.items() if version > noted_at and _is_within(day, spans)
        )
        return (*note.days, *(Days(day, day) for day in since))

    @cached_property
    def _notes(self) -> Mapping[int, AffectedDays]:
        """The days that commits noted for this reader, by version.

        Notes about another first input than the one that exists now are left out.
        """
        current = self.dated.lake.revision(self.first.name)
        parts = chain.from_iterable(map(self._list_parts, self.commits))
        audits = {part.version: read_audit(part) for part in parts}
        notes = {
            number: audit.affected[self.reader.name]
            for number, audit in audits.items()
            if audit is not None
            and self.dated.column in audit.changed
            and self.reader.name in audit.affected
        }
        return {number: note for number, note in notes.items() if self._is_about(note, current)}

    def _is_about(self, note: AffectedDays, current: Revision | None) -> bool:
        """Returns whether a note is about the first input that exists now, or is older than it."""
        is_known = note.revision is None or note.revision.is_in(current)
        return note.by == self.by and is_known

    @cached_property
    def _touched_since(self) -> tuple[int, Mapping[date, int]]:
        """What the first input did since the oldest note.

        The version before which its days are unknown, and the last version that touched each day.
        """
        lake, touched = self.dated.lake, dict[date, int]()
        oldest = min(log_position(note.revision) for note in self._notes.values())
        log = lake.read_log_tail(self.first.name, after=oldest)
        unknown_until = log.after
        # Oldest first, so that the last version that touched a day is the one that remains.
        for commit in log.commits:
            days = find_touched_days(lake, self.first, commit)
            if days.every:
                unknown_until = commit.version
                continue
            # A raw row without a day of the reader is judged with the reader's first day; a derived
            # row keeps its day.
            is_raw = isinstance(self.first, RawTable)
            assigned = days.assign(self.known) if is_raw else days.days
            touched |= dict.fromkeys(assigned, commit.version)
            if days.undated:
                touched[self.known.first] = commit.version
        return unknown_until, touched


def _is_within(day: date, spans: Sequence[Days]) -> bool:
    """Returns whether one of some spans, given in order, contains a day."""
    place = bisect_right(spans, day, key=lambda span: span.first)
    return place > 0 and day in spans[place - 1]
