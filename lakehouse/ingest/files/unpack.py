"""From the delivered bytes to a plain file: spool and hash, undo gzip or zip, find the format."""

import errno
import hashlib
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from lakehouse.ingest.files.record_ledger import EmptyFileError, RefusedError

FILE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")
_CHUNK = 1 << 20
_ENCRYPTED = 0x1  # bit 0 of a member's flags
# zipfile has no single error for damaged bytes: a method of compression that it does not know, for
# example, is a `NotImplementedError`.
_BROKEN_ZIP = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)


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


def unpack(received: Received, name: str, plain: Path) -> tuple[Path, str]:
    """Unpacks a delivered file.

    Args:
        received: the bytes as delivered.
        name: the name of the file.
        plain: where the plain file is written, if it is packed.

    Returns:
        The path of the plain file and the suffix of its format.

    Raises:
        RefusedError: empty, of an unknown format, cut off or damaged.
    """
    if not received.size:
        raise EmptyFileError("empty file: 0 bytes")
    # In a zip the name of its one member gives the format; that of the zip may say anything.
    if name.lower().endswith(".zip"):
        return plain, _unzip(received.path, plain)
    if not name.lower().endswith(".gz"):
        return received.path, _suffix(name)
    suffix = _suffix(name[: -len(".gz")])
    with received.path.open("rb") as source:
        _write(plain, _inflated(source))
    return plain, suffix


def _suffix(name: str) -> str:
    suffix = next((suffix for suffix in FILE_SUFFIXES if name.lower().endswith(suffix)), None)
    if suffix is None:
        raise RefusedError(
            f"unknown format: {name!r} ends with none of {', '.join(FILE_SUFFIXES)}, "
            "plain, .gz or .zip"
        )
    return suffix


def _write(plain: Path, chunks: Iterator[bytes]) -> None:
    with plain.open("wb") as target:
        for chunk in chunks:
            target.write(chunk)


def _inflated(source: BinaryIO) -> Iterator[bytes]:
    """Yields the content of a gzip file, of one member or several, at most a chunk at a time."""
    # 31 is gzip's header and trailer around the largest window, so zlib compares the checksums.
    member, done = zlib.decompressobj(wbits=31), 0
    try:
        while data := source.read(_CHUNK):
            while data:
                if member.eof:
                    data = data.lstrip(b"\0")  # padding, as from tapes; gzip ignores it too
                    if not data:
                        break
                    member = zlib.decompressobj(wbits=31)
                # At most a chunk comes out at once: a megabyte of gzip may hold a gigabyte.
                plain = member.decompress(data, _CHUNK)
                data = member.unused_data if member.eof else member.unconsumed_tail
                done += len(plain)
                yield plain
        # zlib may hold back output that did not fit into the last chunk.
        while not member.eof and (plain := member.decompress(b"", _CHUNK)):
            done += len(plain)
            yield plain
    except zlib.error as error:
        raise RefusedError(
            f"gzip stream is damaged somewhere after {done:,} bytes: {error}"
        ) from error
    # A file that was cut off is refused: what arrived would land as a shorter file without a word.
    if not member.eof:
        raise RefusedError(f"gzip stream ends early after {done:,} bytes")


def _unzip(path: Path, plain: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            member = _only_member(archive)
            suffix = _suffix(member.filename)
            with archive.open(member) as source:
                # Read to its end, or zipfile would not compare the checksum.
                _write(plain, iter(lambda: source.read(_CHUNK), b""))
    except OSError as error:
        if error.errno != errno.EINVAL:  # what seeking to a damaged, negative offset gives
            raise
        raise RefusedError(
            "zip file is damaged or cut off: its directory points outside the file"
        ) from error
    except _BROKEN_ZIP as error:
        raise RefusedError(f"zip file is damaged or cut off: {error}") from error
    return suffix


def _only_member(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    members = [member for member in archive.infolist() if not member.is_dir()]
    if len(members) != 1:
        names = ", ".join(member.filename for member in members[:10])
        raise RefusedError(f"zip file holds {len(members)} files where one is expected: {names}")
    if members[0].flag_bits & _ENCRYPTED:
        raise RefusedError(f"zip file is encrypted: {members[0].filename}")
    return members[0]
