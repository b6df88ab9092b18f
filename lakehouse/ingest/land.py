"""Landing delivered files in a raw table: each whole and once, whenever a process is killed.

Which files are landed is read from the rows themselves: each row names its file and the hash of
the file's bytes. A batch of files is one commit to the raw table. Dead letters go to
`quarantine/dead_letters` just before, and the outcome of each file goes to `quarantine/deliveries`
just after.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

from lakehouse.errors import SetupError
from lakehouse.failpoints import failpoint
from lakehouse.ingest.batch import Batch
from lakehouse.ingest.files.landing_zone import Landing
from lakehouse.ingest.files.listing import Entry, is_ignored_delivery, list_new_entries
from lakehouse.ingest.landed_files import read_landed_files
from lakehouse.ingest.limits import IngestLimits
from lakehouse.ingest.publish_batch import publish_batch
from lakehouse.ingest.read_batch import begin_batch, count_stored_letters, read_entries
from lakehouse.ingest.refused_files import (
    find_corrected_records,
    find_settled,
    list_dead_records,
    select_refused,
    settle_dead_letters,
)
from lakehouse.publish.audit import Audit
from lakehouse.publish.retry import retry_if_busy
from lakehouse.quarantine.states import State
from lakehouse.storage.disk_full import report_full_disk
from lakehouse.storage.lake import Lake
from lakehouse.storage.scratch import create_scratch_folder
from lakehouse.tables.table_types import RawTable

Progress = Callable[[str, int, int], None]
"""Called after each file with the raw table, the bytes read so far, and the bytes to read."""


def ignore_progress(table: str, done: int, total: int) -> None:
    """Ignores the progress of a landing."""


@dataclass(frozen=True)
class News:
    """What lies in landing and is not landed.

    Attributes:
        ready: files to land, in the order in which they were written.
        unfinished: names of files that somebody may still be writing.
        unreadable: entries that cannot be read, each with its problem.
        ignored: names that look like deliveries and are ignored, as those of unfinished transfers.
        refused: what lies under the names of refused files, by name; None for nothing.
        settled: the refused files that were taken away or replaced, with the new states of their
            dead letters, by origin.
    """

    ready: tuple[Entry, ...]
    unfinished: tuple[str, ...]
    unreadable: tuple[Entry, ...]
    ignored: tuple[str, ...] = ()
    refused: Mapping[str, Entry | None] = field(default_factory=dict)
    settled: Mapping[str, State] = field(default_factory=dict)


@dataclass(frozen=True)
class LandResult:
    """What one call of `land` did.

    Attributes:
        audits: the audit of each commit.
        repeated: files with the same bytes as another delivery; they add no rows.
        unfinished: files left alone because somebody may still be writing them.
        refused: files that could not be read, each with the reason.
        empty: sound files without a record, each with what it holds instead.
    """

    audits: tuple[Audit, ...] = ()
    repeated: tuple[str, ...] = ()
    unfinished: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()


def read_news(lake: Lake, landing: Landing, raw: RawTable, now: datetime | None = None) -> News:
    """Lists what lies in landing and is not landed; no file is read.

    Raises:
        SetupError: the landing zone does not exist.
        BusyError: it cannot be listed, or the lake does not answer.
    """
    began = now or datetime.now(UTC)
    # Listing many files takes as long as reading what is known of them, so both happen at once.
    pool = ThreadPoolExecutor(1)
    listing = pool.submit(landing.list_files, raw.landing)
    # Not a `with` block: a lake that does not answer is reported without waiting for the listing.
    pool.shutdown(wait=False)
    with lake.translate_errors():
        known = read_landed_files(lake, raw.name)
        listed = listing.result()
    new = known.select_unsettled(list_new_entries(listed, known.stamps))
    opened = [landing.try_open(raw.landing, entry) for entry in new]
    readable = [entry for entry in opened if entry.problem is None]
    # The listing takes a while: a file is incomplete if it was written shortly before it began, or
    # while it went on. A time after its end is a wrong clock, and nothing to wait for.
    ended = now or datetime.now(UTC)
    refused = select_refused(known, listed)
    complete = landing.select_complete(raw.landing, readable, began, ended)
    return News(
        # Bytes that come several times belong to the file that was written first, so it lands first
        # and the rows need no correction.
        tuple(sorted(complete, key=lambda entry: entry.occurrence)),
        tuple(entry.name for entry in readable if entry not in complete),
        tuple(entry for entry in opened if entry.problem is not None),
        tuple(sorted(name for name, _, _ in listed if is_ignored_delivery(name))),
        refused,
        find_settled(known, refused),
    )


def land(
    lake: Lake,
    landing: Landing,
    raw: RawTable,
    *,
    run_id: str = "local",
    now: datetime | None = None,
    progress: Progress = ignore_progress,
) -> LandResult:
    """Lands every file that is not landed yet, in batches within the limits of the landing zone.

    Args:
        lake: where the tables are.
        landing: where the files are.
        raw: the table that they are for.
        run_id: who asks; stored in the commits.
        now: the time that counts as the present; it decides which files are complete.
        progress: called after each file.

    Raises:
        SetupError: the landing zone does not exist, or the table is no raw table.
        BusyError: landing cannot be listed, or other writers kept being faster.
        DataError: the expression for the day fails; nothing was published.
        LawError: a record is unaccounted for; nothing was published.
    """
    if not isinstance(raw, RawTable):
        raise SetupError(
            f"{raw.name} is made from other tables, not landed.\n"
            "Next: land the raw tables that it is made from."
        )
    news = read_news(lake, landing, raw, now)
    advance = _count_progress(raw, news, progress)
    # There is always a first batch, if only an empty one: it counts the dead letters that a killed
    # attempt left, even when their file is no longer in landing.
    first, *others = _divide(news.ready, landing.limits) or [()]
    land_some = partial(_land_batch, lake, landing, raw, run_id=run_id, advance=advance)
    # Each batch is tried again by itself: what the ones before have published stays. Unreadable
    # entries go into the first one only, or each batch would count them.
    landed = [
        retry_if_busy(partial(land_some, entries))
        for entries in ((*first, *news.unreadable), *others)
    ]
    _settle(lake, raw, news, run_id)
    return _summarize(news, landed)


def _settle(lake: Lake, raw: RawTable, news: News, run_id: str) -> None:
    """Settles the dead letters of files that were taken away, replaced or corrected."""
    # What has landed since the listing may have replaced a refused file.
    with lake.translate_errors():
        dead = list_dead_records(lake, raw.name, news.ready)
        if not (news.refused or news.settled or dead):
            return
        known = read_landed_files(lake, raw.name)
        corrected = find_corrected_records(lake, raw, known, news.ready, dead)
    settle_dead_letters(lake, raw.name, find_settled(known, news.refused), run_id)
    settle_dead_letters(lake, raw.name, corrected, run_id, is_of_records=True)


def _land_batch(
    lake: Lake,
    landing: Landing,
    raw: RawTable,
    entries: Sequence[Entry],
    *,
    run_id: str,
    advance: Callable[[Entry], None],
) -> tuple[Batch, Audit | None]:
    """Reads the position, then the files, and publishes them on that position."""
    # Each attempt has a spool of its own, so it finds no parts of one that was given up.
    with create_scratch_folder() as spool, lake.translate_errors():
        # The position comes before the files: whoever lands them meanwhile makes the commit on it
        # fail, and the next attempt sees their rows.
        known = read_landed_files(lake, raw.name)
        with report_full_disk(lake.root):
            builder = begin_batch(lake, raw, known, spool, landing.limits)
            read_entries(builder, landing, known.select_unsettled(entries), spool, advance)
            batch = builder.build(count_stored_letters(lake, raw, known))
        failpoint("land: files read")
        return batch, publish_batch(lake, batch, run_id)


def _count_progress(raw: RawTable, news: News, progress: Progress) -> Callable[[Entry], None]:
    """Returns a function that adds up the sizes of the files that were read and reports them."""
    total, done = sum(entry.size for entry in news.ready), 0

    def advance(entry: Entry) -> None:
        nonlocal done
        done += entry.size
        progress(raw.name, done, total)

    return advance


def _divide(entries: Sequence[Entry], limits: IngestLimits) -> list[tuple[Entry, ...]]:
    """Divides files into batches, in their order."""
    batches: list[list[Entry]] = []
    size = 0  # bytes as delivered; what a packed file unpacks to is not known yet
    for entry in entries:
        is_full = batches and (
            size + entry.size > limits.batch_bytes or len(batches[-1]) >= limits.batch_files
        )
        if is_full or not batches:
            batches.append([])
            size = 0
        batches[-1].append(entry)
        size += entry.size
    return [tuple(batch) for batch in batches]


def _summarize(news: News, landed: Sequence[tuple[Batch, Audit | None]]) -> LandResult:
    batches = [batch for batch, _ in landed]
    # Several batches may name a file; the last one counts.
    repeated = {name: twin for batch in batches for name, twin in batch.repeated.items()}
    refused = {name: reason for batch in batches for name, reason in batch.refused.items()}
    return LandResult(
        tuple(audit for _, audit in landed if audit is not None),
        tuple(f"{name}: same bytes as {twin.label}" for name, twin in repeated.items()),
        (*news.unfinished, *(name for batch in batches for name in batch.changed)),
        tuple(f"{name}: {reason}" for name, reason in refused.items()),
        tuple(f"{name}: {why}" for batch in batches for name, why in batch.empty.items()),
    )
