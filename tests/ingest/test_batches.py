"""Deliveries that are landed together: many small ones are read together, and only the data files show it."""

import os
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from support.worlds import NOW, catalog_of, with_limits, world, write

from lakehouse.environment import Environment
from lakehouse.errors import LawError
from lakehouse.ingest import read_batch
from lakehouse.ingest.files.landing_zone import Landing
from lakehouse.ingest.land import LandResult, land
from lakehouse.ingest.limits import IngestLimits
from lakehouse.publish.auto_compaction import group_deliveries
from lakehouse.storage.lake import list_data_files
from lakehouse.storage.limits import WriteLimits
from lakehouse.tables.declare import raw

EVENTS = "raw/events"
MANY = 40


@pytest.fixture
def events(tmp_path: Path) -> Environment:
    """A lake for one table of text with the columns `id` and `name`, the second optional."""
    columns = {"id": pl.String(), "name": pl.String()}
    return world(
        tmp_path, catalog_of(events=raw("events", "Events.", columns=columns, optional=("name",)))
    )


def deliver(here: Environment, count: int = MANY) -> None:
    """Files of three kinds in turn: with both columns, in another order, and with one."""
    for number in range(count):
        text = (f"id,name\n{number},a\n,b\n", f"name,id\nc,{number}\nd,\n", f"id\n{number}\n")[
            number % 3
        ]
        os.utime(write(here, "events", f"{number:03}.csv", text), (0, NOW.timestamp() + number))


def land_now(here: Environment, **limits: int) -> LandResult:
    landing = replace(here.landing, limits=IngestLimits(**limits))
    return land(here.lake, landing, here.catalog[EVENTS], now=NOW.replace(year=NOW.year + 1))


def rows(here: Environment) -> list[tuple[object, ...]]:
    lf = here.lake.scan(EVENTS).select(
        pl.col("_source").str.split("#").list.first(), "_offset", "id", "name"
    )
    return sorted(lf.collect().rows())


def delivered(count: int = MANY) -> list[tuple[object, ...]]:
    """The rows of `deliver`."""
    found: list[tuple[object, ...]] = []
    for number in range(count):
        own = str(number)
        kinds = ([(own, "a"), (None, "b")], [(own, "c"), (None, "d")], [(own, None)])
        found += [
            (f"{number:03}.csv", place, *pair) for place, pair in enumerate(kinds[number % 3], 1)
        ]
    return found


def live(here: Environment) -> pl.DataFrame:
    handle = here.lake.open_shared(EVENTS)
    assert handle is not None
    return list_data_files(handle)


def test_many_small_deliveries_of_a_batch_share_a_file(events):
    deliver(events)
    report = land_now(events)
    assert rows(events) == delivered()
    assert (live(events).height, report.audits[0].files, len(report.audits)) == (1, 1, 1)
    assert land_now(events).audits == ()


def test_a_few_small_deliveries_have_a_file_each_so_that_the_log_distinguishes_them(events):
    few = events.lake.limits.many_files - 1
    deliver(events, few)
    land_now(events)
    assert rows(events) == delivered(few)
    assert (live(events)["min._source"] == live(events)["max._source"]).sum() == few


def test_the_time_of_each_delivery_stays_with_its_rows(events):
    deliver(events)
    land_now(events)
    found = (
        events.lake.scan(EVENTS).group_by("_source").agg(pl.col("_modified_at").unique()).collect()
    )
    entries = {entry.name: entry.modified_at for entry in events.landing.list_entries("events")}
    assert {name.split("#")[0]: moments for name, moments in found.rows()} == {
        n: [at] for n, at in entries.items()
    }


def test_a_large_delivery_has_a_file_of_its_own_between_those_that_share_one(events):
    events = with_limits(events, small_file_bytes=300, many_files=5)
    deliver(events, 6)
    os.utime(write(events, "events", "002.csv", "id\n" + "2\n" * 200), (0, NOW.timestamp() + 2))
    land_now(events)
    assert sorted(live(events)["num_records"].to_list()) == [4, 5, 200]
    assert [row for row in rows(events) if row[0] != "002.csv"] == [
        row for row in delivered(6) if row[0] != "002.csv"
    ]


def test_what_shares_a_file_is_bounded_in_rows():
    sizes = [(4, 1), (4, 1), (4, 1), (5, 1), (4, 1), (4, 1), (4, 1)]
    limits = WriteLimits(rows_at_once=10, many_files=6)
    assert group_deliveries(sizes, limits) == [0, 0, 1, 2, 3, 3, 4]


def test_rows_that_do_not_fit_in_memory_together_are_spooled_and_all_there(events):
    deliver(events)
    land_now(events, joined_bytes=1)
    assert rows(events) == delivered()


def test_rows_of_a_delivery_that_is_too_large_for_memory_are_spooled_by_themselves(events):
    deliver(events)
    land_now(events, small_delivery_bytes=0)
    assert rows(events) == delivered()


@pytest.mark.parametrize("at_once", [1, 4])
def test_of_files_with_the_same_bytes_the_first_lands_however_many_are_read_at_once(
    events, at_once
):
    for number in range(MANY):
        os.utime(
            write(events, "events", f"{number:03}.csv", "id\nsame\n"), (0, NOW.timestamp() + number)
        )
    report = land_now(events, files_at_once=at_once)
    assert rows(events) == [("000.csv", 1, "same", None)]
    assert [text.split(":")[0] for text in report.repeated] == [
        f"{number:03}.csv" for number in range(1, MANY)
    ]


def test_a_file_that_goes_while_others_are_read_ahead_takes_nothing_with_it(events, monkeypatch):
    deliver(events)
    whole = Landing.read_chunks

    def gone(landing, table, entry):
        if entry.name == "003.csv":
            raise FileNotFoundError(entry.name)
        return whole(landing, table, entry)

    monkeypatch.setattr(Landing, "read_chunks", gone)
    land_now(events)
    assert rows(events) == [row for row in delivered() if row[0] != "003.csv"]


def test_what_breaks_a_law_in_a_file_that_is_read_ahead_stops_the_batch(events, monkeypatch):
    deliver(events)
    whole = read_batch.read_file

    def broken(chunks, *, name, **options):
        if name == "030.csv":
            raise LawError("a record is unaccounted for")
        return whole(chunks, name=name, **options)

    monkeypatch.setattr(read_batch, "read_file", broken)
    with pytest.raises(LawError, match="unaccounted"):
        land_now(events)
    assert events.lake.open_shared(EVENTS) is None


def test_a_column_may_be_called_as_a_reader_calls_the_path_of_a_file(tmp_path):
    columns = ("id", "filename", "file_row_number")
    here = world(tmp_path, catalog_of(events=raw("events", "Events.", columns=columns)))
    for name in ("a", "b"):
        write(here, "events", f"{name}.csv", f"id,filename,file_row_number\n{name},x,1\n")
    land_now(here)
    assert sorted(here.lake.scan(EVENTS).collect()["id"]) == ["a", "b"]
    assert (live(here)["min._source"] == live(here)["max._source"]).all()
