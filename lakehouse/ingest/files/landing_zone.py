"""The landing zone: a folder or a bucket prefix for delivered files, a folder for each raw table.

Belongs here: listing the files, telling whether they are complete, reading their bytes. Does not
belong here: what is in the files (`delivery.py`), and which of them are landed already
(`ingest/landed_files.py`).
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
from lakehouse.ingest.limits import DEFAULT_LIMITS, REST_SECONDS, IngestLimits
from lakehouse.storage.object_store import (
    describe_store_error,
    is_remote,
    open_store,
    suggest_next_step,
    translate_store_errors,
)

_CHUNK = 1 << 20
"""Bytes that are read at once: large enough for a bucket, small beside the memory of a parser."""


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
    """

    root: str
    options: Mapping[str, str] = field(default_factory=dict, repr=False)
    rest_seconds: float = REST_SECONDS
    limits: IngestLimits = DEFAULT_LIMITS

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
        if folder.exists() and not folder.is_dir():
            raise SetupError(
                f"{folder} is not a folder.\n"
                f"Next: replace it with a folder, and put the files for {table} there."
            )
        try:
            # A raw table without a folder has no files yet. The landing zone itself must exist: a
            # wrong setting would otherwise look like a source that delivers nothing.
            return list(walk(folder)) if folder.is_dir() else []
        except OSError as error:
            raise BusyError(
                f"The landing folder {folder} cannot be listed: {error}.\n"
                "Next: fix the cause and run again; nothing was changed."
            ) from error

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
                found = self._top_objects() if is_remote(self.root) else list(_top(self._folder()))
        except OSError as error:
            raise BusyError(
                f"The landing zone {self.root} cannot be listed: {error}\n"
                "Next: fix the cause and run again; nothing was changed."
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
            # A prefix matches whole parts of a name: `trips` does not list `trips_2024/a.csv`.
            for page in obstore.list(open_store(self.root, self.options), prefix=table):
                for meta in page:
                    name = str(meta["path"]).removeprefix(f"{table}/")
                    if (
                        seen := list_object(name, meta["last_modified"], int(meta["size"]))
                    ) is not None:
                        yield seen

    def is_complete(self, entry: Entry, began: datetime, ended: datetime) -> bool:
        """Returns whether a file is complete: not written to for some time before the listing.

        Args:
            entry: the file.
            began: when the listing began.
            ended: when it ended. A file with a later date was dated by another clock, so its age is
                unknown.
        """
        # A date in the future comes from another clock. Such a file counts as complete, or it would
        # wait until then; whether it changed while it was read is checked anyway.
        rest = timedelta(seconds=self.rest_seconds)
        return is_remote(self.root) or not began - rest < entry.modified_at <= ended

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
        with (Path(self.root) / table / entry.name).open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk

    def try_open(self, table: str, entry: Entry) -> Entry:
        """Returns an entry, with its problem if it is a local file that cannot be opened."""
        # Opening reads no byte, and yet it tells which files are not permitted.
        if entry.problem is not None or is_remote(self.root):
            return entry
        try:
            (Path(self.root) / table / entry.name).open("rb").close()
        except FileNotFoundError:
            # Taken away since it was listed: reading it finds nothing, which is no problem.
            return entry
        except OSError as error:
            return entry._replace(problem=describe_failure(error))
        return entry

    def is_unchanged(self, table: str, entry: Entry) -> bool:
        """Returns whether a file is still the one that was listed."""
        if is_remote(self.root):
            return True
        try:
            # Everything is compared, its time and its size above all: a file that was written to
            # while it was read is left for the next run.
            return look_at(Path(self.root) / table / entry.name, entry.name) == entry
        except OSError:
            return False


def _top(root: Path) -> Iterator[str]:
    """Yields the files at the root of a landing folder, and its folders that hold any file."""
    for path in root.iterdir():
        if not path.is_dir():
            yield spell_out(path.name)
        # An empty folder is nothing that anybody delivered. `any` stops at the first file.
        elif any(make_entries(walk_below(path, path.name))):
            yield f"{spell_out(path.name)}/"
