"""Where the partitions of a calendar begin in Dagster: with the data, not with the calendar.

A calendar says from which day on a row is accepted. That may be years before the first row, and
Dagster would show years of empty partitions, and write an event for each when a table is made for
the first time. So Dagster's partitions begin with the oldest day that has a row when Dagster loads
the definitions. The first partition stands for all days of the calendar before it, too: the engine
judges rows without a day with the first day of the calendar, and a late row may be older than all
others. A run names its days in a tag (`DAYS`), so it makes the same days wherever it is loaded.

Belongs here: finding that day. Does not belong here: partitions and their keys (`partitions.py`).
"""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, date, datetime

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from lakehouse.calendar import Daily, Days
from lakehouse.environment import Environment
from lakehouse.errors import LakehouseError
from lakehouse.lineage.key_changes import find_first_input
from lakehouse.storage.lake import list_data_files, scan_visible_rows
from lakehouse.system_columns import EVENT_DATE
from lakehouse.tables.table_types import DerivedTable, RawTable, Table

Begins = Mapping[Daily, date]
"""The first day of Dagster's partitions, by calendar; one that is missing begins with its first."""


def find_begins(here: Environment) -> dict[Daily, date]:
    """Returns the first day of Dagster's partitions of each calendar of a lake, as it is now.

    Calendars without any row are left out.
    """
    begins: dict[Daily, date] = {}
    for table in here.catalog.derived_tables:
        calendar = table.partitions
        if calendar is None:
            continue
        # Nothing that is wrong with one table may keep Dagster from loading all of them. Without
        # an answer the calendar begins with its first day, which is never wrong.
        with suppress(LakehouseError, DeltaError, OSError, pl.exceptions.PolarsError):
            known = calendar.days_until(datetime.now(UTC))
            if (oldest := _find_oldest_day(here, table, known)) is not None:
                begin = calendar.period_start(oldest)
                begins[calendar] = min(begin, begins.get(calendar, begin))
    return begins


def _find_oldest_day(here: Environment, table: Table, known: Days) -> date | None:
    """Returns the oldest day of the rows of a table, or of its input where it was never made."""
    is_derived = isinstance(table, DerivedTable)
    handle = here.lake.open_shared(table.name)
    if handle is None:
        source = find_first_input(here.catalog, table) if isinstance(table, DerivedTable) else None
        return None if source is None else _find_oldest_day(here, source, known)
    column = table.properties.date_column if isinstance(table, DerivedTable) else EVENT_DATE
    if column is None or (isinstance(table, RawTable) and table.day is None):
        return None
    # A table of days holds no row outside its calendar, so the log knows. A raw table may.
    if is_derived and (noted := _read_noted_minimum(handle, column)) is not None:
        return max(noted, known.first)
    day = pl.col(column)
    rows = scan_visible_rows(handle).filter(day.is_between(known.first, known.last))
    oldest: date | None = rows.select(day.min()).collect(engine="streaming").item()
    return oldest


def _read_noted_minimum(handle: DeltaTable, column: str) -> date | None:
    """Returns the smallest value of a column by the log; None if a statistic is absent."""
    files = list_data_files(handle)
    name = f"min.{column}"
    if not files.height or name not in files.columns or files[name].null_count():
        return None
    noted = files[name].cast(pl.Date, strict=False).min()
    return noted if isinstance(noted, date) else None
