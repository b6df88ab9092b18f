"""The fate of every row that a transform returns, and the verdict on the commit."""

from datetime import date

import polars as pl
import pytest
from support.worlds import NOW, catalog_of, land_all, world, write

from lakehouse.calendar import Daily
from lakehouse.errors import DataError, LawError
from lakehouse.publish.audit import RefusedCommitError
from lakehouse.tables.casting import cast
from lakehouse.tables.contract import Contract, Field
from lakehouse.tables.declare import mart, raw, staged
from lakehouse.transform.limits import MakeLimits
from lakehouse.transform.make import make

DAY = pl.col("day").str.to_date("%Y-%m-%d", strict=False)
raw_orders = raw("orders", "Orders.", columns=("id", "day", "n", "rev"), day=DAY)


class Order(Contract):
    """The latest version of an order."""

    id: str = Field(str_length={"min_value": 1})
    on_day: date
    n: int = Field(ge=0, le=100, pii=True)
    rev: int = Field(nullable=True)

    class Table:
        key = ("id",)
        sequence = ("rev",)
        date_column = "on_day"
        max_quarantined = 0.5
        rules = {"fewer than 5000 pieces": pl.col("n").sum() < 5000}  # noqa: RUF012


class DayTotal(Contract):
    """A day."""

    on_day: date
    n: int = Field(ge=0)
    lines: int

    class Table:
        key = ("on_day",)
        date_column = "on_day"
        counts = "lines"
        max_quarantined = 0.0


def typed(raw_orders: pl.LazyFrame) -> pl.LazyFrame:
    return cast(
        raw_orders,
        on_day=DAY,
        n=pl.col("n").cast(pl.Int64, strict=False),
        rev=pl.col("rev").cast(pl.Int64, strict=False),
    )


def orders_by(transform, **declared):
    """A catalogue in which the orders are made by some transform."""
    transform.__name__ = "orders"
    table = staged(Order, partitions=Daily(date(2024, 1, 1)), **declared)(transform)
    return catalog_of(raw_orders=raw_orders, orders=table)


def totals_by(group):
    """A catalogue with a mart of the orders."""

    def totals(orders: pl.LazyFrame) -> pl.LazyFrame:
        return group(orders)

    orders = staged(Order, partitions=Daily(date(2024, 1, 1)))(named("orders"))
    return catalog_of(
        raw_orders=raw_orders,
        orders=orders,
        totals=mart(DayTotal, partitions=Daily(date(2024, 1, 1)))(totals),
    )


def named(name: str):
    def transform(raw_orders: pl.LazyFrame) -> pl.LazyFrame:
        return typed(raw_orders)

    transform.__name__ = name
    return transform


def made(
    tmp_path,
    rows: list[str],
    catalog,
    table: str = "staged/orders",
    limits: MakeLimits | None = None,
):
    """Delivers the orders and makes a table from them."""
    here = world(tmp_path, catalog)
    write(here, "orders", "a.csv", "id,day,n,rev\n" + "\n".join(rows) + "\n")
    land_all(here)
    for name in dict.fromkeys(["staged/orders", table]):
        audit = make(here.lake, catalog, name, now=NOW, limits=limits)
    return here.lake, audit


def standing(lake, *columns: str) -> list[tuple]:
    return lake.scan("staged/orders").select(columns).collect().sort(columns).rows()


@pytest.fixture
def catalog():
    return orders_by(named("orders"))


def test_each_row_has_one_fate(tmp_path, catalog):
    rows = [
        "a,2024-01-01,1,1",
        "a,2024-01-01,2,2",
        "b,2024-01-01,-1,1",
        "c,2024-01-01,x,1",
        "d,2024-01-01,4,1",
    ]
    _, audit = made(tmp_path, rows, catalog)
    assert (audit.read, audit.written, audit.quarantined, audit.superseded) == (5, 2, 2, 1)
    assert (audit.rules["n >= 0"], audit.rules["n can be read"], audit.rules["n is present"]) == (
        1,
        1,
        1,
    )


def test_the_latest_version_of_a_key_wins_by_its_sequence(tmp_path, catalog):
    lake, _ = made(tmp_path, ["a,2024-01-01,3,3", "a,2024-01-01,2,2", "a,2024-01-01,9,"], catalog)
    assert standing(lake, "id", "n") == [("a", 3)]


def test_a_version_that_breaks_the_contract_does_not_hide_one_that_keeps_it(tmp_path, catalog):
    lake, audit = made(tmp_path, ["a,2024-01-01,3,1", "a,2024-01-01,-3,2"], catalog)
    assert standing(lake, "id", "n") == [("a", 3)]
    assert audit.quarantined == 1


def test_the_later_record_of_equal_versions_wins(tmp_path, catalog):
    lake, _ = made(tmp_path, ["a,2024-01-01,1,1", "a,2024-01-01,2,1"], catalog)
    assert standing(lake, "id", "n", "_offset") == [("a", 2, 2)]


def test_rejected_rows_are_in_quarantine_as_they_were_received(tmp_path, catalog):
    lake, _ = made(tmp_path, ["a,2024-01-01, 101 ,1", "b,2024-01-01,1,1"], catalog)
    (row,) = lake.scan("quarantine/staged_orders").collect().rows(named=True)
    assert (row["id"], row["n"], row["day"], row["_offset"]) == ("a", " 101 ", "2024-01-01", 1)
    assert row["_rules"] == ["n can be read", "n is present"]
    assert row["_source"].startswith("a.csv#")


def test_a_row_without_a_day_is_quarantined_with_the_first_day(tmp_path, catalog):
    lake, audit = made(tmp_path, ["a,,1,1", "b,2024-01-01,1,1"], catalog)
    row = lake.scan("quarantine/staged_orders").collect().row(0, named=True)
    assert (row["_window"], row["_rules"]) == (date(2024, 1, 1), ["on_day is present"])
    assert audit.quarantined == 1


def test_too_many_rejects_refuse_the_commit_and_name_what_and_where_but_no_value(tmp_path, catalog):
    with pytest.raises(RefusedCommitError) as refusal:
        made(tmp_path, ["a,2024-01-01,-77,1", "b,2024-01-01,-77,1", "c,2024-01-01,1,1"], catalog)
    assert "2 of 3 rows break the contract (66.7%; 50.0% are allowed)" in str(refusal.value)
    assert "2 x n >= 0" in str(refusal.value)
    assert "record 1: n >= 0" in str(refusal.value)
    assert "-77" not in str(refusal.value)
    assert refusal.value.audit.quarantined == 2


def test_a_table_rule_that_fails_refuses_the_commit(tmp_path, catalog):
    with pytest.raises(DataError, match="the table rule 'fewer than 5000 pieces' does not hold"):
        made(tmp_path, [f"{n},2024-01-01,100,1" for n in range(51)], catalog)


def test_a_refused_commit_leaves_neither_table_nor_quarantine(tmp_path, catalog):
    with pytest.raises(DataError):
        made(tmp_path, ["a,2024-01-01,-1,1"], catalog)
    assert world(tmp_path, catalog).lake.tables() == ["raw/orders", "quarantine/deliveries"]


def test_rows_left_out_are_counted_under_the_first_rule_that_names_them(tmp_path):
    rules = {"tests": pl.col("id") == "test", "small": pl.col("n").cast(pl.Int64, strict=False) < 5}
    catalog = orders_by(named("orders"), leave_out=rules)
    _, audit = made(
        tmp_path, ["test,2024-01-01,1,1", "a,2024-01-01,1,1", "b,2024-01-01,7,1"], catalog
    )
    assert (audit.filtered, audit.written) == ({"tests": 1, "small": 1}, 1)


def test_repeated_rows_are_superseded(tmp_path):
    catalog = orders_by(named("orders"), distinct=("id", "day", "n", "rev"))
    _, audit = made(tmp_path, ["a,2024-01-01,1,1"] * 3, catalog)
    assert (audit.read, audit.written, audit.superseded) == (3, 1, 2)


@pytest.mark.parametrize("at_once", [1, 3, 1000])
def test_repeats_are_found_a_few_periods_at_a_time(tmp_path, at_once):
    rows = [f"{n},2024-01-0{day},{n},1" for day in (1, 2, 3) for n in (1, 2, 1, 2, 1)]
    catalog = orders_by(named("orders"), distinct=("id", "day", "n", "rev"))
    lake, audit = made(tmp_path, rows, catalog, limits=MakeLimits(distinct_rows=at_once))
    assert (audit.read, audit.written, audit.superseded) == (15, 6, 9)
    assert standing(lake, "on_day", "id") == [
        (date(2024, 1, day), str(n)) for day in (1, 2, 3) for n in (1, 2)
    ]


def test_a_day_that_is_held_back_leaves_nothing_behind_in_the_search_for_repeats(tmp_path):
    rows = ["a,2024-01-01,1,1", "a,2024-01-01,1,1", "b,2024-01-02,2,1", "c,2024-01-03,-1,1"]
    catalog = orders_by(named("orders"), distinct=("id", "day", "n", "rev"))
    lake, audit = made(tmp_path, rows, catalog, limits=MakeLimits(distinct_rows=1))
    assert (audit.read, audit.written, audit.superseded, list(audit.held_back)) == (
        3,
        2,
        1,
        [date(2024, 1, 3)],
    )
    assert standing(lake, "id") == [("a",), ("b",)]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda lf: lf.filter(pl.col("id") != "a"),
        lambda lf: pl.concat([lf, lf]),
        lambda lf: lf.head(1),
        lambda lf: pl.concat([lf.head(1), lf.head(1)]),
    ],
)
def test_a_transform_that_drops_or_repeats_rows_breaks_the_law(tmp_path, wrong):
    def transform(raw_orders: pl.LazyFrame) -> pl.LazyFrame:
        return wrong(typed(raw_orders))

    with pytest.raises(LawError):
        made(tmp_path, ["a,2024-01-01,1,1", "b,2024-01-01,1,1"], orders_by(transform))


def test_a_transform_that_moves_a_row_to_another_day_breaks_the_law(tmp_path):
    def transform(raw_orders: pl.LazyFrame) -> pl.LazyFrame:
        return typed(raw_orders).with_columns(on_day=pl.col("on_day").dt.offset_by("1d"))

    with pytest.raises(LawError, match="have a day outside the days that are made"):
        made(tmp_path, ["a,2024-01-01,1,1"], orders_by(transform))


def by_day(orders: pl.LazyFrame) -> pl.LazyFrame:
    return orders.group_by("on_day").agg(n=pl.col("n").sum(), lines=pl.len().cast(pl.Int64))


def test_an_aggregate_accounts_for_the_rows_behind_it(tmp_path):
    rows = ["a,2024-01-01,1,1", "b,2024-01-01,2,1", "c,2024-01-02,3,1"]
    _, audit = made(tmp_path, rows, totals_by(by_day), "marts/totals")
    assert (audit.read, audit.written, audit.rows) == (3, 3, 2)


def test_a_repeated_key_of_a_mart_refuses_the_commit(tmp_path):
    def apart(orders: pl.LazyFrame) -> pl.LazyFrame:
        return orders.select("on_day", "n", lines=pl.lit(1, dtype=pl.Int64))

    with pytest.raises(DataError, match="the table rule 'on_day is a key' does not hold"):
        made(tmp_path, ["a,2024-01-01,1,1", "b,2024-01-01,2,1"], totals_by(apart), "marts/totals")


def test_an_aggregate_that_forgets_rows_breaks_the_law(tmp_path):
    with pytest.raises(LawError):
        made(
            tmp_path,
            ["a,2024-01-01,1,1", "b,2024-01-01,2,1"],
            totals_by(lambda o: by_day(o.head(1))),
            "marts/totals",
        )


def test_a_rejected_aggregate_names_its_day(tmp_path):
    def minus(orders: pl.LazyFrame) -> pl.LazyFrame:
        return by_day(orders).with_columns(n=-pl.col("n"))

    with pytest.raises(RefusedCommitError, match="for example the row of 2024-01-01: n >= 0"):
        made(tmp_path, ["a,2024-01-01,1,1"], totals_by(minus), "marts/totals")
