"""The lake: a root URI with its storage options, and reading the tables below it.

Belongs here: names and places of tables, opening them, scanning a version, reading their logs.
Does not belong here: writing. Publishing is the only way in which a table changes.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

import obstore
import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError
from obstore.store import ObjectStore

from lakehouse.errors import BusyError, SetupError
from lakehouse.storage.handle_cache import (
    FileState,
    FolderTable,
    HandleCache,
    check_folder,
    report_stale_handle,
)
from lakehouse.storage.limits import WriteLimits
from lakehouse.storage.log import Commit, LogTail
from lakehouse.storage.log_archive import LogArchive
from lakehouse.storage.log_reader import LogReader
from lakehouse.storage.object_store import check_uri, is_remote, open_store, translate_store_errors
from lakehouse.storage.revision import Revision, read_revision
from lakehouse.system_columns import hide_tombstones

LAYERS = ("raw", "staged", "marts", "quarantine")
_NAME = re.compile(rf"({'|'.join(LAYERS)})/[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Lake:
    """A folder or a bucket that holds every table as `<layer>/<table>`.

    Attributes:
        root: an absolute folder or a URI such as `s3://bucket/lake`.
        options: object store options as delta-rs and Polars take them; never logged.
        single_writer: whether only this machine writes. A bucket without put-if-absent needs it.
        limits: sizes of files and counts of requests, for the writers and the log.
        handles: the tables that were opened.
    """

    root: str
    options: Mapping[str, str] = field(default_factory=dict, repr=False)
    single_writer: bool = False
    limits: WriteLimits = field(default_factory=WriteLimits, repr=False, kw_only=True)
    # Not compared: what was opened is not part of what a lake is.
    handles: HandleCache = field(
        default_factory=HandleCache, repr=False, compare=False, kw_only=True
    )

    def __post_init__(self) -> None:
        """Refuses a folder that would be misread, and a URI with a key in it."""
        check = check_folder if self.is_local else check_uri
        check(self.root)

    @property
    def is_local(self) -> bool:
        """Whether the root is a folder of this machine."""
        return not is_remote(self.root)

    @property
    def requests_at_once(self) -> int:
        """How many requests may be under way at a time; a local disk answers no faster for more."""
        return 1 if self.is_local else self.limits.requests_at_once

    @property
    def _may_exist(self) -> bool:
        """Whether there can be tables. Opening the store of a folder would create the folder."""
        return not self.is_local or Path(self.root).exists()

    @cached_property
    def store(self) -> ObjectStore:
        """The object store at the root."""
        return open_store(self.root, self.options)

    def translate_errors(self) -> AbstractContextManager[None]:
        """Turns the errors of the store into short ones; see `translate_store_errors`."""
        return translate_store_errors(self.root, self.options)

    def uri(self, table: str) -> str:
        """Returns the URI or the folder of a table.

        Raises:
            SetupError: `table` is not of the form `<layer>/<table>`.
        """
        check_name(table)
        return f"{self.root.rstrip('/')}/{table}"

    def open(self, table: str, version: int | None = None) -> DeltaTable | None:
        """Opens a table, at its latest version by default; None when it does not exist yet.

        The caller alone has the handle, and may move it.
        """
        try:
            with self.translate_errors():
                return self._open_anew(table, version)
        except TableNotFoundError:
            return None

    def open_shared(self, table: str, at: int | Revision | None = None) -> DeltaTable | None:
        """Opens a table as `open` does, by a shared handle that nobody may move.

        A revision that is open already is not looked for. Otherwise it is None, too, if the table
        was deleted and built again.
        """
        # A RESTORE moves its handle. Through a shared one it moved what a writer was based on.
        try:
            with self.translate_errors():
                return self.handles.get(table, at, self._open_anew, self._read_state)
        except TableNotFoundError:
            return None

    def open_revision(self, table: str, revision: Revision) -> DeltaTable:
        """Opens a table at a revision that was read before, by a shared handle.

        Raises:
            BusyError: it was deleted since, or built again under another id.
        """
        try:
            handle = self.open_shared(table, revision)
        except DeltaError:
            # The version may also be gone because another table has fewer by now.
            if revision.is_in(self.revision(table)):
                raise
            handle = None
        if handle is None:
            raise BusyError(f"{table}: it was deleted while it was read.\nNext: run again.")
        return handle

    def _open_anew(self, table: str, version: int | None) -> DeltaTable:
        # delta-rs takes milliseconds to find out that there is no table in a folder.
        if self.is_local and not Path(self.uri(table), "_delta_log").is_dir():
            raise TableNotFoundError(table)
        kind = FolderTable if self.is_local else DeltaTable
        options = dict(self.options) or None
        open_table = partial(kind, self.uri(table), version=version, storage_options=options)
        try:
            return open_table()
        except DeltaError:
            # The entries of an old version may be in the archive. The latest version never needs
            # them, so its error is a real one.
            if version is None or not self.log_archive(table).restore_entries(version):
                raise
        return open_table()

    def _read_state(self, path: str) -> FileState:
        """Returns the state of a file below the root; None if it does not exist."""
        try:
            found = obstore.head(self.store, path)
        except FileNotFoundError:
            return None
        return found["e_tag"], found["last_modified"], found["size"]

    def version(self, table: str) -> int | None:
        """Returns the latest version of a table; None when it does not exist yet."""
        handle = self.open_shared(table)
        return None if handle is None else handle.version()

    def revision(self, table: str) -> Revision | None:
        """Returns the latest revision of a table; None when it does not exist yet."""
        handle = self.open_shared(table)
        return None if handle is None else read_revision(handle)

    def scan(self, table: str, version: int | None = None) -> pl.LazyFrame:
        """Returns the rows of a table, at its latest version by default.

        Raises:
            SetupError: there is no such table yet.
        """
        handle = self.open_shared(table, version)
        if handle is None:
            known = ", ".join(self.tables()) or "none yet"
            raise SetupError(
                f"There is no table {table} in {self.root}.\n"
                f"Next: make it first. The tables are: {known}."
            )
        return scan_visible_rows(handle)

    def tables(self) -> list[str]:
        """Returns the names of all tables that exist, layer by layer."""
        found: list[str] = []
        for layer in LAYERS if self._may_exist else ():
            with self.translate_errors():
                listed = obstore.list_with_delimiter(self.store, prefix=f"{layer}/")
            # Not every folder is a table: `quarantine/_files` is none, nor is one that was never
            # committed to.
            names = sorted(str(prefix).rstrip("/") for prefix in listed["common_prefixes"])
            tables = (name for name in names if _NAME.fullmatch(name))
            found += [name for name in tables if self.open_shared(name) is not None]
        return found

    def read_log(self, table: str, *, after: int = -1) -> list[Commit] | None:
        """Reads the log entries after a version, oldest first; None when some were cleaned up."""
        tail = self.read_log_tail(table, after=after)
        return list(tail.commits) if tail.after <= after else None

    def read_log_tail(self, table: str, *, after: int = -1, until: int | None = None) -> LogTail:
        """Reads the log entries after a version, or after the last one that was cleaned up.

        It ends with the latest, or with one that the caller has seen. Without a table it is empty.
        """
        latest = self.version(table) if until is None else until
        if latest is None or latest <= after:
            return LogTail(after)
        # A commit that was made since is for the next call.
        wanted = range(after + 1, latest + 1)
        with self.translate_errors():
            found = self._log_reader(table).read(wanted)
        if until is not None and until not in found:  # the table is another one by now
            return self.read_log_tail(table, after=after)
        # Entries before the last gap are left out: a reader must not take them for all there were.
        gap = max((version for version in wanted if version not in found), default=after)
        return LogTail(gap, tuple(found[version] for version in range(gap + 1, latest + 1)))

    def read_remaining_log(self, table: str, *, after: int = -1) -> list[Commit]:
        """Reads the log entries after a version that were not cleaned up, oldest first."""
        if not self._may_exist:  # asking for the store would create the folder
            return []
        with self.translate_errors():
            return self._log_reader(table).read_remaining(after)

    def follow_log(self, table: str, *, after: int) -> Iterator[Commit]:
        """Reads the log entries that follow a version one by one, until one is missing."""
        # One entry a time: a writer that looks for its own commit finds it within the first few.
        with self.translate_errors():
            while found := self._log_reader(table).read(range(after + 1, after + 2)):
                yield from found.values()
                after += 1

    def _log_reader(self, table: str) -> LogReader:
        return LogReader(self.log_archive(table))

    def log_archive(self, table: str) -> LogArchive:
        """Returns the archive of a table's log."""
        check_name(table)
        return LogArchive(
            self.store,
            table,
            entries_per_file=self.limits.entries_per_archive_file,
            checkpoint_interval=self.limits.commits_per_checkpoint,
            requests_at_once=self.requests_at_once,
        )


def check_name(table: str) -> None:
    """Refuses a text that cannot be the name of a table.

    Raises:
        SetupError: `table` is not of the form `<layer>/<table>`, in lower case.
    """
    # Not `match` with `$`, which also matches before a final newline.
    if not _NAME.fullmatch(table):
        raise SetupError(
            f"{table!r} is not the name of a table.\n"
            f"Next: write <layer>/<table> in lower case; the layers are {', '.join(LAYERS)}."
        )


def scan_visible_rows(handle: DeltaTable) -> pl.LazyFrame:
    """Returns the rows of an open table that a reader sees; tombstones are hidden."""
    return hide_tombstones(scan_all_rows(handle))


def scan_all_rows(handle: DeltaTable) -> pl.LazyFrame:
    """Returns the rows of an open table, tombstones of deleted keys among them."""
    return pl.scan_delta(handle)


def list_data_files(handle: DeltaTable) -> pl.DataFrame:
    """Returns the data files of an open table with their statistics.

    Columns: `path`, `size_bytes`, `num_records`, and as far as known `min.<column>`,
    `max.<column>`, `null_count.<column>`, `partition.<column>`.
    """
    return pl.DataFrame(handle.get_add_actions(flatten=True))


def read_transaction_id(handle: DeltaTable, table: str, name: str) -> int | None:
    """Returns the number that commits left in a table under a name; None if none did.

    A RESTORE does not take it back.
    """
    with report_stale_handle(table):
        return handle.transaction_version(name_transaction(table, name))


def name_transaction(table: str, name: str) -> str:
    """Returns the id of the application transaction in which a table keeps a number."""
    return f"lakehouse:{table}:{name}"
