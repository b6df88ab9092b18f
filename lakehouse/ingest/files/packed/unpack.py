"""From the delivered bytes to a plain file: spool and hash, undo what it is packed in.

Belongs here: the layers of packing one after another, and how much may come out of them. Does not
belong here: recognising a packing (`packing.py`), undoing it (`compressed.py`, `archives.py`).
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from lakehouse.ingest.files.packed.archives import Member, open_archive
from lakehouse.ingest.files.packed.compressed import decompress
from lakehouse.ingest.files.packed.members import choose_members
from lakehouse.ingest.files.packed.packing import ARCHIVES, recognise_packing
from lakehouse.ingest.files.packed.suffixes import (
    FORMAT_SUFFIXES,
    find_format,
    name_packing,
    strip_packing,
)
from lakehouse.ingest.files.record_ledger import EmptyFileError, RefusedError
from lakehouse.ingest.limits import DEFAULT_LIMITS, IngestLimits
from lakehouse.tables.files import PLAIN, Files, Format

_PLAIN = "plain"
"""The folder for what comes out of a packed file, within that of its delivery."""

_MOST_LAYERS = 4
"""How many packings may be around a file: a web server packs what is packed already."""


@dataclass(frozen=True)
class Received:
    """The bytes as delivered: where they are spooled, their SHA-256, and how many they are."""

    path: Path
    digest: str
    size: int


def receive(chunks: Iterable[bytes], path: Path) -> Received:
    """Spools the delivered bytes.

    Raises:
        OSError: the source or the disk failed.
    """
    # The hash is of the bytes as delivered, not as unpacked: it is the identity of a delivery.
    sha, size = hashlib.sha256(), 0
    with path.open("wb") as file:
        for chunk in chunks:
            sha.update(chunk)
            size += file.write(chunk)
    return Received(path, sha.hexdigest(), size)


@dataclass(frozen=True)
class Unpacked:
    """A file out of its packings, or an archive of several files.

    Attributes:
        path: where it is.
        names: the names that it had on the way, from that of the delivery inwards.
        inner: the name of the only member of the archive in which it was; empty if it was in none.
        notes: what was tolerated.
        archive: `zip` or `tar` if it is an archive of several files; None otherwise.
        members: the files to read of that archive.
    """

    path: Path
    names: tuple[str, ...]
    inner: str = ""
    notes: tuple[str, ...] = ()
    archive: str | None = None
    members: tuple[Member, ...] = ()


def unpack(
    received: Received,
    name: str,
    folder: Path,
    limits: IngestLimits = DEFAULT_LIMITS,
    files: Files = PLAIN,
) -> Unpacked:
    """Undoes the packings of a delivered file, down to a plain file or an archive of several.

    Args:
        received: the bytes as delivered.
        name: the name of the file.
        folder: a private folder for what comes out.
        limits: how much may come out.
        files: what is declared of the file.

    Raises:
        RefusedError: empty, cut off, damaged, too large, or an archive without a file to read.
    """
    if not received.size:
        raise EmptyFileError("empty file: 0 bytes")
    done = Unpacked(received.path, (name,))
    for _ in range(_MOST_LAYERS + 1):
        kind = recognise_packing(done.path, done.names[-1], files)
        if kind is None:
            break
        before = done
        if kind in ARCHIVES:
            done = _open(done, kind, folder, received, limits, files)
            if done.archive:
                return done
        else:
            done = _decompress(done, kind, folder, received, limits)
        if before.path != received.path:
            before.path.unlink()
    else:
        raise RefusedError(f"packed more than {_MOST_LAYERS} times, one in another")
    is_plain = done.path == received.path
    if is_plain and received.size > limits.plain_bytes:
        raise RefusedError(_describe_excess(received.size, limits))
    if is_plain and name_packing(name):
        return replace(done, notes=("its name tells a packing, its bytes are not packed",))
    return done


def choose_format(unpacked: Unpacked, files: Files) -> Format:
    """Returns the format of a plain file by its innermost name that tells one.

    Raises:
        RefusedError: nothing tells it.
    """
    by_name = (found for name in reversed(unpacked.names) if (found := find_format(name)))
    found = files.format or next(by_name, None)
    if found is None:
        raise RefusedError(
            f"unknown format: {unpacked.names[-1]!r} ends with none of "
            f"{', '.join(FORMAT_SUFFIXES)}, plain or packed; if it is one of these, declare it: "
            'raw(…, files=Files(format="csv"))'
        )
    return found


def _decompress(
    done: Unpacked, kind: str, folder: Path, received: Received, limits: IngestLimits
) -> Unpacked:
    path, name = _create_file(folder), strip_packing(done.names[-1])
    with done.path.open("rb") as source:
        write_file(path, bound(decompress(source, kind), received.size, limits))
    return replace(done, path=path, names=(*done.names, name))


def _open(
    done: Unpacked, kind: str, folder: Path, received: Received, limits: IngestLimits, files: Files
) -> Unpacked:
    """Unpacks an archive of one file; of several it lists them."""
    with open_archive(done.path, kind, limits) as archive:
        members, notes = choose_members(archive.members, kind, files)
        done = replace(done, notes=(*done.notes, *notes))
        if len(members) > 1:
            return replace(done, archive=kind, members=tuple(members))
        [member] = members
        if member.problem:
            raise RefusedError(f"{kind} file: its member {member.name!r} is {member.problem}")
        path = _create_file(folder)
        write_file(path, bound(archive.read(member), received.size, limits))
    return replace(done, path=path, names=(*done.names, member.name), inner=member.name)


def _create_file(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    number, path = tempfile.mkstemp(prefix="plain-", dir=folder)
    os.close(number)
    return Path(path)


def _describe_excess(size: int, limits: IngestLimits) -> str:
    return f"too large: {size:,} bytes; limit {limits.plain_bytes:,} (plain_bytes)"


def bound(chunks: Iterator[bytes], packed: int, limits: IngestLimits) -> Iterator[bytes]:
    """Yields what comes out of a packed file, as long as that is within the limits.

    Raises:
        RefusedError: it is more.
    """
    done = 0
    most = max(limits.ratio_from, packed * limits.ratio)
    for chunk in chunks:
        done += len(chunk)
        # Counted while it comes out: what the file says of its own size may be wrong.
        if done > limits.plain_bytes:
            raise RefusedError(_describe_excess(done, limits))
        if done > most:
            raise RefusedError(
                f"too large: more than {most:,} bytes come out of {packed:,}; "
                f"limit {limits.ratio} to one (ratio)"
            )
        yield chunk


def write_file(path: Path, chunks: Iterable[bytes]) -> None:
    """Writes a file."""
    with path.open("wb") as target:
        for chunk in chunks:
            target.write(chunk)


@dataclass(frozen=True)
class SpooledFile:
    """A delivered file in a folder of its own.

    Attributes:
        name: its name in landing.
        work: the folder.
        received: its bytes as delivered.
        unpacked: what they unpack to, or why the file is refused.
    """

    name: str
    work: Path
    received: Received
    unpacked: Unpacked | RefusedError

    def drop_unpacked(self) -> None:
        """Removes what came out of the file."""
        shutil.rmtree(self.work / _PLAIN, ignore_errors=True)


def spool_file(
    chunks: Iterable[bytes], name: str, work: Path, files: Files, limits: IngestLimits
) -> SpooledFile:
    """Spools and unpacks a delivered file; raises OSError if that says nothing about the file."""
    received = receive(chunks, work / "received")
    try:
        unpacked = unpack(received, name, work / _PLAIN, limits, files)
    except RefusedError as error:
        return SpooledFile(name, work, received, error)
    return SpooledFile(name, work, received, unpacked)
