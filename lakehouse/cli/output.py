"""Prints answers: as a table for people, as CSV or JSON for programs."""

import csv
import io
import itertools
import json
import math
import sys
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

OUTPUT_FORMATS = ("table", "csv", "json")
# Rows of a table for people. All of them are in memory before the first is printed, because their
# values decide how wide the columns are.
_SHOWN = 1000
# Characters that are shown of a binary value, such as the payload of a dead letter.
_LONGEST_BYTES = 100


def print_rows(columns: Sequence[str], rows: Iterable[Sequence[Any]], form: str) -> None:
    """Prints rows as a table for people, or as CSV or JSON for programs.

    CSV and JSON are written row by row, whatever the number of rows.

    Args:
        columns: the names of the columns, which may repeat.
        rows: the rows, each with a value for each column.
        form: one of `OUTPUT_FORMATS`.
    """
    if form == "csv":
        # By default lines end in CR and LF, and `cut` or `sort` takes the CR for data.
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([_plain(value) for value in row] for row in rows)
    elif form == "json":
        _show_json(columns, rows)
    elif columns:
        _show_table(columns, rows)


def _show_json(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Writes an array of objects, row by row."""
    before, names = "[", _distinct(columns)
    for row in rows:
        values = {name: _json_value(value) for name, value in zip(names, row, strict=True)}
        sys.stdout.write(f"{before}\n  {json.dumps(values, default=str, ensure_ascii=False)}")
        before = ","
    sys.stdout.write("[]\n" if before == "[" else "\n]\n")


def _distinct(columns: Sequence[str]) -> list[str]:
    """Returns names for the keys of an object: a name that occurred before gets a number."""
    # A query may give two columns one name, and an object would keep only the last of them.
    names: list[str] = []
    for column in columns:
        tries = (f"{column}_{number}" if number > 1 else column for number in itertools.count(1))
        names.append(next(name for name in tries if name not in names))
    return names


def _json_value(value: Any) -> Any:  # noqa: ANN401
    """Returns a value as JSON can hold it: without NaN and infinity, with only texts as keys.

    A decimal becomes a number only if a reader that parses numbers as floats gets the same value.
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        near = float(value)
        return near if math.isfinite(near) and Decimal(repr(near)) == value else str(value)
    if isinstance(value, dict):
        return {str(_json_value(key)): _json_value(held) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(held) for held in value]
    return _plain(value)


def _show_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    taken = []
    # One row more than is shown is fetched, to know whether there are more.
    for number, row in enumerate(rows):
        if number == _SHOWN:
            # To standard error: standard output holds nothing but the rows.
            click.echo(
                f"Only the first {_SHOWN:,} rows are shown; `--format csv` prints all.", err=True
            )
            break
        taken.append(row)
    for place, name in enumerate(columns):
        is_number = all(isinstance(row[place], int | float) or row[place] is None for row in taken)
        table.add_column(escape(name), justify="right" if is_number and taken else "left")
    for row in taken:
        table.add_row(*(escape(format_value(value)) for value in row))
    # A file or a pipe has no width: there every value is printed whole.
    Console(width=None if sys.stdout.isatty() else _width(columns, taken)).print(table)


def _width(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> int:
    # rich puts a space on either side of a column.
    widths = (
        max([len(name), *(len(format_value(row[place])) for row in rows)]) + 2
        for place, name in enumerate(columns)
    )
    return max(80, sum(widths))


def format_value(value: Any) -> str:  # noqa: ANN401
    """Returns a value as a person reads it in a table."""
    if value is None:
        return ""
    # Before numbers, because a bool of Python is an int.
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.2f}"
    text = str(_plain(value))
    # A dead letter may hold any bytes, and a terminal would obey the control characters in them.
    if isinstance(value, bytes) and (len(text) > _LONGEST_BYTES or not text.isprintable()):
        shown = "".join(
            sign if sign.isprintable() else repr(sign)[1:-1] for sign in text[:_LONGEST_BYTES]
        )
        return f"{shown}…" if len(text) > _LONGEST_BYTES else shown
    return text


def _plain(value: Any) -> Any:  # noqa: ANN401
    """Returns bytes and lists as text, which every format can hold, and other values unchanged."""
    if isinstance(value, bytes):
        # Often not UTF-8: the encoding may be why the record could not be read.
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, list):
        return "; ".join(map(str, value))
    return value


def format_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Returns a table for people as text."""
    text = io.StringIO()
    console, table = (
        Console(file=text, width=200),
        Table(*columns, box=None, header_style="bold", pad_edge=False),
    )
    for row in rows:
        table.add_row(*(escape(format_value(value)) for value in row))
    console.print(table)
    return text.getvalue()
