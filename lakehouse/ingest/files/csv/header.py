"""The header of a CSV file: its first line that counts, and why it may refuse the file."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

import polars as pl

from lakehouse.ingest.files.csv.columns import CsvColumns, name_blanks
from lakehouse.ingest.files.csv.dialect import CsvDialect
from lakehouse.ingest.files.csv.fields import (
    BrokenError,
    Fields,
    LongCellError,
    MoreLinesError,
    is_utf8,
    split_record,
)
from lakehouse.ingest.files.csv.misfit import hint_header
from lakehouse.ingest.files.header_names import (
    fold_names,
    land_columns,
    land_names,
    list_names,
    strip_cells,
)
from lakehouse.ingest.files.read_options import ReadOptions
from lakehouse.ingest.files.record_ledger import RecordLedger, RefusedError
from lakehouse.ingest.files.text.lines import Line, split_lines
from lakehouse.ingest.files.text.preamble import TextContent

# Excel's own way to name the separator: a first line `sep=;`.
_SEPARATOR_LINE = re.compile(rb'"?sep=([^\r\n"])"?(\r\n|\n|\r|\Z)', re.IGNORECASE)


class Header(NamedTuple):
    """The header of a file and what follows it.

    Attributes:
        cells: its cells as they are delivered; the declared names if the file has no header.
        columns: its columns.
        rest: the rest of the block behind it.
        number: the number of the first line of the rest.
        position: where the rest begins in the file, in bytes.
    """

    cells: tuple[str, ...]
    columns: CsvColumns
    rest: bytes
    number: int
    position: int


def read_separator(
    content: TextContent, ledger: RecordLedger, dialect: CsvDialect, *, is_declared: bool
) -> tuple[TextContent, CsvDialect]:
    """Returns the content behind a line `sep=;`, and the dialect with that separator.

    Raises:
        RefusedError: another separator is declared.
    """
    found = _SEPARATOR_LINE.match(content.first)
    if found is None or not found.group(1).isascii():
        return content, dialect
    separator = found.group(1).decode()
    if is_declared and separator != dialect.separator:
        raise RefusedError(
            f"the first line says that {separator!r} separates cells; "
            f"{dialect.separator!r} is declared"
        )
    ledger.notes.append(f"the first line names the separator: {separator!r}")
    ledger.ends[found.group(2)] += bool(found.group(2))
    moved = content._replace(
        first=content.first[found.end() :],
        number=content.number + 1,
        position=content.position + found.end(),
    )
    return moved, replace(dialect, separator=separator)


def read_header(
    content: TextContent,
    ledger: RecordLedger,
    dialect: CsvDialect,
    options: ReadOptions,
    sample: Sequence[bytes],
) -> Header:
    """Reads the columns into the ledger, and returns the header.

    Args:
        content: the file from its first line that counts.
        ledger: what takes its records.
        dialect: how cells become values.
        options: what is declared.
        sample: some of the first lines that count, for the remedy.

    Raises:
        RefusedError: it cannot be read, or it does not fit what is declared.
    """
    files = options.files
    if files.header:
        # A null mark may well be the name of a column.
        plain = replace(dialect, nulls=frozenset())
        header, first, block = _read_cells(content, ledger, plain)
        cells = tuple(cell or "" for cell in header.values)
        names = _rename(strip_cells(cells), files.names, len(cells))
    else:
        header, first, block = Fields([], 0), [], content.first
        cells = _declared_names(options)
        names = list(cells)
    blanks = name_blanks(names, max(len(cells), len(names)), options.required)
    required = [name for name in options.required if name not in blanks]
    landed = {name.casefold() for name in land_names(names).names}
    if names and required and not landed & set(fold_names(required)):
        # There may be no header at all. The first line may then be a record with personal data, so
        # the message does not quote it.
        raise RefusedError(
            f"columns missing: {list_names(list(required))}; the first line names none of them. "
            + hint_header(sample, dialect, required)
        )
    land_columns(ledger, names, required)
    used = first[: header.lines]
    # The line ends before the last one are inside of quoted names. A file of one line has none.
    for line in used[-1:]:
        ledger.ends[line.end] += bool(line.end)
    size = sum(len(line.content) + len(line.end) for line in used)
    columns = CsvColumns(ledger, blanks, options.required)
    return Header(
        cells, columns, block[size:], content.number + header.lines, content.position + size
    )


def _declared_names(options: ReadOptions) -> tuple[str, ...]:
    """Returns the names of the columns of a file without a header."""
    if names := options.files.names or options.columns:
        return names
    raise RefusedError(
        "the file is declared to have no header, and nothing names its columns. "
        "Next: declare files=Files(header=False, names=(…))"
    )


def _rename(found: list[str], names: Sequence[str], cells: int) -> list[str]:
    """Returns the declared names in place of those that a header has, and of blank ones behind."""
    if names and not len(found) <= len(names) <= cells:
        raise RefusedError(
            f"the header has {len(found)} columns where `names` declares {len(names)}"
        )
    return list(names or found)


def _read_cells(
    content: TextContent, ledger: RecordLedger, dialect: CsvDialect
) -> tuple[Fields, list[Line], bytes]:
    """Returns the fields of the header, the lines that were looked at, and the block they are in.

    Quoted names may span lines, as values may, and have the same limit.
    """
    block = content.first
    while True:
        following = split_lines(block, content.number, ledger.limits)
        first = [next(following)]
        try:
            return _header(first, following, ledger, dialect), first, block
        except MoreLinesError as error:
            # A name may go on in the next block; the size of blocks must not decide anything.
            more = next(content.blocks, None)
            if not isinstance(more, bytes):
                raise RefusedError(f"the header cannot be read: {error}") from error
            block += more


def _header(
    first: list[Line], following: Iterator[Line], ledger: RecordLedger, dialect: CsvDialect
) -> Fields:
    """Returns the fields of the header; `first` grows by the lines that they take."""

    def line(number: int) -> Line | None:
        first.extend(islice(following, max(0, number + 1 - len(first))))
        return first[number] if number < len(first) else None

    if b"\0" in first[0].content:
        raise RefusedError(
            "NUL bytes in the header: the file is UTF-16 or no text; UTF-8 is expected. "
            'Next: if it is UTF-16, declare files=Files(encoding="utf-16")'
        )
    try:
        header = split_record(line, dialect, ledger.limits)
    except BrokenError as error:
        raise RefusedError(f"the header cannot be read: {error}") from error
    except LongCellError as error:
        most = ledger.limits.cell_bytes
        raise RefusedError(
            f"the header cannot be read: a quote is not closed within {most:,} bytes (cell_bytes)"
        ) from error
    # No column can have a name with lone surrogates.
    if not all(is_utf8(cell) for cell in header.values if cell):
        raise RefusedError(
            f"the header is {dialect.not_decodable}. "
            'Next: declare its encoding, such as files=Files(encoding="cp1252")'
        )
    return header


def is_header(values: Sequence[str | None], cells: Sequence[str]) -> bool:
    """Returns whether a record repeats the header, as where files were joined to one.

    A single name may well be a value of its column, so it counts as one.
    """
    # A file that was joined to another one may have a byte order mark of its own.
    own = [(values[0] or "").removeprefix("\ufeff"), *(value or "" for value in values[1:])]
    return len(_strip_empty(cells)) > 1 and _strip_empty(own) == _strip_empty(cells)


def has_header(rows: pl.DataFrame, cells: Sequence[str]) -> bool:
    """Returns whether some row of a plain block repeats the header."""
    # One comparison of the first column is cheap; hardly any block needs another look.
    first = rows.to_series(0).fill_null("")
    found = rows.filter((first == cells[0]) | (first == f"\ufeff{cells[0]}"))
    return any(is_header(row, cells[: rows.width]) for row in found.rows())


def _strip_empty(cells: Sequence[str]) -> list[str]:
    """Returns cells without the empty ones at their end."""
    stop = next((n for n in range(len(cells), 0, -1) if cells[n - 1]), 0)
    return list(cells[:stop])
