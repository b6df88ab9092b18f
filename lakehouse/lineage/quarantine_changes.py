"""The periods of a table that its rejected rows give a reason to rebuild.

Rejected rows are committed just before their table, to a log of their own. Another program may
change or restore that table; then the periods whose rejected rows it touched are rebuilt. So are
the periods of rejected rows that were dated ahead, when their days have come, and of open rows in a
replay.
"""

from collections.abc import Mapping, Sequence
from datetime import date

import polars as pl

from lakehouse.calendar import WHOLE_TABLE, Days, PeriodKey
from lakehouse.lineage.commit_history import changes_rows, read_audit, read_restored_rejects
from lakehouse.lineage.touched_days import read_days_of_files
from lakehouse.publish.audit import Audit
from lakehouse.publish.publish import PUBLISHED_WITH
from lakehouse.quarantine.rejected_rows import scan_quarantine
from lakehouse.quarantine.states import OPEN, RELEASED, is_in
from lakehouse.storage.lake import Lake
from lakehouse.storage.log import Commit
from lakehouse.storage.revision import Revision, log_position, read_revision
from lakehouse.system_columns import EVENT_DATE, WINDOW
from lakehouse.tables.keyed_table import KeyedTable
from lakehouse.tables.table_types import DerivedTable


def find_disturbed_periods(
    lake: Lake, table: DerivedTable, audits: Mapping[PeriodKey, Audit], known: Days | None
) -> set[PeriodKey]:
    """Returns the periods whose rejected rows another program touched after they were made.

    Args:
        lake: where the tables are.
        table: the table whose rejected rows are looked at.
        audits: the latest audit of each period.
        known: all days that the table has; None for a table without periods.
    """
    handle = lake.open_shared(table.quarantine)
    # Without the table, every period that had put rows into it has lost them.
    if handle is None or not audits:
        return {key for key, audit in audits.items() if _has_rejects(table, audit)}
    latest = read_revision(handle)
    made = {key: audit.provenance.quarantine for key, audit in audits.items()}
    # Their revision is gone: the table was deleted, and built again by other periods since.
    disturbed = {
        key
        for key, revision in made.items()
        if _has_rejects(table, audits[key]) and revision is not None and not revision.is_in(latest)
    }
    # A version of a table that is gone says nothing about the log of this one.
    positions = {
        key: log_position(revision if revision is not None and revision.is_in(latest) else None)
        for key, revision in made.items()
    }
    named = set(positions.values())
    log = lake.read_log_tail(table.quarantine, after=min(named))
    # RESTORE by another program is a commit like others here: its files name the days whose
    # rejected rows went back.
    commits, undone = _leave_out_restored(table, log.commits)
    for commit in commits:
        if changes_rows(commit) and not _is_expected(commit, named):
            touched = made.keys() & _find_touched_periods(lake, table, commit, made, known)
            disturbed |= {key for key in touched if positions[key] < commit.version}
    # The rejected rows were restored and the table was not: a restore ended in between.
    return disturbed | {
        key
        for key, position in positions.items()
        if any(target < position < restored for target, restored in undone)
    }


def _has_rejects(table: DerivedTable, audit: Audit) -> bool:
    """Returns whether the rejected rows of a period were in the quarantine when it was made."""
    # The audit of a table with keys counts the new rows alone; earlier ones may have been rejected.
    is_increment = isinstance(table, KeyedTable) and audit.mode == table.mode
    return audit.quarantined > 0 or (is_increment and audit.provenance.quarantine is not None)


def _leave_out_restored(
    table: DerivedTable, commits: Sequence[Commit]
) -> tuple[list[Commit], list[tuple[int, int]]]:
    """Returns the commits without those that `lakehouse restore` undid together with the table's.

    Returns:
        The commits, oldest first; and for each restore the version that it went back to, -1 where
        there was no quarantine, and its own version.
    """
    left: list[Commit] = []
    undone: list[tuple[int, int]] = []
    for commit in commits:
        target = read_restored_rejects(commit, table.name)
        if target is None:
            left.append(commit)
            continue
        left = [earlier for earlier in left if earlier.version <= target]
        undone.append((target, commit.version))
    return left, undone


def _is_expected(commit: Commit, named: set[int]) -> bool:
    """Returns whether a commit is known to leave rejected rows as the audits say.

    A commit with an audit changes only the states of rows. The commit of rejected rows has none. It
    is expected if an audit of the table names it; if none does, a run ended before it committed the
    table.
    """
    if read_audit(commit) is not None:
        return True
    return PUBLISHED_WITH in commit.info and commit.version in named


def _find_touched_periods(
    lake: Lake,
    table: DerivedTable,
    commit: Commit,
    made: Mapping[PeriodKey, Revision | None],
    known: Days | None,
) -> set[PeriodKey]:
    """Returns the periods whose rejected rows a commit touched."""
    if table.partitions is None or known is None:
        return {WHOLE_TABLE}
    touched = read_days_of_files(lake, table.quarantine, commit, WINDOW)
    # Where the days are unknown, as after a vacuum, every period that was made counts.
    return {*made} if touched.every else {*table.partitions.period_keys(touched.assign(known))}


def find_open_periods(lake: Lake, table: DerivedTable) -> set[PeriodKey]:
    """Returns the periods that hold open rows."""
    rows = scan_quarantine(lake, table)
    if rows is None:
        return set()
    open_rows = rows.filter(is_in(OPEN))
    if table.partitions is None:
        return set() if open_rows.head(1).collect().is_empty() else {WHOLE_TABLE}
    # A row that another program has put there without a day is judged with the first period.
    day = pl.col(WINDOW).fill_null(table.partitions.first)
    period = table.partitions.period_start_expr(day)
    return set(open_rows.select(period.unique()).collect(engine="streaming").to_series())


def find_arrived_periods(
    lake: Lake, table: DerivedTable, audits: Mapping[PeriodKey, Audit], known: Days
) -> set[date]:
    """Returns the periods of rejected rows that were dated ahead, and whose days exist by now.

    Such rows were rejected with the first period, so it is among the periods as long as some of
    them are not released. Their own period may still have to be made when they are released
    already: a run may have ended between the two.

    Args:
        lake: where the tables are.
        table: a table with periods.
        audits: the latest audit of each period.
        known: all days that the table has.
    """
    rows = scan_quarantine(lake, table)
    if rows is None or table.partitions is None:
        return set()
    # Only rows that were received from a raw table with a declared day have `_event_date`.
    if not {WINDOW, EVENT_DATE} <= set(rows.collect_schema()):
        return set()
    day = pl.col(EVENT_DATE)
    ahead = rows.filter((pl.col(WINDOW) == known.first) & (day > known.first) & (day <= known.last))
    by_day = ahead.group_by(day).agg(
        is_waiting=(~is_in(RELEASED)).any(), released_at=pl.col("_settled_at").max()
    )
    periods: set[date] = set()
    for arrived, is_waiting, released_at in by_day.collect(engine="streaming").iter_rows():
        period = table.partitions.period_start(arrived)
        audit = audits.get(period)
        if is_waiting:
            periods |= {table.partitions.period_start(known.first), period}
        # A period that was made after the release has the rows.
        elif audit is None or (released_at is not None and audit.audited_at <= released_at):
            periods.add(period)
    return periods
