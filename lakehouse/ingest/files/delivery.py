"""A delivered file after reading: every record is a row or a dead letter, and no record vanishes.

Belongs here: what a delivery is, and the way from its bytes to its ledger. Does not belong here:
where files lie (`landing_zone.py`), how they are unpacked (`packed/unpack.py`), what a format means
(`csv/records.py`, `json/records.py`, `typed/parquet.py`), and how rows go into a table (`drift/`).
"""

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from lakehouse.errors import LawError
from lakehouse.ingest.files.name_columns import (
    check_own_values,
    make_constants,
    read_name_columns,
)
from lakehouse.ingest.files.packed.unpack import (
    Received,
    SpooledFile,
    Unpacked,
    choose_format,
    spool_file,
)
from lakehouse.ingest.files.read_options import PLAIN_OPTIONS, ReadOptions, leave_out
from lakehouse.ingest.files.readers import read_plain_file
from lakehouse.ingest.files.recognize.hints import hint_declaration
from lakehouse.ingest.files.record_ledger import (
    EmptyFileError,
    RecordLedger,
    RefusedError,
    frame_letter_rows,
)
from lakehouse.ingest.limits import DEFAULT_LIMITS, IngestLimits
from lakehouse.storage.parquet import scan_parquet_files
from lakehouse.wording import name_first

_WHOLE_FILE = "whole file"


@dataclass(frozen=True)
class Delivery:
    """What a delivered file holds.

    `records == rows_count + dead_count` unless the file was refused. `_offset` over rows and dead
    letters together is 1 to `records`, each once.

    Attributes:
        name: its name in landing.
        digest: SHA-256 of the bytes as delivered, hexadecimal.
        size: how many bytes were delivered.
        records: data records in it; 0 if refused.
        columns: the source columns, in order.
        delivered: the name in the file, by the name of the column where both differ.
        rows: a folder of Parquet files: the source columns and `_offset`, the number of the record
            in the file from 1; None if there is no row, or they are `in_memory`.
        in_memory: the same rows in memory, if they are few.
        rows_count: how many rows.
        dead: a folder of Parquet files: `_offset` (null for the whole file), `reason`, `place`,
            `payload`, `payload_bytes`; None if there is no dead letter.
        dead_count: how many dead letters.
        refused: why the file as a whole was refused; it is then one dead letter and no row.
        named: the columns that only its name holds, with their value; `columns` has them, `rows`
            has not, `in_memory` has.
        empty_because: why it holds no record, refused or not; None if it holds some.
        notes: what was tolerated.
        is_cut: whether a dead letter holds less than the whole of its record or file.
        received: the file as delivered, spooled.
        payload_bytes: how many bytes of it a dead letter may hold.
        is_typed: whether its format has types of its own; otherwise all values are text.
    """

    name: str
    digest: str
    size: int
    records: int
    columns: tuple[str, ...]
    rows: Path | None
    rows_count: int
    dead: Path | None
    dead_count: int
    refused: str | None
    notes: tuple[str, ...]
    is_cut: bool
    received: Path
    payload_bytes: int
    is_typed: bool = False
    in_memory: pl.DataFrame | None = None
    named: Mapping[str, str | None] = field(default_factory=dict)
    empty_because: str | None = None
    delivered: Mapping[str, str] = field(default_factory=dict)

    def refuse(self, reason: str) -> "Delivery":
        """Returns the same delivery, refused as a whole: one dead letter, no row."""
        # The spooled bytes are those that were read. The file in landing may have changed since, or
        # be gone.
        with self.received.open("rb") as file:
            payload = file.read(self.payload_bytes)
        # Not the folder of the dead letters of records, which no longer count.
        folder = Path(tempfile.mkdtemp(prefix="refused-", dir=self.received.parent))
        letter = frame_letter_rows([(None, reason, _WHOLE_FILE, payload, self.size)])
        letter.write_parquet(folder / "000000.parquet")
        return replace(
            self,
            records=0,
            columns=(),
            rows=None,
            in_memory=None,
            rows_count=0,
            dead=folder,
            dead_count=1,
            refused=reason,
            is_cut=self.size > len(payload),
        )


def scan_rows(delivery: Delivery) -> pl.LazyFrame:
    """Returns the rows of a delivery in its own columns."""
    if delivery.in_memory is not None:
        return delivery.in_memory.lazy()
    rows = scan_parquet_files(delivery.rows or [])
    return rows.with_columns(make_constants(delivery.named)) if delivery.named else rows


def scan_letters(delivery: Delivery) -> pl.LazyFrame:
    """Returns the dead letters of a delivery that has some."""
    return scan_parquet_files(delivery.dead or [])


def read_delivery(
    chunks: Iterable[bytes],
    *,
    name: str,
    spool: Path,
    options: ReadOptions = PLAIN_OPTIONS,
    limits: IngestLimits = DEFAULT_LIMITS,
    keep: int = 0,
) -> Delivery:
    """Reads a delivered file; memory is bounded by `limits`, not by the file.

    Args:
        chunks: its bytes in order.
        name: its name, whose suffix tells the format unless that is declared.
        spool: a private folder; what the delivery points to stays in it.
        options: what the file looks like, and which columns it must have.
        limits: the limits of the file.
        keep: how many bytes of rows may stay in memory; more are spooled.

    Raises:
        OSError: the bytes cannot be read, or the spool cannot be written; neither says anything
            about the file.
        LawError: a record is unaccounted for.
    """
    work = create_work_folder(spool)
    with removed_on_failure(work):
        file = spool_file(chunks, name, work, options.files, limits)
        return read_spooled(file, options, limits, keep)


def create_work_folder(spool: Path) -> Path:
    """Creates a folder for one delivery."""
    # Threads read small files into the same spool, so each delivery has a folder to itself.
    return Path(tempfile.mkdtemp(prefix="delivery-", dir=spool))


@contextmanager
def removed_on_failure(work: Path) -> Iterator[None]:
    """Removes the folder of a delivery that could not be read to its end, whatever failed."""
    # A store that does not answer, a full disk and Ctrl-C say nothing about the file: no dead
    # letter is made, and the next attempt reads it again. Its bytes must not wait on the disk.
    is_read = False
    try:
        yield
        is_read = True
    finally:
        if not is_read:
            shutil.rmtree(work, ignore_errors=True)


def read_spooled(
    file: SpooledFile, options: ReadOptions, limits: IngestLimits, keep: int
) -> Delivery:
    """Reads a spooled file; for the other arguments see `read_delivery`."""
    ledger = RecordLedger(file.work, limits, keep=keep)
    try:
        if isinstance(file.unpacked, RefusedError):
            raise file.unpacked
        named = _read(file.unpacked, file.name, ledger, options)
        delivery = _add_named_columns(_close(ledger, file.received, file.name), named)
    except RefusedError as error:
        # Nothing of a refused file counts: it is one dead letter, so what was read so far goes.
        for parts in (ledger.rows, ledger.dead):
            shutil.rmtree(parts.folder, ignore_errors=True)
        if isinstance(error, EmptyFileError):
            delivery = refuse_file(file.received, file.name, str(error), file.work, limits)
            return replace(delivery, empty_because=str(error))
        reason = f"{error}{hint_declaration(file.received.path, file.name, options)}"
        return refuse_file(file.received, file.name, reason, file.work, limits)
    finally:
        # The unpacked copy may be many times as large as the file; the rows do not need it.
        file.drop_unpacked()
    _check_balance(delivery)
    return _note_look(delivery, options)


def _note_look(delivery: Delivery, options: ReadOptions) -> Delivery:
    """Returns a delivery, with a note if another declaration would read more of its file."""
    # One column, or more dead letters than rows, is what another separator or encoding looks like.
    is_odd = len(delivery.columns) == 1 or delivery.dead_count > delivery.rows_count
    if not delivery.records or not is_odd:
        return delivery
    hint = hint_declaration(delivery.received, delivery.name, options).removeprefix("; ")
    return replace(delivery, notes=(*delivery.notes, hint)) if hint else delivery


def refuse_file(
    received: Received, name: str, reason: str, work: Path, limits: IngestLimits
) -> Delivery:
    """Returns the delivery of a file that is refused whole."""
    return _close(RecordLedger(work, limits), received, name).refuse(reason)


def _read(
    unpacked: Unpacked, name: str, ledger: RecordLedger, options: ReadOptions
) -> dict[str, str | None]:
    """Reads a file into a ledger; returns the columns that only its name holds."""
    if unpacked.archive:
        names = name_first([member.name for member in unpacked.members])
        count = f"{len(unpacked.members)} files where one is expected"
        raise RefusedError(f"{unpacked.archive} file holds {count}: {names}")
    named = read_name_columns(name, options.files, unpacked.inner)
    ledger.notes += unpacked.notes
    # Checked here as well as before unpacking: a gzip or zip may hold an empty file.
    if not unpacked.path.stat().st_size:
        raise EmptyFileError("empty file: 0 bytes")
    form = choose_format(unpacked, options.files)
    read_plain_file(unpacked.path, ledger, leave_out(options, named), form)
    return named


def _close(ledger: RecordLedger, received: Received, name: str) -> Delivery:
    rows, dead = ledger.finish()
    return Delivery(
        name=name,
        digest=received.digest,
        size=received.size,
        records=ledger.records,
        columns=tuple(ledger.columns),
        rows=rows,
        rows_count=ledger.rows.count,
        dead=dead,
        dead_count=ledger.dead.count,
        refused=None,
        notes=ledger.describe(),
        is_cut=ledger.is_cut,
        received=received.path,
        payload_bytes=ledger.limits.payload_bytes,
        is_typed=ledger.is_typed,
        in_memory=ledger.rows.in_memory,
        empty_because=ledger.empty_because,
        delivered=ledger.delivered,
    )


def _add_named_columns(delivery: Delivery, named: Mapping[str, str | None]) -> Delivery:
    """Returns a delivery with the columns of its name, unless it has them itself."""
    if not named:
        return delivery
    spelled = {column.casefold() for column in delivery.columns}
    new = {name: value for name, value in named.items() if name.casefold() not in spelled}
    if delivery.rows_count and len(new) < len(named):
        check_own_values(scan_rows(delivery), delivery.columns, named)
    rows = delivery.in_memory
    return replace(
        delivery,
        columns=(*delivery.columns, *new),
        named=new,
        in_memory=None if rows is None else rows.with_columns(make_constants(new)),
    )


def _check_balance(delivery: Delivery) -> None:
    if delivery.records != delivery.rows_count + delivery.dead_count:
        raise LawError(
            f"{delivery.name}: {delivery.records:,} records, but {delivery.rows_count:,} rows and "
            f"{delivery.dead_count:,} dead letters.\n"
            "Next: keep the file and report it; it was not landed."
        )
