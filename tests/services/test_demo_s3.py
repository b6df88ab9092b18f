"""`make demo-s3`: the demo in a bucket of a server that it starts and ends, also when it is stopped."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from support.projects import ROOT, link_project
from support.sizes import first

DEMO = [sys.executable, "-m", "resources.demo_s3", "2"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A checkout whose `.env` names a lake of somebody's own, in a bucket that does not answer."""
    link_project(tmp_path)
    mine = ("LAKEHOUSE_LAKE=s3://mine/lake", "AWS_ENDPOINT_URL_S3=http://127.0.0.1:9")
    (tmp_path / ".env").write_text("\n".join(mine))
    return tmp_path


@pytest.fixture
def running(project: Path) -> Iterator["subprocess.Popen[str]"]:
    known = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore", "COLUMNS": "120"}
    with subprocess.Popen(
        DEMO, cwd=project, env=known, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        yield process
        process.kill()


@pytest.mark.full
@pytest.mark.slow("a whole demo, whose tables are in a bucket")
def test_the_demo_in_a_bucket_prints_the_account_and_leaves_nothing(running, project):
    before = sorted(path.name for path in project.iterdir())
    told, _ = running.communicate(timeout=240)
    assert running.returncode == 0, told
    assert re.search(r"^raw/invoice_lines +[1-9]", told, re.MULTILINE)
    assert re.search(r"ended well: the bucket held [\d,]+ objects, and the queue [1-9]", told)
    assert sorted(path.name for path in project.iterdir()) == before
    assert "s3://mine" not in told


@pytest.mark.parametrize("asked", first(1, [signal.SIGINT, signal.SIGTERM]))
def test_a_demo_that_is_stopped_ends_its_server(running, asked):
    assert "An S3 server runs on" in running.stdout.readline()
    started = psutil.Process(running.pid).children(recursive=True)
    assert any("s3_server" in " ".join(one.cmdline()) for one in started)
    running.send_signal(asked)
    told, _ = running.communicate(timeout=30)
    assert running.returncode == 130, told
    assert told.endswith("The server has ended, and nothing of it is left.\n")
    assert psutil.wait_procs(started, timeout=10)[1] == []
