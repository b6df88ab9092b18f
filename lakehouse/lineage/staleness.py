"""What has to be made again: the periods whose inputs changed after they were made, as the Delta logs tell it.

Belongs here: the comparison of what each period was made from (`made.py`) with the days that commits touched since
(`touched.py`). It does not matter whether a sensor saw a commit. What a cleaned-up log no longer tells counts as stale
until it is made once more.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

import polars as pl

from lakehouse.calendar import Daily, Days, join_days
from lakehouse.lineage.dated_changes import DatedInput, count_slack_days
from lakehouse.lineage.key_changes import LookedUpInput, find_first_input
from lakehouse.lineage.period_history import (
    PeriodHistory,
    find_intentionally_empty,
    read_period_history,
)
from lakehouse.lineage.quarantine_changes import find_disturbed_periods
from lakehouse.lineage.touched_days import ALL, changes_rows, find_touched_days
from lakehouse.quarantine.rejected_rows import find_arrived_periods
from lakehouse.storage.lake import Lake
from lakehouse.storage.log import Commit
from lakehouse.storage.revision import Revision
from lakehouse.system_columns import EVENT_DATE
from lakehouse.tables.catalog import Catalog
from lakehouse.tables.table_types import DerivedTable, RawTable, Table


@dataclass(frozen=True)
class StaleTable:
    """A table that is older than its inputs.

    Attributes:
        table: its name.
        keys: the periods to make again; empty for a table without partitions, which is made whole.
        spans: the same, neighbours joined; periods of which the input holds no rows do not part neighbours.
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
        since: the revisions of the tables when everything was known to be in order; a hint that saves reading old log
            entries. Without it every entry is looked at.
    """

    lake: Lake
    catalog: Catalog
    now: datetime
    since: Mapping[str, Revision] = field(default_factory=dict)

    def find_stale_tables(self) -> list[StaleTable]:
        """Every stale table, inputs before their readers.

        Raises:
            OutageError: the bucket does not answer.
        """
        with self.lake.translate_errors():
            return [
                stale
                for table in self.catalog.derived_tables
                if (stale := self.find_stale_part(table)) is not None
            ]

    def find_stale_part(self, table: DerivedTable) -> StaleTable | None:
        """The part of a table that is stale; None when it is up to date."""
        first = find_first_input(self.catalog, table)
        if self.lake.open_shared(first.name) is None:
            return None
        made, hint = self._made(table)
        found = self._changed(table, made, hint)
        if table.partitions is None:
            return StaleTable(table.name) if found else None
        changed = {key for key in found if key is not None}
        if not self.since:  # a day begins without a commit, so a hint knows nothing of it
            changed |= find_arrived_periods(
                self.lake, table, made.audits, table.partitions.days_until(self.now)
            )
        if not changed:
            return None
        days = Days(min(changed), table.partitions.period_end(max(changed)))
        held = self._held(table, first, days)
        if changed - held:
            held |= find_intentionally_empty(
                self.lake, table, first, days, held=held, after=hint.get(first.name, -1)
            )
        keys = tuple(sorted(changed & held))
        return (
            StaleTable(table.name, keys, _joined(held, changed, table.partitions)) if keys else None
        )

    def _changed(
        self, table: DerivedTable, made: PeriodHistory, hint: Mapping[str, int]
    ) -> set[date | None]:
        """The periods that see a change of an input that came after they were made from it; None is the whole table.

        What became of their rejected rows is only told without a hint, which knows nothing of quarantine.
        """
        keys = (
            [None]
            if table.partitions is None
            else table.partitions.period_keys(table.partitions.days_until(self.now))
        )
        changed: set[date | None] = set()
        for parameter, name in self.catalog.find_inputs(table).items():
            current = self.lake.open_shared(name)
            if current is not None:
                consumed = made.find_consumed_versions(name, current, keys, hint.get(name, -1))
                changed |= self._changed_since(table, parameter, consumed)
        known = table.partitions.days_until(self.now) if table.partitions else None
        changed |= made.list_undone_periods(table)
        return (
            changed
            if self.since
            else changed | find_disturbed_periods(self.lake, table, made.audits, known)
        )

    def _made(self, table: DerivedTable) -> tuple[PeriodHistory, Mapping[str, int]]:
        """What each period was made from, and the hint for the others; without it where it cannot be relied on."""
        hint = self._hint(table)
        made = read_period_history(self.lake, table, after=hint.get(table.name, -1))
        return (
            (made, hint)
            if made.is_whole or not hint
            else (read_period_history(self.lake, table), {})
        )

    def _hint(self, table: DerivedTable) -> Mapping[str, int]:
        """The versions in the hint, where it is about the tables as they stand: one may have been built again."""
        names = dict.fromkeys((table.name, *self.catalog.find_inputs(table).values()))
        told = {name: self._version(name) for name in names if name in self.since}
        known = {name: version for name, version in told.items() if version is not None}
        return known if table.name in known and len(known) == len(told) else {}

    def _version(self, name: str) -> int | None:
        """The version of a table in the hint; None where this is no version of the table that stands there."""
        hint = self.since[name]
        return hint.version if hint.is_in(self.lake.revision(name)) else None

    def _changed_since(
        self, table: DerivedTable, parameter: str, consumed: Mapping[date | None, int]
    ) -> set[date | None]:
        """Those of some periods that see a change of an input after the version that each was made from."""
        source = self.catalog[self.catalog.find_inputs(table)[parameter]]
        log = self.lake.read_log_tail(source.name, after=min(consumed.values()))
        dated = (
            self._dated(table, parameter, source, log.commits) if parameter in table.as_of else None
        )
        # Nobody knows what changed in commits whose entries have been cleaned up.
        changed = {key for key, version in consumed.items() if version < log.after}
        for commit in log.commits:
            reached = self._reached(table, parameter, dated or source, commit)
            changed |= {
                key for key in reached if consumed.get(key, commit.version) < commit.version
            }
        return changed

    def _dated(
        self, table: DerivedTable, parameter: str, source: Table, commits: Sequence[Commit]
    ) -> DatedInput | LookedUpInput:
        """An input whose rows hold until the next one, as a table reads it."""
        as_of = table.as_of[parameter]
        if table.partitions is None:
            return DatedInput(self.lake, source, as_of.column)
        dated = DatedInput(
            self.lake,
            source,
            as_of.column,
            count_slack_days(source, as_of.column, table.partitions),
        )
        if not as_of.names:
            return dated
        known = table.partitions.days_until(self.now)
        return LookedUpInput(
            dated, table, as_of.names, find_first_input(self.catalog, table), known, commits
        )

    def _reached(
        self,
        table: DerivedTable,
        parameter: str,
        source: Table | DatedInput | LookedUpInput,
        commit: Commit,
    ) -> Iterable[date | None]:
        """The periods that see what a commit of an input changed."""
        if table.partitions is None:
            return [None] if changes_rows(commit) else []
        known = table.partitions.days_until(self.now)
        if isinstance(source, DatedInput | LookedUpInput):
            spans = source.changed(commit)
            return (
                table.partitions.period_keys(known)
                if spans is None
                else _seeing(table, spans, known)
            )
        # A raw table beside the first input is read whole, so each of its rows may matter to every day.
        is_whole = isinstance(source, RawTable) and parameter != table.parameters[0]
        touched = (
            ALL
            if is_whole and changes_rows(commit)
            else find_touched_days(self.lake, source, commit)
        )
        return (
            table.partitions.period_keys(known)
            if touched is ALL
            else _mapped(table, touched, known)
        )

    def _held(self, table: DerivedTable, first: Table, days: Days) -> set[date]:
        """The periods of which the first input holds rows: there is nothing to make of the others."""
        partitions = _calendar(table)
        known = partitions.days_until(self.now)
        column = EVENT_DATE if isinstance(first, RawTable) else first.properties.date_column
        if column is None:
            return set(partitions.period_keys(days))
        day = pl.col(column)
        rows = self.lake.scan(first.name)
        stray = day.is_null() | ~day.is_between(known.first, known.last)
        rows = rows.filter(
            day.is_between(days.first, days.last)
            | (stray if known.first in days else pl.lit(False))
        )
        held = (
            rows.select(pl.when(stray).then(pl.lit(known.first)).otherwise(day).unique())
            .collect()
            .to_series()
        )
        return set(partitions.period_keys(held))


def _calendar(table: DerivedTable) -> Daily:
    assert table.partitions is not None  # noqa: S101
    return table.partitions


def _mapped(table: DerivedTable, touched: Iterable[date | None], known: Days) -> set[date]:
    """The periods of a table that some days of an input enter; a day that does not exist belongs to the first."""
    days = {day if day is not None and day in known else known.first for day in touched}
    return _seeing(table, join_days(days), known)


def _seeing(table: DerivedTable, spans: Iterable[Days], known: Days) -> set[date]:
    """The periods of a table that some days of an input enter, those that look back on them included."""
    inside = (span.clip(known.widen(back=table.lookback)) for span in spans)
    seen = (span.widen(ahead=table.lookback).clip(known) for span in inside if span)
    return {key for span in seen if span for key in _calendar(table).period_keys(span)}


def _joined(held: Iterable[date], wanted: set[date], partitions: Daily) -> tuple[Days, ...]:
    """The wanted ones of the held periods, joined where no other held period lies between them."""
    spans: list[Days] = []
    is_open = False
    for key in sorted(held):
        if key in wanted and is_open:
            spans[-1] = Days(spans[-1].first, partitions.period_end(key))
        elif key in wanted:
            spans.append(Days(key, partitions.period_end(key)))
        is_open = key in wanted
    return tuple(spans)
