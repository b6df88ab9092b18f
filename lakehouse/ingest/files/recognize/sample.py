"""A bounded sample of a delivered file: what its first and last bytes are once unpacked."""

import bz2
import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

HEAD_BYTES = 1 << 18
"""How much of the beginning is looked at: 256 KiB."""

TAIL_BYTES = 1 << 14
"""How much of the end is looked at: 16 KiB."""

_MOST_BYTES = 1 << 25
"""How much of a packed file is unpacked to find its end: 32 MiB, some tenths of a second."""

_CHUNK = 1 << 18
_MAGIC = {
    b"\x1f\x8b": ".gz",
    b"PK\x03\x04": ".zip",
    b"BZh": ".bz2",
    b"\xfd7zXZ\x00": ".xz",
    b"\x28\xb5\x2f\xfd": ".zst",
}
_OFFICE = ("xl/", "[Content_Types].xml")
_BROKEN = (
    *(OSError, EOFError, ValueError, LookupError, NotImplementedError, RuntimeError, MemoryError),
    *(zlib.error, lzma.LZMAError, zipfile.BadZipFile, struct.error, OverflowError),
)
"""What a packed file that is damaged may raise."""


@dataclass(frozen=True)
class Sample:
    """The ends of a file.

    Attributes:
        name: the name of the plain file: without the suffix of its packing, or of the member.
        head: its first bytes.
        tail: its last bytes, without those in `head`; None if the end was not reached.
        packing: the suffix of how it is packed, by its content; empty if it is not.
    """

    name: str
    head: bytes
    tail: bytes | None
    packing: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether the head is the whole file."""
        return self.tail == b""


def take_sample(path: Path, name: str) -> Sample:
    """Returns the ends of a file as it is once unpacked; what is damaged counts as plain bytes.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        beginning = file.read(8)
    packing = next((end for magic, end in _MAGIC.items() if beginning.startswith(magic)), "")
    if packing and not (packing == ".zip" and _is_office(path)):
        try:
            return _sample_packed(path, name, packing)
        except _BROKEN:
            pass
    return _sample_plain(path, name)


def _is_office(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(member.startswith(_OFFICE) for member in archive.namelist())
    except _BROKEN:
        return False


def _sample_packed(path: Path, name: str, packing: str) -> Sample:
    inner = name[: -len(packing)] if name.lower().endswith(packing) else name
    if packing == ".gz":
        return _sample_chunks(_inflate(path), inner, packing)
    if packing == ".zip":
        with zipfile.ZipFile(path) as archive:
            member = _first_member(archive)
            with archive.open(member) as source:
                return _sample_chunks(_read_chunks(source), member.filename, packing)
    with _OPENERS[packing](path) as source:
        return _sample_chunks(_read_chunks(source), inner, packing)


def _first_member(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    """Returns the first member that is a file, and none of those that a Mac adds."""
    for member in archive.infolist():
        own_name = member.filename.rpartition("/")[2]
        if own_name and not own_name.startswith(".") and "__MACOSX" not in member.filename:
            return member
    raise ValueError("the zip file holds no file")


def _open_bz2(path: Path) -> IO[bytes]:
    return bz2.open(path)


def _open_xz(path: Path) -> IO[bytes]:
    return lzma.open(path)


_OPENERS = {".bz2": _open_bz2, ".xz": _open_xz}


def _read_chunks(source: IO[bytes]) -> Iterator[bytes]:
    return iter(lambda: source.read(_CHUNK), b"")


def _inflate(path: Path) -> Iterator[bytes]:
    """Yields the content of a gzip file up to where it is damaged, which is enough here."""
    inflater = zlib.decompressobj(wbits=31)
    with path.open("rb") as file:
        while data := file.read(_CHUNK):
            while data:
                if inflater.eof:
                    inflater = zlib.decompressobj(wbits=31)
                try:
                    yield inflater.decompress(data, _CHUNK)
                except zlib.error:
                    return
                data = inflater.unused_data if inflater.eof else inflater.unconsumed_tail


def _sample_chunks(chunks: Iterator[bytes], name: str, packing: str) -> Sample:
    head, last, done = b"", b"", 0
    for chunk in chunks:
        done += len(chunk)
        room = HEAD_BYTES - len(head)
        head += chunk[:room]
        last = (last + chunk[room:] if room > 0 else last + chunk)[-TAIL_BYTES:]
        if done >= _MOST_BYTES:
            return Sample(name, head, None, packing)
    return Sample(name, head, last, packing)


def _sample_plain(path: Path, name: str) -> Sample:
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        size = file.seek(0, io.SEEK_END)
        file.seek(max(len(head), size - TAIL_BYTES))
        return Sample(name, head, file.read(TAIL_BYTES))
