"""Commands that only read: `sql`, `tables`, `audit` and `quarantine`."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import click
import polars as pl

from lakehouse.cli import restore_text
from lakehouse.cli.app import (
    NOT_NEGATIVE,
    App,
    Decorator,
    cli,
    count_rejects,
    format_option,
)
from lakehouse.cli.output import print_json, print_paragraph, print_rows, print_text
from lakehouse.observe import declaration_notes, overview, sql
from lakehouse.observe.landing_report import report_landing
from lakehouse.observe.rejects import RejectedRows, read_rejects
from lakehouse.origin import Origin
from lakehouse.publish.audit import Audit
from lakehouse.quarantine.states import OPEN, STATE_NAMES, State
from lakehouse.system_columns import BROKEN
from lakehouse.tables.broken_rules import describe_broken_rule, describe_broken_rules
from lakehouse.wording import escape_control_characters, format_count

_HIDDEN = (
    *("_contract_version", "_code_version", "_run_id"),
    *("_batch_id", "_ingested_at", "_event", "_event_date", "_window"),
)
"""Columns of a quarantine that a table on a screen leaves out; CSV and JSON have all."""

_SHOWN = 20
"""How many rows a table on a screen shows unless a limit is given."""

_ROWS_AT_ONCE = 1000
_NEEDS_ATTENTION = 3
"""The exit code of `lakehouse tables` if something needs attention; 1 and 2 are errors."""

_SETTLED = ("_settled_at", "_settled_by", "_discard_reason")
_TABLE_COLUMNS = ("table", "rows", "bytes", "files", "version", "newest", "freshness", "state")
_TABLE_OPTIONAL = ("files", "version", "bytes", "newest")
"""Columns of `lakehouse tables` that a narrow terminal leaves out, in this order."""

_AUDIT_OPTIONAL = ("run", "seconds", "rows_written", "mode", "audited_at", "sum")
_FATES = ("dead_letters", "filtered", "superseded", "quarantined")
_AUDIT_COLUMNS = (
    *("version", "audited_at", "mode", "days", "read", "written", "quarantined", "superseded"),
    *("filtered", "dead_letters", "sum", "rows_written", "seconds", "run"),
)


def limit_option(rows: str) -> Decorator:
    """Returns the option `--limit`; `rows` names in the help what is counted."""
    return click.option(
        "--limit",
        type=NOT_NEGATIVE,
        help=f"How many {rows}; 0 for all. By default {_SHOWN} in a table, all in CSV and JSON.",
    )


def _read_limit(limit: int | None, form: str) -> int | None:
    """Returns how many rows to show; None for all of them."""
    # Nobody sees that a file is cut, so only what people read is cut by default.
    if limit is None:
        return _SHOWN if form == "table" else None
    return limit or None


def _tell_of_cut(which: str, shown: int, total: int, noun: str) -> None:
    if shown < total:
        # To standard error: standard output holds nothing but the rows.
        print_text(
            f"Only the {which} {shown:,} of {total:,} {noun} are shown; `--limit 0` shows all.",
            to_stderr=True,
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
    here = app.environment()
    columns, rows = sql.run_query(here.lake, text, here.catalog)
    print_rows(columns, rows, form)


@cli.command(short_help="List the tables, and what is stale.")
@format_option("tables")
@click.pass_obj
def tables(app: App, form: str) -> None:
    """List the tables: size, version, newest event, freshness, and what is stale or dead.

    Ends with exit code 3 if a table or landing needs attention: something waits or is stale, late,
    held back, dead or declared nowhere. Rejected rows that a contract allows need none.
    """
    here = app.environment()
    # Landing is listed once, for the states and for the notes below.
    report = report_landing(here)
    states = overview.list_tables(here, landing=report)
    rows = (_list_values(state, form) for state in states)
    print_rows(_TABLE_COLUMNS, rows, form, group_digits=True, optional=_TABLE_OPTIONAL)
    if not states and form == "table":
        print_text("The lake is empty. Next: run `lakehouse demo`.")
    # CSV and JSON have standard output for themselves.
    notes = [*report.notes, *declaration_notes.describe_orphans(here)]
    for note in notes:
        print_text(note, to_stderr=form != "table")
    for note in declaration_notes.describe_other_types(here):
        print_text(note, to_stderr=form != "table")
    if notes or any(state.needs_attention for state in states):
        raise click.exceptions.Exit(_NEEDS_ATTENTION)


def _list_values(state: overview.TableState, form: str) -> list[Any]:
    values = {column: getattr(state, column) for column in _TABLE_COLUMNS}
    if form == "table" and isinstance(state.newest, datetime):
        # In UTC and to the second, as `lakehouse audit` shows times; programs get all digits.
        values["newest"] = f"{state.newest:%Y-%m-%d %H:%M:%S}"
    return list(values.values())


@cli.command(short_help="Show what became of every row, by commit.")
@click.argument("table")
@format_option("commits")
@limit_option("commits, latest last")
@click.pass_obj
def audit(app: App, table: str, form: str, limit: int | None) -> None:
    """Show what became of every row that each commit of TABLE (`<layer>/<table>`) read.

    A table shows the last 20 commits unless --limit is given. `rows_written` counts what the commit
    wrote to the table, with the tombstones of deleted keys; `lakehouse tables` counts the rows that
    readers see.
    """
    here = app.environment()
    every, wanted = overview.list_audits(here, table), _read_limit(limit, form)
    audits = every if wanted is None else every[-wanted:]
    _tell_of_cut("last", len(audits), len(every), "commits")
    if form == "json":
        print_json([_to_json(one) for one in audits])
        return
    shown = [[*_to_row(one)] for one in audits]
    optional = _list_optional(_AUDIT_COLUMNS, shown)
    print_rows(_AUDIT_COLUMNS, shown, form, group_digits=True, optional=optional)
    if form != "table":
        return
    # Below the table, because reasons are too long for a column.
    for one in audits:
        for line in _describe_details(one):
            print_paragraph(f"version {one.version}{line}", indent=4)
    for line in restore_text.describe_restores(here.lake, table):
        print_text(line)


def _list_optional(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """Returns the columns that a narrow terminal leaves out: a fate only if no row had it."""
    empty = [name for name in _FATES if not any(row[columns.index(name)] for row in rows)]
    return [*_AUDIT_OPTIONAL[:3], *empty, *_AUDIT_OPTIONAL[3:]]


def _describe_details(one: Audit) -> Iterable[str]:
    """Yields what is notable about a commit beside its counts, as ends of lines."""
    for rule, count in one.filtered.items():
        yield f": filtered {count:,}: {escape_control_characters(rule)}"
    if one.conflicting_events:
        events = format_count(one.conflicting_events, "event")
        yield f": {events} lost to another event with the same key and time"
    if one.has_unchanged:
        yield f": unchanged: {one.describe_unchanged()}"
    for period, reason in one.held_back.items():
        yield f" held back {period}: {escape_control_characters(reason)}"
    for note in one.notes:
        yield f": {escape_control_characters(note)}"


def _to_json(one: Audit) -> dict[str, Any]:
    # Spans of days become text, and so do the days that are keys, which JSON does not have.
    stored = asdict(one)
    return {
        "rows_written": stored.pop("rows"),
        **stored,
        "days": str(one.days) if one.days else None,
        "materialized": list(map(str, one.materialized)),
        "unchanged": list(map(str, one.unchanged)),
        "held_back": {str(period): reason for period, reason in one.held_back.items()},
        "provenance": one.provenance.to_metadata(),
    }


def _to_row(one: Audit) -> Iterable[Any]:
    filtered = sum(one.filtered.values())
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
    type=click.Choice([*STATE_NAMES, "all"]),
    default=OPEN,
    show_default=True,
    help="The state of the rows to show.",
)
@format_option("rows")
@limit_option("rows")
@click.pass_obj
def quarantine(app: App, table: str, state: str, form: str, limit: int | None) -> None:
    """Show the rejected rows of TABLE, with every rule that they broke.

    For a raw table, show its dead letters. A table shows the first 20 rows unless --limit is given.
    """
    # None for `all`, which is no state.
    wanted = next((one for one in STATE_NAMES if one == state), None)
    here, most = app.environment(), _read_limit(limit, form)
    found = read_rejects(here, table, most, wanted)
    shown = found.total if most is None else min(most, found.total)
    with here.lake.translate_errors():
        if form != "table":
            _tell_of_cut("first", shown, found.total, "rows")
            columns = found.rows.collect_schema().names()
            print_rows(columns, _iterate_rows(found.rows), form)
            return
        _print_counts(table, found, wanted)
        # Open rows are not settled yet, so these columns would be empty.
        without = (*_HIDDEN, "_state", *_SETTLED) if wanted == OPEN else _HIDDEN
        rows = found.rows.drop(*without, strict=False).collect()
    shown_rows = map(_to_shown_row, rows.iter_rows(named=True))
    print_rows(rows.columns if found.total else [], shown_rows, form)
    _tell_of_cut("first", shown, found.total, "rows")


def _to_shown_row(row: Mapping[str, Any]) -> list[Any]:
    """Returns the values of a rejected row as people read them: what is wrong, and times short."""
    values = dict(row)
    if isinstance(broken := values.get(BROKEN), list):
        values[BROKEN] = describe_broken_rules(broken)
    if source := values.get("_source"):
        values["_source"] = Origin.parse(source).label
    return [
        f"{value:%Y-%m-%d %H:%M:%S}"
        if name.startswith("_") and isinstance(value, datetime)
        else value
        for name, value in values.items()
    ]


def _iterate_rows(rows: pl.LazyFrame) -> Iterator[tuple[Any, ...]]:
    # Some at a time: a dead letter may have a mebibyte, and a program gets all of them.
    for batch in rows.collect_batches(chunk_size=_ROWS_AT_ONCE, maintain_order=True):
        yield from batch.iter_rows()


def _print_counts(table: str, found: RejectedRows, wanted: State | None) -> None:
    """Prints how many rejected rows there are, and why."""
    count, noun = count_rejects(found.total, table)
    if found.total:
        place = found.table.replace("/", ".")
        print_text(f"{format_count(count, f'{wanted} {noun}' if wanted else noun)} in {place}")
    elif found.states and wanted:
        print_text(f"{table}: nothing is {wanted}")
    else:
        print_text(f"{table}: nothing was rejected")
    others = [f"{n:,} {state}" for state, n in found.states.items() if wanted not in (None, state)]
    if others:
        print_text(f"also {', '.join(others)}; --state all shows them")
    is_dead = found.reason_column == "reason"
    for reason, rows in found.reasons.items():
        # The name of the rule too: `discard --rule` asks for it.
        words = reason if is_dead else f"{describe_broken_rule(reason)}  (rule: {reason})"
        print_text(f"  {rows:>8,}  {escape_control_characters(words)}")
