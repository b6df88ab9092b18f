"""The header of a CSV file: its first line that is not blank, and why it may refuse the file."""

from collections.abc import Collection, Iterator
from itertools import islice

from lakehouse.ingest.files.csv_fields import (
    BrokenError,
    Fields,
    MoreLinesError,
    is_utf8,
    split_record,
)
from lakehouse.ingest.files.header_names import fold_names, list_names, name_columns, spell_names
from lakehouse.ingest.files.lines import (
    BYTE_ORDER_MARK,
    Block,
    Line,
    LongLine,
    split_lines,
)
from lakehouse.ingest.files.record_ledger import EmptyFileError, RecordLedger, RefusedError

_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def read_header(
    source: Iterator[Block], ledger: RecordLedger, separator: str, required: Collection[str]
) -> tuple[bytes, int]:
    """Reads the columns into the ledger.

    Returns:
        The rest of the block behind the header, and the number of its first line.
    """
    block, number = _first_block(source, ledger)
    # Quoted names may span lines, as values may, and have the same limit.
    following = islice(split_lines(block, number, ledger.limits), ledger.limits.record_lines)
    first = [next(following)]
    header = _header(first, following, ledger, separator)
    names = name_columns(header.values)
    if required and not {name.casefold() for name in names} & set(fold_names(required)):
        # There may be no header at all. The first line may then be a record with personal data, so
        # the message does not quote it.
        raise RefusedError(
            f"columns missing: {list_names(list(required))}; the first line names none of them"
        )
    ledger.columns = spell_names(names, required, ledger.limits.columns)
    used = first[: header.lines]
    # The line ends before the last one are inside of quoted names. A file of one line has none.
    ledger.ends[used[-1].end] += bool(used[-1].end)
    return block[sum(len(line.content) + len(line.end) for line in used) :], number + header.lines


def _first_block(source: Iterator[Block], ledger: RecordLedger) -> tuple[bytes, int]:
    """Returns the first block from its first line that is not blank, and that line's number."""
    number, is_start = 1, True
    for block in source:
        if isinstance(block, LongLine):
            raise RefusedError(
                f"header too long: {block.size:,} bytes; limit {ledger.limits.record_bytes:,}"
            )
        # Only the first bytes of a file can be a mark; elsewhere the same bytes are part of a text.
        content = _remove_mark(block, ledger) if is_start else block
        is_start = False
        filled = content.lstrip(b"\r\n")
        for line in split_lines(content[: len(content) - len(filled)], number, ledger.limits):
            ledger.blank_lines += 1
            ledger.ends[line.end] += 1
            number += 1
        if filled:
            return filled, number
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
    except MoreLinesError as error:
        # No further block is read for a header: a quote open at the end of the first one is an
        # error, however large the file is.
        raise RefusedError("the header cannot be read: a quote is never closed") from error
    # No column can have a name with lone surrogates.
    if not all(is_utf8(cell) for cell in header.values):
        raise RefusedError("the header is not valid UTF-8")
    return header
