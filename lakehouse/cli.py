"""The `lakehouse` command: what Dagster's own command line does not do. It only reads, `demo` aside.

Belongs here: arguments, and how answers look on a screen. What they are is decided in `overview.py` and `sql.py`.
"""

import csv
import io
import itertools
import json
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lakehouse import overview, sql
from lakehouse.arrivals import arrivals
from lakehouse.audit import Audit
from lakehouse.environment import Environment
from lakehouse.errors import LakehouseError

_SHOWN = 1000
_LONGEST_BYTES = 100
_LIMIT = click.IntRange(min=0)
_FORMATS = click.Choice(["table", "csv", "json"])


class _Group(click.Group):
    """Shows the errors of the engine as they are: a message, and no traceback."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401
        try:
            return super().invoke(ctx)
        except LakehouseError as error:
            Console(stderr=True, soft_wrap=True).print(f"[red]{escape(str(error))}[/red]", highlight=False)
            raise click.exceptions.Exit(1) from error


@click.group(cls=_Group, help="Look into the lake: SQL, tables, audits and quarantine.")
def cli() -> None:
    """The commands."""


@dataclass(frozen=True)
class App:
    """What the commands work with.

    Attributes:
        environment: gives the environment, when it is needed.
        demo: runs the demonstration.
        samples: writes the sample files of so many more days into landing, and gives their paths.
    """

    environment: Callable[[], Environment]
    demo: Callable[[], None]
    samples: Callable[[int], Sequence[str]]


def main(app: App) -> None:
    """Run the command line."""
    cli(obj=app, prog_name="lakehouse")


@cli.command()
@click.pass_obj
def demo(app: App) -> None:
    """Bring everything up to date through Dagster, on sample files if there are none, and tell what happened."""
    app.demo()


@cli.command()
@click.option("--days", type=click.IntRange(min=1), default=1, show_default=True, help="How many days' files.")
@click.pass_obj
def samples(app: App, days: int) -> None:
    """Deliver the sample files of one more day into landing."""
    for path in app.samples(days):
        click.echo(path)
    click.echo("Next: with `make ui` running, look at `lakehouse tables`; without, `make demo` lands them.")


@cli.command("sql")
@click.argument("query")
@click.option("--format", "form", type=_FORMATS, default="table", show_default=True, help="How to print the rows.")
@click.pass_obj
def run_sql(app: App, query: str, form: str) -> None:
    """Run a query that reads, e.g. "select * from marts.daily_sales limit 5"; `-` reads it from standard input."""
    text = sys.stdin.read() if query == "-" else query
    columns, rows = sql.rows(app.environment().lake, text)
    show(columns, rows, form)


@cli.command()
@click.option("--format", "form", type=_FORMATS, default="table", show_default=True, help="How to print the rows.")
@click.pass_obj
def tables(app: App, form: str) -> None:
    """List the tables: rows, bytes, files, version, newest event, freshness, and what is behind or died."""
    here = app.environment()
    arrived = arrivals(here)
    states = overview.tables(here, arrived=arrived)
    columns = ["table", "rows", "bytes", "files", "version", "newest", "freshness", "state"]
    show(columns, ([getattr(state, column) for column in columns] for state in states), form)
    if not states and form == "table":
        click.echo("The lake is empty. Next: `make demo`.")
    for note in arrived.notes:
        click.echo(note, err=form != "table")


@cli.command()
@click.argument("table")
@click.option("--format", "form", type=_FORMATS, default="table", show_default=True, help="How to print the commits.")
@click.option("--limit", type=_LIMIT, default=20, show_default=True, help="How many commits, latest last; 0 for all.")
@click.pass_obj
def audit(app: App, table: str, form: str, limit: int) -> None:
    """Show what became of every row that each commit of TABLE (`<layer>/<table>`) read."""
    found = overview.audits(app.environment(), table)[-limit:]
    if form == "json":
        click.echo(json.dumps([_as_json(one) for one in found], indent=2, default=str))
        return
    columns = ["version", "made_at", "mode", "days", "read", "written", "quarantined", "superseded", "filtered", "dead"]
    show([*columns, "sum", "rows", "seconds", "run"], ([*_audit_row(one)] for one in found), form)


def _as_json(one: Audit) -> dict[str, Any]:
    return {**asdict(one), "days": str(one.days) if one.days else None, "made": list(map(str, one.made))}


def _audit_row(one: Audit) -> Iterable[Any]:
    filtered = ", ".join(f"{count:,} {name}" for name, count in one.filtered.items()) or 0
    closes = f"{one.accounted:,} {'=' if one.accounted == one.read else 'IS NOT'} read"
    yield from (
        one.version,
        f"{one.made_at:%Y-%m-%d %H:%M:%S}",
        one.mode,
        str(one.days or "all"),
        one.read,
        one.written,
    )
    yield from (one.quarantined, one.superseded, filtered, one.dead, closes, one.rows, one.seconds)
    yield one.provenance.run_id[:8]


@cli.command()
@click.argument("table")
@click.option("--format", "form", type=_FORMATS, default="table", show_default=True, help="How to print the rows.")
@click.option("--limit", type=_LIMIT, default=20, show_default=True, help="How many rows to show.")
@click.pass_obj
def quarantine(app: App, table: str, form: str, limit: int) -> None:
    """Show the rejected rows of TABLE, with every rule that they broke; of a raw table, its dead letters."""
    found = overview.rejects(app.environment(), table, limit)
    if form == "table":
        click.echo(f"{found.total:,} rows in {found.table.replace('/', '.')}")
        for reason, count in found.reasons.items():
            click.echo(f"  {count:>8,}  {reason}")
    hidden = () if form != "table" else ("_contract_version", "_run_id", "_rejected_at", "_batch_id", "_ingested_at")
    columns = [name for name in found.rows.columns if name not in hidden]
    show(columns, found.rows.select(columns).iter_rows(), form)


def show(columns: Sequence[str], rows: Iterable[Sequence[Any]], form: str) -> None:
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
        values = {name: _json_value(_plain(value)) for name, value in zip(names, row, strict=True)}
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
    """A value that JSON has: it knows no NaN and no infinity, and only text as a key."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {str(key): _json_value(_plain(held)) for key, held in value.items()}
    return value


def _show_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    taken = []
    for number, row in enumerate(rows):
        if number == _SHOWN:
            click.echo(f"Only the first {_SHOWN:,} rows are shown; `--format csv` prints all.", err=True)
            break
        taken.append(row)
    for place, name in enumerate(columns):
        is_number = all(isinstance(row[place], int | float) or row[place] is None for row in taken)
        table.add_column(escape(name), justify="right" if is_number and taken else "left")
    for row in taken:
        table.add_row(*(escape(_words(value)) for value in row))
    # A file or a pipe has no width: there every value is printed whole.
    Console(width=None if sys.stdout.isatty() else _width(columns, taken)).print(table)


def _width(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> int:
    widths = (max([len(name), *(len(_words(row[place])) for row in rows)]) + 2 for place, name in enumerate(columns))
    return max(80, sum(widths))


def _words(value: Any) -> str:  # noqa: ANN401
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
        shown = "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text[:_LONGEST_BYTES])
        return f"{shown}…" if len(text) > _LONGEST_BYTES else shown
    return text


def _plain(value: Any) -> Any:  # noqa: ANN401
    """Bytes and lists as text, so that every format can hold them."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, list):
        return "; ".join(map(str, value))
    return value


def printed(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table for people, as text."""
    text = io.StringIO()
    console, table = Console(file=text, width=200), Table(*columns, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*(escape(_words(value)) for value in row))
    console.print(table)
    return text.getvalue()
