"""The `lakehouse` command: its group, what the commands work with, and how errors look.

Belongs here: what all commands share. Does not belong here: the commands themselves
(`read_commands.py`, `change_commands.py`, `sample_commands.py`), their answers (`observe/`,
`operations/`), and how answers are printed (`output.py`).
"""

import getpass
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import click
from deltalake.exceptions import DeltaError
from rich.console import Console
from rich.text import Text

from lakehouse.cli.output import OUTPUT_FORMATS
from lakehouse.environment import Environment
from lakehouse.errors import LakehouseError, summarize_error
from lakehouse.wording import escape_lines

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]
"""A decorator that adds an option to a command."""

# A limit below zero would cut the other end of a list.
NOT_NEGATIVE = click.IntRange(min=0)

_DAMAGED = "Next: run again; if it fails again, see docs/runbook.md, A damaged table."


@dataclass(frozen=True)
class App:
    """The parts of a project that the commands work with.

    Attributes:
        environment: loads the environment; called only by commands that need it.
        demo: runs the demonstration.
        samples: writes the sample files of that many more days into landing; returns their paths.
            None where the project has no samples, and so no such command.
    """

    environment: Callable[[], Environment]
    demo: Callable[[], None]
    samples: Callable[[int], Sequence[str]] | None


class _Group(click.Group):
    """A group that shows the engine's errors as a message without a traceback."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Returns a command by name; there is no `samples` in a project that has none."""
        # click leaves a command that is None out of the list in the help, too.
        if cmd_name == "samples" and isinstance(ctx.obj, App) and ctx.obj.samples is None:
            return None
        return super().get_command(ctx, cmd_name)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401
        """Runs a command; an error of the engine or of a damaged table ends it with exit code 1."""
        try:
            return super().invoke(ctx)
        except LakehouseError as error:
            raise _end_with(str(error)) from error
        except (FileNotFoundError, DeltaError) as error:
            # An error number comes from this machine's file system, say a full disk. The readers of
            # tables raise the same class with a text alone.
            if isinstance(error, FileNotFoundError) and error.errno is not None:
                raise
            reason = summarize_error(error)
            message = f"A file of a table is missing or cannot be read: {reason}\n{_DAMAGED}"
            raise _end_with(message) from error


def _end_with(message: str) -> click.exceptions.Exit:
    """Prints an error in red; returns the exit to raise."""
    # Not wrapped, so that a path or a command in a message can be copied from one line. As `Text`
    # and escaped: a message quotes names and values that may look like markup, or move the cursor.
    console = Console(stderr=True, soft_wrap=True)
    console.print(Text(escape_lines(message), style="red"))
    return click.exceptions.Exit(1)


@click.group(cls=_Group, help="Inspect and operate the lake.")
def cli() -> None:
    """The commands."""


def format_option(rows: str) -> Decorator:
    """Returns the option `--format`; `rows` names in the help what is printed."""
    return click.option(
        "--format",
        "form",
        type=click.Choice(OUTPUT_FORMATS),
        default="table",
        show_default=True,
        help=f"How to print the {rows}.",
    )


def user_option() -> Decorator:
    """Returns the option `--by`, which names the person who asks; the system's user by default."""
    return click.option(
        "--by",
        "who",
        default=_find_user,
        show_default="you",
        help="Your name, kept with the change.",
    )


def _find_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container may run under a user id that has no name.
        raise click.UsageError(
            "This system has no name for your user. Next: add --by <name>."
        ) from None


def count_rejects(count: int, table: str) -> tuple[int, str]:
    """Returns a count of rejected rows with its noun: raw tables have dead letters instead."""
    return count, "dead letter" if table.startswith("raw/") else "row"
