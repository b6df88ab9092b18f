"""How many rows a table has that a reader sees, and how many of them are in each period.

It is the one count of all doors: `lakehouse tables` and Dagster's pages show what SQL counts.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date

import polars as pl
from deltalake import DeltaTable

from lakehouse.storage.lake import Lake, scan_visible_rows
from lakehouse.storage.visible_rows import count_visible_rows
from lakehouse.tables.table_types import Table


@dataclass(frozen=True)
class RowCounts:
    """The rows of a version of a table.

    Attributes:
        rows: how many the table has.
        by_period: how many each of some periods has, by its first day.
    """

    rows: int = 0
    by_period: Mapping[date, int] = field(default_factory=dict)


def count_rows(
    lake: Lake, table: Table, version: int | None = None, periods: Iterable[date] = ()
) -> RowCounts:
    """Counts the rows of a table, at its latest version by default.

    Args:
        lake: where the table is.
        table: the table; one that does not exist yet has no rows.
        version: the version.
        periods: the first days of the periods to count by themselves.
    """
    with lake.translate_errors():
        handle = lake.open_shared(table.name, version)
        wanted = list(periods)
        if handle is None:
            return RowCounts(0, dict.fromkeys(wanted, 0))
        return RowCounts(count_visible_rows(handle), _count_periods(handle, table, wanted))


def _count_periods(handle: DeltaTable, table: Table, periods: list[date]) -> dict[date, int]:
    calendar, column = table.partitions, table.day_column
    if not periods or calendar is None or column is None:
        return {}
    # A period is named by its first day, and the last one may be a month.
    last = calendar.period_end(max(periods))
    by_day = (
        scan_visible_rows(handle)
        .filter(pl.col(column).is_between(min(periods), last))
        .group_by(column)
        .len()
        .collect(engine="streaming")
    )
    found = dict.fromkeys(periods, 0)
    for day, rows in by_day.iter_rows():
        if (period := calendar.period_start(day)) in found:
            found[period] += rows
    return found
