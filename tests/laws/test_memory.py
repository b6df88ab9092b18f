"""Law 7: memory does not grow with the rows that are made."""

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
MAKE = """
import sys
from datetime import date
from bench import daily
from lakehouse.catalog import collect
from lakehouse.lake import Lake
from lakehouse.make import make
from lakehouse.windows import Days
audit = make(Lake(sys.argv[1]), collect([daily]), "staged/readings", Days(date(2024, 1, 1), date(2024, 12, 30)))
assert audit.written == int(sys.argv[2]) * 365, audit
"""
FILL = """
import sys
from bench import daily
from lakehouse.lake import Lake
daily.fill(Lake(sys.argv[1]), int(sys.argv[2]))
"""


def peak(folder: Path, rows_a_day: int) -> int:
    """Anonymous memory at its highest, in bytes, while a year of readings is staged in one run."""
    asked = [str(folder), str(rows_a_day)]
    subprocess.run([sys.executable, "-c", FILL, *asked], check=True, cwd=ROOT)
    most = 0
    with subprocess.Popen([sys.executable, "-c", MAKE, *asked], cwd=ROOT) as process:
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            most = max(most, anonymous(watched))
            time.sleep(0.01)
    assert process.returncode == 0
    return most


def anonymous(process: psutil.Process) -> int:
    """Memory that no file stands behind."""
    try:
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    except FileNotFoundError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("RssAnon"))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="anonymous memory is read from /proc")
def test_a_backfill_of_four_times_the_rows_does_not_hold_them(tmp_path):
    small, large = peak(tmp_path / "small", 5_000), peak(tmp_path / "large", 20_000)
    # Rows that are held take some 160 bytes each; how many wait at a moment varies, at some 20 to 40 bytes a row.
    assert large - small < 80 * 15_000 * 365, f"{small >> 20} MiB and {large >> 20} MiB"
