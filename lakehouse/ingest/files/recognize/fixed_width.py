"""Text in columns of a fixed width: where blanks stand in every line, columns are parted."""

import re
from collections.abc import Sequence

from lakehouse.ingest.files.recognize.cells import find_column_kinds, find_kind
from lakehouse.ingest.files.recognize.recognized import Recognized
from lakehouse.tables.files import Files

_FEWEST_LINES = 4
_MOST_LINES = 2000
_DOUBT = "a value that is longer than all of the sample may cross into the next column"
_RULE = re.compile(r"[-=\s]+")


def recognize_fixed_width(text: str, encoding: str) -> Recognized | None:
    """Returns the widths of the columns of a text; None unless all its lines have the same ones."""
    lines = [line for line in text.splitlines() if line.strip()][:_MOST_LINES]
    if "\t" in text or len(lines) < _FEWEST_LINES or any(map(_RULE.fullmatch, lines)):
        return None
    longest = max(map(len, lines))
    gaps = _find_gaps(lines, longest)
    if not gaps or not any("  " in line for line in lines):
        return None
    starts = _place_starts(lines, gaps, longest)
    ends = [*starts[1:], longest]
    cells = [
        [line[start:end].strip() for start, end in zip(starts, ends, strict=True)] for line in lines
    ]
    names = _find_names(cells)
    if names is None or any("  " in cell for row in cells for cell in row):
        return None
    shown = names or tuple(f"column_{n}" for n in range(1, len(starts) + 1))
    widths = {name: end - start for name, start, end in zip(shown, starts, ends, strict=True)}
    files = Files(format="fixed", widths=widths, header=bool(names), encoding=encoding)
    return Recognized(files, shown, len(shown), (), (_DOUBT,))


def _find_names(cells: Sequence[Sequence[str]]) -> tuple[str, ...] | None:
    """Returns the names in the first line, none if it is a record; None if it cannot be told."""
    kinds = find_column_kinds(cells[1:], len(cells[0]))
    typed = [n for n, kind in enumerate(kinds) if kind in ("number", "time", "yes or no")]
    if not typed:
        return None
    if any(find_kind(cells[0][n]) != "text" for n in typed):
        return ()
    names = tuple(cells[0])
    are_names = all(names) and len({name.casefold() for name in names}) == len(names)
    return names if are_names else None


def _find_gaps(lines: Sequence[str], longest: int) -> list[tuple[int, int]]:
    """Returns where all lines have blanks, as starts and ends, between the columns."""
    is_blank = [
        all(line[place : place + 1] in ("", " ") for line in lines) for place in range(longest)
    ]
    gaps, start = [], None
    for place, blank in enumerate(is_blank):
        if blank and start is None:
            start = place
        elif not blank and start is not None:
            if start:
                gaps.append((start, place))
            start = None
    return gaps


def _place_starts(lines: Sequence[str], gaps: Sequence[tuple[int, int]], longest: int) -> list[int]:
    """Returns where the columns start: before the blanks if the next one ends in line."""
    starts = [0]
    for number, (start, end) in enumerate(gaps):
        stop = gaps[number + 1][0] if number + 1 < len(gaps) else longest
        filled = [line[end:stop] for line in lines if line[end:stop].strip()]
        begins_in_line = sum(not cell.startswith(" ") for cell in filled)
        ends_in_line = sum(len(cell.rstrip()) == stop - end for cell in filled)
        starts.append(end if begins_in_line >= ends_in_line else start)
    return starts
