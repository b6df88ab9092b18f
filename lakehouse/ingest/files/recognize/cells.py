"""What a cell of text looks like: a number, a time, a yes or no, a mark for null, or a text."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

NULL_MARKS = ("NULL", "\\N", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "null", "None", "-", "--")
"""Texts that often stand for null."""

CERTAIN_MARKS = frozenset({"\\N", "NULL"})
"""Marks that are hardly ever a value."""

DECLARABLE_MARKS = ("NULL", "\\N", "NA", "N/A", "n/a", "#N/A", "null", "None")
"""Marks that a declaration may name; the others may be a number that is none, or a dash."""

_MOST = 0.9
_KINDS = (
    (
        "number",
        re.compile(
            r"[-+(]?\s?(?:[$€£¥]\s?)?[-+]?"
            r"(?:(?:\d+|\d{1,3}(?:[., '\u2019\u00a0\u202f]\d{3})+)(?:[.,]\d+)?|[.,]\d+)"
            r"(?:[eE][-+]?\d+)?\s?(?:%|‰|[$€£¥]|EUR|USD|GBP|CHF)?\)?"
        ),
    ),
    (
        "time",
        re.compile(
            r"(?:\d{4}([-/.])\d{1,2}\1\d{1,2}|\d{1,2}([-/.])\d{1,2}\2(?:\d{4}|\d{2})"
            r"|\d{1,2}[- ][A-Za-z]{3,9}[- ]\d{2,4}|\d{4}-\d{2})"
            r"(?:[T ]\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?:\s?[AaPp][Mm])?"
            r"\s?(?:Z|UTC|[-+]\d{2}:?\d{2})?)?"
            r"|\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?:\s?[AaPp][Mm])?"
        ),
    ),
    ("yes or no", re.compile(r"true|false|yes|no|ja|nein|oui|non|[yntf]", re.IGNORECASE)),
)


def find_kind(cell: str) -> str:
    """Returns the kind of a cell: empty, mark, number, time, yes or no, text."""
    text = cell.strip()
    if not text:
        return "empty"
    if text in NULL_MARKS:
        return "mark"
    return next((kind for kind, shape in _KINDS if shape.fullmatch(text)), "text")


def find_column_kind(cells: Iterable[str]) -> str:
    """Returns the kind that nearly all cells of a column have; text if there is none."""
    counts = Counter(find_kind(cell) for cell in cells)
    filled = counts.total() - counts["empty"] - counts["mark"]
    if not filled:
        return "empty"
    kind, count = max(
        ((kind, count) for kind, count in counts.items() if kind not in ("empty", "mark")),
        key=lambda pair: pair[1],
    )
    return kind if count >= _MOST * filled else "text"


def find_column_kinds(rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """Returns the kind of each column of some rows."""
    return [
        find_column_kind(row[place] for row in rows if place < len(row)) for place in range(width)
    ]
