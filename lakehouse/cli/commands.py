"""The `lakehouse` command: what Dagster's own command line does not do. Most of it only reads.

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
from deltalake.exceptions import DeltaError
from rich.console import Console
from rich.markup import escape

from lakehouse.cli import restore_text
from lakehouse.cli.output import OUTPUT_FORMATS, print_rows
from lakehouse.environment import Environment
from lakehouse.errors import DataError, LakehouseError, SetupError, summarize_error
from lakehouse.observe import overview, sql
from lakehouse.observe.landing_report import report_landing
from lakehouse.operations.replay import replay
from lakehouse.operations.restore import RestoreRequest, restore
from lakehouse.operations.restore_plan import find_version_at, plan_restore
from lakehouse.publish.audit import Audit
from lakehouse.quarantine.discard import Choice, discard
from lakehouse.quarantine.states import DISCARDED, OPEN, RELEASED, State
from lakehouse.wording import escape_control_characters, format_count

_LIMIT = click.IntRange(min=0)
_FORMATS = click.Choice(OUTPUT_FORMATS)
_TIMES = [
    "%Y-%m-%dT%H:%M:%S%z",
    "%Y-%m-%d",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d %H:%M",
]
_STATES: tuple[State, ...] = (OPEN, RELEASED, DISCARDED)
_HIDDEN = ("_contract_version", "_code_version", "_run_id", "_batch_id", "_ingested_at")

_DAMAGED = "Next: run again; if it stays so, see docs/runbook.md, A damaged table."


class _Group(click.Group):
    """Shows the errors of the engine as they are: a message, and no traceback."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401
        try:
            return super().invoke(ctx)
        except LakehouseError as error:
            raise _ended(str(error)) from error
        except (FileNotFoundError, DeltaError) as error:
            if isinstance(error, FileNotFoundError) and error.errno is not None:
                raise  # of this machine; the readers of tables raise it with a text alone
            raise _ended(
                f"A file of a table is gone, or cannot be read: {summarize_error(error)}\n{_DAMAGED}"
            ) from error


def _ended(said: str) -> click.exceptions.Exit:
    """The end of a command that failed, told in red."""
    Console(stderr=True, soft_wrap=True).print(f"[red]{escape(said)}[/red]", highlight=False)
    return click.exceptions.Exit(1)


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


def run_command_line(app: App) -> None:
    """Run the command line."""
    cli(obj=app, prog_name="lakehouse")


@cli.command(short_help="Bring everything up to date.")
@click.pass_obj
def demo(app: App) -> None:
    """Bring everything up to date through Dagster, on sample files if there are none, and tell what happened."""
    app.demo()


@cli.command(short_help="Deliver one more day of samples.")
@click.option(
    "--days", type=click.IntRange(min=1), default=1, show_default=True, help="How many days' files."
)
@click.pass_obj
def samples(app: App, days: int) -> None:
    """Deliver the sample files of one more day into landing."""
    for path in app.samples(days):
        click.echo(path)
    click.echo(
        "Next: with `make ui` running, look at `lakehouse tables`; without, `make demo` lands them."
    )


@cli.command("sql", short_help="Run a query that reads.")
@click.argument("query")
@click.option(
    "--format",
    "form",
    type=_FORMATS,
    default="table",
    show_default=True,
    help="How to print the rows.",
)
@click.pass_obj
def run_sql(app: App, query: str, form: str) -> None:
    """Run a query that reads, such as "select * from marts.daily_sales limit 5"; `-` reads it from standard input."""
    text = sys.stdin.read() if query == "-" else query
    columns, rows = sql.run_query(app.environment().lake, text)
    print_rows(columns, rows, form)


@cli.command(short_help="List the tables, and what is behind.")
@click.option(
    "--format",
    "form",
    type=_FORMATS,
    default="table",
    show_default=True,
    help="How to print the rows.",
)
@click.pass_obj
def tables(app: App, form: str) -> None:
    """List the tables: rows, bytes, files, version, newest event, freshness, and what is behind or died."""
    here = app.environment()
    arrived = report_landing(here)
    states = overview.list_tables(here, arrived=arrived)
    columns = ["table", "rows", "bytes", "files", "version", "newest", "freshness", "state"]
    print_rows(columns, ([getattr(state, column) for column in columns] for state in states), form)
    if not states and form == "table":
        click.echo("The lake is empty. Next: `make demo`.")
    for note in arrived.notes:
        click.echo(note, err=form != "table")


@cli.command(short_help="Show the fate of every row, by commit.")
@click.argument("table")
@click.option(
    "--format",
    "form",
    type=_FORMATS,
    default="table",
    show_default=True,
    help="How to print the commits.",
)
@click.option(
    "--limit",
    type=_LIMIT,
    default=20,
    show_default=True,
    help="How many commits, latest last; 0 for all.",
)
@click.pass_obj
def audit(app: App, table: str, form: str, limit: int) -> None:
    """Show what became of every row that each commit of TABLE (`<layer>/<table>`) read."""
    found = overview.list_audits(app.environment(), table)[-limit:]
    if form == "json":
        click.echo(json.dumps([_as_json(one) for one in found], indent=2, default=str))
        return
    columns = [
        "version",
        "audited_at",
        "mode",
        "days",
        "read",
        "written",
        "quarantined",
        "superseded",
        "filtered",
        "dead_letters",
    ]
    print_rows(
        [*columns, "sum", "rows", "seconds", "run"], ([*_audit_row(one)] for one in found), form
    )
    for one in found if form == "table" else ():
        if one.conflicting_events:
            click.echo(
                f"version {one.version}: {format_count(one.conflicting_events, 'event')} lost to another of the same key and time"
            )
        for period, reason in one.held_back.items():
            click.echo(f"version {one.version} held back {period}: {reason}")
    for line in (
        restore_text.describe_restores(app.environment().lake, table) if form == "table" else ()
    ):
        click.echo(line)


def _as_json(one: Audit) -> dict[str, Any]:
    held = {str(period): reason for period, reason in one.held_back.items()}
    days = str(one.days) if one.days else None
    return {
        **asdict(one),
        "days": days,
        "materialized": list(map(str, one.materialized)),
        "held": held,
    }


def _audit_row(one: Audit) -> Iterable[Any]:
    filtered = ", ".join(f"{count:,} {name}" for name, count in one.filtered.items()) or 0
    closes = f"{one.accounted_rows:,} {'=' if one.accounted_rows == one.read else 'IS NOT'} read"
    yield from (
        one.version,
        f"{one.audited_at:%Y-%m-%d %H:%M:%S}",
        one.mode,
        str(one.days or "all"),
        one.read,
        one.written,
    )
    yield from (
        one.quarantined,
        one.superseded,
        filtered,
        one.dead_letters,
        closes,
        one.rows,
        one.seconds,
    )
    yield one.provenance.run_id[:8]


@cli.command(short_help="Show rejected rows, and why.")
@click.argument("table")
@click.option(
    "--state",
    type=click.Choice([*_STATES, "all"]),
    default=OPEN,
    show_default=True,
    help="Which rows.",
)
@click.option(
    "--format",
    "form",
    type=_FORMATS,
    default="table",
    show_default=True,
    help="How to print the rows.",
)
@click.option("--limit", type=_LIMIT, default=20, show_default=True, help="How many rows to show.")
@click.pass_obj
def quarantine(app: App, table: str, state: str, form: str, limit: int) -> None:
    """Show the rejected rows of TABLE, with every rule that they broke; of a raw table, its dead letters."""
    asked = next((one for one in _STATES if one == state), None)
    found = overview.read_rejects(app.environment(), table, limit, asked)
    if form == "table":
        _tell_rejects(table, found, asked)
        settled = ("_settled_at", "_settled_by", "_discard_reason")
        rows = found.rows.drop(
            *_HIDDEN, *(("_state", *settled) if asked == OPEN else ()), strict=False
        )
        print_rows(
            rows.columns if found.total else [],
            (list(map(escape_control_characters, row)) for row in rows.iter_rows()),
            form,
        )
    else:
        print_rows(found.rows.columns, found.rows.iter_rows(), form)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        raise click.UsageError("Nobody knows who you are here. Name yourself with --by.") from None


@cli.command("restore", short_help="Go back to an earlier version of a table.")
@click.argument("table")
@click.option(
    "--version", type=_LIMIT, help="The version to go back to; `lakehouse audit` names them."
)
@click.option(
    "--time", "moment", type=click.DateTime(_TIMES), help="Or the time to go back to, UTC."
)
@click.option("--reason", default="", help="Why; kept in the commit.")
@click.option("--by", "who", default=_user, show_default="you", help="Who says so.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def run_restore(  # noqa: PLR0913
    app: App,
    /,
    table: str,
    version: int | None,
    moment: datetime | None,
    reason: str,
    who: str,
    yes: bool,  # noqa: FBT001
) -> None:
    """Go back to an earlier version of TABLE (`<layer>/<table>`), with the rows that it rejected.

    It says what that undoes, and asks. The next run makes again what is stale then: see docs/runbook.md.
    """
    here = app.environment()
    if (version is None) == (moment is None):
        raise SetupError(
            "Going back needs a version or a time.\nNext: add --version <number>, or --time <UTC time>."
        )
    if moment is not None:
        version = find_version_at(
            here.lake, table, moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        )
    found = plan_restore(here, table, version or 0)
    for line in restore_text.describe_plan(found):
        click.echo(line)
    if found.is_nothing:
        return
    if not yes and not sys.stdin.isatty():
        raise SetupError("Nothing was restored: nobody can be asked here.\nNext: add --yes.")
    if not yes:
        click.confirm("Go back?", abort=True)
    made = restore(here, found, RestoreRequest(who, reason))
    click.echo(f"{table} is at version {made} now, and holds what version {found.version} held.")
    click.echo(
        "Next: `lakehouse tables` shows what is behind; the next run makes it again (`make demo`, or the UI)."
    )


def _tell_rejects(table: str, found: overview.RejectedRows, asked: State | None) -> None:
    """How many rejected rows there are, and why."""
    kind = f"{f'{asked} ' if asked else ''}{'dead letter' if table.startswith('raw/') else 'row'}"
    nothing = f"nothing is {asked}" if found.states and asked else "nothing was rejected"
    place = found.table.replace("/", ".")
    click.echo(
        f"{format_count(found.total, kind)} in {place}" if found.total else f"{table}: {nothing}"
    )
    if others := [
        f"{count:,} {state}" for state, count in found.states.items() if asked not in (None, state)
    ]:
        click.echo(f"beside {', '.join(others)}; --state all shows them")
    for reason, count in found.reasons.items():
        click.echo(f"  {count:>8,}  {escape_control_characters(reason)}")


@cli.command("replay", short_help="Give rejected rows another try.")
@click.argument("table")
@click.pass_obj
def run_replay(app: App, table: str) -> None:
    """Give the open rows in quarantine of TABLE another try, after its contract or transform was mended.

    Makes again exactly the periods that hold open rows. Of a raw table, reads the files with open dead letters again.
    """
    here = app.environment()
    done = replay(here, table)
    kind = "dead letter" if table.startswith("raw/") else "row"
    click.echo(
        f"{table}: {format_count(done.released.rows, kind)} released, {done.stays.rows:,} still open"
    )
    rules = sorted({*done.released.rules, *done.stays.rules})
    broken = (
        (
            escape_control_characters(rule),
            done.released.rules.get(rule, 0),
            done.stays.rules.get(rule, 0),
        )
        for rule in rules
    )
    print_rows(
        ["rule" if kind == "row" else "reason", "released", "open"] if rules else [],
        broken,
        "table",
    )
    for note in done.notes:
        click.echo(note)
    if (
        behind := [part.table for part in here.create_planner().find_stale_tables()]
        if done.audits
        else []
    ):
        click.echo(
            f"Next: behind now are {', '.join(behind)}; `make ui` makes them by itself, `make demo` at once."
        )
    if done.problems:
        raise DataError("\n".join(done.problems))


@cli.command("discard", short_help="Give rejected rows up.")
@click.argument("table")
@click.option("--reason", required=True, help="Why; stored beside each row.")
@click.option("--where", help="A condition in SQL over the columns that the quarantine shows.")
@click.option(
    "--rule",
    "rules",
    multiple=True,
    help="Rows that broke this rule; dead letters with this reason.",
)
@click.option("--source", "sources", multiple=True, help="Rows of this file.")
@click.option("--all", "is_all", is_flag=True, help="Every open row.")
@click.option("--by", "who", default=_user, show_default="you", help="Who says so.")
@click.pass_obj
def run_discard(app: App, /, table: str, reason: str, who: str, **chosen: Any) -> None:  # noqa: ANN401
    """Give up open rows in quarantine of TABLE, or dead letters of a raw one: those that meet all that is said.

    They stay in quarantine, and are told as open no more. One that passes later lands nevertheless.
    """
    here = app.environment()
    count = discard(here.lake, here.catalog, table, Choice(**chosen), reason=reason, who=who)
    click.echo(
        f"{table}: {format_count(count, 'dead letter' if table.startswith('raw/') else 'row')} discarded by {who}"
    )
