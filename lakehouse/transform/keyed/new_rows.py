"""Finds the rows of a raw table that a table with keys has not read yet, from the logs of both.

Belongs here: the version from which a table was made, and the rows that were appended after it.
Where anything is uncertain the answer is None, and the table is made from all rows.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from deltalake import DeltaTable

from lakehouse.calendar import WHOLE_TABLE
from lakehouse.lineage.commit_history import changes_rows, read_audit, read_commit_history
from lakehouse.lineage.period_history import has_current_code
from lakehouse.lineage.quarantine_changes import find_disturbed_periods
from lakehouse.publish.audit import Audit
from lakehouse.publish.replacement import scan_files
from lakehouse.storage.lake import Lake, list_data_files
from lakehouse.storage.log import Commit
from lakehouse.tables.keyed_table import KeyedTable
from lakehouse.tables.reading import add_missing_columns
from lakehouse.tables.table_types import RawTable
from lakehouse.transform.inputs import PinnedInput


@dataclass(frozen=True)
class NewRows:
    """The rows of a raw table that came after those from which a table was made.

    Attributes:
        paths: the data files that hold them.
        batches: the batches that they came with; None where the files hold no other rows.
    """

    paths: tuple[str, ...]
    batches: frozenset[str] | None = None

    def scan(self, lake: Lake, source: PinnedInput) -> pl.LazyFrame:
        """Returns these rows, in the columns by which the raw table is declared."""
        handle = source.open(lake)
        assert handle is not None  # noqa: S101
        assert isinstance(source.source, RawTable)  # noqa: S101
        return add_missing_columns(_scan_files(lake, source, handle, self), source.source)


def find_new_rows(
    lake: Lake, table: KeyedTable, source: PinnedInput, latest_commits: int
) -> NewRows | None:
    """Returns the rows of a raw table that came after those from which a table was made.

    Args:
        lake: where the tables are.
        table: the table with keys.
        source: the raw table at the version that is read.
        latest_commits: how many commits of the table are read for its last audit, before its whole
            log is.

    Returns:
        None when they are not known, because the table does not exist or was made by other code,
        because somebody else changed it or its quarantine, or because rows of the raw table were
        removed; and when there are none.
    """
    current, commits = source.open(lake), _commits_since_made(lake, table, source, latest_commits)
    new = [action for commit in commits for action in commit.data_added]
    if current is None or not new:
        return None
    paths = [str(action["path"]) for action in new]
    live = set(list_data_files(current)["path"])
    # The usual case: no compaction has touched the files in which the rows were delivered.
    if live.issuperset(paths):
        return NewRows(tuple(paths))
    batches = _batches_of(commits)
    if batches is None:
        return None
    added = {str(action["path"]) for commit in commits for action in commit.added}
    # A compaction has moved them beside older rows; the count shows that each is still there.
    moved = NewRows(tuple(sorted(live & added)), batches)
    return moved if _count(lake, source, current, moved) == _count_in_log(new) else None


def _commits_since_made(
    lake: Lake, table: KeyedTable, source: PinnedInput, latest_commits: int
) -> list[Commit]:
    """Returns the commits of a raw table since a table was made; none if it must be made anew."""
    name, audit = source.source.name, _read_last_audit(lake, table, latest_commits)
    read = None if audit is None else audit.provenance.inputs.get(name)
    if audit is None or read is None or source.revision is None or not read.is_in(source.revision):
        return []
    if table.full_dumps is not None and audit.quarantined:
        return []  # the stored rows do not show all keys that the last dump held
    # New rows alone would not bring back rejected rows that were rolled back or deleted; and their
    # audit would name the quarantine without them.
    if find_disturbed_periods(lake, table, {WHOLE_TABLE: audit}, known=None):
        return []
    log = lake.read_log_tail(name, after=read.version)
    commits = [commit for commit in log.commits if commit.version <= source.revision.version]
    # Removed rows may have made a key what it is; only all rows that are left can tell.
    has_removals = any(commit.data_removed for commit in commits)
    return [] if log.after > read.version or has_removals else commits


def _scan_files(lake: Lake, source: PinnedInput, handle: DeltaTable, rows: NewRows) -> pl.LazyFrame:
    found = scan_files(lake, source.source.name, handle, rows.paths)
    if rows.batches is None:
        return found
    return found.filter(pl.col("_batch_id").is_in(sorted(rows.batches)))


def _batches_of(commits: Iterable[Commit]) -> frozenset[str] | None:
    """Returns the batches that some commits appended; None when a commit does not name its batch.

    A later commit may have moved new rows into one file with older ones; the batch tells them
    apart.
    """
    audits = [read_audit(commit) for commit in commits if changes_rows(commit)]
    batches = [None if audit is None else audit.provenance.batch_id for audit in audits]
    known = frozenset(batch for batch in batches if batch is not None)
    return None if None in batches else known


def _count(lake: Lake, source: PinnedInput, handle: DeltaTable, rows: NewRows) -> int:
    counted = _scan_files(lake, source, handle, rows).select(pl.len())
    return int(counted.collect(engine="streaming").item())


def _count_in_log(files: Sequence[Mapping[str, Any]]) -> int | None:
    """Returns how many rows some files held when they were added; None when one does not say."""
    counts = [json.loads(action.get("stats") or "{}").get("numRecords") for action in files]
    return None if None in counts else sum(counts)


def _read_last_audit(lake: Lake, table: KeyedTable, latest_commits: int) -> Audit | None:
    """Returns the audit of a table's last change; None if the current code did not make it."""
    version = lake.version(table.name)
    if version is None:
        return None
    # The last audit is nearly always among the latest commits; a long log costs a read of each.
    for after in (max(version - latest_commits, -1), -1):
        commits = read_commit_history(lake, table.name, after=after).effective
        relevant = [commit for commit in commits if read_audit(commit) or changes_rows(commit)]
        if relevant:
            audit = read_audit(relevant[-1])
            is_current = audit is not None and has_current_code(table, audit)
            return audit if is_current else None
    return None
