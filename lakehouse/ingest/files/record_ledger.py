"""The ledger of one delivered file: each record becomes a row or a dead letter, numbered.

Belongs here: the numbering, and the refusal of a whole file. Does not belong here: how a format is
parsed, and how rows are spooled (`spool.py`).
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import polars as pl

from lakehouse.errors import DataError
from lakehouse.ingest.files.spool import Spool
from lakehouse.ingest.limits import IngestLimits

LETTER_SCHEMA = pl.Schema(
    {
        "_offset": pl.Int64(),
        "reason": pl.String(),
        "place": pl.String(),
        "payload": pl.Binary(),
        "payload_bytes": pl.Int64(),
    }
)
"""A dead letter: `_offset` is null for a whole file, `payload_bytes` is the record's true size."""

_LINE_ENDS = {b"\n": "LF", b"\r\n": "CRLF", b"\r": "CR"}
_CELL_BYTES = 8  # a pointer for each value of a pending record
_Letter = tuple[int | None, str, str, bytes, int]


class RefusedError(DataError):
    """A file that cannot be read as the format of its name; it becomes a refused delivery."""


class EmptyFileError(RefusedError):
    """A file without a byte, or without anything that tells its columns."""


class RecordLedger:
    """What became of each record so far.

    Attributes:
        limits: the limits of the file.
        columns: the source columns, in order; they may grow while the file is read.
        delivered: the name in the file, by the name of the column where both differ.
        records: how many records were seen.
        ends: how many lines ended in which way.
        blank_lines: lines without a byte, which are no records.
        notes: what else was tolerated.
        repeated_headers: the numbers of lines that repeat the header.
        comments: how many lines are comments.
        empty_because: why a sound file has no record; None if it has some.
        is_cut: whether a dead letter holds less than its record.
        is_typed: whether the format has types of its own; otherwise all values are text.
        restore_payload: returns the delivered bytes of a payload; None if it has them already.
        keeps_file: whether the lake keeps a file with dead letters as a whole, whatever they hold.
    """

    def __init__(self, folder: Path, limits: IngestLimits, *, keep: int = 0) -> None:
        """Begins without a record.

        Args:
            folder: a private folder for rows and dead letters.
            limits: the limits of the file.
            keep: how many bytes of rows may stay in memory; more are spooled.
        """
        self.limits = limits
        self.columns: list[str] = []
        self.delivered: dict[str, str] = {}
        self.records = 0
        self.is_cut = False
        self.is_typed = False
        self.restore_payload: Callable[[bytes], bytes] | None = None
        self.keeps_file = False
        self.ends: Counter[bytes] = Counter()
        self.blank_lines = 0
        self.notes: list[str] = []
        self.repeated_headers: list[int] = []
        self.comments = 0
        self._first_comment = 0
        self.empty_because: str | None = None
        self.rows = Spool(folder / "rows", part_bytes=limits.part_bytes, keep=keep)
        self.dead = Spool(folder / "dead", part_bytes=limits.part_bytes)
        self._shape: list[pl.Expr] | None = None
        self._values: list[Sequence[str | None]] = []
        self._offsets: list[int] = []
        self._letters: list[_Letter] = []
        self._row_bytes = 0
        self._letter_bytes = 0

    def add_row(self, values: Sequence[str | None], size: int) -> None:
        """Adds the next record as a row: text for each column that is known so far."""
        self._count(1)
        self._values.append(values)
        self._offsets.append(self.records)
        self._row_bytes += size
        # A record of few bytes may have many columns, and each null takes its cell too.
        cells = _CELL_BYTES * len(self.columns) * len(self._values)
        if self._is_full(len(self._values), self._row_bytes + cells):
            self._flush_rows()

    def add_frame(self, frame: pl.DataFrame) -> None:
        """Adds the next records as the rows of a frame with exactly the source columns."""
        # The pending rows come before these in the file, and so they do in the spool.
        self._flush_rows()
        start = self.records + 1
        self._count(frame.height)
        offset = pl.int_range(start, start + pl.len(), dtype=pl.Int64).alias("_offset")
        self.rows.add(frame.select(offset, pl.all()))

    def add_letter(self, reason: str, place: str, payload: bytes, size: int | None = None) -> None:
        """Adds the next record as a dead letter.

        Args:
            reason: why it cannot be parsed.
            place: where in the file it is.
            payload: its bytes, or the beginning of them.
            size: how many bytes it has; None if these are all in `payload`.
        """
        # Rows and letters share one count, so `_offset` has no gap over both (law 2).
        self._count(1)
        if self.restore_payload is not None:
            is_whole = size in (None, len(payload))
            payload = self.restore_payload(payload)
            # The delivered size of a record that is not in memory is not known; that of the copy is
            # near enough.
            size = None if is_whole else size
        # The whole file is kept in the lake where a letter cannot hold all bytes (`is_cut`).
        kept = payload[: self.limits.payload_bytes]
        true_size = len(payload) if size is None else size
        self.is_cut |= len(kept) < true_size or self.keeps_file
        self._letters.append((self.records, reason, place, kept, true_size))
        self._letter_bytes += len(kept)
        if self._is_full(len(self._letters), self._letter_bytes):
            self._flush_letters()

    def note_repeated_header(self, line: int) -> None:
        """Notes a line that repeats the header; it is no record, and nothing but names is lost."""
        self.repeated_headers.append(line)

    def note_comments(self, count: int, line: int) -> None:
        """Notes lines that are comments and no records, and the number of the first of them."""
        self._first_comment = self._first_comment or line
        self.comments += count

    def add_typed(self, lf: pl.LazyFrame, columns: Sequence[str]) -> None:
        """Adds all records as the rows of a frame that has its types already."""
        self.columns, self.is_typed = list(columns), True
        numbered = lf.with_row_index("_offset", offset=1)
        self.rows.sink(numbered.select(pl.col("_offset").cast(pl.Int64), *columns))
        # Streamed, so the number of rows is known only now. In a typed file no single record is a
        # dead letter, so the numbers of its rows have no gaps.
        self.records = self.rows.count

    def reshape(self, columns: Mapping[str, Sequence[str]]) -> None:
        """Makes other columns of the present ones, once all records are known.

        Args:
            columns: the present columns that become a column, by its name; the first of them that
                is not null gives the value.
        """
        self._flush_rows()
        self._shape = [pl.coalesce(olds).alias(name) for name, olds in columns.items()]
        self.columns = list(columns)

    def finish(self) -> tuple[Path | None, Path | None]:
        """Writes what is pending.

        Returns:
            The folders of rows and of dead letters; None where there are none, or where they stay
            in memory.
        """
        self._flush_rows()
        self._flush_letters()
        shape = None if self._shape is None else [pl.col("_offset"), *self._shape]
        return self.rows.finish(shape), self.dead.finish()

    def describe(self) -> tuple[str, ...]:
        """Returns a note for each kind of thing that was tolerated."""
        # A last line without an end counted zero: that is no kind of line end.
        ends = [_LINE_ENDS[end] for end in sorted(self.ends) if self.ends[end]]
        notes = list(self.notes)
        if len(ends) > 1:
            notes.append(f"mixed line endings: {', '.join(ends)}")
        if ends == ["CR"]:
            notes.append("lines end with CR only")
        if self.repeated_headers:
            count, first = len(self.repeated_headers), self.repeated_headers[0]
            notes.append(f"header repeated and skipped: {count:,}, the first at line {first}")
        if self.comments:
            notes.append(
                f"comments skipped: {self.comments:,}, first at line {self._first_comment}"
            )
        if self.blank_lines:
            notes.append(f"blank lines skipped: {self.blank_lines}")
        return tuple(notes)

    def _count(self, records: int) -> None:
        self.records += records
        if self.records > self.limits.rows:
            raise RefusedError(f"more than {self.limits.rows:,} records (rows)")

    def _is_full(self, records: int, size: int) -> bool:
        return records >= self.limits.pending_records or size >= self.limits.pending_bytes

    def _flush_rows(self) -> None:
        if not self._values:
            return
        width = len(self.columns)
        # Records before a column was first seen are shorter: they have null in it.
        full = [v if len(v) == width else [*v, *[None] * (width - len(v))] for v in self._values]
        texts = zip(*full, strict=True)
        columns = [
            pl.Series(name, text, dtype=pl.String)
            for name, text in zip(self.columns, texts, strict=True)
        ]
        self.rows.add(pl.DataFrame([pl.Series("_offset", self._offsets, dtype=pl.Int64), *columns]))
        self._values, self._offsets, self._row_bytes = [], [], 0

    def _flush_letters(self) -> None:
        if self._letters:
            self.dead.add(frame_letter_rows(self._letters))
        self._letters, self._letter_bytes = [], 0


def frame_letter_rows(rows: Sequence[_Letter]) -> pl.DataFrame:
    """Returns dead letters as a frame of the schema `LETTER_SCHEMA`."""
    return pl.DataFrame(rows, schema=LETTER_SCHEMA, orient="row")
