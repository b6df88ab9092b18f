"""Law 2 on a full disk: nothing incomplete is published, and once there is space the next run ends as usual."""

import os
import subprocess
import sys

import pytest
from support.worlds import bring_up_to_date, contents, world
from tills import lines, sell, till

WRITING = """
import resource, signal, sys
from pathlib import Path
from lakehouse.errors import SetupError
from support.worlds import bring_up_to_date, world
from tills import till
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    bring_up_to_date(world(Path(sys.argv[1]), till()))
except SetupError as error:
    sys.exit(str(error).splitlines()[0])
"""


def stocked(folder):
    here = world(folder, till())
    sell(here, "a", *(lines(day, 1, 2, -1, first=10 * day) for day in range(3, 9)), "7,too,short\n")
    return here


@pytest.mark.parametrize("most", [2000, 3500])
def test_a_run_without_room_changes_nothing_and_the_next_one_ends_as_ever(tmp_path, most):
    """A limit on file size stops the raw table first, then later tables and their logs."""
    here, other = stocked(tmp_path / "full"), stocked(tmp_path / "other")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", WRITING, tmp_path / "full", str(most)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert "There is no space left in" in done.stderr
    for each in (here, other):
        bring_up_to_date(each)
    assert contents(here) == contents(other)
