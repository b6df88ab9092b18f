"""The processes of a UI: found by a mark in their environment, which children inherit.

It needs the standard library alone. Where the system does not show the environment of a process,
such as on macOS, none is found.
"""

import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from lakehouse.project.leases import is_running

UI_OF = "DAGSTER_UI_OF"
"""The variable by which the processes of a UI know their data."""

_GRACE = 1.5  # seconds in which a process may end by itself
_POLL = 0.05


def find_ui_processes(data: Path) -> list[int]:
    """Returns the processes that serve the UI on some data: servers and daemon, not run workers.

    A worker whose servers are dead still does its run to the end.
    """
    mark = f"{UI_OF}={data.resolve()}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        # It may end at any moment, or belong to somebody else.
        with suppress(OSError):
            is_marked = mark in (folder / "environ").read_bytes().split(b"\0")
            if is_marked and b"multiprocessing" not in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return [pid for pid in found if pid != os.getpid() and is_running(pid)]


def end_left_processes(data: Path) -> str | None:
    """Ends the processes that a killed UI left; returns a line about it, if any."""
    if not (pids := find_ui_processes(data)):
        return None
    deadline = time.monotonic() + _GRACE
    _send(pids, signal.SIGTERM)
    while any(map(is_running, pids)) and time.monotonic() < deadline:
        time.sleep(_POLL)
    _send([pid for pid in pids if is_running(pid)], signal.SIGKILL)
    return f"Ended the processes {', '.join(map(str, pids))} of a UI on {data} that was killed."


def _send(pids: Sequence[int], number: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
