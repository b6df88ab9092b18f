"""Periods that are empty on purpose: the first input was built without rows for them.

A table becomes empty there too. Any other read without rows erases nothing: a raw table may still
be waiting for its file, and rows that were deleted by hand may come back.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

import polars as pl

from lakehouse.calendar import Days
from lakehouse.lineage.commit_history import (
    RESTORED,
    changes_rows,
    read_audit,
    read_commit_history,
)
from lakehouse.lineage.touched_days import find_touched_days
from lakehouse.quarantine.rejected_rows import scan_quarantine
from lakehouse.quarantine.states import RELEASED, is_in
from lakehouse.storage.lake import Lake, read_transaction_id, scan_visible_rows
from lakehouse.system_columns import EVENT_DATE, WINDOW
from lakehouse.tables.table_types import DerivedTable, RawTable, Table


@dataclass(frozen=True)
class AskedPeriods:
    """The periods of a table that are asked about.

    Attributes:
        table: the table, which has periods.
        source: its first input.
        days: the days that are asked about.
        known: all days that the table has.
        filled: the periods for which the input holds rows.
    """

    table: DerivedTable
    source: Table
    days: Days
    known: Days
    filled: Collection[date] = ()


def find_intentionally_empty(
    lake: Lake, asked: AskedPeriods, *, after: int = -1, until: int | None = None
) -> set[date]:
    """Returns the periods of a table that its first input settles, with or without rows for them.

    A derived input settles the periods that it was built for, until another program touches them. A
    raw input contains what was delivered, so it settles an empty period in two cases: a person
    rolled it back by `lakehouse restore`, or the rows that were judged with the first period have a
    period of their own by now.

    Args:
        lake: where the tables are.
        asked: the periods.
        after: the version of the input after which its log is read.
        until: the version of the input that is read; the latest by default.
    """
    table, source = asked.table, asked.source
    if table.partitions is None:
        return set()
    if isinstance(source, RawTable):
        return _find_rolled_back(lake, asked, source, until) | _find_left_period(lake, asked)
    # Made whole, the input settles every period. Those without rows here need no emptying.
    if source.partitions is None:
        is_settled = is_unmodified(lake, source, until=until)
        return _find_filled_periods(lake, table, asked.days) if is_settled else set()
    settled: set[date] = set()
    for commit in read_commit_history(lake, source.name, after=after, until=until).effective:
        audit = read_audit(commit)
        if audit is not None:
            settled |= {day for span in audit.materialized for day in span}
            continue
        # Another program: what it deleted by hand may come back, so it empties no reader.
        touched = find_touched_days(lake, source, commit)
        if touched.every:
            settled = set()
        else:
            settled -= touched.assign(asked.known)
    return set(table.partitions.period_keys(settled & set(asked.days)))


def _find_rolled_back(
    lake: Lake, asked: AskedPeriods, source: RawTable, until: int | None
) -> set[date]:
    """Returns the periods that have rows in a table and lost them in raw by `lakehouse restore`."""
    table = asked.table
    # Asked first: the log of a raw table is read only if somebody has restored it.
    handle = lake.open_shared(source.name)
    restored = None if handle is None else read_transaction_id(handle, source.name, RESTORED)
    if restored is None or table.partitions is None:
        return set()
    # Only what the table holds and raw does not can be emptied; mostly that is nothing.
    wanted = _find_filled_periods(lake, table, asked.days) - set(asked.filled)
    if not wanted:
        return set()
    emptied: set[date] = set()
    # From the first entry on: an earlier restore may have emptied a day that the table, which was
    # not made since, still holds.
    for commit in lake.read_log_tail(source.name).commits:
        if until is not None and commit.version > until:
            break
        touched = find_touched_days(lake, source, commit)
        # Law 5: where it is not known what became empty on purpose, nothing is emptied.
        if touched.every:
            emptied = set()
        elif RESTORED in commit.info:
            emptied |= touched.assign(asked.known)
        else:
            emptied -= touched.assign(asked.known)
    return wanted & set(table.partitions.period_keys(emptied))


def _find_left_period(lake: Lake, asked: AskedPeriods) -> set[date]:
    """Returns the first period if only rejected rows are left there whose own days have come.

    Rows that are dated ahead are judged with the first period. Without another row there, nothing
    would make that period again, and they would stay open although their own period has them.
    """
    table, first = asked.table, asked.known.first
    assert table.partitions is not None  # noqa: S101
    period = table.partitions.period_start(first)
    rows = scan_quarantine(lake, table)
    if rows is None or period in asked.filled or first not in asked.days:
        return set()
    if not {WINDOW, EVENT_DATE} <= set(rows.collect_schema()):
        return set()
    day = pl.col(EVENT_DATE)
    has_come = (pl.col(WINDOW) == first) & (day > first) & (day <= asked.known.last)
    if rows.filter(has_come, ~is_in(RELEASED)).head(1).collect().is_empty():
        return set()
    # Law 5: rows of the table that raw does not hold are not erased by this.
    column, handle = table.properties.date_column, lake.open_shared(table.name)
    if handle is None or column is None:
        return {period}
    inside = pl.col(column).is_between(first, table.partitions.period_end(first))
    is_empty = scan_visible_rows(handle).filter(inside).head(1).collect().is_empty()
    return {period} if is_empty else set()


def is_unmodified(lake: Lake, source: Table, *, until: int | None = None) -> bool:
    """Returns whether no other program has changed a derived table since it was last built."""
    if not isinstance(source, DerivedTable):
        return False
    commits = read_commit_history(lake, source.name, until=until).effective
    latest = next((one for one in reversed(commits) if read_audit(one) or changes_rows(one)), None)
    return latest is not None and read_audit(latest) is not None


def _find_filled_periods(lake: Lake, table: DerivedTable, days: Days) -> set[date]:
    """Returns the periods for which a table or its quarantine holds rows."""
    # A period may have rejected rows only. They would stay open for ever if it were not made empty.
    found: set[date] = set()
    for name, column in ((table.name, table.properties.date_column), (table.quarantine, WINDOW)):
        handle = lake.open_shared(name)
        rows = None if handle is None else scan_visible_rows(handle)
        if rows is None or column is None or column not in rows.collect_schema():
            continue
        day = pl.col(column)
        inside = rows.filter(day.is_between(days.first, days.last))
        found |= set(inside.select(day.unique()).collect()[column])
    return set(table.partitions.period_keys(found)) if table.partitions else set()
