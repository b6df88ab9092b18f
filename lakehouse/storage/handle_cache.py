"""Open tables, shared as long as nobody has committed: to look for the next log entry is cheaper than to open anew.

Opening a table reads its last checkpoint and all log entries after that. A handle reads on in these files when it is
asked for the number of an application, and so it is given up as soon as there is a later checkpoint: the entries before
that may be cleaned up. To commit files through a handle leaves it at its version; a RESTORE or a new column moves it.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast
from urllib.parse import unquote

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from lakehouse.errors import BusyError, SetupError
from lakehouse.storage.log import locate_entry

_AMBIGUOUS = frozenset("%*=[]{}")
_LEFT_BEHIND = re.compile(r"_delta_log/\d{20}\.json|contiguous commit files|Invalid table version")
T = TypeVar("T")
State = tuple[object, ...] | None


class FolderTable(DeltaTable):
    """A table in a folder, whose files are named as the file system names them.

    deltalake names them by URI, in which a blank is `%20` and a letter beyond ASCII more of this; Polars takes that for
    the name of a file, and does not find it.
    """

    def file_uris(self, *args: Any, **kwargs: Any) -> list[str]:  # noqa: ANN401
        """The paths of the data files."""
        written = self.table_uri.removeprefix("file://").rstrip("/")
        folder = unquote(written)
        return [folder + path[len(written) :] for path in super().file_uris(*args, **kwargs)]


@contextmanager
def report_stale_handle(table: str) -> Iterator[None]:
    """Tell of a handle that others have left far behind: it reads on in the log, and old entries are archived.

    Raises:
        BusyError: they are by now.
    """
    try:
        yield
    except DeltaError as error:
        if not _LEFT_BEHIND.search(str(error)):
            raise
        raise BusyError(
            f"{table}: other writers made many versions meanwhile.\nNext: run again. ({error})"
        ) from error


def check_folder(root: str) -> None:
    """Refuse a folder that one of the libraries would take for another.

    Raises:
        SetupError: its path has a sign that stands for something else in a URI, a pattern or a partition.
    """
    if signs := sorted(set(root) & _AMBIGUOUS):
        raise SetupError(
            f"The lake cannot lie in {root}: {' '.join(signs)} in the path of a folder is misread by Delta's and "
            "Parquet's readers.\nNext: choose a folder without (LAKEHOUSE_LAKE or LAKEHOUSE_DATA)."
        )


@dataclass(frozen=True)
class _Kept:
    handle: DeltaTable
    version: int
    state: tuple[State, State]


@dataclass(frozen=True)
class HandleCache:
    """The latest known handle of each table, and what was read with them.

    Attributes:
        sources: `_source` and `_modified_at` of the deliveries in a data file, by its table and its path.
    """

    sources: dict[str, dict[str, pl.DataFrame]] = field(default_factory=dict)

    _kept: dict[str, _Kept] = field(default_factory=dict)
    _told: dict[str, tuple[tuple[DeltaTable | None, ...], Any]] = field(default_factory=dict)

    def told(self, name: str, by: tuple[DeltaTable | None, ...], tell: Callable[[], T]) -> T:
        """What some shared handles tell, worked out once as long as they are the same; nobody may change it."""
        known, found = self._told.get(name, ((), None))
        if len(known) != len(by) or any(
            one is not other for one, other in zip(known, by, strict=True)
        ):
            found = tell()
            self._told[name] = (by, found)
        return cast("T", found)

    def get(
        self,
        table: str,
        version: int | None,
        opened: Callable[[str, int | None], DeltaTable],
        state_of: Callable[[str], State],
    ) -> DeltaTable:
        """A table at a version, the latest by default.

        Args:
            table: its name.
            version: the version, None for the latest.
            opened: opens it anew.
            state_of: what tells one state of a file from another; None if it is not there.
        """
        kept = self._kept.get(table)
        if kept is not None and _holds(table, version, kept, state_of):
            return kept.handle
        handle = opened(table, version)
        if version is None:
            self._kept[table] = _Kept(
                handle, handle.version(), _state(table, handle.version(), state_of)
            )
        return handle


def _holds(table: str, version: int | None, kept: _Kept, state_of: Callable[[str], State]) -> bool:
    """Whether what is kept is what is asked for: a table may go and come again under its name."""
    if version is None and state_of(locate_entry(table, kept.version + 1)) is not None:
        return False
    is_asked_for = version is None or version == kept.version
    return (
        is_asked_for
        and kept.state[0] is not None
        and _state(table, kept.version, state_of) == kept.state
    )


def _state(table: str, version: int, state_of: Callable[[str], State]) -> tuple[State, State]:
    return state_of(locate_entry(table, version)), state_of(f"{table}/_delta_log/_last_checkpoint")
