"""Finding and reading the files that dead letters come from.

A file that was refused whole is kept in its dead letter or beside it. A file of which other records
landed can be read again only while it is in landing, or if the lake kept it for a cut record.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import obstore
import polars as pl

from lakehouse.ingest.delivery_identity import name_digest
from lakehouse.ingest.files.delivery import Delivery
from lakehouse.ingest.files.landing_zone import Landing, UnreadableError
from lakehouse.ingest.files.listing import Entry
from lakehouse.ingest.files.packed.archive_file import ArchiveFile, read_file
from lakehouse.ingest.files.read_options import ReadOptions
from lakehouse.ingest.landed_files import LandedFiles
from lakehouse.origin import Origin
from lakehouse.quarantine.dead_letters import DeadLetters
from lakehouse.quarantine.states import RELEASED, is_in
from lakehouse.storage.lake import Lake, scan_visible_rows
from lakehouse.storage.parquet import scan_parquet_files
from lakehouse.tables.table_types import RawTable

_ReadCopy = Callable[[], Delivery | ArchiveFile | None]


@dataclass(frozen=True)
class DeadLetterFiles:
    """The files of the dead letters of one raw table.

    Attributes:
        lake: where the tables are, and the refused files that are kept.
        landing: where delivered files lie.
        raw: the table.
        known: the files that have landed in it.
        spool: a private folder for what is read.
        required: the columns without which a reader refuses a file.
    """

    lake: Lake
    landing: Landing
    raw: RawTable
    known: LandedFiles
    spool: Path
    required: tuple[str, ...]

    def read(self, source: str, letters: pl.DataFrame) -> Delivery | ArchiveFile | None:
        """Reads the file of some dead letters; returns None if no copy of its bytes is left.

        It is an archive where one that was refused whole can be opened now.
        """
        origin = Origin.parse(source)
        for read_copy in self._list_copies(source, letters):
            try:
                found = read_copy()
            # The next copy may be readable. An outage is not caught: a store that does not answer
            # has not said that the file is gone.
            except (FileNotFoundError, UnreadableError):
                continue
            if isinstance(found, ArchiveFile):
                if found.received.digest == origin.digest:
                    return found
                found.close()
            elif found is not None:
                # A name proves nothing: other bytes may have been delivered under it since.
                delivery = name_digest(self.raw, found, origin.name)
                if delivery.digest == origin.digest:
                    return delivery
                # The spooled copy is as large as the file; the next candidate needs the room.
                delivery.received.unlink()
        return None

    def _open(self, chunks: Iterable[bytes], name: str) -> Delivery | ArchiveFile:
        return read_file(
            chunks,
            name=name,
            spool=self.spool,
            options=ReadOptions(self.required, tuple(self.raw.columns), self.raw.files),
            limits=self.landing.limits,
        )

    def _read_member(self, archive: Entry, member: str, name: str) -> Delivery | None:
        """Reads a member of an archive in landing under the name that it had when it was landed."""
        chunks = self.landing.read_chunks(self.raw.landing, archive)
        found = self._open(chunks, archive.name)
        if not isinstance(found, ArchiveFile):
            found.received.unlink()
            return None
        delivery = next(found.read_members(member, name), None)
        found.close()
        return delivery

    def drop_stored(self, delivery: Delivery, origin: Origin, letters: pl.DataFrame) -> Delivery:
        """Returns a delivery without the rows and dead letters that the lake already holds.

        Args:
            delivery: the file, read again.
            origin: the origin of its rows.
            letters: the dead letters for which it was read.
        """
        is_of_file = pl.col("_source") == letters["_source"][0]
        stored = DeadLetters(self.lake, self.raw.name).rows().filter(is_of_file)
        # A released letter is no longer stored as dead. If its row was rolled back and its record
        # cannot be parsed today, the record needs a new letter, or it would be in neither table.
        dead = stored.filter(~is_in(RELEASED)).select("_offset").drop_nulls()
        rows, rows_count = self._drop(delivery.rows, self._scan_stored_rows(origin))
        letters_left, dead_count = self._drop(delivery.dead, dead)
        return replace(
            delivery, rows=rows, rows_count=rows_count, dead=letters_left, dead_count=dead_count
        )

    def _list_copies(self, source: str, letters: pl.DataFrame) -> Iterator[_ReadCopy]:
        """Yields what reads the copies that may hold a file, the likeliest first."""
        origin = Origin.parse(source)
        # Kept whole in the lake because a payload, at most 1 MiB, could not hold all of it.
        for path in letters["kept_at"].drop_nulls().unique():
            yield partial(self._open, self._read_kept(path), origin.name)
        if letters["_offset"].null_count():  # the letter is the whole file
            # The letters at hand come without payloads, so this file's is fetched now. One that was
            # cut has another hash, and `read` passes over it.
            is_file = (pl.col("_source") == source) & pl.col("_offset").is_null()
            stored = DeadLetters(self.lake, self.raw.name).rows().filter(is_file)
            payloads = stored.select("payload").drop_nulls().head(1).collect().to_series()
            yield from (partial(self._open, [payload], origin.name) for payload in payloads)
        yield from self._list_landing_copies(origin)

    def _list_landing_copies(self, origin: Origin) -> Iterator[_ReadCopy]:
        """Yields what reads the files in landing with these bytes, or unregistered of this name."""
        # The register knows the hash of each file that was read: those with other bytes are left
        # out unopened, and a file that was renamed since is found by its bytes.
        listed = self.landing.list_entries(self.raw.landing)
        digests = {
            entry: self.known.register.guess_digest(entry)
            for entry in listed
            if entry.problem is None
        }
        entries = [
            entry
            for entry, digest in digests.items()
            if digest == origin.digest or (digest is None and entry.name == origin.name)
        ]
        # False sorts first: files that are known to hold these bytes, then the same name.
        entries.sort(
            key=lambda entry: (digests.get(entry) != origin.digest, entry.name != origin.name)
        )
        for entry in entries:
            chunks = self.landing.read_chunks(self.raw.landing, entry)
            yield partial(self._open, chunks, origin.name)
        for entry, member in self._find_archives(origin, digests):
            yield partial(self._read_member, entry, member, origin.name)

    def _find_archives(
        self, origin: Origin, digests: Mapping[Entry, str | None]
    ) -> Iterator[tuple[Entry, str]]:
        """Yields the archives in landing that may hold these bytes, and the name of the member."""
        holding = {
            Origin.parse(archive).digest: member.removeprefix(f"{Origin.parse(archive).name}/")
            for archive, member in self.known.register.find_archives(origin.digest).items()
        }
        for entry, digest in digests.items():
            if digest in holding:
                yield entry, holding[digest]
            elif digest is None and origin.name.startswith(f"{entry.name}/"):
                yield entry, origin.name.removeprefix(f"{entry.name}/")

    def _read_kept(self, path: str) -> Iterator[bytes]:
        """Yields the bytes of a file that is kept in the lake.

        Raises:
            FileNotFoundError: somebody removed it.
        """
        for chunk in obstore.get(self.lake.store, path).stream():
            yield bytes(chunk)

    def _scan_stored_rows(self, origin: Origin) -> pl.LazyFrame:
        """Scans the offsets of a file's rows in the raw table."""
        # At the revision on which the batch is based: rows that land later make its commit fail
        # rather than be landed twice.
        revision = self.known.revision
        if revision is None:
            return pl.LazyFrame(schema={"_offset": pl.Int64})
        handle = self.lake.open_revision(self.raw.name, revision)
        rows = scan_visible_rows(handle).filter(pl.col("_source") == origin.source)
        return rows.select("_offset")

    def _drop(self, records: Path | None, stored: pl.LazyFrame) -> tuple[Path | None, int]:
        """Spools the records that are not stored; returns their folder and their number."""
        if records is None:
            return None, 0
        folder = Path(tempfile.mkdtemp(prefix="reread-", dir=self.spool))
        rows = scan_parquet_files(records)
        # Streamed from disk to disk: a file may hold more rows than memory.
        rows.join(stored, on="_offset", how="anti").sink_parquet(
            folder / "000000.parquet", engine="streaming"
        )
        return folder, int(scan_parquet_files(folder).select(pl.len()).collect().item())
