"""Law 7: memory does not grow with the rows that are made."""

from pathlib import Path

import pytest
from support.sizes import full

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


@pytest.mark.full
@pytest.mark.slow("memory shows only over some millions of rows, in two processes")
@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="anonymous memory is read from /proc"
)
@pytest.mark.parametrize("rows_a_day", [2_000, full(6_000)])
def test_a_backfill_of_four_times_the_rows_does_not_hold_them(tmp_path, rows_a_day):
    small = peak(tmp_path / "small", rows_a_day)
    large = peak(tmp_path / "large", 4 * rows_a_day)
    # Rows that are held take some 160 bytes each; how many wait at a moment varies, at some 20 to 40 bytes a row.
    more = 3 * rows_a_day * daily.DAYS
    assert large - small < 80 * more / 2**20, f"{small:.0f} MiB and {large:.0f} MiB"
