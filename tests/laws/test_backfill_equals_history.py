"""Law 4: rebuilding everything gives the same content as the increments did."""

from datetime import date
from random import Random

import polars as pl
import pytest
from polars import col
from support.worlds import NOW, bring_up_to_date, catalog_of, contents, deliver, world
from tills import JUNE, Sale, june, lines, only, raw_sales, redo, rows, sell, take, till, typed

from lakehouse.tables.contract import Contract
from lakehouse.tables.declare import staged
from lakehouse.transform.make import make


def backfill(here):
    """Make every derived table for all its days."""
    for table in here.catalog.derived_tables:
        make(here.lake, here.catalog, table.name, now=NOW)


@pytest.fixture(scope="module")
def grown(fortnight, tmp_path_factory):
    """Two weeks of samples that came a few files at a time."""
    here, random = world(tmp_path_factory.mktemp("grown")), Random(8)
    files = sorted((fortnight / "invoice_lines").iterdir())
    random.shuffle(files)
    deliver(here, "fx_rates", *(fortnight / "fx_rates").iterdir())
    for first in range(0, len(files), 8):
        deliver(here, "invoice_lines", *files[first : first + 8])
        bring_up_to_date(here)
    return here


@pytest.mark.full
def test_a_backfill_over_all_days_changes_no_content(grown):
    before = contents(grown)
    backfill(grown)
    assert contents(grown) == before


@pytest.mark.full
def test_after_a_backfill_nothing_is_stale(grown):
    backfill(grown)
    assert grown.create_planner().find_stale_tables() == []


@pytest.mark.full
def test_a_backfill_day_by_day_equals_one_over_all_days(shop):
    sell(shop, "a", *(lines(day, day, 2 * day) for day in (2, 3, 5)))
    bring_up_to_date(shop)
    before = contents(shop)
    for day in (5, 2, 3):
        redo(shop, "staged/sales", only(day))
        redo(shop, "marts/shop_days", only(day))
    assert contents(shop) == before


def test_a_lake_that_lost_its_derived_tables_is_made_again(shop, tmp_path):
    for day in (2, 3, 5):
        sell(shop, str(day), lines(day, day, 2 * day))
        bring_up_to_date(shop)
    other = world(tmp_path / "other", till())
    for day in (2, 3, 5):
        sell(other, str(day), lines(day, day, 2 * day))
    take(other)
    backfill(other)
    assert contents(other) == contents(shop)


class Account(Contract):
    """The latest state of an account, by the day of its change."""

    id: pl.Int64
    sold_on: date
    amount: float

    class Table:
        key = ("id",)
        date_column = "sold_on"


def changed_accounts(tmp_path, declared):
    """A lake in which an account changes on three days."""

    @staged(Account, partitions=JUNE, **declared)
    def sales(raw_sales):
        return typed(raw_sales)

    here = world(tmp_path, catalog_of(raw_sales=raw_sales, sales=sales))
    for day in (2, 3, 4):
        sell(here, str(day), lines(day, day, day + 10, first=1))
        bring_up_to_date(here)
    return here


@pytest.mark.parametrize("declared", [{}, {"distinct": ("id",)}])
def test_a_key_of_several_days_is_the_same_by_day_and_by_backfill(tmp_path, declared):
    here = changed_accounts(tmp_path, declared)
    before = rows(here, "staged/sales")
    backfill(here)
    assert rows(here, "staged/sales") == before


def test_rows_of_a_day_that_the_input_lost_stay_in_a_backfill(shop):
    sell(shop, "a", lines(2, 1), lines(3, 2))
    bring_up_to_date(shop)
    shop.lake.open("raw/sales").delete(f"_event_date = '{june(3)}'")
    before = contents(shop)
    audit = redo(shop, "staged/sales")
    assert (audit.untouched, contents(shop)) == ((june(3),), before)


def test_a_mended_transform_empties_quarantine_by_a_backfill(tmp_path):
    def strict(raw_sales):
        return typed(raw_sales).with_columns(amount=col("amount") - 2)

    def mended(raw_sales):
        return typed(raw_sales)

    mended.__name__ = strict.__name__ = "sales"
    broken, whole = (staged(Sale, partitions=JUNE)(transform) for transform in (strict, mended))
    here = world(tmp_path, catalog_of(raw_sales=raw_sales, sales=broken))
    sell(here, "a", lines(2, 1, 2, 3), lines(3, 2, 2, first=4))
    bring_up_to_date(here)
    assert here.lake.scan("quarantine/staged_sales").collect().height == 1
    here = world(tmp_path, catalog_of(raw_sales=raw_sales, sales=whole))
    redo(here, "staged/sales")
    assert rows(here, "quarantine/staged_sales") == []
    assert len(rows(here, "staged/sales")) == 5
