"""Every command of `lakehouse`, registered, and the entry point that runs them."""

# Importing a module of commands registers them with the group.
from lakehouse.cli import (
    change_commands,
    orphan_commands,
    profile_commands,
    read_commands,
    sample_commands,
    scaffold_commands,
)
from lakehouse.cli.app import App, cli

__all__ = [
    "App",
    "change_commands",
    "cli",
    "orphan_commands",
    "profile_commands",
    "read_commands",
    "run_command_line",
    "sample_commands",
    "scaffold_commands",
]


def run_command_line(app: App) -> None:
    """Runs the command that this process was called with."""
    cli(obj=app, prog_name="lakehouse")
