"""From the delivered bytes to a plain file: spool and hash, undo gzip or zip, find the format."""

import errno
import hashlib
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from lakehouse.ingest.files.record_ledger import EmptyFileError, RefusedError
from lakehouse.ingest.limits import DEFAULT_LIMITS, IngestLimits

FILE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")
_CHUNK = 1 << 20
_ENCRYPTED = 0x1  # bit 0 of a member's flags
# zipfile has no single error for damaged bytes: a method of compression that it does not know, for
# example, is a `NotImplementedError`.
# A header of LZMA may ask for all memory.
_BROKEN_ZIP = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    IndexError,
    MemoryError,
    NotImplementedError,
    OverflowError,
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


def unpack(
    received: Received, name: str, plain: Path, limits: IngestLimits = DEFAULT_LIMITS
) -> tuple[Path, str]:
    """Unpacks a delivered file.

    Args:
        received: the bytes as delivered.
        name: the name of the file.
        plain: where the plain file is written, if it is packed.
        limits: how much may come out of it.

    Returns:
        The path of the plain file and the suffix of its format.

    Raises:
        RefusedError: empty, of an unknown format, cut off, damaged, or too large.
    """
    if not received.size:
        raise EmptyFileError("empty file: 0 bytes")
    # In a zip the name of its one member gives the format; that of the zip may say anything.
    if name.lower().endswith(".zip"):
        return plain, _unzip(received, plain, limits)
    if not name.lower().endswith(".gz"):
        if received.size > limits.plain_bytes:
            raise RefusedError(_describe_excess(received.size, limits))
        return received.path, _suffix(name)
    suffix = _suffix(name[: -len(".gz")])
    with received.path.open("rb") as source:
        _write(plain, _bound(_inflated(source), received.size, limits))
    return plain, suffix


def _describe_excess(size: int, limits: IngestLimits) -> str:
    return f"too large: {size:,} bytes; limit {limits.plain_bytes:,} (plain_bytes)"


def _bound(chunks: Iterator[bytes], packed: int, limits: IngestLimits) -> Iterator[bytes]:
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


def _unzip(received: Received, plain: Path, limits: IngestLimits) -> str:
    with _refuse_damage("its directory"), zipfile.ZipFile(received.path) as archive:
        member = _only_member(archive)
        suffix = _suffix(member.filename)
        with _refuse_damage(f"its member {member.filename!r}"), archive.open(member) as source:
            # Read to its end, or zipfile would not compare the checksum.
            chunks = iter(lambda: source.read(_CHUNK), b"")
            _write(plain, _bound(chunks, received.size, limits))
    return suffix


@contextmanager
def _refuse_damage(part: str) -> Iterator[None]:
    """Turns the errors of a damaged zip file into a refusal that names the part."""
    try:
        yield
    except OSError as error:
        # EINVAL is what seeking to a damaged, negative offset gives, and bzip2 raises an error
        # without a number. All others come from the disk.
        if error.errno not in (None, errno.EINVAL):
            raise
        reason = str(error) if error.errno is None else "it points outside the file"
        raise RefusedError(f"zip file is damaged or cut off: {part}: {reason}") from error
    except _BROKEN_ZIP as error:
        reason = str(error) or type(error).__name__
        raise RefusedError(f"zip file is damaged or cut off: {part}: {reason}") from error


def _only_member(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    members = [member for member in archive.infolist() if not member.is_dir()]
    if len(members) != 1:
        names = ", ".join(repr(member.filename) for member in members[:10])
        raise RefusedError(f"zip file holds {len(members)} files where one is expected: {names}")
    if members[0].flag_bits & _ENCRYPTED:
        raise RefusedError(f"zip file is encrypted: {members[0].filename!r}")
    return members[0]
