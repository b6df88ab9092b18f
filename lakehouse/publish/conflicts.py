"""Conflicts: whether other commits since the version that was read change what a commit relies on.

Belongs here: the check, and the versions to commit on. Does not belong here: what is committed
(`table_commit.py`).

delta-rs moves a commit on top of others that came first, where it sees no conflict. It does not
see that a compaction removed the same files; the replaced rows would then live on in the compacted
file. So a commit that removes files is tried on one version at a time, and each version is checked
here first.
"""

from collections.abc import Iterable, Iterator

from deltalake import DeltaTable, Transaction

from lakehouse.errors import BusyError
from lakehouse.storage.handle_cache import report_stale_handle
from lakehouse.storage.lake import Lake, list_data_files

_MOST_ATTEMPTS = 20  # each but the last lost a race of milliseconds against another commit


def iterate_base_versions(
    lake: Lake,
    table: str,
    handle: DeltaTable,
    removed: Iterable[str],
    transactions: Iterable[Transaction],
) -> Iterator[DeltaTable]:
    """Yields the versions to try a commit on, each the latest one at its time.

    Args:
        lake: where the table is.
        table: its name.
        handle: the version that was read.
        removed: the files that the commit removes.
        transactions: those of the commit; no other commit may have changed their numbers.

    Raises:
        BusyError: another writer removed one of the files, wrote to the same part, changed the
            columns or built the table again; or others were faster each time.
    """
    paths, apps = frozenset(removed), [transaction.app_id for transaction in transactions]
    for _ in range(_MOST_ATTEMPTS):
        latest = lake.open_shared(table)
        with report_stale_handle(table):
            if latest is None or not _is_undisturbed(handle, latest, paths, apps):
                break
        yield handle if latest.version() == handle.version() else latest
    raise BusyError(f"{table}: another writer committed first.\nNext: run again.")


def _is_undisturbed(
    handle: DeltaTable, latest: DeltaTable, removed: frozenset[str], apps: Iterable[str]
) -> bool:
    """Returns whether what a commit relies on is the same in the latest version."""
    if latest.version() == handle.version():
        return True
    # A table that was deleted and built again has another id. A transaction with another number
    # tells of a writer of the same part, whose rows may be in files that this one has not read.
    return (
        latest.metadata().id == handle.metadata().id
        and latest.schema() == handle.schema()
        and all(latest.transaction_version(app) == handle.transaction_version(app) for app in apps)
        and removed <= set(list_data_files(latest)["path"])
    )
