"""The grammar of a CSV record: RFC 4180 in a dialect, tolerant of the quotes that people write.

A field that begins with a quote ends at the next quote that is not doubled; a separator or the end
of the record must follow. A quote anywhere else is an ordinary character (`6" PLATE`). A quoted
field may span lines, and so may one with an escape before a line end.
"""

import re
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from lakehouse.ingest.files.csv.dialect import CsvDialect
from lakehouse.ingest.files.text.lines import Line
from lakehouse.ingest.limits import IngestLimits

# What `surrogateescape` makes of the bytes 0x80 to 0xff where they are not UTF-8.
_LONE_SURROGATE = re.compile("[\udc80-\udcff]")


class Fields(NamedTuple):
    """The values of a record and the number of its lines; an empty or null cell is None."""

    values: list[str | None]
    lines: int


class BrokenError(Exception):
    """Broken quotes in a record; never leaves the CSV reader."""


class LongCellError(Exception):
    """A cell of several lines over its limit; never leaves the CSV reader."""


class MoreLinesError(Exception):
    """A cell that is still open where the known lines end; never leaves the CSV reader.

    The message says what is open.
    """


Peek = Callable[[int], Line | None]
"""Returns the n-th line from here; None if it is not known yet."""


def decode_line(content: bytes) -> str:
    """Returns a line as text; bytes that are not UTF-8 become lone surrogates."""
    # Quotes and separators are ASCII, so they are found whatever the encoding of the values is.
    return content.decode("utf-8", "surrogateescape")


def is_utf8(text: str) -> bool:
    """Returns whether a text came from bytes that are valid UTF-8."""
    return not _LONE_SURROGATE.search(text)


def split_record(peek: Peek, dialect: CsvDialect, limits: IngestLimits) -> Fields:
    """Splits the record that begins with line 0.

    Raises:
        BrokenError: it is not a record; the message says why.
        LongCellError: a cell of several lines is over its limit.
        MoreLinesError: more lines are needed to find its end.
    """
    first = peek(0)
    if first is None:
        raise MoreLinesError("the record has no line")
    text = decode_line(first.content)
    has_quote = dialect.quote is not None and dialect.quote in text
    if not has_quote and (dialect.escape is None or dialect.escape not in text):
        return Fields([dialect.read_cell(cell) for cell in text.split(dialect.separator)], 1)
    scanner = _Scanner(peek, text, first, dialect, limits)
    values = [scanner.field()]
    # Behind a field is a separator or the end. A separator at the end opens one more, empty field.
    while scanner.position < len(scanner.text):
        scanner.position += len(dialect.separator)
        values.append(scanner.field())
    return Fields(values, scanner.line + 1)


@cache
def _match_borders(dialect: CsvDialect) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Returns patterns for what ends or interrupts a cell: within quotes, and without."""
    escape = re.escape(dialect.escape or "")
    within = re.compile(f"[{re.escape(dialect.quote or '')}{escape}]") if dialect.quote else None
    return within or re.compile("(?!)"), re.compile(f"[{re.escape(dialect.separator)}{escape}]")


class _Scanner:
    """A scanner of one record; `position` is in its current line, behind the last field read."""

    def __init__(
        self, peek: Peek, text: str, first: Line, dialect: CsvDialect, limits: IngestLimits
    ) -> None:
        self.text = text
        self.line = 0
        self.position = 0
        self._peek = peek
        self._dialect = dialect
        self._within, self._outside = _match_borders(dialect)
        self._limits = limits
        self._current = first
        self._cell_bytes = 0
        self._bytes = first.size

    def field(self) -> str | None:
        """Reads the next field; its line may be another one afterwards."""
        start = self._skip_blanks()
        self._cell_bytes = 0
        if self._dialect.quote is not None and self.text.startswith(self._dialect.quote, start):
            self.position = start + 1
            return self._dialect.read_quoted(self._quoted())
        return self._unquoted()

    def _skip_blanks(self) -> int:
        position = self.position
        while position < len(self.text) and self.text[position] in self._dialect.blanks:
            position += 1
        return position

    def _quoted(self) -> str:
        dialect, pieces = self._dialect, list[str]()
        while True:
            found = self._within.search(self.text, self.position)
            if found is None:
                # The line end is part of the value and stays as delivered, CR included.
                pieces.append(self.text[self.position :] + self._current.end.decode())
                self._next_line("a quote is never closed")
                continue
            pieces.append(self.text[self.position : found.start()])
            mark, following = found.group(), self.text[found.end() : found.end() + 1]
            self.position = found.end()
            if mark == dialect.quote and following != mark:
                break
            # A doubled quote, or an escape before a quote or itself, stands for the second one.
            if mark == dialect.quote or (following and following in (dialect.quote, mark)):
                self.position += 1
                mark = following
            pieces.append(mark)
        self.position = self._skip_blanks()
        if self.position < len(self.text) and not self.text.startswith(
            dialect.separator, self.position
        ):
            raise BrokenError("text after a closing quote")
        return "".join(pieces)

    def _unquoted(self) -> str | None:
        dialect, pieces, start, line = self._dialect, list[str](), self.position, self.line
        while True:
            found = self._outside.search(self.text, self.position)
            end = found.start() if found else len(self.text)
            pieces.append(self.text[self.position : end])
            self.position = end
            if found is None or found.group() == dialect.separator:
                break
            following = self.text[end + 1 : end + 2]
            self.position = min(end + 2, len(self.text))
            if following:
                pieces.append(dialect.escapes.get(following, found.group() + following))
            elif self._current.end:
                pieces.append(self._current.end.decode())
                self._next_line("an escape stands before the last line end")
            else:
                pieces.append(found.group())
        raw = self.text[start : self.position]
        if len(pieces) == 1 or (
            line == self.line and raw.strip(dialect.blanks) in dialect.null_cells
        ):
            return dialect.read_cell(raw)
        if dialect.trim:
            pieces[0] = pieces[0].lstrip(dialect.blanks)
            pieces[-1] = pieces[-1].rstrip(dialect.blanks)
        return "".join(pieces) or None

    def _next_line(self, open_because: str) -> None:
        following = self._peek(self.line + 1)
        if following is None:
            raise MoreLinesError(open_because)
        self.line += 1
        self._bytes += len(self._current.end) + following.size
        self._cell_bytes += len(self._current.content) + len(self._current.end)
        # Without limits, one quote that is never closed would hold the rest of the file in memory
        # as a single record. A cut line is not in memory whole, so no row can be made of it.
        if (
            following.is_cut
            or self._cell_bytes > self._limits.cell_bytes
            or self._bytes > self._limits.record_bytes
        ):
            raise LongCellError
        self._current, self.text, self.position = following, decode_line(following.content), 0
