"""Deliveries on their way into a batch: which bytes are new, which repeat others, and which cannot be read.

Belongs here: looking at each entry of landing once. Does not belong here: parsing (`sources/delivery.py`), and what a
batch becomes (`batch.py`).
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import obstore
import polars as pl
from deltalake import DeltaTable

from lakehouse.batch import Batch, Read, kept_path
from lakehouse.dead_letters import COUNTED, DEAD_LETTERS, UNREADABLE, DeadLetters
from lakehouse.faults import reached
from lakehouse.fitting import Columns
from lakehouse.lake import Lake, mark
from lakehouse.landed import Landed, Origin, origin_of, source_of
from lakehouse.sources.delivery import Delivery, read_delivery
from lakehouse.sources.landing import Entry, Landing, UnreadableError
from lakehouse.tables import RawTable
from lakehouse.taking import Fit


def collect(  # noqa: PLR0913
    lake: Lake,
    landing: Landing,
    raw: RawTable,
    entries: Sequence[Entry],
    known: Landed,
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
    batch = begun(lake, raw, known)
    for entry in entries:
        _read_into(batch, lake, landing, entry, known, spool)
        advance(entry)
        reached("land: file read")
    sources = [read.source for read in batch.reads] + [str(row["_source"]) for row in batch.unreadable]
    count_letters(batch, lake, known)
    batch.known_dead = DeadLetters(lake, raw.name).known(sources)
    return batch


def begun(lake: Lake, raw: RawTable, known: Landed) -> Batch:
    """A batch without deliveries, for the columns that the table has by now."""
    handle = _handle(lake, raw, known)
    return Batch(raw, Columns(raw, {} if handle is None else pl.scan_delta(handle).collect_schema()))


def count_letters(batch: Batch, lake: Lake, known: Landed) -> None:
    """Note how many dead letters stand, and how many of them no audit has counted."""
    version, handle = lake.version(DEAD_LETTERS), _handle(lake, batch.raw, known)
    batch.dead_version = -1 if version is None else version
    batch.standing_dead = DeadLetters(lake, batch.raw.name).count()
    counted = 0 if handle is None else mark(handle, batch.raw.name, COUNTED)
    batch.uncounted_dead = 0 if counted is None else max(0, batch.standing_dead - counted)


def _handle(lake: Lake, raw: RawTable, known: Landed) -> DeltaTable | None:
    return lake.look(raw.name, None if known.version < 0 else known.version)


def _read_into(batch: Batch, lake: Lake, landing: Landing, entry: Entry, known: Landed, spool: Path) -> None:  # noqa: PLR0913
    table = batch.raw.landing
    if entry.problem is not None:
        _unreadable(batch, entry, entry.problem)
        return
    try:
        delivery = read_delivery(
            landing.chunks(table, entry), name=entry.name, spool=spool, required=batch.columns.own_names
        )
    except FileNotFoundError:
        return  # taken away between the listing and the reading: nothing was delivered
    except UnreadableError as error:
        _unreadable(batch, entry, str(error))
        return
    if batch.raw.dumps:
        delivery = replace(delivery, digest=sha256(f"{entry.name}\n{delivery.digest}".encode()).hexdigest())
    if landing.is_unchanged(table, entry):
        _take(batch, lake, entry, delivery, known)
    else:
        batch.changed.append(entry.name)
    delivery.received.unlink()


def _take(batch: Batch, lake: Lake, entry: Entry, delivery: Delivery, known: Landed) -> None:
    """A delivery becomes part of the batch, unless its bytes are landed."""
    source = source_of(entry.name, delivery.digest)
    if (twin := batch.digests.get(delivery.digest) or known.twin(delivery.digest)) is not None:
        _repeat(batch, entry, delivery, twin, known)
        if known.lacks_letters(delivery.digest) and delivery.digest not in batch.digests:
            _return(batch, lake, entry, delivery, twin)
        return
    fitted, fit = batch.columns.fit(delivery)
    batch.reads.append(Read(entry, fitted, source, fit))
    batch.digests[delivery.digest] = origin_of(entry)
    if not known.is_registered(entry, delivery.digest):
        batch.record(entry, source, "landed" if fitted.rows_count else "dead", fitted.dead_count)
    if fitted.refused is not None:
        batch.refused[entry.name] = fitted.refused
    if fitted.is_cut:
        obstore.put(lake.store, kept_path(batch.raw, source), delivery.received)


def _repeat(batch: Batch, entry: Entry, delivery: Delivery, twin: Origin, known: Landed) -> None:
    """The bytes are there already; if this file was written before the one that they came with, they are its."""
    landed, is_itself = source_of(twin.name, delivery.digest), origin_of(entry) == twin
    if not known.is_registered(entry, delivery.digest) or known.lacks_letters(delivery.digest):
        itself = "dead" if known.is_rowless(delivery.digest) else "landed"
        source = source_of(entry.name, delivery.digest)
        outcome, twin_source = (itself, None) if is_itself else ("repeated", landed)
        batch.record(entry, source, outcome, delivery.dead_count, twin_source)
    if is_itself:
        return
    batch.repeated[entry.name] = landed
    if origin_of(entry) < twin and not known.is_rowless(delivery.digest):
        batch.corrections[landed] = {
            "_source": source_of(entry.name, delivery.digest),
            "_modified_at": entry.modified_at,
        }
        batch.digests[delivery.digest] = origin_of(entry)


def _return(batch: Batch, lake: Lake, entry: Entry, delivery: Delivery, twin: Origin) -> None:
    """The rows of these bytes are landed, and dead letters of them were lost: they come back under the same origin."""
    source = source_of(twin.name, delivery.digest)
    batch.digests[delivery.digest] = twin
    batch.returned.append(Read(entry._replace(name=twin.name, modified_at=twin.modified_at), delivery, source, Fit({})))
    if delivery.is_cut:
        obstore.put(lake.store, kept_path(batch.raw, source), delivery.received)


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
