"""Plans of restores: what an earlier version of a table would undo, before anything is changed.

Belongs here: which versions can be restored, the commits that a restore undoes, and the rejected
rows that have to be restored with the table. Does not belong here: carrying out the plan
(`restore.py`), and what the next run makes again (`staleness.py`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl
from deltalake import DeltaTable

from lakehouse.environment import Environment
from lakehouse.errors import BusyError, SetupError
from lakehouse.ingest.delivery_register import read_register
from lakehouse.ingest.row_origins import read_occurrences
from lakehouse.lineage.commit_history import changes_rows, read_audit, read_commit_history
from lakehouse.operations.restorable_versions import is_intact, open_latest, open_target
from lakehouse.publish.audit import Audit
from lakehouse.quarantine.dead_letters import DEAD_LETTERS
from lakehouse.storage.lake import Lake
from lakehouse.storage.log import Commit
from lakehouse.storage.revision import Revision, read_revision
from lakehouse.storage.visible_rows import count_visible_rows
from lakehouse.tables.table_types import RawTable, Table


@dataclass(frozen=True)
class RestorePlan:
    """The consequences of restoring an earlier version of a table.

    Attributes:
        table: its name.
        current: the revision for which the plan was made.
        target_version: the version to restore.
        undone: commits that are in effect now and will not be after the restore.
        reapplied: commits that an earlier restore undid, and that will be in effect again.
        is_log_complete: whether the log still holds every commit between the two versions.
        rows: the rows of the table, now and then.
        quarantine: the table of its rejected rows or dead letters; None if unchanged since.
        quarantine_version: the version of the quarantine that belongs to the target version, -1 if
            there was none; None if it is not known or gone, so that the quarantine stays as it is.
        quarantined: the rows of this table in quarantine, now and then.
        landed_again: files whose rows go and which the next run lands again from landing.
        lost_files: files whose rows go and which are not in landing.
        readers: the tables that are made from it, directly or through others.
    """

    table: str
    current: Revision
    target_version: int
    undone: tuple[Commit, ...]
    reapplied: tuple[Commit, ...]
    is_log_complete: bool
    rows: tuple[int, int]
    quarantine: str | None
    quarantine_version: int | None
    quarantined: tuple[int, int]
    landed_again: tuple[str, ...]
    lost_files: tuple[str, ...]
    readers: tuple[str, ...]

    @property
    def audits(self) -> list[Audit]:
        """The audits of the commits that it undoes."""
        return [audit for commit in self.undone if (audit := read_audit(commit)) is not None]

    @property
    def is_noop(self) -> bool:
        """Whether the table, and so its quarantine, holds the same at both versions."""
        return self.is_log_complete and not self.undone and not self.reapplied


def plan_restore(here: Environment, name: str, version: int) -> RestorePlan:
    """Plans the restore of a version of a table; changes nothing.

    Raises:
        SetupError: the table or the version does not exist, or files of the version are gone.
    """
    if name.startswith("quarantine/"):
        raise SetupError(
            f"{name} is restored together with the table that rejected its rows.\n"
            "Next: restore that table, or wait: the next run brings the quarantine up to date."
        )
    with here.lake.translate_errors():
        return _plan(here, name, version)


def _plan(here: Environment, name: str, version: int) -> RestorePlan:
    table, lake = here.catalog[name], here.lake
    current = open_latest(lake, name)
    target = open_target(lake, name, version, current.version())
    # Effective at each version, not all between the two: an earlier restore has undone some.
    now, then = (read_commit_history(lake, name, until=until) for until in (None, version))
    current_versions = {commit.version for commit in now.effective}
    target_versions = {commit.version for commit in then.effective}
    quarantine = DEAD_LETTERS if isinstance(table, RawTable) else table.quarantine
    quarantine_version = _find_quarantine_version(lake, quarantine, then.effective)
    is_quarantine_same = _is_quarantine_same(lake, quarantine, quarantine_version)
    landed_again: tuple[str, ...] = ()
    lost_files: tuple[str, ...] = ()
    if isinstance(table, RawTable):
        landed_again, lost_files = _list_undone_files(here, table, current, target)
    return RestorePlan(
        table=name,
        current=read_revision(current),
        target_version=version,
        undone=tuple(c for c in now.effective if c.version not in target_versions),
        reapplied=tuple(c for c in then.effective if c.version not in current_versions),
        is_log_complete=now.is_complete and then.is_complete,
        rows=(count_visible_rows(current), count_visible_rows(target)),
        quarantine=None if is_quarantine_same else quarantine,
        quarantine_version=quarantine_version,
        quarantined=_count_rejects(lake, table, quarantine, quarantine_version),
        landed_again=landed_again,
        lost_files=lost_files,
        readers=tuple(_list_readers(here, name)),
    )


def list_days(audits: Sequence[Audit]) -> tuple[date, ...]:
    """Returns the days of the periods that some commits made, sorted."""
    return tuple(sorted({day for audit in audits for span in audit.materialized for day in span}))


def _find_quarantine_version(lake: Lake, quarantine: str, commits: Sequence[Commit]) -> int | None:
    """Returns the version of a quarantine that belongs to the last of its table's commits.

    Returns:
        -1 if there was no quarantine yet; None if the commits do not say, or it is no longer whole.
    """
    handle = lake.open_shared(quarantine)
    audits = [audit for commit in commits if (audit := read_audit(commit)) is not None]
    if handle is None or not audits:
        return None
    revision = audits[-1].provenance.quarantine
    if revision is None:
        return -1
    # A quarantine that was deleted and made anew has a version of that number under another id.
    is_there = revision.is_in(read_revision(handle))
    return revision.version if is_there and is_intact(lake, quarantine, revision.version) else None


def _is_quarantine_same(lake: Lake, quarantine: str, version: int | None) -> bool:
    """Returns whether a quarantine holds the rows of an earlier version, or does not exist."""
    latest = lake.version(quarantine)
    if latest is None or latest == version:
        return True
    if version is None or version < 0:
        return False
    # A restore that was killed has brought it back already. By the log, a version after a RESTORE
    # is the one that the RESTORE went back to.
    since = read_commit_history(lake, quarantine, after=version)
    return since.is_complete and not any(map(changes_rows, since.effective))


def scan_own_rejects(
    lake: Lake, table: Table, rejects: str, version: int | None = None
) -> pl.LazyFrame:
    """Scans the rejected rows of a table; raw tables share one table of dead letters."""
    rows = lake.scan(rejects, version)
    return rows.filter(pl.col("table") == table.name) if isinstance(table, RawTable) else rows


def _count_rejects(lake: Lake, table: Table, rejects: str, version: int | None) -> tuple[int, int]:
    if lake.open_shared(rejects) is None:
        return 0, 0
    now = int(scan_own_rejects(lake, table, rejects).select(pl.len()).collect().item())
    if version is None:
        return now, now
    then = (
        scan_own_rejects(lake, table, rejects, version).select(pl.len()).collect().item()
        if version >= 0
        else 0
    )
    return now, int(then)


def _list_undone_files(
    here: Environment, table: RawTable, current: DeltaTable, target: DeltaTable
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns the files whose rows go: those that are still in landing, and the others."""
    now = read_occurrences(here.lake, table.name, current)
    then = read_occurrences(here.lake, table.name, target)
    names = {digest: origin.name for digest, origin in now.items() if digest not in then}
    register = read_register(here.lake, table.name)
    try:
        entries = here.landing.list_entries(table.landing)
    except (SetupError, BusyError):
        entries = []  # while landing cannot be read, a restore must not promise its files
    in_landing = {register.guess_digest(entry) for entry in entries}
    landed_again = sorted(name for digest, name in names.items() if digest in in_landing)
    lost = sorted(name for digest, name in names.items() if digest not in in_landing)
    return tuple(landed_again), tuple(lost)


def _list_readers(here: Environment, name: str) -> Iterator[str]:
    """Yields the tables that are made from a table, directly or through others, in their order."""
    changed = {name}
    for reader in here.catalog.derived_tables:
        if changed & set(here.catalog.find_inputs(reader).values()):
            changed.add(reader.name)
            yield reader.name
