"""Law 1: every row that is read is accounted for, or nothing is published."""

import polars as pl
import pytest
from polars import LazyFrame, col
from support.worlds import retail, world, write
from tills import (
    by_day,
    files_of,
    june,
    lines,
    live_files,
    only,
    redo,
    rows,
    sell,
    take,
    typed,
    with_days,
    with_sales,
)

from lakehouse.calendar import Monthly
from lakehouse.errors import LawError
from lakehouse.observe.overview import list_audits
from lakehouse.tables.contract import Contract

TABLES = list(retail().tables)
RULES = {
    "date_not_parseable": "invoiced_at can be read",
    "price_not_a_number": "unit_price can be read",
    "quantity_not_a_number": "quantity can be read",
    "quantity_zero": "quantity != 0",
    "price_below_zero": "unit_price >= 0",
}


@pytest.mark.parametrize("table", TABLES)
def test_the_books_of_every_commit_close(stocked, table):
    here, _ = stocked
    assert all(audit.accounted_rows == audit.read > 0 for audit in list_audits(here, table))


@pytest.mark.parametrize("table", TABLES)
def test_the_rows_of_the_audits_are_the_rows_of_the_table(stocked, table):
    here, _ = stocked
    assert (
        sum(audit.rows for audit in list_audits(here, table))
        == here.lake.scan(table).collect().height
    )


def test_raw_rows_and_dead_letters_are_the_records_of_the_files(stocked):
    here, truth = stocked
    dead = here.lake.scan("quarantine/dead_letters").collect().height
    assert (here.lake.scan("raw/invoice_lines").collect().height, dead) == (
        truth.invoice_lines.raw_rows,
        truth.invoice_lines.dead,
    )


def test_every_record_of_a_file_is_in_raw_or_dead(stocked):
    here, truth = stocked
    records = pl.concat(
        here.lake.scan(table).select(name=col("_source").str.split("#").list.first())
        for table in ("raw/invoice_lines", "quarantine/dead_letters")
    )
    counted = dict(records.group_by("name").len().collect().iter_rows())
    originals = {
        truth.invoice_lines.copies.get(name, name): count for name, count in counted.items()
    }
    assert originals == {name: file.records for name, file in truth.invoice_lines.by_file.items()}


def test_staged_fates_are_those_of_the_truth(stocked):
    here, truth = stocked
    audit, wanted = list_audits(here, "staged/invoice_lines")[-1], truth.invoice_lines
    assert (audit.read, audit.superseded, audit.quarantined, audit.written) == (
        wanted.raw_rows,
        wanted.superseded,
        wanted.quarantined,
        wanted.written,
    )


def test_quarantine_names_the_rule_that_each_row_broke(stocked):
    here, truth = stocked
    rules = here.lake.scan("quarantine/staged_invoice_lines").select(col("_rules").list.first())
    counted = dict(rules.group_by("_rules").len().collect().iter_rows())
    assert counted == {
        RULES[reason]: n for reason, n in truth.invoice_lines.quarantined_by_reason.items()
    }


def test_missing_rates_are_left_out_by_name(stocked):
    here, truth = stocked
    (audit,) = list_audits(here, "staged/fx_rates")
    assert (audit.read, dict(audit.filtered)) == (
        truth.fx_rates.cells,
        {"no rate was set": truth.fx_rates.cells_missing},
    )


@pytest.fixture
def sold(tmp_path):
    """Returns a function that tries a transform on a till with two days of sales."""

    def of(catalog):
        here = world(tmp_path, catalog)
        sell(here, "a", lines(3, 1, 2, 3), lines(4, 10, 20, 30, first=4))
        take(here)
        return here

    return of


def refused(here, table, days=None):
    """Returns the message of the law that stops a table; nothing was published."""
    with pytest.raises(LawError) as stopped:
        redo(here, table, days)
    assert here.lake.version(table) is None
    assert files_of(here, table) == set()
    return str(stopped.value)


def test_an_undeclared_filter_stops_the_commit(sold):
    here = sold(with_sales(lambda raw_sales: typed(raw_sales).filter(col("amount") > 1)))
    assert "6 rows were read, but 5 are accounted for" in refused(here, "staged/sales")


def test_a_join_that_drops_rows_stops_the_commit(sold):
    towns = pl.LazyFrame({"shop": ["south"]})
    here = sold(with_sales(lambda raw_sales: typed(raw_sales).join(towns, on="shop")))
    assert "6 rows were read, but 0 are accounted for" in refused(here, "staged/sales")


def test_a_join_that_doubles_rows_stops_the_commit(sold):
    towns = pl.LazyFrame({"shop": ["north", "north"]})
    here = sold(with_sales(lambda raw_sales: typed(raw_sales).join(towns, on="shop")))
    assert "6 rows were read, but 12 are accounted for" in refused(here, "staged/sales")


def test_a_join_that_drops_one_row_and_doubles_another_stops_the_commit(sold):
    seen = pl.LazyFrame({"id": [1, 2, 3, 4, 5, 5]})
    here = sold(with_sales(lambda raw_sales: typed(raw_sales).join(seen, on="id")))
    assert "staged/sales" in refused(here, "staged/sales")


def test_a_join_with_a_declared_table_that_doubles_rows_stops_the_commit(sold):
    here = sold(
        with_sales(
            lambda raw_sales, raw_shops: typed(raw_sales).join(raw_shops.select("shop"), on="shop")
        )
    )
    write(here, "shops", "a.csv", "shop,town\nnorth,York\nnorth,Leeds\n")
    take(here, "raw/shops")
    assert "6 rows were read, but 12 are accounted for" in refused(here, "staged/sales")


@pytest.mark.parametrize("days", [None, only(3), only(4)])
def test_a_transform_that_moves_rows_to_other_days_stops_the_commit(sold, days):
    here = sold(
        with_sales(
            lambda raw_sales: typed(raw_sales).with_columns(col("sold_on").dt.offset_by("1d"))
        )
    )
    assert "outside the days that are made" in refused(here, "staged/sales", days)


def test_a_transform_that_swaps_two_days_stops_the_commit(sold):
    swapped = pl.date(2024, 6, 7 - col("sold_on").dt.day())
    here = sold(with_sales(lambda raw_sales: typed(raw_sales).with_columns(sold_on=swapped)))
    assert "outside the days that are made" in refused(here, "staged/sales")


def test_an_aggregation_without_a_day_stops_the_commit(sold):
    here = sold(with_days(lambda sales: by_day(sales.filter(col("sold_on") < june(4)))))
    redo(here, "staged/sales")
    assert "6 rows were read, but 3 are accounted for" in refused(here, "marts/shop_days")


def test_an_aggregation_that_moves_days_stops_the_commit(sold):
    here = sold(
        with_days(lambda sales: by_day(sales.with_columns(col("sold_on").dt.offset_by("1d"))))
    )
    redo(here, "staged/sales")
    assert "marts/shop_days" in refused(here, "marts/shop_days")


def test_an_aggregation_that_swaps_two_days_stops_the_commit(sold):
    swapped = pl.date(2024, 6, 7 - col("sold_on").dt.day())
    here = sold(with_days(lambda sales: by_day(sales.with_columns(sold_on=swapped))))
    redo(here, "staged/sales")
    sell(here, "b", lines(3, 4, first=9))
    take(here)
    redo(here, "staged/sales")
    assert "marts/shop_days" in refused(here, "marts/shop_days")


def test_an_aggregation_that_moves_days_out_of_its_lookback_stops_the_commit(sold):
    shifted = lambda sales: by_day(sales.with_columns(col("sold_on").dt.offset_by("1d")))  # noqa: E731
    here = sold(with_days(shifted, lookback=1))
    redo(here, "staged/sales")
    assert "marts/shop_days" in refused(here, "marts/shop_days", only(4))


def test_a_filter_that_is_declared_is_a_fate(sold):
    here = sold(with_sales(typed, leave_out={"small change": col("amount").cast(pl.Int64) < 3}))
    audit = redo(here, "staged/sales")
    assert (audit.read, audit.written, dict(audit.filtered)) == (6, 4, {"small change": 2})


def test_a_row_that_matches_two_filters_is_left_out_once(sold):
    amount = col("amount").cast(pl.Int64)
    here = sold(with_sales(typed, leave_out={"small": amount < 3, "tiny": amount < 2}))
    assert dict(redo(here, "staged/sales").filtered) == {"small": 2, "tiny": 0}


def test_a_mart_by_month_accounts_for_every_row_of_its_days(sold):
    class ShopMonth(Contract):
        sold_on: pl.Date
        sales: pl.Int64

        class Table:
            key = ("sold_on",)
            date_column = "sold_on"
            counts = "sales"

    def months(sales: LazyFrame) -> LazyFrame:
        return sales.group_by(col("sold_on").dt.month_start()).agg(sales=pl.len().cast(pl.Int64))

    here = sold(with_days(months, ShopMonth, partitions=Monthly(june(1))))
    redo(here, "staged/sales")
    assert (redo(here, "marts/shop_days").read, rows(here, "marts/shop_days")) == (
        6,
        [(june(1), 6)],
    )


def test_only_what_the_commit_names_is_in_the_folder(sold):
    here = sold(with_days(by_day))
    redo(here, "staged/sales")
    assert files_of(here, "staged/sales") == live_files(here, "staged/sales")
