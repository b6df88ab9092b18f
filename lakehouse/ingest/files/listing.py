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

from lakehouse.ingest.files.local_files import Links
from lakehouse.ingest.files.packed.suffixes import FILE_SUFFIXES

# Suffixes that browsers and transfer tools give to files that they have not finished.
_IN_FLIGHT = (".tmp", ".part", ".partial", ".crdownload", ".filepart")
_HIDDEN = (".", "_", "~")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_IS_FOLDER = "an empty folder with the name of a file; deliver the file, or remove the folder"

Stamp = tuple[int, int, str]
"""When a file was last written, in milliseconds since 1970 UTC, its size in bytes, and its tag."""

ListedFile = tuple[str, Stamp, str | None]
"""Name below the folder, stamp, why it cannot be read; a plain tuple because there are many."""

NOTHING_KNOWN: Mapping[str, Stamp] = {}
"""No file is known."""

_UNSEEN: Stamp = (0, 0, "")
_MOST_FOLDERS = 100
"""How deep folders may be nested."""


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
        etag: changes with the bytes, even if time and size stay: the ETag of an object; of a local
            file the time of the last change of its inode, which no program can set.
    """

    name: str
    modified_at: datetime
    size: int
    problem: str | None = None
    etag: str = ""

    @property
    def changed_at(self) -> datetime:
        """When a local file was last changed in any way, by the clock of its disk."""
        return _EPOCH + int(self.etag or 0) // 1_000_000 * _MILLISECOND

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
        stamp[2],
    )


def walk(
    folder: Path, links: Links, below: str = "", above: tuple[tuple[int, int], ...] = ()
) -> Iterator[ListedFile]:
    """Lists the files in a folder and in those below it.

    Args:
        folder: the folder.
        links: which links are followed.
        below: the prefix of each name.
        above: device and inode of the folders that lead here, so that circles of links end.
    """
    with _opened(folder) as here, os.scandir(here) as children:
        found = os.fstat(here)
        for child in children:
            seen = _look(folder, child.name, f"{below}{child.name}", links, here)
            if seen is None:
                continue
            # Nothing in a hidden folder counts, so that is not walked.
            if seen[2] is _IS_FOLDER and not (
                is_hidden(child.name) or _is_missing_file(folder / child.name)
            ):
                yield from walk_below(
                    folder / child.name, seen[0], links, (*above, (found.st_dev, found.st_ino))
                )
            else:
                yield seen


def _is_missing_file(folder: Path) -> bool:
    """Returns whether a folder lies where a file should be: named like one, and empty.

    Spark names the folder of its part files like a file; that one is walked.
    """
    if not folder.name.lower().endswith(FILE_SUFFIXES):
        return False
    with os.scandir(folder) as children:
        return next(children, None) is None


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    """Opens a folder, so that looking at a file in it need not resolve the whole path each time."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield number
    finally:
        os.close(number)


def walk_below(
    folder: Path, name: str, links: Links, above: tuple[tuple[int, int], ...] = ()
) -> Iterator[ListedFile]:
    """Lists the files in a subfolder; yields the folder with the reason if it cannot be listed."""
    try:
        found = folder.stat()
        if (found.st_dev, found.st_ino) in above:
            yield name, _UNSEEN, "a link to a folder that contains the link"
        elif len(above) > _MOST_FOLDERS:
            yield name, _UNSEEN, f"a folder below more than {_MOST_FOLDERS} others"
        else:
            yield from walk(folder, links, f"{name}/", above)
    except FileNotFoundError:
        return  # taken away while it was listed
    except OSError as error:
        yield name, _UNSEEN, describe_failure(error)


def _look(
    folder: Path, child: str, name: str, links: Links, number: int | None = None
) -> ListedFile | None:
    """Looks at what lies in a folder under some name; returns None if nothing is there.

    Args:
        folder: the folder.
        child: the name in it.
        name: the name below the folder of the raw table.
        links: which links are followed.
        number: the open folder, if it is open.
    """
    place = str(folder / child) if number is None else child
    try:
        # The kind that the listing gave is not used: a file may have become a link since then.
        found = os.stat(place, dir_fd=number, follow_symlinks=False)
    except FileNotFoundError:
        return None  # taken away while it was listed
    except OSError as error:
        return name, _UNSEEN, describe_failure(error)
    # Whole milliseconds: Delta statistics, from which landed files are known, keep no more digits.
    modified = found.st_mtime_ns // 1_000_000
    if stat.S_ISLNK(found.st_mode):
        if problem := links.find_problem(folder / child):
            return name, (modified, 0, ""), problem
        try:
            found = os.stat(place, dir_fd=number)
        except OSError as error:  # a link to nothing, or to itself
            return name, _UNSEEN, describe_failure(error)
        modified = found.st_mtime_ns // 1_000_000
    if stat.S_ISREG(found.st_mode):
        return name, (modified, found.st_size, str(found.st_ctime_ns)), None
    is_folder = stat.S_ISDIR(found.st_mode)
    return name, (modified, 0, ""), _IS_FOLDER if is_folder else "neither a file nor a folder"


def look_at(folder: Path, name: str, links: Links) -> Entry | None:
    """Returns the entry of a file below a folder; None if there is none."""
    seen = _look(folder, name, name, links)
    return None if seen is None else _entry(*seen)


def list_object(name: str, modified_at: datetime, size: int, etag: str) -> ListedFile | None:
    """Returns an object of a bucket as a listed file; None for a console's empty-folder marker."""
    # With the suffix of a format it is an empty file, which is refused and named.
    is_marker = size == 0 and not name.lower().endswith(FILE_SUFFIXES)
    return None if is_marker else (name, ((modified_at - _EPOCH) // _MILLISECOND, size, etag), None)


def is_hidden(name: str) -> bool:
    """Returns whether some part of a name is hidden or marks a file in transfer."""
    parts = name.split("/") if "/" in name else (name,)
    return any(part.startswith(_HIDDEN) or part.lower().endswith(_IN_FLIGHT) for part in parts)


def is_ignored_delivery(name: str) -> bool:
    """Returns whether a name is ignored that looks like a delivery, or like one in transfer."""
    last = name.rsplit("/", 1)[-1].lower()
    is_in_transfer = last.startswith("~") or last.endswith(_IN_FLIGHT)
    return not last.startswith(".") and (
        is_in_transfer or (last.startswith("_") and last.endswith(FILE_SUFFIXES))
    )


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
