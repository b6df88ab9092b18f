"""In CI a skipped test fails, unless it needs the real data and there is none."""

import os

import pytest

from support.worlds import SHARED


def fail_in_ci(item: pytest.Item, report: pytest.TestReport) -> None:
    """Turns the report of a skipped test into a failure where the variable CI is set."""
    lacks_data = item.get_closest_marker("real_data") is not None and not SHARED.is_dir()
    if report.skipped and "CI" in os.environ and not lacks_data:
        report.outcome = "failed"
        report.longrepr = f"CI skips no test, but this one was skipped: {report.longrepr}"
