"""Write requests: the partitions that they write, and how large their row groups are."""

from datetime import date, timedelta

import polars as pl
import pytest

from lakehouse.publish.file_writer import choose_row_group_size
from lakehouse.publish.request import Append, Partitioning, ReplaceAll, ReplaceDays
from lakehouse.storage.limits import WriteLimits

ROWS = pl.LazyFrame(schema={"day": pl.Date})
SMALLEST = 16_384


def replace_months(months: int, physical="month") -> ReplaceDays:
    days = [date(2010, 1, 1) + timedelta(days=31 * n) for n in range(months)]
    return ReplaceDays("staged/t", ROWS, day_column="day", days=days, physical=physical)


@pytest.mark.parametrize(
    ("months", "rows"), [(1, 122_880), (12, 100_000), (84, SMALLEST), (600, SMALLEST)]
)
def test_row_groups_are_as_large_as_the_number_of_open_files_allows(months, rows):
    assert choose_row_group_size(replace_months(months), WriteLimits()) == rows


@pytest.mark.parametrize(
    "request_of_unknown_days",
    [
        Append("raw/t", ROWS),
        ReplaceAll("staged/t", ROWS, partitioning=Partitioning("day", "month")),
        replace_months(12, physical=None),
    ],
)
def test_row_groups_are_small_where_the_number_of_open_files_is_unknown(request_of_unknown_days):
    assert choose_row_group_size(request_of_unknown_days, WriteLimits()) == SMALLEST
