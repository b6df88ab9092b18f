"""CSV: every record of a file as a row of text, or as a dead letter with its bytes.

Plain blocks take the fast path (`fast_path.py`); the others are read here, record by record.
Where quotes are broken, only the first line is the dead letter and reading resumes at the second:
one wrong quote costs one line. A record with sound quotes is one record, however many lines it has.
"""

from collections import deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from lakehouse.ingest.files.csv.dialect import CsvDialect, read_dialect
from lakehouse.ingest.files.csv.fast_path import parse_plain_block
from lakehouse.ingest.files.csv.fields import (
    BrokenError,
    Fields,
    LongCellError,
    MoreLinesError,
    decode_line,
    is_utf8,
    split_record,
)
from lakehouse.ingest.files.csv.header import (
    Header,
    has_header,
    is_header,
    read_header,
    read_separator,
)
from lakehouse.ingest.files.csv.long_records import find_long_record
from lakehouse.ingest.files.csv.misfit import read_sample, refuse_misfit, refuse_other_width
from lakehouse.ingest.files.read_options import ReadOptions
from lakehouse.ingest.files.record_ledger import RecordLedger
from lakehouse.ingest.files.text.lines import (
    Block,
    Line,
    LongLine,
    count_lines,
    split_block,
    split_lines,
)
from lakehouse.ingest.files.text.preamble import open_content

_PIECE_BYTES = 1 << 16
"""A block that is not plain is cut into pieces of this size, most of which are plain again."""


def read_csv(path: Path, ledger: RecordLedger, options: ReadOptions, separator: str = ",") -> None:
    """Reads a plain CSV file into the ledger.

    Args:
        path: the file, as UTF-8.
        ledger: what takes its records.
        options: how it is read.
        separator: what separates cells unless it is declared.

    Raises:
        RefusedError: the header cannot be understood, or the file has another dialect.
    """
    files = options.files
    content = open_content(path, ledger, files)
    dialect, is_declared = read_dialect(files, separator), files.separator is not None
    content, dialect = read_separator(content, ledger, dialect, is_declared=is_declared)
    sample = read_sample(path, content, dialect)
    if files.header and sample:
        refuse_misfit(sample, dialect, is_declared=is_declared)
    header = read_header(content, ledger, dialect, options, sample)
    if not files.header:
        refuse_other_width(sample, dialect, len(ledger.columns))
    reader = CsvReader(path, ledger, dialect, header, content.stop)
    if header.rest:
        reader.read(header.rest)
    for block in content.blocks:
        reader.read(block)
    reader.finish()
    if not ledger.records:
        ledger.empty_because = "header only: no records"


class CsvReader:
    """A reader of the records below the header, block after block."""

    def __init__(
        self,
        path: Path,
        ledger: RecordLedger,
        dialect: CsvDialect,
        header: Header,
        stop: int | None = None,
    ) -> None:
        self._path = path
        self._ledger = ledger
        self._dialect = dialect
        self._header = header
        self._columns = header.columns
        self._stop = stop
        self._number = header.number
        self._lines: Iterator[Line] = iter(())
        self._waiting: deque[Line] = deque()
        # Positions in the file: behind the last line that was looked at, and where a record that
        # was too long for memory ends.
        self._position = header.position
        self._skipped_to = 0

    def read(self, block: Block) -> None:
        """Reads the next block; a record that continues beyond it waits for the one after."""
        if isinstance(block, LongLine):
            self._read_lines(block)
        elif self._is_within_record or not self._read_plain(block):
            for piece in split_block(block, _PIECE_BYTES):
                # A block of one piece was tried a moment ago. Behind an odd piece, the next one may
                # be plain again.
                is_tried = len(piece) == len(block)
                if self._is_within_record or is_tried or not self._read_plain(piece):
                    self._read_lines(piece)

    @property
    def _is_within_record(self) -> bool:
        """Whether the next block begins within a record, and cannot be parsed by itself."""
        return bool(self._waiting) or self._position < self._skipped_to

    def finish(self) -> None:
        """Reads the lines that still wait; no block follows."""
        while self._take(is_last=True):
            pass
        self._columns.note_unnamed()

    def _read_lines(self, block: Block) -> None:
        self._lines = split_lines(block, self._number, self._ledger.limits)
        self._number += count_lines(block) if isinstance(block, bytes) else 1
        # A record waits for its closing quote: a piece without any is not worth another search.
        may_end = self._dialect.quote_byte in block if isinstance(block, bytes) else True
        if self._waiting and not may_end and not self._dialect.escape and self._has_room:
            self._waiting.extend(self._unskipped())
            return
        while self._take(is_last=False):
            pass

    @property
    def _has_room(self) -> bool:
        size = sum(line.size for line in self._waiting)
        return size < min(self._ledger.limits.cell_bytes, self._ledger.limits.record_bytes)

    def _read_plain(self, block: bytes) -> bool:
        ledger = self._ledger
        plain = parse_plain_block(
            block, self._dialect, ledger.columns, ledger.limits, self._columns.named
        )
        # Only the exact path knows what to do about a record that equals the header.
        if plain is None or has_header(plain.rows, self._header.cells):
            return False
        self._position += len(block)
        self._ledger.add_frame(plain.rows)
        # The last line of a file may have no end.
        self._ledger.ends[plain.end] += plain.lines - (not block.endswith(plain.end))
        if plain.comments:
            ledger.note_comments(plain.comments, self._number + plain.first_comment)
        self._number += plain.lines
        return True

    def _peek(self, index: int) -> Line | None:
        while len(self._waiting) <= index:
            line = next(self._unskipped(), None)
            if line is None:
                return None
            self._waiting.append(line)
        return self._waiting[index]

    def _unskipped(self) -> Iterator[Line]:
        """Yields the lines of the block that are not within a record that was skipped."""
        for line in self._lines:
            begin = self._position
            self._position += line.size + len(line.end)
            if begin >= self._skipped_to:
                yield line

    def _take(self, *, is_last: bool) -> bool:
        """Takes one record or blank line; returns False if there is none whose end is known."""
        first = self._peek(0)
        if first is None:
            return False
        if not first.content.strip(self._dialect.blanks.encode()):
            self._ledger.blank_lines += 1
            self._drop(1)
        elif self._dialect.is_comment(first.content):
            self._ledger.note_comments(1, first.number)
            self._drop(1)
        elif first.is_cut:
            self._reject(
                1,
                f"line too long: {first.size:,} bytes; limit {self._ledger.limits.record_bytes:,}",
            )
        else:
            return self._take_record(is_last=is_last)
        return True

    def _take_record(self, *, is_last: bool) -> bool:
        try:
            record = split_record(self._peek, self._dialect, self._ledger.limits)
        except BrokenError as error:
            self._reject(1, f"broken quoting: {error}")
        except LongCellError:
            self._take_long_record()
        except MoreLinesError as error:
            if is_last:
                self._reject(1, f"broken quoting: {error}")
            return is_last
        else:
            self._add(record)
        return True

    def _take_long_record(self) -> None:
        """Takes a record with a cell over its limit as one dead letter, or a stray quote's line."""
        limits, first = self._ledger.limits, self._waiting[0]
        start = self._position - sum(line.size + len(line.end) for line in self._waiting)
        found = find_long_record(self._path, start, self._dialect, limits.head_bytes, self._stop)
        if found is None:
            self._reject(1, "broken quoting: a quote is never closed")
            return
        reason = f"quoted cell too long; limit {limits.cell_bytes:,} bytes (cell_bytes)"
        place = f"lines {first.number} to {first.number + found.lines - 1}"
        self._ledger.add_letter(reason, place, found.beginning, found.size)
        self._ledger.ends[found.end] += bool(found.end)
        # What waits is within the record, and so are the lines up to its end.
        self._waiting.clear()
        self._skipped_to = start + found.size + len(found.end)

    def _add(self, record: Fields) -> None:
        """Adds a record with sound quotes as a row, unless its fields or its bytes are wrong."""
        if not self._columns.fits(record.values):
            # Two stray quotes look like one cell over several lines. Only where each of the other
            # lines is a good record are these rows; otherwise they are the lines of a cell.
            is_stray = record.lines > 1 and self._are_records(1, record.lines)
            self._reject(1 if is_stray else record.lines, self._columns.describe_misfit(record))
            return
        if is_header(record.values, self._header.cells):
            self._ledger.note_repeated_header(self._waiting[0].number)
            self._drop(record.lines)
            return
        content = [self._waiting[index].content for index in range(record.lines)]
        if not all(part.isascii() or is_utf8(decode_line(part)) for part in content):
            # Quotes and number of fields are right, so the lines are one record and one letter.
            self._reject(record.lines, self._dialect.not_decodable)
            return
        self._ledger.add_row(self._columns.take(record.values), sum(map(len, content)))
        self._drop(record.lines)

    def _are_records(self, start: int, stop: int) -> bool:
        """Returns whether some waiting lines are records by themselves."""
        place = start
        lines = [*islice(self._waiting, stop)]

        def peek(index: int) -> Line | None:
            return lines[place + index] if place + index < stop else None

        while place < stop:
            try:
                record = split_record(peek, self._dialect, self._ledger.limits)
            except (BrokenError, LongCellError, MoreLinesError):
                return False
            if not self._columns.fits(record.values):
                return False
            place += record.lines
        return True

    def _reject(self, count: int, reason: str) -> None:
        """Adds the next lines as one dead letter."""
        taken = [self._waiting[index] for index in range(count)]
        last = taken[-1]
        payload = b"".join(line.content + line.end for line in taken[:-1]) + last.content
        # Of a cut line there is only the beginning, but its true size is known.
        size = len(payload) - len(last.content) + last.size
        place = taken[0].place if count == 1 else f"lines {taken[0].number} to {last.number}"
        self._ledger.add_letter(reason, place, payload, size)
        self._drop(count)

    def _drop(self, count: int) -> None:
        for _ in range(count):
            end = self._waiting.popleft().end
        # Only the last line ends the record; the ends before it are part of a quoted value.
        self._ledger.ends[end] += bool(end)
