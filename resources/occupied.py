"""Who works on a folder of data, so that two do not get in each other's way.

`python -m resources.occupied <data>` deletes the data if nobody works on it; it needs nothing that is installed.
"""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lakehouse.errors import BusyError
from lakehouse.storage.locks import hold_lock


@contextmanager
def by_ui(data: Path) -> Iterator[int]:
    """As the UI with its daemon.

    Raises:
        BusyError: another one works on the data.
    """
    busy = (
        f"A UI with its daemon works on {data} (`make ui`).\nNext: use that one, or stop it first."
    )
    with hold_lock(data / "ui.lock", busy) as descriptor:
        yield descriptor


@contextmanager
def by_demo(data: Path) -> Iterator[None]:
    """As the demonstration.

    Raises:
        BusyError: another one works on the data.
    """
    busy = f"Another demo works on {data} (`make demo`).\nNext: wait until it has ended, then run again."
    with hold_lock(data / "demo.lock", busy):
        yield


def delete(data: Path) -> None:
    """Delete a folder of data.

    Raises:
        BusyError: somebody works on it; nothing was deleted.
    """
    if data.exists():
        with by_ui(data), by_demo(data):
            shutil.rmtree(data)


if __name__ == "__main__":
    try:
        delete(Path(sys.argv[1]))
    except BusyError as error:
        sys.exit(str(error))
