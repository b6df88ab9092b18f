"""What comes before the first line of a text file that counts: a mark, skipped lines, comments.

Belongs here: finding that line, for CSV and fixed width. Does not belong here: what it means.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from lakehouse.ingest.files.record_ledger import EmptyFileError, RecordLedger, RefusedError
from lakehouse.ingest.files.text.lines import (
    BYTE_ORDER_MARK,
    Block,
    LongLine,
    find_last_lines,
    read_blocks,
    split_lines,
)
from lakehouse.tables.files import Files

_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


class TextContent(NamedTuple):
    """A text file from its first line that counts.

    Attributes:
        blocks: the blocks behind the first one.
        first: the first block, from that line on.
        number: the number of the line.
        position: where it begins in the file, in bytes.
        stop: where the last line ends that counts; None if all do.
    """

    blocks: Iterator[Block]
    first: bytes
    number: int
    position: int
    stop: int | None


def open_content(path: Path, ledger: RecordLedger, files: Files) -> TextContent:
    """Finds the first line that is neither skipped nor blank nor a comment.

    Raises:
        EmptyFileError: there is none.
        RefusedError: it is longer than a line may be, or the file is UTF-16.
    """
    stop = find_last_lines(path, files.skip_last_lines)
    if files.skip_last_lines:
        ledger.notes.append(f"lines skipped at the end: {files.skip_last_lines:,}")
    if files.skip_lines:
        ledger.notes.append(f"lines skipped at the beginning: {files.skip_lines:,}")
    blocks = read_blocks(path, ledger.limits, stop)
    comment = (files.comment or "").encode()
    number, position, to_skip = 1, 0, files.skip_lines
    for block in blocks:
        content = _remove_mark(block, ledger) if number == 1 and isinstance(block, bytes) else block
        place = 0 if isinstance(block, LongLine) else len(block) - len(content)
        for line in split_lines(content, number, ledger.limits):
            is_blank = not line.size and not to_skip
            is_comment = bool(comment) and line.content.startswith(comment) and not to_skip
            if not (to_skip or is_blank or is_comment):
                if isinstance(block, LongLine) or line.is_cut:
                    most = ledger.limits.record_bytes
                    raise RefusedError(f"header too long: {line.size:,} bytes; limit {most:,}")
                return TextContent(blocks, block[place:], number, position + place, stop)
            ledger.blank_lines += is_blank
            if is_comment:
                ledger.note_comments(1, number)
            ledger.ends[line.end] += bool(line.end)
            to_skip -= to_skip > 0
            number += 1
            place += line.size + len(line.end)
        position += place
    if files.skip_lines or files.skip_last_lines or comment:
        raise EmptyFileError("no header: no line is left that is not skipped, a comment or blank")
    raise EmptyFileError("no header: the file holds nothing but blank lines")


def _remove_mark(block: bytes, ledger: RecordLedger) -> bytes:
    # Only the first bytes of a file can be a mark; elsewhere the same bytes are part of a text.
    if block.startswith(_UTF_16):
        raise RefusedError(
            "the file is UTF-16 (it begins with its byte order mark); UTF-8 is expected. "
            'Next: declare files=Files(encoding="utf-16")'
        )
    if block.startswith(BYTE_ORDER_MARK):
        ledger.notes.append("byte order mark removed")
    return block.removeprefix(BYTE_ORDER_MARK)
