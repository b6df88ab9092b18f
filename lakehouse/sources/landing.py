"""The landing zone: a folder or a bucket prefix into which others put files, one folder for each raw table.

Belongs here: what lies there and whether it rests; reading a file's bytes. Does not belong here: what is in the files
(`delivery.py`), and which of them are landed already (`land.py`).
"""

import os
import stat
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import obstore

from lakehouse.errors import BusyError, OutageError, SetupError
from lakehouse.stores import answering, next_step, open_store, said

_IN_FLIGHT = (".tmp", ".part", ".partial", ".crdownload", ".filepart")
_HIDDEN = (".", "_", "~")
_FORMATS = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet", ".gz", ".zip")
_CHUNK = 1 << 20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_NONE: Mapping[str, "Stamp"] = {}

Stamp = tuple[int, int]
"""When a file was last written, in milliseconds since 1970 UTC, and its bytes."""


class UnreadableError(Exception):
    """A file lies in landing and its bytes cannot be read; the message says why."""


class Entry(NamedTuple):
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
        rest_seconds: how long a local file has to lie unchanged before it counts as complete. Objects in a bucket
            appear whole and need no rest.
    """

    root: str
    options: Mapping[str, str] = field(default_factory=dict, repr=False)
    rest_seconds: float = 2.0

    def entries(self, table: str, known: Mapping[str, Stamp] = _NONE) -> list[Entry]:
        """What lies in a raw table's folder, in the order of names; files still being written are included.

        Args:
            table: the folder.
            known: files to leave out where they lie as they are known; to look at a file is then all that it costs.

        Raises:
            SetupError: the landing zone does not exist.
            BusyError: it cannot be listed right now; that is not the same as empty.
        """
        if "://" in self.root:
            return sorted(self._objects(table, known), key=_name_of)
        root = self._folder()
        if (root / table).exists() and not (root / table).is_dir():
            raise SetupError(f"{root / table} is no folder.\nNext: make it one, and put the files for {table} into it.")
        try:
            return sorted(_walk(root / table, "", (), known), key=_name_of) if (root / table).is_dir() else []
        except OSError as error:
            raise BusyError(
                f"The landing folder {root / table} cannot be listed: {error}.\nNext: mend that; nothing changed."
            ) from error

    def _folder(self) -> Path:
        root = Path(self.root)
        if not root.is_dir():
            what = "is no folder" if root.exists() else "does not exist"
            raise SetupError(f"The landing folder {root} {what}.\nNext: make it, or set LAKEHOUSE_LANDING to yours.")
        return root

    def strays(self, folders: Collection[str]) -> list[str]:
        """What lies at the root beside the folders of the raw tables; empty folders and hidden names do not count.

        Raises:
            SetupError: the landing zone does not exist.
            BusyError: it cannot be listed right now.
        """
        try:
            with answering(self.root, self.options):
                found = self._top_objects() if "://" in self.root else list(_top(self._folder()))
        except OSError as error:
            raise BusyError(
                f"The landing zone {self.root} cannot be listed: {error}\nNext: mend that; nothing changed."
            ) from None
        return sorted(name for name in found if name.removesuffix("/") not in folders and not _is_hidden(name))

    def _top_objects(self) -> list[str]:
        found = obstore.list_with_delimiter(open_store(self.root, self.options))
        folders = [f"{str(prefix).rstrip('/')}/" for prefix in found["common_prefixes"]]
        return [*folders, *(str(meta["path"]) for meta in found["objects"])]

    def _objects(self, table: str, known: Mapping[str, Stamp]) -> Iterator[Entry]:
        with answering(self.root, self.options):
            for page in obstore.list(open_store(self.root, self.options), prefix=table):
                for meta in page:
                    name = str(meta["path"]).removeprefix(f"{table}/")
                    stamp = ((meta["last_modified"] - _EPOCH) // _MILLISECOND, int(meta["size"]))
                    if not (_is_hidden(name) or _is_marker(name, meta["size"]) or known.get(name) == stamp):
                        yield Entry(name, _moment(stamp[0]), stamp[1])

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
        try:
            yield from self._bytes(table, entry)
        except FileNotFoundError:
            raise
        except (PermissionError, obstore.exceptions.PermissionDeniedError) as error:
            raise UnreadableError(_reason(error)) from error
        except (OSError, obstore.exceptions.BaseError) as error:
            if "://" not in self.root:
                raise UnreadableError(_reason(error)) from error
            raise OutageError(
                f"{self.root}/{table}/{entry.name} cannot be read: {said(error, self.options)}\n{next_step(self.root)}"
            ) from None

    def _bytes(self, table: str, entry: Entry) -> Iterator[bytes]:
        if "://" in self.root:
            for chunk in obstore.get(open_store(self.root, self.options), f"{table}/{entry.name}").stream(_CHUNK):
                yield bytes(chunk)
            return
        with (Path(self.root) / table / entry.name).open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk

    def tried(self, table: str, entry: Entry) -> Entry:
        """An entry as it is, or with its problem if it is a local file that may not be opened; nothing is read."""
        if entry.problem is not None or "://" in self.root:
            return entry
        try:
            (Path(self.root) / table / entry.name).open("rb").close()
        except FileNotFoundError:
            return entry
        except OSError as error:
            return entry._replace(problem=_reason(error))
        return entry

    def is_unchanged(self, table: str, entry: Entry) -> bool:
        """Whether an entry is still what was listed."""
        if "://" in self.root:
            return True
        try:
            return _entry(Path(self.root) / table / entry.name, entry.name) == entry
        except OSError:
            return False


def _top(root: Path) -> Iterator[str]:
    """The files at the root of a landing folder, and the folders in it that hold anything."""
    for path in root.iterdir():
        if not path.is_dir():
            yield _shown(path.name)
        elif any(_below(path, path.name, ())):
            yield f"{_shown(path.name)}/"


def _walk(folder: Path, below: str, above: tuple[tuple[int, int], ...], known: Mapping[str, Stamp]) -> Iterator[Entry]:
    """What lies in a folder and in those below it; `above` are the folders that lead here, so that circles end."""
    here = folder.stat()
    with os.scandir(folder) as children:
        for child in children:
            name = f"{below}{child.name}"
            if name in known and _stamp(child) == known[name]:
                continue
            last = child.name.lower()
            if last.startswith(_HIDDEN) or last.endswith(_IN_FLIGHT):
                continue
            if not last.endswith(_FORMATS) and Path(child.path).is_dir():
                yield from _below(Path(child.path), name, (*above, (here.st_dev, here.st_ino)), known)
            elif (entry := _entry(child, name)) is not None:
                yield entry


def _below(
    folder: Path, name: str, above: tuple[tuple[int, int], ...], known: Mapping[str, Stamp] = _NONE
) -> Iterator[Entry]:
    try:
        found = folder.stat()
        if (found.st_dev, found.st_ino) in above:
            yield Entry(_shown(name), _EPOCH, 0, "a link to a folder that it lies in")
        else:
            yield from _walk(folder, f"{name}/", above, known)
    except FileNotFoundError:
        return  # taken away while it was listed
    except OSError as error:
        yield Entry(_shown(name), _EPOCH, 0, _reason(error))


def _stamp(place: os.DirEntry[str]) -> Stamp | None:
    """Of a file its stamp, None of anything else."""
    try:
        found = place.stat()
    except OSError:
        return None
    return (found.st_mtime_ns // 1_000_000, found.st_size) if stat.S_ISREG(found.st_mode) else None


def _entry(place: Path | os.DirEntry[str], name: str) -> Entry | None:
    """What lies at a place; None if it was taken away since it was listed."""
    try:
        found = place.stat()
    except OSError as error:
        is_gone = isinstance(error, FileNotFoundError) and not Path(place).is_symlink()
        return None if is_gone else Entry(_shown(name), _EPOCH, 0, _reason(error))
    modified = _moment(found.st_mtime_ns // 1_000_000)
    if stat.S_ISREG(found.st_mode) and name.isascii():
        return Entry(name, modified, found.st_size)
    if stat.S_ISDIR(found.st_mode):
        return Entry(_shown(name), modified, 0, "a folder that is named like a file")
    if not stat.S_ISREG(found.st_mode):
        return Entry(_shown(name), modified, 0, "neither a file nor a folder")
    if _shown(name) != name:
        return Entry(_shown(name), modified, found.st_size, "its name is not UTF-8")
    return Entry(name, modified, found.st_size)


def _name_of(entry: Entry) -> str:
    return entry.name


def _shown(name: str) -> str:
    """A name that text can hold: bytes that are not UTF-8 are spelled out."""
    return name if name.isascii() else os.fsencode(name).decode("utf-8", "backslashreplace")


def _reason(error: Exception) -> str:
    return f"cannot be read: {getattr(error, 'strerror', None) or error}"


def _moment(milliseconds: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=milliseconds)


def _is_marker(name: str, size: int) -> bool:
    """Whether an object is what consoles put for an empty folder."""
    return size == 0 and not name.lower().endswith(_FORMATS)


def _is_hidden(name: str) -> bool:
    """Whether any part of a name is hidden or that of something in flight."""
    parts = name.split("/") if "/" in name else (name,)
    return any(part.startswith(_HIDDEN) or part.lower().endswith(_IN_FLIGHT) for part in parts)
