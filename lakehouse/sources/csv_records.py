"""CSV: every record of a file as a row of text, or as a dead letter with its bytes and its place.

Blocks that are plain take the fast path (`csv_plain.py`); the others are read here, record by record. Where quotes are
broken, or a record over several lines has the wrong number of fields, its first line alone is the dead letter and
reading resumes at the second: one stray quote costs one line. The first line that is not blank is the header.
"""

import re
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from pathlib import Path

from lakehouse.sources.books import Books, RefusedError
from lakehouse.sources.column_names import header_names, spelled
from lakehouse.sources.csv_fields import BrokenError, Fields, MoreLinesError, split, text_of
from lakehouse.sources.csv_plain import plain_rows
from lakehouse.sources.lines import BYTE_ORDER_MARK, Block, Line, LongLine, blocks, line_count, lines

_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_NOT_UTF_8 = re.compile("[\udc80-\udcff]")


def read_csv(path: Path, books: Books, *, required: Collection[str], separator: str = ",") -> None:
    """Read a plain CSV file into the books.

    Raises:
        RefusedError: the header cannot be understood, or nothing follows it.
    """
    source = blocks(path, books.limits)
    rest, first_line = _read_header(source, books, separator, required)
    reader = CsvReader(books, separator, first_line)
    if rest:
        reader.read(rest)
    for block in source:
        reader.read(block)
    reader.finish()
    if not books.records:
        raise RefusedError("header only: no records")


def _read_header(source: Iterator[Block], books: Books, separator: str, required: Collection[str]) -> tuple[bytes, int]:
    """Find the columns; what is left of the header's block, and the number of the line that begins it."""
    block, number = _first_block(source, books)
    first = list(islice(lines(block, number, books.limits), books.limits.record_lines))
    header = _header(first, books, separator)
    books.columns = spelled(header_names(header.values), required, books.limits.columns)
    used = first[: header.lines]
    books.ends[used[-1].end] += bool(used[-1].end)
    return block[sum(len(line.content) + len(line.end) for line in used) :], number + header.lines


def _first_block(source: Iterator[Block], books: Books) -> tuple[bytes, int]:
    """The first block with something in it, from its first line that is not blank; and that line's number."""
    number, is_start = 1, True
    for block in source:
        if isinstance(block, LongLine):
            raise RefusedError(f"header too long: {block.size:,} bytes; limit {books.limits.record_bytes:,}")
        content = _without_mark(block, books) if is_start else block
        is_start = False
        filled = content.lstrip(b"\r\n")
        blank = line_count(content[: len(content) - len(filled)])
        books.blank_lines += blank
        number += blank
        if filled:
            return filled, number
    raise RefusedError("no header: the file holds nothing but blank lines")


def _without_mark(block: bytes, books: Books) -> bytes:
    if block.startswith(_UTF_16):
        raise RefusedError("the file is UTF-16 (it begins with its byte order mark); UTF-8 is expected")
    if block.startswith(BYTE_ORDER_MARK):
        books.notes.append("byte order mark removed")
    return block.removeprefix(BYTE_ORDER_MARK)


def _header(first: Sequence[Line], books: Books, separator: str) -> Fields:
    if first[0].is_cut:
        raise RefusedError(f"header too long: {first[0].size:,} bytes; limit {books.limits.record_bytes:,}")
    if b"\0" in first[0].content:
        raise RefusedError("NUL bytes in the header: the file is UTF-16 or no text; UTF-8 is expected")
    try:
        header = split(lambda n: first[n] if n < len(first) else None, separator, books.limits)
    except BrokenError as error:
        raise RefusedError(f"the header cannot be read: {error}") from error
    except MoreLinesError as error:
        raise RefusedError("the header cannot be read: a quote is never closed") from error
    if any(_NOT_UTF_8.search(cell) for cell in header.values):
        raise RefusedError("the header is not valid UTF-8")
    return header


class CsvReader:
    """Reads the records below the header, block after block."""

    def __init__(self, books: Books, separator: str, first_line: int) -> None:
        self._books = books
        self._separator = separator
        self._number = first_line
        self._lines: Iterator[Line] = iter(())
        self._waiting: deque[Line] = deque()

    def read(self, block: Block) -> None:
        """Take the next block; a record that goes on beyond it waits for the next."""
        if not self._waiting and isinstance(block, bytes) and self._read_plain(block):
            return
        self._lines = lines(block, self._number, self._books.limits)
        self._number += line_count(block) if isinstance(block, bytes) else 1
        while self._take(is_last=False):
            pass

    def finish(self) -> None:
        """Nothing follows: what still waits is all there is."""
        while self._take(is_last=True):
            pass

    def _read_plain(self, block: bytes) -> bool:
        plain = plain_rows(block, self._separator, self._books.columns, self._books.limits)
        if plain is None:
            return False
        self._books.frame(plain.rows)
        self._books.ends[plain.end] += block.count(plain.end)
        self._number += line_count(block)
        return True

    def _peek(self, index: int) -> Line | None:
        while len(self._waiting) <= index:
            line = next(self._lines, None)
            if line is None:
                return None
            self._waiting.append(line)
        return self._waiting[index]

    def _take(self, *, is_last: bool) -> bool:
        """Take one record, or one blank line; False if there is none, or its end is not known yet."""
        first = self._peek(0)
        if first is None:
            return False
        if not first.size:
            self._books.blank_lines += 1
            self._drop(1)
        elif first.is_cut:
            self._reject(1, f"line too long: {first.size:,} bytes; limit {self._books.limits.record_bytes:,}")
        else:
            return self._take_record(is_last=is_last)
        return True

    def _take_record(self, *, is_last: bool) -> bool:
        try:
            record = split(self._peek, self._separator, self._books.limits)
        except BrokenError as error:
            self._reject(1, f"broken quoting: {error}")
        except MoreLinesError:
            if is_last:
                self._reject(1, "broken quoting: a quote is never closed")
            return is_last
        else:
            self._enter(record)
        return True

    def _enter(self, record: Fields) -> None:
        """A record whose quotes are sound: a row, unless its fields or its bytes are wrong."""
        width = len(self._books.columns)
        if len(record.values) < width or any(record.values[width:]):
            self._reject(1, _miscounted(record, width))
            return
        content = [self._waiting[index].content for index in range(record.lines)]
        if not all(part.isascii() or not _NOT_UTF_8.search(text_of(part)) for part in content):
            self._reject(record.lines, "not valid UTF-8")
            return
        self._books.row([value or None for value in record.values[:width]], sum(map(len, content)))
        self._drop(record.lines)

    def _reject(self, count: int, reason: str) -> None:
        """The next lines are one dead letter."""
        taken = [self._waiting[index] for index in range(count)]
        last = taken[-1]
        payload = b"".join(line.content + line.end for line in taken[:-1]) + last.content
        size = len(payload) - len(last.content) + last.size
        place = taken[0].place if count == 1 else f"lines {taken[0].number} to {last.number}"
        self._books.letter(reason, place, payload, size)
        self._drop(count)

    def _drop(self, count: int) -> None:
        for _ in range(count):
            end = self._waiting.popleft().end
        self._books.ends[end] += bool(end)


def _miscounted(record: Fields, width: int) -> str:
    found = len(record.values)
    surplus = ", and the surplus is not empty" if found > width else ""
    counts = f"{found} fields where the header has {width}{surplus}"
    if record.lines == 1:
        return counts
    return f"broken quoting: a quote opens a record of {record.lines} lines with {counts}"
