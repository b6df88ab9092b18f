"""Deliveries on their way into a batch: which bytes are new, which repeat others, and which cannot be read.

Belongs here: looking at each entry of landing once. Does not belong here: parsing (`sources/delivery.py`), and what a
batch becomes (`batch.py`).
"""

import os
from collections import deque
from collections.abc import Callable, Collection, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path

import obstore
import polars as pl
from deltalake import DeltaTable

from lakehouse.failpoints import failpoint
from lakehouse.ingest.batch import Batch, FittedDelivery, locate_kept_file
from lakehouse.ingest.drift.columns import TableColumns
from lakehouse.ingest.drift.projection import Projection
from lakehouse.ingest.files.delivery import Delivery, read_delivery
from lakehouse.ingest.files.landing_zone import Landing, UnreadableError
from lakehouse.ingest.files.listing import Entry
from lakehouse.ingest.landed_files import LandedFiles, Occurrence, occurrence_of, source_of
from lakehouse.ingest.small_deliveries import SMALL_DELIVERY
from lakehouse.quarantine.dead_letters import (
    COUNTED_DEAD_LETTERS,
    DEAD_LETTERS,
    UNREADABLE,
    DeadLetters,
)
from lakehouse.storage.lake import Lake, read_transaction_id
from lakehouse.tables.table_types import RawTable

_AT_ONCE = min(os.cpu_count() or 1, 4)
_SMALL_FILE = 1 << 20
"""Bytes as delivered; what a larger file needs in memory is needed by one at a time."""


def read_batch(  # noqa: PLR0913
    lake: Lake,
    landing: Landing,
    raw: RawTable,
    entries: Sequence[Entry],
    known: LandedFiles,
    spool: Path,
    advance: Callable[[Entry], None],
) -> Batch:
    """Read some entries into a batch; what is known by its bytes stays out.

    Args:
        lake: where the tables are.
        landing: where the entries are.
        raw: the table that they are for.
        entries: what to read.
        known: the deliveries that are landed already.
        spool: a private folder.
        advance: told of each entry that was looked at.
    """
    batch = begin_batch(lake, raw, known)
    read = partial(_read, landing, raw.landing, spool=spool, required=batch.columns.own_names)
    with closing(_ahead(entries, read)) as deliveries:
        for entry, delivery in deliveries:
            _take_in(batch, lake, landing, entry, delivery, known, spool)
            advance(entry)
            failpoint("land: file read")
    sources = [read.source for read in batch.reads] + [
        str(row["_source"]) for row in batch.unreadable
    ]
    count_dead_letters(batch, lake, known)
    batch.known_dead = DeadLetters(lake, raw.name).find_known(sources)
    return batch


def begin_batch(lake: Lake, raw: RawTable, known: LandedFiles) -> Batch:
    """A batch without deliveries, for the columns that the table has by now."""
    handle = _handle(lake, raw, known)
    return Batch(
        raw, TableColumns(raw, {} if handle is None else pl.scan_delta(handle).collect_schema())
    )


def count_dead_letters(batch: Batch, lake: Lake, known: LandedFiles) -> None:
    """Note how many dead letters stand, and how many of them no audit has counted."""
    handle = _handle(lake, batch.raw, known)
    batch.dead_revision = lake.revision(DEAD_LETTERS)
    batch.standing_dead = DeadLetters(lake, batch.raw.name).count()
    counted = (
        0 if handle is None else read_transaction_id(handle, batch.raw.name, COUNTED_DEAD_LETTERS)
    )
    batch.uncounted_dead = 0 if counted is None else max(0, batch.standing_dead - counted)


def _handle(lake: Lake, raw: RawTable, known: LandedFiles) -> DeltaTable | None:
    return lake.open_shared(raw.name, None if known.revision is None else known.revision.version)


def _read(
    landing: Landing, table: str, entry: Entry, *, spool: Path, required: Collection[str]
) -> Delivery | str:
    """An entry as it was delivered; in words why it cannot be read."""
    if entry.problem is not None:
        return entry.problem
    try:
        chunks = landing.read_chunks(table, entry)
        return read_delivery(
            chunks, name=entry.name, spool=spool, required=required, keep=SMALL_DELIVERY
        )
    except UnreadableError as error:
        return str(error)


def _ahead(
    entries: Sequence[Entry], read: Callable[[Entry], Delivery | str]
) -> Generator[tuple[Entry, Callable[[], Delivery | str]], None, None]:
    """Each entry with what reads it, in order; small ones are read ahead of their turn, so that no core idles."""
    coming: deque[tuple[Entry, Callable[[], Delivery | str]]] = deque()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        try:
            for entry in entries:
                is_small = entry.size < _SMALL_FILE and len(entries) > 1
                coming.append(
                    (entry, pool.submit(read, entry).result if is_small else partial(read, entry))
                )
                if len(coming) > 2 * _AT_ONCE:
                    yield coming.popleft()
            yield from coming
        finally:
            pool.shutdown(cancel_futures=True)


def _take_in(  # noqa: PLR0913
    batch: Batch,
    lake: Lake,
    landing: Landing,
    entry: Entry,
    read: Callable[[], Delivery | str],
    known: LandedFiles,
    spool: Path,
) -> None:
    try:
        delivery = read()
    except FileNotFoundError:
        return  # taken away between the listing and the reading: nothing was delivered
    if isinstance(delivery, str):
        _unreadable(batch, entry, delivery)
        return
    if batch.raw.full_dumps:
        delivery = replace(
            delivery, digest=sha256(f"{entry.name}\n{delivery.digest}".encode()).hexdigest()
        )
    if landing.is_unchanged(batch.raw.landing, entry):
        _take(batch, lake, entry, delivery, known, spool)
    else:
        batch.changed.append(entry.name)
    delivery.received.unlink()


def _take(
    batch: Batch, lake: Lake, entry: Entry, delivery: Delivery, known: LandedFiles, spool: Path
) -> None:
    """A delivery becomes part of the batch, unless its bytes are landed."""
    source = source_of(entry.name, delivery.digest)
    twin = batch.digests.get(delivery.digest) or known.twin(delivery.digest)
    if twin is not None and not _is_better_named(batch, delivery, known):
        _repeat(batch, entry, delivery, twin, known)
        if (
            known.lacks_letters(delivery.digest)
            and delivery.digest not in batch.digests
            and delivery.dead_count
        ):
            _return(batch, lake, entry, delivery, twin)
        return
    fitted, fit = batch.columns.fit(delivery)
    batch.take(FittedDelivery(entry, fitted, source, fit), spool)
    batch.digests[delivery.digest] = occurrence_of(entry)
    (batch.rowless.discard if fitted.rows_count else batch.rowless.add)(delivery.digest)
    if not known.is_registered(entry, delivery.digest):
        batch.record(entry, source, "landed" if fitted.rows_count else "dead", fitted.dead_count)
    if fitted.refused is not None:
        batch.refused[entry.name] = fitted.refused
    if fitted.is_cut:
        obstore.put(lake.store, locate_kept_file(batch.raw, source), delivery.received)


def _is_better_named(batch: Batch, delivery: Delivery, known: LandedFiles) -> bool:
    """Whether bytes that gave nothing but dead letters are rows, all of them, under a name that tells their format."""
    digest = delivery.digest
    is_rowless = digest in batch.rowless if digest in batch.digests else known.is_rowless(digest)
    return is_rowless and bool(delivery.rows_count) and not delivery.dead_count


def _repeat(
    batch: Batch, entry: Entry, delivery: Delivery, twin: Occurrence, known: LandedFiles
) -> None:
    """The bytes are there already; if this file was written before the one that they came with, they are its."""
    landed, is_itself = source_of(twin.name, delivery.digest), occurrence_of(entry) == twin
    if not known.is_registered(entry, delivery.digest) or known.lacks_letters(delivery.digest):
        itself = "dead" if known.is_rowless(delivery.digest) else "landed"
        source = source_of(entry.name, delivery.digest)
        outcome, twin_source = (itself, None) if is_itself else ("repeated", landed)
        # Another name may tell another format: the dead letters of these bytes are those of their first reading.
        batch.record(entry, source, outcome, delivery.dead_count if is_itself else 0, twin_source)
    if is_itself:
        return
    batch.repeated[entry.name] = landed
    if occurrence_of(entry) < twin and not known.is_rowless(delivery.digest):
        batch.corrections[landed] = {
            "_source": source_of(entry.name, delivery.digest),
            "_modified_at": entry.modified_at,
        }
        batch.digests[delivery.digest] = occurrence_of(entry)


def _return(batch: Batch, lake: Lake, entry: Entry, delivery: Delivery, twin: Occurrence) -> None:
    """The rows of these bytes are landed, and dead letters of them were lost: they come back under the same origin."""
    source = source_of(twin.name, delivery.digest)
    batch.digests[delivery.digest] = twin
    as_landed = entry._replace(name=twin.name, modified_at=twin.modified_at)
    batch.returned.append(
        FittedDelivery(as_landed, replace(delivery, in_memory=None), source, Projection({}))
    )
    if delivery.is_cut:
        obstore.put(lake.store, locate_kept_file(batch.raw, source), delivery.received)


def _unreadable(batch: Batch, entry: Entry, problem: str) -> None:
    batch.refused[entry.name] = problem
    batch.unreadable.append(
        {
            "table": batch.raw.name,
            "reason": problem,
            "place": entry.name,
            "payload": None,
            "payload_bytes": entry.size,
            "kept_at": None,
            "landed_rows": 0,
            "_source": f"{entry.name}{UNREADABLE}",
            "_offset": None,
            "_modified_at": entry.modified_at,
        }
    )
