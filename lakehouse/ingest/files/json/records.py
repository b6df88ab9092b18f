"""JSON: every record of a file as a row of text, or as a dead letter with its bytes.

A file has a record on each line, or it is a document: objects and lists of objects, one after
another, in any layout. With a path (`records`), the records lie within them.
"""

import mmap
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from lakehouse.ingest.files.header_names import list_names
from lakehouse.ingest.files.json.bounds import Document
from lakehouse.ingest.files.json.layout import has_lines
from lakehouse.ingest.files.json.values import JsonValues, NotARecordError, check_text, write_text
from lakehouse.ingest.files.json.walk import Found, Walker
from lakehouse.ingest.files.read_options import ReadOptions
from lakehouse.ingest.files.record_columns import RecordColumns, TooManyColumnsError
from lakehouse.ingest.files.record_ledger import RecordLedger, RefusedError
from lakehouse.ingest.files.text.lines import (
    BYTE_ORDER_MARK,
    Line,
    LongLine,
    count_lines,
    read_blocks,
    split_lines,
)
from lakehouse.tables.record_path import RecordPath, parse_record_path

_NO_PARENTS: Mapping[str, bytes] = MappingProxyType({})
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def read_json(path: Path, ledger: RecordLedger, options: ReadOptions) -> None:
    """Reads a plain JSON file into the ledger.

    Raises:
        RefusedError: it is a document that is cut off or no JSON, or lacks the path of the records
            or a required key.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if content[:2] in _UTF_16:
            raise RefusedError(
                "the file is UTF-16 (it begins with its byte order mark); "
                'declare Files(encoding="utf-16")'
            )
        start = len(BYTE_ORDER_MARK) if content[:3] == BYTE_ORDER_MARK else 0
        if start:
            ledger.notes.append("byte order mark removed")
        document = Document(content)
        reader = _JsonReader(ledger, options)
        is_declared = options.files.format == "jsonl"
        if is_declared or has_lines(document, start, ledger.limits.record_bytes):
            reader.read_lines(path, start)
        else:
            reader.read_document(document, start)
    reader.finish()


class _JsonReader:
    """A reader of the records of one file."""

    def __init__(self, ledger: RecordLedger, options: ReadOptions) -> None:
        files = options.files
        self._is_blank = False
        self._ledger = ledger
        self._path = parse_record_path(files.records, files.parents)
        self._walker = Walker(self._path, ledger.limits.record_bytes)
        self._values = JsonValues(ledger.limits, allow_nan=files.allow_nan)
        self._columns = RecordColumns(ledger, options.required, own=files.parents)
        self._parents = _Parents(self._path, self._values)

    def read_lines(self, path: Path, start: int) -> None:
        """Reads a file of which each line is an object, or a list of them."""
        number, self._is_blank = 1, False
        for block in read_blocks(path, self._ledger.limits):
            content = block
            if number == 1 and start and isinstance(block, bytes):
                content = block[start:]
            for line in split_lines(content, number, self._ledger.limits):
                self._read_line(line)
            number += 1 if isinstance(block, LongLine) else count_lines(block)

    def read_document(self, document: Document, start: int) -> None:
        """Reads a document of any layout."""
        self._is_blank = document.skip_blanks(start) == document.size
        for found in self._walker.walk(document, start):
            self._add(document, found)

    def finish(self) -> None:
        """Decides the names of the columns, and says why there is no record.

        Raises:
            RefusedError: the path of the records, or a required column, is nowhere.
        """
        self._walker.refuse_missing()
        self._ledger.notes += self._walker.describe()
        if self._ledger.records:
            self._ledger.notes += self._parents.describe()
        if not self._ledger.records:
            self._ledger.empty_because = self._describe_empty()
        self._columns.finish()

    def _describe_empty(self) -> str:
        if self._is_blank:
            return "blank lines only: no records"
        if self._path.steps:
            return f"an empty list or null at {self._path.describe()}: no records"
        return "an empty list: no records"

    def _read_line(self, line: Line) -> None:
        self._ledger.ends[line.end] += bool(line.end)
        content = line.content.strip()
        if not content:
            self._ledger.blank_lines += 1
        elif line.is_cut:
            most = self._ledger.limits.record_bytes
            reason = f"line too long: {line.size:,} bytes; limit {most:,}"
            self._ledger.add_letter(reason, line.place, line.content, line.size)
        elif self._path.steps or content.startswith(b"["):
            self._read_nested(line)
        else:
            self._add_row(line.content, _NO_PARENTS, lambda: line.place)

    def _read_nested(self, line: Line) -> None:
        """Reads a line with any number of records."""
        document = Document(line.content)
        try:
            # Sound or not at all: a line that is cut off is one dead letter.
            self._values.parse(line.content)
            found = list(self._walker.walk(document))
        except (NotARecordError, RefusedError) as error:
            self._ledger.add_letter(str(error), line.place, line.content, line.size)
            return
        for one in found:
            content = line.content[one.begin : one.end]
            self._add_row(content, one.parents, lambda: line.place)

    def _add(self, document: Document, found: Found) -> None:
        most, size = self._ledger.limits.record_bytes, found.end - found.begin
        content = document.bytes[found.begin : found.begin + min(size, most)]
        if size > most:
            reason = f"record too long: {size:,} bytes; limit {most:,} (record_bytes)"
            self._ledger.add_letter(reason, document.place(found.begin), content, size)
        else:
            self._add_row(content, found.parents, lambda: document.place(found.begin))

    def _add_row(
        self, content: bytes, parents: Mapping[str, bytes], find_place: Callable[[], str]
    ) -> None:
        try:
            record = self._values.read(content)
            if parents:
                record = self._parents.join(parents, record)
            self._columns.add(record, len(content))
        except (NotARecordError, TooManyColumnsError) as error:
            self._ledger.add_letter(str(error), find_place(), content)


class _Parents:
    """What records take from what they lie within."""

    def __init__(self, path: RecordPath, values: JsonValues) -> None:
        self._names = {parent.column: parent.names[1:] for parent in path.parents}
        self._values = values
        self._last: Mapping[str, bytes] = _NO_PARENTS
        self._texts: dict[str, str | None] = {}
        self._seen: set[str] = set()

    def join(
        self, parents: Mapping[str, bytes], record: dict[str, str | None]
    ) -> dict[str, str | None]:
        """Returns a record with what it takes before its own values.

        Raises:
            NotARecordError: a value to take is no sound JSON.
        """
        # The records of a list take the same values; they are read once.
        if parents is not self._last:
            self._texts = {column: self._read(column, raw) for column, raw in parents.items()}
            self._last = parents
        own = {f"{key} " if key in self._texts else key: value for key, value in record.items()}
        # A blank behind it makes it another key of the same name, which is then numbered.
        return {**self._texts, **own}

    def describe(self) -> list[str]:
        """Returns a note for what no record could take."""
        if not (absent := self._names.keys() - self._seen):
            return []
        return [f"parents: {list_names(sorted(absent))}: absent in the whole file"]

    def _read(self, column: str, raw: bytes) -> str | None:
        value = self._values.parse(raw)
        for name in self._names[column]:
            value = value.get(name) if isinstance(value, dict) else None
        self._seen.add(column)
        texts = {column: write_text(value)}
        check_text(texts)
        return texts[column]
