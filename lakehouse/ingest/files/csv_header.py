"""The header of a CSV file: its first line that is not blank, and why it may refuse the file."""

from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import polars as pl

from lakehouse.ingest.files.csv_fields import (
    BrokenError,
    Fields,
    LongCellError,
    MoreLinesError,
    is_utf8,
    split_record,
)
from lakehouse.ingest.files.header_names import (
    fold_names,
    land_columns,
    land_names,
    list_names,
    strip_cells,
)
from lakehouse.ingest.files.lines import (
    BYTE_ORDER_MARK,
    Block,
    Line,
    LongLine,
    split_lines,
)
from lakehouse.ingest.files.record_ledger import EmptyFileError, RecordLedger, RefusedError

_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


class Header(NamedTuple):
    """The header of a file and what follows it.

    Attributes:
        cells: its cells as they are delivered.
        rest: the rest of the block behind it.
        number: the number of the first line of the rest.
        position: where the rest begins in the file, in bytes.
    """

    cells: tuple[str, ...]
    rest: bytes
    number: int
    position: int


def read_header(
    source: Iterator[Block], ledger: RecordLedger, separator: str, required: Collection[str]
) -> Header:
    """Reads the columns into the ledger, and returns the header."""
    block, number, position = _first_block(source, ledger)
    header, first, block = _read_cells(block, number, source, ledger, separator)
    names = strip_cells(header.values)
    landed = {name.casefold() for name in land_names(names).names}
    if names and required and not landed & set(fold_names(required)):
        # There may be no header at all. The first line may then be a record with personal data, so
        # the message does not quote it.
        raise RefusedError(
            f"columns missing: {list_names(list(required))}; the first line names none of them"
        )
    land_columns(ledger, names, required)
    used = first[: header.lines]
    # The line ends before the last one are inside of quoted names. A file of one line has none.
    ledger.ends[used[-1].end] += bool(used[-1].end)
    size = sum(len(line.content) + len(line.end) for line in used)
    return Header(tuple(header.values), block[size:], number + header.lines, position + size)


def _read_cells(
    block: bytes, number: int, source: Iterator[Block], ledger: RecordLedger, separator: str
) -> tuple[Fields, list[Line], bytes]:
    """Returns the fields of the header, the lines that were looked at, and the block they are in.

    Quoted names may span lines, as values may, and have the same limit.
    """
    while True:
        following = split_lines(block, number, ledger.limits)
        first = [next(following)]
        try:
            return _header(first, following, ledger, separator), first, block
        except MoreLinesError as error:
            # A name may go on in the next block; the size of blocks must not decide anything.
            more = next(source, None)
            if not isinstance(more, bytes):
                raise RefusedError("the header cannot be read: a quote is never closed") from error
            block += more


def _first_block(source: Iterator[Block], ledger: RecordLedger) -> tuple[bytes, int, int]:
    """Returns the first block from its first line that is not blank, and where that line is.

    Returns:
        The block, the number of its first line, and its position in the file.
    """
    number, position, is_start = 1, 0, True
    for block in source:
        if isinstance(block, LongLine):
            raise RefusedError(
                f"header too long: {block.size:,} bytes; limit {ledger.limits.record_bytes:,}"
            )
        # Only the first bytes of a file can be a mark; elsewhere the same bytes are part of a text.
        content = _remove_mark(block, ledger) if is_start else block
        is_start = False
        filled = content.lstrip(b"\r\n")
        position += len(block) - len(filled)
        for line in split_lines(content[: len(content) - len(filled)], number, ledger.limits):
            ledger.blank_lines += 1
            ledger.ends[line.end] += 1
            number += 1
        if filled:
            return filled, number, position
    raise EmptyFileError("no header: the file holds nothing but blank lines")


def _remove_mark(block: bytes, ledger: RecordLedger) -> bytes:
    if block.startswith(_UTF_16):
        raise RefusedError(
            "the file is UTF-16 (it begins with its byte order mark); UTF-8 is expected"
        )
    if block.startswith(BYTE_ORDER_MARK):
        ledger.notes.append("byte order mark removed")
    return block.removeprefix(BYTE_ORDER_MARK)


def _header(
    first: list[Line], following: Iterator[Line], ledger: RecordLedger, separator: str
) -> Fields:
    """Returns the fields of the header; `first` grows by the lines that they take."""

    def line(number: int) -> Line | None:
        first.extend(islice(following, max(0, number + 1 - len(first))))
        return first[number] if number < len(first) else None

    if first[0].is_cut:
        raise RefusedError(
            f"header too long: {first[0].size:,} bytes; limit {ledger.limits.record_bytes:,}"
        )
    if b"\0" in first[0].content:
        raise RefusedError(
            "NUL bytes in the header: the file is UTF-16 or no text; UTF-8 is expected"
        )
    try:
        header = split_record(line, separator, ledger.limits)
    except BrokenError as error:
        raise RefusedError(f"the header cannot be read: {error}") from error
    except LongCellError as error:
        most = ledger.limits.cell_bytes
        raise RefusedError(
            f"the header cannot be read: a quote is not closed within {most:,} bytes (cell_bytes)"
        ) from error
    # No column can have a name with lone surrogates.
    if not all(is_utf8(cell) for cell in header.values):
        raise RefusedError("the header is not valid UTF-8")
    return header


def is_header(values: Sequence[str], cells: Sequence[str]) -> bool:
    """Returns whether a record repeats the header, as where files were joined to one.

    A single name may well be a value of its column, so it counts as one.
    """
    # A file that was joined to another one may have a byte order mark of its own.
    own = [values[0].removeprefix("\ufeff"), *values[1:]]
    return len(_strip_empty(cells)) > 1 and _strip_empty(own) == _strip_empty(cells)


def has_header(rows: pl.DataFrame, cells: Sequence[str]) -> bool:
    """Returns whether some row of a plain block repeats the header."""
    # One comparison of the first column is cheap; hardly any block needs another look.
    first = rows.to_series(0).fill_null("")
    found = rows.filter((first == cells[0]) | (first == f"\ufeff{cells[0]}"))
    return any(
        is_header([value or "" for value in row], cells[: rows.width]) for row in found.rows()
    )


def _strip_empty(cells: Sequence[str]) -> list[str]:
    """Returns cells without the empty ones at their end."""
    stop = next((n for n in range(len(cells), 0, -1) if cells[n - 1]), 0)
    return list(cells[:stop])
