"""Tables that are made by weeks, which run over the ends of months: the laws hold for them too."""

import random
from datetime import UTC, date, datetime

import dagster as dg
import polars as pl
import pytest
from support.sizes import first
from support.worlds import bring_up_to_date, catalog_of, contents, in_state, land_all, world, write

from lakehouse.calendar import WEEKDAYS, Days, Weekly
from lakehouse.lineage.staleness import Planner
from lakehouse.orchestration.partitions import define_partitions
from lakehouse.tables.casting import cast
from lakehouse.tables.contract import Contract
from lakehouse.tables.declare import mart, raw, staged
from lakehouse.tables.read_times import read_date
from lakehouse.transform.make import make

WEEKS = Weekly(date(2024, 1, 7), week_starts="sunday")


class Note(Contract):
    """A note."""

    id: str
    day: date

    class Table:
        key = ("id",)
        date_column = "day"
        max_quarantined = 1.0


class NoteWeek(Contract):
    """The notes of a week."""

    week: date
    notes: pl.Int64

    class Table:
        key = ("week",)
        date_column = "week"
        counts = "notes"
        physical = "year"


notes = raw("notes", "Notes.", columns=("id", "on"), day=read_date("on", "%Y-%m-%d"))


@staged(Note, partitions=WEEKS)
def typed(raw_notes):
    """Notes with their day."""
    return cast(raw_notes, day=read_date("on", "%Y-%m-%d"))


@mart(NoteWeek, partitions=WEEKS)
def note_weeks(typed):
    """Notes by week."""
    week = WEEKS.period_start_expr(pl.col("day"))
    return typed.group_by(week=week).agg(notes=pl.len().cast(pl.Int64))


def tables():
    return catalog_of(notes=notes, typed=typed, note_weeks=note_weeks)


def test_a_late_row_makes_its_week_again_in_both_of_its_months(tmp_path):
    here, now = world(tmp_path, tables()), datetime(2024, 7, 10, tzinfo=UTC)
    lines = ["1,2024-01-31", "2,2024-02-02", "3,2024-02-20", "4,"]
    write(here, "notes", "a.csv", "id,on\n" + "\n".join(lines) + "\n")
    bring_up_to_date(here)
    write(here, "notes", "b.csv", "id,on\n5,2024-02-03\n")
    land_all(here)
    [part] = [
        one
        for one in Planner(here.lake, here.catalog, now).find_stale_tables()
        if one.table == "staged/typed"
    ]
    assert part.spans == (Days(date(2024, 1, 28), date(2024, 2, 3)),)
    audit = make(here.lake, here.catalog, part.table, part.spans[0], now=now)
    # The row of another week in the same month is carried over, or lies in a file of its own.
    assert (audit.read, audit.written) == (3, 3)
    bring_up_to_date(here)
    weeks = in_state(here, "marts/note_weeks").sort("week").select("week", "notes").rows()
    assert weeks == [(date(2024, 1, 28), 3), (date(2024, 2, 18), 1)]


@pytest.mark.parametrize("seed", first(1, range(10)))
def test_the_order_of_files_and_a_backfill_change_nothing(tmp_path, seed):
    chance = random.Random(seed)
    files = [
        "id,on\n"
        + "".join(
            f"{chance.randrange(30)},2024-0{chance.randint(1, 3)}-{chance.randint(1, 31):02}\n"
            for _ in range(8)
        )
        for _ in range(4)
    ]
    whole, other = world(tmp_path / "whole", tables()), world(tmp_path / "other", tables())
    for number, text in enumerate(files):
        for here in (whole, other):
            write(here, "notes", f"{number}.csv", text)
        bring_up_to_date(other)
    bring_up_to_date(whole)
    assert contents(whole) == contents(other)
    for table in ("staged/typed", "marts/note_weeks"):
        make(other.lake, other.catalog, table)
    assert contents(whole) == contents(other)


@pytest.mark.parametrize("start", WEEKDAYS)
def test_partitions_of_dagster_are_the_weeks_of_the_calendar(start):
    calendar = Weekly(date(2024, 1, 1 + WEEKDAYS.index(start)), "Europe/Berlin", start)
    now = datetime(2024, 4, 2, 12, tzinfo=UTC)
    partitions = define_partitions(calendar)
    with dg.partition_loading_context(effective_dt=now):
        keys = partitions.get_partition_keys()
    days = calendar.widen_to_periods(calendar.days_until(now))
    assert keys == [str(day) for day in calendar.period_keys(days)]
