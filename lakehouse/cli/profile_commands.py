"""The command `lakehouse profile`: what a file looks like, and what its columns hold."""

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import click

from lakehouse.cli.app import cli
from lakehouse.cli.output import print_json, print_rows, print_text
from lakehouse.ingest.files.recognize.declaration_text import write_files
from lakehouse.observe.profile.profile_file import profile_file
from lakehouse.observe.profile.profiles import ColumnProfile, FileProfile
from lakehouse.wording import format_count

_COLUMNS = ("column", "type", "null", "distinct", "least", "greatest", "most frequent", "notes")
_LONGEST = 24
_PERCENT = 100
_HIDDEN = "(hidden)"


@cli.command(short_help="Show what a file looks like, and what its columns hold.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print everything, as JSON.")
@click.option("--show-personal", is_flag=True, help="Show values that seem to be personal data.")
def profile(file: Path, *, as_json: bool, show_personal: bool) -> None:
    """Show what FILE looks like, and what its columns hold.

    Prints the declaration that reads the file, and for each column the type that fits, nulls,
    different values, the least and the greatest, the most frequent, and what to look at. Nothing is
    written. What is called suspected is a guess, from names and values. Values of columns that
    seem to hold personal data are hidden.
    """
    found = profile_file(file)
    if not show_personal:
        found = replace(found, columns=tuple(map(_hide_personal, found.columns)))
    if as_json:
        print_json(_to_json(found))
    else:
        _print(found)
    if found.refused:
        raise click.exceptions.Exit(1)


def _hide_personal(column: ColumnProfile) -> ColumnProfile:
    """Returns a column without values, if they seem to be personal data."""
    if not column.personal:
        return column
    least = None if column.least is None else _HIDDEN
    greatest = None if column.greatest is None else _HIDDEN
    top = tuple((_HIDDEN, count) for _, count in column.top)
    return replace(column, least=least, greatest=greatest, quantiles=(), top=top, patterns=())


def _to_json(found: FileProfile) -> dict[str, object]:
    columns = [
        {**asdict(one), "dtype": None if one.dtype is None else str(one.dtype)}
        for one in found.columns
    ]
    return {**asdict(found), "columns": columns, "files": write_files(found.files)}


def _print(found: FileProfile) -> None:
    print_text(
        f"{found.name}: {format_count(found.size, 'byte')}, {format_count(found.records, 'record')}"
    )
    print_text(f"  files={write_files(found.files)}")
    for doubt in found.doubts:
        print_text(f"  look at this: {doubt}")
    if found.refused:
        print_text(f"  refused: {found.refused}")
        return
    for line in _describe(found):
        print_text(f"  {line}")
    print_text()
    print_rows(_COLUMNS, (_list_values(column, found) for column in found.columns), "table")


def _describe(found: FileProfile) -> Iterator[str]:
    yield from found.notes
    if found.dead_letters:
        yield (
            "1 record would be a dead letter"
            if found.dead_letters == 1
            else (f"{found.dead_letters:,} records would be dead letters")
        )
    rows = found.records - found.dead_letters
    if found.looked_at < rows:
        yield f"values were counted in {found.looked_at:,} of {rows:,} rows"
    if found.doubled:
        verb = "repeats" if found.doubled == 1 else "repeat"
        yield f"{format_count(found.doubled, 'row')} {verb} another one"
    if found.keys:
        yield f"suspected keys: {'; '.join(', '.join(key) for key in found.keys[:5])}"
    if found.event_time:
        yield f"suspected time of an event: {found.event_time}"


def _list_values(column: ColumnProfile, found: FileProfile) -> list[object]:
    missing = column.nulls
    share = f"{missing / found.looked_at * _PERCENT:.1f} %" if missing else ""
    top = ", ".join(f"{_cut(value)} ({count:,})" for value, count in column.top[:2])
    return [
        column.name,
        column.type,
        share,
        f"{column.distinct:,}",
        _cut(column.least or ""),
        _cut(column.greatest or ""),
        top if column.distinct < found.looked_at else "",
        "; ".join(_list_notes(column)),
    ]


def _list_notes(column: ColumnProfile) -> Iterator[str]:
    if column.personal:
        yield f"suspected personal data: {column.personal}"
    if column.doubt:
        yield column.doubt
    if column.unread:
        verb = "is" if column.unread == 1 else "are"
        yield f"{format_count(column.unread, 'value')} {verb} of another type"
    for mark, count in column.marks.items():
        yield f"{mark or 'an empty text'} in {count:,}"
    if column.patterns and column.type == "text" and len(column.patterns) == 1:
        yield f"all look like {_cut(column.patterns[0][0])}"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
