"""A market stall: a raw table of price events, and a table of each mode made from it.

Belongs here: the tables whose rows `ledger.py` has a second opinion on.
"""

from datetime import date
from types import ModuleType

import polars as pl
from polars import LazyFrame, col

from lakehouse.calendar import Daily
from lakehouse.tables.casting import cast
from lakehouse.tables.catalog import Catalog
from lakehouse.tables.collect import collect_tables
from lakehouse.tables.contract import Contract, Field
from lakehouse.tables.declare import mart, raw, staged

HEADER = "sku,on,price,op"
FIRST_DAY = date(2024, 6, 1)
_DAILY = Daily(FIRST_DAY)
_ON = col("on").str.to_date("%Y-%m-%d", strict=False)


class Line(Contract):
    """The price of an article, as it was told."""

    sku: str
    on: date
    price: pl.Int64 = Field(ge=0)

    class Table:
        date_column = "on"
        max_quarantined = 1.0


class DayPrice(Contract):
    """The price of an article on a day."""

    sku: str
    on: date
    price: pl.Int64 = Field(ge=0)

    class Table:
        key = ("sku",)
        sequence = ("on",)
        date_column = "on"
        max_quarantined = 1.0


class Price(Contract):
    """The price of an article."""

    sku: str
    on: date
    price: pl.Int64 = Field(ge=0)

    class Table:
        key = ("sku",)
        sequence = ("on",)
        max_quarantined = 1.0


class DayTotal(Contract):
    """What was told on a day."""

    on: date
    worth: pl.Int64
    lines: pl.Int64

    class Table:
        key = ("on",)
        date_column = "on"
        counts = "lines"
        max_quarantined = 0.0


raw_prices = raw("prices", "Prices.", columns=tuple(HEADER.split(",")), day=_ON)


def _typed(raw_prices: LazyFrame) -> LazyFrame:
    return cast(raw_prices, on=_ON, price=col("price").cast(pl.Int64, strict=False))


@staged(Line, partitions=_DAILY, distinct=tuple(raw_prices.columns))
def lines(raw_prices: LazyFrame) -> LazyFrame:
    """Prices as they were told; a repeated line is superseded."""
    return _typed(raw_prices)


@staged(DayPrice, partitions=_DAILY)
def latest_of_day(raw_prices: LazyFrame) -> LazyFrame:
    """The latest price of an article for each day."""
    return _typed(raw_prices)


@staged(Price)
def latest(raw_prices: LazyFrame) -> LazyFrame:
    """The latest price of an article."""
    return _typed(raw_prices)


@staged(Price, mode="upsert", deletes=col("op") == "d")
def applied(raw_prices: LazyFrame) -> LazyFrame:
    """The latest price of an article, until it is deleted."""
    return _typed(raw_prices)


@staged(Price, mode="history", deletes=col("op") == "d")
def versions(raw_prices: LazyFrame) -> LazyFrame:
    """All prices of an article, each with its time."""
    return _typed(raw_prices)


@mart(DayTotal, partitions=_DAILY)
def totals(lines: LazyFrame) -> LazyFrame:
    """What was told on a day."""
    return lines.group_by("on").agg(worth=col("price").sum(), lines=pl.len().cast(pl.Int64))


TABLES = {
    "lines": lines,
    "latest_of_day": latest_of_day,
    "latest": latest,
    "applied": applied,
    "versions": versions,
}
"""The tables of each mode that are made from the raw table, by their short names."""


def build_catalog(*names: str) -> Catalog:
    """Returns the raw table with some of the tables made from it."""
    module = ModuleType("stall")
    chosen = {name: TABLES[name] for name in names}
    vars(module).update(raw_prices=raw_prices, **chosen)
    if "lines" in chosen:
        vars(module).update(totals=totals)
    for table in (*chosen.values(), totals):
        table.transform.__module__ = "stall"
    return collect_tables([module])
