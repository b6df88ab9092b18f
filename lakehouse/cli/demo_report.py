"""Prints the report of `lakehouse demo`: every row's fate, a first answer, what to try next."""

import shutil
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from lakehouse.cli.demo_rejects import print_rejects
from lakehouse.cli.output import find_width, print_paragraph, print_rows, print_text
from lakehouse.environment import Environment
from lakehouse.errors import DataError, LakehouseError, SetupError, list_problems
from lakehouse.observe import overview, sql
from lakehouse.observe.domain_files import list_domain_files
from lakehouse.observe.landing_report import describe_unclaimed, report_landing
from lakehouse.observe.table_notes import read_notes
from lakehouse.publish.audit import Audit
from lakehouse.wording import escape_control_characters, format_count

_NOTES = 3
"""How many notes of a commit are shown."""

_UNLIMITED = 10_000
"""Characters of a line in a file or a pipe."""

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
        print_rejects(here)
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
    print_paragraph("\nWhat happened to every row", style="bold")
    print_rows(_COLUMNS, map(_to_row, audits), "table", group_digits=True)
    for audit in audits:
        # Below the table, because the name of a rule is a sentence.
        lines = [
            *(f"filtered {count:,}: {rule}" for rule, count in audit.filtered.items()),
            *([f"unchanged: {audit.describe_unchanged()}"] if audit.has_unchanged else []),
            *_choose_notes(audit),
        ]
        if lines:
            print_text(f"\n{audit.table}")
        for line in lines:
            print_paragraph(f"  {escape_control_characters(line)}", indent=4)


def _choose_notes(audit: Audit) -> Sequence[str]:
    """Returns the first notes of a commit, and how many more there are."""
    # A dead letter is shown with its record further below.
    notes = [note for note in audit.notes if " dead letter" not in note]
    left = len(notes) - _NOTES
    more = f"and {format_count(left, 'more note')}; `lakehouse audit {audit.table}` has all"
    return [*notes[:_NOTES], more] if left > 0 else notes


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
    print_paragraph("\nA first answer", style="bold")
    print_paragraph(f'lakehouse sql "{" ".join(query.split())}"', indent=4)
    print_text()
    print_rows(columns, rows, "table", group_digits=True)


def _print_next_steps(here: Environment, ui_command: str) -> None:
    """Prints three things to try, which fit on a terminal of 80 columns."""
    # `make demo` calls the command by its path in an environment that is not activated.
    known = "lakehouse" if shutil.which("lakehouse") else ".venv/bin/lakehouse"
    steps = [(ui_command, "Dagster's UI on http://127.0.0.1:3000")]
    if example := next((table.name for table in here.catalog.derived_tables), None):
        steps.append((f"{known} quarantine {example}", "rejected rows, and why"))
    steps.append((f"{known} tables", "rows, size, freshness, what is stale"))
    print_text("\nTry next")
    widest = max(len(command) for command, _ in steps)
    lines = [f"  {command:<{widest}}  {meaning}" for command, meaning in steps]
    if max(map(len, lines)) > (find_width() or _UNLIMITED):
        lines = [f"  {command}\n      {meaning}" for command, meaning in steps]
    for line in lines:
        print_text(line)
