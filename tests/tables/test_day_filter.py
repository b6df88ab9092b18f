"""What a transform sees of its inputs when some days are made: the same in Polars and in SQL."""

from datetime import date, timedelta

import duckdb
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.worlds import NOW, catalog_of, land_all, world, write

from lakehouse.calendar import Daily, Days, Monthly
from lakehouse.errors import SetupError
from lakehouse.tables.casting import cast
from lakehouse.tables.contract import Contract
from lakehouse.tables.day_filter import DayFilter
from lakehouse.tables.declare import mart, raw, sql_mart, staged
from lakehouse.transform.make import make

FIRST = date(2024, 1, 1)
DAY = pl.col("day").str.to_date("%Y-%m-%d", strict=False)
DAYS = st.dates(FIRST, FIRST + timedelta(days=30))
SPANS = st.tuples(DAYS, DAYS).map(lambda pair: Days(*sorted(pair)))

raw_orders = raw("orders", "Orders.", columns=("day", "n"), day=DAY)
raw_visits = raw("visits", "Visits.", columns=("day", "n"), day=DAY)


class Line(Contract):
    """A line of a day."""

    on_day: date
    n: int

    class Table:
        date_column = "on_day"


class Budget(Contract):
    """Orders of a month."""

    month: date
    n: int
    lines: int

    class Table:
        date_column = "month"
        counts = "lines"


class DayTotal(Contract):
    """A day, with what the transform saw of another table."""

    on_day: date
    n: int
    seen: int
    lines: int

    class Table:
        date_column = "on_day"
        counts = "lines"


def typed(rows: pl.LazyFrame) -> pl.LazyFrame:
    return cast(rows, on_day=DAY, n=pl.col("n").cast(pl.Int64, strict=False))


@staged(Line, partitions=Daily(FIRST))
def orders(raw_orders):
    return typed(raw_orders)


@staged(Line, partitions=Daily(FIRST))
def visits(raw_visits):
    return typed(raw_visits)


@mart(Budget, partitions=Monthly(FIRST))
def budgets(orders):
    return orders.group_by(month=pl.col("on_day").dt.month_start()).agg(
        n=pl.col("n").sum(), lines=pl.len().cast(pl.Int64)
    )


@mart(DayTotal, partitions=Daily(FIRST))
def with_visits(orders, visits):
    days = orders.group_by("on_day").agg(n=pl.col("n").sum(), lines=pl.len().cast(pl.Int64))
    return days.join(visits.select(seen=pl.len().cast(pl.Int64)), how="cross")


@sql_mart(DayTotal, reads=("orders", "visits"), partitions=Daily(FIRST))
def with_visits_in_sql():
    return """
        SELECT on_day, CAST(sum(n) AS BIGINT) AS n, (SELECT count(*) FROM visits) AS seen, count(*) AS lines
        FROM orders GROUP BY on_day
    """


@mart(DayTotal, partitions=Daily(FIRST))
def with_budget(orders, budgets):
    days = orders.group_by("on_day").agg(n=pl.col("n").sum(), lines=pl.len().cast(pl.Int64))
    month = budgets.select("month", seen="n")
    return days.join(
        month, left_on=pl.col("on_day").dt.month_start(), right_on="month", how="left"
    ).select("on_day", "n", "seen", "lines")


@pytest.fixture
def here(tmp_path):
    """Orders and visits of some days of January and February, staged."""
    declared = (
        raw_orders,
        raw_visits,
        orders,
        visits,
        budgets,
        with_visits,
        with_visits_in_sql,
        with_budget,
    )
    catalog = catalog_of(**{table.name.replace("/", "_"): table for table in declared})
    made = world(tmp_path, catalog)
    write(
        made, "orders", "a.csv", "day,n\n2024-01-03,1\n2024-01-03,2\n2024-01-20,4\n2024-02-02,8\n"
    )
    write(made, "visits", "a.csv", "day,n\n2024-01-03,1\n2024-01-04,1\n2024-01-20,1\n")
    land_all(made)
    for name in ("staged/orders", "staged/visits", "marts/budgets"):
        make(made.lake, catalog, name, now=NOW)
    return made


def day_made(here, name, day):
    make(here.lake, here.catalog, name, Days(day, day), now=NOW)
    return here.lake.scan(name).select("on_day", "n", "seen").collect().rows()


@pytest.mark.parametrize("name", ["marts/with_visits", "marts/with_visits_in_sql"])
def test_a_second_input_is_cut_to_the_same_days_in_polars_and_in_sql(here, name):
    assert day_made(here, name, date(2024, 1, 3)) == [(date(2024, 1, 3), 3, 1)]


def test_a_day_sees_the_whole_month_of_an_input_that_is_made_by_months(here):
    assert day_made(here, "marts/with_budget", date(2024, 1, 20)) == [(date(2024, 1, 20), 4, 7)]


def test_a_month_that_changes_makes_each_of_its_days_stale(here):
    make(here.lake, here.catalog, "marts/with_budget", now=NOW)
    write(here, "orders", "b.csv", "day,n\n2024-01-20,100\n")
    land_all(here)
    for name in ("staged/orders", "marts/budgets"):
        make(here.lake, here.catalog, name, Days(date(2024, 1, 20), date(2024, 1, 20)), now=NOW)
    [part] = [
        part
        for part in here.create_planner().find_stale_tables()
        if part.table == "marts/with_budget"
    ]
    assert part.keys == (date(2024, 1, 3), date(2024, 1, 20))


@pytest.mark.full
@settings(deadline=None)  # the first query of a process loads DuckDB
@given(days=st.lists(st.none() | DAYS), seen=SPANS, known=st.none() | SPANS)
def test_a_cut_takes_the_same_rows_in_polars_and_in_sql(days, seen, known):
    cut = DayFilter("day", seen, known)
    frame = pl.DataFrame({"n": range(len(days)), "day": pl.Series(days, dtype=pl.Date)})
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE rows (n BIGINT, day DATE)")
        if days:
            connection.executemany("INSERT INTO rows VALUES (?, ?)", frame.rows())
        found = connection.execute(f"SELECT n FROM rows WHERE {cut.sql}").fetchall()
    assert sorted(n for (n,) in found) == frame.filter(cut.rows)["n"].to_list()


def test_months_that_begin_within_a_month_are_refused():
    with pytest.raises(
        SetupError, match="Monthly\\(2024-01-15\\) does not start on the first day of a month"
    ):
        Monthly(date(2024, 1, 15))
