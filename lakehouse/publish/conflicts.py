"""Conflicts: whether other commits since the version that was read change what a commit relies on.

Belongs here: the check, and the versions to commit on. Does not belong here: what is committed
(`table_commit.py`).

delta-rs moves a commit on top of others that came first, where it sees no conflict. It does not
see that a compaction removed the same files; the replaced rows would then live on in the compacted
file. So a commit that removes files is tried on one version at a time, and each version is checked
here first.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from deltalake import DeltaTable, Transaction

from lakehouse.errors import BusyError
from lakehouse.publish.request import Request
from lakehouse.storage.handle_cache import report_stale_handle
from lakehouse.storage.lake import Lake, list_data_files
from lakehouse.storage.revision import Revision, read_revision

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
        yield handle if read_revision(latest) == read_revision(handle) else latest
    raise BusyError(f"{table}: another writer committed first.\nNext: run again.")


def _is_undisturbed(
    handle: DeltaTable, latest: DeltaTable, removed: frozenset[str], apps: Iterable[str]
) -> bool:
    """Returns whether what a commit relies on is the same in the latest version."""
    if latest is handle:
        return True
    # Not by the version alone: a table that was deleted and built again reaches the same number. A
    # copy that was put back has the same id as well, but not the same files. A transaction with
    # another number tells of a writer of the same part, whose rows this one has not read.
    return (
        latest.metadata().id == handle.metadata().id
        and latest.schema() == handle.schema()
        and all(latest.transaction_version(app) == handle.transaction_version(app) for app in apps)
        and removed <= set(list_data_files(latest)["path"])
    )


def check_undisturbed(lake: Lake, table: str, handle: DeltaTable, *, is_exclusive: bool) -> None:
    """Refuses to commit on a table that is no longer the one that was read.

    Args:
        lake: where the table is.
        table: its name.
        handle: the version that was read.
        is_exclusive: whether no other commit may have come since. If it may, delta-rs moves the
            commit on top of others; it would also move it on top of a table that was built again.

    Raises:
        BusyError: another writer committed first, or built the table again.
    """
    latest = lake.open_shared(table)
    if latest is handle:
        return
    read = read_revision(handle)
    is_same_table = latest is not None and read.is_in(read_revision(latest))
    if latest is None or not is_same_table or (is_exclusive and not _is_same(handle, latest)):
        raise BusyError(f"{table}: another writer committed first.\nNext: run again.")


def _is_same(handle: DeltaTable, latest: DeltaTable) -> bool:
    """Returns whether two handles show the same version with the same files."""
    if latest.version() != handle.version():
        return False
    paths = (list_data_files(each) for each in (handle, latest))
    one, other = (set(files["path"]) if files.height else set() for files in paths)
    return one == other


@contextmanager
def report_rebuilt_table(lake: Lake, request: Request) -> Iterator[None]:
    """Reports files that are missing because the table of a request was deleted since it was read.

    Raises:
        BusyError: the table is not the one that the request is based on.
    """
    try:
        yield
    except FileNotFoundError as error:
        # Asked only now: an open handle is not looked for again, which spares requests to a bucket.
        base = request.base
        if not isinstance(base, Revision) or base.is_in(lake.revision(request.table)):
            raise
        raise BusyError(
            f"{request.table}: it was deleted in the meantime.\nNext: run again."
        ) from error
