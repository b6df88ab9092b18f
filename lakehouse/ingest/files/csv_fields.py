"""The grammar of a CSV record: RFC 4180, with tolerance for the quotes that people really write.

A field that begins with a quote ends at the next quote that is not doubled; a separator or the end
of the record must follow. A quote anywhere else is an ordinary character (`6" PLATE`). A quoted
field may span lines.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from lakehouse.ingest.files.lines import Line
from lakehouse.ingest.limits import IngestLimits

# What `surrogateescape` makes of the bytes 0x80 to 0xff where they are not UTF-8.
_LONE_SURROGATE = re.compile("[\udc80-\udcff]")


class Fields(NamedTuple):
    """The values of a record and the number of its lines."""

    values: list[str]
    lines: int


class BrokenError(Exception):
    """Broken quotes in a record; never leaves the CSV reader."""


class LongCellError(Exception):
    """A quoted cell over its limit; never leaves the CSV reader."""


class MoreLinesError(Exception):
    """A quoted field that is still open where the known lines end; never leaves the CSV reader."""


Peek = Callable[[int], Line | None]
"""Returns the n-th line from here; None if it is not known yet."""


def decode_line(content: bytes) -> str:
    """Returns a line as text; bytes that are not UTF-8 become lone surrogates."""
    # Quotes and separators are ASCII, so they are found whatever the encoding of the values is.
    return content.decode("utf-8", "surrogateescape")


def is_utf8(text: str) -> bool:
    """Returns whether a text came from bytes that are valid UTF-8."""
    return not _LONE_SURROGATE.search(text)


def split_record(peek: Peek, separator: str, limits: IngestLimits) -> Fields:
    """Splits the record that begins with line 0.

    Raises:
        BrokenError: it is not a record; the message says why.
        LongCellError: a quoted cell is over its limit.
        MoreLinesError: more lines are needed to find its end.
    """
    first = peek(0)
    if first is None:
        raise MoreLinesError
    text = decode_line(first.content)
    if '"' not in text:
        return Fields(text.split(separator), 1)
    scanner = _Scanner(peek, text, first, limits)
    values = [scanner.field(separator)]
    # Behind a field is a separator or the end. A separator at the end opens one more, empty field.
    while scanner.position < len(scanner.text):
        scanner.position += len(separator)
        values.append(scanner.field(separator))
    return Fields(values, scanner.line + 1)


class _Scanner:
    """A scanner of one record; `position` is in its current line, behind the last field read."""

    def __init__(self, peek: Peek, text: str, first: Line, limits: IngestLimits) -> None:
        self.text = text
        self.line = 0
        self.position = 0
        self._peek = peek
        self._limits = limits
        self._current = first
        self._cell_bytes = 0
        self._bytes = first.size

    def field(self, separator: str) -> str:
        if self.text.startswith('"', self.position):
            return self._quoted(separator)
        start = self.position
        end = self.text.find(separator, start)
        self.position = len(self.text) if end < 0 else end
        return self.text[start : self.position]

    def _quoted(self, separator: str) -> str:
        pieces: list[str] = []
        self.position += 1
        self._cell_bytes = 0
        while True:
            end = self.text.find('"', self.position)
            if end < 0:
                # The line end is part of the value and stays as delivered, CR included.
                pieces.append(self.text[self.position :] + self._current.end.decode())
                self._next_line()
                continue
            pieces.append(self.text[self.position : end])
            self.position = end + 1
            if not self.text.startswith('"', self.position):
                break
            pieces.append('"')
            self.position += 1
        if self.position < len(self.text) and not self.text.startswith(separator, self.position):
            raise BrokenError("text after a closing quote")
        return "".join(pieces)

    def _next_line(self) -> None:
        following = self._peek(self.line + 1)
        if following is None:
            raise MoreLinesError
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
