"""What a file is packed in, by its first bytes, and by its name where these say nothing.

Belongs here: recognising. Does not belong here: unpacking (`compressed.py`, `archives.py`).
"""

import codecs
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

from lakehouse.ingest.files.packed.compressed import COMPRESSIONS
from lakehouse.ingest.files.packed.suffixes import find_format, name_packing
from lakehouse.ingest.files.record_ledger import RefusedError
from lakehouse.tables.files import Files

ARCHIVES = ("zip", "tar")
HEAD_BYTES = 512
"""How much of a file tells its packing; the mark of a tar archive is within its first block."""

_TAR_MARK = slice(257, 262)
_MARKS: Mapping[str, re.Pattern[bytes]] = {
    "gzip": re.compile(rb"\x1f\x8b"),
    "bzip2": re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)"),
    "xz": re.compile(rb"\xfd7zXZ\0"),
    # A frame, or one to skip before it.
    "zstd": re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"),
    "zip": re.compile(rb"PK(\x03\x04|\x05\x06|\x07\x08)"),
    "7z": re.compile(rb"7z\xbc\xaf\x27\x1c"),
    "rar": re.compile(rb"Rar!\x1a\x07"),
    "lz4": re.compile(rb"\x04\x22\x4d\x18"),
    "compress": re.compile(rb"\x1f\x9d"),
    "snappy": re.compile(rb"\xff\x06\0\0sNaPpY"),
}
_BINARY = (b"PAR1", b"Obj\x01", b"ORC", b"ARROW1", b"\xd0\xcf\x11\xe0")
"""How the formats begin that are no text: Parquet, Avro, ORC, Arrow, old Excel."""

_CONTROLS = re.compile("[\0-\x08\x0e-\x1f]")


def recognise_packing(path: Path, name: str, files: Files) -> str | None:
    """Returns what a file is packed in: one of `COMPRESSIONS` or `ARCHIVES`; None for nothing.

    Args:
        path: the file.
        name: its name without the packings that are undone already.
        files: what is declared of it.

    Raises:
        RefusedError: it is packed in a way that is not read.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        file.seek(max(0, path.stat().st_size - HEAD_BYTES))
        tail = file.read(HEAD_BYTES)
    kind = next((kind for kind, mark in _MARKS.items() if mark.match(head)), None)
    if kind is None and head[_TAR_MARK] == b"ustar":
        kind = "tar"
    if kind in (*COMPRESSIONS, *ARCHIVES):
        return None if kind == "zip" and _is_document(path, name, files) else kind
    if kind is not None:
        raise RefusedError(
            f"packed as {kind}, which is not read; deliver it plain, or as gzip, Zstandard, zip "
            "or tar"
        )
    # A packing that only the name tells: damaged at its beginning, or undone on the way while the
    # name stayed, as browsers and proxies do.
    named = name_packing(name)
    return None if named is None or _is_plain(head, tail, files) else named


def _is_document(path: Path, name: str, files: Files) -> bool:
    """Returns whether a zip file is a workbook, whose format is made of one."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.NameToInfo
            return "[Content_Types].xml" in members or "content.xml" in members
    # What is damaged is told by whoever reads it.
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, MemoryError, EOFError):
        return "excel" in (files.format, find_format(name)) and name_packing(name) is None


def _is_plain(head: bytes, tail: bytes, files: Files) -> bool:
    """Returns whether a file begins and ends as one that is not packed."""
    if head.startswith(_BINARY):
        return True
    try:
        text = codecs.getincrementaldecoder(files.encoding)().decode(head)
    except UnicodeDecodeError:
        return False
    # A zip whose beginning is cut off may begin with text, where a member is not compressed.
    has_zeros = b"\0" in "a".encode(files.encoding)  # as UTF-16
    end = "" if has_zeros else tail.decode("latin-1")
    return _CONTROLS.search(text + end) is None
