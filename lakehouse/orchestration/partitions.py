"""Calendars as Dagster's partitions, and back."""

from datetime import date, datetime

import dagster as dg

from lakehouse.calendar import Daily, Days, Monthly
from lakehouse.tables.table_types import DerivedTable

_FORMAT = "%Y-%m-%d"


def define_partitions(calendar: Daily) -> dg.TimeWindowPartitionsDefinition:
    """Returns the partitions of a calendar, the current period included."""
    kind = (
        dg.MonthlyPartitionsDefinition
        if isinstance(calendar, Monthly)
        else dg.DailyPartitionsDefinition
    )
    # Dagster's partitions end with the last complete period, and today's rows would have none.
    return kind(
        start_date=calendar.first.strftime(_FORMAT), timezone=calendar.timezone, end_offset=1
    )


def to_partition_key(day: date) -> str:
    """Returns the partition key of a period."""
    return day.strftime(_FORMAT)


def read_days(context: dg.AssetExecutionContext, table: DerivedTable) -> Days | None:
    """Returns the days that a run asks for; None for a table without partitions."""
    if table.partitions is None:
        return None
    # A single partition is a range of one key. A key is the first day of its period.
    asked = context.partition_key_range
    first, last = (datetime.strptime(k, _FORMAT).date() for k in (asked.start, asked.end))  # noqa: DTZ007
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
