"""Tombstones that are far enough behind go, and still no deleted key comes back.

Every law test of tables with keys folds two tables that forget; here is what they forget, and when.
"""

from datetime import date, timedelta

import polars as pl
import pytest
from polars import LazyFrame, col
from price_lists import HOURS, Told, found, prices
from stock import Event, bring, empty, stands, tell
from support.worlds import bring_up_to_date, catalog_of, land_all, world, write

from lakehouse.contract import Contract
from lakehouse.environment import Environment
from lakehouse.lake import all_rows
from lakehouse.overview import audits
from lakehouse.rules import cast
from lakehouse.sql import opened
from lakehouse.tables import raw, staged
from lakehouse.tombstones import DELETED
from lakehouse.touched import audit_of

FORGETFUL, TWO_DAYS = "staged/forgetful", "staged/merged_forgetful"


def deleted(here: Environment, name: str) -> list[tuple[str, object]]:
    """The tombstones of a table: keys and when they were deleted."""
    rows = all_rows(here.lake.open(name)).filter(DELETED).select("sku", "at").collect()
    return sorted(rows.rows())


def notes(here: Environment, name: str) -> tuple[str, ...]:
    return audit_of(here.lake.log(name)[-1]).notes


def day(number: int) -> date:
    return date(2024, 1, 1) + timedelta(days=number)


@pytest.fixture
def here(tmp_path) -> Environment:
    return empty(tmp_path)


def story(here: Environment, *files: list[Event]) -> None:
    for number, events in enumerate(files):
        tell(here, f"{number:03}", events)
        bring(here, FORGETFUL, TWO_DAYS)


def test_a_tombstone_goes_with_the_first_fold_that_finds_it_far_enough_behind(here):
    story(here, [Event("a", 0, "x", "1"), Event("a", 1, "", "", "d")], [Event("b", 3, "x", "1")])
    assert deleted(here, TWO_DAYS) == [("a", day(1))]
    story(here, [Event("b", 4, "x", "1")], [Event("c", 4, "x", "1")])
    assert deleted(here, TWO_DAYS) == []
    assert notes(here, TWO_DAYS) == ("tombstones removed that are older than 2024-01-03: 1",)
    assert [row[0] for row in stands(here, TWO_DAYS)] == ["b", "c"]


def test_what_was_deleted_last_of_all_is_kept(here):
    story(here, [Event("a", 0, "x", "1")], [Event("a", 5, "", "", "d")], [Event("b", 1, "x", "1")])
    assert deleted(here, FORGETFUL) == [("a", 5)]


def test_a_late_event_of_a_key_without_a_tombstone_does_not_bring_it_back(here):
    story(here, [Event("a", 0, "x", "1"), Event("a", 3, "", "", "d")], [Event("b", 9, "x", "1")])
    story(here, [Event("b", 10, "x", "1")], [Event("a", 2, "late", "2")])
    assert deleted(here, FORGETFUL) == deleted(here, TWO_DAYS) == []
    assert [row[0] for row in stands(here, FORGETFUL)] == [row[0] for row in stands(here, TWO_DAYS)] == ["b"]
    audit = audit_of(here.lake.log(FORGETFUL)[-1])
    assert (audit.read, audit.written, audit.superseded) == (1, 0, 1)


def test_a_key_that_comes_again_after_its_tombstone_went_stands(here):
    story(here, [Event("a", 0, "x", "1"), Event("a", 3, "", "", "d")], [Event("b", 9, "x", "1")])
    story(here, [Event("b", 10, "x", "1")], [Event("a", 4, "", "2")])
    assert stands(here, FORGETFUL)[0] == ("a", 4, None, 2)
    assert stands(here, TWO_DAYS)[0] == ("a", day(4), None, 2), "a delete forgets what was said before it"


def test_duckdb_shows_the_same(here):
    story(here, [Event("a", 0, "x", "1"), Event("a", 1, "", "", "d")], [Event("b", 4, "x", "1")])
    with opened(here.lake) as connection:
        assert connection.execute("SELECT sku FROM staged.merged_forgetful").fetchall() == [("b",)]


def test_no_reader_is_made_again_because_a_tombstone_goes(tmp_path):
    here, told = world(tmp_path, prices(readers=("latest_valued",))), Told()
    told.sell(here, *((sku, hour) for sku in "abc" for hour in HOURS))
    told.price(here, ("a", HOURS[0], "1", "u"), ("a", HOURS[2], "", "d"))
    bring_up_to_date(here)
    told.price(here, ("b", HOURS[20], "1", "u"))
    bring_up_to_date(here)
    told.price(here, ("c", HOURS[20], "1", "u"))
    before = here.lake.version("marts/latest_valued")
    assert deleted(here, "staged/latest")
    bring_up_to_date(here)
    assert not deleted(here, "staged/latest")
    made = [audit.made for audit in audits(here, "marts/latest_valued") if audit.version > before]
    assert [span.first for spans in made for span in spans] == [date(2024, 6, 11)], "the day from which c has a price"
    assert found(here)["latest_valued"] == told.expected()["latest_valued"]


def contract(moment: object) -> type[Contract]:
    """A thing, since a moment of some kind."""
    body = {"__annotations__": {"sku": str, "at": moment}, "__doc__": "A thing.", "__module__": __name__}
    return type("Thing", (Contract,), {**body, "Table": type("Table", (), {"key": ("sku",), "sequence": ("at",)})})


@pytest.mark.parametrize(
    ("moment", "kept", "read"),
    [
        (date, timedelta.max, col("at").str.to_date("%Y-%m-%d", strict=False)),
        (pl.Int8, 1_000, col("at").str.slice(8).cast(pl.Int8, strict=False)),
    ],
    ids=["date", "number"],
)
def test_a_retention_that_reaches_before_all_values_keeps_all(tmp_path, moment, kept, read):
    @staged(contract(moment), mode="upsert", deletes=col("op") == "d", tombstone_retention=kept)
    def things(raw_things: LazyFrame) -> LazyFrame:
        """Things."""
        return cast(raw_things, at=read)

    raw_things = raw("things", "Things.", columns=("sku", "at", "op"))
    here = world(tmp_path, catalog_of(raw_things=raw_things, things=things))
    for number, lines in enumerate(["a,2024-01-01,u\na,2024-01-02,d\n", "b,2024-01-09,u\n", "c,2024-01-09,u\n"]):
        write(here, "things", f"{number}.csv", f"sku,at,op\n{lines}")
        land_all(here)
        bring(here, "staged/things")
    assert [sku for sku, _ in deleted(here, "staged/things")] == ["a"]
