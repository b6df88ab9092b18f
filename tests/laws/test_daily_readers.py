"""A table by day that reads a table without periods is made again for exactly the days whose rows changed."""

import os
import random
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from polars import col
from support.sizes import first, full
from support.worlds import bring_up_to_date, catalog_of, content, land_all, world, write

from lakehouse.calendar import Daily
from lakehouse.lineage.period_history import list_periods
from lakehouse.observe.overview import list_audits
from lakehouse.tables.casting import cast
from lakehouse.tables.contract import Contract
from lakehouse.tables.declare import mart, raw, staged
from lakehouse.transform.make import make

ORDERS, DAYS, WIDE = "staged/orders", "marts/order_days", "marts/order_weeks"
SPRING = Daily(date(2024, 3, 1))
IS_DELETED = col("state") == "deleted"


class Order(Contract):
    """The latest state of an order."""

    order: str
    placed_on: date
    change: date
    amount: float

    class Table:
        key = ("order",)
        sequence = ("change",)
        date_column = "placed_on"
        max_quarantined = 1.0


class OrderDay(Contract):
    """Orders of a day."""

    placed_on: date
    orders: pl.Int64
    amount: float

    class Table:
        key = ("placed_on",)
        date_column = "placed_on"
        counts = "orders"


raw_orders = raw(
    "orders", "Changes of orders.", columns=("order", "placed_on", "change", "amount", "state")
)


def typed(raw_orders: pl.LazyFrame) -> pl.LazyFrame:
    """Typed changes."""
    return cast(
        raw_orders,
        placed_on=col("placed_on").str.to_date("%Y-%m-%d", strict=False),
        change=col("change").str.to_date("%Y-%m-%d", strict=False),
        amount=col("amount").cast(pl.Float64, strict=False),
    )


@mart(OrderDay, partitions=SPRING)
def order_days(orders: pl.LazyFrame) -> pl.LazyFrame:
    """Orders by day."""
    return orders.group_by("placed_on").agg(
        orders=pl.len().cast(pl.Int64), amount=col("amount").sum()
    )


@mart(OrderDay, partitions=SPRING, lookback=2)
def order_weeks(orders: pl.LazyFrame) -> pl.LazyFrame:
    """The same, as a table that looks back."""
    return orders.group_by("placed_on").agg(
        orders=pl.len().cast(pl.Int64), amount=col("amount").sum()
    )


def catalogue(mode: str):
    typed.__name__ = "orders"
    orders = staged(Order, mode=mode, **({} if mode == "replace" else {"deletes": IS_DELETED}))(
        typed
    )
    return catalog_of(
        raw_orders=raw_orders, orders=orders, order_days=order_days, order_weeks=order_weeks
    )


def hand_in(here, number, *changes):
    lines = ["order,placed_on,change,amount,state", *changes]
    path = write(here, "orders", f"{number:03}.csv", "\n".join(lines) + "\n")
    os.utime(path, (1_700_000_000 + number, 1_700_000_000 + number))


def change(order, day, number, amount, state="open"):
    return f"{order},2024-03-{day:02},2024-01-{number + 1:02},{amount},{state}"


def made_days(here, table, after):
    audits = [one for one in list_audits(here, table) if one.version > after]
    tables = {one.name: one for one in here.catalog.derived_tables}
    return sorted(
        day.day
        for one in audits
        for day in list_periods(tables[table], one)
        if isinstance(day, date)
    )


@pytest.fixture(params=["upsert", full("replace")])
def here(request, tmp_path: Path):
    """Ten days of orders, four a day, made in every table."""
    here = world(tmp_path, catalogue(request.param))
    hand_in(
        here, 0, *(change(f"{day}-{n}", day, 1, 10 * n) for day in range(1, 11) for n in range(4))
    )
    bring_up_to_date(here)
    return here


@pytest.mark.parametrize(
    ("changes", "days", "looking_back"),
    [
        ([change("3-1", 3, 2, 99)], [3], [3, 4, 5]),
        ([change("3-1", 7, 2, 10)], [3, 7], [3, 4, 5, 7, 8, 9]),
        ([change("3-1", 3, 0, 99)], [], []),
        ([change("new", 5, 1, 1)], [5], [5, 6, 7]),
        ([change("3-1", 3, 2, 99), change("9-1", 9, 2, "x")], [3], [3, 4, 5]),
    ],
    ids=["a value", "another day", "a late change", "a new key", "beside a bad row"],
)
def test_exactly_the_days_of_changed_rows_are_made(here, changes, days, looking_back):
    before = {table: here.lake.version(table) for table in (DAYS, WIDE)}
    hand_in(here, 1, *changes)
    land_all(here)
    make(here.lake, here.catalog, ORDERS)
    stale = {
        part.table: [key.day for key in part.keys]
        for part in here.create_planner().find_stale_tables()
    }
    bring_up_to_date(here)
    assert stale.get(DAYS, []) == made_days(here, DAYS, before[DAYS]) == days
    assert made_days(here, WIDE, before[WIDE]) == looking_back
    assert here.create_planner().find_stale_tables() == []


def test_the_day_of_a_deleted_row_is_made(tmp_path):
    here = world(tmp_path, catalogue("upsert"))
    hand_in(here, 0, *(change(day, day, 1, 10) for day in range(1, 6)))
    bring_up_to_date(here)
    before = here.lake.version(DAYS)
    hand_in(here, 1, change(3, 3, 2, 10, "deleted"))
    bring_up_to_date(here)
    assert made_days(here, DAYS, before) == [3]
    assert here.lake.scan(DAYS).collect().height == 4


def test_a_change_from_zero_to_minus_zero_is_seen(here):
    hand_in(here, 1, change("3-0", 3, 2, "-0.0"))
    before = here.lake.version(DAYS)
    bring_up_to_date(here)
    assert made_days(here, DAYS, before) == [3]


@pytest.mark.parametrize("seed", first(1, range(12)))
@pytest.mark.parametrize("mode", ["upsert", full("history"), full("replace")])
def test_any_changes_restores_and_compactions_end_as_a_full_rebuild(tmp_path, mode, seed):
    chance, here = random.Random(seed), world(tmp_path / "lake", catalogue(mode))
    for number in range(6):
        changes = [
            change(
                chance.randrange(12),
                chance.randrange(1, 11),
                chance.randrange(20),
                chance.choice(
                    [0.0, -0.0, 1, 2.5, ""] if mode == "partial" else [0.0, -0.0, 1, 2.5]
                ),
                chance.choice(["open", "open", "open", "deleted"]),
            )
            for _ in range(chance.randrange(1, 6))
        ]
        hand_in(here, number, *changes)
        bring_up_to_date(here)
        action, handle = chance.randrange(4), here.lake.open(ORDERS)
        if action == 0 and handle.version() > 0:
            handle.restore(chance.randrange(handle.version()))
        elif action == 1:
            handle.optimize.compact()
    bring_up_to_date(here)
    anew = world(tmp_path / "anew", catalogue(mode))
    for path in sorted((tmp_path / "lake" / "landing" / "orders").iterdir()):
        copy = write(anew, "orders", path.name, path.read_bytes())
        os.utime(copy, (path.stat().st_mtime, path.stat().st_mtime))
    bring_up_to_date(anew)
    for table in (ORDERS, DAYS, WIDE):
        assert content(here, table) == content(anew, table), table
