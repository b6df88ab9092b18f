"""The feed of a rolling week, polled twice: events that changed, came late, left the week or were withdrawn.

The figures are those that `shared/data/README.md` counts. What the first poll lacks is new in the second if it
happened after everything in the first, and late otherwise.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars import col
from polars.testing import assert_frame_equal
from quakes import WEEK, described, feed, poll, polled_at, shown, versions
from support.sizes import full
from support.worlds import NOW, bring_up_to_date, in_state, world

from lakehouse.environment import Environment
from lakehouse.observe.overview import list_audits
from lakehouse.transform.make import make

pytestmark = [pytest.mark.real_data, pytest.mark.usefixtures("real")]

ORDERS = {"in order": [(0,), (1,)], "in reverse": [(1,), (0,)], "at once": [(0, 1)]}
QUAKES, DESCRIPTIONS, SIGHTINGS = "staged/quakes", "staged/descriptions", "staged/sightings"
WHEREABOUTS = "marts/whereabouts"
TABLES = (
    QUAKES,
    DESCRIPTIONS,
    SIGHTINGS,
    "staged/felt_quakes",
    "staged/showings",
    "staged/polls",
    WHEREABOUTS,
)
WITHDRAWN = {
    "ak02198hmo8v": "us7000enm4",
    "ci39746679": None,
    "mb80515939": "uw61755601",
    "nn00815110": None,
    "nn00815133": None,
    "nn00815145": None,
    "us7000enmc": "ci39746767",
}
"""The events that the second poll lacks though they are of its week, and those that go by their names now."""


@pytest.fixture(scope="module")
def taken(tmp_path_factory) -> Callable[[str], Environment]:
    """Lakes with both polls, delivered in some order; read-only."""
    made: dict[str, Environment] = {}

    def in_some(order: str) -> Environment:
        if order not in made:
            made[order] = world(tmp_path_factory.mktemp("feed"), feed())
            for numbers in ORDERS[order]:
                poll(made[order], *numbers)
                bring_up_to_date(made[order])
        return made[order]

    return in_some


@pytest.fixture
def here(taken) -> Environment:
    """The lake that got the polls in order."""
    return taken("in order")


@pytest.fixture
def own(here, tmp_path) -> Environment:
    """The same lake, to be written to."""
    shutil.copytree(Path(here.landing.root).parent, tmp_path, dirs_exist_ok=True)
    return world(tmp_path, feed())


def rows(here: Environment, table: str, version: int | None = None) -> pl.DataFrame:
    """What a reader sees of a table, and where each row came from."""
    return (
        here.lake.scan(table, version).collect().sort(pl.col("^(event_id|polled_at|valid_from)$"))
    )


def told(here: Environment, table: str, version: int | None = None) -> pl.DataFrame:
    """Returns the same without the columns of the engine."""
    return rows(here, table, version).select(pl.exclude("^_.*$"))


def events(
    here: Environment, table: str = QUAKES, version: int | None = None
) -> dict[str, dict[str, Any]]:
    """The rows of a table by event."""
    return {row["event_id"]: row for row in told(here, table, version).to_dicts()}


def first(here: Environment) -> dict[str, dict[str, Any]]:
    """The events as they were after the first poll."""
    return events(here, version=list_audits(here, QUAKES)[0].version)


def fates(here: Environment, table: str) -> list[tuple[str, int, int, int, int]]:
    """The account of each commit: its mode, rows read, written and superseded, and ties."""
    found = list_audits(here, table)
    assert not any(audit.quarantined for audit in found)
    return [(a.mode, a.read, a.written, a.superseded, a.conflicting_events) for a in found]


# Any order


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("order", ["in reverse", full("at once")])
def test_the_polls_in_another_order_end_in_the_same_rows(here, taken, order, table):
    assert_frame_equal(rows(taken(order), table), rows(here, table))


@pytest.mark.parametrize("order", ORDERS)
def test_the_table_has_the_latest_description_of_every_event(taken, order):
    assert events(taken(order)) == {event_id: said[-1] for event_id, said in described().items()}


@pytest.mark.parametrize("order", ORDERS)
def test_a_history_has_every_description_of_an_event_with_its_time(taken, order):
    wanted = sorted(versions(), key=lambda row: (row["event_id"], row["valid_from"]))
    assert told(taken(order), DESCRIPTIONS).to_dicts() == wanted


@pytest.mark.parametrize("order", ORDERS)
def test_the_last_poll_that_shows_an_event_is_known(taken, order):
    seen = {
        event_id: event["polled_at"] for event_id, event in events(taken(order), SIGHTINGS).items()
    }
    assert seen == dict.fromkeys(shown(0), polled_at(0)) | dict.fromkeys(shown(1), polled_at(1))


@pytest.mark.parametrize(
    ("order", "of_quakes", "of_descriptions"),
    [
        (
            "in order",
            [("replace", 3098, 3098, 0, 0), ("upsert", 3280, 3280, 0, 35)],
            [("replace", 3098, 3098, 0, 0), ("history", 3280, 3261, 19, 35)],
        ),
        (
            "in reverse",
            [("replace", 3280, 3280, 0, 0), ("upsert", 3098, 1161, 1937, 35)],
            [("replace", 3280, 3280, 0, 0), ("history", 3098, 1328, 1770, 35)],
        ),
        ("at once", [("replace", 6378, 4441, 1937, 35)], [("replace", 6378, 4589, 1789, 35)]),
    ],
    ids=ORDERS,
)
def test_every_event_of_every_poll_has_its_fate(taken, order, of_quakes, of_descriptions):
    assert fates(taken(order), QUAKES) == of_quakes
    assert fates(taken(order), DESCRIPTIONS) == of_descriptions


@pytest.mark.parametrize("order", ORDERS)
def test_a_rule_rejects_the_same_descriptions_in_any_order(taken, order):
    rejected = in_state(taken(order), "quarantine/staged_felt_quakes")
    assert dict(rejected["_rules"].explode().value_counts().iter_rows()) == {
        "magnitude >= 0": 127 + 82
    }
    kept = {
        event_id: [e for e in said if e["magnitude"] >= 0] for event_id, said in described().items()
    }
    assert events(taken(order), "staged/felt_quakes") == {
        event_id: said[-1] for event_id, said in kept.items() if said
    }


# From one poll to the next


def test_events_change_from_poll_to_poll(here):
    before, after, seen = first(here), events(here), events(here, SIGHTINGS)
    again = [event_id for event_id in before if seen[event_id]["polled_at"] == polled_at(1)]
    changed = [event_id for event_id in again if before[event_id] != after[event_id]]
    assert (len(again), len(changed)) == (1937, 202)
    assert sum(before[e]["magnitude"] != after[e]["magnitude"] for e in changed) == 122
    assert sum(before[e]["happened_at"] != after[e]["happened_at"] for e in changed) == 136


def test_new_events_come_and_late_ones(here):
    before, after = first(here), events(here)
    youngest = max(event["happened_at"] for event in before.values())
    is_new = [
        after[event_id]["happened_at"] > youngest for event_id in after if event_id not in before
    ]
    assert (is_new.count(True), is_new.count(False)) == (937, 406)


def test_events_that_leave_the_feed_stay_as_they_were(here):
    before, after, seen = first(here), events(here), events(here, SIGHTINGS)
    gone = [event_id for event_id in before if seen[event_id]["polled_at"] == polled_at(0)]
    assert all(after[event_id] == before[event_id] for event_id in gone)
    has_left = [before[event_id]["happened_at"] < polled_at(1) - WEEK for event_id in gone]
    assert (has_left.count(True), has_left.count(False)) == (1154, 7)
    assert len(after) == 1937 + 937 + 406 + 1154 + 7


@pytest.mark.parametrize("order", ORDERS)
def test_a_change_without_a_new_time_counts_once_a_later_poll_delivers_it(taken, order):
    after = events(taken(order))
    tied = [
        e
        for e in shown(0).keys() & shown(1).keys()
        if shown(0)[e]["updated_at"] == shown(1)[e]["updated_at"]
    ]
    other = [e for e in tied if shown(0)[e] != shown(1)[e]]
    assert (len(tied), len(other)) == (1770, 35)
    assert all(after[event_id] == shown(1)[event_id] for event_id in other)
    assert all(shown(0)[e] | {"place": after[e]["place"]} == after[e] for e in other)


# What became of them


@pytest.mark.parametrize("order", ORDERS)
def test_events_older_than_the_week_are_distinguished_from_withdrawn_ones(taken, order):
    found = events(taken(order), WHEREABOUTS)
    counts = pl.Series([event["fate"] for event in found.values()]).value_counts()
    assert dict(counts.iter_rows()) == {"shown": 3280, "left the week": 1154, "withdrawn": 7}
    withdrawn = {
        event_id: row["merged_into"]
        for event_id, row in found.items()
        if row["fate"] == "withdrawn"
    }
    assert withdrawn == WITHDRAWN


def test_one_poll_alone_misses_nothing(here):
    alone = events(here, WHEREABOUTS, list_audits(here, WHEREABOUTS)[0].version)
    assert {event["fate"] for event in alone.values()} == {"shown"}


@pytest.mark.parametrize("order", ORDERS)
def test_a_history_of_full_dumps_has_the_same_events(taken, order):
    showings, second = told(taken(order), "staged/showings"), polled_at(1)
    begun, ended = (showings.filter(col(when) == second) for when in ("valid_from", "valid_to"))
    updated, gone = (
        begun.join(ended, on="event_id", how="semi"),
        ended.join(begun, on="event_id", how="anti"),
    )
    assert (begun.height - updated.height, updated.height, gone.height) == (
        937 + 406,
        143,
        1154 + 7,
    )
    assert set(gone.filter(col("happened_at") >= second - WEEK)["event_id"]) == set(WITHDRAWN)


# Again


@pytest.mark.full
def test_the_same_poll_under_another_name_adds_no_row(own):
    standing = {
        table: (own.lake.version(table), rows(own, table)) for table in ("raw/polls", *TABLES)
    }
    poll(own, 1, to=("polls",), name="once more")
    bring_up_to_date(own)
    for table, (version, was) in standing.items():
        assert own.lake.version(table) == version
        assert_frame_equal(rows(own, table), was)


def test_the_same_dump_under_another_name_is_a_delivery_without_changes(own):
    was = told(own, "staged/showings")
    poll(own, 1, to=("dumps",), name="once more")
    bring_up_to_date(own)
    assert rows(own, "raw/dumps").height == 3
    assert_frame_equal(told(own, "staged/showings"), was)


@pytest.mark.full
@pytest.mark.parametrize("table", TABLES)
def test_rebuilding_from_all_rows_gives_the_same_table(own, table):
    was = rows(own, table)
    assert make(own.lake, own.catalog, table, now=NOW).mode == "replace"
    assert_frame_equal(rows(own, table), was)
