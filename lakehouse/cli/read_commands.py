"""Commands that only read: `sql`, `tables`, `audit` and `quarantine`."""

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import click

from lakehouse.cli import restore_text
from lakehouse.cli.app import NOT_NEGATIVE, App, cli, count_rejects, format_option
from lakehouse.cli.output import print_rows
from lakehouse.observe import overview, sql
from lakehouse.observe.landing_report import report_landing
from lakehouse.observe.rejects import RejectedRows, read_rejects
from lakehouse.publish.audit import Audit
from lakehouse.quarantine.states import DISCARDED, OPEN, RELEASED, State
from lakehouse.wording import escape_control_characters, format_count

_STATES: tuple[State, ...] = (OPEN, RELEASED, DISCARDED)
_HIDDEN = ("_contract_version", "_code_version", "_run_id", "_batch_id", "_ingested_at")
"""Columns of a quarantine that a table on a screen leaves out; CSV and JSON have all."""

_SETTLED = ("_settled_at", "_settled_by", "_discard_reason")
_TABLE_COLUMNS = ("table", "rows", "bytes", "files", "version", "newest", "freshness", "state")
_AUDIT_COLUMNS = (
    *("version", "audited_at", "mode", "days", "read", "written", "quarantined", "superseded"),
    *("filtered", "dead_letters", "sum", "rows", "seconds", "run"),
)


@cli.command("sql", short_help="Run a read-only query.")
@click.argument("query")
@format_option("rows")
@click.pass_obj
def run_sql(app: App, query: str, form: str) -> None:
    """Run a read-only query, such as "select * from marts.daily_sales limit 5".

    `-` reads the query from standard input.
    """
    text = sys.stdin.read() if query == "-" else query
    columns, rows = sql.run_query(app.environment().lake, text)
    print_rows(columns, rows, form)


@cli.command(short_help="List the tables, and what is stale.")
@format_option("tables")
@click.pass_obj
def tables(app: App, form: str) -> None:
    """List the tables: size, version, newest event, freshness, and what is stale or dead."""
    here = app.environment()
    # Landing is listed once, for the states and for the notes below.
    report = report_landing(here)
    states = overview.list_tables(here, landing=report)
    rows = ([getattr(state, column) for column in _TABLE_COLUMNS] for state in states)
    print_rows(_TABLE_COLUMNS, rows, form)
    if not states and form == "table":
        click.echo("The lake is empty. Next: run `lakehouse demo`.")
    # CSV and JSON have standard output for themselves.
    for note in report.notes:
        click.echo(note, err=form != "table")


@cli.command(short_help="Show what became of every row, by commit.")
@click.argument("table")
@format_option("commits")
@click.option(
    "--limit",
    type=NOT_NEGATIVE,
    default=20,
    show_default=True,
    help="How many commits, latest last; 0 for all.",
)
@click.pass_obj
def audit(app: App, table: str, form: str, limit: int) -> None:
    """Show what became of every row that each commit of TABLE (`<layer>/<table>`) read."""
    here = app.environment()
    # All of them for 0, since `[-0:]` leaves nothing out.
    audits = overview.list_audits(here, table)[-limit:]
    if form == "json":
        click.echo(json.dumps([_to_json(one) for one in audits], indent=2, default=str))
        return
    print_rows(_AUDIT_COLUMNS, ([*_to_row(one)] for one in audits), form)
    if form != "table":
        return
    # Below the table, because reasons are too long for a column.
    for one in audits:
        for line in _describe_details(one):
            click.echo(f"version {one.version}{line}")
    for line in restore_text.describe_restores(here.lake, table):
        click.echo(line)


def _describe_details(one: Audit) -> Iterable[str]:
    """Yields what is notable about a commit beside its counts, as ends of lines."""
    if one.conflicting_events:
        events = format_count(one.conflicting_events, "event")
        yield f": {events} lost to another event with the same key and time"
    if one.has_unchanged:
        yield f": unchanged: {one.describe_unchanged()}"
    for period, reason in one.held_back.items():
        yield f" held back {period}: {reason}"


def _to_json(one: Audit) -> dict[str, Any]:
    # Spans of days become text, and so do the days that are keys, which JSON does not have.
    return {
        **asdict(one),
        "days": str(one.days) if one.days else None,
        "materialized": list(map(str, one.materialized)),
        "unchanged": list(map(str, one.unchanged)),
        "held_back": {str(period): reason for period, reason in one.held_back.items()},
        "provenance": one.provenance.to_metadata(),
    }


def _to_row(one: Audit) -> Iterable[Any]:
    filtered = ", ".join(f"{count:,} {name}" for name, count in one.filtered.items()) or 0
    # Law 1, shown rather than claimed: the fates of the rows add up to the rows that were read.
    closes = "=" if one.accounted_rows == one.read else "IS NOT"
    yield one.version
    yield f"{one.audited_at:%Y-%m-%d %H:%M:%S}"
    yield one.mode
    yield str(one.days or "all")
    yield from (one.read, one.written, one.quarantined, one.superseded, filtered, one.dead_letters)
    yield f"{one.accounted_rows:,} {closes} read"
    # The start of a run id is enough to find the run in Dagster's UI.
    yield from (one.rows, one.seconds, one.provenance.run_id[:8])


@cli.command(short_help="Show rejected rows and the reasons.")
@click.argument("table")
@click.option(
    "--state",
    type=click.Choice([*_STATES, "all"]),
    default=OPEN,
    show_default=True,
    help="The state of the rows to show.",
)
@format_option("rows")
@click.option(
    "--limit", type=NOT_NEGATIVE, default=20, show_default=True, help="How many rows to show."
)
@click.pass_obj
def quarantine(app: App, table: str, state: str, form: str, limit: int) -> None:
    """Show the rejected rows of TABLE, with every rule that they broke.

    For a raw table, show its dead letters.
    """
    # None for `all`, which is no state.
    wanted = next((one for one in _STATES if one == state), None)
    found = read_rejects(app.environment(), table, limit, wanted)
    if form != "table":
        print_rows(found.rows.columns, found.rows.iter_rows(), form)
        return
    _print_counts(table, found, wanted)
    # Open rows are not settled yet, so these columns would be empty.
    without = (*_HIDDEN, "_state", *_SETTLED) if wanted == OPEN else _HIDDEN
    rows = found.rows.drop(*without, strict=False)
    # As delivered, values may hold line feeds and control characters that break a line or a screen.
    texts = (list(map(escape_control_characters, row)) for row in rows.iter_rows())
    print_rows(rows.columns if found.total else [], texts, form)


def _print_counts(table: str, found: RejectedRows, wanted: State | None) -> None:
    """Prints how many rejected rows there are, and why."""
    count, noun = count_rejects(found.total, table)
    if found.total:
        place = found.table.replace("/", ".")
        click.echo(f"{format_count(count, f'{wanted} {noun}' if wanted else noun)} in {place}")
    elif found.states and wanted:
        click.echo(f"{table}: nothing is {wanted}")
    else:
        click.echo(f"{table}: nothing was rejected")
    others = [f"{n:,} {state}" for state, n in found.states.items() if wanted not in (None, state)]
    if others:
        click.echo(f"also {', '.join(others)}; --state all shows them")
    for reason, rows in found.reasons.items():
        click.echo(f"  {rows:>8,}  {escape_control_characters(reason)}")
