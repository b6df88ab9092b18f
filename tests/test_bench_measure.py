"""What a run took is that of all of its processes, of those that ended before it too."""

import sys

import pytest

from bench.measure import run_command

BUSY = "import time\nwhile time.process_time() < 0.3: pass"
UNWAITED = f"""
import os, subprocess, sys
busy = subprocess.Popen([sys.executable, "-S", "-c", {BUSY!r}])
os.waitid(os.P_PID, busy.pid, os.WEXITED | os.WNOWAIT)
"""


@pytest.mark.parametrize("joined", ["{0} && exec {0}", "sh -c '{0} && {0}; true'"])
def test_the_time_of_processes_that_ended_counts(joined):
    busy = f'{sys.executable} -S -c "{BUSY}"'
    assert 0.6 <= run_command(["sh", "-c", joined.format(busy)]).cpu_seconds < 1.2


def test_the_time_of_a_process_that_nobody_waits_for_counts():
    assert 0.2 <= run_command([sys.executable, "-S", "-c", UNWAITED]).cpu_seconds < 0.8
