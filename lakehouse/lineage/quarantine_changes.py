"""Whether rejected rows still stand in quarantine as the audits of their table left them.

Rejected rows are committed just before the table, so they have a log of their own, which another program may change or
restore; then the periods that it touched are made again.
"""

from collections.abc import Mapping
from datetime import date

from lakehouse.calendar import Days
from lakehouse.lineage.touched_days import ALL, changes_rows, read_audit, read_days_of_files
from lakehouse.publish.audit import Audit
from lakehouse.publish.publish import PUBLISHED_WITH
from lakehouse.storage.lake import Lake
from lakehouse.storage.log import Commit
from lakehouse.storage.revision import log_position, read_revision
from lakehouse.system_columns import WINDOW
from lakehouse.tables.table_types import DerivedTable


def find_disturbed_periods(
    lake: Lake, table: DerivedTable, audits: Mapping[date | None, Audit], known: Days | None
) -> set[date | None]:
    """The periods whose rejected rows somebody else touched after they were made; None is the whole table.

    Args:
        lake: where the tables are.
        table: whose rejected rows.
        audits: the latest audit of each period.
        known: all days that the table has; rows of other days are rejected with the first.
    """
    handle = lake.open_shared(table.quarantine)
    if handle is None or not audits:
        return {key for key, audit in audits.items() if audit.quarantined}
    latest = read_revision(handle)
    stood = {key: audit.provenance.quarantine for key, audit in audits.items()}
    found = {
        key
        for key, then in stood.items()
        if audits[key].quarantined and then is not None and not then.is_in(latest)
    }
    log = lake.read_log_tail(table.quarantine, after=min(map(log_position, stood.values())))
    # A quarantine commit of ours that no audit names was left alone by a run that was broken off.
    named = set(map(log_position, stood.values()))
    for commit in (one for one in log.commits if _is_strange(one, named) and changes_rows(one)):
        touched = _touched(lake, table, commit, known)
        reached = stood.keys() if touched is None else stood.keys() & touched
        found |= {key for key in reached if log_position(stood[key]) < commit.version}
    return found


def _is_strange(commit: Commit, named: set[int]) -> bool:
    """Whether it is not known what a commit did to rejected rows; one with an audit only changed their states."""
    if read_audit(commit) is not None:
        return False
    return PUBLISHED_WITH not in commit.info or commit.version not in named


def _touched(
    lake: Lake, table: DerivedTable, commit: Commit, known: Days | None
) -> set[date] | None:
    """The periods whose rejected rows a commit touched; None where it may be each of them."""
    if table.partitions is None or known is None:
        return None
    days = read_days_of_files(lake, table.quarantine, commit, WINDOW)
    return (
        None
        if days is ALL
        else set(table.partitions.period_keys(day or known.first for day in days))
    )
