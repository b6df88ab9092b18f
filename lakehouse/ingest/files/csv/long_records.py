"""Records of CSV with a cell that is too long for memory: where they end in the file.

The reader (`records.py`) calls this once a cell of several lines is over its limit. Here the
rest of the file is searched without being kept, so that the whole record becomes one dead letter,
and no line of the cell becomes a row.
"""

import mmap
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

from lakehouse.ingest.files.csv.dialect import CsvDialect
from lakehouse.ingest.files.text.lines import count_lines

_LINE_END = re.compile(rb"\r\n|\n|\r|\Z")
_COUNTED_BYTES = 1 << 20


class LongRecord(NamedTuple):
    """A record in a file: its beginning, its size, its line end and the number of its lines."""

    beginning: bytes
    size: int
    end: bytes
    lines: int


def find_long_record(
    path: Path, start: int, dialect: CsvDialect, head_bytes: int, last: int | None = None
) -> LongRecord | None:
    """Finds the record that begins at a position in a file.

    Args:
        path: the file.
        start: the position of the first byte of the record.
        dialect: what separates and surrounds its cells.
        head_bytes: how much of it is returned.
        last: the position where the records of the file end; None if that is its end.

    Returns:
        None if a quote is never closed, or text follows a closing quote: then it is a stray one.
    """
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        stop = _find_end(content, start, len(content) if last is None else last, dialect)
        if stop is None:
            return None
        found = _LINE_END.match(content, stop)
        end = found.group() if found else b""
        lines = _count_lines(content, start, stop)
        return LongRecord(content[start : min(stop, start + head_bytes)], stop - start, end, lines)


@cache
def _match_cells(dialect: CsvDialect) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    """Returns patterns for the rest of a quoted cell, and for a cell without quotes.

    Possessive: a failed search must not take half of a doubled quote for the end.
    """
    quote, escape = re.escape(dialect.quote_byte), re.escape(dialect.escape_byte)
    separator = re.escape(dialect.separator.encode())
    escaped = b"|%b[%b%b]" % (escape, quote, escape) if escape else b""
    alone = b"|%b(?![%b%b])" % (escape, quote, escape) if escape else b""
    within = b"(?:[^%b%b]++|%b%b%b)*+%b" % (quote, escape, quote * 2, escaped, alone, quote)
    escaped = b"|%b(?:\\r\\n|[\\s\\S])?" % escape if escape else b""
    outside = b"(?:[^\\r\\n%b%b]++%b)*+" % (separator, escape, escaped)
    return re.compile(within if quote else b"(?!)"), re.compile(outside)


def _find_end(content: mmap.mmap, start: int, last: int, dialect: CsvDialect) -> int | None:
    """Returns the position behind the last cell of a record; None if its quotes are broken."""
    rest_of_quoted, unquoted = _match_cells(dialect)
    separator, blanks = dialect.separator.encode(), dialect.blanks.encode()
    skip_blanks = re.compile(b"[%b]*" % blanks if blanks else b"")
    position = start
    while True:
        cell = skip_blanks.match(content, position, last)
        begin = cell.end() if cell else position
        if dialect.quote_byte and content[begin : begin + 1] == dialect.quote_byte:
            quoted = rest_of_quoted.match(content, begin + 1, last)
            if quoted is None:
                return None
            behind = skip_blanks.match(content, quoted.end(), last)
            stop = behind.end() if behind else quoted.end()
            if stop < last and content[stop : stop + 1] not in (separator, b"\r", b"\n"):
                return None
        else:
            found = unquoted.match(content, position, last)
            stop = found.end() if found else position
        if stop >= last or content[stop : stop + 1] != separator:
            return stop
        position = stop + len(separator)


def _count_lines(content: mmap.mmap, start: int, stop: int) -> int:
    lines, position = 0, start
    while position < stop:
        piece = min(stop, position + _COUNTED_BYTES)
        # A CR and its LF end one line, so they stay together.
        piece += content[piece - 1 : piece + 1] == b"\r\n"
        lines += count_lines(content[position:piece])
        # A piece that ends within a line counted it; the next one counts it again.
        lines -= piece < stop and content[piece - 1 : piece] not in (b"\r", b"\n")
        position = piece
    return lines
