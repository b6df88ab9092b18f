"""Locks on a folder of data, so that two processes do not get in each other's way.

`python -m resources.occupied <data>` deletes the data if no process uses it.
"""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lakehouse.errors import BusyError
from lakehouse.storage.locks import hold_lock


@contextmanager
def hold_for_ui(data: Path) -> Iterator[int]:
    """Holds the data for the UI with its daemon.

    Raises:
        BusyError: another UI uses the data.
    """
    busy = (
        f"A UI with its daemon works on {data} (`make ui`).\nNext: use that one, or stop it first."
    )
    with hold_lock(data / "ui.lock", busy) as descriptor:
        yield descriptor


@contextmanager
def hold_for_demo(data: Path) -> Iterator[None]:
    """Holds the data for the demonstration.

    Raises:
        BusyError: another demonstration uses the data.
    """
    busy = (
        f"Another demo works on {data} (`make demo`).\n"
        "Next: wait until it has ended, then run again."
    )
    with hold_lock(data / "demo.lock", busy):
        yield


def delete_data(data: Path) -> None:
    """Deletes a folder of data.

    Raises:
        BusyError: a process uses it; nothing was deleted.
    """
    if data.exists():
        with hold_for_ui(data), hold_for_demo(data):
            shutil.rmtree(data)


if __name__ == "__main__":
    try:
        delete_data(Path(sys.argv[1]))
    except BusyError as error:
        sys.exit(str(error))
