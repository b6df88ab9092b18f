"""`python -m resources.ui`: its services end with it, and those that a killed one left before the next."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.sizes import full

from lakehouse.project.leases import is_running
from resources.clean_data import delete_data
from resources.ui_processes import find_ui_processes

ROOT = Path(__file__).resolve().parents[2]
DEAF = """
import signal, subprocess, sys, time
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
inner = subprocess.Popen(["sleep", "120"])
print(inner.pid, flush=True)
time.sleep(120)
"""


@pytest.fixture
def start(tmp_path) -> Callable[..., "subprocess.Popen[str]"]:
    """Starts programs that stand for services of the UI."""
    home = tmp_path / "dagster"
    home.mkdir()
    (home / ".set_up").write_text("[]")  # or Dagster would be imported to set its storage up
    known = {name: value for name, value in os.environ.items() if not name.startswith("LAKEHOUSE_")}
    known |= {"LAKEHOUSE_DATA": str(tmp_path), "DAGSTER_HOME": str(home), "PYTHONPATH": str(ROOT)}
    started: list[subprocess.Popen[str]] = []

    def begin(code: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "resources.ui", sys.executable, "-c", code]
        started.append(
            subprocess.Popen(command, cwd=tmp_path, env=known, stdout=subprocess.PIPE, text=True)
        )
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()
    for pid in find_ui_processes(tmp_path):
        os.kill(pid, signal.SIGKILL)


def wait_for_services(folder: Path, inner: int) -> list[int]:
    """Returns the processes of the UI; one that just began shows its environment a moment later."""
    deadline = time.monotonic() + 10
    while inner not in (found := find_ui_processes(folder)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert inner in found
    return found


def wait_for_end(pids: list[int]) -> bool:
    deadline = time.monotonic() + 10
    while any(map(is_running, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not any(map(is_running, pids))


@pytest.mark.full
@pytest.mark.parametrize("number", [signal.SIGINT, full(signal.SIGTERM), full(signal.SIGHUP)])
def test_services_that_hear_no_signal_end_with_the_ui(start, number, tmp_path):
    ui = start(DEAF)
    inner = int(ui.stdout.readline())
    services = wait_for_services(tmp_path, inner)
    ui.send_signal(number)
    assert ui.wait(30) == 0
    assert wait_for_end(services)


@pytest.mark.full
def test_the_ui_ends_with_the_code_of_its_program_and_leaves_nothing(start, tmp_path):
    ui = start("import subprocess, sys; subprocess.Popen(['sleep', '120']); sys.exit(7)")
    assert ui.wait(30) == 7
    assert wait_for_end(find_ui_processes(tmp_path))


def test_what_a_killed_ui_left_is_ended_by_the_next_one_which_says_so(start, tmp_path):
    killed = start(DEAF)
    inner = int(killed.stdout.readline())
    wait_for_services(tmp_path, inner)
    killed.kill()
    killed.wait()
    left = find_ui_processes(tmp_path)
    assert inner in left
    said = start("print('serving', flush=True)").stdout
    assert said.readline() == (
        f"Ended the processes {', '.join(map(str, left))} of a UI on {tmp_path} that was killed.\n"
    )
    assert said.readline() == "serving\n"
    assert wait_for_end(left)


@pytest.mark.full
def test_data_that_a_killed_ui_still_uses_are_deleted_after_its_processes_were_ended(
    start, tmp_path
):
    killed = start(DEAF)
    killed.stdout.readline()
    killed.kill()
    killed.wait()  # its lock ends with it
    left = find_ui_processes(tmp_path)
    delete_data(tmp_path)
    assert wait_for_end(left)
    assert not tmp_path.exists()


def test_the_ui_of_other_data_is_left_alone(start, tmp_path):
    ui = start(DEAF)
    inner = int(ui.stdout.readline())
    assert find_ui_processes(tmp_path.parent) == []
    assert is_running(inner)
