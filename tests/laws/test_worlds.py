"""Attacked worlds hold what a model in plain Python says; `make campaign ONLY=worlds` tries hundreds."""

import pytest
from support.sizes import full

from campaign.tally import Tally
from campaign.worlds import World, Worlds

KEPT, CHANGING = 2, 1
"""A seed whose files stay in landing, and one whose files are corrected and taken away."""


@pytest.mark.parametrize("seeds", [range(1, 3), full(range(3, 11))], ids=["two", "eight"])
def test_after_any_history_each_record_has_one_fate_and_tables_hold_what_the_model_says(
    tmp_path, seeds
):
    tally = Tally("law", print)
    Worlds(tmp_path, tally).run(seeds)
    assert tally.found == []


@pytest.fixture
def world(tmp_path):
    """A world after a few deliveries."""
    made = World.create(tmp_path, seed=7)
    for _ in range(4):
        made.sender.deliver()
    assert [*made.heal(), *made.check()] == []
    return made


@pytest.mark.parametrize("table", ["raw/prices", "staged", "quarantine"])
def test_the_model_sees_a_row_that_is_lost(world, table):
    derived = f"staged/{world.tables[0]}"
    names = {"staged": derived, "quarantine": f"quarantine/staged_{world.tables[0]}"}
    handle = world.here.lake.open(names.get(table, table))
    assert handle is not None
    handle.delete()
    assert [*world.check()]
