"""The members of zip and tar archives: which are files, and the bytes of each.

Belongs here: listing and reading members; damage. Does not belong here: which members are read
(`unpack.py`). Nothing is ever written under the name of a member.
"""

import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, cast

from lakehouse.ingest.files.record_ledger import RefusedError
from lakehouse.ingest.limits import IngestLimits

_CHUNK = 1 << 20
_FEW = 4096
"""Bytes of bzip2 and LZMA that are unpacked at once: zipfile does not bound what comes out."""
_ENCRYPTED = 0x1  # bit 0 of a member's flags
_LOCAL_HEADER = 30  # bytes before the name of a member in a zip
_BLOCK = 512  # of tar
# There is no single error for damaged bytes: a header of LZMA may ask for all memory, and headers
# of tar may be nested without end.
_BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
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
class Member:
    """A file in an archive, or something else that is no folder.

    Attributes:
        name: its path in the archive.
        start: where it begins in the archive, with its header.
        packed: about how many bytes of the archive it takes.
        problem: why it is not read, if that is known from the directory.
    """

    name: str
    start: int
    packed: int
    problem: str | None = None
    handle: object = field(default=None, repr=False)


class Archive(Protocol):
    """An open archive."""

    @property
    def members(self) -> list[Member]:
        """Returns its members that are no folders, in its order."""
        ...

    def read(self, member: Member) -> Iterator[bytes]:
        """Yields the content of a member; raises `RefusedError` if it is damaged."""
        ...


@contextmanager
def open_archive(path: Path, kind: str, limits: IngestLimits) -> Iterator[Archive]:
    """Opens an archive.

    Args:
        path: the archive.
        kind: `zip` or `tar`.
        limits: how many members it may have.

    Raises:
        RefusedError: it is damaged or cut off, or has too many members.
    """
    with ExitStack() as opened:
        file = opened.enter_context(_BoundedFile(path, limits.archive_members))
        with _refuse_damage(kind, "its directory"):
            archive: Archive
            if kind == "zip":
                archive = _Zip(opened.enter_context(zipfile.ZipFile(file)))
            else:
                archive = _Tar(opened.enter_context(tarfile.open(fileobj=file, mode="r:")), limits)
        if len(archive.members) > limits.archive_members:
            raise _too_many(limits.archive_members)
        yield archive


def _too_many(most: int) -> RefusedError:
    return RefusedError(f"archive holds more than {most:,} files (archive_members)")


class _BoundedFile(io.BufferedReader):
    """A file of which nobody reads very much at once.

    The readers of archives take the size of a directory or a header from the file itself.
    """

    def __init__(self, path: Path, most_members: int) -> None:
        super().__init__(io.FileIO(path))
        self._most_members = most_members
        self._size = path.stat().st_size
        # A directory takes some hundred bytes for each member.
        self._most = max(4 * _CHUNK, 1024 * most_members)

    def read(self, size: int | None = -1, /) -> bytes:
        rest = max(self._size - self.tell(), 0)
        wanted = rest if size is None or size < 0 else min(size, rest)
        if wanted > self._most:
            raise _too_many(self._most_members)
        return super().read(wanted)


class _Zip:
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        if any(member.header_offset < 0 for member in archive.infolist()):
            raise zipfile.BadZipFile("the beginning of the archive is missing")
        self.members = [
            Member(
                member.filename,
                member.header_offset,
                _LOCAL_HEADER + len(member.filename) + member.compress_size,
                "encrypted; deliver it without a password"
                if member.flag_bits & _ENCRYPTED
                else None,
                member,
            )
            for member in archive.infolist()
            if not member.is_dir()
        ]

    def read(self, member: Member) -> Iterator[bytes]:
        found = cast("zipfile.ZipInfo", member.handle)
        with _refuse_damage("zip", f"its member {member.name!r}"):
            try:
                source = self._archive.open(found)
            except NotImplementedError as error:
                raise RefusedError(
                    f"zip file: its member {member.name!r} is compressed in a way that is not read "
                    f"({error}); deliver it as gzip, or zip it with deflate"
                ) from error
            is_bounded = found.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
            # Read to its end, or zipfile would not compare the checksum.
            with source:
                while chunk := source.read(_CHUNK if is_bounded else _FEW):
                    yield chunk


class _Tar:
    def __init__(self, archive: tarfile.TarFile, limits: IngestLimits) -> None:
        self._archive = archive
        self.members: list[Member] = []
        # Folders count as well: tarfile keeps all that it has seen.
        for number, member in enumerate(archive):
            if number >= 2 * limits.archive_members:
                raise _too_many(limits.archive_members)
            if not member.isdir():
                self.members.append(_describe(member))
        _check_end(cast("io.BufferedReader", archive.fileobj), archive.offset)

    def read(self, member: Member) -> Iterator[bytes]:
        with _refuse_damage("tar", f"its member {member.name!r}"):
            source = self._archive.extractfile(cast("tarfile.TarInfo", member.handle))
            if source is None:
                raise tarfile.ReadError("it has no content")
            with source:
                while chunk := source.read(_CHUNK):
                    yield chunk


def _check_end(file: io.BufferedReader, end: int) -> None:
    """Raises ReadError unless a tar archive ends with zeros, and nothing comes behind them."""
    # tarfile takes a damaged header for the end, and the end of a file that was cut off too.
    file.seek(end)
    if file.read(_BLOCK) != bytes(_BLOCK):
        raise tarfile.ReadError("its end is missing, or a header is damaged")
    while rest := file.read(_CHUNK):
        if rest.strip(b"\0"):
            raise tarfile.ReadError("data follow its end, as where archives were joined")


def _describe(member: tarfile.TarInfo) -> Member:
    # Links are not followed: they may lead out of the archive.
    problem = None
    if not member.isreg():
        what = "a link" if member.issym() or member.islnk() else "neither a file nor a folder"
        problem = f"{what} in an archive is not read; deliver the file itself"
    packed = member.offset_data + member.size - member.offset if member.isreg() else _BLOCK
    return Member(member.name, member.offset, packed, problem, member)


@contextmanager
def _refuse_damage(kind: str, part: str) -> Iterator[None]:
    """Turns the errors of a damaged archive into a refusal that names the part."""
    try:
        yield
    except OSError as error:
        # EINVAL is what seeking to a damaged, negative offset gives, and bzip2 raises an error
        # without a number. All others come from the disk.
        if error.errno not in (None, 22):
            raise
        reason = str(error) if error.errno is None else "it points outside the file"
        raise RefusedError(f"{kind} file is damaged or cut off: {part}: {reason}") from error
    except _BROKEN as error:
        reason = str(error) or type(error).__name__
        raise RefusedError(f"{kind} file is damaged or cut off: {part}: {reason}") from error
