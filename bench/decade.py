"""Ten years of daily readings: the tables of `increment.py`."""

from datetime import date

from polars import LazyFrame

from bench.daily import Reading, cast_readings, raw_readings
from lakehouse.calendar import Daily
from lakehouse.tables.declare import staged

FIRST, DAYS = date(2015, 1, 1), 3_650

__all__ = ["raw_readings", "readings"]


@staged(Reading, partitions=Daily(FIRST))
def readings(raw_readings: LazyFrame) -> LazyFrame:
    """Typed readings of ten years."""
    return cast_readings(raw_readings)
