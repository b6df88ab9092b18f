"""Whether the rejected rows of a table are still in quarantine as its audits left them.

Rejected rows are committed just before their table, to a log of their own. Another program may change or restore that
table; the periods whose rejected rows it touched are then made again.
"""

from collections.abc import Mapping

from lakehouse.calendar import WHOLE_TABLE, Days, PeriodKey
from lakehouse.lineage.commit_history import changes_rows, read_audit
from lakehouse.lineage.touched_days import read_days_of_files
from lakehouse.publish.audit import Audit
from lakehouse.publish.publish import PUBLISHED_WITH
from lakehouse.storage.lake import Lake
from lakehouse.storage.log import Commit
from lakehouse.storage.revision import Revision, log_position, read_revision
from lakehouse.system_columns import WINDOW
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
    if handle is None or not audits:
        return {key for key, audit in audits.items() if audit.quarantined}
    latest = read_revision(handle)
    made = {key: audit.provenance.quarantine for key, audit in audits.items()}
    disturbed = {
        key
        for key, revision in made.items()
        if audits[key].quarantined and revision is not None and not revision.is_in(latest)
    }
    named = set(map(log_position, made.values()))
    for commit in lake.read_log_tail(table.quarantine, after=min(named)).commits:
        if changes_rows(commit) and not _is_expected(commit, named):
            touched = made.keys() & _find_touched_periods(lake, table, commit, made, known)
            disturbed |= {key for key in touched if log_position(made[key]) < commit.version}
    return disturbed


def _is_expected(commit: Commit, named: set[int]) -> bool:
    """Whether a commit is known to leave rejected rows as the audits say.

    A commit with an audit changes only the states of rows. A commit beside a table counts if an audit names it; if none
    does, a run ended before it committed the table.
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
    return {*made} if touched.every else {*table.partitions.period_keys(touched.assign(known))}
