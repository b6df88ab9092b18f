"""Law 2: where logs were cleaned up, everything ends with the same content, and one round leaves nothing to do."""

from pathlib import Path

import pytest
from support.sizes import first
from support.worlds import bring_up_to_date, contents, copy_world, world
from tills import lines, sell, till


def clean_up(here, *tables: str) -> None:
    """Deletes every log entry but the last of some tables, as Delta does with entries that a checkpoint covers."""
    for table in tables:
        handle = here.lake.open(table)
        handle.create_checkpoint()
        for entry in sorted((Path(here.lake.uri(table)) / "_delta_log").glob("*.json"))[:-1]:
            entry.unlink()


def versions(here) -> dict[str, int]:
    return {table: here.lake.version(table) for table in here.lake.tables()}


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A till after three deliveries: new days, lines of an earlier day, and a reject."""
    folder = tmp_path_factory.mktemp("template")
    shop = world(folder, till())
    for name, *days in (
        ("a", lines(3, 1, 2), lines(4, 3)),
        ("b", lines(3, 6, first=9)),
        ("c", lines(5, 7, 8, -1)),
    ):
        sell(shop, name, *days)
        bring_up_to_date(shop)
    return folder


@pytest.fixture
def grown(template, tmp_path):
    """A copy of it."""
    return copy_world(template, tmp_path, till())


@pytest.mark.full
@pytest.mark.parametrize("again", first(1, [True, False]))
@pytest.mark.parametrize("which", first(2, ["", "raw/", "staged/", "marts/", "quarantine/"]))
def test_after_one_round_there_is_nothing_left_to_do(grown, which, again):
    before = contents(grown)
    for _ in range(1 + again):
        clean_up(grown, *(table for table in grown.lake.tables() if table.startswith(which)))
        bring_up_to_date(grown)
    after = versions(grown)
    assert (grown.create_planner().find_stale_tables(), contents(grown)) == ([], before)
    bring_up_to_date(grown)
    assert versions(grown) == after


def test_a_round_adds_a_commit_or_two_to_a_table(grown):
    clean_up(grown, *grown.lake.tables())
    before = versions(grown)
    bring_up_to_date(grown)
    assert all(version <= before[table] + 2 for table, version in versions(grown).items())


@pytest.mark.parametrize("table", ["raw/sales", "staged/sales", "marts/shop_days"])
def test_a_table_that_went_back_to_before_what_is_left_of_its_log_comes_back(grown, table):
    before = contents(grown)
    grown.lake.open(table).restore(0)
    clean_up(grown, table)
    bring_up_to_date(grown)
    assert (contents(grown), grown.create_planner().find_stale_tables()) == (before, [])


def test_a_delivery_after_a_clean_up_is_made_as_ever(grown):
    clean_up(grown, *grown.lake.tables())
    sell(grown, "d", lines(6, 4, 5, first=20))
    bring_up_to_date(grown)
    assert [part.table for part in grown.create_planner().find_stale_tables()] == []
    assert grown.lake.scan("staged/sales").collect().height == 8
