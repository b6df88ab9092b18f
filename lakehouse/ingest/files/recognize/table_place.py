"""Where the table lies in separated text: its header, what stands above and below, and comments."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

from lakehouse.ingest.files.recognize.cells import (
    CERTAIN_MARKS,
    DECLARABLE_MARKS,
    NULL_MARKS,
    find_column_kind,
    find_column_kinds,
    find_kind,
)
from lakehouse.ingest.files.recognize.dialects import Row, Split, split_rows

_TYPED = frozenset({"number", "time", "yes or no"})
_COMMENTS = ("#", "//", "--", "%", "!")
_ABOVE = 40
"""A header stands within so many records of the beginning."""

_ENOUGH_VALUES = 5
"""So many numbers in a column tell that a mark such as N/A among them is no value."""

_BELOW = 10
"""At most so many records below the table count as a footer."""

_LOOKED_AT = 300
_TRAILER = re.compile(
    r"\W*(?:(?:grand |sub)?totals?|sum|summe|gesamt|end(?: of (?:file|report|data))?|eof|trailer"
    r"|generated|exported|printed|(?:records?|rows?|lines?|count)\W*\d+)\b.*|[-=*_#\s]+",
    re.IGNORECASE | re.DOTALL,
)
_YEARS = range(1900, 2200)


@dataclass(frozen=True)
class Place:
    """Where the table lies.

    Attributes:
        names: the names of the columns; empty if no line names them.
        width: how many columns the records have.
        first: the first line of the header, or of the records if there is none, from 0.
        has_header: whether a line names the columns.
        is_certain: whether it is plain that there is a header, or none.
        comment: what lines begin with that are no records.
        records: the records of the sample below the header.
    """

    names: tuple[str, ...]
    width: int
    first: int
    has_header: bool
    is_certain: bool
    comment: str | None
    records: Sequence[Row]


def find_place(split: Split, lines: Sequence[str], expected: Collection[str]) -> Place:
    """Returns where the table lies.

    Args:
        split: the sample, split.
        lines: its lines.
        expected: the names of the columns that the table declares, if any are known.
    """
    rows, comment = _leave_out_comments(split, lines)
    most = split.width
    least = _count_filled(rows, most)
    known = {name.strip().casefold() for name in expected}
    fitting = [
        place
        for place, row in enumerate(rows[:_ABOVE])
        if not row.is_broken and least <= _filled(row) <= most and len(row.cells) >= least
    ]
    named = [place for place in fitting if _is_name_row(rows[place], known)]
    if known and named:
        best = max(named, key=lambda place: len(_fold(rows[place]) & known))
        if _fold(rows[best]) & known:
            return _place_header(rows, best, most, comment, is_certain=True)
    evidence = {place: _weigh_header(rows, place, most) for place in named}
    # One record alone tells too little to skip the lines above its header.
    stop = len(rows) - 2
    told = [place for place in named if place == fitting[0] or place < stop]
    likeliest = max(told, key=lambda place: (evidence[place], -place), default=-1)
    if likeliest >= 0 and evidence[likeliest] > 0:
        return _place_header(rows, likeliest, most, comment, is_certain=True)
    # A record may end with empty cells, which a header does not.
    start = next((place for place, row in enumerate(rows) if len(row.cells) == most), 0)
    kinds = find_column_kinds([row.cells for row in rows[start + 1 : _LOOKED_AT]], most)
    is_typed = any(kind in _TYPED for kind in kinds)
    may_be_header = start in named and (not is_typed or _are_years(rows[start]))
    if may_be_header and not _repeats(rows, start, most):
        is_certain = _are_identifiers(rows[start]) and len(rows) > start + 2
        return _place_header(rows, start, most, comment, is_certain=is_certain)
    first = rows[start].line if rows else 0
    return Place((), most, first, False, is_typed, comment, rows[start:])


def _place_header(
    rows: Sequence[Row], place: int, most: int, comment: str | None, *, is_certain: bool
) -> Place:
    names = [cell.strip().removeprefix("\ufeff") for cell in rows[place].cells]
    while names and not names[-1]:
        names.pop()
    return Place(tuple(names), most, rows[place].line, True, is_certain, comment, rows[place + 1 :])


def _leave_out_comments(split: Split, lines: Sequence[str]) -> tuple[list[Row], str | None]:
    """Returns the records that are no comments, and what comments begin with."""
    for mark in _COMMENTS:
        begun = [row for row in split.rows if lines[row.line].startswith(mark)]
        if not begun:
            continue
        # A record of the usual width may be a value such as `#FF0000`, or the header itself.
        if any(len(row.cells) == split.width and not row.is_broken for row in begun):
            continue
        return [row for row in split.rows if row not in begun], mark
    return list(split.rows), None


def _filled(row: Row) -> int:
    """Returns the number of cells up to the last one that is not empty."""
    return next((n for n in range(len(row.cells), 0, -1) if row.cells[n - 1].strip()), 0)


def _count_filled(rows: Sequence[Row], width: int) -> int:
    """Returns the number of columns without those at the end that are empty in each record."""
    counts = Counter(_filled(row) for row in rows[1:] if len(row.cells) == width)
    return max(counts, default=width) if counts else width


def _fold(row: Row) -> set[str]:
    return {cell.strip().removeprefix("\ufeff").casefold() for cell in row.cells}


def _is_name_row(row: Row, known: Collection[str]) -> bool:
    """Returns whether the cells of a record may be names: different ones, at most one empty."""
    names = [cell.strip().casefold() for cell in row.cells[: _filled(row)]]
    filled = [name for name in names if name]
    # Labels above a table, such as `Account:`, end with a colon.
    if len(names) - len(filled) > 1 or any(name.endswith(":") for name in filled):
        return False
    return len(set(filled)) >= len(filled) - 1 or len(set(filled) & set(known)) > 1


def _weigh_header(rows: Sequence[Row], place: int, width: int) -> int:
    """Returns in how many columns a record differs in kind from those below, less those alike."""
    # A header may be repeated, as where files were joined to one.
    own_cells = rows[place].cells
    below = [
        row.cells
        for row in rows[place + 1 : place + _LOOKED_AT]
        if len(row.cells) == width and row.cells != own_cells
    ]
    if not below:
        return 0
    evidence = 0
    for number, cell in enumerate(own_cells):
        kind = find_column_kind(row[number] for row in below if number < len(row))
        own = find_kind(cell)
        if kind not in _TYPED:
            continue
        if own == kind:
            evidence -= 1
        elif own in ("text", "yes or no"):  # `n` and `no` are names, too
            evidence += 1
    return evidence


def _are_years(row: Row) -> bool:
    """Returns whether the numbers of a record are years that follow each other."""
    found = [int(cell) for cell in row.cells if cell.strip().isdecimal()]
    return len(found) > 1 and all(
        year in _YEARS and after - year in (1, -1) for year, after in pairwise(found)
    )


def _repeats(rows: Sequence[Row], place: int, width: int) -> bool:
    """Returns whether a cell of a record occurs again in its column, as a value would."""
    below = [row.cells for row in rows[place + 1 :] if len(row.cells) == width]
    others = [row for row in below if row != rows[place].cells]
    return any(
        cell.strip() and any(row[number] == cell for row in others if number < len(row))
        for number, cell in enumerate(rows[place].cells)
    )


def _are_identifiers(row: Row) -> bool:
    names = [cell.strip() for cell in row.cells[: _filled(row)]]
    return all(re.fullmatch(r"[^\W\d][\w .%/()#-]{0,60}", name) for name in names)


def count_last_lines(place: Place, split: Split, text: str, tail: str | None) -> int:
    """Returns how many lines come after the last record, if they are plainly no records.

    Args:
        place: where the table lies.
        split: the sample, split.
        text: the sample.
        tail: the end of the file behind the sample, empty if there is no more; None if unknown.
    """
    if tail is None:
        return 0
    end = tail.partition("\n")[2] if tail else text
    rows = split_rows(end, split.dialect)
    lines = end.splitlines()
    kind = find_column_kind(row.cells[0] for row in place.records if row.cells)
    first = None
    for row in reversed(rows[-_BELOW:]):
        if row.line < (0 if tail else place.first + 1) or not _is_trailer(row, place, kind):
            break
        first = row.line
    if first is None:
        return 0
    return len(lines) - first


def _is_trailer(row: Row, place: Place, kind: str) -> bool:
    """Returns whether a record is of another width and begins as no record does.

    One that begins as the others do may have been cut off, and must not be left out.
    """
    if row.is_broken or len(row.cells) == place.width or not row.cells:
        return False
    if _TRAILER.fullmatch(row.cells[0]):
        return True
    return kind in ("number", "time") and find_kind(row.cells[0]) == "text"


def find_null_marks(records: Sequence[Row], width: int) -> tuple[tuple[str, ...], dict[str, int]]:
    """Returns the texts that plainly stand for null, and how often each that may do so occurs."""
    columns = [
        [row.cells[number].strip() for row in records if len(row.cells) > number]
        for number in range(width)
    ]
    counts: Counter[str] = Counter()
    doubtful = set()
    for cells in columns:
        found = Counter(cell for cell in cells if cell in NULL_MARKS)
        counts += found
        # A text such as NA may well be a value among others: the code of Namibia.
        if found and find_column_kind(cells) not in ("number", "time"):
            doubtful |= set(found) - CERTAIN_MARKS
    certain = tuple(mark for mark in DECLARABLE_MARKS if counts[mark] and mark not in doubtful)
    return certain, dict(counts)


def find_weak_marks(records: Sequence[Row], width: int, marks: Collection[str]) -> list[str]:
    """Returns the marks that too few numbers or times beside them tell to be null."""
    weak = set()
    for number in range(width):
        cells = [row.cells[number].strip() for row in records if len(row.cells) > number]
        found = set(cells) & (set(marks) - CERTAIN_MARKS)
        if found and sum(bool(cell) and cell not in NULL_MARKS for cell in cells) < _ENOUGH_VALUES:
            weak |= found
    return sorted(weak)
