"""Listing a folder of landing: one look at each file, and an entry for each that is not known.

Belongs here: which names count, and what is no file. Does not belong here: the choice between a
folder and a bucket, and reading the files (`landing_zone.py`).
"""

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

# Suffixes that browsers and transfer tools give to files that they have not finished.
_IN_FLIGHT = (".tmp", ".part", ".partial", ".crdownload", ".filepart")
_HIDDEN = (".", "_", "~")
_FORMATS = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet", ".gz", ".zip")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_IS_FOLDER = "a folder with the name of a file"

Stamp = tuple[int, int]
"""When a file was last written, in milliseconds since 1970 UTC, and its size in bytes."""

ListedFile = tuple[str, Stamp, str | None]
"""Name below the folder, stamp, why it cannot be read; a plain tuple because there are many."""

NOTHING_KNOWN: Mapping[str, Stamp] = {}
"""No file is known."""

_UNSEEN: Stamp = (0, 0)


class Occurrence(NamedTuple):
    """One delivery of some bytes: when they were written, and under which name.

    Occurrences of the same bytes are ordered; the least one gives the rows their origin.
    """

    modified_at: datetime
    name: str


class Entry(NamedTuple):
    """A file in a landing folder, or something else that is named like one.

    Attributes:
        name: its path below the raw table's folder.
        modified_at: when it was last written, UTC, to the millisecond: Delta statistics keep no
            more digits.
        size: its bytes.
        problem: why it cannot be read, if that is already known.
    """

    name: str
    modified_at: datetime
    size: int
    problem: str | None = None

    @property
    def occurrence(self) -> Occurrence:
        """When and under which name the entry was delivered."""
        return Occurrence(self.modified_at, self.name)


def make_entries(
    seen: Iterable[ListedFile], known: Mapping[str, Stamp] = NOTHING_KNOWN
) -> Iterator[Entry]:
    """Yields the entries of listed files, without hidden names.

    Args:
        seen: the listed files.
        known: stamps by name; a file that still has its stamp is left out.
    """
    for name, stamp, problem in seen:
        # Known files go first: thousands of landed files may stay in landing, and each must cost no
        # more than this comparison.
        if (known.get(name) != stamp or problem is not None) and not is_hidden(name):
            yield _entry(name, stamp, problem)


def list_new_entries(seen: Iterable[ListedFile], known: Mapping[str, Stamp]) -> list[Entry]:
    """Returns the entries of listed files that are not known, in the order of their names."""
    return sorted(make_entries(seen, known), key=lambda entry: entry.name)


def _entry(name: str, stamp: Stamp, problem: str | None) -> Entry:
    # Integers, no float: the time must equal the one that the register holds, to the millisecond.
    text, modified = spell_out(name), _EPOCH + stamp[0] * _MILLISECOND
    return Entry(
        text,
        modified,
        stamp[1],
        "its name is not UTF-8" if problem is None and text != name else problem,
    )


def walk(
    folder: Path, below: str = "", above: tuple[tuple[int, int], ...] = ()
) -> Iterator[ListedFile]:
    """Lists the files in a folder and in those below it.

    Args:
        folder: the folder.
        below: the prefix of each name.
        above: device and inode of the folders that lead here, so that circles of links end.
    """
    with _opened(folder) as here, os.scandir(here) as children:
        found = os.fstat(here)
        for child in children:
            seen = _look(child.name, f"{below}{child.name}", here)
            if seen is None:
                continue
            # A folder named like a file lies where a file should be, so it is reported and not
            # walked. Nothing in a hidden folder counts, so that is not walked either.
            if seen[2] is _IS_FOLDER and not (
                child.name.lower().endswith(_FORMATS) or is_hidden(child.name)
            ):
                yield from walk_below(
                    folder / child.name, seen[0], (*above, (found.st_dev, found.st_ino))
                )
            else:
                yield seen


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    """Opens a folder, so that looking at a file in it need not resolve the whole path each time."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield number
    finally:
        os.close(number)


def walk_below(
    folder: Path, name: str, above: tuple[tuple[int, int], ...] = ()
) -> Iterator[ListedFile]:
    """Lists the files in a subfolder; yields the folder with the reason if it cannot be listed."""
    try:
        found = folder.stat()
        if (found.st_dev, found.st_ino) in above:
            yield name, _UNSEEN, "a link to a folder that contains the link"
        else:
            yield from walk(folder, f"{name}/", above)
    except FileNotFoundError:
        return  # taken away while it was listed
    except OSError as error:
        yield name, _UNSEEN, describe_failure(error)


def _look(place: str | Path, name: str, folder: int | None = None) -> ListedFile | None:
    """Looks at a path, or at a name in an open folder; returns None if nothing is there."""
    try:
        # The kind that the listing gave is not used: a file may have become a link since then.
        found = os.stat(place, dir_fd=folder)
    except OSError as error:
        # A link to nothing is a problem to report. A name that is gone was taken away: no problem.
        is_gone = isinstance(error, FileNotFoundError) and not _is_there(place, folder)
        return None if is_gone else (name, _UNSEEN, describe_failure(error))
    # Whole milliseconds: Delta statistics, from which landed files are known, keep no more digits.
    modified = found.st_mtime_ns // 1_000_000
    if stat.S_ISREG(found.st_mode):
        return name, (modified, found.st_size), None
    return (
        name,
        (modified, 0),
        _IS_FOLDER if stat.S_ISDIR(found.st_mode) else "neither a file nor a folder",
    )


def _is_there(place: str | Path, folder: int | None) -> bool:
    """Returns whether the name exists, even as a link to nothing."""
    try:
        os.lstat(place, dir_fd=folder)
    except OSError:
        return False
    return True


def look_at(place: Path, name: str) -> Entry | None:
    """Returns the entry of the file at a path; None if there is none."""
    seen = _look(place, name)
    return None if seen is None else _entry(*seen)


def list_object(name: str, modified_at: datetime, size: int) -> ListedFile | None:
    """Returns an object of a bucket as a listed file; None for a console's empty-folder marker."""
    # With the suffix of a format it is an empty file, which is refused and named.
    is_marker = size == 0 and not name.lower().endswith(_FORMATS)
    return None if is_marker else (name, ((modified_at - _EPOCH) // _MILLISECOND, size), None)


def is_hidden(name: str) -> bool:
    """Returns whether some part of a name is hidden or marks a file in transfer."""
    parts = name.split("/") if "/" in name else (name,)
    return any(part.startswith(_HIDDEN) or part.lower().endswith(_IN_FLIGHT) for part in parts)


def spell_out(name: str) -> str:
    """Returns a name that text can hold: bytes that are not UTF-8 become escapes."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return os.fsencode(name).decode("utf-8", "backslashreplace")
    return name


def describe_failure(error: Exception) -> str:
    """Returns why something cannot be read."""
    return f"cannot be read: {getattr(error, 'strerror', None) or error}"
