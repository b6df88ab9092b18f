"""The landing zone: a folder or a bucket prefix for delivered files, a folder for each raw table.

Belongs here: listing the files, telling whether they are complete, reading their bytes. Does not
belong here: what is in the files (`delivery.py`), and which of them are landed already
(`ingest/landed_files.py`).
"""

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import obstore

from lakehouse.errors import BusyError, OutageError, SetupError
from lakehouse.ingest.files.listing import (
    NOTHING_KNOWN,
    Entry,
    ListedFile,
    Stamp,
    describe_failure,
    is_hidden,
    list_new_entries,
    list_object,
    look_at,
    make_entries,
    spell_out,
    walk,
    walk_below,
)
from lakehouse.ingest.files.local_files import Links, is_on_network, open_file
from lakehouse.ingest.limits import DEFAULT_LIMITS, REST_SECONDS, IngestLimits
from lakehouse.storage.object_store import (
    check_uri,
    describe_store_error,
    is_remote,
    open_store,
    suggest_next_step,
    translate_store_errors,
)

_CHUNK = 1 << 20
"""Bytes that are read at once: large enough for a bucket, small beside the memory of a parser."""


_LONGEST_LOOK_SECONDS = 5.0
"""How long a look at landing may take because of files whose dates cannot tell."""


class UnreadableError(Exception):
    """A file in landing whose bytes cannot be read; the message says why."""


@dataclass(frozen=True)
class Landing:
    """The landing zone.

    Attributes:
        root: a folder or a URI such as `s3://bucket/landing`.
        options: object store options; never logged.
        rest_seconds: how long a local file must stay unchanged before it counts as complete.
            Objects in a bucket appear whole and need no such time.
        limits: how much of the files is taken at once.
        follow_links: whether links are followed that stay within a landing folder.
    """

    root: str
    options: Mapping[str, str] = field(default_factory=dict, repr=False)
    rest_seconds: float = REST_SECONDS
    limits: IngestLimits = DEFAULT_LIMITS
    follow_links: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        """Refuses a URI with a key in it."""
        check_uri(self.root)

    def list_entries(self, table: str, known: Mapping[str, Stamp] = NOTHING_KNOWN) -> list[Entry]:
        """Lists the files in a raw table's folder by name, including those still being written.

        Args:
            table: the folder.
            known: stamps by name. A file that still has its stamp is left out; it costs one look.

        Raises:
            SetupError: the landing zone does not exist.
            BusyError: it cannot be listed right now; that is not the same as empty.
        """
        return list_new_entries(self.list_files(table), known)

    def list_files(self, table: str) -> list[ListedFile]:
        """Lists a raw table's folder in no particular order; raises what `list_entries` raises."""
        if is_remote(self.root):
            return list(self._objects(table))
        folder = self._folder() / table
        if folder.is_symlink() and (problem := self._links.find_problem(folder)):
            raise SetupError(
                f"{folder} is {problem}.\n"
                "Next: make it a folder, or mount the other one there; nothing was changed."
            )
        if folder.exists() and not folder.is_dir():
            raise SetupError(
                f"{folder} is not a folder.\n"
                f"Next: replace it with a folder, and put the files for {table} there."
            )
        try:
            # A raw table without a folder has no files yet. The landing zone itself must exist: a
            # wrong setting would otherwise look like a source that delivers nothing.
            return list(walk(folder, self._links)) if folder.is_dir() else []
        except OSError as error:
            raise BusyError(
                f"The landing folder {folder} cannot be listed: {error}.\n"
                "Next: fix the cause and run again; nothing was changed."
            ) from error

    @property
    def _links(self) -> Links:
        return Links(Path(self.root), self.follow_links)

    def _folder(self) -> Path:
        root = Path(self.root)
        if not root.is_dir():
            what = "is not a folder" if root.exists() else "does not exist"
            raise SetupError(
                f"The landing folder {root} {what}.\n"
                "Next: create it, or set LAKEHOUSE_LANDING to another folder."
            )
        return root

    def list_unclaimed(self, folders: Collection[str]) -> list[str]:
        """Lists the files and folders of no raw table; empty folders and hidden names do not count.

        Args:
            folders: the folders of all raw tables.

        Raises:
            SetupError: the landing zone does not exist.
            BusyError: it cannot be listed right now.
        """
        try:
            with translate_store_errors(self.root, self.options):
                found = self._top_objects() if is_remote(self.root) else self._top_files()
        except OSError as error:
            raise BusyError(
                f"The landing zone {self.root} cannot be listed: {error}\n"
                "Next: fix the cause and run again; nothing was changed."
            ) from None
        return sorted(
            name for name in found if name.removesuffix("/") not in folders and not is_hidden(name)
        )

    def _top_files(self) -> list[str]:
        """Lists the files at the root of a folder, and its folders that hold any file."""
        found = []
        for path in self._folder().iterdir():
            if path.is_symlink() or not path.is_dir():
                found.append(spell_out(path.name))
            # An empty folder is nothing that anybody delivered. `any` stops at the first file.
            elif any(make_entries(walk_below(path, path.name, self._links))):
                found.append(f"{spell_out(path.name)}/")
        return found

    def _top_objects(self) -> list[str]:
        found = obstore.list_with_delimiter(open_store(self.root, self.options))
        folders = [f"{str(prefix).rstrip('/')}/" for prefix in found["common_prefixes"]]
        return [*folders, *(str(meta["path"]) for meta in found["objects"])]

    def _objects(self, table: str) -> Iterator[ListedFile]:
        with translate_store_errors(self.root, self.options):
            # A prefix matches whole parts of a name: `trips` does not list `trips_2024/a.csv`.
            for page in obstore.list(open_store(self.root, self.options), prefix=table):
                for meta in page:
                    name = str(meta["path"]).removeprefix(f"{table}/")
                    etag = str(meta["e_tag"] or "")
                    seen = list_object(name, meta["last_modified"], int(meta["size"]), etag)
                    if seen is not None:
                        yield seen

    def select_complete(
        self, table: str, entries: Sequence[Entry], began: datetime, ended: datetime
    ) -> frozenset[Entry]:
        """Selects the files that nobody is writing to: unchanged for `rest_seconds`.

        Where the dates of a file cannot tell, it is looked at twice, which takes a few seconds.

        Args:
            table: the folder.
            entries: files in it that can be read.
            began: when the listing began.
            ended: when it ended.
        """
        if is_remote(self.root) or not entries:
            return frozenset(entries)
        rest = timedelta(seconds=self.rest_seconds)
        # Written shortly before the listing began, or while it went on.
        rested = [one for one in entries if not began - rest < one.modified_at <= ended]
        # A file server's clock may be ahead of ours or behind it. A date in the future shows that;
        # and a program may set a date in the past, but not that of the last change.
        has_other_clock = is_on_network(Path(self.root))
        doubtful = [
            one
            for one in rested
            if has_other_clock or one.modified_at > ended or one.changed_at > began - rest
        ]
        if self.rest_seconds > _LONGEST_LOOK_SECONDS and not has_other_clock:
            # Nobody waits so long for an answer: what was changed just now is left to the next run.
            young = {one for one in doubtful if began - rest < one.changed_at <= ended}
            rested = [one for one in rested if one not in young]
            doubtful = [one for one in doubtful if one not in young]
        if doubtful:
            time.sleep(min(self.rest_seconds, _LONGEST_LOOK_SECONDS))
        changed = {one for one in doubtful if not self._is_at_rest(table, one)}
        return frozenset(rested) - changed

    def _is_at_rest(self, table: str, entry: Entry) -> bool:
        # Opened first: a client of a file server may answer from memory until a file is opened.
        return self.try_open(table, entry) == entry and self._is_as_listed(table, entry)

    def read_chunks(self, table: str, entry: Entry) -> Iterator[bytes]:
        """Yields the bytes of a file in order.

        Raises:
            FileNotFoundError: it was taken away.
            UnreadableError: it exists and cannot be read.
            OutageError: the store does not answer.
        """
        try:
            yield from self._bytes(table, entry)
        except FileNotFoundError:
            raise
        except (PermissionError, obstore.exceptions.PermissionDeniedError) as error:
            raise UnreadableError(describe_failure(error)) from error
        except (OSError, obstore.exceptions.BaseError) as error:
            # A disk fails for one file, which is then named. A store that fails answers for no file
            # at all, so nothing may be concluded about this one.
            if not is_remote(self.root):
                raise UnreadableError(describe_failure(error)) from error
            raise OutageError(
                f"{self.root}/{table}/{entry.name} cannot be read: "
                f"{describe_store_error(error, self.options)}\n{suggest_next_step(self.root)}"
            ) from None

    def _bytes(self, table: str, entry: Entry) -> Iterator[bytes]:
        if is_remote(self.root):
            for chunk in obstore.get(
                open_store(self.root, self.options), f"{table}/{entry.name}"
            ).stream(_CHUNK):
                yield bytes(chunk)
            return
        with open_file(Path(self.root) / table / entry.name, self._links) as file:
            while chunk := file.read(_CHUNK):
                yield chunk

    def try_open(self, table: str, entry: Entry) -> Entry:
        """Returns an entry, with its problem if its name is too long or it cannot be opened."""
        size, most = len(entry.name.encode()), self.limits.name_bytes
        if entry.problem is None and size > most:
            return entry._replace(
                problem=f"its name has {size:,} bytes; limit {most:,} (name_bytes)"
            )
        # Opening reads no byte, and yet it tells which files are not permitted.
        if entry.problem is not None or is_remote(self.root):
            return entry
        try:
            open_file(Path(self.root) / table / entry.name, self._links).close()
        except FileNotFoundError:
            # Taken away since it was listed: reading it finds nothing, which is no problem.
            return entry
        except OSError as error:
            return entry._replace(problem=describe_failure(error))
        return entry

    def is_unchanged(self, table: str, entry: Entry) -> bool:
        """Returns whether a file is still the one that was listed."""
        return is_remote(self.root) or self._is_as_listed(table, entry)

    def _is_as_listed(self, table: str, entry: Entry) -> bool:
        try:
            # Everything is compared, its time and its size above all: a file that was written to
            # while it was read is left for the next run.
            return look_at(Path(self.root) / table, entry.name, self._links) == entry
        except OSError:
            return False
