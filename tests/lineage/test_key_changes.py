"""Which days a changed key affects if the key has two parts and the first input is a raw table."""

from datetime import date
from pathlib import Path

import pytest
from polars import Int64, LazyFrame, col
from support.worlds import NOW, catalog_of, copy_world, land_all, world, write

from lakehouse.calendar import Daily, Days
from lakehouse.environment import Environment
from lakehouse.lineage.commit_history import read_audit
from lakehouse.tables.casting import cast
from lakehouse.tables.catalog import Catalog
from lakehouse.tables.contract import Contract
from lakehouse.tables.declare import mart, raw, sql_mart, staged
from lakehouse.tables.table_types import AsOf
from lakehouse.transform.make import make

DAY = col("day").str.to_date("%Y-%m-%d", strict=False)
DAILY = Daily(date(2024, 1, 1))
AS_OF = {"places": AsOf("valid_from", by=("store", "shelf"))}


class Place(Contract):
    """The content of a shelf of a shop from a day on."""

    shop: str
    shelf: str
    since: date
    name: str

    class Table:
        key = ("shop", "shelf")
        sequence = ("since",)


class Visit(Contract):
    """A visit to a shelf."""

    store: str
    shelf: str
    visited_on: date

    class Table:
        date_column = "visited_on"
        max_quarantined = 1.0


class Count(Contract):
    """How many places the visits of a day could have found."""

    visited_on: date
    places: int
    lines: Int64

    class Table:
        date_column = "visited_on"
        counts = "lines"


@staged(Place, mode="history")
def places(raw_places: LazyFrame) -> LazyFrame:
    return cast(raw_places, since=DAY)


@staged(Visit, partitions=DAILY, as_of=AS_OF)
def visits(raw_visits: LazyFrame, places: LazyFrame) -> LazyFrame:  # noqa: ARG001
    return cast(raw_visits, visited_on=DAY)


@mart(Count, partitions=DAILY, as_of=AS_OF)
def counts(visits: LazyFrame, places: LazyFrame) -> LazyFrame:
    found = places.select(places=col("name").count().cast(Int64))
    return (
        visits.group_by("visited_on")
        .agg(lines=col("store").len().cast(Int64))
        .join(found, how="cross")
    )


@sql_mart(Count, reads=("visits", "places"), partitions=DAILY, as_of=AS_OF)
def counts_in_sql() -> str:
    return """SELECT visited_on, (SELECT CAST(count(*) AS BIGINT) FROM places) AS places, count(*) AS lines
              FROM visits GROUP BY ALL"""


@mart(Count, partitions=Daily(date(2024, 1, 3)), lookback=1, as_of=AS_OF)
def later_counts(visits: LazyFrame, places: LazyFrame) -> LazyFrame:
    """The same from day 2 on, which looks back on a day that this table does not have."""
    return counts.transform(visits, places)


DERIVED = (places, visits, counts, counts_in_sql, later_counts)
TABLES = {table.name.partition("/")[2]: table for table in DERIVED}


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> tuple[Path, Catalog]:
    """Visits on days 1 to 4, the last one without a shop, and one without a day; three shelves have content."""
    raw_tables = {
        "raw_places": raw("places", "Places.", columns=("shop", "shelf", "day", "name")),
        "raw_visits": raw("visits", "Visits.", columns=("store", "shelf", "day"), day=DAY),
    }
    folder, catalog = tmp_path_factory.mktemp("template"), catalog_of(**raw_tables, **TABLES)
    here = world(folder, catalog)
    rows = [f"a,x,{day(1)}", f"b,x,{day(2)}", f"a,y,{day(3)}", f",x,{day(4)}", "a,z,never"]
    write(here, "visits", "visits.csv", "\n".join(["store,shelf,day", *rows, ""]))
    learn(here, "a,x,1,old", "a,z,0,old", "b,y,1,old")
    for table in ("staged/visits", "marts/counts", "marts/counts_in_sql", "marts/later_counts"):
        make(here.lake, here.catalog, table, now=NOW)
    return folder, catalog


@pytest.fixture
def here(template: tuple[Path, Catalog], tmp_path: Path) -> Environment:
    """A copy of it."""
    folder, catalog = template
    return copy_world(folder, tmp_path, catalog)


def day(number: int) -> date:
    return date(2024, 1, 1 + number)


def learn(here: Environment, *events: str) -> None:
    """Applies events, each as `shop,shelf,day,name`."""
    parts = [event.split(",") for event in events]
    lines = [f"{shop},{shelf},{day(int(number))},{name}" for shop, shelf, number, name in parts]
    write(here, "places", f"{'-'.join(events)}.csv", "\n".join(["shop,shelf,day,name", *lines, ""]))
    land_all(here)
    make(here.lake, here.catalog, "staged/places", now=NOW)


@pytest.mark.parametrize(
    ("event", "days"),
    [
        ("a,x,1,new", [1]),
        ("a,x,2,new", []),
        ("b,x,0,new", [2]),
        ("b,y,1,new", []),
        ("a,y,3,new", [3]),
    ],
)
def test_a_key_of_two_parts_reaches_the_days_that_hold_both_in_one_row(here, event, days):
    learn(here, event)
    affected = read_audit(here.lake.read_log("staged/places")[-1]).affected
    for reader in ("staged/visits", "marts/counts"):
        assert [one for span in affected[reader].days for one in span] == list(map(day, days))
        part = here.create_planner().find_stale_part(here.catalog[reader])
        assert list(part.keys if part else ()) == list(map(day, days))


@pytest.mark.parametrize(("event", "days"), [("a,z,0,new", [0]), ("a,z,1,new", [])])
def test_a_raw_row_without_a_day_counts_with_the_first_one(here, event, days):
    learn(here, event)
    part = here.create_planner().find_stale_part(here.catalog["staged/visits"])
    assert list(part.keys if part else ()) == list(map(day, days))


def test_a_day_before_the_first_one_counts_for_those_that_look_back_on_it(here):
    learn(here, "a,x,1,new", "a,x,2,old")
    part = here.create_planner().find_stale_part(here.catalog["marts/later_counts"])
    assert list(part.keys) == [day(2)]


@pytest.mark.parametrize("table", ["counts", "counts_in_sql"])
@pytest.mark.parametrize(("number", "places"), [(1, 1), (2, 0)])
def test_a_day_sees_no_other_keys_than_its_own(here, table, number, places):
    make(here.lake, here.catalog, f"marts/{table}", Days(day(number), day(number)), now=NOW)
    rows = (
        here.lake.scan(f"marts/{table}")
        .filter(col("visited_on") == day(number))
        .select("places")
        .collect()
    )
    assert rows.to_series().to_list() == [places]
