"""Calendars as Dagster's partitions, and back."""

from datetime import date, datetime

import dagster as dg

from lakehouse.calendar import WEEKDAYS, Daily, Days, Monthly, Weekly
from lakehouse.tables.table_types import DerivedTable

DAYS = "lakehouse/days"
"""Run tag with the days that a run makes, where they begin before Dagster's first partition."""

_FORMAT = "%Y-%m-%d"
# Dagster's own tags of a run over a range of partitions, both ends included.
_RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")


def define_partitions(
    calendar: Daily, begin: date | None = None
) -> dg.TimeWindowPartitionsDefinition:
    """Returns the partitions of a calendar, the current period included.

    They begin with a day of the calendar, see `first_partitions.py`; by default its first.
    """
    # Dagster's partitions end with the last complete period, and today's rows would have none.
    start, zone, ahead = (begin or calendar.first).strftime(_FORMAT), calendar.timezone, 1
    if isinstance(calendar, Monthly):
        return dg.MonthlyPartitionsDefinition(start, timezone=zone, end_offset=ahead)
    if isinstance(calendar, Weekly):
        # Dagster counts the days of a week from Sunday.
        day = (WEEKDAYS.index(calendar.week_starts) + 1) % len(WEEKDAYS)
        return dg.WeeklyPartitionsDefinition(start, timezone=zone, end_offset=ahead, day_offset=day)
    return dg.DailyPartitionsDefinition(start, timezone=zone, end_offset=ahead)


def to_partition_key(day: date) -> str:
    """Returns the partition key of a period."""
    return day.strftime(_FORMAT)


def tag_days(calendar: Daily, days: Days, begin: date | None) -> dict[str, str]:
    """Returns the run tags that name some days of a calendar, and Dagster's partitions for them."""
    begin = begin or calendar.first
    # A partition is named by the first day of its period, also at the end of a range. The first
    # one stands for the days before it.
    first, last = (
        to_partition_key(max(calendar.period_start(day), begin)) for day in (days.first, days.last)
    )
    exact = {DAYS: str(days)} if days.first < begin else {}
    if first == last:
        return {"dagster/partition": first, **exact}
    return dict(zip(_RANGE, (first, last), strict=True)) | exact


def read_days(
    context: dg.AssetExecutionContext, table: DerivedTable, begin: date | None = None
) -> Days | None:
    """Returns the days that a run asks for; None for a table without partitions.

    Args:
        context: the run.
        table: what it makes.
        begin: the first day of the table's partitions; by default that of its calendar.
    """
    if table.partitions is None:
        return None
    if named := context.run.tags.get(DAYS):
        begins, _, ends = named.partition("...")
        return Days(date.fromisoformat(begins), date.fromisoformat(ends or begins))
    # A single partition is a range of one key. A key is the first day of its period.
    asked = context.partition_key_range
    first, last = (datetime.strptime(k, _FORMAT).date() for k in (asked.start, asked.end))  # noqa: DTZ007
    if begin is not None and first <= begin:
        first = table.partitions.first
    return table.partitions.widen_to_periods(Days(first, last))


def read_periods(context: dg.AssetExecutionContext, table: DerivedTable) -> list[date]:
    """Returns the first day of each period that a run asks for; none without partitions."""
    if table.partitions is None:
        return []
    return [datetime.strptime(key, _FORMAT).date() for key in context.partition_keys]  # noqa: DTZ007


def map_partitions(reader: DerivedTable, source_is_partitioned: bool) -> dg.PartitionMapping | None:  # noqa: FBT001
    """Returns which partitions of an input a partition of its reader needs."""
    if reader.partitions is None or not source_is_partitioned:
        return None
    # The first periods look back to days before the calendar begins.
    return dg.TimeWindowPartitionMapping(
        start_offset=-reader.lookback, allow_nonexistent_upstream_partitions=True
    )
