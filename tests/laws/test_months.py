"""Tables that are made by months, whose rows carry days: the laws hold for them too."""

from datetime import UTC, date, datetime

import polars as pl
import pytest
from support.worlds import catalog_of, in_state, land_all, world, write

from lakehouse.calendar import Days, Monthly
from lakehouse.environment import Environment
from lakehouse.lineage.staleness import Planner
from lakehouse.tables.casting import cast
from lakehouse.tables.contract import Contract
from lakehouse.tables.declare import raw, staged
from lakehouse.transform.make import make

DAY = pl.col("on").str.to_date("%Y-%m-%d", strict=False)


class Note(Contract):
    """A note."""

    id: str
    day: date

    class Table:
        date_column = "day"
        max_quarantined = 1.0


notes = raw("notes", "Notes.", columns=("id", "on"), day=DAY)


@staged(Note, partitions=Monthly(date(2024, 1, 1)))
def typed(raw_notes):
    """Notes with their day."""
    return cast(raw_notes, day=DAY)


@pytest.fixture
def here(tmp_path) -> Environment:
    """Notes of two months, and one without a day."""
    made = world(tmp_path, catalog_of(notes=notes, typed=typed))
    write(made, "notes", "a.csv", "id,on\n1,2024-01-01\n5,2024-06-02\n2,2024-06-15\n3,\n4,x\n")
    land_all(made)
    return made


def heal(here: Environment, now: datetime) -> None:
    while parts := Planner(here.lake, here.catalog, now).find_stale_tables():
        for days in parts[0].spans:
            make(here.lake, here.catalog, parts[0].table, days, now=now)


def ids(here: Environment, table: str) -> list[str]:
    return sorted(in_state(here, table)["id"].to_list())


def test_made_again_it_holds_the_same_rows(here):
    for _ in range(3):
        audit = make(here.lake, here.catalog, "staged/typed", now=datetime(2024, 7, 10, tzinfo=UTC))
        assert (audit.read, audit.written, audit.quarantined, audit.carried) == (5, 3, 2, 0)
        assert ids(here, "staged/typed") == ["1", "2", "5"]
        assert ids(here, "quarantine/staged_typed") == ["3", "4"]


def test_one_month_made_again_leaves_the_others(here):
    heal(here, datetime(2024, 7, 10, tzinfo=UTC))
    write(here, "notes", "b.csv", "id,on\n6,2024-06-30\n")
    land_all(here)
    [part] = Planner(here.lake, here.catalog, datetime(2024, 7, 10, tzinfo=UTC)).find_stale_tables()
    assert part.keys == (date(2024, 6, 1),)
    heal(here, datetime(2024, 7, 10, tzinfo=UTC))
    assert ids(here, "staged/typed") == ["1", "2", "5", "6"]


def test_a_row_dated_ahead_within_the_running_month_is_written_when_its_day_comes(here):
    heal(here, datetime(2024, 6, 10, tzinfo=UTC))
    assert (ids(here, "staged/typed"), ids(here, "quarantine/staged_typed")) == (
        ["1", "5"],
        ["2", "3", "4"],
    )
    heal(here, datetime(2024, 6, 20, tzinfo=UTC))
    assert (ids(here, "staged/typed"), ids(here, "quarantine/staged_typed")) == (
        ["1", "2", "5"],
        ["3", "4"],
    )


def test_that_holds_when_a_run_is_killed_after_it_left_quarantine_and_before_its_month_is_made(
    here,
):
    heal(here, datetime(2024, 6, 10, tzinfo=UTC))
    later = datetime(2024, 6, 20, tzinfo=UTC)
    make(
        here.lake,
        here.catalog,
        "staged/typed",
        Days(date(2024, 1, 1), date(2024, 1, 31)),
        now=later,
    )
    heal(here, later)
    assert (ids(here, "staged/typed"), ids(here, "quarantine/staged_typed")) == (
        ["1", "2", "5"],
        ["3", "4"],
    )
    assert Planner(here.lake, here.catalog, later).find_stale_tables() == []
