"""Which tables and periods are stale: an input changed after they were built from it.

Belongs here: the comparison of what each period was built from (`period_history.py`) with what
commits of its inputs touched since (`touched_days.py`). Only the tables are asked: whether a sensor
saw a commit does not matter. A period without a commit in what is left of the log counts as stale
until it is rebuilt.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

import polars as pl

from lakehouse.calendar import WHOLE_TABLE, Daily, Days, PeriodKey, join_days
from lakehouse.lineage.commit_history import changes_content, changes_rows
from lakehouse.lineage.dated_changes import DatedInput, count_slack_days
from lakehouse.lineage.empty_periods import AskedPeriods, find_intentionally_empty
from lakehouse.lineage.key_changes import LookedUpInput, find_first_input
from lakehouse.lineage.period_history import PeriodHistory, read_period_history
from lakehouse.lineage.quarantine_changes import find_arrived_periods, find_disturbed_periods
from lakehouse.lineage.touched_days import EVERY_DAY, TouchedDays, find_touched_days
from lakehouse.storage.lake import Lake
from lakehouse.storage.log import Commit, LogTail
from lakehouse.storage.revision import Revision
from lakehouse.system_columns import EVENT_DATE
from lakehouse.tables.catalog import Catalog
from lakehouse.tables.reading import scan_declared
from lakehouse.tables.table_types import DerivedTable, RawTable, Table


@dataclass(frozen=True)
class StaleTable:
    """A table that is older than its inputs.

    Attributes:
        table: its name.
        keys: the periods to rebuild; empty for a table without partitions, which is made whole.
        spans: the same periods, neighbours joined; a period without rows in the input does not part
            its neighbours.
    """

    table: str
    keys: tuple[date, ...] = ()
    spans: tuple[Days, ...] = ()


@dataclass(frozen=True)
class Planner:
    """Finds what is stale.

    Attributes:
        lake: where the tables are.
        catalog: the declared tables.
        now: the time that counts as the present.
        since: the revisions of the tables when everything was known to be up to date; a hint that
            saves reading older log entries. Without it every entry is read.
    """

    lake: Lake
    catalog: Catalog
    now: datetime
    since: Mapping[str, Revision] = field(default_factory=dict)

    def find_stale_tables(self) -> list[StaleTable]:
        """Returns every stale table, inputs before their readers.

        Raises:
            OutageError: the bucket does not answer.
        """
        with self.lake.translate_errors():
            parts = (self.find_stale_part(table) for table in self.catalog.derived_tables)
            return [part for part in parts if part is not None]

    def find_stale_part(self, table: DerivedTable) -> StaleTable | None:
        """Returns the part of a table that is stale; None when it is up to date."""
        first = find_first_input(self.catalog, table)
        # Law 5: an input that does not exist empties no reader.
        if self.lake.open_shared(first.name) is None:
            return None
        history, floors = self._read_history(table)
        found = self._find_changed_periods(table, history, floors)
        calendar = table.partitions
        if calendar is None:
            return StaleTable(table.name) if found else None
        changed = {key for key in found if isinstance(key, date)}
        if not self.since:  # a day begins without a commit, so the hint cannot know of it
            known = calendar.days_until(self.now)
            changed |= find_arrived_periods(self.lake, table, history.audits, known)
        if not changed:
            return None
        days = Days(min(changed), calendar.period_end(max(changed)))
        settled = self._find_filled_periods(first, calendar, days)
        # Making a period that nothing settles would change nothing, and it would be stale for ever.
        if changed - settled:
            known = calendar.days_until(self.now)
            settled |= find_intentionally_empty(
                self.lake,
                AskedPeriods(table, first, days, known, filled=settled),
                after=floors.get(first.name, -1),
            )
        keys = tuple(sorted(changed & settled))
        return StaleTable(table.name, keys, _join(settled, changed, calendar)) if keys else None

    def _read_history(self, table: DerivedTable) -> tuple[PeriodHistory, Mapping[str, int]]:
        """Returns what each period was built from, and the versions of the hint where usable."""
        hint = self._read_hint(table)
        history = read_period_history(self.lake, table, after=hint.get(table.name, -1))
        if history.is_complete or not hint:
            return history, hint
        # A RESTORE went back to before the hint, or entries since then are gone: all is read.
        return read_period_history(self.lake, table), {}

    def _read_hint(self, table: DerivedTable) -> Mapping[str, int]:
        """Returns the versions in the hint; none unless all are of the tables that exist now."""
        # By version alone, a table that was built again to as many versions would pass for the one
        # in the hint: days that its first versions changed waited for the nightly run.
        names = dict.fromkeys((table.name, *self.catalog.find_inputs(table).values()))
        hinted = {name: self._hinted_version(name) for name in names if name in self.since}
        known = {name: version for name, version in hinted.items() if version is not None}
        return known if table.name in known and len(known) == len(hinted) else {}

    def _hinted_version(self, name: str) -> int | None:
        """Returns the version of a table in the hint; None where the table was replaced since."""
        hint = self.since[name]
        return hint.version if hint.is_in(self.lake.revision(name)) else None

    def _find_changed_periods(
        self, table: DerivedTable, history: PeriodHistory, floors: Mapping[str, int]
    ) -> set[PeriodKey]:
        """Returns the periods that see a change which came after they were made.

        Args:
            table: the table.
            history: what each period was built from.
            floors: by input, the version for periods that are not in the history.
        """
        calendar = table.partitions
        known = None if calendar is None else calendar.days_until(self.now)
        periods: list[PeriodKey] = [WHOLE_TABLE]
        if calendar is not None and known is not None:
            periods = [*calendar.period_keys(known)]
        changed = history.list_undone_periods(table)
        for parameter, name in self.catalog.find_inputs(table).items():
            current = self.lake.open_shared(name)
            if current is not None:
                floor = floors.get(name, -1)
                consumed = history.find_consumed_versions(name, current, periods, floor)
                changed |= self._find_changed_since(table, parameter, consumed)
        if not self.since:  # the hint says nothing of quarantine
            changed |= find_disturbed_periods(self.lake, table, history.audits, known)
        return changed

    def _find_changed_since(
        self, table: DerivedTable, parameter: str, consumed: Mapping[PeriodKey, int]
    ) -> set[PeriodKey]:
        """Returns the periods that see a change of an input since they were built from it."""
        source = self.catalog[self.catalog.find_inputs(table)[parameter]]
        log = self.lake.read_log_tail(source.name, after=min(consumed.values()))
        dated = self._read_by_date(table, parameter, source, log)
        # What commits changed whose log entries were cleaned up is unknown.
        changed = {period for period, version in consumed.items() if version < log.after}
        for commit in log.commits:
            if dated is None:
                seeing = self._find_seeing_periods(table, parameter, source, commit)
            else:
                seeing = self._find_periods_by_date(table, dated, commit)
            changed |= {
                period for period in seeing if consumed.get(period, commit.version) < commit.version
            }
        return changed

    def _read_by_date(
        self, table: DerivedTable, parameter: str, source: Table, log: LogTail
    ) -> DatedInput | LookedUpInput | None:
        """Returns an input that a table with periods reads by date; None for any other input."""
        if table.partitions is None or parameter not in table.as_of:
            return None
        as_of = table.as_of[parameter]
        slack = count_slack_days(source, as_of.column, table.partitions)
        dated = DatedInput(self.lake, source, as_of.column, slack)
        if not as_of.names:
            return dated
        first = find_first_input(self.catalog, table)
        known = table.partitions.days_until(self.now)
        return LookedUpInput(dated, table, as_of.names, first, known, log.commits)

    def _find_periods_by_date(
        self, table: DerivedTable, dated: DatedInput | LookedUpInput, commit: Commit
    ) -> Iterable[PeriodKey]:
        """Returns the periods that see what a commit changed in an input that is read by date."""
        known = _calendar(table).days_until(self.now)
        return _find_seeing(table, dated.find_changed_days(commit), known)

    def _find_seeing_periods(
        self, table: DerivedTable, parameter: str, source: Table, commit: Commit
    ) -> Iterable[PeriodKey]:
        """Returns the periods that see what a commit of an input changed."""
        if table.partitions is None:
            return [WHOLE_TABLE] if changes_content(commit) else []
        known = table.partitions.days_until(self.now)
        # A row of any day may have a key that came or went.
        if parameter not in table.parameters:
            return _calendar(table).period_keys(known) if changes_content(commit) else []
        # A raw table beside the first input is read whole, so each of its rows may matter to every
        # day.
        if isinstance(source, RawTable) and parameter != table.parameters[0]:
            touched = EVERY_DAY if changes_rows(commit) else TouchedDays()
        else:
            touched = find_touched_days(self.lake, source, commit)
        return _find_seeing(table, join_days(touched.assign(known)), known)

    def _find_filled_periods(self, first: Table, calendar: Daily, days: Days) -> set[date]:
        """Returns the periods for which the first input has rows; others cannot be built."""
        known = calendar.days_until(self.now)
        column = EVENT_DATE if isinstance(first, RawTable) else first.properties.date_column
        if column is None:
            return set(calendar.period_keys(days))
        day = pl.col(column)
        is_inside = day.is_between(days.first, days.last)
        is_undated = day.is_null() | ~day.is_between(known.first, known.last)
        wanted = is_inside | is_undated if known.first in days else is_inside
        assigned = pl.when(is_undated).then(pl.lit(known.first)).otherwise(day)
        handle = self.lake.open_shared(first.name)
        # In the declared columns: rows that landed before `day` was declared have days as well.
        rows = pl.LazyFrame(schema=first.schema) if handle is None else scan_declared(handle, first)
        rows = rows.filter(wanted)
        return set(calendar.period_keys(rows.select(assigned.unique()).collect().to_series()))


def _calendar(table: DerivedTable) -> Daily:
    assert table.partitions is not None  # noqa: S101
    return table.partitions


def _find_seeing(table: DerivedTable, spans: Iterable[Days], known: Days) -> set[date]:
    """Returns the periods that contain some days of an input, or look back on these days."""
    inside = (span.clip(known.widen(back=table.lookback)) for span in spans)
    seen = (span.widen(ahead=table.lookback).clip(known) for span in inside if span)
    return {key for span in seen if span for key in _calendar(table).period_keys(span)}


def _join(settled: Iterable[date], wanted: set[date], calendar: Daily) -> tuple[Days, ...]:
    """Returns the wanted periods, joined where no other settled period lies between them."""
    spans: list[Days] = []
    is_open = False
    for key in sorted(settled):
        if key in wanted and is_open:
            spans[-1] = Days(spans[-1].first, calendar.period_end(key))
        elif key in wanted:
            spans.append(Days(key, calendar.period_end(key)))
        is_open = key in wanted
    return tuple(spans)
