"""A year of daily readings as a table: made by Dagster in one run, and by a plain write."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl

from lakehouse.calendar import Daily
from lakehouse.publish.audit import Audit
from lakehouse.publish.publish import publish
from lakehouse.publish.request import Append
from lakehouse.storage.lake import Lake
from lakehouse.system_columns import EVENT_DATE, ORIGIN
from lakehouse.tables.casting import cast
from lakehouse.tables.contract import Contract, Field, Instant
from lakehouse.tables.declare import raw, staged

FIRST = date(2024, 1, 1)
DAYS = 365


class Reading(Contract):
    """One reading of one meter."""

    meter: pl.Int64 = Field(ge=0)
    power: float = Field(ge=0, le=100_000, unit="W")
    read_at: Instant = Field()
    read_date: date = Field()

    class Table:
        event_time = "read_at"
        date_column = "read_date"


raw_readings = raw(
    "readings",
    "Readings as delivered.",
    columns=("meter", "power", "read_at"),
    day=pl.col("read_at").str.head(10).str.to_date("%Y-%m-%d", strict=False),
)


def cast_readings(readings: pl.LazyFrame) -> pl.LazyFrame:
    """Returns the readings with their types."""
    return cast(
        readings,
        meter=pl.col("meter").cast(pl.Int64, strict=False),
        power=pl.col("power").cast(pl.Float64, strict=False),
        read_at=pl.col("read_at").str.to_datetime(
            "%Y-%m-%d %H:%M:%S", strict=False, time_zone="UTC", time_unit="us"
        ),
        read_date=pl.col("read_at").str.head(10).str.to_date("%Y-%m-%d", strict=False),
    )


@staged(Reading, partitions=Daily(FIRST))
def readings(raw_readings: pl.LazyFrame) -> pl.LazyFrame:
    """Typed readings."""
    return cast_readings(raw_readings)


@staged(Reading, partitions=Daily(FIRST), distinct=("meter", "power", "read_at"))
def distinct_readings(raw_readings: pl.LazyFrame) -> pl.LazyFrame:
    """Typed readings without repeats."""
    return cast_readings(raw_readings)


def fill(lake: Lake, rows_a_day: int, repeated: int = 0) -> None:
    """Writes the raw table as text, in monthly files, as after a year of deliveries.


    Args:
        lake: where it is made.
        rows_a_day: rows of each day.
        repeated: every n-th row repeats the row before it; 0 for none.
    """
    now = datetime(2025, 1, 1, tzinfo=UTC)
    last = FIRST + timedelta(days=DAYS - 1)
    for month in range(1, last.month + 1):
        days = (
            pl.date_range(date(2024, month, 1), date(2024, month, 1), eager=True)
            .dt.month_end()[0]
            .day
        )
        index = pl.int_range(rows_a_day * days, eager=True)
        moment = pl.datetime(2024, month, 1, time_unit="us") + pl.duration(
            days=pl.col("n") // rows_a_day, seconds=pl.col("n") * 86_399 // rows_a_day % 86_399
        )
        repeats = pl.col("n") % repeated == repeated - 1 if repeated else pl.lit(False)
        rows = (
            pl.LazyFrame({"n": index, "number": index})
            .with_columns(n=pl.col("n") - repeats)
            .select(
                (pl.col("n") % 997).cast(pl.String).alias("meter"),
                (pl.col("n") * 7919 % 90_000 / 10).cast(pl.String).alias("power"),
                moment.dt.to_string("%Y-%m-%d %H:%M:%S").alias("read_at"),
                pl.lit(f"{month}.csv#0").alias("_source"),
                (pl.col("number") + 1).alias("_offset"),
                pl.lit(now, dtype=ORIGIN["_modified_at"]).alias("_modified_at"),
                pl.lit("bench").alias("_batch_id"),
                pl.lit(now, dtype=ORIGIN["_ingested_at"]).alias("_ingested_at"),
            )
        )
        rows = rows.with_columns(raw_readings.day.alias(EVENT_DATE)).filter(
            pl.col(EVENT_DATE) <= last
        )
        name = raw_readings.name
        publish(
            lake,
            Append(name, rows),
            lambda f: Audit(name, "append", read=f.rows, written=f.rows),  # noqa: B023
        )


def plain(lake: Lake, target: Path) -> None:
    """Writes the same rows by one unpartitioned, unaudited write of Polars."""
    rows = cast_readings(lake.scan(raw_readings.name)).select(
        "meter", "power", "read_at", "read_date", "_source", "_offset"
    )
    rows.sink_delta(str(target / "plain"), mode="overwrite")
