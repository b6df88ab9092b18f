"""Lays out a table for people in the width of a terminal, with every value whole.

Belongs here: which of three forms fits, and how wide its columns are. In the first form each row is
one line. In the second, long texts are wrapped at spaces within their columns. In the third, each
row is a block with a line for each column. Does not belong here: how a value is written as text,
and printing (`output.py`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import zip_longest

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

_GAP = "  "
_HEADER = "bold"
_LEAST_TEXT = 16
"""A column of texts is not made narrower than this, or than its longest word."""

_LEAST_BLOCK = 20
"""The narrowest line of a value in a block, however narrow the terminal is."""


@dataclass(frozen=True)
class ShownColumn:
    """A column of a table for people.

    Attributes:
        name: its header.
        texts: its values, each in one line.
        is_number: whether its values are aligned at their ends, as numbers are.
        is_text: whether its values may be wrapped; numbers, dates and times never are.
    """

    name: str
    texts: Sequence[str]
    is_number: bool = False
    is_text: bool = False

    @property
    def width(self) -> int:
        """The places that its longest value or its name takes; letters of East Asia take two."""
        return max(map(cell_len, (self.name, *self.texts)))

    @property
    def longest_word(self) -> int:
        """The places that its longest word takes."""
        return max((cell_len(word) for text in self.texts for word in text.split()), default=0)


def lay_out(columns: Sequence[ShownColumn], width: int | None) -> Iterator[Text]:
    """Yields the lines of a table.

    Args:
        columns: its columns, all with the same number of values.
        width: the places in a line; None for as many as are needed.
    """
    natural = [column.width for column in columns]
    has_rows = any(column.texts for column in columns)
    if width is None or not has_rows or _add_up(natural) <= width:
        yield from _lay_out_rows(columns, natural)
        return
    least = _find_least_widths(columns)
    if _add_up(least) <= width:
        yield from _lay_out_rows(columns, _share(natural, least, width))
    else:
        yield from _lay_out_blocks(columns, width)


def drop_optional(
    columns: Sequence[ShownColumn], optional: Sequence[str], width: int | None
) -> tuple[list[ShownColumn], list[str]]:
    """Returns the columns that a line for each row has room for, and the names of the others.

    Args:
        columns: all columns.
        optional: those that may be left out, the first ones first.
        width: the places in a line; None for as many as are needed.
    """
    kept, without = list(columns), list[str]()
    for name in optional:
        if width is None or _add_up(_find_least_widths(kept)) <= width:
            break
        kept = [column for column in kept if column.name != name]
        without.append(name)
    # Blocks have room for all columns, so none is left out in vain.
    if width is not None and _add_up(_find_least_widths(kept)) > width:
        return list(columns), []
    return kept, without


def _find_least_widths(columns: Sequence[ShownColumn]) -> list[int]:
    """Returns how narrow each column may be: long texts are wrapped, everything else is whole."""
    # The first column names the row, so it stays in one line.
    return [
        min(column.width, max(cell_len(column.name), column.longest_word, _LEAST_TEXT))
        if place and column.is_text
        else column.width
        for place, column in enumerate(columns)
    ]


def _add_up(widths: Sequence[int]) -> int:
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _share(natural: Sequence[int], least: Sequence[int], width: int) -> list[int]:
    """Returns widths that fill a line: each at least as much as it needs, the rest shared."""
    widths, left = list(least), width - _add_up(least)
    wanting = sorted(
        (wanted - given, place)
        for place, (wanted, given) in enumerate(zip(natural, least, strict=True))
        if wanted > given
    )
    for waiting, (wanted, place) in zip(range(len(wanting), 0, -1), wanting, strict=True):
        more = min(wanted, left // waiting)
        widths[place] += more
        left -= more
    return widths


def _lay_out_rows(columns: Sequence[ShownColumn], widths: Sequence[int]) -> Iterator[Text]:
    names = [
        _align(column.name, width, column) for column, width in zip(columns, widths, strict=True)
    ]
    yield Text(_GAP.join(names).rstrip(), style=_HEADER)
    for row in zip(*(column.texts for column in columns), strict=True):
        parts = [_wrap(text, width) for text, width in zip(row, widths, strict=True)]
        for line in zip_longest(*parts, fillvalue=""):
            cells = map(_align, line, widths, columns)
            yield Text(_GAP.join(cells).rstrip())


def _align(text: str, width: int, column: ShownColumn) -> str:
    padding = " " * (width - cell_len(text))
    return f"{padding}{text}" if column.is_number else f"{text}{padding}"


def _lay_out_blocks(columns: Sequence[ShownColumn], width: int) -> Iterator[Text]:
    indent = max(cell_len(column.name) for column in columns)
    room = max(width - indent - len(_GAP), _LEAST_BLOCK)
    for number, row in enumerate(zip(*(column.texts for column in columns), strict=True)):
        if number:
            yield Text()
        for place, (column, text) in enumerate(zip(columns, row, strict=True)):
            lines = _wrap(text, room) if place and column.is_text else [text]
            for name, line in zip_longest([column.name], lines, fillvalue=""):
                header = Text(set_cell_size(name, indent) if line else name, style=_HEADER)
                yield Text.assemble(header, f"{_GAP}{line}" if line else "")


def wrap_text(text: str, width: int, indent: int = 0) -> list[str]:
    """Returns the lines of a text, wrapped at spaces; those after the first begin with blanks."""
    if cell_len(text) <= width:
        return [text]
    body = text.lstrip(" ")
    first = len(text) - len(body)
    # Wrapped as if the first line began with as many blanks as the others.
    lines = _wrap(f"{'x' * max(first - indent, 0)}{body}", max(width - indent, _LEAST_BLOCK))
    blanks = [" " * min(first, indent), *[" " * indent] * (len(lines) - 1)]
    lines[0] = f"{' ' * max(first - indent, 0)}{lines[0][max(first - indent, 0) :]}"
    return [f"{blank}{line}" for blank, line in zip(blanks, lines, strict=True)]


def _wrap(text: str, width: int) -> list[str]:
    """Returns the lines of a text, wrapped at spaces; a word that is too long is broken."""
    if cell_len(text) <= width:
        return [text]
    lines = Text(text).wrap(_console(), width, overflow="fold")
    return [line.plain.rstrip() for line in lines]


@cache
def _console() -> Console:
    # rich wants one to wrap a text. It prints nothing, and the width is given with each text.
    return Console()
