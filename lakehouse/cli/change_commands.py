"""Commands that change tables: `restore`, `replay` and `discard`."""

import sys
from datetime import UTC, datetime
from typing import Any

import click

from lakehouse.cli import restore_text
from lakehouse.cli.app import NOT_NEGATIVE, App, cli, count_rejects, user_option
from lakehouse.cli.output import print_rows, print_text
from lakehouse.environment import Environment
from lakehouse.errors import DataError, SetupError
from lakehouse.observe.rejects import read_rejects
from lakehouse.operations.file_commits import find_version_before
from lakehouse.operations.replay import ReplayReport, replay
from lakehouse.operations.restorable_versions import find_version_at
from lakehouse.operations.restore import RestoreRequest, restore
from lakehouse.operations.restore_plan import plan_restore
from lakehouse.quarantine.discard import Choice, discard, list_unmatched
from lakehouse.wording import escape_control_characters, format_count

# A time as `lakehouse audit` prints it can be pasted; without an offset it is in UTC.
_TIMES = [
    "%Y-%m-%dT%H:%M:%S%z",
    "%Y-%m-%d",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d %H:%M",
]


@cli.command("restore", short_help="Restore an earlier version of a table.")
@click.argument("table")
@click.option(
    "--version", type=NOT_NEGATIVE, help="The version to restore; `lakehouse audit` lists them."
)
@click.option("--time", "moment", type=click.DateTime(_TIMES), help="Or a point in time, in UTC.")
@click.option("--before-file", help="Or a file of a raw table: the version before it was landed.")
@click.option("--reason", default="", help="The reason; kept in the commit.")
@user_option()
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.pass_obj
def run_restore(  # noqa: PLR0913, one parameter an option of the command
    app: App,
    /,
    table: str,
    version: int | None,
    moment: datetime | None,
    before_file: str | None,
    reason: str,
    who: str,
    yes: bool,  # noqa: FBT001
) -> None:
    """Restore an earlier version of TABLE (`<layer>/<table>`), with the rows that it rejected.

    Shows what this undoes and asks for confirmation. The next run rebuilds what is stale: see
    docs/runbook.md.
    """
    here = app.environment()
    if sum(one is not None for one in (version, moment, before_file)) != 1:
        raise SetupError(
            f"{table}: a restore needs either a version, a time or a file.\n"
            "Next: give one of --version <number>, --time <UTC time> and --before-file <name>."
        )
    if moment is not None:
        in_utc = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        version = find_version_at(here.lake, table, in_utc)
    if before_file is not None:
        version = find_version_before(here, table, before_file)
    # One of the three was given, so there is a version; `or` is for the type checker.
    plan = plan_restore(here, table, version or 0)
    # Printed even where nobody can be asked: without --yes the command shows what it would undo.
    for line in restore_text.describe_plan(plan):
        print_text(line)
    if plan.is_noop:
        return
    if not yes and not sys.stdin.isatty():
        raise SetupError(
            f"{table}: nothing was restored, because there is no terminal on which to confirm.\n"
            "Next: add --yes."
        )
    if not yes:
        click.confirm("Restore it?", abort=True)
    made = restore(here, plan, RestoreRequest(who, reason))
    print_text(f"{table} is now at version {made}, with the content of version {version}.")
    print_text(
        "Next: `lakehouse tables` shows what is stale; the next run rebuilds it "
        "(`lakehouse demo`, or Dagster's UI)."
    )


@cli.command("replay", short_help="Give rejected rows another try.")
@click.argument("table")
@click.pass_obj
def run_replay(app: App, table: str) -> None:
    """Give the open rows in the quarantine of TABLE another try.

    Use it after the contract or the transform was fixed. It rebuilds only the periods that hold
    open rows. For a raw table, it rereads the files with open dead letters.
    """
    here = app.environment()
    report = replay(here, table)
    released = format_count(*count_rejects(report.released.rows, table))
    print_text(f"{table}: {released} released, {report.remaining.rows:,} still open")
    _print_by_rule(table, report)
    for note in report.notes:
        print_text(note)
    # A replay that committed nothing made nothing stale.
    stale = here.create_planner().find_stale_tables() if report.audits else []
    if stale:
        names = ", ".join(part.table for part in stale)
        print_text(
            f"Now stale: {names}.\nNext: run `lakehouse demo`, or wait: Dagster rebuilds them "
            "while its UI runs."
        )
    # Last of all: what was released is published and printed, whatever else failed.
    if report.problems:
        raise DataError("\n".join(report.problems))


def _print_by_rule(table: str, report: ReplayReport) -> None:
    released, remaining = report.released.rules, report.remaining.rules
    rules = sorted({*released, *remaining})
    if not rules:
        return
    name = "reason" if table.startswith("raw/") else "rule"
    rows = ((rule, released.get(rule, 0), remaining.get(rule, 0)) for rule in rules)
    print_rows([name, "released", "open"], rows, "table", group_digits=True)


@cli.command("discard", short_help="Discard rejected rows.")
@click.argument("table")
@click.option("--reason", required=True, help="The reason; stored with each row.")
@click.option("--where", help="A condition in SQL over the columns that the quarantine shows.")
@click.option(
    "--rule",
    "rules",
    multiple=True,
    help="Rows that broke this rule; dead letters with this reason.",
)
@click.option("--source", "sources", multiple=True, help="Rows of this file.")
@click.option("--all", "is_all", is_flag=True, help="Every open row.")
@user_option()
@click.pass_obj
def run_discard(
    app: App,
    /,
    table: str,
    reason: str,
    who: str,
    **chosen: Any,  # noqa: ANN401
) -> None:
    """Discard open rows in the quarantine of TABLE, or the dead letters of a raw table.

    A row is discarded if it meets every condition given. It stays in quarantine, marked as
    discarded. If it passes later, it is published after all.
    """
    here = app.environment()
    # The conditions are options that are named like the fields of a choice.
    choice = Choice(**chosen)
    # Before any row is given up: a misspelt rule among others would pass unnoticed.
    unmatched = list_unmatched(here.lake, here.catalog, table, choice)
    if unmatched or not (
        count := discard(here.lake, here.catalog, table, choice, reason=reason, who=who)
    ):
        raise _refuse_choice(here, table, unmatched)
    print_text(f"{table}: {format_count(*count_rejects(count, table))} discarded by {who}")


def _refuse_choice(here: Environment, table: str, unmatched: list[str]) -> click.UsageError:
    """Returns the error for a choice that no open row meets, with what there is to choose."""
    found = read_rejects(here, table, limit=0)
    if not found.total:
        return click.UsageError(f"{table}: nothing was discarded, because nothing is open.")
    open_rows = format_count(*count_rejects(found.total, table))
    named = ", ".join(repr(one) for one in unmatched)
    why = f"no open row has {named}" if unmatched else "no open row meets every condition"
    reasons = "".join(f"\n  - {escape_control_characters(reason)}" for reason in found.reasons)
    return click.UsageError(
        f"{table}: nothing was discarded, because {why}. Open are {open_rows}, with:{reasons}\n"
        f"Next: name one of these; `lakehouse quarantine {table}` shows their files and values."
    )
