"""The landing zone: a folder or a bucket prefix into which others put files, one folder for each raw table.

Belongs here: what lies there and whether it rests; reading a file's bytes. Does not belong here: what is in the files
(`delivery.py`), and which of them are landed already (`land.py`).
"""

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import obstore

from lakehouse.errors import BusyError, SetupError
from lakehouse.lake import open_store

_IN_FLIGHT = (".tmp", ".part", ".partial", ".crdownload", ".filepart")
_FORMATS = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet", ".gz", ".zip")
_CHUNK = 1 << 20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class UnreadableError(Exception):
    """A file lies in landing and its bytes cannot be read; the message says why."""


@dataclass(frozen=True, order=True)
class Entry:
    """Something that lies in a landing folder.

    Attributes:
        name: its path below the raw table's folder.
        modified_at: when it was last written, to the millisecond (what file statistics keep), UTC.
        size: its bytes.
        problem: why it cannot be read at all, if that is already known.
    """

    name: str
    modified_at: datetime
    size: int
    problem: str | None = None


@dataclass(frozen=True)
class Landing:
    """The landing zone.

    Attributes:
        root: a folder or a URI such as `s3://bucket/landing`.
        options: object store options; never logged.
        rest_seconds: how long a local file has to lie unchanged before it counts as complete. Objects in a bucket appear
            whole and need no rest.
    """

    root: str
    options: Mapping[str, str] = field(default_factory=dict, repr=False)
    rest_seconds: float = 2.0

    def entries(self, table: str) -> list[Entry]:
        """What lies in a raw table's folder, in the order of names; files still being written are included.

        Raises:
            SetupError: the landing zone does not exist.
            BusyError: it cannot be listed right now; that is not the same as empty.
        """
        if "://" in self.root:
            return sorted(self._objects(table))
        root = Path(self.root)
        if not root.is_dir():
            raise SetupError(
                f"The landing folder {root} does not exist.\nNext: make it, or set LAKEHOUSE_LANDING to yours."
            )
        try:
            return sorted(_walk(root / table, "")) if (root / table).is_dir() else []
        except OSError as error:
            raise BusyError(
                f"The landing folder {root / table} cannot be listed: {error}.\nNext: mend that; nothing changed."
            ) from error

    def _objects(self, table: str) -> Iterator[Entry]:
        try:
            for page in obstore.list(open_store(self.root, self.options), prefix=table):
                for meta in page:
                    name = str(meta["path"]).removeprefix(f"{table}/")
                    if not _is_hidden(name):
                        written = meta["last_modified"].astimezone(UTC)
                        yield Entry(name, _to_milliseconds(written), int(meta["size"]))
        except (OSError, obstore.exceptions.BaseError) as error:
            raise BusyError(
                f"The landing zone {self.root}/{table} cannot be listed: {error}\nNext: run again later."
            ) from error

    def is_resting(self, entry: Entry, now: datetime) -> bool:
        """Whether an entry is complete: nobody has written to it for a while."""
        return "://" in self.root or not 0 <= (now - entry.modified_at).total_seconds() < self.rest_seconds

    def chunks(self, table: str, entry: Entry) -> Iterator[bytes]:
        """The bytes of an entry, in order.

        Raises:
            FileNotFoundError: it was taken away.
            UnreadableError: it is there and cannot be read.
            BusyError: the store does not answer.
        """
        if "://" in self.root:
            for chunk in obstore.get(open_store(self.root, self.options), f"{table}/{entry.name}").stream(_CHUNK):
                yield bytes(chunk)
            return
        with (Path(self.root) / table / entry.name).open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk

    def is_unchanged(self, table: str, entry: Entry) -> bool:
        """Whether an entry is still what was listed."""
        if "://" in self.root:
            return True
        try:
            return _entry(Path(self.root) / table / entry.name, entry.name) == entry
        except OSError:
            return False


def _walk(folder: Path, below: str) -> Iterator[Entry]:
    with os.scandir(folder) as children:
        for child in children:
            name = f"{below}{child.name}"
            if _is_hidden(child.name):
                continue
            if child.is_dir() and not child.name.lower().endswith(_FORMATS):
                yield from _walk(Path(child.path), f"{name}/")
            else:
                yield _entry(Path(child.path), name)


def _entry(path: Path, name: str) -> Entry:
    try:
        found = path.stat()
    except OSError as error:
        return Entry(name, _EPOCH, 0, f"cannot be read: {error.strerror}")
    modified = _EPOCH + timedelta(milliseconds=found.st_mtime_ns // 1_000_000)
    if stat.S_ISDIR(found.st_mode):
        return Entry(name, modified, 0, "a folder that is named like a file")
    if not stat.S_ISREG(found.st_mode):
        return Entry(name, modified, 0, "neither a file nor a folder")
    return Entry(name, modified, found.st_size)


def _to_milliseconds(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _is_hidden(name: str) -> bool:
    last = name.rsplit("/", 1)[-1]
    return last.startswith((".", "_", "~")) or last.lower().endswith(_IN_FLIGHT)
