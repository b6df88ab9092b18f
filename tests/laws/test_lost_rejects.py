"""Rejected rows and dead letters that are rolled back, lost or dated ahead come back, in tables of every mode."""

import os
from datetime import UTC, datetime
from pathlib import Path
from shutil import rmtree

import polars as pl
import pytest
from deltalake import write_deltalake
from polars import col
from stock import Event, dated, deliver_events, raw_items, typed
from support.sizes import full
from support.worlds import NOW, bring_up_to_date, catalog_of, in_state, world
from tills import june, lines, raw_sales, redo, rows, sales, sell, take

from lakehouse.errors import BusyError
from lakehouse.ingest.delivery_register import DELIVERIES
from lakehouse.lineage.staleness import Planner
from lakehouse.operations import restore as restoring
from lakehouse.operations.replay import replay
from lakehouse.operations.restore import RestoreRequest, restore
from lakehouse.operations.restore_plan import plan_restore
from lakehouse.quarantine.dead_letters import DEAD_LETTERS
from lakehouse.quarantine.discard import Choice, discard
from lakehouse.tables.contract import Contract, Field
from lakehouse.tables.declare import staged
from lakehouse.transform.make import make

ITEMS, REJECTED_ITEMS = "staged/items", "quarantine/staged_items"
REJECTED_SALES = "quarantine/staged_sales"


def articles(mode):
    """Articles whose prices are not negative."""

    moment = pl.Date if mode == "history" else pl.Int64

    class Item(Contract):
        sku: str
        at: moment
        price: pl.Int64 = Field(nullable=True, ge=0)

        class Table:
            key = ("sku",)
            sequence = ("at",)
            max_quarantined = 1.0

    @staged(Item, mode=mode)
    def items(raw_items):
        """Articles."""
        return (dated if mode == "history" else typed)(raw_items)

    return catalog_of(raw_items=raw_items, items=items)


def lose(here, table):
    rmtree(here.lake.uri(table))


def roll_back(here, table):
    here.lake.open(table).restore(0)


def empty(here, table):
    here.lake.open(table).delete()


def up_to_date(here, now=NOW):
    return Planner(here.lake, here.catalog, now).find_stale_tables() == []


@pytest.mark.full
@pytest.mark.parametrize(
    ("mode", "happens"),
    [
        ("upsert", lose),
        ("history", roll_back),
        ("replace", empty),
        *(full("upsert", one) for one in (roll_back, empty)),
        *(full("history", one) for one in (lose, empty)),
        *(full("replace", one) for one in (lose, roll_back)),
    ],
)
def test_rejected_rows_that_are_lost_before_a_new_file_comes_are_rejected_again(
    tmp_path, mode, happens
):
    here = world(tmp_path, articles(mode))
    for number in range(3):
        bad, good = Event(f"bad{number}", 1, "n", -1), Event(f"good{number}", 1, "n", 1)
        deliver_events(here, str(number), [bad, good])
        redo(here, ITEMS)
    happens(here, REJECTED_ITEMS)
    deliver_events(here, "new", [Event("new", 1, "n", 1)])
    bring_up_to_date(here)
    assert sorted(in_state(here, REJECTED_ITEMS)["sku"]) == ["bad0", "bad1", "bad2"]
    assert up_to_date(here)


@pytest.mark.parametrize("mode", ["upsert", "history"])
def test_rejected_rows_are_missed_though_the_last_new_rows_were_all_good(tmp_path, mode):
    here = world(tmp_path, articles(mode))
    for number, price in enumerate([-1, 1]):
        deliver_events(here, str(number), [Event(f"sku{number}", 1, "n", price)])
        redo(here, ITEMS)
    lose(here, REJECTED_ITEMS)
    assert not up_to_date(here)
    bring_up_to_date(here)
    assert in_state(here, REJECTED_ITEMS)["sku"].to_list() == ["sku0"]


# Dead letters


def age(path: Path, seconds: int) -> None:
    os.utime(path, (seconds, seconds))


@pytest.fixture
def parsed(tmp_path):
    """A file of which two records cannot be parsed."""
    here = world(tmp_path, catalog_of(raw_sales=raw_sales, sales=sales))
    age(sell(here, "a", lines(3, 1), "8,too,short\n", lines(3, 2, first=2), "9,short\n"), 2_000)
    take(here)
    return here


def letters(here):
    return sorted(here.lake.scan(DEAD_LETTERS).collect()["_offset"])


@pytest.mark.parametrize("is_registered", [True, False])
@pytest.mark.parametrize("copy", ["a", "b"], ids=["the same name", "another name"])
def test_dead_letters_that_are_lost_come_back_though_an_earlier_copy_arrives(
    parsed, copy, is_registered
):
    lose(parsed, DEAD_LETTERS)
    if not is_registered:
        lose(parsed, DELIVERIES)
    landed = Path(parsed.landing.root) / "sales" / "a.csv"
    earlier = landed.with_name(f"{copy}.csv")
    if earlier != landed:
        earlier.write_bytes(landed.read_bytes())
    age(earlier, 1_000)
    take(parsed)
    assert letters(parsed) == [2, 4]
    version = parsed.lake.version(DEAD_LETTERS)
    take(parsed)
    assert parsed.lake.version(DEAD_LETTERS) == version


def test_dead_letters_that_are_lost_with_the_register_come_back_in_one_run(parsed):
    lose(parsed, DEAD_LETTERS)
    lose(parsed, DELIVERIES)
    take(parsed)
    assert letters(parsed) == [2, 4]


def test_dead_letters_under_two_origins_of_the_same_bytes_are_added_up(parsed):
    found = parsed.lake.scan(DEAD_LETTERS).collect()
    moved = col("_offset") == 4
    earlier = pl.when(moved).then(pl.lit("earlier") + col("_source")).otherwise("_source")
    rows = found.with_columns(_source=earlier, _modified_at=col("_modified_at").min())
    write_deltalake(parsed.lake.uri(DEAD_LETTERS), rows, mode="overwrite")
    version = parsed.lake.version(DEAD_LETTERS)
    take(parsed)
    assert (letters(parsed), parsed.lake.version(DEAD_LETTERS)) == ([2, 4], version)


def test_a_lost_dead_letter_is_missed_though_another_one_was_released(parsed):
    parsed.lake.open(DEAD_LETTERS).update({"_state": "'released'"}, predicate="_offset = 2")
    parsed.lake.open(DEAD_LETTERS).delete("_offset = 4")
    take(parsed)
    assert sorted(in_state(parsed, DEAD_LETTERS)["_offset"]) == [4]


# Dated ahead

TODAY, AHEAD = datetime(2024, 6, 10, 12, tzinfo=UTC), 15


def heal(here, now):
    for part in Planner(here.lake, here.catalog, now).find_stale_tables():
        for days in part.spans:
            make(here.lake, here.catalog, part.table, days, now=now)


def test_a_row_that_was_dated_ahead_leaves_quarantine_though_the_first_day_is_empty(tmp_path):
    here = world(tmp_path, catalog_of(raw_sales=raw_sales, sales=sales))
    sell(here, "a", lines(AHEAD, 1), lines(9, 2, 3, first=2))
    take(here)
    redo_now = {"now": TODAY}
    make(here.lake, here.catalog, "staged/sales", **redo_now)
    assert in_state(here, REJECTED_SALES)["id"].to_list() == ["1"]
    heal(here, NOW)
    assert in_state(here, REJECTED_SALES).is_empty()
    assert sorted(row[0] for row in rows(here, "staged/sales")) == [1, 2, 3]
    assert up_to_date(here)


def test_rows_of_the_first_day_are_not_erased_when_a_row_that_was_dated_ahead_leaves(tmp_path):
    here = world(tmp_path, catalog_of(raw_sales=raw_sales, sales=sales))
    sell(here, "a", lines(AHEAD, 1), lines(1, 2, 3, first=2))
    take(here)
    make(here.lake, here.catalog, "staged/sales", now=TODAY)
    here.lake.open("raw/sales").delete("sold_on = '2024-06-01'")
    heal(here, NOW)
    assert sorted(row[0] for row in rows(here, "staged/sales")) == [1, 2, 3]


# Rows without a day


def test_a_rejected_row_without_a_day_is_settled_with_the_first_day(tmp_path):
    here = world(tmp_path, catalog_of(raw_sales=raw_sales, sales=sales))
    sell(here, "a", lines(1, 1), lines(3, -1, 2, 3, first=2))
    bring_up_to_date(here)
    here.lake.open(REJECTED_SALES).update({"_window": "null"}, predicate="id = '2'")
    replay(here, "staged/sales", now=NOW)
    bring_up_to_date(here)
    assert in_state(here, REJECTED_SALES).select("id", "_window").rows() == [("2", june(3))]


# Restored by `lakehouse restore`


@pytest.fixture
def grown(tmp_path):
    """A till with rejected rows of two days, from two runs."""
    here = world(tmp_path, catalog_of(raw_sales=raw_sales, sales=sales))
    for number, day in enumerate([3, 4]):
        sell(here, f"{number}", lines(day, 1, -1, first=10 * number))
        bring_up_to_date(here)
    return here


def test_a_restore_is_no_change_by_another_program_to_the_quarantine(grown):
    before = in_state(grown, REJECTED_SALES).height
    choice = Choice(where="id = '1'")
    discard(grown.lake, grown.catalog, "staged/sales", choice, reason="r", who="ann")
    restore(grown, plan_restore(grown, "staged/sales", 0), RestoreRequest("ann"))
    assert in_state(grown, REJECTED_SALES).height == before - 1
    (part,) = grown.create_planner().find_stale_tables()
    assert part.keys == (june(4),)


def test_a_quarantine_that_was_restored_already_is_not_restored_again(grown):
    found = plan_restore(grown, "staged/sales", 0)
    restore(grown, found, RestoreRequest("ann"))
    grown.lake.open("staged/sales").restore(1)
    again = plan_restore(grown, "staged/sales", 0)
    assert again.quarantine is None


def test_a_table_that_was_built_again_since_the_plan_is_not_restored(grown):
    found = plan_restore(grown, "staged/sales", 0)
    for table in ("staged/sales", REJECTED_SALES):
        lose(grown, table)
    with pytest.raises(BusyError, match="another writer committed in the meantime"):
        restore(grown, found, RestoreRequest("ann"))
    bring_up_to_date(grown)
    redo(grown, "staged/sales")
    assert grown.lake.version("staged/sales") == 1
    with pytest.raises(BusyError, match="another writer committed in the meantime"):
        restore(grown, found, RestoreRequest("ann"))


def take_away(here, name, version):
    """Takes a file out of landing and restores a version of the raw table."""
    (Path(here.landing.root) / "sales" / f"{name}.csv").unlink()
    restore(here, plan_restore(here, "raw/sales", version), RestoreRequest("ann"))


def test_days_that_two_restores_took_away_are_empty_downstream(tmp_path):
    here = world(tmp_path, catalog_of(raw_sales=raw_sales, sales=sales))
    for number in range(3):
        sell(here, str(number), lines(3 + number, 1, first=number))
        bring_up_to_date(here)
    take_away(here, "2", version=1)
    sell(here, "3", lines(6, 1, first=3))
    take(here)
    take_away(here, "3", version=3)
    bring_up_to_date(here)
    assert [row[1] for row in rows(here, "staged/sales")] == [june(3), june(4)]
    assert up_to_date(here)


def test_undated_rows_that_a_restore_took_away_leave_the_first_day(tmp_path):
    here = world(tmp_path, catalog_of(raw_sales=raw_sales, sales=sales))
    sell(here, "a", lines(3, 1, 2, 3))
    bring_up_to_date(here)
    sell(here, "b", "9,no day,north,1\n")
    bring_up_to_date(here)
    assert in_state(here, REJECTED_SALES).height == 1
    take_away(here, "b", version=0)
    bring_up_to_date(here)
    assert in_state(here, REJECTED_SALES).is_empty()
    assert up_to_date(here)


def test_a_restore_to_before_any_row_was_rejected_that_is_killed_loses_no_row(tmp_path):
    here = world(tmp_path, catalog_of(raw_sales=raw_sales, sales=sales))
    sell(here, "a", lines(3, 1))
    bring_up_to_date(here)
    sell(here, "b", lines(4, 2, -1, first=2))
    bring_up_to_date(here)
    found = plan_restore(here, "staged/sales", 0)
    assert (found.quarantine_version, found.quarantined) == (-1, (1, 0))

    class KilledError(Exception):
        pass

    def kill(*_, **__):
        raise KilledError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(restoring, "_restore_version", kill)
        with pytest.raises(KilledError):
            restore(here, found, RestoreRequest("ann"))
    assert in_state(here, REJECTED_SALES).is_empty()
    bring_up_to_date(here)
    assert in_state(here, REJECTED_SALES)["id"].to_list() == ["3"]
    restore(here, plan_restore(here, "staged/sales", 0), RestoreRequest("ann"))
    (part,) = here.create_planner().find_stale_tables()
    assert part.keys == (june(4),)
