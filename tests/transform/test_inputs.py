"""What a transform reads of a raw table whose declaration has grown since its files were landed."""

from datetime import date

import polars as pl
import pytest
from support.worlds import NOW, catalog_of, land_all, write

from lakehouse.calendar import Daily
from lakehouse.environment import Environment
from lakehouse.tables.catalog import Catalog
from lakehouse.tables.contract import Contract, Field
from lakehouse.tables.declare import raw, sql_mart, staged
from lakehouse.transform.make import make

DAY = pl.col("day").str.to_date("%Y-%m-%d", strict=False)


class Order(Contract):
    """An order."""

    on_day: date
    count: pl.Int64 = Field(nullable=True)

    class Table:
        date_column = "on_day"


class DayTotal(Contract):
    """A day."""

    on_day: date
    count: pl.Int64 = Field(nullable=True)
    lines: pl.Int64

    class Table:
        date_column = "on_day"
        counts = "lines"


def shop(*optional: str) -> Catalog:
    columns = {"day": pl.String(), **dict.fromkeys(optional, pl.Int64())}
    raw_orders = raw("orders", "Orders.", columns=columns, optional=optional, day=DAY)

    @staged(Order, partitions=Daily(date(2024, 1, 1)))
    def orders(raw_orders: pl.LazyFrame) -> pl.LazyFrame:
        return raw_orders.with_columns(on_day=DAY)

    @sql_mart(DayTotal, reads=("raw_orders",), partitions=Daily(date(2024, 1, 1)))
    def totals() -> str:
        return """SELECT _event_date AS on_day, CAST(sum("count") AS BIGINT) AS "count", count(*) AS lines
                  FROM raw_orders GROUP BY ALL"""

    return catalog_of(
        raw_orders=raw_orders, **({"orders": orders, "totals": totals} if optional else {})
    )


@pytest.fixture
def grown(here: Environment) -> Environment:
    """A raw table of one file; its declaration has since got one more column."""
    old = Environment(here.lake, here.landing, shop())
    write(old, "orders", "a.csv", "day\n2024-01-01\n")
    land_all(old)
    return Environment(here.lake, here.landing, shop("count"))


@pytest.mark.parametrize("table", ["staged/orders", "marts/totals"])
def test_a_declared_column_that_the_table_lacks_is_null(grown, table):
    assert make(grown.lake, grown.catalog, table, now=NOW).written == 1
    assert grown.lake.scan(table).select("count").collect().rows() == [(None,)]


@pytest.mark.parametrize("table", ["staged/orders", "marts/totals"])
def test_a_delivery_adds_the_column_in_its_declared_type(grown, table):
    path = write(grown, "orders", "b.parquet", b"")
    pl.DataFrame({"day": ["2024-01-02"], "COUNT": [7]}).write_parquet(path)
    land_all(grown)
    assert grown.lake.scan("raw/orders").collect_schema()["count"] == pl.Int64()
    make(grown.lake, grown.catalog, table, now=NOW)
    assert sorted(grown.lake.scan(table).select("count").collect().to_series(), key=str) == [
        7,
        None,
    ]


def test_a_delivery_without_the_column_adds_it_too(grown):
    write(grown, "orders", "b.csv", "day\n2024-01-02\n")
    land_all(grown)
    assert grown.lake.scan("raw/orders").collect()["count"].to_list() == [None, None]
