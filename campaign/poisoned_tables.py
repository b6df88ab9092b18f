"""The tables of poisoned worlds: one of each mode, all from the same raw table."""

from datetime import date

import polars as pl
from polars import LazyFrame, col

from lakehouse.tables import Contract, Daily, Field, Instant, cast, mart, raw, sql_mart, staged

_DAYS = Daily(date(2024, 3, 1))
_DAY = col("day").str.to_date("%Y-%m-%d", strict=False)
_AT = col("at").str.to_datetime("%Y-%m-%dT%H:%M:%S%z", strict=False, time_unit="us")

raw_sales = raw("sales", "Sales.", columns=("id", "day", "at", "pieces", "price", "note"), day=_DAY)


def _read(rows: LazyFrame) -> LazyFrame:
    return cast(
        rows,
        day=_DAY,
        at=_AT.dt.convert_time_zone("UTC"),
        pieces=col("pieces").cast(pl.Int64, strict=False),
        price=col("price").cast(pl.Float64, strict=False),
    )


class Entry(Contract):
    """A sale as it was delivered."""

    id: str
    day: date
    at: Instant
    pieces: int = Field(ge=-(10**9), le=10**9)
    price: float
    note: str = Field(nullable=True)

    class Table:
        max_quarantined = 1.0


class Sale(Entry):
    """A sale of a day."""

    class Table:
        date_column = "day"
        max_quarantined = 1.0


class Latest(Entry):
    """The latest version of a sale."""

    class Table:
        key = ("id",)
        sequence = ("at",)
        max_quarantined = 1.0


class Day(Contract):
    """The sales of a day."""

    day: date
    pieces: int
    price: float
    sales: pl.Int64

    class Table:
        key = ("day",)
        date_column = "day"
        counts = "sales"
        max_quarantined = 1.0


@staged(Sale, partitions=_DAYS)
def sales(raw_sales: LazyFrame) -> LazyFrame:
    """Sales by day."""
    return _read(raw_sales)


@staged(Entry)
def entries(raw_sales: LazyFrame) -> LazyFrame:
    """All sales, without periods."""
    return _read(raw_sales)


@staged(Latest, mode="upsert")
def latest(raw_sales: LazyFrame) -> LazyFrame:
    """The latest version of each sale."""
    return _read(raw_sales)


@staged(Latest, mode="history")
def versions(raw_sales: LazyFrame) -> LazyFrame:
    """All versions of each sale."""
    return _read(raw_sales)


@mart(Day, partitions=_DAYS)
def days(sales: LazyFrame) -> LazyFrame:
    """The sales of each day."""
    return sales.group_by("day").agg(
        pieces=col("pieces").sum(), price=col("price").mean(), sales=pl.len().cast(pl.Int64)
    )


@sql_mart(Day, reads=("sales",), partitions=_DAYS)
def days_in_sql() -> str:
    """The sales of each day, in SQL."""
    return """
        SELECT day, CAST(sum(pieces) AS BIGINT) AS pieces, avg(price) AS price, count(*) AS sales
        FROM sales GROUP BY day
    """
