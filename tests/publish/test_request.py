"""What a sheet tells of its rows: where they go, and how large their row groups are."""

from datetime import date, timedelta

import polars as pl
import pytest

from lakehouse.publish.request import Sheet

ROWS = pl.LazyFrame(schema={"day": pl.Date})


def sheet(months: int, **changed) -> Sheet:
    days = [date(2010, 1, 1) + timedelta(days=31 * n) for n in range(months)]
    return Sheet(
        "staged/t",
        ROWS,
        **{"mode": "replace", "window": "day", "days": days, "physical": "month", **changed},
    )


@pytest.mark.parametrize(
    ("months", "rows"), [(1, 122_880), (12, 100_000), (84, 16_384), (600, 16_384)]
)
def test_row_groups_are_as_large_as_the_files_that_are_open_at_a_time_allow(months, rows):
    assert sheet(months).rows_per_group == rows


@pytest.mark.parametrize("unknown", [{"mode": "append"}, {"days": None}, {"physical": None}])
def test_row_groups_are_small_where_nobody_knows_how_many_files_will_be_open(unknown):
    assert sheet(12, **unknown).rows_per_group == 16_384
