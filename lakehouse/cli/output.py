"""Prints answers: as a table for people, as CSV or JSON for programs.

All that the commands print goes through here, because names and values from delivered files may
hold characters that a terminal obeys.
"""

import csv
import itertools
import json
import math
import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from lakehouse.cli.table_layout import ShownColumn, drop_optional, lay_out, wrap_text
from lakehouse.wording import escape_control_characters, escape_lines

OUTPUT_FORMATS = ("table", "csv", "json")
# Rows of a table for people. All of them are in memory before the first is printed, because their
# values decide how wide the columns are.
_SHOWN = 1000
# Characters that are shown of a binary value, such as the payload of a dead letter.
_LONGEST_BYTES = 100
# What may hold long texts, which a narrow terminal wraps.
_TEXTS = (str, bytes, list, tuple, dict)
# What Python calls not printable, apart from the blanks that JSON keeps between its parts.
_INVISIBLE = re.compile(r"[^\x20-\x7e\n]")


def print_text(text: str = "", *, to_stderr: bool = False) -> None:
    """Prints a message, with what a terminal would obey in it escaped."""
    click.echo(escape_lines(text), err=to_stderr)


def print_paragraph(text: str, *, indent: int = 0, style: str = "") -> None:
    """Prints a message that a terminal wraps at spaces.

    Args:
        text: the message, without control characters but line feeds.
        indent: the spaces before the lines that follow the first of each line.
        style: how a terminal shows it, in rich's words.
    """
    width = find_width()
    console = Console(soft_wrap=True)
    for line in text.split("\n"):
        shown = [line] if width is None else wrap_text(line, width, indent)
        for part in shown:
            console.print(Text(str(escape_control_characters(part)), style=style))


def write_over(text: str) -> None:
    """Puts a text into the current line of standard error, a terminal, in the place of the old."""
    sys.stderr.write(f"\r\x1b[2K{escape_control_characters(text)}")
    sys.stderr.flush()


def find_width() -> int | None:
    """Returns the width of the terminal; None for a file or a pipe, where a line has no end."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def print_json(value: Any) -> None:  # noqa: ANN401
    """Prints a value as JSON; what is no JSON is printed as text."""
    click.echo(_to_json(value, indent=2))


def print_rows(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    form: str,
    *,
    group_digits: bool = False,
    optional: Sequence[str] = (),
) -> None:
    """Prints rows as a table for people, or as CSV or JSON for programs.

    A table that is wider than the terminal wraps long texts, or has a block for each row.

    CSV and JSON are written row by row, whatever the number of rows.

    Args:
        columns: the names of the columns, which may repeat.
        rows: the rows, each with a value for each column.
        form: one of `OUTPUT_FORMATS`.
        group_digits: whether numbers are counts and times of our own, which a table for people
            shows as `31,415` and `0.25`; other numbers are shown whole.
        optional: columns that a terminal leaves out where it is too narrow for all, the first ones
            first. A line below the table names them.
    """
    if form == "csv":
        _show_csv(columns, rows)
    elif form == "json":
        _show_json(columns, rows)
    elif columns:
        _show_table(columns, rows, optional, group_digits=group_digits)


def _show_csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    # By default lines end in CR and LF, and `cut` or `sort` takes the CR for data.
    writer = csv.writer(sys.stdout, lineterminator="\n")
    # A file or a pipe gets every value exactly; a terminal would obey some of them.
    clean = escape_control_characters if sys.stdout.isatty() else _keep
    writer.writerow([clean(name) for name in columns])
    writer.writerows([clean(_plain(value)) for value in row] for row in rows)


def _keep(value: object) -> object:
    return value


def _show_json(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Writes an array of objects, row by row."""
    before, names = "[", _distinct(columns)
    for row in rows:
        values = {name: _json_value(value) for name, value in zip(names, row, strict=True)}
        sys.stdout.write(f"{before}\n  {_to_json(values)}")
        before = ","
    sys.stdout.write("[]\n" if before == "[" else "\n]\n")


def _to_json(value: Any, indent: int | None = None) -> str:  # noqa: ANN401
    """Returns JSON in which letters are readable and invisible characters are escaped."""
    text = json.dumps(value, default=str, ensure_ascii=False, indent=indent)
    return text if text.isprintable() else _INVISIBLE.sub(_escape_for_json, text)


def _escape_for_json(found: re.Match[str]) -> str:
    # JSON names characters by their UTF-16 code units, as `json` itself does.
    return found[0] if found[0].isprintable() else json.dumps(found[0])[1:-1]


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


def _show_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    optional: Sequence[str] = (),
    *,
    group_digits: bool,
) -> None:
    taken = list(itertools.islice(iter(rows), _SHOWN + 1))
    # One row more than is shown is fetched, to know whether there are more.
    if len(taken) > _SHOWN:
        # To standard error: standard output holds nothing but the rows.
        print_text(
            f"Only the first {_SHOWN:,} rows are shown; `--format csv` prints all.", to_stderr=True
        )
        del taken[_SHOWN:]
    shown = [
        ShownColumn(
            str(escape_control_characters(name)),
            [format_value(row[place], group_digits=group_digits) for row in taken],
            is_number=bool(taken) and all(_is_number(row[place]) for row in taken),
            is_text=any(_may_be_wrapped(row[place]) for row in taken),
        )
        for place, name in enumerate(columns)
    ]
    # A file or a pipe has no width: there every row is one line.
    width = find_width()
    shown, without = drop_optional(shown, optional, width)
    # As Text and not as strings, in which rich would look for markup; and never wrapped by rich.
    console = Console(soft_wrap=True)
    for line in lay_out(shown, width):
        console.print(line)
    if without:
        names = ", ".join(without)
        note = f"Left out on this narrow terminal: {names}. `--format json` has them."
        print_paragraph(note, style="dim")


def _may_be_wrapped(value: Any) -> bool:  # noqa: ANN401
    """Returns whether a value is a text with words; a time that was written as text has none."""
    if not isinstance(value, _TEXTS):
        return False
    return not isinstance(value, str) or any(char.isalpha() for char in value)


def _is_number(value: Any) -> bool:  # noqa: ANN401
    return value is None or isinstance(value, int | float | Decimal)


def format_value(value: Any, *, group_digits: bool = False) -> str:  # noqa: ANN401
    """Returns a value as a person reads it in a table, in one line.

    Numbers are whole: what is shown and typed in again is the same number.
    """
    if value is None:
        return ""
    # Before numbers, because a bool of Python is an int.
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float) and group_digits:
        return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"
    if isinstance(value, Decimal):
        return f"{value:f}"  # never with an exponent
    text = str(_plain(value))
    if isinstance(value, bytes) and len(text) > _LONGEST_BYTES:
        text = f"{text[:_LONGEST_BYTES]}…"
    return str(escape_control_characters(text))


def _plain(value: Any) -> Any:  # noqa: ANN401
    """Returns bytes, lists and structs as text, which every format can hold; others unchanged."""
    if isinstance(value, bytes):
        # Often not UTF-8: the encoding may be why the record could not be read.
        return value.decode("utf-8", "backslashreplace")
    is_list = isinstance(value, list | tuple)
    is_nested = is_list and any(isinstance(held, list | tuple | dict) for held in value)
    if isinstance(value, dict) or is_nested:
        return _to_json(_json_value(value))
    if is_list:
        return "; ".join(str(_plain(held)) for held in value)
    return value
