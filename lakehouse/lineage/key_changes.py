"""The days that a change of some keys reaches: those on which a reader's first input holds a row of one of them.

Belongs here: what a folding notes for the readers that look keys up, and what came into their first inputs since.
Does not belong here: from when until when a key says something else (`as_of.py`), what is stale (`staleness.py`).

A key may be a person, so that no commit names one; the days may be named. Rows that came after they were noted, and
that a reader may have seen before the change, are told by the log of the first input.
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
from lakehouse.lineage.dated_changes import (
    FIRST,
    UNTIL,
    DatedInput,
    count_slack_days,
    join_spans,
    round_to_days,
)
from lakehouse.lineage.touched_days import ALL, find_touched_days, list_undone_commits, read_audit
from lakehouse.publish.audit import AffectedDays
from lakehouse.storage.lake import Lake
from lakehouse.storage.log import Commit
from lakehouse.storage.revision import Revision, log_position, read_revision
from lakehouse.system_columns import WINDOW
from lakehouse.tables.catalog import Catalog
from lakehouse.tables.day_filter import find_day_filter
from lakehouse.tables.key_checks import list_series_columns
from lakehouse.tables.lookup import AsOf
from lakehouse.tables.reading import scan_declared
from lakehouse.tables.table_types import DerivedTable, RawTable, Table

_SPANS_AT_ONCE = 1_048_576
_DAY = pl.duration(days=1)


def find_affected_days(
    lake: Lake,
    catalog: Catalog,
    table: DerivedTable,
    changed: Mapping[str, pl.DataFrame],
    now: datetime,
) -> dict[str, AffectedDays]:
    """The days that matter to each reader that looks up keys of a table.

    Args:
        lake: where the tables are.
        catalog: all of them.
        table: the one whose keys changed.
        changed: from when until when which keys say something else, by the column that dates them.
        now: the instant of the run; readers have days until then.
    """
    found: dict[str, AffectedDays] = {}
    for reader, as_of in _readers(catalog, table):
        if as_of.column in changed and reader.partitions:
            key = list_series_columns(table, as_of.column)
            spans = round_to_days(changed[as_of.column], _slack(table, reader, as_of))
            spans = spans.rename(dict(zip(key, as_of.names, strict=True)))
            first = find_first_input(catalog, reader)
            reach = _reach(lake, first, reader.partitions.days_until(now), as_of.names, spans)
            found |= {} if reach is None else {reader.name: reach}
    return found


def _slack(source: Table, reader: DerivedTable, as_of: AsOf) -> int:
    return count_slack_days(source, as_of.column, reader.partitions) if reader.partitions else 0


def _readers(catalog: Catalog, source: DerivedTable) -> Iterator[tuple[DerivedTable, AsOf]]:
    """The tables with periods that look up keys of a table."""
    for reader in catalog.derived_tables:
        for parameter, name in catalog.find_inputs(reader).items():
            as_of = reader.as_of.get(parameter)
            if name == source.name and reader.partitions and as_of is not None and as_of.names:
                yield reader, as_of


def find_first_input(catalog: Catalog, reader: DerivedTable) -> Table:
    """The first input of a table."""
    return catalog[catalog.find_inputs(reader)[reader.parameters[0]]]


def _reach(
    lake: Lake, first: Table, known: Days, by: tuple[str, ...], spans: pl.DataFrame
) -> AffectedDays | None:
    """The days for one reader; None where they cannot be told."""
    handle = lake.open_shared(first.name)
    if handle is None:
        return AffectedDays(by, ())
    try:
        several = [
            _days(handle, first, known, by, part) for part in spans.iter_slices(_SPANS_AT_ONCE)
        ]
    except (OSError, pl.exceptions.PolarsError):
        return None  # files are gone, or of another form than they have now
    return AffectedDays(
        by,
        join_spans(pl.concat(several)) if several else (),
        read_revision(handle),
    )


def _days(
    handle: DeltaTable, first: Table, known: Days, by: tuple[str, ...], spans: pl.DataFrame
) -> pl.DataFrame:
    """The days on which a row of a table is of a key within a span of it; files without a day of any are not read."""
    bounds = spans.select(pl.col(FIRST).min(), pl.col(UNTIL).fill_null(date.max).max())
    cut = find_day_filter(first, 0, Days(*bounds.row(0)), known, first=True)
    assert cut is not None  # noqa: S101
    rows = scan_declared(handle, first).filter(cut.rows, has_key(spans.select(by).unique()))
    seen = rows.select(*by, cut.window.alias(WINDOW))
    inside = (pl.col(WINDOW) >= pl.col(FIRST)) & (
        pl.col(UNTIL).is_null() | (pl.col(WINDOW) < pl.col(UNTIL))
    )
    held = (
        seen.join(spans.lazy(), on=by).filter(inside).select(pl.col(WINDOW).alias(FIRST)).unique()
    )
    return held.with_columns((pl.col(FIRST) + _DAY).alias(UNTIL)).collect(engine="streaming")


@dataclass(frozen=True)
class LookedUpInput:
    """A dated input whose rows are looked up by key: the days on which a reader sees that one changed.

    Attributes:
        dated: the input.
        reader: the table that looks it up.
        by: the columns of its first input by which it does.
        first: that input.
        known: the days that the reader has.
        commits: those of the dated input that are asked about.
    """

    dated: DatedInput
    reader: DerivedTable
    by: tuple[str, ...]
    first: Table
    known: Days
    commits: Sequence[Commit]

    def changed(self, commit: Commit) -> tuple[Days, ...] | None:
        """The days that see what a commit changed: all in which a changed row holds, where nobody noted which; or None.

        A day counts if it held one of the keys when the change was noted, or was touched since.
        """
        several = [self._seen(part) for part in self._parts(commit)]
        told = [days for days in several if days is not None]
        return (
            self.dated.changed(commit)
            if len(told) < len(several)
            else tuple(chain.from_iterable(told))
        )

    def _parts(self, commit: Commit) -> Sequence[Commit]:
        """The commit itself; of a RESTORE those that it undid, whose changes are what it takes back."""
        undone = list_undone_commits(self.dated.lake, self.dated.source.name, commit)
        return [commit] if undone is None else undone

    def _seen(self, commit: Commit) -> tuple[Days, ...] | None:
        spans, reach = self.dated.changed(commit), self._notes.get(commit.version)
        if not spans or reach is None:
            return spans
        blind, touched = self._came
        noted = log_position(reach.revision)
        if noted < blind:
            return spans
        since = (
            day for day, version in touched.items() if version > noted and _is_within(day, spans)
        )
        return (*reach.days, *(Days(day, day) for day in since))

    @cached_property
    def _notes(self) -> Mapping[int, AffectedDays]:
        """What commits have noted for this reader, by their version, where it is about the first input as it stands."""
        standing = self.dated.lake.revision(self.first.name)
        audits = {
            part.version: read_audit(part)
            for commit in self.commits
            for part in self._parts(commit)
        }
        reaches = {
            version: audit.affected[self.reader.name]
            for version, audit in audits.items()
            if audit is not None
            and self.dated.column in audit.changed
            and self.reader.name in audit.affected
        }
        return {
            version: reach for version, reach in reaches.items() if self._is_about(reach, standing)
        }

    def _is_about(self, reach: AffectedDays, current: Revision | None) -> bool:
        """Whether a note is about the first input that stands; where there was none, all of it came since."""
        is_known = reach.revision is None or reach.revision.is_in(current)
        return reach.by == self.by and is_known

    @cached_property
    def _came(self) -> tuple[int, Mapping[date, int]]:
        """The version of the first input before which nobody knows what came, and the last that touched each day."""
        lake, touched = self.dated.lake, dict[date, int]()
        log = lake.read_log_tail(
            self.first.name,
            after=min(log_position(reach.revision) for reach in self._notes.values()),
        )
        blind = log.after
        for commit in log.commits:
            days = find_touched_days(lake, self.first, commit)
            if days is ALL:
                blind = commit.version
            else:
                touched |= dict.fromkeys(map(self._judged, days), commit.version)
        return blind, touched

    def _judged(self, day: date | None) -> date:
        """The day with which rows of a day are judged: a raw row of none that the reader has comes with its first."""
        if day is None or (isinstance(self.first, RawTable) and day not in self.known):
            return self.known.first
        return day


def _is_within(day: date, spans: Sequence[Days]) -> bool:
    """Whether one of some spans holds a day; they are in order."""
    place = bisect_right(spans, day, key=lambda span: span.first)
    return place > 0 and day in spans[place - 1]
