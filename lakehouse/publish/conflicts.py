"""The version of a table on which a commit is made, and the one that it makes.

Belongs here: whether what a commit relies on still stands. Does not belong here: what is committed (`draft.py`).

delta-rs lets a commit pass others that came between, where it sees no conflict. It does not see that a compaction
removed the same files; what was replaced then stands on in the compacted file. So a commit that removes files has one
try at a time, on a version that was looked at here.
"""

from collections.abc import Iterable, Iterator

from deltalake import DeltaTable, Transaction

from lakehouse.errors import BusyError
from lakehouse.storage.handle_cache import report_stale_handle
from lakehouse.storage.lake import Lake, list_data_files

_STEPS = 20


def iterate_base_versions(
    lake: Lake,
    table: str,
    handle: DeltaTable,
    removed: Iterable[str],
    fences: Iterable[Transaction],
) -> Iterator[DeltaTable]:
    """The versions to try a commit on, each the latest one at its time.

    Args:
        lake: where the table is.
        table: its name.
        handle: the version that was read.
        removed: the files that the commit removes.
        fences: numbers that nobody else may have written since.

    Raises:
        BusyError: somebody removed one of the files, wrote to the same place, changed the columns or built the table
            again; or others were faster each time.
    """
    gone, apps = frozenset(removed), [fence.app_id for fence in fences]
    for _ in range(_STEPS):
        latest = lake.open_shared(table)
        with report_stale_handle(table):
            if latest is None or not _is_undisturbed(handle, latest, gone, apps):
                break
        yield handle if latest.version() == handle.version() else latest
    raise BusyError(f"{table}: another writer committed first.\nNext: run again.")


def _is_undisturbed(
    handle: DeltaTable, latest: DeltaTable, removed: frozenset[str], apps: Iterable[str]
) -> bool:
    if latest.version() == handle.version():
        return True
    return (
        latest.metadata().id == handle.metadata().id
        and latest.schema() == handle.schema()
        and all(latest.transaction_version(app) == handle.transaction_version(app) for app in apps)
        and removed <= set(list_data_files(latest)["path"])
    )
