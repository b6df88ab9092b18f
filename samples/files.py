"""Files that appear whole or not at all, and hold the same bytes for the same content.

Belongs here: packing and putting a file in its place. Does not belong here: what is in it.
"""

import gzip
import io
import zipfile
from datetime import date
from pathlib import Path

PREFIX = "sample-"
"""Every file name begins with it: it tells sample data from yours."""


def put(path: Path, content: bytes) -> None:
    """Writes a file under a hidden name and renames it, unless it has these bytes already."""
    if path.is_file() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.tmp")
    unfinished.write_bytes(content)
    unfinished.replace(path)


def gzipped(content: bytes) -> bytes:
    """A gzip file without a time."""
    return gzip.compress(content, compresslevel=6, mtime=0)


def zipped(member: str, content: bytes, day: date) -> bytes:
    """A zip file of one member, written in the afternoon of a day."""
    info = zipfile.ZipInfo(member, (day.year, day.month, day.day, 15, 56, 0))
    info.compress_type = zipfile.ZIP_DEFLATED
    info.create_system = 0
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(info, content)
    return packed.getvalue()
