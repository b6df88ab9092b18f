"""`python -m resources.ui <command …>`: become the program that serves the UI, and be known as such to others."""

import os
import sys
from collections.abc import Sequence

from lakehouse.errors import BusyError, SetupError
from resources.occupied import by_ui
from resources.settings import load


def become(command: Sequence[str]) -> None:
    """Become a program that holds the place of the UI for as long as it lives.

    Raises:
        SetupError: a setting is wrong.
        BusyError: another UI works on the same data.
    """
    with by_ui(load().data) as descriptor:
        os.set_inheritable(descriptor, True)
        os.execv(command[0], list(command))  # noqa: S606


if __name__ == "__main__":
    try:
        become(sys.argv[1:])
    except (BusyError, SetupError) as error:
        sys.exit(str(error))
