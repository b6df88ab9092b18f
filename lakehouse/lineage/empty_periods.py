"""Periods that are empty on purpose: the first input was built without rows for them.

A table becomes empty there too. Any other read without rows erases nothing: a raw table may still
be waiting for its file, and rows that were deleted by hand may come back.
"""

from collections.abc import Collection
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
from lakehouse.storage.lake import Lake, read_transaction_id, scan_visible_rows
from lakehouse.system_columns import WINDOW
from lakehouse.tables.table_types import DerivedTable, RawTable, Table


def find_intentionally_empty(  # noqa: PLR0913 - a question about two tables and a span of versions
    lake: Lake,
    table: DerivedTable,
    source: Table,
    days: Days,
    *,
    filled: Collection[date] = (),
    after: int = -1,
    until: int | None = None,
) -> set[date]:
    """Returns the periods of a table that its first input settles, with or without rows for them.

    A derived input settles the periods that it was built for, until another program touches them. A
    raw input contains what was delivered, so it settles no empty period, unless a person rolled it
    back by `lakehouse restore`.

    Args:
        lake: where the tables are.
        table: the table whose periods are asked about.
        source: its first input.
        days: the days that are asked about.
        filled: the periods for which the input holds rows.
        after: the version of the input after which its log is read.
        until: the version of the input that is read; the latest by default.
    """
    if table.partitions is None:
        return set()
    if isinstance(source, RawTable):
        return _find_rolled_back(lake, table, source, days, filled, until)
    # Made whole, the input settles every period. Those without rows here need no emptying.
    if source.partitions is None:
        is_settled = is_unmodified(lake, source, until=until)
        return _find_filled_periods(lake, table, days) if is_settled else set()
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
            settled -= touched.days
    return set(table.partitions.period_keys(settled & set(days)))


def _find_rolled_back(
    lake: Lake,
    table: DerivedTable,
    source: RawTable,
    days: Days,
    filled: Collection[date],
    until: int | None,
) -> set[date]:
    """Returns the periods that have rows in a table and lost them in raw by `lakehouse restore`."""
    # Asked first: the log of a raw table is read only if somebody has restored it.
    handle = lake.open_shared(source.name)
    restored = None if handle is None else read_transaction_id(handle, source.name, RESTORED)
    if restored is None or table.partitions is None:
        return set()
    # Only what the table holds and raw does not can be emptied; mostly that is nothing.
    asked = _find_filled_periods(lake, table, days) - set(filled)
    if not asked:
        return set()
    emptied: set[date] = set()
    for commit in lake.read_log_tail(source.name, after=restored - 1).commits:
        if until is not None and commit.version > until:
            break
        touched = find_touched_days(lake, source, commit)
        # Law 5: where it is not known what became empty on purpose, nothing is emptied.
        if touched.every:
            emptied = set()
        elif RESTORED in commit.info:
            emptied |= touched.days
        else:
            emptied -= touched.days
    return asked & set(table.partitions.period_keys(emptied))


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
