"""Building a batch: each delivery is new, repeats bytes that are known, or cannot be read.

Belongs here: what becomes of a delivery, given what is landed and the deliveries before it.
Does not belong here: reading the files (`read_batch.py`), and the frames of the batch
(`batch_frames.py`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import obstore
import polars as pl

from lakehouse.ingest.batch import Batch, BatchStamp, StoredLetters
from lakehouse.ingest.batch_frames import (
    FittedDelivery,
    describe_deliveries,
    find_stored,
    frame_letters,
    frame_lost_letters,
    frame_rows,
    frame_unreadable,
    locate_kept_file,
    number_files,
)
from lakehouse.ingest.delivery_identity import name_format
from lakehouse.ingest.delivery_register import FileOutcome, Outcome
from lakehouse.ingest.drift.columns import TableColumns
from lakehouse.ingest.drift.fit import fit_delivery
from lakehouse.ingest.drift.projection import Projection
from lakehouse.ingest.files.delivery import Delivery
from lakehouse.ingest.files.listing import Entry, Occurrence
from lakehouse.ingest.landed_files import LandedFiles
from lakehouse.ingest.limits import DEFAULT_LIMITS, IngestLimits
from lakehouse.ingest.small_deliveries import SmallDeliveries
from lakehouse.origin import Origin
from lakehouse.storage.lake import Lake
from lakehouse.system_columns import RESCUED
from lakehouse.tables.table_types import RawTable
from lakehouse.tables.type_widening import align_types

_AS_CSV = (
    'UTF-8; separated by commas, in .tsv by tabs; cells may be in double quotes, "" within them is '
    "one quote; an empty cell is null; a first line that is not blank names the columns"
)


@dataclass
class BatchBuilder:
    """Deliveries that are landed together, one after another.

    Attributes:
        lake: where the tables are.
        known: the deliveries that are landed already.
        columns: the columns of the table; deliveries may add some or widen them.
        small: the rows of new deliveries that are small.
        stamp: name and moment of the batch.
        limits: the limits by which the deliveries were read.
    """

    lake: Lake
    known: LandedFiles
    columns: TableColumns
    small: SmallDeliveries
    stamp: BatchStamp = field(default_factory=BatchStamp.create)
    limits: IngestLimits = DEFAULT_LIMITS
    _new: list[FittedDelivery] = field(default_factory=list, init=False)
    _incomplete: list[FittedDelivery] = field(default_factory=list, init=False)
    _occurrences: dict[str, Occurrence] = field(default_factory=dict, init=False)
    _rowless: set[str] = field(default_factory=set, init=False)
    _outcomes: list[FileOutcome] = field(default_factory=list, init=False)
    _corrections: dict[str, dict[str, object]] = field(default_factory=dict, init=False)
    _repeated: dict[str, Origin] = field(default_factory=dict, init=False)
    _refused: dict[str, str] = field(default_factory=dict, init=False)
    _unreadable: dict[Entry, str] = field(default_factory=dict, init=False)
    _changed: list[str] = field(default_factory=list, init=False)
    _empty: dict[str, str] = field(default_factory=dict, init=False)
    _archive: Origin | None = field(default=None, init=False)
    _archive_notes: list[str] = field(default_factory=list, init=False)

    @property
    def raw(self) -> RawTable:
        """The table that the batch is for."""
        return self.columns.raw

    def add_unreadable(self, entry: Entry, problem: str) -> None:
        """Adds a file whose bytes could not be read."""
        self._refused[entry.name] = problem
        self._unreadable[entry] = problem

    def add_changed(self, entry: Entry) -> None:
        """Adds a file that was written to while it was read; it is left for the next run."""
        self._changed.append(entry.name)

    def add(self, entry: Entry, delivery: Delivery) -> None:
        """Adds a delivery; it brings no rows if its bytes are known, or if it holds no record."""
        # An empty dump is no delivery of nothing: it would delete every key.
        if delivery.refused is None and delivery.empty_because and not self.raw.full_dumps:
            self._add_empty(entry, delivery)
            return
        digest = delivery.digest
        # The batch is asked first: it may have given landed bytes an earlier origin.
        twin = self._occurrences.get(digest) or self.known.find_twin(digest)
        if twin is None or self._is_better_named(delivery):
            self._add_new(entry, delivery)
            return
        # Asked before an earlier copy gives the bytes another origin; and once a batch.
        is_incomplete = digest not in self._occurrences and self._lacks_letters(delivery, twin)
        self._add_repeated(entry, delivery, twin)
        if is_incomplete and delivery.dead_count:
            self._add_incomplete(entry, delivery, self._occurrences.get(digest, twin))

    def add_member(self, entry: Entry, delivery: Delivery, archive: Origin) -> None:
        """Adds a file of an archive; its entry has the time and the tag of the archive."""
        self._archive = archive
        self.add(entry, delivery)
        self._archive = None

    def add_archive(self, entry: Entry, archive: Origin, notes: Sequence[str]) -> None:
        """Adds an archive whose members were added; it is registered, so that it is not read again.

        Its members are registered with it in one commit, or none is.
        """
        self._register(entry, archive, "archive", 0)
        self._archive_notes += [f"{entry.name}: {note}" for note in notes]

    def add_reread(self, one: FittedDelivery, dead_count: int) -> None:
        """Adds the new records of a delivery that was read again.

        Args:
            one: the delivery with only those records that the lake does not hold.
            dead_count: how many dead letters the whole file has.
        """
        self._new.append(one)
        self._register(one.entry, one.origin, "landed", dead_count)

    def build(self, stored: StoredLetters, *, skip_stored: bool = True) -> Batch:
        """Returns the batch.

        Args:
            stored: the dead letters that the lake holds.
            skip_stored: whether to leave out the dead letters of a delivery that has some in the
                lake already. A replay says no: it has left out the stored ones one by one.
        """
        with_letters = [one for one in self._new if one.delivery.dead_count]
        unreadable = self._unreadable
        if skip_stored:
            # A killed attempt has committed all letters of a file or none: they are one commit.
            known = find_stored(self.lake, self.raw, self._new, unreadable)
            with_letters = [one for one in with_letters if one.origin.source not in known]
            unreadable = {
                entry: problem
                for entry, problem in unreadable.items()
                if Origin.of_unreadable(entry.name).source not in known
            }
        spooled = [one for one in self._new if one.delivery.rows is not None]
        rows = frame_rows(self.columns, spooled, self.small, self.stamp)
        aligned, retyped = align_types(rows, self.columns.stored)
        letters = [frame_letters(self.raw, one, self.stamp) for one in with_letters]
        return Batch(
            raw=self.raw,
            base=self.known.revision,
            stamp=self.stamp,
            has_new_deliveries=bool(self._new),
            rows=aligned,
            row_count=sum(one.delivery.rows_count for one in self._new),
            file_of_row=number_files(self._new, self.lake.limits),
            retyped=retyped,
            # A raw table does not know what is personal, and its log is kept for years.
            private=frozenset({*self.columns.all, RESCUED}),
            corrections=self._corrections,
            dead_letters=pl.concat([*letters, frame_unreadable(self.raw, unreadable, self.stamp)]),
            dead_count=sum(one.delivery.dead_count for one in with_letters) + len(unreadable),
            lost_letters=frame_lost_letters(self.lake, self.raw, self._incomplete, self.stamp),
            stored_letters=stored,
            outcomes=tuple(self._outcomes),
            repeated=self._repeated,
            refused=self._refused,
            changed=tuple(self._changed),
            empty=self._empty,
            notes=tuple(self._describe(stored)),
            assumed={"csv": _AS_CSV, "limits": self.limits.describe()},
        )

    def _add_new(self, entry: Entry, delivery: Delivery) -> None:
        fitted, projection = fit_delivery(self.columns, delivery)
        origin = Origin.of(entry.name, delivery.digest)
        if fitted.in_memory is not None:
            self.small.add(fitted.in_memory, projection, origin.source, entry.modified_at)
        # Without its rows: `small` may spool them, and they must not stay in memory here.
        self._new.append(FittedDelivery(entry, replace(fitted, in_memory=None), origin, projection))
        self._occurrences[delivery.digest] = entry.occurrence
        if fitted.rows_count:
            self._rowless.discard(delivery.digest)
        else:
            self._rowless.add(delivery.digest)
        # It is registered already if a RESTORE of the raw table took its rows away.
        if not self.known.is_registered(entry, delivery.digest):
            outcome: Outcome = "landed" if fitted.rows_count else "dead"
            self._register(entry, origin, outcome, fitted.dead_count)
        if fitted.refused is not None:
            self._refused[entry.name] = fitted.refused
        # Before any commit, so that no dead letter names a file that is not there. If the process
        # is killed first, the next attempt writes the same bytes to the same path.
        if fitted.is_cut:
            self._keep_file(origin, delivery)

    def _add_empty(self, entry: Entry, delivery: Delivery) -> None:
        """Adds a sound file without a record: it is registered, and brings nothing."""
        self._empty[entry.name] = delivery.empty_because or ""
        # Even if it is registered as something else: what a replay has settled is read once more.
        self._register(entry, Origin.of(entry.name, delivery.digest), "empty", 0)

    def _is_better_named(self, delivery: Delivery) -> bool:
        """Returns whether these bytes gave only dead letters, and only rows under this name.

        The name gives the format, so bytes that are delivered again with the right suffix are read
        once more.
        """
        digest = delivery.digest
        is_of_batch = digest in self._occurrences
        is_rowless = digest in self._rowless if is_of_batch else self.known.is_rowless(digest)
        return is_rowless and bool(delivery.rows_count) and not delivery.dead_count

    def _lacks_letters(self, delivery: Delivery, twin: Occurrence) -> bool:
        """Returns whether the lake has lost dead letters of bytes that are landed."""
        # Another name may mean another format, and so other dead letters.
        is_same = name_format(self.raw, delivery.name) == name_format(self.raw, twin.name)
        return self.known.lacks_letters(delivery.digest, delivery.dead_count if is_same else 0)

    def _add_repeated(self, entry: Entry, delivery: Delivery, twin: Occurrence) -> None:
        """Adds a file whose bytes are known; the rows get the origin of the one written first."""
        digest = delivery.digest
        origin, first = Origin.of(entry.name, digest), Origin.of(twin.name, digest)
        is_itself = entry.occurrence == twin
        # Of bytes that have lost letters, the number in the register is counted anew.
        if not self.known.is_registered(entry, digest) or self._lacks_letters(delivery, twin):
            if is_itself:
                outcome: Outcome = "dead" if self.known.is_rowless(digest) else "landed"
                self._register(entry, origin, outcome, delivery.dead_count)
            else:
                # Another name may mean another format: only the first reading counts dead letters.
                self._register(entry, origin, "repeated", 0, first)
        if is_itself:
            return
        self._repeated[entry.name] = first
        # The time of writing may decide which version of a key is the latest. Without a correction,
        # staged tables would depend on the order of landing. Bytes without rows need none.
        if entry.occurrence < twin and not self.known.is_rowless(digest):
            self._corrections[first.source] = {
                "_source": origin.source,
                "_modified_at": entry.modified_at,
            }
            self._occurrences[digest] = entry.occurrence

    def _add_incomplete(self, entry: Entry, delivery: Delivery, twin: Occurrence) -> None:
        """Adds a landed delivery whose dead letters were lost; they get the origin of its rows."""
        origin = Origin.of(twin.name, delivery.digest)
        self._occurrences[delivery.digest] = twin
        as_landed = entry._replace(name=twin.name, modified_at=twin.modified_at)
        # The rows are landed; only `rows_count` is needed, for `landed_rows` of the letters.
        without_rows = replace(delivery, in_memory=None)
        self._incomplete.append(FittedDelivery(as_landed, without_rows, origin, Projection({})))
        if delivery.is_cut:
            self._keep_file(origin, delivery)

    def _keep_file(self, origin: Origin, delivery: Delivery) -> None:
        obstore.put(self.lake.store, locate_kept_file(self.raw, origin), delivery.received)

    def _register(
        self,
        entry: Entry,
        origin: Origin,
        outcome: Outcome,
        dead: int,
        same_bytes_as: Origin | None = None,
    ) -> None:
        file = (origin, entry.modified_at, entry.size, entry.etag)
        found = FileOutcome(*file, outcome, dead, same_bytes_as, self._archive)
        self._outcomes.append(found)

    def _describe(self, stored: StoredLetters) -> Iterator[str]:
        earlier = {Origin.parse(str(new["_source"])).name for new in self._corrections.values()}
        for name, twin in self._repeated.items():
            is_earlier = name in earlier
            what = (
                "which was written later; the rows now name this file"
                if is_earlier
                else "superseded as a whole"
            )
            yield f"{name}: same bytes as {twin.label}, {what}"
        yield from (f"{name}: {reason}" for name, reason in self._empty.items())
        yield from (f"{name}: {reason}" for name, reason in self._refused.items())
        if stored.uncounted:
            yield f"dead letters from a killed attempt, counted here: {stored.uncounted:,}"
        yield from self._archive_notes
        yield from self.columns.describe_changes()
        yield from describe_deliveries(self.raw, self._new)
