"""Restores an earlier version of a table, together with the rows that it rejected.

A restore is a commit on top of the others, so it can be undone like any other. Rejected rows are
restored first and the table last, as in a publish. If the process is killed in between, the next
run repairs that, and the same call may be made again. The table's own commit says who asked, and
why. A restore keeps nothing from being made again: `staleness.py` decides what is stale.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError

from lakehouse.environment import Environment
from lakehouse.errors import BusyError
from lakehouse.failpoints import failpoint
from lakehouse.lineage.commit_history import EMPTIED_BY_RESTORE, RESTORED
from lakehouse.operations.restore_plan import RestorePlan, scan_own_rejects
from lakehouse.publish.audit import Audit, Provenance
from lakehouse.publish.publish import PUBLISHED_WITH, publish
from lakehouse.publish.request import ReplaceAll, TableInfo, name_partitions
from lakehouse.publish.retry import retry_if_busy
from lakehouse.quarantine.dead_letters import COUNTED_DEAD_LETTERS
from lakehouse.storage.disk_full import report_full_disk
from lakehouse.storage.lake import (
    Lake,
    list_data_files,
    name_transaction,
    scan_visible_rows,
)
from lakehouse.storage.revision import Revision, read_revision
from lakehouse.storage.write_guards import check_writable, lock_for_commit
from lakehouse.system_columns import LINEAGE, WINDOW
from lakehouse.tables.table_types import DerivedTable, RawTable, Table
from lakehouse.url_secrets import hide_url_secrets


@dataclass(frozen=True)
class RestoreRequest:
    """The person who asks for a restore, and the reason; stored in the commits."""

    by: str
    reason: str = ""


def restore(here: Environment, plan: RestorePlan, request: RestoreRequest) -> int:
    """Carries out a plan, on the version for which it was made.

    Args:
        here: where the tables are.
        plan: what to restore, and what that undoes.
        request: who asks.

    Returns:
        The version that the restore made.

    Raises:
        BusyError: the table has changed since the plan was made; it was not restored.
        SetupError: the bucket lets writers lose commits, or the lake cannot be written.
    """
    with here.lake.translate_errors(), report_full_disk(here.lake.root):
        return _restore(here, plan, request)


def _restore(here: Environment, plan: RestorePlan, request: RestoreRequest) -> int:
    table, lake = here.catalog[plan.table], here.lake
    reason = hide_url_secrets(request.reason)
    note = {"version": plan.target_version, "by": request.by, "reason": reason}
    check_writable(lake)
    # A handle of its own: RESTORE moves the handle, and a shared one would move under other users.
    handle = lake.open(plan.table)
    # Checked before the rejects are touched. A later commit is not in the plan that a person saw
    # and agreed to, and would be undone unseen.
    if handle is None or read_revision(handle) != plan.current:
        raise _busy(plan.table)
    if any(plan.quarantined):
        retry_if_busy(lambda: _restore_rejects(here, table, plan, note))
    failpoint("restore: rejects restored")
    _restore_version(
        lake,
        handle,
        plan.table,
        plan.target_version,
        {RESTORED: note},
        _list_fences(here, table, plan, handle),
    )
    failpoint("restore: table restored")
    # Delta may not move the commit, so it is the next version or none.
    return plan.current.version + 1


def _busy(table: str) -> BusyError:
    return BusyError(
        f"{table}: another writer committed in the meantime.\n"
        "Next: check what the restore would undo now, then run it again."
    )


def _list_fences(
    here: Environment, table: Table, plan: RestorePlan, handle: DeltaTable
) -> list[Transaction]:
    """Returns the transactions by which writers fail that began before the restore."""
    # delta-rs refuses a commit that shares a transaction with one that it has not seen. So the
    # restore writes the transactions of every part that a writer may be filling; `""` is the name
    # of the whole of an unpartitioned table.
    version = plan.current.version + 1
    places = {"", *_list_places(here, table, plan, handle)}
    fences = [Transaction(name_transaction(plan.table, place), version) for place in sorted(places)]
    if isinstance(table, RawTable):
        # Lineage finds by it the rows that a person took away, whose days then become empty in
        # the readers. A RESTORE by another program has no such transaction and empties nothing.
        fences.append(Transaction(name_transaction(plan.table, RESTORED), version))
        # RESTORE takes no transaction back. The number of counted letters is set to those that
        # remain, or letters that a killed landing leaves later would pass for counted.
        if plan.quarantine_version is not None:
            counted = name_transaction(plan.table, COUNTED_DEAD_LETTERS)
            fences.append(Transaction(counted, plan.quarantined[1]))
    return fences


def _list_places(
    here: Environment, table: Table, plan: RestorePlan, handle: DeltaTable
) -> set[str]:
    """Returns the partitions that writers may be filling; none of these writers may commit."""
    physical = table.properties.physical if isinstance(table, DerivedTable) else None
    target = here.lake.open_shared(plan.table, plan.target_version)
    if physical is None or target is None:
        return set()
    column = f"partition._{physical}"
    # Those of both versions: a day that only one of them holds changes as well.
    days = [
        pl.Series(files[column])
        for files in (list_data_files(handle), list_data_files(target))
        if column in files.columns
    ]
    return name_partitions(physical, (day for series in days for day in series if day is not None))


def _restore_version(
    lake: Lake,
    handle: DeltaTable,
    table: str,
    version: int,
    metadata: Mapping[str, Any],
    fences: Sequence[Transaction] = (),
) -> None:
    """Commits a restore once; it is never tried again on top of another writer's commit."""
    # No retries: delta-rs would move the restore on top of another commit.
    properties = CommitProperties(dict(metadata), 0, list(fences))
    try:
        with lake.translate_errors(), lock_for_commit(lake, table, read_revision(handle)):
            handle.restore(version, commit_properties=properties)
    except CommitFailedError as error:
        raise _busy(table) from error


def _restore_rejects(
    here: Environment, table: Table, plan: RestorePlan, note: Mapping[str, Any]
) -> None:
    """Restores the rejected rows of a table.

    Their table goes back to the version that belongs to the target, except in two cases: raw tables
    share one table of dead letters, and a derived table may have had no quarantine at the target.
    Then the rows of this table are replaced, and those of others stay.
    """
    quarantine, version = plan.quarantine, plan.quarantine_version
    if quarantine is None or version is None:  # they stay as they are
        return
    handle = here.lake.open(quarantine)
    if handle is None:  # deleted since the plan was made: the next run writes it again
        return
    if isinstance(table, RawTable) or version < 0:
        _replace_rejects(here, table, plan, read_revision(handle), note)
        return
    metadata = {
        PUBLISHED_WITH: table.name,
        RESTORED: {**note, "version": version, "with": table.name},
    }
    _restore_version(here.lake, handle, quarantine, version, metadata)


def _replace_rejects(
    here: Environment,
    table: Table,
    plan: RestorePlan,
    current: Revision,
    note: Mapping[str, Any],
) -> None:
    """Replaces the rejected rows of a table by those that belong to the target version."""
    quarantine, version = str(plan.quarantine), plan.quarantine_version or 0
    rows = scan_visible_rows(here.lake.open_revision(quarantine, current))
    is_shared = isinstance(table, RawTable)
    others = rows.filter(pl.col("table") != table.name) if is_shared else rows.clear()
    own = scan_own_rejects(here.lake, table, quarantine, version) if version >= 0 else rows.clear()
    # Relaxed, because the columns may have grown or been widened since the target version.
    kept = pl.concat([others, own], how="diagonal_relaxed")
    # Rejected rows may hold personal data in any column, so the log gets no bounds of them.
    hidden = frozenset(kept.collect_schema().names()) - {WINDOW, *LINEAGE}
    request = ReplaceAll(quarantine, kept, base=current, info=TableInfo(hidden=hidden))
    read = int(kept.select(pl.len()).collect().item())
    message = f"restored with version {plan.target_version} of {table.name}, by {note['by']}"
    publish(
        here.lake,
        request,
        lambda done: Audit(
            quarantine,
            # Of a table of its own, lineage has to know: no row is left where a version had some.
            "replace" if is_shared else EMPTIED_BY_RESTORE,
            read,
            done.rows,
            notes=(message,),
            provenance=Provenance(run_id=f"restore by {note['by']}"),
        ),
    )
