"""Land delivered files in a raw table: each whole and once, whatever is killed when.

Which files are landed is read from the rows themselves: each carries its file, by name and by the hash of its bytes. A
batch of files is one commit; what could not be parsed goes to `quarantine/dead_letters` just before, and what is known
of each file to `quarantine/deliveries` just after.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl

from lakehouse.errors import DataError, LawError, SetupError
from lakehouse.failpoints import failpoint
from lakehouse.ingest.batch import Batch
from lakehouse.ingest.delivery_register import register_deliveries
from lakehouse.ingest.files.landing_zone import Landing
from lakehouse.ingest.files.listing import Entry, list_new_entries
from lakehouse.ingest.landed_files import occurrence_of, read_landed_files
from lakehouse.ingest.read_batch import read_batch
from lakehouse.publish.audit import Audit, Provenance
from lakehouse.publish.publish import PassResult, publish
from lakehouse.publish.retry import retry_if_busy
from lakehouse.quarantine.dead_letters import DEAD_LETTERS, DeadLetters
from lakehouse.redaction import redact
from lakehouse.storage.disk_full import report_full_disk
from lakehouse.storage.lake import Lake
from lakehouse.storage.revision import Revision, read_revision
from lakehouse.storage.scratch import create_scratch_folder
from lakehouse.tables.table_types import RawTable

_BATCH_BYTES = 512 << 20
_BATCH_FILES = 1000

Progress = Callable[[str, int, int], None]
"""Told after each file: the raw table, bytes read so far, bytes to read."""


def ignore_progress(table: str, done: int, whole: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class News:
    """What lies in landing and is not landed.

    Attributes:
        ready: files to land, those that were written first at the front.
        resting: names of files that somebody may still be writing.
        unreadable: things that cannot be read, each with its problem.
    """

    ready: tuple[Entry, ...]
    unfinished: tuple[str, ...]
    unreadable: tuple[Entry, ...]


@dataclass(frozen=True)
class LandResult:
    """What one call of `land` did.

    Attributes:
        audits: the audit of each commit.
        repeated: files with the same bytes as another delivery; they add no rows.
        resting: files left alone because somebody may still be writing them.
        refused: files that could not be read, each with the reason.
    """

    audits: tuple[Audit, ...] = ()
    repeated: tuple[str, ...] = ()
    unfinished: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


def read_news(lake: Lake, landing: Landing, raw: RawTable, now: datetime | None = None) -> News:
    """What lies in landing and is not landed, told without reading a file."""
    began = now or datetime.now(UTC)
    pool = ThreadPoolExecutor(1)
    listing = pool.submit(
        landing.list_files, raw.landing
    )  # many files take as long as reading what is known of them
    pool.shutdown(wait=False)
    with lake.translate_errors():
        known = read_landed_files(lake, raw.name)
        seen = listing.result()
    unknown = known.select_unsettled(list_new_entries(seen, known.stamps))
    tried = [landing.try_open(raw.landing, entry) for entry in unknown]
    readable = [entry for entry in tried if entry.problem is None]
    ended = now or datetime.now(UTC)
    complete = {entry for entry in readable if landing.is_complete(entry, began, ended)}
    return News(
        tuple(sorted(complete, key=occurrence_of)),
        tuple(entry.name for entry in readable if entry not in complete),
        tuple(entry for entry in tried if entry.problem is not None),
    )


def land(  # noqa: PLR0913
    lake: Lake,
    landing: Landing,
    raw: RawTable,
    *,
    run_id: str = "local",
    now: datetime | None = None,
    progress: Progress = ignore_progress,
    batch_bytes: int = _BATCH_BYTES,
) -> LandResult:
    """Land every file that is not landed yet.

    Args:
        lake: where the tables are.
        landing: where the files are.
        raw: the table that they are for.
        run_id: who asks; stored in the commits.
        now: the time that counts as the present; it decides which files rest.
        progress: told how far it is.
        batch_bytes: how many delivered bytes go into one commit, at most, unless a single file is larger.

    Raises:
        SetupError: the landing zone does not exist.
        BusyError: it cannot be listed, or other writers kept being faster.
        DataError: the expression for the day fails; nothing was published.
        LawError: a record is unaccounted for; nothing was published.
    """
    if not isinstance(raw, RawTable):
        raise SetupError(
            f"{raw.name} is made, not landed.\nNext: land the raw tables that it is made from."
        )
    seen = read_news(lake, landing, raw, now)
    advance = _counter(raw, seen, progress)
    audits: list[Audit] = []
    batches: list[Batch] = []
    for entries in _batches(seen.ready, batch_bytes) or [()]:
        unreadable = seen.unreadable if not audits else ()
        batch, audit = retry_if_busy(
            lambda: _attempt(
                lake,
                landing,
                raw,
                (*entries, *unreadable),  # noqa: B023
                run_id,
                advance,
            )
        )
        audits += [audit] if audit else []
        batches.append(batch)
    repeated = {name: twin for batch in batches for name, twin in batch.repeated.items()}
    refused = {name: reason for batch in batches for name, reason in batch.refused.items()}
    return LandResult(
        tuple(audits),
        tuple(f"{name}: same bytes as {twin}" for name, twin in repeated.items()),
        (*seen.unfinished, *(name for batch in batches for name in batch.changed)),
        tuple(f"{name}: {reason}" for name, reason in refused.items()),
    )


def _counter(raw: RawTable, seen: News, progress: Progress) -> Callable[[Entry], None]:
    """Tells the progress after each file."""
    whole, done = sum(entry.size for entry in seen.ready), 0

    def advance(entry: Entry) -> None:
        nonlocal done
        done += entry.size
        progress(raw.name, done, whole)

    return advance


def _batches(entries: Sequence[Entry], most: int) -> list[tuple[Entry, ...]]:
    batches: list[list[Entry]] = []
    size = 0
    for entry in entries:
        if not batches or size + entry.size > most or len(batches[-1]) >= _BATCH_FILES:
            batches.append([])
            size = 0
        batches[-1].append(entry)
        size += entry.size
    return [tuple(batch) for batch in batches]


def _attempt(
    lake: Lake,
    landing: Landing,
    raw: RawTable,
    entries: Sequence[Entry],
    run_id: str,
    advance: Callable[[Entry], None],
) -> tuple[Batch, Audit | None]:
    """Read the position, read the files, publish on that position."""
    with create_scratch_folder() as spool, lake.translate_errors():
        known = read_landed_files(lake, raw.name)
        fresh = known.select_unsettled(entries)
        with report_full_disk(lake.root):
            batch = read_batch(lake, landing, raw, fresh, known, spool, advance)
        failpoint("land: files read")
        _put_back(lake, batch, Provenance(run_id=run_id, batch_id=batch.id))
        return batch, publish_batch(lake, batch, known.revision, run_id)


def publish_batch(lake: Lake, batch: Batch, base: Revision | None, run_id: str) -> Audit | None:
    """Publish what some files brought, and register them; None when there is nothing to publish.

    Args:
        lake: where the tables are.
        batch: the files, read.
        base: the revision of the raw table that was read before them.
        run_id: who asks; stored in the commits.

    Raises:
        BusyError: another writer was faster; nothing was published.
        DataError: the expression for the day fails; nothing was published.
        LawError: a record is unaccounted for; nothing was published.
    """
    raw, provenance = batch.raw, Provenance(run_id=run_id, batch_id=batch.id)
    if not batch.has_news:
        register_deliveries(lake, batch.recorded, provenance)
        return None
    sheet, rejects = batch.sheets(base)

    def account(findings: PassResult) -> Audit:
        if findings.rejected != batch.new_dead:
            raise LawError(
                f"{raw.name}: {batch.new_dead:,} dead letters were found, {findings.rejected:,} written."
            )
        return Audit(
            table=raw.name,
            mode="append",
            read=batch.records,
            written=findings.rows,
            dead_letters=batch.dead,
            notes=batch.notes,
            provenance=provenance,
        )

    try:
        audit = publish(lake, sheet, account, rejects=rejects)
    except pl.exceptions.PolarsError as error:
        raise DataError(
            f"{raw.name}: `day` fails on the data: {redact(error)}\n"
            "Next: let it give null where the day cannot be told (strict=False). Nothing was published."
        ) from None  # the error itself quotes values
    failpoint("land: published")
    register_deliveries(lake, batch.recorded, provenance)
    return audit


def _put_back(lake: Lake, batch: Batch, provenance: Provenance) -> None:
    """Dead letters that were lost while the rows of their file are landed; a raw commit has counted them before."""
    if not batch.returned:
        return
    sheet = batch.returning(DeadLetters(lake, batch.raw.name).offsets)

    def account(findings: PassResult) -> Audit:
        note = f"dead letters of {batch.raw.name} that were there before: {findings.rows:,}"
        return Audit(
            DEAD_LETTERS,
            "append",
            findings.rows,
            findings.rows,
            notes=(note,),
            provenance=provenance,
        )

    audit = publish(lake, sheet, account)
    if audit.version is not None:
        handle = lake.open_shared(DEAD_LETTERS, audit.version)
        batch.dead_revision = None if handle is None else read_revision(handle)
    batch.standing_dead += audit.rows
