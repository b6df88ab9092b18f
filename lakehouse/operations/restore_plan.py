"""What going back to an earlier version of a table would undo, told before anything is changed.

Belongs here: which versions can be restored, the commits that they undo, and what has to go back with a table: the rows
that it rejected. Does not belong here: doing it (`restore.py`), and what the next run makes again (`staleness.py`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

import obstore
import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from lakehouse.environment import Environment
from lakehouse.errors import BusyError, SetupError
from lakehouse.ingest.delivery_register import read_register
from lakehouse.ingest.row_origins import read_occurrences
from lakehouse.lineage.commit_history import read_audit, read_commit_history
from lakehouse.publish.audit import Audit
from lakehouse.quarantine.dead_letters import DEAD_LETTERS
from lakehouse.storage.lake import Lake, list_data_files
from lakehouse.storage.log import Commit
from lakehouse.storage.revision import read_revision
from lakehouse.tables.table_types import RawTable, Table


@dataclass(frozen=True)
class RestorePlan:
    """What going back to an earlier version of a table would undo.

    Attributes:
        table: its name.
        standing: the version that stands, on which all this was found out.
        version: the version to go back to.
        undone: commits that are in effect now and will not be.
        redone: commits that an earlier restore undid, and that will be in effect again.
        is_whole: whether the log still tells of every commit between the two.
        rows: the rows of the table, now and then.
        rejects: the table that holds its rejected rows or dead letters; None if it has not changed since.
        rejects_version: the version of it that belongs to the version of the table, -1 for none; None where that is
            not known or gone: then it stays as it is.
        rejected: the rows in it that are this table's, now and then.
        again: files whose rows go, and which the next run lands again, because they lie in landing.
        lost: files whose rows go and do not come back by themselves, because they do not.
        readers: the tables that are made from it, at whatever distance.
    """

    table: str
    standing: int
    version: int
    undone: tuple[Commit, ...]
    redone: tuple[Commit, ...]
    is_whole: bool
    rows: tuple[int, int]
    rejects: str | None
    rejects_version: int | None
    rejected: tuple[int, int]
    again: tuple[str, ...]
    lost: tuple[str, ...]
    readers: tuple[str, ...]

    @property
    def audits(self) -> list[Audit]:
        """The audits of the commits that it undoes."""
        return [audit for commit in self.undone if (audit := read_audit(commit)) is not None]

    @property
    def is_noop(self) -> bool:
        """Whether the table stands as it stood then; what goes back with it did so before."""
        return self.is_whole and not self.undone and not self.redone


def plan_restore(here: Environment, name: str, version: int) -> RestorePlan:
    """What going back to a version of a table would undo.

    Raises:
        SetupError: the table or the version does not exist, or is no longer whole.
    """
    if name.startswith("quarantine/"):
        raise SetupError(
            f"{name} goes back with the table whose rows it holds.\n"
            "Next: restore that one; or let the next run bring this one into order."
        )
    table, lake = here.catalog[name], here.lake
    handle = _open(lake, name)
    then = _open_then(lake, name, version, handle.version())
    now, before = (read_commit_history(lake, name, until=until) for until in (None, version))
    versions = [{commit.version for commit in found} for found in (now.effective, before.effective)]
    rejects = DEAD_LETTERS if isinstance(table, RawTable) else table.quarantine
    rejects_version = _rejects_version(lake, rejects, before.effective)
    again, lost = _files(here, table, handle, then) if isinstance(table, RawTable) else ((), ())
    return RestorePlan(
        name,
        handle.version(),
        version,
        tuple(commit for commit in now.effective if commit.version not in versions[1]),
        tuple(commit for commit in before.effective if commit.version not in versions[0]),
        now.is_complete and before.is_complete,
        (_height(handle), _height(then)),
        rejects if lake.version(rejects) not in (None, rejects_version) else None,
        rejects_version,
        _rejected(lake, table, rejects, rejects_version),
        again,
        lost,
        _readers(here, name),
    )


def find_version_at(lake: Lake, name: str, moment: datetime) -> int:
    """The version that stood at a moment; a commit of the same second counts, since people are shown seconds.

    Raises:
        SetupError: the table did not exist then, or its log no longer tells.
    """
    _open(lake, name)
    times = {
        commit.version: time
        for commit in lake.read_remaining_log(name)
        if (time := read_commit_time(commit)) is not None
    }
    earlier = [version for version, time in times.items() if time.replace(microsecond=0) <= moment]
    if not earlier:
        first = min(times, default=None)
        told = (
            "its log tells no times"
            if first is None
            else f"the first that is told of is {first} of {times[first]}"
        )
        raise SetupError(
            f"{name}: no version stood at {moment}; {told}.\nNext: ask for a later time, or a version."
        )
    return max(earlier)


def read_commit_time(commit: Commit) -> datetime | None:
    """When a commit was made; None where its log entry does not say."""
    stamp = commit.info.get("timestamp")
    return datetime.fromtimestamp(stamp / 1000, UTC) if isinstance(stamp, int) else None


def list_days(audits: Sequence[Audit]) -> tuple[date, ...]:
    """The days of the periods that some commits made."""
    return tuple(sorted({day for audit in audits for span in audit.materialized for day in span}))


def _open(lake: Lake, name: str) -> DeltaTable:
    handle = lake.open_shared(name)
    if handle is None:
        raise SetupError(
            f"There is no table {name} in {lake.root}.\nNext: name one of {', '.join(lake.tables())}."
        )
    return handle


def _open_then(lake: Lake, name: str, version: int, latest: int) -> DeltaTable:
    """A table at an earlier version, of which every file is still there.

    Raises:
        SetupError: there is no such version, or it is no longer whole.
    """
    if not 0 <= version <= latest:
        raise SetupError(
            f"{name} has no version {version}; the latest is {latest}. A table that was deleted and built again begins "
            f"at 0 anew.\nNext: name one from `lakehouse audit {name} --limit 0`."
        )
    handle = _opened(lake, name, version)
    if handle is None:
        raise SetupError(
            f"{name}: version {version} is gone, its log has been cleaned up.\n"
            f"Next: name a later one; {_left(lake, name)} are left in the log."
        )
    gone = sorted(_missing(lake, name, handle))
    if gone:
        raise SetupError(
            f"{name}: version {version} is no longer whole, {len(gone):,} of its {len(handle.file_uris()):,} files "
            f"have been vacuumed, the first is {gone[0]}.\n"
            "Next: name a later version; or make the table again from its inputs, which needs no old version "
            "(docs/runbook.md, Backfill)."
        )
    return handle


def _opened(lake: Lake, name: str, version: int) -> DeltaTable | None:
    """A table at a version; None where its log no longer has it."""
    try:
        return lake.open_shared(name, version)
    except DeltaError:
        return None


def _left(lake: Lake, name: str) -> str:
    left = [commit.version for commit in lake.read_remaining_log(name)]
    return f"versions {left[0]} to {left[-1]}" if left else "no versions"


def _missing(lake: Lake, name: str, handle: DeltaTable) -> set[str]:
    """The data files of a version that are not there any more."""
    wanted = set(_paths(handle))
    pages = obstore.list(lake.store, prefix=name)
    there = {str(meta["path"]).removeprefix(f"{name}/") for page in pages for meta in page}
    return wanted - there


def _paths(handle: DeltaTable) -> list[str]:
    live = list_data_files(handle)
    return list(live["path"]) if live.height else []


def _height(handle: DeltaTable) -> int:
    live = list_data_files(handle)
    return int(live["num_records"].sum()) if live.height else 0


def _rejects_version(lake: Lake, rejects: str, commits: Sequence[Commit]) -> int | None:
    """The version of the rejected rows to which some commits of their table had led; None where nobody can tell."""
    handle = lake.open_shared(rejects)
    told = [audit.provenance for commit in commits if (audit := read_audit(commit)) is not None]
    if handle is None or not told:
        return None
    then = told[-1].quarantine
    if then is None:
        return -1
    is_there = then.is_in(read_revision(handle))
    return then.version if is_there and _is_whole(lake, rejects, then.version) else None


def _is_whole(lake: Lake, name: str, version: int) -> bool:
    handle = _opened(lake, name, version)
    return handle is not None and not _missing(lake, name, handle)


def scan_own_rejects(
    lake: Lake, table: Table, rejects: str, version: int | None = None
) -> pl.LazyFrame:
    """The rejected rows of a table at a version of theirs; of a raw table only its own dead letters."""
    rows = lake.scan(rejects, version)
    return rows.filter(pl.col("table") == table.name) if isinstance(table, RawTable) else rows


def _rejected(lake: Lake, table: Table, rejects: str, version: int | None) -> tuple[int, int]:
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


def _files(
    here: Environment, table: RawTable, now: DeltaTable, then: DeltaTable
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The files whose rows go: those that lie in landing, and those that do not."""
    gone, kept = (
        read_occurrences(here.lake, table.name, now),
        read_occurrences(here.lake, table.name, then),
    )
    names = {digest: origin.name for digest, origin in gone.items() if digest not in kept}
    known = read_register(here.lake, table.name).digests
    try:
        lying = {
            known[entry] for entry in here.landing.list_entries(table.landing) if entry in known
        }
    except (SetupError, BusyError):
        lying = set()
    again = sorted(name for digest, name in names.items() if digest in lying)
    return tuple(again), tuple(
        sorted(name for digest, name in names.items() if digest not in lying)
    )


def _readers(here: Environment, name: str) -> tuple[str, ...]:
    return tuple(_reading(here, {name}))


def _reading(here: Environment, seen: set[str]) -> Iterator[str]:
    for reader in here.catalog.derived_tables:
        if seen & set(here.catalog.find_inputs(reader).values()):
            seen.add(reader.name)
            yield reader.name
