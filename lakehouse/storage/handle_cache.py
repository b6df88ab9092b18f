"""Caches of open tables, and of what was computed from them.

Opening a table reads its last checkpoint and all log entries after it; checking for one more entry
is cheaper. So a handle is reused until its table has a newer commit. A handle also reads these
files later, when it is asked for the version of an application. It is therefore given up as soon as
there is a later checkpoint: the entries before that one may be cleaned up.

Committing files through a handle leaves it at its version. A RESTORE or a new column moves it.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, cast
from urllib.parse import unquote

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from lakehouse.errors import BusyError, SetupError
from lakehouse.storage.log import locate_entry
from lakehouse.storage.revision import Revision, read_revision

# Delta, Parquet readers and object stores take these for an escape, a pattern or a partition.
_AMBIGUOUS = frozenset("%*=[]{}")
# What delta-rs says about an entry that it needs and that is not in the log any more.
_STALE = re.compile(r"_delta_log/\d{20}\.json|contiguous commit files|Invalid table version")
_T = TypeVar("_T")
_C = TypeVar("_C")
Handles = tuple[DeltaTable | None, ...]
FileState = tuple[object, ...] | None
"""What distinguishes one state of a file from another; None if it does not exist."""


class FolderTable(DeltaTable):
    """A table in a folder, whose files are named as in the file system.

    deltalake gives them as URIs, with blanks and letters beyond ASCII percent-encoded. Polars takes
    such a URI for the name of a file, and does not find it.
    """

    def file_uris(self, *args: Any, **kwargs: Any) -> list[str]:  # noqa: ANN401, as in deltalake
        """Returns the paths of the data files."""
        written = self.table_uri.removeprefix("file://").rstrip("/")
        folder = unquote(written)
        return [folder + path[len(written) :] for path in super().file_uris(*args, **kwargs)]


@contextmanager
def report_stale_handle(table: str) -> Iterator[None]:
    """Reports a handle whose log entries were archived since it was opened.

    Raises:
        BusyError: other writers made hundreds of versions meanwhile.
    """
    try:
        yield
    except DeltaError as error:
        if not _STALE.search(str(error)):
            raise
        raise BusyError(
            f"{table}: other writers committed many versions in the meantime.\n"
            f"Next: run again. ({error})"
        ) from error


def check_folder(root: str) -> None:
    """Refuses a folder that one of the libraries would misread.

    Raises:
        SetupError: a character of its path has another meaning in a URI, a pattern or a partition.
    """
    if found := sorted(set(root) & _AMBIGUOUS):
        raise SetupError(
            f"The lake cannot be in {root}: readers of Delta and Parquet misread {' '.join(found)} "
            "in the path of a folder.\n"
            "Next: choose another folder (LAKEHOUSE_LAKE or LAKEHOUSE_DATA)."
        )


class ValueCache(Generic[_T]):
    """Values computed from open tables, by name; each is valid for its own handles only."""

    def __init__(self) -> None:
        self._values: dict[str, tuple[Handles, _T]] = {}

    def get(self, name: str, handles: Handles, compute: Callable[[], _T]) -> _T:
        """Returns a value, computed anew if a handle was replaced. Callers must not change it."""
        if name in self._values:
            known, value = self._values[name]
            if len(known) == len(handles) and all(map(_is_same, known, handles)):
                return value
        value = compute()
        self._values[name] = handles, value
        return value


def _is_same(one: DeltaTable | None, other: DeltaTable | None) -> bool:
    # A handle is replaced when its table changes, so identity tells. A cached value keeps its own
    # handles alive: no later one can take over an address.
    return one is other


@dataclass(frozen=True)
class _CachedHandle:
    # `state`: of the log entry of `version`, and of the pointer to the last checkpoint.
    handle: DeltaTable
    version: int
    state: tuple[FileState, FileState]


@dataclass(frozen=True)
class HandleCache:
    """The latest known handle of each table, and the caches of what was read with them."""

    _handles: dict[str, _CachedHandle] = field(default_factory=dict)
    _companions: dict[type, object] = field(default_factory=dict)

    def companion(self, kind: type[_C]) -> _C:
        """Returns the one cache of a class that lives as long as these handles.

        A room above this one declares what it caches as a class, and keeps an instance here.
        """
        return cast("_C", self._companions.setdefault(kind, kind()))

    def get(
        self,
        table: str,
        at: int | Revision | None,
        open_table: Callable[[str, int | None], DeltaTable],
        read_state: Callable[[str], FileState],
    ) -> DeltaTable:
        """Returns a table at a version, by the cached handle if that is current.

        Args:
            table: its name.
            at: the version or the revision; None for the latest version.
            open_table: opens a table at a version.
            read_state: reads the state of a file below the root of the lake.

        Raises:
            TableNotFoundError: there is no such table, or another one than that of the revision.
        """
        cached = self._handles.get(table)
        if isinstance(at, Revision):
            # A revision never changes, so no handle of it is out of date. To ask the store for that
            # took a dozen requests of a run, 20 ms each on S3.
            if cached is not None and read_revision(cached.handle) == at:
                return cached.handle
            found = open_table(table, at.version)
            if read_revision(found) != at:
                raise TableNotFoundError(table)
            return found
        if cached is not None and _is_current(table, at, cached, read_state):
            return cached.handle
        handle = open_table(table, at)
        # An older version is not kept: a table has one cached handle, which most calls want latest.
        if at is None:
            state = _read_states(table, handle.version(), read_state)
            self._handles[table] = _CachedHandle(handle, handle.version(), state)
        return handle


def _is_current(
    table: str,
    version: int | None,
    cached: _CachedHandle,
    read_state: Callable[[str], FileState],
) -> bool:
    """Returns whether a handle is at the wanted version, and its table still the same.

    If a table was deleted and another one created under its name, the files have other states.
    """
    if version is None:
        if read_state(locate_entry(table, cached.version + 1)) is not None:
            return False
    elif version != cached.version:
        return False
    # Without an entry both states are None, for a table that is gone as well: nothing is proved.
    has_entry = cached.state[0] is not None
    return has_entry and _read_states(table, cached.version, read_state) == cached.state


def _read_states(
    table: str, version: int, read_state: Callable[[str], FileState]
) -> tuple[FileState, FileState]:
    """Returns the states of a version's log entry and of the pointer to the last checkpoint."""
    pointer = f"{table}/_delta_log/_last_checkpoint"
    return read_state(locate_entry(table, version)), read_state(pointer)
