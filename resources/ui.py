"""`python -m resources.ui <command …>`: runs the program that serves the UI, and locks its data."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from lakehouse.errors import BusyError, SetupError
from lakehouse.project.data_locks import hold_for_ui, is_set_up, wait_to_set_up
from lakehouse.project.settings import find_dagster_home, load_settings


def run_as_ui(command: Sequence[str]) -> None:
    """Replaces this process by a program that holds the data for the UI as long as it runs.

    Raises:
        SetupError: a setting is wrong.
        BusyError: another UI uses the same data.
    """
    settings = load_settings()
    with hold_for_ui(settings.data) as descriptor:
        set_up_storage(find_dagster_home(settings))
        os.set_inheritable(descriptor, True)  # the lock ends with the program that inherits it
        os.execv(command[0], list(command))  # noqa: S606


def set_up_storage(dagster_home: Path) -> None:
    """Sets Dagster's storage up in a fresh folder, which a demonstration may do at the same time.

    Dagster is imported in a process of its own, and only then: that takes seconds.
    """
    if is_set_up(dagster_home):
        return
    command = [sys.executable, "-c", "import dagster; dagster.DagsterInstance.get().dispose()"]
    with wait_to_set_up(dagster_home):
        known = {**os.environ, "DAGSTER_HOME": str(dagster_home)}
        subprocess.run(command, env=known, check=True)  # noqa: S603 - the command is fixed


if __name__ == "__main__":
    try:
        run_as_ui(sys.argv[1:])
    except (BusyError, SetupError) as error:
        sys.exit(str(error))
