"""Law 5: no version that a reader sees breaks its contract, and no write touches a row outside its days."""

from dataclasses import replace
from datetime import date
from random import Random

import polars as pl
import pytest
from polars import col
from support.sizes import full
from support.worlds import NOW, bring_up_to_date, catalog_of, contents, copy_world, deliver, world
from tills import (
    JUNE,
    Sale,
    ShopDay,
    by_day,
    files_of,
    june,
    lines,
    live_files,
    only,
    raw_sales,
    redo,
    rows,
    sell,
    take,
    till,
    typed,
    with_days,
    with_sales,
)

from lakehouse.calendar import Days
from lakehouse.errors import DataError, SetupError
from lakehouse.observe.overview import list_audits
from lakehouse.publish.audit import RefusedCommitError
from lakehouse.storage.lake import list_data_files
from lakehouse.tables.contract import Field
from lakehouse.tables.declare import staged
from lakehouse.tables.table_types import DerivedTable
from lakehouse.transform import plan


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A till with three good days."""
    folder = tmp_path_factory.mktemp("template")
    shop = world(folder, till())
    sell(shop, "a", *(lines(day, 1, 2, 3, first=10 * day) for day in (3, 4, 5)))
    bring_up_to_date(shop)
    return folder


@pytest.fixture
def open_shop(template, tmp_path):
    """A copy of it."""
    return copy_world(template, tmp_path, till())


def refuse(here, table, days=None):
    """Returns the refusal of a commit; the table and its folder are unchanged."""
    before = (here.lake.version(table), live_files(here, table), files_of(here, table))
    with pytest.raises(RefusedCommitError) as refused:
        redo(here, table, days)
    assert (here.lake.version(table), live_files(here, table), files_of(here, table)) == before
    return refused.value


def test_too_many_rejects_refuse_the_commit_whole(open_shop):
    sell(open_shop, "b", lines(4, *[-1] * 4, first=90))
    take(open_shop)
    audit = refuse(open_shop, "staged/sales", only(4)).audit
    assert (audit.read, audit.quarantined, audit.written) == (7, 4, 3)


def test_a_refusal_leaves_nothing_in_quarantine(open_shop):
    sell(open_shop, "b", lines(4, *[-1] * 4, first=90))
    take(open_shop)
    refuse(open_shop, "staged/sales", only(4))
    assert open_shop.lake.open("quarantine/staged_sales") is None
    assert files_of(open_shop, "quarantine/staged_sales") == set()


def test_a_refusal_shows_no_values(open_shop):
    sell(open_shop, "b", lines(4, *[-77] * 4, first=90))
    take(open_shop)
    message = str(refuse(open_shop, "staged/sales", only(4)))
    assert "b.csv" in message
    assert "77" not in message


def test_a_broken_table_rule_refuses_the_commit(tmp_path):
    def endless(sales):
        return by_day(sales).with_columns(amount=pl.lit(float("inf")))

    here = world(tmp_path, with_days(endless))
    sell(here, "a", lines(3, 1))
    take(here)
    redo(here, "staged/sales")
    assert "amounts are finite" in str(refuse(here, "marts/shop_days"))


def test_a_repeated_key_refuses_a_mart(tmp_path):
    def by_line(sales):
        return sales.select("sold_on", "shop", "amount", sales=pl.lit(1, dtype=pl.Int64))

    here = world(tmp_path, with_days(by_line))
    sell(here, "a", lines(3, 1, 2))
    take(here)
    redo(here, "staged/sales")
    assert "sold_on, shop is a key" in str(refuse(here, "marts/shop_days"))


def test_one_bad_row_refuses_a_mart_that_allows_none(tmp_path):
    here = world(
        tmp_path, with_days(lambda sales: by_day(sales).with_columns(shop=pl.lit(None, pl.String)))
    )
    sell(here, "a", lines(3, 1, 2))
    take(here)
    redo(here, "staged/sales")
    assert "shop is present" in str(refuse(here, "marts/shop_days"))


def test_poisoned_days_of_a_range_are_held_back_and_the_others_published(open_shop):
    sell(
        open_shop,
        "b",
        lines(4, *[-1] * 4, first=90),
        lines(5, 8, -1, first=95),
        lines(6, 7, first=60),
    )
    take(open_shop)
    before = [row for row in rows(open_shop, "staged/sales") if row[1] == june(4)]
    audit = redo(open_shop, "staged/sales")
    assert audit.held_back == {june(4): "4 of 7 rows break the contract (57.1%; 50.0% are allowed)"}
    assert audit.materialized == (Days(june(3), june(3)), Days(june(5), june(6)))
    assert (audit.read, audit.written, audit.quarantined) == (9, 8, 1)
    assert [row for row in rows(open_shop, "staged/sales") if row[1] == june(4)] == before
    assert {(60, june(6), "north", 7.0), (95, june(5), "north", 8.0)} <= set(
        rows(open_shop, "staged/sales")
    )
    rejected = open_shop.lake.scan("quarantine/staged_sales").collect()
    assert rejected["id"].to_list() == ["96"]


def test_a_day_held_back_is_told_by_the_commit(open_shop):
    sell(open_shop, "b", lines(4, *[-1] * 4, first=90), lines(6, 7, first=60))
    take(open_shop)
    redo(open_shop, "staged/sales")
    audit = list_audits(open_shop, "staged/sales")[-1]
    assert list(audit.held_back) == [june(4)]


def test_a_small_dirty_day_gets_the_same_verdict_alone_and_in_a_range(open_shop):
    sell(open_shop, "b", lines(4, *[-1] * 4, first=90), lines(6, *range(1, 100), first=100))
    take(open_shop)
    assert list(redo(open_shop, "staged/sales").held_back) == [june(4)]
    refuse(open_shop, "staged/sales", only(4))


def test_the_rows_of_a_day_held_back_are_still_looked_back_on(tmp_path):
    def so_far(sales):
        day = sales.group_by("sold_on", "shop").agg(
            amount=col("amount").sum(), sales=pl.len().cast(pl.Int64)
        )
        whole = col("amount").sum().over("shop")
        return day.with_columns(
            amount=pl.when(col("sold_on") == june(4)).then(None).otherwise(whole)
        )

    here = world(tmp_path, with_days(so_far, lookback=2))
    sell(here, "a", lines(3, 1), lines(4, 2, first=2), lines(5, 4, first=3))
    take(here)
    redo(here, "staged/sales")
    audit = redo(here, "marts/shop_days")
    assert list(audit.held_back) == [june(4)]
    assert {row[0]: row[2] for row in rows(here, "marts/shop_days")} == {june(3): 7.0, june(5): 7.0}


def test_when_every_day_is_refused_the_message_names_each(open_shop):
    sell(open_shop, "b", *(lines(day, *[-1] * 9, first=100 * day) for day in (3, 4, 5)))
    take(open_shop)
    refused = refuse(open_shop, "staged/sales")
    assert set(refused.periods) == {june(3), june(4), june(5)}
    assert "2024-06-04: 9 of 12 rows break the contract" in str(refused)


def test_a_rule_of_the_table_is_asked_of_each_day(tmp_path):
    def endless_on_the_fourth(sales):
        wrong = (
            pl.when(col("sold_on") == june(4)).then(pl.lit(float("inf"))).otherwise(col("amount"))
        )
        return by_day(sales).with_columns(amount=wrong)

    here = world(tmp_path, with_days(endless_on_the_fourth))
    sell(here, "a", lines(3, 1), lines(4, 2, first=2), lines(5, 4, first=3))
    take(here)
    redo(here, "staged/sales")
    assert redo(here, "marts/shop_days").held_back == {
        june(4): "the table rule 'amounts are finite' does not hold"
    }
    assert [row[0] for row in rows(here, "marts/shop_days")] == [june(3), june(5)]


class Weighed(ShopDay):
    """Sales of a shop on a day, with a column that each row must have."""

    weight: float

    class Table:
        key = ("sold_on", "shop")
        date_column = "sold_on"
        counts = "sales"
        max_quarantined = 0.0


class Noted(ShopDay):
    """Sales of a shop on a day, with a column that a row may have."""

    note: str = Field(nullable=True)

    class Table:
        key = ("sold_on", "shop")
        date_column = "sold_on"
        counts = "sales"
        max_quarantined = 0.0


def weighed(sales):
    return by_day(sales).with_columns(weight=pl.lit(1.0))


def under(here, catalog):
    """The same lake under other declarations."""
    return replace(here, catalog=catalog)


@pytest.fixture
def three_days(tmp_path):
    """Sales by day, of three days."""
    here = world(tmp_path, with_days(by_day))
    sell(here, "a", *(lines(day, 1, 2, first=10 * day) for day in (3, 4, 5)))
    bring_up_to_date(here)
    return here


def test_a_column_that_must_not_be_null_is_refused_for_some_days_and_taken_for_all(three_days):
    here = under(three_days, with_days(weighed, Weighed))
    before = (
        contents(here),
        here.lake.version("marts/shop_days"),
        files_of(here, "marts/shop_days"),
    )
    with pytest.raises(SetupError) as refused:
        redo(here, "marts/shop_days", only(4))
    assert "weight must not be null, but the rows that stay have no value for it" in str(
        refused.value
    )
    assert "2024-06-03...2024-06-05" in str(refused.value)
    assert (
        contents(here),
        here.lake.version("marts/shop_days"),
        files_of(here, "marts/shop_days"),
    ) == before
    redo(here, "marts/shop_days", only(3, 5))
    assert here.lake.scan("marts/shop_days").collect()["weight"].to_list() == [1.0] * 3


def test_a_column_that_left_the_contract_goes_with_the_last_row_that_has_it(tmp_path):
    here = world(tmp_path, with_days(weighed, Weighed))
    sell(here, "a", *(lines(day, 1, 2, first=10 * day) for day in (3, 4, 5)))
    bring_up_to_date(here)
    here = under(here, with_days(by_day))
    with pytest.raises(
        SetupError, match="weight is a column of the table, but not of its contract"
    ):
        redo(here, "marts/shop_days", only(4))
    redo(here, "marts/shop_days")
    assert "weight" not in here.lake.scan("marts/shop_days").collect_schema()
    assert "weight" in here.lake.scan("marts/shop_days", 0).collect_schema()


def test_a_column_that_may_be_null_comes_with_the_first_day_that_has_it(three_days):
    here = under(
        three_days, with_days(lambda sales: by_day(sales).with_columns(note=pl.lit("x")), Noted)
    )
    redo(here, "marts/shop_days", only(4))
    assert here.lake.scan("marts/shop_days").collect().sort("sold_on")["note"].to_list() == [
        None,
        "x",
        None,
    ]


def test_a_column_of_another_type_is_taken_with_all_days_in_one_version(three_days):
    class Rounded(ShopDay):
        """Sales of a shop on a day, in whole pounds."""

        amount: pl.Int64  # type: ignore[assignment]

        class Table:
            key = ("sold_on", "shop")
            date_column = "sold_on"
            counts = "sales"
            max_quarantined = 0.0

    rounded = with_days(
        lambda sales: by_day(sales).with_columns(col("amount").cast(pl.Int64)), Rounded
    )
    here, before = under(three_days, rounded), three_days.lake.version("marts/shop_days")
    with pytest.raises(SetupError, match="amount is double in the table and long in the new rows"):
        redo(here, "marts/shop_days", only(4))
    redo(here, "marts/shop_days")
    assert here.lake.version("marts/shop_days") == before + 1
    assert here.lake.scan("marts/shop_days").collect()["amount"].to_list() == [3, 3, 3]


def test_a_refused_change_of_columns_leaves_quarantine_as_it_was(open_shop):
    class Tilled(Sale):
        """One sale, with the till."""

        till: str

        class Table:
            date_column = "sold_on"
            max_quarantined = 0.5

    def sales(raw_sales):
        return typed(raw_sales).with_columns(till=pl.lit("first"))

    sell(open_shop, "b", lines(4, -1, first=90))
    take(open_shop)
    here = under(
        open_shop, catalog_of(raw_sales=raw_sales, sales=staged(Tilled, partitions=JUNE)(sales))
    )
    with pytest.raises(SetupError, match="till must not be null"):
        redo(here, "staged/sales", only(4))
    assert here.lake.version("quarantine/staged_sales") is None


def test_refused_days_are_told_in_the_order_of_time(open_shop):
    sold = {day: [f"{n},2024-{day},north,-1\n" for n in range(9)] for day in ("06-20", "10-01")}
    sell(open_shop, "b", *(line for day in ("10-01", "06-20") for line in sold[day]))
    take(open_shop)
    with pytest.raises(RefusedCommitError) as refused:
        redo(open_shop, "staged/sales", Days(june(20), date(2024, 11, 30)))
    assert list(refused.value.periods) == [june(20), date(2024, 10, 1)]


def test_a_commit_that_comes_while_a_make_is_planned_does_not_change_the_plan(
    open_shop, monkeypatch
):
    """The days that only the table holds are those of the version that the plan has read."""
    find_periods = plan._find_periods

    def disturbed(*given):
        open_shop.lake.open("staged/sales").delete("sold_on = '2024-06-05'")
        return find_periods(*given)

    open_shop.lake.open("raw/sales").delete("sold_on = '2024-06-05'")
    monkeypatch.setattr(plan, "_find_periods", disturbed)
    asked = plan.MakeRequest(open_shop.catalog["staged/sales"], only(3, 5), now=NOW)
    found = plan.plan_make(open_shop.lake, open_shop.catalog, asked)
    assert found.scope.untouched == (june(5),)


def test_a_refused_day_does_not_hold_up_the_others(open_shop):
    sell(open_shop, "b", lines(4, *[-1] * 4, first=90), lines(6, 7, first=60))
    take(open_shop)
    refuse(open_shop, "staged/sales", only(4))
    redo(open_shop, "staged/sales", only(6))
    assert (60, june(6), "north", 7.0) in rows(open_shop, "staged/sales")


def test_a_replaced_day_leaves_the_rest_of_its_month_as_it_was(open_shop):
    others = open_shop.lake.scan("staged/sales").filter(col("sold_on") != june(4)).sort("id")
    before = others.collect()
    sell(open_shop, "b", lines(4, 9, first=90))
    take(open_shop)
    audit = redo(open_shop, "staged/sales", only(4))
    after = (
        open_shop.lake.scan("staged/sales").filter(col("sold_on") != june(4)).sort("id").collect()
    )
    assert (audit.carried, after.equals(before), after.schema) == (6, True, before.schema)


def test_a_replaced_day_leaves_the_files_of_other_months_alone(tmp_path):
    here = world(tmp_path, till())
    other = lines(4, 1, 2).replace("2024-06", "2024-07")
    sell(here, "a", lines(4, 1, 2), other)
    bring_up_to_date(here)
    july = {path for path in live_files(here, "staged/sales") if "2024-07" in path}
    sell(here, "b", lines(4, 3, first=3))
    bring_up_to_date(here)
    assert july == {path for path in live_files(here, "staged/sales") if "2024-07" in path}


def test_the_log_counts_the_rows_that_are_in_the_files(open_shop):
    sell(open_shop, "b", lines(4, 9, first=90), lines(12, 1, first=100))
    bring_up_to_date(open_shop)
    for table in open_shop.lake.tables():
        counted = list_data_files(open_shop.lake.open(table))["num_records"].sum()
        assert counted == open_shop.lake.scan(table).collect().height


def test_an_input_without_a_day_does_not_erase_it(open_shop):
    before = contents(open_shop)
    version = open_shop.lake.version("staged/sales")
    open_shop.lake.open("raw/sales").delete(f"_event_date = '{june(4)}'")
    assert redo(open_shop, "staged/sales", only(4)) is None
    assert (open_shop.lake.version("staged/sales"), contents(open_shop)) == (version, before)


def test_a_span_names_the_days_that_it_left_as_they_were(open_shop):
    before = contents(open_shop)
    open_shop.lake.open("raw/sales").delete(f"_event_date = '{june(4)}'")
    audit = redo(open_shop, "staged/sales", only(3, 5))
    assert (audit.untouched, [*map(str, audit.materialized)]) == (
        (june(4),),
        ["2024-06-03", "2024-06-05"],
    )
    assert contents(open_shop) == before


@pytest.mark.parametrize("table", ["staged/sales", "marts/shop_days", "marts/shops"])
def test_an_empty_input_never_erases_a_table(open_shop, table):
    before = contents(open_shop)
    source = "raw/sales" if table == "staged/sales" else "staged/sales"
    open_shop.lake.open(source).delete()
    assert redo(open_shop, table) is None
    assert contents(open_shop)[table] == before[table]


def test_a_raw_table_that_was_rolled_back_erases_nothing(open_shop):
    sell(open_shop, "b", lines(8, 1, first=80))
    bring_up_to_date(open_shop)
    open_shop.lake.open("raw/sales").restore(0)
    redo(open_shop, "staged/sales")
    assert (80, june(8), "north", 1.0) in rows(open_shop, "staged/sales")


def test_a_transform_that_fails_on_the_data_leaves_no_file(tmp_path):
    here = world(
        tmp_path,
        with_days(
            lambda sales: by_day(sales.with_columns(shop=col("id").cast(pl.Int8).cast(pl.String)))
        ),
    )
    sell(here, "a", *(lines(day, *range(1000), first=1000 * day) for day in range(1, 29)))
    take(here)
    redo(here, "staged/sales")
    with pytest.raises(DataError, match="the transform fails on the data"):
        redo(here, "marts/shop_days")
    assert (here.lake.version("marts/shop_days"), files_of(here, "marts/shop_days")) == (
        None,
        set(),
    )


def test_a_staged_transform_that_fails_half_way_leaves_no_file(tmp_path):
    def strict(raw_sales):
        return typed(raw_sales).with_columns(
            amount=col("amount").replace_strict({1.0: 1.0, 2.0: 2.0})
        )

    here = world(tmp_path, with_sales(strict))
    sell(
        here,
        "a",
        *(lines(day, *[1, 2] * 500, first=1000 * day) for day in range(1, 28)),
        lines(28, 3, first=28_000),
    )
    take(here)
    with pytest.raises(DataError, match="the transform fails on the data"):
        redo(here, "staged/sales")
    assert (here.lake.version("staged/sales"), files_of(here, "staged/sales")) == (None, set())


def breaches(here):
    """Yields what Pandera itself reports about every version that a reader can see."""
    for table in here.catalog.derived_tables:
        for commit in here.lake.read_log(table.name):
            yield from _breaches(here, table, commit.version)


def _breaches(here, table: DerivedTable, version):
    rows = here.lake.scan(table.name, version).select(*table.schema).collect()
    schema = table.contract.to_schema()
    schema.validate(rows.select(*schema.columns))
    key = table.row_key
    if key and rows.select(key).is_duplicated().any():
        yield table.name, version


@pytest.mark.full
@pytest.mark.parametrize("batches", [2, full(4)])
def test_every_version_of_a_history_keeps_its_contract(here, fortnight, batches):
    random = Random(3)
    files = sorted((fortnight / "invoice_lines").iterdir())
    random.shuffle(files)
    deliver(here, "fx_rates", *(fortnight / "fx_rates").iterdir())
    for number in range(batches):
        deliver(here, "invoice_lines", *files[number::batches])
        bring_up_to_date(here)
    assert list(breaches(here)) == []
    assert all(
        audit.accounted_rows == audit.read
        for table in here.catalog.tables
        for audit in list_audits(here, table)
    )


def test_every_version_of_the_samples_keeps_its_contract(stocked):
    here, _ = stocked
    assert list(breaches(here)) == []
