"""`lakehouse-ui`: two services that end together."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from lakehouse.orchestration import ui

ROOT = Path(__file__).resolve().parents[2]
RUN = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from lakehouse.orchestration.ui import run_services
sys.exit(run_services([[sys.executable, "-c", code] for code in sys.argv[1:]]))
"""
WAIT = "import os, time; os.write(1, b'up\\n'); time.sleep(60)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {WAIT}"


def start(*services: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", RUN, *services], stdout=subprocess.PIPE, text=True
    )


def test_when_one_service_ends_the_other_ends_too():
    with start("raise SystemExit(3)", WAIT) as running:
        running.stdout.read()  # until the last of them has ended
        assert running.wait(30) == 3


def test_a_service_that_ends_without_an_error_is_one_all_the_same():
    with start("pass", WAIT) as running:
        assert running.wait(30) == 1


@pytest.mark.parametrize("asked", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_all_of_them(asked):
    with start(WAIT, WAIT) as running:
        assert [running.stdout.readline(), running.stdout.readline()] == ["up\n", "up\n"]
        running.send_signal(asked)
        assert running.stdout.read() == ""
        assert running.wait(30) == 0


def test_a_service_that_does_not_listen_is_ended_all_the_same():
    with start(STUBBORN, WAIT) as running:
        assert [running.stdout.readline(), running.stdout.readline()] == ["up\n", "up\n"]
        running.terminate()
        assert running.wait(30) == 0  # the service itself would take a minute


SERVING = """
import subprocess, sys, time
waiting = [sys.executable, "-c", "import time; time.sleep(60)", "api", "grpc"]
inner = subprocess.Popen(waiting, stdout=subprocess.DEVNULL)
print(inner.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.full
def test_a_service_whose_code_server_was_killed_is_started_again_and_the_other_is_not():
    with start(SERVING, WAIT) as running:
        said = {running.stdout.readline(), running.stdout.readline()}
        [first] = said - {"up\n"}
        time.sleep(1.5)  # it has been seen by then
        os.kill(int(first), signal.SIGKILL)
        assert "was killed; starting python" in running.stdout.readline()
        second = int(running.stdout.readline())
        running.terminate()
        assert running.stdout.read() == ""
        os.kill(second, signal.SIGKILL)


def test_a_folder_without_a_workspace_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = CliRunner().invoke(ui.main, [])
    assert (told.exit_code, "There is no workspace.yaml here" in told.output) == (2, True)


def test_a_wrong_setting_is_told_before_anything_starts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "workspace.yaml").touch()
    monkeypatch.setenv("LAKEHOUSE_UI_HOSTS", "https://a.io")
    with pytest.raises(SystemExit, match=r"LAKEHOUSE_UI_HOSTS: holds 'https://a\.io'"):
        ui.main.callback("workspace.yaml", "127.0.0.1", 0)
    assert [path.name for path in tmp_path.iterdir()] == ["workspace.yaml"]
