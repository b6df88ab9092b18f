"""The versions of a table that can be restored: those whose log entries and files are still there.

Belongs here: opening one, and finding it by its time. Does not belong here: what a restore undoes
(`restore_plan.py`).
"""

from datetime import UTC, datetime

import obstore
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from lakehouse.errors import SetupError
from lakehouse.storage.lake import Lake, list_data_files
from lakehouse.storage.log import Commit


def find_version_at(lake: Lake, name: str, moment: datetime) -> int:
    """Returns the latest version at a moment.

    A commit of the same second counts, because times are shown to the second.

    Raises:
        SetupError: the table did not exist then, or its log no longer goes back that far.
    """
    with lake.translate_errors():
        open_latest(lake, name)
        commits = lake.read_remaining_log(name)
    times = {
        commit.version: time for commit in commits if (time := read_commit_time(commit)) is not None
    }
    earlier = [version for version, time in times.items() if time.replace(microsecond=0) <= moment]
    if not earlier:
        first = min(times, default=None)
        oldest = (
            f"its log begins with version {first} of {times[first]}"
            if first is not None
            else "its log holds no times"
        )
        raise SetupError(
            f"{name}: there was no version at {moment}; {oldest}.\n"
            "Next: give a later time, or a version."
        )
    return max(earlier)


def read_commit_time(commit: Commit) -> datetime | None:
    """Returns when a commit was made; None if its log entry does not say."""
    stamp = commit.info.get("timestamp")  # milliseconds since 1970; other writers may omit it
    return datetime.fromtimestamp(stamp / 1000, UTC) if isinstance(stamp, int) else None


def open_latest(lake: Lake, name: str) -> DeltaTable:
    """Opens a table at its latest version.

    Raises:
        SetupError: there is no such table.
    """
    handle = lake.open_shared(name)
    if handle is None:
        raise SetupError(
            f"There is no table {name} in {lake.root}.\n"
            f"Next: name one of {', '.join(lake.tables())}."
        )
    return handle


def open_target(lake: Lake, name: str, version: int, latest: int) -> DeltaTable:
    """Opens a table at an earlier version.

    Raises:
        SetupError: there is no such version, or some of its files are gone.
    """
    if not 0 <= version <= latest:
        raise SetupError(
            f"{name} has no version {version}; the latest is {latest}. A table that was deleted "
            f"and created again starts at 0.\n"
            f"Next: name one from `lakehouse audit {name} --limit 0`."
        )
    handle = _try_open(lake, name, version)
    if handle is None:
        raise SetupError(
            f"{name}: version {version} is gone, its log has been cleaned up.\n"
            f"Next: name a later one; the log still holds {_describe_log(lake, name)}."
        )
    gone = sorted(_find_missing_files(lake, name, handle))
    if gone:
        raise SetupError(
            f"{name}: version {version} is incomplete: {len(gone):,} of its "
            f"{len(handle.file_uris()):,} files have been vacuumed, the first is {gone[0]}.\n"
            "Next: name a later version; or make the table again from its inputs, which needs no "
            "old version (docs/runbook.md, Backfill)."
        )
    return handle


def _try_open(lake: Lake, name: str, version: int) -> DeltaTable | None:
    """Opens a table at a version; returns None if its log no longer reaches it."""
    try:
        return lake.open_shared(name, version)
    except DeltaError:
        return None


def _describe_log(lake: Lake, name: str) -> str:
    left = [commit.version for commit in lake.read_remaining_log(name)]
    return f"versions {left[0]} to {left[-1]}" if left else "no versions"


def _find_missing_files(lake: Lake, name: str, handle: DeltaTable) -> set[str]:
    """Returns the data files of a version that no longer exist."""
    wanted = set(_list_paths(handle))
    # One listing of the folder, which a bucket answers in pages, and not a request for each file.
    pages = obstore.list(lake.store, prefix=name)
    there = {str(meta["path"]).removeprefix(f"{name}/") for page in pages for meta in page}
    return wanted - there


def _list_paths(handle: DeltaTable) -> list[str]:
    live = list_data_files(handle)
    return list(live["path"]) if live.height else []


def is_intact(lake: Lake, name: str, version: int) -> bool:
    """Returns whether a version can be opened and has all its files."""
    handle = _try_open(lake, name, version)
    return handle is not None and not _find_missing_files(lake, name, handle)
