"""Reading files from landing into a batch: small ones ahead in threads, large ones one at a time.

Belongs here: opening each entry once. Does not belong here: parsing (`files/delivery.py`), and what
becomes of a delivery (`batch_builder.py`).
"""

import shutil
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path

import polars as pl
from deltalake import DeltaTable

from lakehouse.failpoints import failpoint
from lakehouse.ingest.batch import StoredLetters
from lakehouse.ingest.batch_builder import BatchBuilder
from lakehouse.ingest.delivery_identity import name_digest
from lakehouse.ingest.drift.columns import TableColumns
from lakehouse.ingest.files.delivery import Delivery
from lakehouse.ingest.files.landing_zone import Landing, UnreadableError
from lakehouse.ingest.files.listing import Entry
from lakehouse.ingest.files.packed.archive_file import ArchiveFile, read_file
from lakehouse.ingest.files.read_options import ReadOptions
from lakehouse.ingest.landed_files import LandedFiles
from lakehouse.ingest.limits import IngestLimits
from lakehouse.ingest.small_deliveries import SmallDeliveries
from lakehouse.origin import Origin
from lakehouse.quarantine.dead_letters import COUNTED_DEAD_LETTERS, DEAD_LETTERS, DeadLetters
from lakehouse.storage.disk_full import is_full_disk
from lakehouse.storage.lake import Lake, read_transaction_id
from lakehouse.tables.table_types import RawTable
from lakehouse.wording import name_first

_ROOM_BYTES = 64 << 20
"""Free bytes with which other files can land."""

_Found = Delivery | ArchiveFile | str
"""What an entry holds, or why its bytes cannot be read."""

_Read = Callable[[], _Found]


def begin_batch(
    lake: Lake, raw: RawTable, known: LandedFiles, spool: Path, limits: IngestLimits
) -> BatchBuilder:
    """Returns a builder without deliveries, for the table as it is at the revision of `known`.

    Args:
        lake: where the tables are.
        raw: the table that the batch is for.
        known: the deliveries that are landed already.
        spool: a private folder for rows that are too many for memory.
        limits: how many that are.
    """
    # Not the latest version: columns that another writer adds meanwhile are a conflict.
    handle = _open_base(lake, raw, known)
    stored = {} if handle is None else pl.scan_delta(handle).collect_schema()
    small = SmallDeliveries(spool, limits.joined_bytes)
    columns = TableColumns(raw, stored, limits.table_columns)
    return BatchBuilder(lake, known, columns, small, limits=limits)


def count_stored_letters(lake: Lake, raw: RawTable, known: LandedFiles) -> StoredLetters:
    """Counts the dead letters of a raw table, and those of them that no audit has counted."""
    # The revision comes first: what others add meanwhile is then a conflict, and is not overlooked.
    revision = lake.revision(DEAD_LETTERS)
    handle = _open_base(lake, raw, known)
    count = DeadLetters(lake, raw.name).count()
    counted = 0 if handle is None else read_transaction_id(handle, raw.name, COUNTED_DEAD_LETTERS)
    # Dead letters are committed before their rows, so a kill in between leaves more of them than
    # raw commits have counted. There are fewer where some were deleted: these were counted once.
    uncounted = 0 if counted is None else max(0, count - counted)
    return StoredLetters(revision, count, uncounted)


def _open_base(lake: Lake, raw: RawTable, known: LandedFiles) -> DeltaTable | None:
    # Without a revision there was no table; one that was created since is a conflict at the commit.
    return None if known.revision is None else lake.open_revision(raw.name, known.revision)


def read_entries(
    builder: BatchBuilder,
    landing: Landing,
    entries: Sequence[Entry],
    spool: Path,
    advance: Callable[[Entry], None],
) -> None:
    """Reads entries of landing and adds each to a batch.

    Args:
        builder: the batch.
        landing: where the entries are.
        entries: what to read.
        spool: a private folder; the deliveries point into it.
        advance: called after each entry.
    """
    raw = builder.raw
    options = ReadOptions(builder.columns.own_names, tuple(raw.columns), raw.files)
    read = partial(_read, landing, raw.landing, spool=spool, options=options)
    # An error must end the threads as well: they write into the spool, which is deleted next.
    with closing(_read_ahead(entries, read, landing.limits)) as deliveries:
        for entry, read_one in deliveries:
            _add(builder, landing, entry, read_one)
            advance(entry)
            failpoint("land: file read")


def _read(
    landing: Landing,
    folder: str,
    entry: Entry,
    *,
    spool: Path,
    options: ReadOptions,
) -> _Found:
    if entry.problem is not None:
        return entry.problem
    try:
        return read_file(
            landing.read_chunks(folder, entry),
            name=entry.name,
            spool=spool,
            options=options,
            limits=landing.limits,
            keep=landing.limits.small_delivery_bytes,
        )
    except UnreadableError as error:
        return str(error)
    except (OSError, pl.exceptions.PolarsError) as error:
        return _describe_full_disk(error, spool)


def _describe_full_disk(error: Exception, spool: Path) -> str:
    """Returns why a file is not read for which there was no room; raises any other error again."""
    # What was spooled of the file is deleted by now. If there is room again, then this file took
    # it, and the others need not wait: it is named, and tried again by each landing.
    free = shutil.disk_usage(spool).free
    if not is_full_disk(error) or free < _ROOM_BYTES:
        raise error
    return f"cannot be read: no room for what it unpacks to; {free:,} bytes are free in {spool}"


def _read_ahead(
    entries: Sequence[Entry], read: Callable[[Entry], _Found], limits: IngestLimits
) -> Generator[tuple[Entry, _Read], None, None]:
    """Yields each entry in order with what reads it; small ones are read ahead in threads."""
    ahead: deque[tuple[Entry, _Read]] = deque()
    with ThreadPoolExecutor(limits.files_at_once) as pool:
        try:
            for entry in entries:
                is_small = entry.size < limits.small_file_bytes and len(entries) > 1
                # Either is called in the order of the entries, so what becomes of a file, its error
                # included, is decided file after file.
                read_one = pool.submit(read, entry).result if is_small else partial(read, entry)
                ahead.append((entry, read_one))
                # Twice as many as threads: each thread finds its next file while one is added.
                if len(ahead) > 2 * limits.files_at_once:
                    yield ahead.popleft()
            yield from ahead
        finally:
            pool.shutdown(cancel_futures=True)


def _add(builder: BatchBuilder, landing: Landing, entry: Entry, read_one: _Read) -> None:
    try:
        found = read_one()
    except FileNotFoundError:
        return  # taken away after the listing: nothing was delivered
    if isinstance(found, str):
        builder.add_unreadable(entry, found)
        return
    # Asked after reading: the bytes of a file that was written to meanwhile may be of two versions.
    is_unchanged = landing.is_unchanged(builder.raw.landing, entry)
    if not is_unchanged:
        builder.add_changed(entry)
    if isinstance(found, ArchiveFile):
        if is_unchanged:
            _add_archive(builder, entry, found)
        found.close()
        return
    if is_unchanged:
        builder.add(entry, name_digest(builder.raw, found, entry.name))
    # Not sooner: `add` keeps the file of a large dead letter as it was read, not as it is by now.
    found.received.unlink()


def _add_archive(builder: BatchBuilder, entry: Entry, archive: ArchiveFile) -> None:
    """Adds each member of an archive, and then the archive; all of them are in one batch."""
    if builder.raw.full_dumps:
        reason = (
            f"a full dump is one file, and the archive holds {len(archive.member_names)}: "
            f"{name_first(archive.member_names)}; choose one with Files(members=…)"
        )
        refused = name_digest(builder.raw, archive.refuse(reason), entry.name)
        builder.add(entry, refused)
        return
    origin = Origin.of(entry.name, archive.received.digest)
    try:
        for delivery in archive.read_members():
            member = entry._replace(name=delivery.name, size=delivery.size)
            builder.add_member(member, name_digest(builder.raw, delivery, member.name), origin)
            delivery.received.unlink()
            failpoint("land: member read")
    except (OSError, pl.exceptions.PolarsError) as error:
        # What was read lands. The archive is not registered, so the rest is tried again.
        builder.add_unreadable(entry, _describe_full_disk(error, archive.work))
        return
    builder.add_archive(entry, origin, archive.unpacked.notes)
