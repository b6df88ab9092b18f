"""From the delivered bytes to a plain file: spool and hash, undo what it is packed in.

Belongs here: the layers of packing one after another, and how much may come out of them. Does not
belong here: recognising a packing (`packing.py`), undoing it (`compressed.py`, `archives.py`).
"""

import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lakehouse.ingest.files.archives import Archive, Member, open_archive
from lakehouse.ingest.files.compressed import decompress
from lakehouse.ingest.files.packing import ARCHIVES, recognise_packing
from lakehouse.ingest.files.record_ledger import EmptyFileError, RefusedError
from lakehouse.ingest.files.suffixes import (
    FORMAT_SUFFIXES,
    find_format,
    name_packing,
    strip_packing,
)
from lakehouse.ingest.limits import DEFAULT_LIMITS, IngestLimits
from lakehouse.tables.files import PLAIN, Files, Format

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
class PlainFile:
    """A file out of its packings.

    Attributes:
        path: where it is.
        format: its format.
        inner: the name of the only member of the archive in which it was; empty if it was in none.
        notes: what was tolerated.
    """

    path: Path
    format: Format
    inner: str = ""
    notes: tuple[str, ...] = ()


def unpack(
    received: Received,
    name: str,
    folder: Path,
    limits: IngestLimits = DEFAULT_LIMITS,
    files: Files = PLAIN,
) -> PlainFile:
    """Unpacks a delivered file.

    Args:
        received: the bytes as delivered.
        name: the name of the file.
        folder: a private folder for what comes out.
        limits: how much may come out.
        files: what is declared of the file.

    Raises:
        RefusedError: empty, of an unknown format, cut off, damaged, or too large.
    """
    if not received.size:
        raise EmptyFileError("empty file: 0 bytes")
    path, names, inner, notes = received.path, [name], "", []
    for _ in range(_MOST_LAYERS + 1):
        kind = recognise_packing(path, names[-1], files)
        if kind is None:
            break
        before, path = path, _create_file(folder)
        if kind in ARCHIVES:
            inner = _read_only_member(before, kind, path, received, limits)
            names.append(inner)
        else:
            with before.open("rb") as source:
                write_file(path, bound(decompress(source, kind), received.size, limits))
            names.append(strip_packing(names[-1]))
        if before != received.path:
            before.unlink()
    else:
        raise RefusedError(f"packed more than {_MOST_LAYERS} times, one in another")
    if path == received.path and received.size > limits.plain_bytes:
        raise RefusedError(_describe_excess(received.size, limits))
    if path == received.path and name_packing(name):
        notes.append("its name tells a packing, its bytes are not packed")
    return PlainFile(path, _find_format(names, files), inner, tuple(notes))


def _find_format(names: list[str], files: Files) -> Format:
    """Returns the format of a file by its innermost name that tells one."""
    found = files.format or next((f for name in reversed(names) if (f := find_format(name))), None)
    if found is None:
        raise RefusedError(
            f"unknown format: {names[-1]!r} ends with none of {', '.join(FORMAT_SUFFIXES)}, plain "
            'or packed; if it is one of these, declare it: raw(…, files=Files(format="csv"))'
        )
    return found


def _read_only_member(
    path: Path, kind: str, target: Path, received: Received, limits: IngestLimits
) -> str:
    with open_archive(path, kind, limits) as archive:
        member = _find_only_member(archive, kind)
        write_file(target, bound(archive.read(member), received.size, limits))
    return member.name


def _find_only_member(archive: Archive, kind: str) -> Member:
    if len(archive.members) != 1:
        names = ", ".join(repr(member.name) for member in archive.members[:10])
        raise RefusedError(
            f"{kind} file holds {len(archive.members)} files where one is expected: {names}"
        )
    [member] = archive.members
    if member.problem:
        raise RefusedError(f"{kind} file: {member.name!r} is {member.problem}")
    return member


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
