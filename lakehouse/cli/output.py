"""How answers look: a table for people, CSV or JSON for programs."""

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
_SHOWN = 1000
_LONGEST_BYTES = 100


def print_rows(columns: Sequence[str], rows: Iterable[Sequence[Any]], form: str) -> None:
    """Print rows as a table for people, or as CSV or JSON for programs."""
    if form == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([_plain(value) for value in row] for row in rows)
    elif form == "json":
        _show_json(columns, rows)
    elif columns:
        _show_table(columns, rows)


def _show_json(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """An array of objects, written row by row."""
    before, names = "[", _distinct(columns)
    for row in rows:
        values = {name: _json_value(value) for name, value in zip(names, row, strict=True)}
        sys.stdout.write(f"{before}\n  {json.dumps(values, default=str, ensure_ascii=False)}")
        before = ","
    sys.stdout.write("[]\n" if before == "[" else "\n]\n")


def _distinct(columns: Sequence[str]) -> list[str]:
    """Names for the keys of an object: a name that was there before gets a number."""
    names: list[str] = []
    for column in columns:
        tries = (f"{column}_{number}" if number > 1 else column for number in itertools.count(1))
        names.append(next(name for name in tries if name not in names))
    return names


def _json_value(value: Any) -> Any:  # noqa: ANN401
    """A value that JSON has: it knows no NaN and no infinity, and only text as a key.

    A decimal is a number where a reader that takes numbers for floats gets the same value.
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
    for number, row in enumerate(rows):
        if number == _SHOWN:
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
    widths = (
        max([len(name), *(len(format_value(row[place])) for row in rows)]) + 2
        for place, name in enumerate(columns)
    )
    return max(80, sum(widths))


def format_value(value: Any) -> str:  # noqa: ANN401
    """A value as a person reads it in a table."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.2f}"
    text = str(_plain(value))
    if isinstance(value, bytes) and (len(text) > _LONGEST_BYTES or not text.isprintable()):
        shown = "".join(
            sign if sign.isprintable() else repr(sign)[1:-1] for sign in text[:_LONGEST_BYTES]
        )
        return f"{shown}…" if len(text) > _LONGEST_BYTES else shown
    return text


def _plain(value: Any) -> Any:  # noqa: ANN401
    """Bytes and lists as text, so that every format can hold them."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, list):
        return "; ".join(map(str, value))
    return value


def format_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table for people, as text."""
    text = io.StringIO()
    console, table = (
        Console(file=text, width=200),
        Table(*columns, box=None, header_style="bold", pad_edge=False),
    )
    for row in rows:
        table.add_row(*(escape(format_value(value)) for value in row))
    console.print(table)
    return text.getvalue()
