"""A row that is dated ahead is quarantined until its day comes, and then it is written, and nowhere else."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from support.worlds import catalog_of, in_state, land_all, world, write

from lakehouse.calendar import Daily
from lakehouse.environment import Environment
from lakehouse.lineage.staleness import Planner
from lakehouse.operations.replay import replay
from lakehouse.tables.casting import cast
from lakehouse.tables.contract import Contract
from lakehouse.tables.declare import raw, staged
from lakehouse.transform.make import make

TODAY = datetime(2024, 6, 10, 12, tzinfo=UTC)
AHEAD = date(2024, 6, 15)


class Note(Contract):
    """A note."""

    id: str
    day: date

    class Table:
        date_column = "day"
        max_quarantined = 1.0


def declared():
    notes = raw(
        "notes",
        "Notes.",
        columns=("id", "on"),
        day=pl.col("on").str.to_date("%Y-%m-%d", strict=False),
    )

    @staged(Note, partitions=Daily(date(2024, 6, 1)))
    def typed(raw_notes):
        """Notes with their days."""
        return cast(raw_notes, day=pl.col("on").str.to_date("%Y-%m-%d", strict=False))

    return catalog_of(notes=notes, typed=typed)


@pytest.fixture
def here(tmp_path) -> Environment:
    made = world(tmp_path, declared())
    write(made, "notes", "a.csv", f"id,on\n1,2024-06-01\n2,{AHEAD}\n3,\n")
    land_all(made)
    return made


def heal(here: Environment, now: datetime) -> None:
    for part in Planner(here.lake, here.catalog, now).find_stale_tables():
        for days in part.spans:
            make(here.lake, here.catalog, part.table, days, now=now)


def ids(here: Environment, table: str) -> list[str]:
    return sorted(in_state(here, table)["id"].to_list())


def test_a_row_that_is_dated_ahead_is_quarantined_beside_those_without_a_day(here):
    heal(here, TODAY)
    assert ids(here, "staged/typed") == ["1"]
    assert ids(here, "quarantine/staged_typed") == ["2", "3"]


def test_when_its_day_comes_it_is_written_and_leaves_quarantine(here):
    heal(here, TODAY)
    heal(here, TODAY + timedelta(days=10))
    assert ids(here, "staged/typed") == ["1", "2"]
    assert ids(here, "quarantine/staged_typed") == ["3"]


def test_that_holds_when_its_day_was_made_for_another_row_meanwhile(here):
    heal(here, TODAY)
    later = TODAY + timedelta(days=10)
    write(here, "notes", "b.csv", f"id,on\n4,{AHEAD}\n")
    land_all(here)
    known = Planner(here.lake, here.catalog, later).find_stale_tables()[0].spans[-1]
    make(here.lake, here.catalog, "staged/typed", known, now=later)
    heal(here, later)
    assert ids(here, "staged/typed") == ["1", "2", "4"]
    assert ids(here, "quarantine/staged_typed") == ["3"]
    assert Planner(here.lake, here.catalog, later).find_stale_tables() == []


def test_a_replay_lands_a_row_whose_day_has_come(here):
    heal(here, TODAY)
    replay(here, "staged/typed", now=TODAY + timedelta(days=10))
    assert ids(here, "staged/typed") == ["1", "2"]
    assert ids(here, "quarantine/staged_typed") == ["3"]
