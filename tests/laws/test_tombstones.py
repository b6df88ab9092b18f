"""Tombstones that are old enough are removed, and still no deleted key returns.

Every law test of tables with keys includes two tables with a retention; these tests show what they remove, and when.
"""

from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from polars import LazyFrame, col
from price_lists import HOURS, Deliveries, prices, read_marts
from stock import Event, create_lake, deliver_events, make_tables, read_rows
from support.worlds import NOW, bring_up_to_date, catalog_of, land_all, world, write

from lakehouse.environment import Environment
from lakehouse.lineage.commit_history import read_audit
from lakehouse.observe.overview import list_audits
from lakehouse.observe.sql import open_sql
from lakehouse.storage.lake import scan_all_rows
from lakehouse.system_columns import DELETED
from lakehouse.tables.casting import cast
from lakehouse.tables.contract import Contract, Field, Instant
from lakehouse.tables.declare import raw, staged
from lakehouse.transform.make import make

FORGETFUL, TWO_DAYS = "staged/forgetful", "staged/merged_forgetful"


def deleted(here: Environment, name: str) -> list[tuple[str, object]]:
    """The tombstones of a table: keys and when they were deleted."""
    rows = scan_all_rows(here.lake.open(name)).filter(DELETED).select("sku", "at").collect()
    return sorted(rows.rows())


def notes(here: Environment, name: str) -> tuple[str, ...]:
    return read_audit(here.lake.read_log(name)[-1]).notes


def day(number: int) -> date:
    return date(2024, 1, 1) + timedelta(days=number)


@pytest.fixture
def here(tmp_path) -> Environment:
    return create_lake(tmp_path)


def story(here: Environment, *files: list[Event]) -> None:
    for number, events in enumerate(files):
        deliver_events(here, f"{number:03}", events)
        make_tables(here, FORGETFUL, TWO_DAYS)


def test_a_tombstone_is_removed_by_the_first_make_that_finds_it_far_enough_behind(here):
    story(here, [Event("a", 0, "x", "1"), Event("a", 1, "", "", "d")], [Event("b", 3, "x", "1")])
    assert deleted(here, TWO_DAYS) == [("a", day(1))]
    story(here, [Event("b", 4, "x", "1")], [Event("c", 4, "x", "1")])
    assert deleted(here, TWO_DAYS) == []
    assert notes(here, TWO_DAYS) == ("tombstones removed: 1",)
    assert [row[0] for row in read_rows(here, TWO_DAYS)] == ["b", "c"]


def test_what_was_deleted_last_of_all_is_kept(here):
    story(here, [Event("a", 0, "x", "1")], [Event("a", 5, "", "", "d")], [Event("b", 1, "x", "1")])
    assert deleted(here, FORGETFUL) == [("a", 5)]


def test_a_late_event_of_a_key_without_a_tombstone_does_not_bring_it_back(here):
    story(here, [Event("a", 0, "x", "1"), Event("a", 3, "", "", "d")], [Event("b", 9, "x", "1")])
    story(here, [Event("b", 10, "x", "1")], [Event("a", 2, "late", "2")])
    assert deleted(here, FORGETFUL) == deleted(here, TWO_DAYS) == []
    assert (
        [row[0] for row in read_rows(here, FORGETFUL)]
        == [row[0] for row in read_rows(here, TWO_DAYS)]
        == ["b"]
    )
    audit = read_audit(here.lake.read_log(FORGETFUL)[-1])
    assert (audit.read, audit.written, audit.superseded, audit.notes) == (1, 0, 1, ())


def test_a_key_that_returns_after_its_tombstone_was_removed_is_visible(here):
    story(here, [Event("a", 0, "x", "1"), Event("a", 3, "", "", "d")], [Event("b", 9, "x", "1")])
    story(here, [Event("b", 10, "x", "1")], [Event("a", 4, "", "2")])
    assert read_rows(here, FORGETFUL)[0] == ("a", 4, None, 2)
    assert read_rows(here, TWO_DAYS)[0] == ("a", day(4), None, 2), (
        "a delete forgets what was said before it"
    )


def test_duckdb_shows_the_same(here):
    story(here, [Event("a", 0, "x", "1"), Event("a", 1, "", "", "d")], [Event("b", 4, "x", "1")])
    with open_sql(here.lake) as connection:
        assert connection.execute("SELECT sku FROM staged.merged_forgetful").fetchall() == [("b",)]


@pytest.mark.full
def test_no_reader_is_rebuilt_because_a_tombstone_is_removed(tmp_path):
    here, delivered = world(tmp_path, prices(readers=("latest_valued",))), Deliveries()
    delivered.sell(here, *((sku, hour) for sku in "abc" for hour in HOURS))
    delivered.price(here, ("a", HOURS[0], "1", "u"), ("a", HOURS[2], "", "d"))
    bring_up_to_date(here)
    delivered.price(here, ("b", HOURS[20], "1", "u"))
    bring_up_to_date(here)
    delivered.price(here, ("c", HOURS[20], "1", "u"))
    before = here.lake.version("marts/latest_valued")
    assert deleted(here, "staged/latest")
    bring_up_to_date(here)
    assert not deleted(here, "staged/latest")
    made = [
        audit.materialized
        for audit in list_audits(here, "marts/latest_valued")
        if audit.version > before
    ]
    assert [span.first for spans in made for span in spans] == [date(2024, 6, 11)], (
        "the day from which c has a price"
    )
    assert read_marts(here)["latest_valued"] == delivered.expected()["latest_valued"]


def test_no_reader_by_key_keeps_what_a_rebuild_from_all_events_deletes(tmp_path):
    here, delivered = world(tmp_path, prices(readers=("latest_valued",))), Deliveries()
    delivered.sell(here, ("a", HOURS[0]))
    delivered.price(here, ("a", HOURS[0], "", "u"))
    bring_up_to_date(here)
    delivered.price(here, ("a", HOURS[0], "", "d"))
    land_all(here)
    make(here.lake, here.catalog, "staged/latest", now=NOW, is_replay=True)
    assert [
        part.table
        for part in here.create_planner().find_stale_tables()
        if part.table == "marts/latest_valued"
    ]


def things_of(
    tmp_path, moment: object, kept: object, read: pl.Expr, **field: object
) -> Environment:
    """A lake of things that are deleted, with a sequence of some type."""
    facts = type("Table", (), {"key": ("sku",), "sequence": ("at",), "max_quarantined": 1.0})
    body = {
        "__annotations__": {"sku": str, "at": moment},
        "__doc__": "A thing.",
        "__module__": __name__,
    }
    contract = type("Thing", (Contract,), {**body, "at": Field(**field), "Table": facts})

    @staged(contract, mode="upsert", deletes=col("op") == "d", tombstone_retention=kept)
    def things(raw_things: LazyFrame) -> LazyFrame:
        """Things."""
        return cast(raw_things, at=read)

    raw_things = raw("things", "Things.", columns=("sku", "at", "op"))
    return world(tmp_path, catalog_of(raw_things=raw_things, things=things))


def deliver(here: Environment, *files: str) -> None:
    for number, lines in enumerate(files):
        write(here, "things", f"{number}.csv", f"sku,at,op\n{lines}\n")
        land_all(here)
        make_tables(here, "staged/things")


AS_DATE = col("at").str.to_date("%Y-%m-%d", strict=False)
FAR = (
    pl.when(col("sku") == "far").then(pl.lit(5_000_000, pl.Int32).cast(pl.Date)).otherwise(AS_DATE)
)
"""A day in the year 15659, which Python does not have."""


@pytest.mark.parametrize(
    ("moment", "kept", "read"),
    [
        (date, timedelta.max, AS_DATE),
        (Instant, timedelta.max, AS_DATE.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")),
        (pl.Int8, 1_000, col("at").str.slice(8).cast(pl.Int8, strict=False)),
        (pl.Int64, 2**63 - 1, -col("at").str.slice(8).cast(pl.Int64, strict=False)),
    ],
    ids=["Date", "Instant", "Int8", "Int64"],
)
def test_a_retention_that_reaches_before_all_values_keeps_all(tmp_path, moment, kept, read):
    here = things_of(tmp_path, moment, kept, read)
    deliver(here, "a,2024-01-01,u\na,2024-01-02,d", "b,2024-01-09,u", "c,2024-01-09,u")
    assert [sku for sku, _ in deleted(here, "staged/things")] == (
        ["a"] if moment is not pl.Int64 else []
    )


def test_a_moment_outside_the_calendar_stops_nothing(tmp_path):
    here = things_of(tmp_path, date, timedelta(days=1), FAR)
    deliver(
        here,
        "a,2024-01-01,u\na,2024-01-02,d",
        "far,,u",
        "b,2024-01-03,u",
        "a,2024-01-01,u\nc,2024-01-04,u",
    )
    assert sorted(here.lake.scan("staged/things").collect()["sku"]) == ["b", "c"]
    assert here.lake.scan("quarantine/staged_things").collect()["sku"].to_list() == ["far"]


def test_no_commit_shows_a_hidden_moment(tmp_path):
    here = things_of(tmp_path, date, timedelta(days=1), AS_DATE, pii=True)
    deliver(here, "a,1954-01-01,u\na,1954-01-02,d", "b,1990-03-04,u", "c,1990-03-04,u")
    assert notes(here, "staged/things") == ("tombstones removed: 1",)
    entries = "".join(
        path.read_text() for path in Path(here.lake.root, "staged/things/_delta_log").glob("*.json")
    )
    assert "1990" not in entries
    assert "1954" not in entries
