"""CSV: every record of a file as a row of text, or as a dead letter with its bytes.

Plain blocks take the fast path (`csv_fast_path.py`); the others are read here, record by record.
Where quotes are broken, or a record over several lines has the wrong number of fields, only its
first line is the dead letter and reading resumes at the second: one wrong quote costs one line.
"""

from collections import deque
from collections.abc import Collection, Iterator
from pathlib import Path

from lakehouse.ingest.files.csv_fast_path import parse_plain_block
from lakehouse.ingest.files.csv_fields import (
    BrokenError,
    Fields,
    MoreLinesError,
    decode_line,
    is_utf8,
    split_record,
)
from lakehouse.ingest.files.csv_header import read_header
from lakehouse.ingest.files.lines import (
    Block,
    Line,
    LongLine,
    count_lines,
    read_blocks,
    split_block,
    split_lines,
)
from lakehouse.ingest.files.record_ledger import EmptyFileError, RecordLedger

_PIECE_BYTES = 1 << 16
"""A block that is not plain is cut into pieces of this size, most of which are plain again."""


def read_csv(
    path: Path, ledger: RecordLedger, *, required: Collection[str], separator: str = ","
) -> None:
    """Reads a plain CSV file into the ledger.

    Raises:
        RefusedError: the header cannot be understood, or nothing follows it.
    """
    source = read_blocks(path, ledger.limits)
    rest, first_line = read_header(source, ledger, separator, required)
    reader = CsvReader(ledger, separator, first_line)
    if rest:
        reader.read(rest)
    for block in source:
        reader.read(block)
    reader.finish()
    if not ledger.records:
        # Refused, not landed as no rows: an empty source must never empty a table (law 5).
        raise EmptyFileError("header only: no records")


class CsvReader:
    """A reader of the records below the header, block after block."""

    def __init__(self, ledger: RecordLedger, separator: str, first_line: int) -> None:
        self._ledger = ledger
        self._separator = separator
        self._number = first_line
        self._lines: Iterator[Line] = iter(())
        self._waiting: deque[Line] = deque()

    def read(self, block: Block) -> None:
        """Reads the next block; a record that continues beyond it waits for the one after."""
        if isinstance(block, LongLine):
            self._read_lines(block)
        # While a record waits, the block begins within it and cannot be parsed by itself.
        elif self._waiting or not self._read_plain(block):
            for piece in split_block(block, _PIECE_BYTES):
                # A block of one piece was tried a moment ago. Behind an odd piece, the next one may
                # be plain again.
                if self._waiting or len(piece) == len(block) or not self._read_plain(piece):
                    self._read_lines(piece)

    def finish(self) -> None:
        """Reads the lines that still wait; no block follows."""
        while self._take(is_last=True):
            pass

    def _read_lines(self, block: Block) -> None:
        self._lines = split_lines(block, self._number, self._ledger.limits)
        self._number += count_lines(block) if isinstance(block, bytes) else 1
        while self._take(is_last=False):
            pass

    def _read_plain(self, block: bytes) -> bool:
        plain = parse_plain_block(block, self._separator, self._ledger.columns, self._ledger.limits)
        if plain is None:
            return False
        self._ledger.add_frame(plain.rows)
        # The last line of a file may have no end.
        self._ledger.ends[plain.end] += plain.lines - (not block.endswith(plain.end))
        self._number += plain.lines
        return True

    def _peek(self, index: int) -> Line | None:
        while len(self._waiting) <= index:
            line = next(self._lines, None)
            if line is None:
                return None
            self._waiting.append(line)
        return self._waiting[index]

    def _take(self, *, is_last: bool) -> bool:
        """Takes one record or blank line; returns False if there is none whose end is known."""
        first = self._peek(0)
        if first is None:
            return False
        if not first.size:
            self._ledger.blank_lines += 1
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
            record = split_record(self._peek, self._separator, self._ledger.limits)
        except BrokenError as error:
            self._reject(1, f"broken quoting: {error}")
        except MoreLinesError:
            if is_last:
                self._reject(1, "broken quoting: a quote is never closed")
            return is_last
        else:
            self._add(record)
        return True

    def _add(self, record: Fields) -> None:
        """Adds a record with sound quotes as a row, unless its fields or its bytes are wrong."""
        width = len(self._ledger.columns)
        if len(record.values) < width or any(record.values[width:]):
            # Over several lines, a stray quote is the likely cause: only its line is given up.
            self._reject(1, _describe_width(record, width))
            return
        content = [self._waiting[index].content for index in range(record.lines)]
        if not all(part.isascii() or is_utf8(decode_line(part)) for part in content):
            # Quotes and number of fields are right, so the lines are one record and one letter.
            self._reject(record.lines, "not valid UTF-8")
            return
        self._ledger.add_row(
            [value or None for value in record.values[:width]], sum(map(len, content))
        )
        self._drop(record.lines)

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


def _describe_width(record: Fields, width: int) -> str:
    found = len(record.values)
    surplus = ", and the surplus is not empty" if found > width else ""
    counts = f"{found} fields where the header has {width}{surplus}"
    if record.lines == 1:
        return counts
    return f"broken quoting: a quote opens a record of {record.lines} lines with {counts}"
