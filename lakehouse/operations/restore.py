"""Go back to an earlier version of a table, together with the rows that it rejected.

A restore is a commit on top of the others, so it can be undone like any other. Rejected rows go first and the table
last, as in a publish: whatever is killed in between is healed by the next run, and the same call may be made again.
The table's own commit says who went back, and why. Nothing is kept from being made again: what the tables say is stale
after a restore is what is stale (`staleness.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError

from lakehouse.environment import Environment
from lakehouse.errors import BusyError
from lakehouse.failpoints import failpoint
from lakehouse.lineage.commit_history import RESTORED
from lakehouse.operations.restore_plan import RestorePlan, scan_own_rejects
from lakehouse.publish.audit import Audit, Provenance
from lakehouse.publish.publish import PUBLISHED_WITH, publish
from lakehouse.publish.request import Sheet, name_partitions
from lakehouse.publish.retry import retry_if_busy
from lakehouse.quarantine.dead_letters import COUNTED_DEAD_LETTERS
from lakehouse.storage.lake import Lake, list_data_files, name_transaction
from lakehouse.storage.revision import read_revision
from lakehouse.system_columns import LINEAGE, WINDOW
from lakehouse.tables.table_types import DerivedTable, RawTable, Table


@dataclass(frozen=True)
class RestoreRequest:
    """Who goes back, and why; stored in the commits."""

    by: str
    reason: str = ""


def restore(here: Environment, found: RestorePlan, wish: RestoreRequest) -> int:
    """Do what was told of, on the version that it was told of; gives the version that the restore made.

    Args:
        here: where the tables are.
        found: what it undoes.
        wish: who asks.

    Raises:
        BusyError: the table has changed since; it was not restored.
        SetupError: the bucket lets writers lose commits.
    """
    table, lake = here.catalog[found.table], here.lake
    told = {"version": found.version, "by": wish.by, "reason": wish.reason}
    lake.check_writable()
    handle = lake.open(found.table, found.standing)
    assert handle is not None  # noqa: S101
    if lake.version(found.table) != found.standing:
        raise _busy(found.table)
    if (
        found.rejects is not None
        and found.rejects_version is not None
        and found.rejected[0] + found.rejected[1]
    ):
        name, version = found.rejects, found.rejects_version
        retry_if_busy(lambda: _restore_rejects(here, table, found, name, version, told))
    failpoint("restore: rejects restored")
    places = {""} | _places(here, table, found, handle)
    fences = [
        Transaction(name_transaction(found.table, place), found.standing + 1)
        for place in sorted(places)
    ]
    if isinstance(table, RawTable):
        fences.append(Transaction(name_transaction(found.table, RESTORED), found.standing + 1))
    if isinstance(table, RawTable) and found.rejects_version is not None:
        fences.append(
            Transaction(name_transaction(found.table, COUNTED_DEAD_LETTERS), found.rejected[1])
        )
    _restore(lake, handle, found.table, found.version, {RESTORED: told}, fences)
    failpoint("restore: table restored")
    return found.standing + 1


def _busy(table: str) -> BusyError:
    return BusyError(
        f"{table}: another writer committed meanwhile.\nNext: look at what it would undo now, run again."
    )


def _restore(
    lake: Lake,
    handle: DeltaTable,
    table: str,
    version: int,
    metadata: Mapping[str, Any],
    fences: list[Transaction] | None = None,
) -> None:
    """One commit; it is not tried again on top of somebody else's."""
    try:
        with lake.translate_errors(), lake.lock_for_commit(table, read_revision(handle)):
            handle.restore(
                version, commit_properties=CommitProperties(dict(metadata), 0, fences or [])
            )
    except CommitFailedError as error:
        raise _busy(table) from error


def _restore_rejects(
    here: Environment,
    table: Table,
    found: RestorePlan,
    rejects: str,
    version: int,
    told: Mapping[str, Any],
) -> None:
    """Bring rejected rows to where they stood; of the dead letters, which tables share, only those of this table."""
    handle = here.lake.open(rejects)
    assert handle is not None  # noqa: S101
    if isinstance(table, DerivedTable) and version >= 0:
        metadata = {
            PUBLISHED_WITH: table.name,
            RESTORED: {**told, "version": version, "with": table.name},
        }
        if handle.version() != version:
            _restore(here.lake, handle, rejects, version, metadata)
        return
    rows = here.lake.scan(rejects, handle.version())
    others = (
        rows.filter(pl.col("table") != table.name) if isinstance(table, RawTable) else rows.clear()
    )
    own = scan_own_rejects(here.lake, table, rejects, version) if version >= 0 else rows.clear()
    kept = pl.concat([others, own], how="diagonal_relaxed")
    hidden = frozenset(kept.collect_schema().names()) - {WINDOW, *LINEAGE}
    sheet = Sheet(rejects, kept, "replace", base=read_revision(handle), hidden=hidden)
    read = int(kept.select(pl.len()).collect().item())
    note = f"gone back with {table.name} to its version {found.version}, by {told['by']}"
    publish(
        here.lake,
        sheet,
        lambda done: Audit(
            rejects,
            "replace",
            read,
            done.rows,
            notes=(note,),
            provenance=Provenance(run_id=f"restore by {told['by']}"),
        ),
    )


def _places(here: Environment, table: Table, found: RestorePlan, handle: DeltaTable) -> set[str]:
    """The parts of the table that its writers may be filling: none of them may come in between."""
    physical = table.properties.physical if isinstance(table, DerivedTable) else None
    then = here.lake.open_shared(found.table, found.version)
    if physical is None or then is None:
        return set()
    column = f"partition._{physical}"
    days = [
        pl.Series(live[column])
        for live in (list_data_files(handle), list_data_files(then))
        if column in live.columns
    ]
    return name_partitions(physical, (day for series in days for day in series if day is not None))
