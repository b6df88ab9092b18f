"""Fixed-width text: each line is a record, and each column has its place in it, in characters.

Blanks around a cell are padding. A line may end within its last column, and may be longer only by
blanks. A shorter one is a dead letter, because a cut line looks the same, unless the declaration
says that lines lack the blanks at their end (`trim`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import polars as pl

from lakehouse.ingest.files.csv.dialect import CsvDialect, read_dialect
from lakehouse.ingest.files.csv.fast_path import (
    count_lf_lines,
    drop_comments,
    find_line_end,
    is_utf_8,
)
from lakehouse.ingest.files.csv.fields import decode_line, is_utf8
from lakehouse.ingest.files.header_names import land_columns
from lakehouse.ingest.files.read_options import ReadOptions
from lakehouse.ingest.files.record_ledger import RecordLedger, RefusedError
from lakehouse.ingest.files.text.lines import Block, Line, LongLine, count_lines, split_lines
from lakehouse.ingest.files.text.preamble import open_content

_PADDING = " "


@dataclass(frozen=True)
class _Layout:
    """Where the columns are.

    Attributes:
        names: their names.
        starts: where each begins in a line, in characters from 0.
        widths: their widths.
        least: how many characters a line has at least.
        dialect: null marks and comments.
    """

    names: tuple[str, ...]
    starts: tuple[int, ...]
    widths: tuple[int, ...]
    least: int
    dialect: CsvDialect

    @property
    def end(self) -> int:
        """How many characters a whole line has."""
        return self.starts[-1] + self.widths[-1]

    def split(self, text: str) -> list[str]:
        """Returns the cells of a line without their padding."""
        places = zip(self.starts, self.widths, strict=True)
        return [text[start : start + width].strip(_PADDING) for start, width in places]


def read_fixed_width(path: Path, ledger: RecordLedger, options: ReadOptions) -> None:
    """Reads a plain fixed-width file into the ledger.

    Raises:
        RefusedError: a required column is not declared, or the first lines do not fit the widths.
    """
    files = options.files
    content = open_content(path, ledger, files)
    layout = _read_layout(options)
    land_columns(ledger, layout.names, options.required)
    reader = _FixedReader(ledger, layout, content.number, has_header=files.header)
    reader.read(content.first)
    for block in content.blocks:
        reader.read(block)
    if reader.bad and not reader.good:
        raise RefusedError(
            f"no line fits the declared widths, which are {layout.end} characters in all; the "
            f"first one has {reader.first_bad}. Next: correct `widths` of files=Files(…), or "
            "declare trim=True if lines lack the blanks at their end"
        )
    if not ledger.records:
        ledger.empty_because = "header only: no records"


def _read_layout(options: ReadOptions) -> _Layout:
    widths = tuple(options.files.widths.values())
    starts = (0, *accumulate(widths[:-1]))
    return _Layout(
        names=tuple(options.files.widths),
        starts=starts,
        widths=widths,
        least=0 if options.files.trim else starts[-1],
        dialect=read_dialect(options.files, separator=","),
    )


class _FixedReader:
    """A reader of lines, block after block.

    Attributes:
        good: how many lines fit the widths.
        bad: how many do not.
        first_bad: how many characters the first of these has.
    """

    def __init__(
        self, ledger: RecordLedger, layout: _Layout, number: int, *, has_header: bool
    ) -> None:
        self.good = self.bad = self.first_bad = 0
        self._ledger = ledger
        self._layout = layout
        self._number = number
        self._has_header = has_header

    def read(self, block: Block) -> None:
        """Reads the next block of whole lines."""
        if isinstance(block, LongLine) or not self._read_plain(block):
            for line in split_lines(block, self._number, self._ledger.limits):
                self._read_line(line)
            self._number += 1 if isinstance(block, LongLine) else count_lines(block)

    @property
    def _may_name(self) -> bool:
        """Whether a line may name the columns; one name may well be a value of its column."""
        return self._has_header and (len(self._layout.names) > 1 or not (self.good or self.bad))

    def _read_plain(self, block: bytes) -> bool:
        """Reads a block by Polars; returns False if some line needs a closer look."""
        end = find_line_end(block)
        if end is None or not is_utf_8(block) or len(block) > self._ledger.limits.record_bytes:
            return False
        body = block if end == b"\n" else block.replace(b"\r\n", b"\n")
        lines = count_lf_lines(body)
        body, comments, first_comment = drop_comments(body, self._layout.dialect)
        texts = pl.Series(body.decode().removesuffix("\n").split("\n"), dtype=pl.String)
        rows = _slice_columns(texts, self._layout, self._ledger.columns)
        if rows is None or rows.height != lines - comments:
            return False
        if self._may_name and _repeats_names(rows, self._layout.names):
            return False
        self._ledger.add_frame(rows)
        self._ledger.ends[end] += lines - (not block.endswith(end))
        if comments:
            self._ledger.note_comments(comments, self._number + first_comment)
        self.good += rows.height
        self._number += lines
        return True

    def _read_line(self, line: Line) -> None:
        ledger, layout = self._ledger, self._layout
        ledger.ends[line.end] += bool(line.end)
        text = decode_line(line.content)
        if not line.is_cut and not text.strip(_PADDING):
            ledger.blank_lines += 1
            return
        if layout.dialect.is_comment(line.content):
            ledger.note_comments(1, line.number)
            return
        if reason := self._find_fault(line, text):
            self.bad += 1
            self.first_bad = self.first_bad or len(text)
            ledger.add_letter(reason, line.place, line.content, line.size)
            return
        cells = layout.split(text)
        if self._may_name and _names_columns(cells, layout.names):
            ledger.note_repeated_header(line.number)
            return
        self.good += 1
        ledger.add_row([layout.dialect.read_cell(cell) for cell in cells], line.size)

    def _find_fault(self, line: Line, text: str) -> str | None:
        """Returns why a line is no record."""
        layout, limits = self._layout, self._ledger.limits
        if line.is_cut:
            return f"line too long: {line.size:,} bytes; limit {limits.record_bytes:,}"
        if not is_utf8(text):
            return layout.dialect.not_decodable
        if len(text) < layout.least:
            return (
                f"line too short: {len(text)} characters; the last column begins at "
                f"{layout.least + 1} (declare trim=True if lines lack the blanks at their end)"
            )
        if text[layout.end :].strip(_PADDING):
            return f"line too long: {len(text)} characters; the widths are {layout.end} in all"
        return None


def _slice_columns(
    texts: pl.Series, layout: _Layout, columns: Sequence[str]
) -> pl.DataFrame | None:
    """Returns the cells of lines; None if a line is blank, too short or too long."""
    characters = texts.str.len_chars()
    bare = texts.str.strip_chars_end(_PADDING).str.len_chars()
    if not ((bare > 0) & (bare <= layout.end) & (characters >= layout.least)).all():
        return None
    nulls = ["", *sorted(layout.dialect.nulls)]
    text = pl.col("text")
    places = zip(columns, layout.starts, layout.widths, strict=True)
    cells = [
        text.str.slice(start, width).str.strip_chars(_PADDING).alias(name)
        for name, start, width in places
    ]
    rows = pl.DataFrame({"text": texts}).select(cells)
    return rows.with_columns(pl.when(~pl.all().is_in(nulls)).then(pl.all()))


def _repeats_names(rows: pl.DataFrame, names: Sequence[str]) -> bool:
    """Returns whether some row may hold the names of the columns."""
    first = rows.to_series(0).str.to_lowercase()
    found = rows.filter(first == names[0].lower())
    return any(_names_columns([value or "" for value in row], names) for row in found.rows())


def _names_columns(cells: Sequence[str], names: Sequence[str]) -> bool:
    return [cell.casefold() for cell in cells] == [name.strip().casefold() for name in names]
