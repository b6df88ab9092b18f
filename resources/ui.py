"""`python -m resources.ui <command …>`: runs the program that serves the UI, and locks its data."""

import os
import sys
from collections.abc import Sequence

from lakehouse.data_locks import hold_for_ui
from lakehouse.errors import BusyError, SetupError
from lakehouse.settings import load_settings


def run_as_ui(command: Sequence[str]) -> None:
    """Replaces this process by a program that holds the data for the UI as long as it runs.

    Raises:
        SetupError: a setting is wrong.
        BusyError: another UI uses the same data.
    """
    with hold_for_ui(load_settings().data) as descriptor:
        os.set_inheritable(descriptor, True)  # the lock ends with the program that inherits it
        os.execv(command[0], list(command))  # noqa: S606


if __name__ == "__main__":
    try:
        run_as_ui(sys.argv[1:])
    except (BusyError, SetupError) as error:
        sys.exit(str(error))
