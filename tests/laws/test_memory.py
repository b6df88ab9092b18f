"""Law 7: memory does not grow with the rows that are made."""

from pathlib import Path

import pytest

from bench import daily
from bench.backfill import BATCHED
from bench.measure import run
from lakehouse.storage.lake import Lake


def peak(folder: Path, rows_a_day: int) -> float:
    """Anonymous memory at its highest, in MiB, while a year of readings is staged in one run."""
    daily.fill(Lake(str(folder / "lake")), rows_a_day)
    cost = run("bench.backfill", "--way", BATCHED, "--home", str(folder))
    assert cost.said["rows"] == rows_a_day * daily.DAYS
    return cost.peak_mib


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="anonymous memory is read from /proc"
)
def test_a_backfill_of_four_times_the_rows_does_not_hold_them(tmp_path):
    small, large = peak(tmp_path / "small", 5_000), peak(tmp_path / "large", 20_000)
    # Rows that are held take some 160 bytes each; how many wait at a moment varies, at some 20 to 40 bytes a row.
    assert large - small < 80 * 15_000 * daily.DAYS / 2**20, f"{small:.0f} MiB and {large:.0f} MiB"
