"""Prints the report of `lakehouse demo`: every row's fate, a first answer, what to try next."""

import shutil
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from lakehouse.cli.output import print_rows, print_text
from lakehouse.environment import Environment
from lakehouse.errors import DataError, LakehouseError, SetupError, list_problems
from lakehouse.observe import overview, sql
from lakehouse.observe.domain_files import list_domain_files
from lakehouse.observe.landing_report import describe_unclaimed, report_landing
from lakehouse.observe.rejects import read_rejects
from lakehouse.observe.table_notes import read_notes
from lakehouse.origin import Origin
from lakehouse.publish.audit import Audit
from lakehouse.system_columns import TOO_LARGE
from lakehouse.wording import escape_control_characters, format_count

_EXAMPLES = 3
"""How many rejected rows of a table are shown."""

_STEP_WIDTH = 29
"""Characters for a command among the next steps, before its meaning."""

_NEXT_LINE = f"\n{' ' * (_STEP_WIDTH + 2)}"

# The fates of the rows alone, which fit in 80 columns; `lakehouse audit` has the rest.
_COLUMNS = ("table", "read", "written", "quarantined", "superseded", "filtered", "dead")


def refuse_idle(here: Environment, refused: Mapping[str, LakehouseError]) -> None:
    """Raises if there is nothing to work on.

    Args:
        here: where the demonstration runs.
        refused: the domains to leave alone, each with the refusal to show.

    Raises:
        SetupError: there is nothing to land, or every domain with files is refused.
    """
    if not here.catalog.raw_tables:
        raise SetupError(
            "No raw table is declared, so there is nothing to land.\n"
            "Next: declare one under assets/, as docs/add-a-table.md shows."
        )
    busy = [domain for domain, files in list_domain_files(here).items() if files.all]
    if not busy:
        folders = ", ".join(raw.landing for raw in here.catalog.raw_tables)
        next_step = describe_unclaimed(here) or f"Next: put files into its folders {folders}."
        raise SetupError(f"There are no files for a table in {here.landing.root}.\n{next_step}")
    # Only domains with files can be refused. While one is left, the others are refused in the end.
    if len(refused) == len(busy):
        raise refused[busy[0]]


def read_versions(here: Environment) -> dict[str, int | None]:
    """Returns the version of each declared table; None for one that does not exist yet."""
    return {name: here.lake.version(name) for name in here.catalog.tables}


def print_report(
    here: Environment,
    before: Mapping[str, int | None],
    problems: Sequence[str],
    refused: Mapping[str, LakehouseError],
    first_question: str | None,
    ui_command: str,
) -> None:
    """Prints what the runs did to every row, and what to try next.

    Args:
        here: where they ran.
        before: the version of each table before the runs.
        problems: why runs failed.
        refused: the domains that were left alone, each with the refusal.
        first_question: the query whose rows are shown, if there is one.
        ui_command: opens Dagster's UI.

    Raises:
        DataError: a run failed.
        LakehouseError: a domain was refused.
    """
    audits = _list_audits_since(here, before)
    if audits:
        _print_audits(audits)
        _print_rejects(here)
    # Beside a failure, "nothing new" would be false.
    elif not problems:
        print_text(_describe_nothing_new(here, refused))
    _print_notes(here)
    if note := describe_unclaimed(here):
        print_text(f"\n{note}")
    if first_question:
        _print_answer(here, first_question)
    # Errors end the command, so they come when all else is printed.
    if problems:
        reasons = [str(error).splitlines()[0] for error in refused.values()]
        raise DataError(
            list_problems(
                "Some tables could not be made.",
                [*problems, *reasons],
                "fix these problems and run again; everything else is up to date.",
            )
        )
    for error in refused.values():
        raise error
    _print_next_steps(here, ui_command)


def _describe_nothing_new(here: Environment, refused: Mapping[str, LakehouseError]) -> str:
    """Returns why nothing was written: there was no news, or it was left alone."""
    waiting = {
        name: len(news.ready) + len(news.unfinished)
        for name, news in report_landing(here).news.items()
        if news.ready or news.unfinished
    }
    if refused:
        return f"Nothing was written: {', '.join(refused)} was left alone, see below."
    if waiting:
        files = ", ".join(f"{format_count(n, 'file')} of {name}" for name, n in waiting.items())
        return (
            f"Nothing was written: {files} may still be being written, or came just now.\n"
            "Next: run again when they are complete."
        )
    return (
        "Nothing new: every file in landing is landed, and no table is older than its inputs. "
        "Nothing was written."
    )


def _list_audits(here: Environment, name: str) -> list[Audit]:
    return overview.list_audits(here, name) if here.lake.open_shared(name) is not None else []


def _list_audits_since(here: Environment, before: Mapping[str, int | None]) -> list[Audit]:
    """Returns the audits of the commits that followed some versions."""
    known = {name: -1 if version is None else version for name, version in before.items()}
    return [
        audit
        for name in here.catalog.tables
        for audit in _list_audits(here, name)
        if (audit.version or 0) > known[name]
    ]


def _print_audits(audits: Sequence[Audit]) -> None:
    print_text("\nWhat happened to every row")
    print_rows(_COLUMNS, map(_to_row, audits), "table", group_digits=True)
    print_text()
    for audit in audits:
        # Below the table, because a name is a sentence that may hold commas.
        for rule, count in audit.filtered.items():
            print_text(f"  {audit.table}: filtered {count:,}: {escape_control_characters(rule)}")
        if audit.has_unchanged:
            print_text(f"  {audit.table}: unchanged: {audit.describe_unchanged()}")
        for note in audit.notes:
            print_text(f"  {audit.table}: {escape_control_characters(note)}")


def _to_row(audit: Audit) -> Sequence[Any]:
    return (
        audit.table,
        audit.read,
        audit.written,
        audit.quarantined,
        audit.superseded,
        sum(audit.filtered.values()),
        audit.dead_letters,
    )


def _print_rejects(here: Environment) -> None:
    """Prints the open rejected rows of each table by reason, with the place of some."""
    for name in here.catalog.tables:
        found = read_rejects(here, name, _EXAMPLES)
        if found.total:
            place = found.table.replace("/", ".")
            print_text(
                f"\n{format_count(found.total, 'rejected row')} of {name}, kept whole in {place}:"
            )
        for reason, count in found.reasons.items():
            print_text(f"  {count:>6,}  {escape_control_characters(reason)}")
        for row in found.rows.collect().iter_rows(named=True):
            print_text(f"          e.g. {escape_control_characters(_describe_place(row))}")


def _describe_place(row: Mapping[str, Any]) -> str:
    """Returns where a rejected row comes from; of an aggregate, the values that it has."""
    if "_source" not in row:
        values = ", ".join(f"{n} {value}" for n, value in row.items() if not n.startswith("_"))
        return f"{values}; too large: {large}" if (large := row.get(TOO_LARGE)) else values
    place = "the whole file" if row["_offset"] is None else f"record {row['_offset']}"
    return f"{Origin.parse(row['_source']).label}, {place}"


def _print_notes(here: Environment) -> None:
    """Prints periods that were held back or made by other code, and how to make them again."""
    # No run makes these by itself: the same rows by the same code would be held back again, and
    # changed code alone makes nothing stale. So the command is printed.
    for table in here.catalog.derived_tables:
        notes = read_notes(here.lake, table)
        for period, reason in notes.held_back.items():
            why = escape_control_characters(reason)
            print_text(f"  {table.name} [{period}]: held back, so it is unchanged: {why}")
        if notes.outdated:
            periods = [period for period in notes.outdated if isinstance(period, date)]
            span = f" --partition-range {min(periods)}...{max(periods)}" if periods else ""
            print_text(
                f"  {table.name}: {notes}. To rebuild: "
                f"dagster asset materialize -m lakehouse.definitions --select {table.name}{span}"
            )


def _print_answer(here: Environment, query: str) -> None:
    try:
        columns, rows = sql.run_query(here.lake, query)
    except LakehouseError:
        return  # the mart does not exist yet: nothing was landed that reaches it
    print_text(f'\nA first answer:  lakehouse sql "{" ".join(query.split())}"')
    print_rows(columns, rows, "table")
    print_text()


def _print_next_steps(here: Environment, ui_command: str) -> None:
    steps = [(ui_command, "Dagster's UI on http://127.0.0.1:3000, sensors on")]
    # `make demo` calls the command by its path in an environment that is not activated.
    if shutil.which("lakehouse") is None:
        steps.append((". .venv/bin/activate", "puts `lakehouse` on the path"))
    steps.append(("lakehouse tables", "rows, bytes, freshness, and what is stale"))
    if example := _find_example(here):
        table, span = example
        steps.append((f"lakehouse audit {table}", "what became of every row, commit by commit"))
        steps.append((f"lakehouse quarantine {table}", "rejected rows, and why"))
        again = f"dagster asset materialize -m lakehouse.definitions --select {table}"
        if span:
            steps.append((f"{again} --partition-range {span}", "a backfill in one run"))
        else:
            steps.append((again, "rebuilds it"))
    print_text("Try next")
    for command, meaning in steps:
        # A long command gets a line of its own.
        gap = " " * (_STEP_WIDTH - len(command)) if len(command) < _STEP_WIDTH else _NEXT_LINE
        print_text(f"  {command}{gap}{meaning}")


def _find_example(here: Environment) -> tuple[str, str | None] | None:
    """Returns a table to try commands on, and the range of days for which it was made.

    A table with partitions that was made comes first; any other has no range. None if no table is
    derived.
    """
    for table in here.catalog.derived_tables:
        spans = [span for audit in _list_audits(here, table.name) for span in audit.materialized]
        if table.partitions and spans:
            first, last = min(span.first for span in spans), max(span.last for span in spans)
            return table.name, f"{first}...{last}"
    return next(((table.name, None) for table in here.catalog.derived_tables), None)
