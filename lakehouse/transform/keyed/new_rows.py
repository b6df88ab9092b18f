"""Which rows of a raw table a table with keys has not folded yet, as the logs of both tell it.

Belongs here: the version that stands behind a table, and the rows that were appended after it.
None is the answer to everything that is not certain: then the table is folded anew from all rows.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl
from deltalake import DeltaTable

from lakehouse.lineage.commit_history import changes_rows, read_audit, read_commit_history
from lakehouse.lineage.period_history import has_current_code
from lakehouse.publish.audit import Audit
from lakehouse.publish.replacement import scan_files
from lakehouse.storage.lake import Lake, list_data_files
from lakehouse.storage.log import Commit
from lakehouse.storage.revision import read_revision
from lakehouse.tables.table_types import DerivedTable

_LATEST = 20


def find_new_rows(
    lake: Lake, table: DerivedTable, source: str, current: DeltaTable
) -> pl.LazyFrame | None:
    """The rows of a raw table that came after those from which a table was folded.

    Args:
        lake: where the tables are.
        table: the table with keys.
        source: the raw table.
        current: the raw table at the version that is read.

    Returns:
        None when they cannot be told, because the table is not there or was made by other code, because somebody else
        changed it, or because rows of the raw table went; and when there are none.
    """
    audit = _folded(lake, table)
    if audit is None:
        return None
    read = audit.provenance.inputs.get(source)
    if read is None or not read.is_in(read_revision(current)):
        return None
    if table.full_dumps is not None and audit.quarantined:
        return None  # what stands does not tell all that the last dump held
    log = lake.read_log_tail(source, after=read.version)
    commits = [commit for commit in log.commits if commit.version <= current.version()]
    if log.after > read.version or any(commit.data_removed for commit in commits):
        return None
    added = [action for commit in commits for action in commit.added]
    new = [action for commit in commits for action in commit.data_added]
    live = set(list_data_files(current)["path"])
    paths = [str(action["path"]) for action in new]
    if not paths or live.issuperset(paths):
        return scan_files(lake, source, current, paths) if paths else None
    standing = sorted(live.intersection(str(action["path"]) for action in added))
    return _gathered(scan_files(lake, source, current, standing), commits, new)


def _gathered(
    rows: pl.LazyFrame, commits: Iterable[Commit], new: Iterable[Mapping[str, Any]]
) -> pl.LazyFrame | None:
    """The rows of some commits, where they were moved to files in which older ones stand; None where that is not sure.

    Args:
        rows: those of all files that came since, new rows and moved ones.
        commits: what came since.
        new: the files in which the new rows came.
    """
    audits = [read_audit(commit) for commit in commits if changes_rows(commit)]
    batches = {audit.provenance.batch_id for audit in audits if audit is not None}
    counts = [json.loads(action.get("stats") or "{}").get("numRecords") for action in new]
    if None in audits or None in batches or None in counts:
        return None
    of_batches = rows.filter(pl.col("_batch_id").is_in(list(batches)))
    count = of_batches.select(pl.len()).collect(engine="streaming").item()
    return of_batches if count == sum(counts) else None


def _folded(lake: Lake, table: DerivedTable) -> Audit | None:
    """The latest audit of a table that is as we left it, by the transform and contract that are declared now."""
    version = lake.version(table.name)
    if version is None:
        return None
    for after in (version - _LATEST, -1):
        commits = read_commit_history(lake, table.name, after=max(after, -1)).effective
        telling = [commit for commit in commits if read_audit(commit) or changes_rows(commit)]
        audit = read_audit(telling[-1]) if telling else None
        if telling:
            break
    if audit is None:
        return None
    return audit if has_current_code(table, audit) else None
