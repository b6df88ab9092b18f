"""The progress of `lakehouse demo` on a terminal: the bars leave what is printed after them."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
from lakehouse.cli.demo_progress import show_progress
with show_progress() as progress:
    progress.land("raw/sales", 1, 2)
    progress.land("raw/sales", 2, 2)
    progress.announce(["staged/sales", "marts/sales"], None)
    progress.announce(["marts/months"], None)
"""
CURSOR_UP = "\x1b[1A"


def test_a_bar_is_not_drawn_over_the_runs_that_are_announced():
    ours, theirs = pty.openpty()
    known = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "80"}
    subprocess.run(
        [sys.executable, "-c", SCRIPT], stdout=theirs, stderr=theirs, env=known, check=True
    )
    os.close(theirs)
    text = os.read(ours, 65536).decode()
    os.close(ours)
    assert "landing raw/sales" in text
    after = text.partition("  making staged/sales, marts/sales")[2]
    assert re.search(r"  making marts/months  \(\d+\.\d s\)\r\n$", after)
    assert CURSOR_UP not in after


def test_in_a_pipe_each_step_is_one_line_with_its_seconds():
    known = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, env=known, check=True
    )
    assert re.sub(r"\d+\.\d", "0.0", done.stdout) == (
        "  making staged/sales, marts/sales  (0.0 s)\n  making marts/months  (0.0 s)\n"
    )
