"""The `lakehouse` command: what Dagster's own command line does not do. It only reads, `demo` and `restore` aside.

Belongs here: arguments. What the answers are is decided in `overview.py` and `sql.py`, how they look in `screen.py`.
"""

import getpass
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.markup import escape

from lakehouse import overview, sql, undo_words
from lakehouse.arrivals import arrivals
from lakehouse.audit import Audit
from lakehouse.environment import Environment
from lakehouse.errors import LakehouseError, SetupError
from lakehouse.restore import Wish, restore
from lakehouse.screen import FORMATS, show
from lakehouse.undo import undoing, version_at
from lakehouse.wording import counted, flat

_LIMIT = click.IntRange(min=0)
_FORMATS = click.Choice(FORMATS)
_TIMES = [
    "%Y-%m-%dT%H:%M:%S%z",
    "%Y-%m-%d",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d %H:%M",
]


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


@cli.command(short_help="Bring everything up to date.")
@click.pass_obj
def demo(app: App) -> None:
    """Bring everything up to date through Dagster, on sample files if there are none, and tell what happened."""
    app.demo()


@cli.command(short_help="Deliver one more day of samples.")
@click.option("--days", type=click.IntRange(min=1), default=1, show_default=True, help="How many days' files.")
@click.pass_obj
def samples(app: App, days: int) -> None:
    """Deliver the sample files of one more day into landing."""
    for path in app.samples(days):
        click.echo(path)
    click.echo("Next: with `make ui` running, look at `lakehouse tables`; without, `make demo` lands them.")


@cli.command("sql", short_help="Run a query that reads.")
@click.argument("query")
@click.option("--format", "form", type=_FORMATS, default="table", show_default=True, help="How to print the rows.")
@click.pass_obj
def run_sql(app: App, query: str, form: str) -> None:
    """Run a query that reads, such as "select * from marts.daily_sales limit 5"; `-` reads it from standard input."""
    text = sys.stdin.read() if query == "-" else query
    columns, rows = sql.rows(app.environment().lake, text)
    show(columns, rows, form)


@cli.command(short_help="List the tables, and what is behind.")
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


@cli.command(short_help="Show the fate of every row, by commit.")
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
    for one in found if form == "table" else ():
        if one.ties:
            click.echo(f"version {one.version}: {counted(one.ties, 'event')} lost to another of the same key and time")
        for period, reason in one.held.items():
            click.echo(f"version {one.version} held back {period}: {reason}")
    for line in undo_words.restores(app.environment().lake, table) if form == "table" else ():
        click.echo(line)


def _as_json(one: Audit) -> dict[str, Any]:
    held = {str(period): reason for period, reason in one.held.items()}
    days = str(one.days) if one.days else None
    return {**asdict(one), "days": days, "made": list(map(str, one.made)), "held": held}


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


@cli.command(short_help="Show rejected rows, and why.")
@click.argument("table")
@click.option("--format", "form", type=_FORMATS, default="table", show_default=True, help="How to print the rows.")
@click.option("--limit", type=_LIMIT, default=20, show_default=True, help="How many rows to show.")
@click.pass_obj
def quarantine(app: App, table: str, form: str, limit: int) -> None:
    """Show the rejected rows of TABLE, with every rule that they broke; of a raw table, its dead letters."""
    found = overview.rejects(app.environment(), table, limit)
    if form == "table":
        kind = "dead letter" if table.startswith("raw/") else "row"
        click.echo(
            f"{counted(found.total, kind)} in {found.table.replace('/', '.')}"
            if found.total
            else f"{table}: nothing was rejected"
        )
        for reason, count in found.reasons.items():
            click.echo(f"  {count:>8,}  {flat(reason)}")
    if form == "table":
        hidden = ("_contract_version", "_run_id", "_rejected_at", "_batch_id", "_ingested_at")
        rows = found.rows.drop(hidden, strict=False)
        show(rows.columns if found.total else [], (list(map(flat, row)) for row in rows.iter_rows()), form)
    else:
        show(found.rows.columns, found.rows.iter_rows(), form)


@cli.command("restore", short_help="Go back to an earlier version of a table.")
@click.argument("table")
@click.option("--version", type=_LIMIT, help="The version to go back to; `lakehouse audit` names them.")
@click.option("--time", "moment", type=click.DateTime(_TIMES), help="Or the time to go back to, UTC.")
@click.option("--reason", default="", help="Why; kept in the commit.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def run_restore(app: App, table: str, version: int | None, moment: datetime | None, reason: str, yes: bool) -> None:  # noqa: FBT001, PLR0913
    """Go back to an earlier version of TABLE (`<layer>/<table>`), with the rows that it rejected.

    It says what that undoes, and asks. The next run makes again what is stale then: see docs/runbook.md.
    """
    here = app.environment()
    if (version is None) == (moment is None):
        raise SetupError("Going back needs a version or a time.\nNext: add --version <number>, or --time <UTC time>.")
    if moment is not None:
        version = version_at(here.lake, table, moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    found = undoing(here, table, version or 0)
    for line in undo_words.lines(found):
        click.echo(line)
    if found.is_nothing:
        return
    if not yes and not sys.stdin.isatty():
        raise SetupError("Nothing was restored: nobody can be asked here.\nNext: add --yes.")
    if not yes:
        click.confirm("Go back?", abort=True)
    made = restore(here, found, Wish(getpass.getuser(), reason))
    click.echo(f"{table} is at version {made} now, and holds what version {found.version} held.")
    click.echo("Next: `lakehouse tables` shows what is behind; the next run makes it again (`make demo`, or the UI).")
