"""Locks on the folders of a project, so that two processes do not get in each other's way.

It needs the standard library alone: `make clean-data` runs before anything is installed.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lakehouse.storage.locks import hold_lock, wait_for_lock

_MARK = ".set_up"
_LONGEST_SET_UP = 60.0  # seconds; it takes one or two


@contextmanager
def hold_for_ui(data: Path) -> Iterator[int]:
    """Holds the data for the UI with its daemon.

    Raises:
        BusyError: another UI uses the data.
    """
    busy = (
        f"A UI with its daemon is already using {data} (`make ui`).\n"
        "Next: use that one, or stop it first."
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
        f"Another demo is already using {data} (`lakehouse demo`).\n"
        "Next: wait until it ends, then run again."
    )
    with hold_lock(data / "demo.lock", busy):
        yield


@contextmanager
def hold_for_deletion(data: Path) -> Iterator[None]:
    """Holds the data against everybody else.

    Raises:
        BusyError: a UI or a demonstration uses the data.
    """
    with hold_for_ui(data), hold_for_demo(data):
        yield


def is_set_up(dagster_home: Path) -> bool:
    """Whether Dagster's storage in a folder was set up by a process that had it for itself."""
    # The mark lists the databases: one that outlived them would let processes set them up at once.
    try:
        listed = json.loads((dagster_home / _MARK).read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return False
    return isinstance(listed, list) and all((dagster_home / name).exists() for name in listed)


@contextmanager
def wait_to_set_up(dagster_home: Path) -> Iterator[None]:
    """Lets the processes that open Dagster's storage in a fresh folder do so in turn.

    Dagster sets its databases up in each process that finds none. If two do so at the same time,
    one may take the half-made database of the other for one of an old version and stamp it with a
    second revision. After that nobody can open it any more.

    Raises:
        BusyError: another process has been setting it up for a minute.
    """
    if is_set_up(dagster_home):
        yield
        return
    dagster_home.mkdir(parents=True, exist_ok=True)
    purpose = f"Dagster's storage in {dagster_home} is set up"
    with wait_for_lock(dagster_home / ".setting_up", purpose, longest=_LONGEST_SET_UP):
        yield
        databases = sorted(dagster_home.glob("*/*.db")) + sorted(dagster_home.glob("*/*/index.db"))
        listed = [str(file.relative_to(dagster_home)) for file in databases]
        (dagster_home / _MARK).write_text(json.dumps(listed))


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
