"""Records of CSV with a cell that is too long for memory: where they end in the file.

The reader (`csv_records.py`) calls this once a quoted cell is over its limit. Here the rest of the
file is searched without being kept, so that the whole record becomes one dead letter, and no line
of the cell becomes a row.
"""

import mmap
import re
from pathlib import Path
from typing import NamedTuple

from lakehouse.ingest.files.lines import count_lines

# The rest of a quoted cell. Possessive: a failed search must not take half of a doubled quote for
# the end.
_REST_OF_CELL = re.compile(rb'[^"]*+(?:""[^"]*+)*+"')
_LINE_END = re.compile(rb"\r\n|\n|\r|\Z")
_COUNTED_BYTES = 1 << 20


class LongRecord(NamedTuple):
    """A record in a file: its beginning, its size, its line end and the number of its lines."""

    beginning: bytes
    size: int
    end: bytes
    lines: int


def find_long_record(path: Path, start: int, separator: str, head_bytes: int) -> LongRecord | None:
    """Finds the record that begins at a position in a file.

    Args:
        path: the file.
        start: the position of the first byte of the record.
        separator: what separates its cells.
        head_bytes: how much of it is returned.

    Returns:
        None if a quote is never closed, or text follows a closing quote: then it is a stray one.
    """
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        stop = _find_end(content, start, separator.encode())
        if stop is None:
            return None
        found = _LINE_END.match(content, stop)
        end = found.group() if found else b""
        lines = _count_lines(content, start, stop)
        return LongRecord(content[start : min(stop, start + head_bytes)], stop - start, end, lines)


def _find_end(content: mmap.mmap, start: int, separator: bytes) -> int | None:
    """Returns the position behind the last cell of a record; None if its quotes are broken."""
    next_border = re.compile(rb"[\r\n]|%b|\Z" % re.escape(separator))
    position = start
    while True:
        if content[position : position + 1] == b'"':
            cell = _REST_OF_CELL.match(content, position + 1)
            if cell is None:
                return None
            position = cell.end()
        border = next_border.search(content, position)
        stop = len(content) if border is None else border.start()
        if content[position - 1 : position] == b'"' and stop > position:
            return None
        if content[stop : stop + len(separator)] != separator:
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
