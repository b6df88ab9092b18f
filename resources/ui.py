"""`python -m resources.ui <command …>`: runs the program that serves the UI, and locks its data.

Dagster's services wait for each other when they end, a sensor's look for most of a minute. So this
process stays beside them: it ends all of them within three seconds, and what a UI left that was
killed is ended before the next one starts.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from lakehouse.errors import BusyError, SetupError
from lakehouse.project.data_locks import hold_for_ui, set_up_storage
from lakehouse.project.settings import find_dagster_home, load_settings
from resources.ui_processes import UI_OF, end_left_processes

_GRACE = 1.5  # seconds in which the services may end by themselves
_POLL = 0.05


def run_as_ui(command: Sequence[str]) -> int:
    """Runs a program that serves the UI, until it ends or this process is asked to end.

    Returns:
        The exit code: that of the program, or 0 if it was ended on request.

    Raises:
        SetupError: a setting is wrong.
        BusyError: another UI uses the same data.
    """
    settings = load_settings()
    with hold_for_ui(settings.data):
        if line := end_left_processes(settings.data):
            _say(line)
        set_up_storage(find_dagster_home(settings))
        return _supervise(command, {**os.environ, UI_OF: str(settings.data)})


def _supervise(command: Sequence[str], environment: Mapping[str, str]) -> int:
    with note_requests() as requests:
        # A group of its own, so that the services and the workers of their runs end together.
        child = subprocess.Popen(command, env=environment, start_new_session=True)  # noqa: S603
        while child.poll() is None and not requests:
            time.sleep(_POLL)
        signal_group(child.pid, signal.SIGINT)
        deadline = time.monotonic() + _GRACE
        # A second request is an impatient person.
        while signal_group(child.pid, 0) and time.monotonic() < deadline and len(requests) <= 1:
            child.poll()  # or it would stay in its group after its end
            time.sleep(_POLL)
        signal_group(child.pid, signal.SIGKILL)
        code = child.wait()
        return 0 if requests else code


@contextmanager
def note_requests() -> Iterator[list[int]]:
    """Yields a list to which each request to end is added."""
    requests: list[int] = []
    asking = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {
        number: signal.signal(number, lambda given, _: requests.append(given)) for number in asking
    }
    try:
        yield requests
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def signal_group(group: int, number: int) -> bool:
    """Sends a signal to a group of processes; returns whether there was any."""
    with suppress(ProcessLookupError):
        os.killpg(group, number)
        return True
    return False


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        sys.exit(run_as_ui(sys.argv[1:]))
    except (BusyError, SetupError) as error:
        sys.exit(str(error))
