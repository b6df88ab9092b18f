"""Replays dead letters: after a declaration or a reader was fixed, their files are read again.

A record that can be parsed now lands under the origin that it always had, unless the table already
holds it. Its dead letter is released after that. So a replay that is killed in the middle and run
again lands nothing twice.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import polars as pl

from lakehouse.ingest.batch_builder import BatchBuilder
from lakehouse.ingest.batch_frames import FittedDelivery
from lakehouse.ingest.drift.fit import fit_delivery
from lakehouse.ingest.files.delivery import Delivery, scan_rows
from lakehouse.ingest.files.landing_zone import Landing
from lakehouse.ingest.files.listing import Entry, Occurrence
from lakehouse.ingest.files.packed.archive_file import ArchiveFile
from lakehouse.ingest.land import land
from lakehouse.ingest.landed_files import LandedFiles, read_landed_files
from lakehouse.ingest.publish_batch import publish_batch
from lakehouse.ingest.read_batch import begin_batch, count_stored_letters
from lakehouse.operations.dead_letter_files import DeadLetterFiles
from lakehouse.origin import Origin, is_readable, select_digest
from lakehouse.publish.audit import Audit
from lakehouse.publish.retry import retry_if_busy
from lakehouse.quarantine.dead_letters import DEAD_LETTERS, DeadLetters
from lakehouse.quarantine.states import OPEN, RELEASED, STATES, WITHDRAWN, fill_states, is_in
from lakehouse.quarantine.update_states import StateChange, update_states
from lakehouse.storage.lake import Lake, scan_visible_rows
from lakehouse.storage.revision import read_revision
from lakehouse.storage.scratch import create_scratch_folder
from lakehouse.tables.table_types import RawTable

_LETTER = ("_source", "_offset", "_state")
"""The columns that identify a dead letter.

A record that died, was released and died again has two letters."""

_OUTCOME = pl.Schema(
    {
        "_source": pl.String(),
        "_offset": pl.Int64(),
        "_state": pl.String(),
        "_outcome": pl.String(),
        "_why": pl.String(),
    }
)
_Outcome = tuple[str, int | None, str, str, str | None]


@dataclass(frozen=True)
class DeadLetterReplay:
    """The result of a replay of dead letters.

    Attributes:
        audits: the commits to the raw table.
        notes: what a person should know: files that no longer exist, and files that may still be
            written.
    """

    audits: tuple[Audit, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass
class _Outcomes:
    """The outcomes of the dead letters whose files were read again.

    Attributes:
        rows: for each dead letter `_source`, `_offset` and `_state`, its new state, and why it is
            still dead; in the order in which they were found.
        missing: the files that were not found.
        archives: archives that were refused whole and can be opened now.
    """

    rows: list[_Outcome] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    archives: list[str] = field(default_factory=list)


def replay_dead_letters(
    lake: Lake, landing: Landing, raw: RawTable, *, run_id: str, now: datetime | None = None
) -> DeadLetterReplay:
    """Lands what waits in landing, then reads the files with open dead letters again.

    Landing goes first, because a fixed file of the same name settles dead letters as well.

    Args:
        lake: where the tables are.
        landing: where the files are.
        raw: the table that they are for.
        run_id: who asks; stored in the commits and in the released letters.
        now: the time that counts as the present; it decides which files are complete.

    Raises:
        SetupError: the landing zone does not exist.
        BusyError: other writers kept committing first.
        LawError: a record is unaccounted for; nothing was published.
    """
    report = land(lake, landing, raw, run_id=run_id, now=now)
    audit, outcomes = retry_if_busy(lambda: _attempt(lake, landing, raw, run_id))
    audits = [*report.audits, audit] if audit else [*report.audits]
    if outcomes.archives:
        # Their letters are released, so landing finds them unread.
        again = land(lake, landing, raw, run_id=run_id, now=now)
        audits += again.audits
        report = replace(report, refused=(*report.refused, *again.refused))
    notes = [
        *report.refused,
        *(f"{name} may not be complete yet; replay again later" for name in report.unfinished),
        *(
            f"{name} is no longer in landing, so its dead letters cannot be read again"
            for name in outcomes.missing
        ),
    ]
    return DeadLetterReplay(tuple(audits), tuple(notes))


def _attempt(
    lake: Lake, landing: Landing, raw: RawTable, run_id: str
) -> tuple[Audit | None, _Outcomes]:
    """Reads files again and publishes what is new; returns the audit and what was found."""
    # Within the attempt, so that a store that does not answer is asked again.
    with lake.translate_errors():
        return _read_letters_again(lake, landing, raw, run_id)


def _read_letters_again(
    lake: Lake, landing: Landing, raw: RawTable, run_id: str
) -> tuple[Audit | None, _Outcomes]:
    if lake.open_shared(DEAD_LETTERS) is None:
        return None, _Outcomes()
    known, outcomes = read_landed_files(lake, raw.name), _Outcomes()
    letters = _select_letters(lake, raw, known)
    # Counted before the files are read, so that what others add meanwhile makes this attempt fail.
    stored = count_stored_letters(lake, raw, known)
    with create_scratch_folder() as spool:
        builder = begin_batch(lake, raw, known, spool, landing.limits)
        files = DeadLetterFiles(lake, landing, raw, known, spool, builder.columns.own_names)
        for (source,), of_file in letters.group_by("_source", maintain_order=True):
            _read_again(files, builder, str(source), of_file, outcomes)
        # Each of these files has letters in the lake, which is why it is read. `drop_stored` has
        # left out its stored records; leaving out whole files would lose the new ones.
        audit = publish_batch(lake, builder.build(stored, skip_stored=False), run_id)
    # States come last. A kill before them leaves open letters whose records have landed; the next
    # replay finds nothing new in their files and records the same outcomes. The other order would
    # release letters whose records are nowhere. Retried apart: the rows are committed.
    retry_if_busy(lambda: _record_outcomes(lake, raw, outcomes, run_id))
    return audit, outcomes


def _select_letters(lake: Lake, raw: RawTable, known: LandedFiles) -> pl.DataFrame:
    """Returns the dead letters to read again, without their payloads of up to 1 MiB each.

    These are the open letters, and the released letters of refused files whose rows are gone, as
    after a restore.
    """
    letters = DeadLetters(lake, raw.name).rows()
    source = pl.col("_source")
    # Imploded below: Polars deprecates `is_in` with a column of the same type, and warnings fail
    # the tests.
    with_rows = pl.Series(sorted(known.by_digest.keys() - known.rowless), dtype=pl.String)
    is_whole_file = pl.col("_offset").is_null()
    is_gone = is_in(RELEASED) & is_whole_file & ~select_digest(source).is_in(with_rows.implode())
    # A file whose bytes could not be read has no hash, so no copy can be proved to be that file. It
    # is tried again with each landing instead.
    # What the sender took away may be read after a fix as well: the lake keeps its bytes.
    is_waiting = is_in(OPEN) | is_in(WITHDRAWN)
    wanted = letters.filter((is_waiting | is_gone) & is_readable(source))
    # A record that died again after its release has two letters; the open one sorts first.
    first = (
        wanted.select(*_LETTER, "_modified_at", "kept_at")
        .sort(_LETTER)
        .unique(["_source", "_offset"], keep="first")
    )
    return first.sort("_source", "_offset").collect()


def _read_again(
    files: DeadLetterFiles,
    builder: BatchBuilder,
    source: str,
    letters: pl.DataFrame,
    outcomes: _Outcomes,
) -> None:
    """Reads the file of some dead letters again, and adds what is new in it to the batch."""
    origin = Origin.parse(source)
    delivery = files.read(source, letters)
    if delivery is None:
        outcomes.missing.append(origin.name)
        return
    if isinstance(delivery, ArchiveFile):
        _open_archive(files, delivery, source, letters, outcomes)
        return
    fitted, projection = fit_delivery(builder.columns, delivery)
    outcomes.rows += _list_outcomes(source, letters, fitted)
    if fitted.refused is None:
        # Bytes that came several times have the origin of their first writing, in every row.
        first = files.known.by_digest.get(origin.digest)
        first = first or Occurrence(letters["_modified_at"][0], origin.name)
        known = files.known.register.find_entry(first.name, first.modified_at, origin.digest)
        entry = known or Entry(first.name, first.modified_at, delivery.size)
        own = Origin.of(entry.name, origin.digest)
        new = files.drop_stored(fitted, own, letters)
        # Nothing is new where an earlier replay was killed before it recorded the outcomes.
        if new.rows_count or new.dead_count:
            builder.add_reread(FittedDelivery(entry, new, own, projection), fitted.dead_count)
    delivery.received.unlink(missing_ok=True)


def _open_archive(
    files: DeadLetterFiles,
    archive: ArchiveFile,
    source: str,
    letters: pl.DataFrame,
    outcomes: _Outcomes,
) -> None:
    """Releases an archive that was refused whole and lies in landing; it lands like a new one."""
    archive.close()
    listed = files.landing.list_entries(files.raw.landing)
    digest = Origin.parse(source).digest
    if files.raw.full_dumps or digest not in map(files.known.register.guess_digest, listed):
        outcomes.missing.append(archive.name)
        return
    outcomes.archives.append(archive.name)
    outcomes.rows += [
        (source, offset, state, RELEASED, None)
        for offset, state in letters.select("_offset", "_state").iter_rows()
    ]


def _list_outcomes(source: str, letters: pl.DataFrame, delivery: Delivery) -> Iterator[_Outcome]:
    """Yields the outcome of each dead letter: released if its record or file can be read now."""
    offsets = letters["_offset"].drop_nulls().implode()
    readable: set[int] = set()
    if delivery.rows_count:
        rows = scan_rows(delivery).select("_offset")
        found = rows.filter(pl.col("_offset").is_in(offsets)).collect(engine="streaming")
        readable = set(found.to_series())
    for offset, state in letters.select("_offset", "_state").iter_rows():
        is_read = delivery.refused is None if offset is None else offset in readable
        if is_read:
            yield source, offset, state, RELEASED, None
        else:
            still = WITHDRAWN if state == WITHDRAWN else OPEN
            yield source, offset, state, still, delivery.refused


def _record_outcomes(lake: Lake, raw: RawTable, outcomes: _Outcomes, run_id: str) -> None:
    """Writes the new state of each dead letter; one that is still dead gets one more try."""
    handle = lake.open_shared(DEAD_LETTERS)
    if handle is None or not outcomes.rows:
        return
    rows = fill_states(scan_visible_rows(handle))
    names = rows.collect_schema().names()
    found = pl.DataFrame(outcomes.rows, schema=_OUTCOME, orient="row")
    # A letter that was read in vain and has been settled meanwhile has two outcomes, and the later
    # one is its release.
    found = found.unique(_LETTER, keep="last")
    # Nulls are equal: the letter of a whole file has no offset.
    joined = rows.join(found.lazy(), on=_LETTER, how="left", nulls_equal=True)
    is_released = pl.col("_outcome") == RELEASED
    stays_withdrawn = pl.col("_outcome") == WITHDRAWN
    # A letter that was released before keeps who released it, and when.
    # Two raw tables may be delivered the same file, hence the table.
    is_changed = (
        (pl.col("table") == raw.name)
        & pl.col("_outcome").is_not_null()
        & ~(is_in(RELEASED) & is_released)
    )
    moment = pl.lit(datetime.now(UTC), dtype=STATES["_settled_at"])
    values = {
        "_state": pl.col("_outcome"),
        "_settled_at": pl.when(is_released).then(moment).when(stays_withdrawn).then("_settled_at"),
        "_settled_by": pl.when(is_released)
        .then(pl.lit(run_id))
        .when(stays_withdrawn)
        .then("_settled_by"),
        "_last_seen_at": pl.when(is_released).then(pl.col("_last_seen_at")).otherwise(moment),
        "_tries": pl.col("_tries") + (~is_released).cast(pl.Int64),
        "reason": pl.coalesce("_why", "reason"),
    }
    changed = joined.with_columns(
        pl.when(is_changed).then(value).otherwise(pl.col(name)).alias(name)
        for name, value in values.items()
    ).select(names)
    change = StateChange(DEAD_LETTERS, read_revision(handle), joined, is_changed, changed)
    update_states(lake, change, run_id)
