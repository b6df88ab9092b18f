"""Reading again what became dead letters: after a declaration or a reader was mended, from the bytes as they came.

A file that was refused whole is kept in its dead letter or beside it; a file of which other records landed has to lie
in landing still. What can be parsed now lands with the origin that it always had, unless it stands there already; then
its dead letter is released. So a replay that is killed in the middle and run again lands nothing twice.
"""

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import obstore
import polars as pl

from lakehouse.ingest.batch_builder import BatchBuilder
from lakehouse.ingest.batch_frames import FittedDelivery
from lakehouse.ingest.drift.fit import fit_delivery
from lakehouse.ingest.files.delivery import Delivery, read_delivery
from lakehouse.ingest.files.landing_zone import Landing, UnreadableError
from lakehouse.ingest.files.listing import Entry, Occurrence
from lakehouse.ingest.land import land
from lakehouse.ingest.landed_files import LandedFiles, read_landed_files
from lakehouse.ingest.publish_batch import publish_batch
from lakehouse.ingest.read_batch import begin_batch, count_stored_letters
from lakehouse.ingest.settled_letters import select_settled_letters
from lakehouse.origin import Origin, is_readable, select_digest
from lakehouse.publish.audit import Audit
from lakehouse.publish.retry import retry_if_busy
from lakehouse.quarantine.dead_letters import DEAD_LETTERS, DeadLetters
from lakehouse.quarantine.states import OPEN, RELEASED, STATES, fill_states, is_in
from lakehouse.quarantine.update_states import update_states
from lakehouse.storage.lake import Lake, scan_visible_rows
from lakehouse.storage.revision import read_revision
from lakehouse.storage.scratch import create_scratch_folder
from lakehouse.tables.table_types import RawTable

_LETTER = ("_source", "_offset", "_state")
_Outcome = tuple[str, int | None, str, str, str | None]
_OUTCOME = pl.Schema(
    {
        "_source": pl.String(),
        "_offset": pl.Int64(),
        "_state": pl.String(),
        "_outcome": pl.String(),
        "_why": pl.String(),
    }
)


@dataclass(frozen=True)
class DeadLetterReplay:
    """What was read again.

    Attributes:
        audits: the commits to the raw table.
        notes: what a person should know: files that are nowhere any more, files that may still be written.
    """

    audits: tuple[Audit, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass
class _Found:
    """What came of the dead letters that were read again, and of the files that were not found."""

    outcomes: list[_Outcome] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def replay_dead_letters(
    lake: Lake, landing: Landing, raw: RawTable, *, run_id: str, now: datetime | None = None
) -> DeadLetterReplay:
    """Land what waits in landing, as a mended file does, and read again the files that have open dead letters.

    Args:
        lake: where the tables are.
        landing: where the files are.
        raw: the table that they are for.
        run_id: who asks; stored in the commits and beside what is released.
        now: the time that counts as the present; it decides which files rest.

    Raises:
        SetupError: the landing zone does not exist.
        BusyError: other writers kept being faster.
        LawError: a record is unaccounted for; nothing was published.
    """
    report = land(lake, landing, raw, run_id=run_id, now=now)
    audit, missing = retry_if_busy(lambda: _attempt(lake, landing, raw, run_id))
    gone = [
        f"{name} is not in landing any more, so its dead letters cannot be read again"
        for name in missing
    ]
    resting = [
        f"{name} may still be written; replay again when it rests" for name in report.unfinished
    ]
    return DeadLetterReplay(
        (*report.audits, *([audit] if audit else [])), (*report.refused, *resting, *gone)
    )


def _attempt(
    lake: Lake, landing: Landing, raw: RawTable, run_id: str
) -> tuple[Audit | None, list[str]]:
    if lake.open_shared(DEAD_LETTERS) is None:
        return None, []
    known, found = read_landed_files(lake, raw.name), _Found()
    letters = _wanted(lake, raw, known)
    # Counted before the files are read: what others add meanwhile makes this attempt fail, and it starts anew.
    stored = count_stored_letters(lake, raw, known)
    with create_scratch_folder() as spool:
        builder = begin_batch(lake, raw, known, spool, landing.limits)
        for (source,), of_file in letters.group_by("_source", maintain_order=True):
            _read_again(builder, lake, landing, str(source), of_file, known, spool, found)
        audit = publish_batch(lake, builder.build(stored, skip_stored=False), run_id)
    settled = select_settled_letters(lake, DeadLetters(lake, raw.name).rows().filter(is_in(OPEN)))
    found.outcomes += [
        (source, offset, OPEN, RELEASED, None)
        for _, source, _, offset in settled.collect().iter_rows()
    ]
    retry_if_busy(lambda: _note(lake, raw, found, run_id))
    return audit, found.missing


def _wanted(lake: Lake, raw: RawTable, known: LandedFiles) -> pl.DataFrame:
    """The dead letters to read again, without their bytes: the open ones, and released files whose rows are gone."""
    letters = DeadLetters(lake, raw.name).rows()
    source = pl.col("_source")
    rows = pl.Series(sorted(known.by_digest.keys() - known.rowless), dtype=pl.String).implode()
    is_gone = is_in(RELEASED) & pl.col("_offset").is_null() & ~select_digest(source).is_in(rows)
    wanted = letters.filter((is_in(OPEN) | is_gone) & is_readable(source))
    settled = select_settled_letters(lake, wanted)
    wanted = wanted.join(
        settled, on=["_source", "_ingested_at", "_offset"], how="anti", nulls_equal=True
    )
    # Where a record died again after it had been released, the open letter speaks for it.
    one = (
        wanted.select(*_LETTER, "_modified_at", "kept_at")
        .sort(_LETTER)
        .unique(["_source", "_offset"], keep="first")
    )
    return one.sort("_source", "_offset").collect()


def _read_again(  # noqa: PLR0913
    builder: BatchBuilder,
    lake: Lake,
    landing: Landing,
    source: str,
    letters: pl.DataFrame,
    known: LandedFiles,
    spool: Path,
    found: _Found,
) -> None:
    """Read the file of some dead letters; what is new in it joins the batch."""
    origin = Origin.parse(source)
    delivery = _delivery(builder.raw, lake, landing, source, letters, known, spool)
    if delivery is None:
        found.missing.append(origin.name)
        return
    fitted, renamed = fit_delivery(builder.columns, delivery)
    found.outcomes += _outcomes(source, letters, fitted)
    if fitted.refused is None:
        # Bytes that came several times have the origin of their first writing, in every row.
        first = known.by_digest.get(origin.digest)
        first = first or Occurrence(letters["_modified_at"][0], origin.name)
        entry = Entry(first.name, first.modified_at, delivery.size)
        own = Origin.of(entry.name, origin.digest)
        fresh = _fresh(builder, lake, fitted, own.source, letters, known, spool)
        if fresh.rows_count or fresh.dead_count:
            builder.add_reread(FittedDelivery(entry, fresh, own, renamed), fitted.dead_count)
    delivery.received.unlink(missing_ok=True)


def _delivery(  # noqa: PLR0913
    raw: RawTable,
    lake: Lake,
    landing: Landing,
    source: str,
    letters: pl.DataFrame,
    known: LandedFiles,
    spool: Path,
) -> Delivery | None:
    """The file of some dead letters, read; None when these bytes are nowhere any more."""
    origin = Origin.parse(source)
    for chunks in _places(raw, lake, landing, source, letters, known):
        try:
            delivery = read_delivery(
                chunks, name=origin.name, spool=spool, required=raw.required, limits=landing.limits
            )
        except (FileNotFoundError, UnreadableError):
            continue
        if delivery.digest.startswith(origin.digest):
            return delivery
        delivery.received.unlink()
    return None


def _places(
    raw: RawTable,
    lake: Lake,
    landing: Landing,
    source: str,
    letters: pl.DataFrame,
    known: LandedFiles,
) -> Iterator[Iterable[bytes]]:
    """Where the bytes of a delivery may be: beside its dead letters, in one, or in landing under some name."""
    origin = Origin.parse(source)
    for kept in letters["kept_at"].drop_nulls().unique():
        yield _kept(lake, kept)
    if letters["_offset"].null_count():
        is_it = (pl.col("_source") == source) & pl.col("_offset").is_null()
        rows = (
            DeadLetters(lake, raw.name).rows().filter(is_it).select("payload").drop_nulls().head(1)
        )
        yield from ([payload] for payload in rows.collect().to_series())
    entries = [entry for entry in landing.list_entries(raw.landing) if entry.problem is None]
    digests = known.register.digests
    likely = sorted(
        entries, key=lambda entry: (digests.get(entry) != origin.digest, entry.name != origin.name)
    )
    for entry in likely:
        is_known = entry in digests or entry.name == origin.name
        if is_known and digests.get(entry, origin.digest) == origin.digest:
            yield landing.read_chunks(raw.landing, entry)


def _kept(lake: Lake, path: str) -> Iterator[bytes]:
    """The bytes of a file that is kept in the lake.

    Raises:
        FileNotFoundError: it was taken away.
    """
    for chunk in obstore.get(lake.store, path).stream():
        yield bytes(chunk)


def _outcomes(source: str, letters: pl.DataFrame, delivery: Delivery) -> Iterator[_Outcome]:
    """What came of each dead letter: released when its record, or its file, can be read."""
    offsets = letters["_offset"].drop_nulls().implode()
    readable: set[int] = set()
    if delivery.rows_count:
        rows = pl.scan_parquet(str(delivery.rows), hive_partitioning=False).select("_offset")
        readable = set(
            rows.filter(pl.col("_offset").is_in(offsets)).collect(engine="streaming").to_series()
        )
    for offset, state in letters.select("_offset", "_state").iter_rows():
        is_read = delivery.refused is None if offset is None else offset in readable
        yield (
            source,
            offset,
            state,
            RELEASED if is_read else OPEN,
            None if is_read else delivery.refused,
        )


def _fresh(  # noqa: PLR0913
    builder: BatchBuilder,
    lake: Lake,
    delivery: Delivery,
    source: str,
    letters: pl.DataFrame,
    known: LandedFiles,
    spool: Path,
) -> Delivery:
    """A delivery without the rows and the dead letters of it that stand already."""
    standing = (
        DeadLetters(lake, builder.raw.name)
        .rows()
        .filter(pl.col("_source") == letters["_source"][0])
    )
    dead = standing.filter(~is_in(RELEASED)).select("_offset").drop_nulls()
    table = (
        None
        if known.revision is None
        else lake.open_shared(builder.raw.name, known.revision.version)
    )
    rows = pl.LazyFrame(schema={"_offset": pl.Int64})
    if table is not None:
        rows = scan_visible_rows(table).filter(pl.col("_source") == source).select("_offset")
    rows_left, rows_count = _without(delivery.rows, rows, spool)
    dead_left, dead_count = _without(delivery.dead, dead, spool)
    return replace(
        delivery, rows=rows_left, rows_count=rows_count, dead=dead_left, dead_count=dead_count
    )


def _without(parts: Path | None, standing: pl.LazyFrame, spool: Path) -> tuple[Path | None, int]:
    """Spooled records but for those that stand, and how many are left."""
    if parts is None:
        return None, 0
    folder = Path(tempfile.mkdtemp(prefix="fresh-", dir=spool))
    rows = pl.scan_parquet(str(parts), hive_partitioning=False)
    rows.join(standing, on="_offset", how="anti").sink_parquet(
        folder / "000000.parquet", engine="streaming"
    )
    return folder, int(pl.scan_parquet(str(folder)).select(pl.len()).collect().item())


def _note(lake: Lake, raw: RawTable, found: _Found, run_id: str) -> None:
    """Write beside each dead letter what came of it."""
    handle = lake.open_shared(DEAD_LETTERS)
    if handle is None or not found.outcomes:
        return
    rows = fill_states(scan_visible_rows(handle))
    names = rows.collect_schema().names()
    outcomes = pl.DataFrame(found.outcomes, schema=_OUTCOME, orient="row").unique(
        _LETTER, keep="last"
    )
    joined = rows.join(outcomes.lazy(), on=_LETTER, how="left", nulls_equal=True)
    is_one = (pl.col("table") == raw.name) & pl.col("_outcome").is_not_null()
    is_out, moment = (
        is_one & (pl.col("_outcome") == RELEASED),
        pl.lit(datetime.now(UTC), dtype=STATES["_settled_at"]),
    )
    is_new = is_one & ~(is_in(RELEASED) & (pl.col("_outcome") == RELEASED))
    values = {
        "_state": pl.col("_outcome"),
        "_settled_at": pl.when(is_out).then(moment),
        "_settled_by": pl.when(is_out).then(pl.lit(run_id)),
        "_last_seen_at": pl.when(is_out).then(pl.col("_last_seen_at")).otherwise(moment),
        "_tries": pl.col("_tries") + (~is_out).cast(pl.Int64),
        "reason": pl.coalesce("_why", "reason"),
    }
    changed = joined.with_columns(
        pl.when(is_new).then(value).otherwise(pl.col(name)).alias(name)
        for name, value in values.items()
    ).select(names)
    update_states(lake, DEAD_LETTERS, read_revision(handle), joined, is_new, changed, run_id)
