"""JSON lines: every line of a file as a row of text, or as a dead letter with its bytes.

Belongs here: what a line means. Does not belong here: the text of values (`json_values.py`), and
which columns keys go into (`record_columns.py`).
"""

import re
from collections.abc import Collection
from pathlib import Path

from lakehouse.ingest.files.json_values import JsonValues, NotARecordError
from lakehouse.ingest.files.lines import (
    BYTE_ORDER_MARK,
    Line,
    LongLine,
    count_lines,
    read_blocks,
    split_lines,
)
from lakehouse.ingest.files.record_columns import RecordColumns, TooManyColumnsError
from lakehouse.ingest.files.record_ledger import RecordLedger

_EMPTY_LIST = re.compile(rb"(?:\xef\xbb\xbf)?\s*\[\s*\]\s*")
_EMPTY_LIST_BYTES = 1 << 10  # no program writes more blanks around it


def read_json_lines(path: Path, ledger: RecordLedger, *, required: Collection[str]) -> None:
    """Reads a plain file of JSON lines into the ledger.

    Raises:
        RefusedError: no object has a required key.
    """
    if _is_empty_list(path):
        ledger.empty_because = "an empty list: no records"
        return
    columns = RecordColumns(ledger, required)
    reader = _LineReader(ledger, columns, JsonValues(ledger.limits))
    number = 1
    for block in read_blocks(path, ledger.limits):
        content = block
        if number == 1 and isinstance(block, bytes) and block.startswith(BYTE_ORDER_MARK):
            ledger.notes.append("byte order mark removed")
            content = block.removeprefix(BYTE_ORDER_MARK)
        for line in split_lines(content, number, ledger.limits):
            reader.read(line)
        number += 1 if isinstance(block, LongLine) else count_lines(block)
    if not ledger.records:
        ledger.empty_because = "blank lines only: no records"
    columns.finish()


def _is_empty_list(path: Path) -> bool:
    """Returns whether a file is `[]`: what programs write that have no record to write."""
    with path.open("rb") as file:
        head = file.read(_EMPTY_LIST_BYTES)
    return len(head) < _EMPTY_LIST_BYTES and _EMPTY_LIST.fullmatch(head) is not None


class _LineReader:
    """A reader of lines, one after another."""

    def __init__(self, ledger: RecordLedger, columns: RecordColumns, values: JsonValues) -> None:
        self._ledger = ledger
        self._columns = columns
        self._values = values

    def read(self, line: Line) -> None:
        self._ledger.ends[line.end] += bool(line.end)
        if not line.content.strip():
            self._ledger.blank_lines += 1
            return
        try:
            self._columns.add(self._parse(line), line.size)
        except (NotARecordError, TooManyColumnsError) as error:
            self._ledger.add_letter(str(error), line.place, line.content, line.size)

    def _parse(self, line: Line) -> dict[str, str | None]:
        if line.is_cut:
            most = self._ledger.limits.record_bytes
            raise NotARecordError(f"line too long: {line.size:,} bytes; limit {most:,}")
        return self._values.read(line.content)
