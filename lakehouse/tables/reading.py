"""Reading the rows of a table in its declared columns."""

import polars as pl
from deltalake import DeltaTable

from lakehouse.storage.lake import scan_visible_rows
from lakehouse.system_columns import EVENT_DATE, RESCUED
from lakehouse.tables.table_types import RawTable, Table
from lakehouse.tables.years import is_in_years


def scan_declared(handle: DeltaTable, source: Table) -> pl.LazyFrame:
    """Returns the rows of an open table in its declared columns."""
    rows = scan_visible_rows(handle)
    return (
        add_missing_columns(rows, source)
        if isinstance(source, RawTable)
        else rows.select(source.schema.names())
    )


def add_missing_columns(rows: pl.LazyFrame, source: RawTable) -> pl.LazyFrame:
    """Returns the rows of a raw table; columns declared after its last commit are null."""
    stored = rows.collect_schema()
    # The origin is in every commit.
    known = {
        name: t for name, t in source.schema.items() if name in source.columns or name == RESCUED
    }
    return rows.with_columns(
        pl.lit(None, t).alias(name) for name, t in known.items() if name not in stored
    )


def add_day(rows: pl.LazyFrame, raw: RawTable) -> pl.LazyFrame:
    """Returns rows with the day that their raw table gives them; without, where it declares none.

    A day that Python cannot hold, of the year 20240 for example, is none: it would stop whoever
    reads the days of the table.
    """
    if raw.day is None:
        return rows
    day = pl.when(is_in_years(raw.day, pl.Date())).then(raw.day)
    return rows.with_columns(day.alias(EVENT_DATE))
