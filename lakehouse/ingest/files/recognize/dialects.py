"""The dialect of separated text: which separator, quote and escape make the best records of it.

Every candidate splits the same sample. A candidate is good if its records have the same number of
cells, its cells are whole values, and no other separator or quote is left within them.
"""

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from lakehouse.ingest.files.recognize.cells import find_column_kinds, find_kind

SEPARATORS = (",", ";", "\t", "|", "\x01", "~", "^", " ", ":")
"""What separates cells, the likeliest first. Blanks and colons stand within values, too."""

_DOUBTFUL = frozenset(" :")
_STRONG = ";\t|\x01"
_LEAST_COVER = 0.8
_TOP_ROWS = 40
_LAST_ROWS = 10
_SCORED_ROWS = 400
_FEW = 0.2
_SEVERAL = 0.5
_FEW_OUTSIDE = 12


@dataclass(frozen=True)
class Dialect:
    """A separator, a quote, an escape, and whether blanks around cells are left out."""

    separator: str
    quote: str | None = '"'
    escape: str | None = None
    trim: bool = False


@dataclass(frozen=True)
class Row:
    """A record of the sample: its cells, its first line from 0, and whether it could be split."""

    cells: tuple[str, ...]
    line: int
    is_broken: bool = False


@dataclass(frozen=True)
class Split:
    """A sample as a dialect splits it.

    Attributes:
        dialect: the dialect.
        rows: the records that are not blank.
        is_escaped: whether the text has the signs of an escape that the dialect does not name.
    """

    dialect: Dialect
    rows: Sequence[Row]
    score: float = field(default=0.0, compare=False)

    @cached_property
    def width(self) -> int:
        """The number of cells that most records have; records of one cell count only alone."""
        counts = Counter(len(row.cells) for row in self.rows if not row.is_broken)
        several = {width: count for width, count in counts.items() if width > 1}
        # A text above or below the table has one cell in each line.
        return max(several or counts or {1: 1}, key=lambda width: (several or counts)[width])

    @cached_property
    def body(self) -> Sequence[Row]:
        """The records from the first to the last of the usual width."""
        fits = [place for place, row in enumerate(self.rows) if self._fits(row)]
        if not fits:
            return ()
        start = fits[0] if fits[0] < _TOP_ROWS else 0
        left = len(self.rows) - 1 - fits[-1]
        stop = fits[-1] + 1 if left <= _LAST_ROWS else len(self.rows)
        return self.rows[start:stop]

    @cached_property
    def cover(self) -> float:
        """The share of the records within the table that have the usual width."""
        return sum(map(self._fits, self.body)) / len(self.body) if self.body else 0.0

    def _fits(self, row: Row) -> bool:
        return not row.is_broken and len(row.cells) == self.width


def split_rows(text: str, dialect: Dialect, *, is_whole: bool = True) -> list[Row]:
    """Returns the records of a text that are not blank; the last one goes if it may be cut."""
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=dialect.separator,
        quotechar=dialect.quote,
        quoting=csv.QUOTE_NONE if dialect.quote is None else csv.QUOTE_MINIMAL,
        escapechar=dialect.escape,
        skipinitialspace=dialect.trim and dialect.separator != " ",
        strict=True,
    )
    rows = list(_read_rows(reader))
    return rows if is_whole else rows[:-1]


def _read_rows(reader: "Iterator[list[str]]") -> Iterator[Row]:
    while True:
        line = reader.line_num  # type: ignore[attr-defined]
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield Row((), line, is_broken=True)
            continue
        if any(cells):
            yield Row(tuple(cells), line)


def rank_dialects(text: str, *, is_whole: bool) -> list[Split]:
    """Returns the dialects that may have written a text, the best first.

    Args:
        text: the beginning of the file, decoded, without what stands above a `sep=` line.
        is_whole: whether it is the whole file.
    """
    has_escape = bool(re.search(r"""\\["'](?![,;\t|\r\n]|$)""", text))
    has_null = bool(re.search(r"(?m)(?:^|[\t,;|])\\N(?:[\t,;|\r]|$)", text))
    splits = [
        _score(Split(dialect, split_rows(text, dialect, is_whole=is_whole)), has_null, has_escape)
        for dialect in _list_candidates(text)
    ]
    return sorted((split for split in splits if split.score > 0), key=lambda s: -s.score)


def _list_candidates(text: str) -> Iterator[Dialect]:
    for separator in SEPARATORS:
        if separator not in text:
            continue
        for quote in _list_quotes(text, separator):
            escapes = [None, "\\"] if _has_escapes(text, separator, quote) else [None]
            for escape in escapes:
                yield Dialect(separator, quote, escape)
                # Two blanks say the same as any number, and a megabyte of them took minutes.
                blanks = " " if separator == " " else " +"
                if quote and re.search(rf"{re.escape(separator)}{blanks}{quote}", text):
                    yield Dialect(separator, quote, escape, trim=separator != " ")


def _list_quotes(text: str, separator: str) -> Iterator[str | None]:
    mark = re.escape(separator)
    begun = len(re.findall(rf'(?m)(?:^|{mark}) ?"', text))
    wrapped = len(re.findall(rf'(?m)(?:^|{mark}) ?"(?:[^"\n]|"")*" ?(?={mark}|\r|$)', text))
    yield '"'
    # Quotes that begin a cell and do not end it are inches, or the beginning of a quotation.
    if (begun and wrapped <= _FEW * begun) or (not begun and "\\" in text):
        yield None
    if has_single_quotes(text, separator):
        yield "'"


def has_single_quotes(text: str, separator: str) -> bool:
    """Returns whether cells are plainly quoted by `'`: it is doubled, or guards a separator."""
    mark = re.escape(separator)
    cells = re.findall(rf"(?m)(?:^|{mark})('(?:[^']|'')*')(?={mark}|\r|$)", text)
    guarded = [cell for cell in cells if "''" in cell[1:-1] or separator in cell or "\n" in cell]
    return bool(guarded) or len(cells) > _SEVERAL * text.count("\n")


def _has_escapes(text: str, separator: str, quote: str | None) -> bool:
    if quote is None:
        # As databases write text: every backslash begins one of their escapes.
        followers = re.findall(r"\\(.?)", text, re.DOTALL)
        is_dump = all(letter in f"bfnrtvN\\{separator}" for letter in followers)
        return is_dump and ("\\N" in text or "\\\\" in text)
    return f"\\{quote}" in text


def _score(split: Split, has_null: bool, has_escape: bool) -> Split:  # noqa: FBT001 - two signs
    """Returns a split with its score; 0 if it cannot be.

    Args:
        split: the sample, split.
        has_null: whether some cell is the null that databases write.
        has_escape: whether a backslash stands before a quote that does not end a cell.
    """
    if split.width < 2 or split.cover < _LEAST_COVER:  # noqa: PLR2004
        return split
    kept = [row for row in split.body if len(row.cells) == split.width][:_SCORED_ROWS]
    outside = len(split.rows) - len(split.body)
    if outside > _FEW_OUTSIDE or outside > 2 * len(split.body):
        return split
    share_of_all = len(split.body) / len(split.rows)
    if split.dialect.separator in _DOUBTFUL and share_of_all * split.cover < 1:
        return split
    cells = [cell for row in kept for cell in row.cells]
    separator = split.dialect.separator
    mixed = sum(_is_mixed(cell, split.dialect) for cell in cells) / len(cells)
    kinds = find_column_kinds([row.cells for row in kept[1:] or kept], split.width)
    typed = sum(kind in ("number", "time", "yes or no") for kind in kinds) / split.width
    score = split.cover * (0.6 + 0.4 * share_of_all) * (1 + typed - mixed)
    if _is_good_header(kept[0].cells):
        score *= 1.2
    if separator in _DOUBTFUL:
        score *= 0.6
    # More columns are more of a coincidence, if nothing else is wrong.
    score *= 1 + 0.05 * math.log2(split.width)
    if split.dialect.quote is None and split.dialect.escape and has_null:
        score *= 1.01  # Only a database writes its null so, and it escapes everything else, too.
    elif has_escape and split.dialect.quote and not split.dialect.escape:
        score *= 0.9
    elif split.dialect != Dialect(separator):
        score *= 0.995  # A plain dialect that explains as much is the better explanation.
    return Split(split.dialect, split.rows, score)


def _is_mixed(cell: str, dialect: Dialect) -> bool:
    """Returns whether a cell looks like several cells, or holds what its writer had escaped."""
    text = cell.strip()
    if not text:
        return False
    if text[0] in "\"'" and text[0] == text[-1] and len(text) > 1:
        return True
    if dialect.escape is None and ('\\"' in text or text == '"'):
        return True
    others = [mark for mark in _STRONG if mark != dialect.separator and mark in text]
    return any(
        find_kind(part) in ("number", "time") for mark in others for part in text.split(mark)
    ) or (dialect.separator in " :" and any(mark in text for mark in ",;\t|"))


def _is_good_header(cells: Sequence[str]) -> bool:
    names = [cell.strip() for cell in cells]
    return (
        all(names)
        and len({name.casefold() for name in names}) == len(names)
        and all(find_kind(name) in ("text", "yes or no") for name in names)
    )
