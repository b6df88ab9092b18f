"""A corrected file settles what it corrects: rejected rows, days that were held back, and refused files."""

import os
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from polars import col
from support.sizes import full
from support.worlds import NOW, bring_up_to_date, catalog_of, in_state, world, write

from lakehouse.calendar import Daily
from lakehouse.errors import SetupError
from lakehouse.ingest.land import land, read_news
from lakehouse.lineage.period_history import read_period_history
from lakehouse.observe.overview import list_audits
from lakehouse.operations.replay import replay
from lakehouse.publish.audit import RefusedCommitError
from lakehouse.quarantine.dead_letters import count_open_letters
from lakehouse.quarantine.discard import Choice, discard
from lakehouse.tables.casting import cast
from lakehouse.tables.contract import Contract, Field
from lakehouse.tables.declare import raw, staged
from lakehouse.tables.keyed_table import FullDumps
from lakehouse.transform.make import make

HEADER = "ticket,day,gate"
TICKETS, REJECTS = "staged/tickets", "quarantine/staged_tickets"
SPRING = Daily(date(2024, 3, 1))


def declare(mode, most=1.0, *, is_daily=False, **declared):
    """The catalogue of these tickets."""
    facts = {"key": ("ticket",), "sequence": ("day",), "max_quarantined": most}
    if is_daily:
        facts |= {"date_column": "day"}
        declared["partitions"] = SPRING
    body = {
        "__annotations__": {"ticket": str, "day": date, "gate": str},
        "__doc__": "A ticket.",
        "__module__": __name__,
        "gate": Field(isin=["east", "west"], nullable="partial" in declared),
        "Table": type("Table", (), facts),
    }
    contract = type("Ticket", (Contract,), body)
    tickets = raw(
        "tickets",
        "Tickets.",
        columns=tuple(HEADER.split(",")),
        day=col("day").str.to_date("%Y-%m-%d", strict=False),
        full_dumps="full_dumps" in declared,
    )

    def made(raw_tickets):
        """Typed tickets."""
        return cast(raw_tickets, day=col("day").str.to_date("%Y-%m-%d", strict=False))

    made.__name__ = "tickets"
    table = staged(contract, mode=mode, **declared)(made)
    return catalog_of(raw_tickets=tickets, tickets=table)


KINDS = {
    "by day": {"mode": "replace", "is_daily": True},
    "whole": {"mode": "replace"},
    "upsert": {"mode": "upsert"},
    "partial": {"mode": "upsert", "partial": True},
    "history": {"mode": "history"},
}
every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def hand_in(here, name, *lines, at):
    """Delivers a file, as if it was written at a time."""
    path = write(here, "tickets", f"{name}.csv", "\n".join([HEADER, *lines]) + "\n")
    os.utime(path, (at, at))
    return path


def open_tickets(here):
    if here.lake.version(REJECTS) is None:
        return []
    return sorted(in_state(here, REJECTS)["ticket"].to_list())


def tickets(here):
    shown = here.lake.scan(TICKETS).select("ticket", "gate").collect()
    return sorted(shown.rows())


def day(number, *tickets):
    return [f"{ticket},2024-03-{number:02},{gate}" for ticket, gate in tickets]


BAD = day(4, ("a", "east"), ("b", "window"))
GOOD = day(4, ("a", "east"), ("b", "west"))
OTHERS = day(5, ("c", "east"), ("d", "west"))


@every_kind
def test_a_row_that_was_rejected_is_superseded_by_the_row_of_a_corrected_file(tmp_path, kind):
    here = world(tmp_path, declare(**kind))
    hand_in(here, "one", *BAD, *OTHERS, at=1_000)
    bring_up_to_date(here)
    assert open_tickets(here) == ["b"]
    hand_in(here, "one", *GOOD, *OTHERS, at=2_000)
    bring_up_to_date(here)
    assert open_tickets(here) == []
    assert in_state(here, REJECTS, "superseded")["ticket"].to_list() == ["b"]
    assert ("b", "west") in tickets(here)
    assert here.create_planner().find_stale_tables() == []


@pytest.mark.full
@every_kind
def test_it_stays_superseded_when_everything_is_made_again(tmp_path, kind):
    here = world(tmp_path, declare(**kind))
    hand_in(here, "one", *BAD, *OTHERS, at=1_000)
    bring_up_to_date(here)
    hand_in(here, "one", *GOOD, *OTHERS, at=2_000)
    bring_up_to_date(here)
    first = in_state(here, REJECTS, "superseded")
    for _ in range(2):
        make(here.lake, here.catalog, TICKETS, now=NOW)
        replay(here, TICKETS, now=NOW)
    again = in_state(here, REJECTS, "superseded")
    assert again.select("ticket", "_settled_at").equals(first.select("ticket", "_settled_at"))
    audit = list_audits(here, TICKETS)[-1]
    assert (audit.quarantined, audit.read) == (0, 8)


@every_kind
def test_a_day_that_was_held_back_is_published_when_its_file_is_corrected(tmp_path, kind):
    here = world(tmp_path, declare(**kind, most=0.2))
    hand_in(here, "one", *BAD, at=1_000)
    with pytest.raises(RefusedCommitError):
        bring_up_to_date(here)
    hand_in(here, "one", *GOOD, at=2_000)
    bring_up_to_date(here)
    assert tickets(here) == [("a", "east"), ("b", "west")]
    assert (open_tickets(here), here.create_planner().find_stale_tables()) == ([], [])


def test_a_day_that_was_held_back_beside_others_is_published(tmp_path):
    here = world(tmp_path, declare("replace", most=0.2, is_daily=True))
    hand_in(here, "one", *BAD, *OTHERS, at=1_000)
    bring_up_to_date(here)
    assert tickets(here) == [("c", "east"), ("d", "west")]
    hand_in(here, "one", *GOOD, *OTHERS, at=2_000)
    bring_up_to_date(here)
    assert tickets(here) == [("a", "east"), ("b", "west"), ("c", "east"), ("d", "west")]
    assert read_period_history(here.lake, here.catalog[TICKETS]).held_back == {}


@pytest.mark.full
@every_kind
@pytest.mark.parametrize("is_together", [True, False])
def test_the_order_of_arrival_does_not_decide_what_is_superseded(tmp_path, kind, is_together):
    here = world(tmp_path, declare(**kind))
    hand_in(here, "corrected", *GOOD, *OTHERS, at=2_000)
    if not is_together:
        bring_up_to_date(here)
    hand_in(here, "late", *BAD, at=1_000)
    bring_up_to_date(here)
    assert open_tickets(here) == []
    assert ("b", "west") in tickets(here)


@pytest.mark.full
@every_kind
@pytest.mark.parametrize("is_together", [True, False])
def test_an_older_good_row_supersedes_no_newer_bad_one(tmp_path, kind, is_together):
    here = world(tmp_path, declare(**kind))
    hand_in(here, "one", *GOOD, at=1_000)
    if not is_together:
        bring_up_to_date(here)
    hand_in(here, "two", *BAD, at=2_000)
    bring_up_to_date(here)
    assert open_tickets(here) == ["b"]
    assert ("b", "west") in tickets(here)


def test_a_good_row_of_a_later_day_supersedes_where_only_the_latest_counts(tmp_path):
    here = world(tmp_path, declare("upsert"))
    hand_in(here, "one", *BAD, at=2_000)
    bring_up_to_date(here)
    hand_in(here, "two", *day(9, ("b", "east")), at=1_000)
    bring_up_to_date(here)
    assert (open_tickets(here), tickets(here)) == ([], [("a", "east"), ("b", "east")])


def test_a_good_row_of_a_later_day_supersedes_no_row_of_a_history(tmp_path):
    here = world(tmp_path, declare("history"))
    hand_in(here, "one", *BAD, at=1_000)
    bring_up_to_date(here)
    hand_in(here, "two", *day(9, ("b", "east")), at=2_000)
    bring_up_to_date(here)
    assert open_tickets(here) == ["b"]


def test_a_good_row_of_another_day_supersedes_no_row_of_a_table_by_days(tmp_path):
    here = world(tmp_path, declare("replace", is_daily=True))
    hand_in(here, "one", *BAD, at=1_000)
    hand_in(here, "two", *day(9, ("b", "east")), at=2_000)
    bring_up_to_date(here)
    assert open_tickets(here) == ["b"]


@every_kind
@pytest.mark.parametrize("again", [False, full(True)], ids=["at once", "made again"])
def test_a_row_without_a_key_is_superseded_by_its_corrected_file(tmp_path, kind, again):
    here = world(tmp_path, declare(**kind))
    hand_in(here, "one", ",2024-03-04,east", "b,2024-03-04,east", at=1_000)
    bring_up_to_date(here)
    assert in_state(here, REJECTS)["ticket"].to_list() == [None]
    hand_in(here, "one", "a,2024-03-04,east", "b,2024-03-04,east", at=2_000)
    bring_up_to_date(here)
    if again:
        make(here.lake, here.catalog, TICKETS, now=NOW)
    assert open_tickets(here) == []
    assert in_state(here, REJECTS, "superseded")["ticket"].to_list() == [None]
    assert here.create_planner().find_stale_tables() == []


@pytest.mark.parametrize("mode", ["upsert", "history"])
def test_a_dump_with_a_superseded_row_still_shows_that_it_held_its_key(tmp_path, mode):
    here = world(tmp_path, declare(mode, full_dumps=FullDumps(may_shrink=1.0)))
    hand_in(here, "one", *day(4, ("a", "east"), ("b", "west")), at=1_000)
    bring_up_to_date(here)
    hand_in(here, "two", *day(5, ("a", "east"), ("b", "window")), at=2_000)
    bring_up_to_date(here)
    hand_in(here, "three", *day(6, ("a", "east"), ("b", "east")), at=3_000)
    bring_up_to_date(here)
    shown = here.lake.scan(TICKETS)
    shown = shown.filter("is_current") if mode == "history" else shown
    assert sorted(shown.select("ticket", "gate").collect().rows()) == [("a", "east"), ("b", "east")]


# Refused files

LETTERS = "quarantine/dead_letters"


def letter_states(here):
    """The states of all dead letters."""
    return sorted(here.lake.scan(LETTERS).collect()["_state"].to_list())


def take(here):
    return land(here.lake, here.landing, here.catalog["raw/tickets"], now=NOW)


@pytest.fixture
def refused(tmp_path):
    """A file that was refused whole, for it lacks a column."""
    here = world(tmp_path, declare("replace"))
    path = write(here, "tickets", "one.csv", "ticket,day\na,2024-03-04\n")
    os.utime(path, (1_000, 1_000))
    take(here)
    assert letter_states(here) == ["open"]
    return here, path


def test_a_refused_file_that_is_replaced_is_settled_by_the_landing(refused):
    here, _ = refused
    hand_in(here, "one", *GOOD, at=2_000)
    take(here)
    assert (letter_states(here), count_open_letters(here.lake)) == (["superseded"], {})


def test_a_refused_file_that_is_taken_away_is_settled_and_asked_for_by_the_sensor(refused):
    here, path = refused
    path.unlink()
    news = read_news(here.lake, here.landing, here.catalog["raw/tickets"])
    assert (news.ready, list(news.settled.values())) == ((), ["withdrawn"])
    take(here)
    assert letter_states(here) == ["withdrawn"]
    version = here.lake.version(LETTERS)
    assert not read_news(here.lake, here.landing, here.catalog["raw/tickets"]).settled
    take(here)
    assert here.lake.version(LETTERS) == version


@pytest.mark.parametrize("is_replaced", [True, False], ids=["replaced", "taken away"])
def test_a_refused_file_that_comes_back_is_open_again(refused, is_replaced):
    here, path = refused
    before = path.read_bytes()
    if is_replaced:
        hand_in(here, "one", *GOOD, at=2_000)
    else:
        path.unlink()
    take(here)
    path.write_bytes(before)
    os.utime(path, (3_000, 3_000))
    take(here)
    assert letter_states(here) == ["open"]


def test_a_file_that_is_refused_beside_an_earlier_one_is_open(refused):
    here, _ = refused
    write(here, "tickets", "two.csv", "ticket,gate\na,east\n")
    take(here)
    assert letter_states(here) == ["open", "open"]


def test_a_file_that_is_still_being_written_settles_nothing_yet(refused):
    here, path = refused
    strict = replace(here.landing, rest_seconds=60)
    path.write_text("\n".join([HEADER, *GOOD]))
    os.utime(path, (NOW.timestamp(), NOW.timestamp()))
    land(here.lake, strict, here.catalog["raw/tickets"], now=NOW)
    assert letter_states(here) == ["open"]


def test_a_file_that_could_not_be_read_is_settled_when_it_is_taken_away(tmp_path):
    here = world(tmp_path, declare("replace"))
    folder = Path(here.landing.root) / "tickets" / "one.csv"
    for expected in ("open", "withdrawn", "open"):
        if expected == "open":
            folder.mkdir(parents=True)
        else:
            folder.rmdir()
        take(here)
        assert letter_states(here) == [expected]


def test_a_decision_about_a_refused_file_outlives_its_removal(refused):
    here, path = refused
    choice = Choice(is_all=True)
    discard(here.lake, here.catalog, "raw/tickets", choice, reason="r", who="ann")
    path.unlink()
    take(here)
    assert letter_states(here) == ["discarded"]


def test_the_dead_letters_of_records_stay_open_when_their_file_is_replaced(tmp_path):
    here = world(tmp_path, declare("replace"))
    hand_in(here, "one", *GOOD, "too,short", at=1_000)
    take(here)
    hand_in(here, "one", *OTHERS, at=2_000)
    take(here)
    assert letter_states(here) == ["open"]


def test_a_landing_zone_that_does_not_answer_settles_nothing(refused):
    here, path = refused
    path.parent.rename(path.parent.with_name("elsewhere"))
    path.parent.write_text("no folder")
    with pytest.raises(SetupError):
        take(here)
    assert letter_states(here) == ["open"]


def test_starting_over_after_a_first_try_that_failed_is_one_replay(tmp_path):
    here = world(tmp_path, declare("replace"))
    for number in range(3):
        write(here, "tickets", f"{number}.csv", f"no,day,gate\nt{number},2024-03-04,east\n")
    take(here)
    raw_tickets = replace(here.catalog["raw/tickets"], aliases={"no": "ticket"})
    tables = {**here.catalog.tables, "raw/tickets": raw_tickets}
    here = replace(here, catalog=replace(here.catalog, tables=tables))
    done = replay(here, "raw/tickets", now=NOW)
    assert (done.released.rows, done.remaining.rows) == (3, 0)
    bring_up_to_date(here)
    assert [ticket for ticket, _ in tickets(here)] == ["t0", "t1", "t2"]


@pytest.mark.parametrize("kind", [KINDS["partial"], KINDS["history"]], ids=["partial", "history"])
def test_a_good_row_that_left_no_trace_supersedes_an_older_bad_one(tmp_path, kind):
    """It repeats the state before it, so only the raw rows show that it was there."""
    here = world(tmp_path, declare(**kind))
    hand_in(here, "first", *day(3, ("a", "east")), *day(4, ("a", "east")), at=1_709_510_400)
    bring_up_to_date(here)
    hand_in(here, "second", *day(5, ("a", "west")), at=1_709_596_800)
    bring_up_to_date(here)
    hand_in(here, "older", *day(4, ("a", "window")), at=1_709_424_000)
    bring_up_to_date(here)
    audit = list_audits(here, TICKETS)[-1]
    assert (audit.mode, audit.quarantined, audit.superseded) == (kind["mode"], 0, 1)
    assert open_tickets(here) == []
    make(here.lake, here.catalog, TICKETS, now=NOW)
    assert open_tickets(here) == []


def dead_states(here):
    letters = here.lake.scan("quarantine/dead_letters").collect()
    return dict(letters.select("_offset", "_state").sort("_offset").iter_rows())


def test_a_record_that_could_not_be_parsed_is_settled_by_its_corrected_file(tmp_path):
    here = world(tmp_path, declare("upsert"))
    broken = [*day(4, ("a", "east")), "b,2024-03-04,west,more", *day(4, ("c", "east"))]
    hand_in(here, "first", *broken, at=1_709_510_400)
    bring_up_to_date(here)
    assert dead_states(here) == {2: "open"}
    hand_in(here, "first", *day(4, ("a", "east"), ("b", "west"), ("c", "east")), at=1_709_520_000)
    bring_up_to_date(here)
    assert (dead_states(here), tickets(here)) == (
        {2: "superseded"},
        [("a", "east"), ("b", "west"), ("c", "east")],
    )
    hand_in(here, "first", *broken, at=1_709_530_000)
    bring_up_to_date(here)
    assert dead_states(here) == {2: "open"}


@pytest.mark.parametrize("others", [day(5, ("a", "east"), ("c", "east")), day(4, ("a", "east"))])
def test_a_record_stays_dead_when_the_next_file_of_its_name_lacks_its_neighbours(tmp_path, others):
    """As where each day's file has the same name."""
    here = world(tmp_path, declare("upsert"))
    broken = [*day(4, ("a", "east")), "b,2024-03-04,west,more", *day(4, ("c", "east"))]
    hand_in(here, "first", *broken, at=1_709_510_400)
    bring_up_to_date(here)
    hand_in(here, "first", *others, at=1_709_520_000)
    bring_up_to_date(here)
    assert dead_states(here) == {2: "open"}


@pytest.mark.parametrize("kind", [KINDS["by day"], KINDS["whole"]], ids=["by day", "whole"])
def test_a_day_that_rows_without_a_key_held_back_is_freed_by_the_corrected_file(tmp_path, kind):
    here = world(tmp_path, declare(**kind, most=0.5))
    keyless = [f",2024-03-04,{gate}" for gate in ("east", "west", "east")]
    hand_in(here, "first", *day(4, ("a", "east")), *keyless, at=1_709_510_400)
    with pytest.raises(RefusedCommitError):
        bring_up_to_date(here)
    fresh = day(4, ("a", "east"), ("b", "west"), ("c", "east"))
    hand_in(here, "first", *fresh, at=1_709_520_000)
    bring_up_to_date(here)
    assert tickets(here) == [("a", "east"), ("b", "west"), ("c", "east")]
    assert open_tickets(here) == []
    audit = list_audits(here, TICKETS)[-1]
    assert (audit.read, audit.written, audit.quarantined, audit.superseded) == (7, 3, 0, 4)
    before = contents_of(here)
    make(here.lake, here.catalog, TICKETS, now=NOW)
    assert contents_of(here) == before


def contents_of(here):
    return tickets(here), open_tickets(here)


@every_kind
@pytest.mark.parametrize(
    "others",
    [day(4, ("d", "east")), full(day(5, ("a", "east")))],
    ids=["another row", "another day"],
)
def test_rows_without_a_key_stay_rejected_beside_another_file_of_their_name(tmp_path, kind, others):
    here = world(tmp_path, declare(**kind))
    hand_in(here, "first", *day(4, ("a", "east")), ",2024-03-04,west", at=1_709_510_400)
    bring_up_to_date(here)
    hand_in(here, "first", *others, at=1_709_520_000)
    bring_up_to_date(here)
    assert in_state(here, REJECTS)["ticket"].to_list() == [None]


@pytest.mark.parametrize("kind", [KINDS["partial"], KINDS["history"]], ids=["partial", "history"])
@pytest.mark.parametrize("again", [False, full(True)], ids=["at once", "made again"])
def test_a_row_without_a_readable_time_is_superseded_by_its_corrected_file(tmp_path, kind, again):
    here = world(tmp_path, declare(**kind))
    hand_in(here, "one", "a,some day,east", "b,2024-03-04,east", at=1_000)
    bring_up_to_date(here)
    assert open_tickets(here) == ["a"]
    hand_in(here, "one", "a,2024-03-04,east", "b,2024-03-04,east", at=2_000)
    bring_up_to_date(here)
    if again:
        make(here.lake, here.catalog, TICKETS, now=NOW)
    assert open_tickets(here) == []
