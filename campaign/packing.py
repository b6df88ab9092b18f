"""Packs a file into what people send it in."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from random import Random


def pack(random: Random, name: str, content: bytes) -> tuple[str, bytes, str]:
    """Packs a file in one of the ways that landing reads.

    Returns:
        Its name, its bytes, and the way.
    """
    suffix = random.choice(list(_PACKERS))
    return f"{name}.{suffix}", _PACKERS[suffix](name, content), suffix


def _zip(name: str, content: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return packed.getvalue()


def _tar(name: str, content: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


_PACKERS: Mapping[str, Callable[[str, bytes], bytes]] = {
    "gz": lambda _, content: gzip.compress(content, mtime=0),
    "bz2": lambda _, content: bz2.compress(content),
    "xz": lambda _, content: lzma.compress(content),
    "zip": _zip,
    "tar.gz": _tar,
}
