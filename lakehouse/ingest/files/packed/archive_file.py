"""A delivered archive of several files: each member is read as a delivery of its own.

Belongs here: the way from the bytes of an archive to the deliveries in it. Does not belong here:
which members are read (`members.py`), and what becomes of the deliveries
(`ingest/batch_builder.py`).
"""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from lakehouse.ingest.files.delivery import (
    Delivery,
    create_work_folder,
    read_delivery,
    read_spooled,
    refuse_file,
    removed_on_failure,
)
from lakehouse.ingest.files.packed.archives import Archive, Member, open_archive
from lakehouse.ingest.files.packed.unpack import Received, Unpacked, bound, receive, spool_file
from lakehouse.ingest.files.read_options import ReadOptions
from lakehouse.ingest.files.record_ledger import RefusedError
from lakehouse.ingest.limits import IngestLimits

_CHUNK = 1 << 20
_TIMES = 16
"""How many times `ratio_from` the members of any archive may unpack to together, whatever its size.

Members may share their packed bytes, so each by itself may be within its limit."""


@dataclass(frozen=True)
class ArchiveFile:
    """A delivered archive of several files, spooled.

    Attributes:
        name: its name in landing.
        received: its bytes as delivered.
        unpacked: where it lies without its compression, and its members.
        work: the folder that holds both.
        options: how the members are read.
        limits: the limits of each member, and of all together.
        keep: how many bytes of rows of a member may stay in memory.
    """

    name: str
    received: Received
    unpacked: Unpacked
    work: Path
    options: ReadOptions
    limits: IngestLimits
    keep: int

    @property
    def member_names(self) -> tuple[str, ...]:
        """The names of its members, as those of deliveries."""
        return tuple(f"{self.name}/{member.name}" for member in self.unpacked.members)

    def read_members(self, only: str | None = None, name: str | None = None) -> Iterator[Delivery]:
        """Yields the delivery of each member, one after another.

        A member that cannot be unpacked is refused whole. Its dead letter holds its bytes as they
        lie in the archive.

        Args:
            only: the one member to read, by its name in the archive.
            name: the name of that delivery.
        """
        left = min(
            self.limits.plain_bytes,
            max(_TIMES * self.limits.ratio_from, self.received.size * self.limits.ratio),
        )
        count = _Budget(left)
        with ExitStack() as opened:
            kind = str(self.unpacked.archive)
            archive = opened.enter_context(open_archive(self.unpacked.path, kind, self.limits))
            for member in self.unpacked.members:
                if only is None or member.name == only:
                    called = name or f"{self.name}/{member.name}"
                    yield self._read_member(archive, member, called, count)

    def _read_member(
        self, archive: Archive, member: Member, name: str, count: "_Budget"
    ) -> Delivery:
        try:
            self._check_member(member, name)
            chunks = count(bound(archive.read(member), member.packed, self.limits))
            return read_delivery(
                chunks,
                name=name,
                spool=self.work,
                options=self.options,
                limits=self.limits,
                keep=self.keep,
            )
        except RefusedError as error:
            return self._refuse_member(member, name, str(error))

    def _check_member(self, member: Member, name: str) -> None:
        if member.problem is not None:
            raise RefusedError(f"it is {member.problem}")
        if (size := len(name.encode())) > (most := self.limits.name_bytes):
            raise RefusedError(f"its name has {size:,} bytes; limit {most:,} (name_bytes)")

    def _refuse_member(self, member: Member, name: str, reason: str) -> Delivery:
        work = create_work_folder(self.work)
        with removed_on_failure(work):
            received = receive(self._read_packed(member), work / "received")
            # Not the hash of these bytes alone: they are no file of their own.
            digest = hashlib.sha256(f"packed member\n{received.digest}".encode()).hexdigest()
            return replace(refuse_file(received, name, reason, work, self.limits), digest=digest)

    def _read_packed(self, member: Member) -> Iterator[bytes]:
        """Yields the bytes of a member with its header, as they lie in the archive."""
        left = member.packed
        with self.unpacked.path.open("rb") as file:
            file.seek(member.start)
            while left > 0 and (chunk := file.read(min(left, _CHUNK))):
                left -= len(chunk)
                yield chunk

    def refuse(self, reason: str) -> Delivery:
        """Returns the archive as one delivery that is refused whole."""
        return refuse_file(self.received, self.name, reason, self.work, self.limits)

    def close(self) -> None:
        """Removes what was spooled of the archive itself; the deliveries stay."""
        # Not their folder: the rows of the members lie in it.
        for path in {self.received.path, self.unpacked.path}:
            path.unlink(missing_ok=True)


class _Budget:
    """Counts what comes out of all members of an archive."""

    def __init__(self, left: int) -> None:
        self._left, self._most = left, left

    def __call__(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._left -= len(chunk)
            if self._left < 0:
                raise RefusedError(
                    f"too large: more than {self._most:,} bytes come out of its archive "
                    "(plain_bytes, ratio)"
                )
            yield chunk


def read_file(
    chunks: Iterable[bytes],
    *,
    name: str,
    spool: Path,
    options: ReadOptions,
    limits: IngestLimits,
    keep: int = 0,
) -> Delivery | ArchiveFile:
    """Reads a delivered file, or opens it if it is an archive of several.

    For the arguments and the errors see `read_delivery`.
    """
    work = create_work_folder(spool)
    with removed_on_failure(work):
        file = spool_file(chunks, name, work, options.files, limits)
        if isinstance(file.unpacked, Unpacked) and file.unpacked.archive:
            return ArchiveFile(name, file.received, file.unpacked, work, options, limits, keep)
        return read_spooled(file, options, limits, keep)
