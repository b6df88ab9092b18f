"""Excel and OpenDocument workbooks: each row of one sheet with a value is a record, all as text.

Belongs here: which rows are the header and the records. Does not belong here: what a cell becomes
(`excel_values.py`), and how a workbook is opened (`excel_process.py`).
"""

import json
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lakehouse.ingest.files.header_names import land_columns, strip_cells
from lakehouse.ingest.files.read_options import ReadOptions
from lakehouse.ingest.files.record_ledger import EmptyFileError, RecordLedger, RefusedError
from lakehouse.ingest.files.typed.contained import need_packages, read_contained
from lakehouse.ingest.files.typed.local_times import describe_clock_changes

_PACKAGES = {"python_calamine": "python-calamine", "fastexcel": "fastexcel", "pyarrow": "pyarrow"}
_Row = tuple[int, list[str | None], str | None]


def read_excel(path: Path, ledger: RecordLedger, options: ReadOptions) -> None:
    """Reads one sheet of a workbook into the ledger.

    Raises:
        OSError: the disk is full.
        RefusedError: it is no workbook, damaged, too large or has a password; the sheet is not
            declared or missing; or its header is of no use.
    """
    need_packages("excel", _PACKAGES)
    _Reader(path, ledger, options).read()


class _Reader:
    """Reads the rows of a sheet as they come."""

    def __init__(self, path: Path, ledger: RecordLedger, options: ReadOptions) -> None:
        self._path = path
        self._ledger = ledger
        self._options = options
        self._files = options.files
        self._nulls = frozenset(options.files.nulls)
        self._sheet = ""

    def read(self) -> None:
        """Reads the header and the records."""
        limits, files = self._ledger.limits, self._files
        request = {
            "sheet": files.sheet,
            "skip_lines": files.skip_lines,
            "header": files.header,
            "time_zone": files.time_zone,
            "ratio": limits.ratio,
            "ratio_from": limits.ratio_from,
            "plain_bytes": limits.plain_bytes,
        }
        answers = read_contained(
            "lakehouse.ingest.files.typed.excel_process", request, self._path, limits
        )
        records = self._list_records(answers)
        if files.header:
            header = next(records, None)
            if header is None:
                raise EmptyFileError(
                    f"sheet {self._sheet} has no row with a value after {files.skip_lines} rows"
                )
            self._take_header([text or "" for text in header[1]])
        else:
            self._take_header(None)
        for row in self._leave_last(records):
            self._add(*row)
        if not self._ledger.records:
            self._ledger.empty_because = f"no rows: sheet {self._sheet} has a header alone"

    def _list_records(self, answers: Iterator[Any]) -> Iterator[_Row]:
        """Yields the rows, and takes down what else is told of the sheet."""
        for answer in answers:
            if isinstance(answer, list):
                yield answer[0], answer[1], answer[2]
            elif "sheet" in answer:
                self._sheet = answer["sheet"]
                most = self._ledger.limits.columns
                if answer["columns"] > most:
                    raise RefusedError(f"{answer['columns']:,} columns; limit {most:,} (columns)")
            else:
                self._take_notes(**answer)

    def _take_notes(self, empty: int, repeated: int, skipped: int) -> None:
        notes, zone = self._ledger.notes, self._files.time_zone
        if empty:
            notes.append(f"empty rows skipped: {empty:,}")
        notes.extend(describe_clock_changes(zone, repeated, skipped))

    def _leave_last(self, rows: Iterator[_Row]) -> Iterator[_Row]:
        """Yields all rows but the last ones that are declared to be no records."""
        held: deque[_Row] = deque()
        for row in rows:
            held.append(row)
            if len(held) > self._files.skip_last_lines:
                yield held.popleft()

    def _take_header(self, header: Sequence[str] | None) -> None:
        """Names the columns by the header, or as declared."""
        files = self._files
        declared = files.names or (() if header is not None else self._options.columns)
        names = strip_cells(header or ())
        if declared and header is not None and len(names) != len(declared):
            raise RefusedError(
                f"`names` has {len(declared)} columns, the header of sheet {self._sheet} has "
                f"{len(names)}"
            )
        if header is None and not declared:
            raise RefusedError("a sheet without a header, and neither `names` nor columns declared")
        land_columns(self._ledger, list(declared) or names, self._options.required)

    def _add(self, number: int, texts: list[str | None], wrong: str | None) -> None:
        width = len(self._ledger.columns)
        if any(text is not None for text in texts[width:]):
            wrong = f"a value to the right of the {width} columns of the header"
        if wrong:
            payload = json.dumps(texts, ensure_ascii=False).encode()
            self._ledger.add_letter(wrong, f"sheet {self._sheet}, row {number:,}", payload)
            return
        cells = texts[:width]
        if self._nulls:
            cells = [None if text in self._nulls else text for text in cells]
        size = sum(len(text) for text in cells if text is not None)
        self._ledger.add_row(cells + [None] * (width - len(cells)), size)
