"""Commands for tables whose declaration changed: `drop`, `adopt` and `retype`."""

import sys

import click

from lakehouse.cli.app import App, cli, user_option
from lakehouse.cli.output import print_text
from lakehouse.errors import SetupError
from lakehouse.operations.orphans import Orphan, adopt_orphan, drop_orphan, find_orphan
from lakehouse.operations.retype import plan_retyping, retype
from lakehouse.wording import format_count


@cli.command("drop", short_help="Delete a table that nothing declares.")
@click.argument("table")
@user_option()
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def run_drop(app: App, /, table: str, who: str, yes: bool) -> None:  # noqa: FBT001
    """Delete TABLE (`<layer>/<table>`) for good, if nothing declares it any more.

    Its rejected rows go with it. The open dead letters of a raw table become discarded.
    """
    here = app.environment()
    orphan = find_orphan(here, table)
    print_text(_describe_drop(orphan))
    if not yes and not sys.stdin.isatty():
        raise SetupError(
            "Nothing was dropped: there is no terminal to ask for consent.\nNext: add --yes."
        )
    if not yes:
        click.confirm("Drop it? This cannot be undone.", abort=True)
    drop_orphan(here, orphan, who)
    print_text(f"{table} is gone.")


def _describe_drop(orphan: Orphan) -> str:
    parts = [f"{format_count(orphan.rows, 'row')} of {orphan.table}, with all versions of it"]
    if orphan.quarantine:
        parts.append(f"its rejected rows in {orphan.quarantine}")
    if orphan.open_dead_letters:
        letters = format_count(orphan.open_dead_letters, "open dead letter")
        parts.append(f"{letters} (kept as discarded)")
    return f"This drops {'; '.join(parts)}."


@cli.command("adopt", short_help="Keep a renamed raw table under its new name.")
@click.argument("table")
@click.argument("name")
@user_option()
@click.pass_obj
def run_adopt(app: App, /, table: str, name: str, who: str) -> None:
    """Keep the rows of raw TABLE, which nothing declares any more, as those of the raw table NAME.

    Its dead letters go with it, and TABLE is dropped. Tables that are made from others need no
    adoption: the next run makes them under their new name.
    """
    here = app.environment()
    audit = adopt_orphan(here, find_orphan(here, table), name, who)
    print_text(f"{name} holds the {format_count(audit.rows, 'row')} of {table}, which is gone.")
    print_text(
        "Next: move the folder in landing to the new name too; the next run makes what reads it "
        "(`lakehouse demo`, or Dagster's UI)."
    )


@cli.command("retype", short_help="Bring the columns of a raw table to their declared types.")
@click.argument("table")
@user_option()
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def run_retype(app: App, /, table: str, who: str, yes: bool) -> None:  # noqa: FBT001
    """Bring the stored columns of raw TABLE to the types that are declared for them now.

    Every row is written again in one commit, with its origin. If a value does not fit its new type,
    nothing is changed, and the message names it. `lakehouse restore` undoes it.
    """
    here = app.environment()
    retyping = plan_retyping(here, table)
    if not retyping.columns:
        print_text(f"{table} has the declared types already.")
        return
    rows = format_count(retyping.rows, "row")
    print_text(f"This writes the {rows} of {table} again: {retyping.describe()}.")
    if not yes and not sys.stdin.isatty():
        raise SetupError(
            "Nothing was changed: there is no terminal to ask for consent.\nNext: add --yes."
        )
    if not yes:
        click.confirm("Write them again?", abort=True)
    audit = retype(here, retyping, who)
    print_text(
        f"{table} is now at version {audit.version}, with the declared types.\n"
        "Next: the next run rebuilds what reads it (`lakehouse demo`, or Dagster's UI)."
    )
