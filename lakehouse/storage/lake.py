"""Where the tables are: a root URI, its storage options, and reading what stands there.

Belongs here: names and places of tables, opening them, scanning a version, listing files and log entries.
Does not belong here: writing (`publish.py` is the only way in which a table changes).
"""

import hashlib
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TypeVar

import obstore
import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError
from obstore.store import ObjectStore

from lakehouse.errors import BusyError, SetupError
from lakehouse.storage import put_if_absent
from lakehouse.storage.handle_cache import (
    FolderTable,
    HandleCache,
    check_folder,
    report_stale_handle,
)
from lakehouse.storage.limits import WriteLimits
from lakehouse.storage.locks import wait_for_lock
from lakehouse.storage.log import Commit, LogTail
from lakehouse.storage.log_archive import restore_entries
from lakehouse.storage.log_reader import LogReader
from lakehouse.storage.object_store import open_store, translate_store_errors
from lakehouse.storage.revision import Revision, read_revision
from lakehouse.system_columns import hide_tombstones

LAYERS = ("raw", "staged", "marts", "quarantine")
_NAME = re.compile(rf"({'|'.join(LAYERS)})/[a-z][a-z0-9_]*")
_REQUESTS_AT_ONCE = 32
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Lake:
    """A root URI, a folder or a bucket, under which every table stands as `<layer>/<table>`.

    Attributes:
        root: an absolute folder or a URI such as `s3://bucket/lake`.
        options: object store options as delta-rs and Polars take them; never logged.
        single_writer: whether only this machine writes; a bucket that cannot put if absent is refused without it.
        limits: how large the files of tables are, and how much of them is in memory at a time.
        handles: the tables that were opened.
    """

    root: str
    options: Mapping[str, str] = field(default_factory=dict, repr=False)
    single_writer: bool = False
    limits: WriteLimits = field(default_factory=WriteLimits, repr=False, kw_only=True)
    handles: HandleCache = field(
        default_factory=HandleCache, repr=False, compare=False, kw_only=True
    )

    def __post_init__(self) -> None:
        """Refuse a folder that would be misread, see `handle_cache.check_folder`."""
        if self.is_local:
            check_folder(self.root)

    @property
    def is_local(self) -> bool:
        """Whether the root is a folder of this machine."""
        return "://" not in self.root

    @property
    def _exists(self) -> bool:
        """Whether anything can be there; looking makes no folder."""
        return not self.is_local or Path(self.root).exists()

    @cached_property
    def store(self) -> ObjectStore:
        """The object store at the root."""
        return open_store(self.root, self.options)

    def translate_errors(self) -> AbstractContextManager[None]:
        """Tells in short when the store fails, see `object_store.translate_store_errors`."""
        return translate_store_errors(self.root, self.options)

    def check_writable(self) -> None:
        """Refuse a bucket in which several writers would lose commits; a folder of this machine is none.

        Raises:
            SetupError: its store does not put if absent.
            OutageError: it does not answer.
        """
        if not self.is_local and not self.single_writer:
            put_if_absent.prove_put_if_absent(self.root, self.options)

    @contextmanager
    def lock_for_commit(self, table: str, base: Revision | None) -> Iterator[None]:
        """A writer's turn to commit: with a single writer the processes of this machine wait for each other.

        Args:
            table: the table to commit to.
            base: the revision that the commit stands on; None for a table that does not exist yet.

        Raises:
            BusyError: the table has another revision by now.
        """
        if self.is_local or not self.single_writer:
            yield
            return
        with wait_for_lock(
            Path(tempfile.gettempdir())
            / f"lakehouse-{hashlib.sha256(self.root.encode()).hexdigest()[:16]}.lock"
        ):
            if self.revision(table) != base:
                raise BusyError(f"{table}: another writer committed first.\nNext: run again.")
            yield

    def uri(self, table: str) -> str:
        """The place of a table.

        Raises:
            SetupError: `table` is not of the form `<layer>/<table>`.
        """
        check_name(table)
        return f"{self.root.rstrip('/')}/{table}"

    def open(self, table: str, version: int | None = None) -> DeltaTable | None:
        """The table at a version, the latest by default; None when it does not exist yet."""
        try:
            with self.translate_errors():
                return self._opened(table, version)
        except TableNotFoundError:
            return None

    def open_shared(self, table: str, version: int | None = None) -> DeltaTable | None:
        """The table like `open`, by a handle that is shared: nobody may move it to another version."""
        try:
            with self.translate_errors():
                return self.handles.get(table, version, self._opened, self._state)
        except TableNotFoundError:
            return None

    def _opened(self, table: str, version: int | None) -> DeltaTable:
        if self.is_local and not Path(self.uri(table), "_delta_log").is_dir():
            raise TableNotFoundError(
                table
            )  # a look at the folder, where delta-rs takes milliseconds to find nothing
        kind = FolderTable if self.is_local else DeltaTable
        opened = partial(
            kind, self.uri(table), version=version, storage_options=dict(self.options) or None
        )
        try:
            return opened()
        except DeltaError:
            if version is None or not restore_entries(self.store, table, version):
                raise
        return opened()

    def _state(self, path: str) -> tuple[object, ...] | None:
        """What tells one state of a file below the root from another; None if it is not there."""
        try:
            found = obstore.head(self.store, path)
        except FileNotFoundError:
            return None
        return found["e_tag"], found["last_modified"], found["size"]

    def version(self, table: str) -> int | None:
        """The latest version of a table; None when it does not exist yet."""
        handle = self.open_shared(table)
        return None if handle is None else handle.version()

    def revision(self, table: str) -> Revision | None:
        """The latest revision of a table; None when it does not exist yet."""
        handle = self.open_shared(table)
        return None if handle is None else read_revision(handle)

    def scan(self, table: str, version: int | None = None) -> pl.LazyFrame:
        """The rows of a table at a version, lazily.

        Raises:
            SetupError: there is no such table yet.
        """
        handle = self.open_shared(table, version)
        if handle is None:
            known = ", ".join(self.tables()) or "none yet"
            raise SetupError(
                f"There is no table {table} in {self.root}.\nNext: make it first; there are: {known}."
            )
        return scan_visible_rows(handle)

    def tables(self) -> list[str]:
        """Every table that exists, by name, layer by layer."""
        found: list[str] = []
        for layer in LAYERS if self._exists else ():
            with self.translate_errors():
                prefixes = obstore.list_with_delimiter(self.store, prefix=f"{layer}/")[
                    "common_prefixes"
                ]
            names = sorted(str(prefix).rstrip("/") for prefix in prefixes)
            found += [
                name
                for name in names
                if _NAME.fullmatch(name) and self.open_shared(name) is not None
            ]
        return found

    def read_log(self, table: str, *, after: int = -1) -> list[Commit] | None:
        """The log entries after a version, oldest first; None when the log no longer reaches back that far."""
        tail = self.read_log_tail(table, after=after)
        return list(tail.commits) if tail.after <= after else None

    def read_log_tail(self, table: str, *, after: int = -1) -> LogTail:
        """The log entries after a version, or after the last one that has been cleaned up."""
        latest = self.version(table)
        if latest is None or latest <= after:
            return LogTail(after)
        # A commit that came in between the two looks is for the next call.
        asked = range(after + 1, latest + 1)
        with self.translate_errors():
            left = self._entries(table).of(asked)
        known = max((version for version in asked if version not in left), default=after)
        return LogTail(known, tuple(left[version] for version in range(known + 1, latest + 1)))

    def read_remaining_log(self, table: str, *, after: int = -1) -> list[Commit]:
        """The log entries after a version that have not been cleaned up, oldest first."""
        with self.translate_errors():
            return self._entries(table).left(after) if self._exists else []

    def follow_log(self, table: str, *, after: int) -> Iterator[Commit]:
        """The log entries that follow a version, until one is not there."""
        with self.translate_errors():
            while found := self._entries(table).of(range(after + 1, after + 2)):
                yield from found.values()
                after += 1

    def _entries(self, table: str) -> LogReader:
        check_name(table)
        return LogReader(self.store, table, self.each)

    def each(self, asked: Callable[[T], R], things: Sequence[T]) -> list[R]:
        """What is found of some things; in a bucket many are asked for at a time: each has its way there and back."""
        with ThreadPoolExecutor(1 if self.is_local else _REQUESTS_AT_ONCE) as pool:
            return list(pool.map(asked, things))


@dataclass(frozen=True)
class Glance(Lake):
    """A lake as it is looked at once: each table is opened one time, and stands at that version until the look ends."""

    _seen: dict[tuple[str, int | None], DeltaTable | None] = field(
        default_factory=dict, repr=False, compare=False
    )

    def open_shared(self, table: str, version: int | None = None) -> DeltaTable | None:
        """The table at a version, the latest of the first look by default; None when it did not exist then."""
        if (table, version) not in self._seen:
            self._seen[table, version] = super().open_shared(table, version)
        return self._seen[table, version]


def check_name(table: str) -> None:
    """Refuse what cannot be the name of a table.

    Raises:
        SetupError: `table` is not of the form `<layer>/<table>`, in lower case.
    """
    if not _NAME.fullmatch(table):
        raise SetupError(
            f"{table!r} is not the name of a table.\n"
            f"Next: write <layer>/<table>, lower case, with a layer of {', '.join(LAYERS)}."
        )


def scan_visible_rows(handle: DeltaTable) -> pl.LazyFrame:
    """The rows of an open table that a reader sees, at the version at which it was opened: tombstones are hidden."""
    return hide_tombstones(scan_all_rows(handle))


def scan_all_rows(handle: DeltaTable) -> pl.LazyFrame:
    """The rows of an open table, tombstones of deleted keys among them."""
    return pl.scan_delta(handle)


def list_data_files(handle: DeltaTable) -> pl.DataFrame:
    """The live data files of an open table with their statistics.

    Columns: `path`, `size_bytes`, `num_records`, and as far as known `min.<column>`, `max.<column>`,
    `null_count.<column>`, `partition.<column>`.
    """
    return pl.DataFrame(handle.get_add_actions(flatten=True))


def read_transaction_id(handle: DeltaTable, table: str, name: str) -> int | None:
    """A number that the commits of a table have left in it, None if none has; a RESTORE does not take it back."""
    with report_stale_handle(table):
        return handle.transaction_version(name_transaction(table, name))


def name_transaction(table: str, name: str) -> str:
    """The name under which a table keeps a number, as Delta Lake's application transactions do."""
    return f"lakehouse:{table}:{name}"
