"""The cost of a run covers all of its processes, including those that ended before it."""

import subprocess
import sys

import pytest
from support.written import at_least

from bench.measure import Tree, run_command

BUSY = "import time\nwhile time.process_time() < 0.3: pass"
UNWAITED = f"""
import os, subprocess, sys
busy = subprocess.Popen([sys.executable, "-S", "-c", {BUSY!r}])
os.waitid(os.P_PID, busy.pid, os.WEXITED | os.WNOWAIT)
"""


@pytest.mark.full
@pytest.mark.parametrize("joined", ["{0} && exec {0}", "sh -c '{0} && {0}; true'"])
def test_the_time_of_processes_that_ended_counts(joined):
    busy = f'{sys.executable} -S -c "{BUSY}"'
    assert 0.6 <= run_command(["sh", "-c", joined.format(busy)]).cpu_seconds < 1.2


def test_what_all_processes_wrote_counts_though_it_is_gone(tmp_path):
    file = tmp_path / "scratch"
    cost = run_command(["sh", "-c", f"sh -c 'head -c 3145728 /dev/zero > {file}'; rm {file}"])
    assert not cost.written_mib < at_least(3, tmp_path)
    assert not cost.written_mib >= 4


def test_a_tree_that_goes_on_is_told_with_what_has_ended_in_it(tmp_path):
    script = f"{BUSY}\nimport subprocess, sys, time\nsubprocess.run([sys.executable, '-S', '-c', {BUSY!r}])\n"
    script += f"open({str(tmp_path / 'file')!r}, 'wb').write(bytes(2**21)); print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-S", "-c", script], stdout=subprocess.PIPE) as process:
        tree = Tree(process.pid)
        assert process.stdout is not None
        process.stdout.readline()
        tree.look()
        cpu, written = tree.totals()
        process.kill()
    assert 0.57 <= cpu < 1.2  # of living processes the system tells hundredths, cut off
    assert not written < at_least(2, tmp_path)
    assert not written >= 3
    assert tree.peak_mib > 1


def test_the_time_of_a_process_that_nobody_waits_for_counts():
    assert 0.2 <= run_command([sys.executable, "-S", "-c", UNWAITED]).cpu_seconds < 0.8
