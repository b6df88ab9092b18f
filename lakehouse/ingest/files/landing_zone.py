"""The landing zone: a folder or a bucket prefix into which others put files, one folder for each raw table.

Belongs here: what lies there and whether it rests; reading a file's bytes. Does not belong here: what is in the files
(`delivery.py`), and which of them are landed already (`land.py`).
"""

from collections.abc import Collection, Iterator, Mapping
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
from lakehouse.ingest.limits import DEFAULT_LIMITS, IngestLimits
from lakehouse.storage.object_store import (
    describe_store_error,
    open_store,
    suggest_next_step,
    translate_store_errors,
)

_CHUNK = 1 << 20


class UnreadableError(Exception):
    """A file lies in landing and its bytes cannot be read; the message says why."""


@dataclass(frozen=True)
class Landing:
    """The landing zone.

    Attributes:
        root: a folder or a URI such as `s3://bucket/landing`.
        options: object store options; never logged.
        rest_seconds: how long a local file has to lie unchanged before it counts as complete. Objects in a bucket
            appear whole and need no rest.
        limits: how much of the files is taken at once.
    """

    root: str
    options: Mapping[str, str] = field(default_factory=dict, repr=False)
    rest_seconds: float = 2.0
    limits: IngestLimits = DEFAULT_LIMITS

    def list_entries(self, table: str, known: Mapping[str, Stamp] = NOTHING_KNOWN) -> list[Entry]:
        """What lies in a raw table's folder, in the order of names; files still being written are included.

        Args:
            table: the folder.
            known: files to leave out where they lie as they are known; to look at a file is then all that it costs.

        Raises:
            SetupError: the landing zone does not exist.
            BusyError: it cannot be listed right now; that is not the same as empty.
        """
        return list_new_entries(self.list_files(table), known)

    def list_files(self, table: str) -> list[ListedFile]:
        """What is seen in a raw table's folder; raises what `entries` does."""
        if "://" in self.root:
            return list(self._objects(table))
        folder = self._folder() / table
        if folder.exists() and not folder.is_dir():
            raise SetupError(
                f"{folder} is no folder.\nNext: make it one, and put the files for {table} into it."
            )
        try:
            return list(walk(folder)) if folder.is_dir() else []
        except OSError as error:
            raise BusyError(
                f"The landing folder {folder} cannot be listed: {error}.\nNext: mend that; nothing changed."
            ) from error

    def _folder(self) -> Path:
        root = Path(self.root)
        if not root.is_dir():
            what = "is no folder" if root.exists() else "does not exist"
            raise SetupError(
                f"The landing folder {root} {what}.\nNext: make it, or set LAKEHOUSE_LANDING to yours."
            )
        return root

    def list_unclaimed(self, folders: Collection[str]) -> list[str]:
        """What lies at the root beside the folders of the raw tables; empty folders and hidden names do not count.

        Raises:
            SetupError: the landing zone does not exist.
            BusyError: it cannot be listed right now.
        """
        try:
            with translate_store_errors(self.root, self.options):
                found = self._top_objects() if "://" in self.root else list(_top(self._folder()))
        except OSError as error:
            raise BusyError(
                f"The landing zone {self.root} cannot be listed: {error}\nNext: mend that; nothing changed."
            ) from None
        return sorted(
            name for name in found if name.removesuffix("/") not in folders and not is_hidden(name)
        )

    def _top_objects(self) -> list[str]:
        found = obstore.list_with_delimiter(open_store(self.root, self.options))
        folders = [f"{str(prefix).rstrip('/')}/" for prefix in found["common_prefixes"]]
        return [*folders, *(str(meta["path"]) for meta in found["objects"])]

    def _objects(self, table: str) -> Iterator[ListedFile]:
        with translate_store_errors(self.root, self.options):
            for page in obstore.list(open_store(self.root, self.options), prefix=table):
                for meta in page:
                    name = str(meta["path"]).removeprefix(f"{table}/")
                    if (
                        seen := list_object(name, meta["last_modified"], int(meta["size"]))
                    ) is not None:
                        yield seen

    def is_complete(self, entry: Entry, began: datetime, ended: datetime) -> bool:
        """Whether an entry is complete: nobody wrote to it for a while before it was looked at.

        Args:
            entry: the entry.
            began: when the listing began that it is of.
            ended: when that had ended; what is dated later is so by another clock, which says nothing.
        """
        rest = timedelta(seconds=self.rest_seconds)
        return "://" in self.root or not began - rest < entry.modified_at <= ended

    def read_chunks(self, table: str, entry: Entry) -> Iterator[bytes]:
        """The bytes of an entry, in order.

        Raises:
            FileNotFoundError: it was taken away.
            UnreadableError: it is there and cannot be read.
            BusyError: the store does not answer.
        """
        try:
            yield from self._bytes(table, entry)
        except FileNotFoundError:
            raise
        except (PermissionError, obstore.exceptions.PermissionDeniedError) as error:
            raise UnreadableError(describe_failure(error)) from error
        except (OSError, obstore.exceptions.BaseError) as error:
            if "://" not in self.root:
                raise UnreadableError(describe_failure(error)) from error
            raise OutageError(
                f"{self.root}/{table}/{entry.name} cannot be read: {describe_store_error(error, self.options)}\n{suggest_next_step(self.root)}"
            ) from None

    def _bytes(self, table: str, entry: Entry) -> Iterator[bytes]:
        if "://" in self.root:
            for chunk in obstore.get(
                open_store(self.root, self.options), f"{table}/{entry.name}"
            ).stream(_CHUNK):
                yield bytes(chunk)
            return
        with (Path(self.root) / table / entry.name).open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk

    def try_open(self, table: str, entry: Entry) -> Entry:
        """An entry as it is, or with its problem if it is a local file that may not be opened; nothing is read."""
        if entry.problem is not None or "://" in self.root:
            return entry
        try:
            (Path(self.root) / table / entry.name).open("rb").close()
        except FileNotFoundError:
            return entry
        except OSError as error:
            return entry._replace(problem=describe_failure(error))
        return entry

    def is_unchanged(self, table: str, entry: Entry) -> bool:
        """Whether an entry is still what was listed."""
        if "://" in self.root:
            return True
        try:
            return look_at(Path(self.root) / table / entry.name, entry.name) == entry
        except OSError:
            return False


def _top(root: Path) -> Iterator[str]:
    """The files at the root of a landing folder, and the folders in it that hold anything."""
    for path in root.iterdir():
        if not path.is_dir():
            yield spell_out(path.name)
        elif any(make_entries(walk_below(path, path.name))):
            yield f"{spell_out(path.name)}/"
