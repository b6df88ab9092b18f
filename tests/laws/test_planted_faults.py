"""Law 1 under fire: faults planted in real transforms and in the engine itself are caught by name before the commit."""

from dataclasses import replace
from datetime import date
from functools import wraps

import polars as pl
import pytest
from conftest import deliver_all
from polars import col
from stock import Event, create_lake, deliver_events, make_tables
from support.worlds import NOW, bring_up_to_date, content, land_all, retail, world, write
from tills import files_of

from lakehouse.calendar import Days
from lakehouse.environment import Environment
from lakehouse.errors import LawError
from lakehouse.publish.write_plan import plan_write
from lakehouse.tables.catalog import Catalog
from lakehouse.transform.make import make

DAYS = Days(date(2010, 12, 1), date(2010, 12, 4))
LINES, RATES = "staged/invoice_lines", "staged/fx_rates"
BY_DAY, BY_MONTH, BY_CUSTOMER = "marts/daily_sales", "marts/product_months", "marts/customers"
NOT_ALL, ANOTHER_DAY = "rows were read, but", "have a day outside the days that are made"
NOT_THESE = "but not the same ones"


def joined(column, *values, how="inner"):
    return lambda lf: lf.join(pl.LazyFrame({column: values}), on=column, how=how)


def swapped(lf):
    """One row is dropped, another one is there twice."""
    ordered = lf.sort("invoice_date" if "invoice_date" in lf.collect_schema() else "rate_date")
    return pl.concat([ordered.slice(1), ordered.tail(1)])


DROPS, REPEATS = joined("country", "France"), joined("country", *["United Kingdom"] * 2, how="left")
FILTERS = lambda lf: lf.filter(col("quantity") > 1)  # noqa: E731
MOVES = lambda lf: lf.with_columns(col("invoice_date").dt.offset_by("1d"))  # noqa: E731
PLANTED = [
    (LINES, "a join that drops rows", DROPS, NOT_ALL),
    (LINES, "an undeclared filter", FILTERS, NOT_ALL),
    (LINES, "a join that repeats rows", REPEATS, NOT_ALL),
    (LINES, "a wrong window", MOVES, ANOTHER_DAY),
    (LINES, "swapped rows", swapped, NOT_THESE),
    (RATES, "a join that drops rows", joined("currency", "USD"), NOT_ALL),
    (RATES, "an undeclared filter", lambda lf: lf.filter(col("rate") > 1), NOT_ALL),
    (RATES, "a join that repeats rows", joined("currency", "USD", "USD", how="left"), NOT_ALL),
    (RATES, "swapped rows", swapped, NOT_THESE),
    (BY_DAY, "a join that drops rows", DROPS, NOT_ALL),
    (BY_DAY, "an undeclared filter", FILTERS, NOT_ALL),
    (BY_DAY, "a join that repeats rows", REPEATS, NOT_ALL),
    (BY_DAY, "a wrong window", MOVES, BY_DAY),
    (BY_DAY, "swapped rows", swapped, BY_DAY),
    (BY_CUSTOMER, "a join that drops rows", DROPS, NOT_ALL),
    (BY_CUSTOMER, "an undeclared filter", FILTERS, NOT_ALL),
    (BY_CUSTOMER, "a join that repeats rows", REPEATS, NOT_ALL),
]
IN_SQL = [
    (
        "a join that drops rows",
        "invoice_lines JOIN (SELECT 'France' AS country) USING (country)",
        NOT_ALL,
    ),
    ("an undeclared filter", "invoice_lines WHERE quantity > 1", NOT_ALL),
    ("a join that repeats rows", "invoice_lines CROSS JOIN (VALUES (1), (2))", NOT_ALL),
    (
        "a wrong window",
        "(SELECT * REPLACE (invoice_date + 31 AS invoice_date) FROM invoice_lines)",
        BY_MONTH,
    ),
]


@pytest.fixture(scope="module")
def shop(fortnight, tmp_path_factory):
    """Two weeks of the retail domain, up to date; each test leaves it unchanged."""
    here = world(tmp_path_factory.mktemp("planted"))
    deliver_all(here, fortnight)
    bring_up_to_date(here)
    return here


@pytest.fixture(scope="module")
def stock(tmp_path_factory):
    """Tables with keys, and events not yet applied; one of each delivery breaks the contract."""
    here = create_lake(tmp_path_factory.mktemp("stock"))
    deliver_events(
        here,
        "a",
        [Event("x", 1, "one", "1"), Event("y", 1, "two", "-1"), Event("y", 2, "two", "2")],
    )
    make_tables(here)
    deliver_events(
        here,
        "b",
        [Event("x", 3, "one", "3"), Event("y", 3, "two", "-3"), Event("z", 3, "three", "3")],
    )
    return here


def planted(catalog: Catalog, name: str, fault) -> Catalog:
    """Tables with a fault in one: in the rows that a staged transform returns, or in those that a mart reads."""
    table = catalog[name]

    @wraps(table.transform)
    def transform(*frames):
        if table.is_sql:
            return table.transform().replace("invoice_lines", fault)
        if name.startswith("staged/"):
            return fault(table.transform(*frames))
        first, *others = frames
        return table.transform(fault(first), *others)

    return Catalog({**catalog.tables, name: replace(table, transform=transform)})


def refused(here: Environment, catalog: Catalog, name: str) -> str:
    """Returns the message of the law that stops a table; the table and its quarantine are unchanged, no file is left."""
    tables = [
        table for table in (name, catalog[name].quarantine) if here.lake.open(table) is not None
    ]
    before = [
        (here.lake.version(table), content(here, table), files_of(here, table)) for table in tables
    ]
    days = DAYS if catalog[name].partitions else None
    with pytest.raises(LawError) as stopped:
        make(here.lake, catalog, name, days, now=NOW)
    assert before == [
        (here.lake.version(table), content(here, table), files_of(here, table)) for table in tables
    ]
    message = str(stopped.value)
    assert message.startswith(name)
    assert days is None or "2010-12-" in message
    return message


@pytest.mark.parametrize(
    ("name", "what", "fault", "told"), PLANTED, ids=lambda value: value if " " in str(value) else ""
)
def test_a_fault_in_a_transform_is_caught_before_the_commit(shop, name, what, fault, told):
    assert told in refused(shop, planted(retail(), name, fault), name), what


@pytest.mark.parametrize(("what", "fault", "told"), IN_SQL, ids=[what for what, *_ in IN_SQL])
def test_a_fault_in_a_query_is_caught_before_the_commit(shop, what, fault, told):
    assert told in refused(shop, planted(retail(), BY_MONTH, fault), BY_MONTH), what


IN_EVENTS = {
    "a join that drops rows": joined("sku", "x"),
    "an undeclared filter": lambda lf: lf.filter(col("sku") != "z"),
    "a join that repeats rows": joined("sku", "z", "z", how="left"),
}


@pytest.mark.parametrize("what", IN_EVENTS)
@pytest.mark.parametrize("name", ["staged/latest", "staged/versions"])
def test_a_fault_in_the_transform_of_events_is_caught_before_the_commit(stock, name, what):
    assert NOT_ALL in refused(stock, planted(stock.catalog, name, IN_EVENTS[what]), name)


@pytest.fixture
def engine_that(monkeypatch):
    """Plants a fault in how the engine writes the files of tables with a name prefix."""

    def writes(table: str, fault) -> None:
        def plan_faulty_write(lake, asked):
            is_meant = asked.table.startswith(table)
            return plan_write(lake, replace(asked, rows=fault(asked.rows)) if is_meant else asked)

        monkeypatch.setattr("lakehouse.publish.publish.plan_write", plan_faulty_write)

    return writes


LOSES = lambda lf: lf.slice(1)  # noqa: E731
DOUBLES = lambda lf: pl.concat([lf, lf])  # noqa: E731


@pytest.mark.parametrize("fault", [LOSES, DOUBLES], ids=["loses", "doubles"])
@pytest.mark.parametrize("name", [LINES, RATES, BY_DAY, BY_MONTH, BY_CUSTOMER])
def test_a_write_that_loses_or_doubles_rows_is_caught(shop, engine_that, name, fault):
    engine_that(name, fault)
    assert "but the files hold" in refused(shop, retail(), name)


@pytest.mark.parametrize(
    "fault", [LOSES, DOUBLES, lambda lf: lf.limit(0)], ids=["loses", "doubles", "forgets"]
)
def test_a_quarantine_write_that_loses_or_doubles_rows_is_caught(shop, engine_that, fault):
    engine_that("quarantine/", fault)
    assert "rows should be rejected" in refused(shop, retail(), LINES)


@pytest.mark.parametrize(
    "fault", [LOSES, DOUBLES, lambda lf: lf.limit(0)], ids=["loses", "doubles", "forgets"]
)
@pytest.mark.parametrize("place", ["staged/", "quarantine/"])
@pytest.mark.parametrize("name", ["staged/latest", "staged/versions"])
def test_a_write_of_a_table_with_keys_that_loses_or_doubles_rows_is_caught(
    stock, engine_that, name, place, fault
):
    engine_that(place, fault)
    assert "but the files hold" in refused(stock, stock.catalog, name)


@pytest.mark.parametrize("fault", [LOSES, DOUBLES], ids=["loses", "doubles"])
@pytest.mark.parametrize(
    ("written", "told"), [("raw/", NOT_ALL), ("quarantine/dead_letters", "dead letters were found")]
)
def test_a_landing_that_loses_or_doubles_rows_is_caught(here, engine_that, written, told, fault):
    write(
        here,
        "fx_rates",
        "a.csv",
        "Date,USD\n2010-12-01,1.3\n2010-12-02,1.3,7\n2010-12-03,1.4\n2010-12-04,1.4,8\n",
    )
    engine_that(written, fault)
    with pytest.raises(LawError, match=told):
        land_all(here)
    assert here.lake.tables() == []
