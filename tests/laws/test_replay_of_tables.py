"""A replay in tables of every kind: with keys, exploded, aggregated, and without states; and on real rows."""

from dataclasses import replace

import polars as pl
import polars.selectors as cs
import pytest
from deltalake import write_deltalake
from polars import col
from stock import Event, deliver_events, raw_items, stock, typed
from support.worlds import (
    NOW,
    bring_up_to_date,
    catalog_of,
    deliver,
    in_state,
    land_all,
    retail,
    world,
    write,
)
from tills import JUNE, lines, only, raw_sales, redo, rows, sales, sell, till

from checks.retail import InvoiceLine
from lakehouse.operations.replay import replay
from lakehouse.quarantine.discard import Choice, discard
from lakehouse.tables.casting import cast
from lakehouse.tables.contract import Contract, Field
from lakehouse.tables.declare import mart, raw, staged

SETTLED = cs.by_name("_settled_at", "_settled_by", "_discard_reason")
ITEMS, REJECTED_ITEMS = "staged/items", "quarantine/staged_items"


def states(here, table):
    """How many rows are in each state."""
    return dict(here.lake.scan(table).group_by("_state").len().collect().iter_rows())


# With keys


def keyed(least, mode):
    """Articles whose prices must reach a limit."""

    class Item(Contract):
        sku: str
        at: pl.Int64
        name: str = Field(nullable=True)
        price: pl.Int64 = Field(nullable=True, ge=least)

        class Table:
            key = ("sku",)
            sequence = ("at",)
            max_quarantined = 1.0

    @staged(Item, mode=mode)
    def items(raw_items):
        """Articles."""
        return typed(raw_items)

    return catalog_of(raw_items=raw_items, items=items)


@pytest.mark.parametrize("mode", ["upsert", "replace"])
def test_a_replay_never_lets_an_old_row_overwrite_a_newer_one(tmp_path, mode):
    here = world(tmp_path, keyed(5, mode))
    deliver_events(here, "new", [Event("a", 2, "new", 9), Event("b", 1, "only", 1)])
    redo(here, ITEMS)
    deliver_events(here, "late", [Event("a", 1, "old", 1), Event("c", 1, "fine", 7)])
    redo(here, ITEMS)
    # The late row of `a` is superseded by a newer one, so only that of `b` was rejected.
    assert states(here, REJECTED_ITEMS) == {"open": 1}
    here = world(tmp_path, keyed(0, mode))
    assert replay(here, ITEMS, now=NOW).released.rows == 1
    assert rows(here, ITEMS) == [("a", 2, "new", 9), ("b", 1, "only", 1), ("c", 1, "fine", 7)]
    assert states(here, REJECTED_ITEMS) == {"released": 1}


def test_new_rows_of_a_table_with_keys_leave_the_states_of_the_others(tmp_path):
    here = world(tmp_path, keyed(5, "upsert"))
    for number, price in enumerate((1, 2)):
        deliver_events(here, str(number), [Event("a", number, "n", price)])
        redo(here, ITEMS)
        discard(here.lake, here.catalog, ITEMS, Choice(where="price = '1'"), reason="r", who="ann")
    assert states(here, REJECTED_ITEMS) == {"discarded": 1, "open": 1}
    deliver_events(here, "3", [Event("b", 1, "n", 9)])
    redo(here, ITEMS)
    assert states(here, REJECTED_ITEMS) == {"discarded": 1, "open": 1}


def test_a_replay_of_a_table_with_keys_judges_all_rows_although_there_are_new_ones(tmp_path):
    here = world(tmp_path, keyed(5, "upsert"))
    deliver_events(here, "a", [Event("a", 1, "n", 1)])
    redo(here, ITEMS)
    deliver_events(here, "b", [Event("b", 1, "n", 9)])
    replay(here, ITEMS, now=NOW)
    assert rows(here, ITEMS) == [("b", 1, "n", 9)]
    assert in_state(here, REJECTED_ITEMS)["_tries"].to_list() == [2]


def test_every_way_to_fold_notes_what_it_rejects(tmp_path):
    here = world(tmp_path, stock())
    deliver_events(here, "a", [Event("a", 1, "n", -1), Event("b", 1, "n", 1)])
    for name in ("latest", "versions"):
        redo(here, f"staged/{name}")
        assert states(here, f"quarantine/staged_{name}") == {"open": 1}


# Unpacked and aggregated


def prices(most):
    """Prices up to a limit; a line holds several."""

    class Price(Contract):
        shop: str
        price: float = Field(le=most)

        class Table:
            max_quarantined = 1.0

    def apart(rows):
        return rows.with_columns(price=col("prices").str.split(";")).explode("price")

    @staged(Price, explode=apart)
    def each(raw_lists):
        """A row for each price."""
        return cast(raw_lists, price=col("price").cast(pl.Float64, strict=False))

    return catalog_of(raw_lists=raw("lists", "Lists.", columns=("shop", "prices")), each=each)


def test_each_of_several_rows_of_a_record_has_a_state_of_its_own(tmp_path):
    here = world(tmp_path, prices(2))
    write(here, "lists", "a.csv", "shop,prices\nnorth,1;3;5;5\nsouth,4\n")
    bring_up_to_date(here)
    assert states(here, "quarantine/staged_each") == {"open": 4}
    here = world(tmp_path, prices(4))
    done = replay(here, "staged/each", now=NOW)
    assert (done.released.rows, done.remaining.rows) == (2, 2)
    assert rows(here, "staged/each") == [("north", 1.0), ("north", 3.0), ("south", 4.0)]


def totals(most):
    """Sales by day whose sums must not exceed a limit."""

    class Day(Contract):
        sold_on: pl.Date
        amount: float = Field(le=most)
        sales: pl.Int64

        class Table:
            key = ("sold_on",)
            date_column = "sold_on"
            counts = "sales"
            max_quarantined = 1.0

    @mart(Day, partitions=JUNE)
    def days(sales):
        """Sums of the days."""
        return sales.group_by("sold_on").agg(
            amount=col("amount").sum(), sales=pl.len().cast(pl.Int64)
        )

    return catalog_of(raw_sales=raw_sales, sales=sales, days=days)


def test_an_aggregate_is_known_by_its_key_although_its_values_change(tmp_path):
    here = world(tmp_path, totals(3))
    sell(here, "a", lines(3, 4), lines(4, 1, first=2))
    bring_up_to_date(here)
    sell(here, "b", lines(3, 2, first=9))
    bring_up_to_date(here)
    assert in_state(here, "quarantine/marts_days").select("amount", "_tries").rows() == [(6.0, 1)]
    here = world(tmp_path, totals(9))
    assert replay(here, "marts/days", now=NOW).released.rules == {"amount <= 3": 1}
    assert states(here, "quarantine/marts_days") == {"released": 1}


# Rows without states, and changes by other programs


@pytest.fixture
def former(tmp_path):
    """A till whose quarantine was written by another program, without states."""
    here = world(tmp_path, till())
    sell(here, "a", lines(3, 1, 2, -1), lines(4, -2, 3, first=9))
    bring_up_to_date(here)
    table = "quarantine/staged_sales"
    old = here.lake.scan(table).collect()
    old = old.drop("_state", "_first_seen_at", "_last_seen_at", "_tries", "_code_version", SETTLED)
    write_deltalake(here.lake.uri(table), old, mode="overwrite", schema_mode="overwrite")
    return here


def test_rows_of_a_quarantine_without_states_are_open_and_get_theirs_day_by_day(former):
    redo(former, "staged/sales", only(3))
    found = former.lake.scan("quarantine/staged_sales").sort("_offset").collect()
    assert found.select("id", "_state", "_tries").rows() == [("3", "open", 1), ("9", None, None)]
    assert found["_first_seen_at"][0] < found["_last_seen_at"][0]
    bring_up_to_date(former)
    assert states(former, "quarantine/staged_sales") == {"open": 2}


def test_rows_of_a_quarantine_without_states_can_be_discarded(former):
    assert (
        discard(
            former.lake,
            former.catalog,
            "staged/sales",
            Choice(where="id = '9'"),
            reason="r",
            who="ann",
        )
        == 1
    )
    bring_up_to_date(former)
    assert states(former, "quarantine/staged_sales") == {"open": 1, "discarded": 1}


def test_dead_letters_without_states_are_open(tmp_path):
    here = world(tmp_path, till())
    sell(here, "a", lines(3, 1), "2,too,short\n")
    land_all(here)
    table = "quarantine/dead_letters"
    old = (
        here.lake.scan(table)
        .select(pl.exclude("_state", "_first_seen_at", "_last_seen_at", "_tries"))
        .collect()
    )
    write_deltalake(
        here.lake.uri(table), old.drop(SETTLED), mode="overwrite", schema_mode="overwrite"
    )
    sell(here, "b", lines(3, 2, first=3), "4,too,short\n")
    done = replay(here, "raw/sales", now=NOW)
    assert (done.released.rows, done.remaining.rows) == (0, 2)
    assert in_state(here, table)["_tries"].to_list() == [2, 2]


# Real rows


@pytest.mark.real_data
def test_real_bad_debt_lands_once_the_contract_knows_of_it(real, tmp_path):
    here = world(tmp_path)
    deliver(here, "invoice_lines", real / "online_retail/by_day/2011-08-12.csv.gz")
    bring_up_to_date(here)
    assert states(here, "quarantine/staged_invoice_lines") == {"open": 2}

    class Lenient(InvoiceLine):
        """Lines, write-offs among them."""

        unit_price: float = Field(ge=-20_000, unit="GBP", description="Price of a unit")

    tables = {**retail().tables}
    tables["staged/invoice_lines"] = replace(tables["staged/invoice_lines"], contract=Lenient)
    here = replace(here, catalog=replace(here.catalog, tables=tables))
    before = here.lake.scan("staged/invoice_lines").select(pl.len()).collect().item()
    done = replay(here, "staged/invoice_lines", now=NOW)
    assert (done.released.rules, done.remaining.rows) == ({"unit_price >= 0": 2}, 0)
    landed = (
        here.lake.scan("staged/invoice_lines").filter(col("unit_price") == -11_062.06).collect()
    )
    assert (landed.height, done.audits[0].written - before) == (2, 2)
