"""`python -m resources.clean_data <data>`: deletes a folder of data if no process uses it.

It needs the standard library alone: `make clean-data` runs before anything is installed.
"""

import shutil
import sys
from pathlib import Path

from lakehouse.errors import BusyError
from lakehouse.project.data_locks import hold_for_deletion
from resources.ui_processes import end_left_processes


def delete_data(data: Path) -> None:
    """Deletes a folder of data.

    Raises:
        BusyError: a process uses it; nothing was deleted.
    """
    if data.exists():
        with hold_for_deletion(data):
            end_left_processes(data)
            shutil.rmtree(data)


if __name__ == "__main__":
    try:
        delete_data(Path(sys.argv[1]))
    except BusyError as error:
        sys.exit(str(error))
