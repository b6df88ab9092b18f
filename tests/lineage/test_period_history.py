"""What a period was made from, and whether an empty period is empty on purpose or was never made."""

from datetime import date

import polars as pl
import pytest
from polars import col
from support.worlds import NOW, bring_up_to_date, catalog_of, land_all, world, write

from lakehouse.calendar import Daily, Days, Monthly
from lakehouse.environment import Environment
from lakehouse.lineage.empty_periods import AskedPeriods, find_intentionally_empty
from lakehouse.publish.audit import Audit
from lakehouse.tables.casting import cast
from lakehouse.tables.contract import Contract
from lakehouse.tables.declare import mart, raw, staged
from lakehouse.transform.make import make

DAILY, MONTHLY = Daily(date(2024, 6, 1)), Monthly(date(2024, 6, 1))
WHOLE = {"partitions": None}
DAY = pl.col("day").str.to_date("%Y-%m-%d", strict=False)

raw_notes = raw("notes", "Notes.", columns=("day", "text"), day=DAY)


class Note(Contract):
    """A note."""

    note_date: date
    text: str

    class Table:
        date_column = "note_date"


class Count(Contract):
    """How many notes there are."""

    note_date: date
    notes: pl.Int64

    class Table:
        date_column = "note_date"
        counts = "notes"


def june(day: int) -> date:
    return date(2024, 6, day)


def tables(*left_out: int, notes=DAILY, counts=DAILY):
    """Notes, those of some days left out, and how many there are by day or month."""
    voided = {"voided": col("day").is_in([str(june(day)) for day in left_out])}

    @staged(Note, partitions=notes, leave_out=voided)
    def notes(raw_notes):
        return cast(raw_notes, note_date=DAY)

    by = col("note_date").dt.month_start() if counts is MONTHLY else col("note_date")

    @mart(Count, partitions=counts)
    def counts(notes):
        return notes.group_by(note_date=by).agg(notes=pl.len().cast(pl.Int64))

    return catalog_of(raw_notes=raw_notes, notes=notes, counts=counts)


def change(here: Environment, catalog, days: Days | None = None) -> Environment:
    """Rebuilds the notes of the same lake by other declarations."""
    changed = Environment(here.lake, here.landing, catalog)
    make(here.lake, catalog, "staged/notes", days, now=NOW)
    return changed


def filled(folder, catalog) -> Environment:
    """Two notes on each of two days."""
    here = world(folder, catalog)
    write(
        here,
        "notes",
        "a.csv",
        "day,text\n" + "".join(f"{june(day)},x\n{june(day)},y\n" for day in (3, 4)),
    )
    bring_up_to_date(here)
    return here


def counted(here: Environment) -> list[tuple[object, ...]]:
    return sorted(here.lake.scan("marts/counts").select("note_date", "notes").collect().rows())


def test_a_day_that_was_emptied_on_purpose_is_emptied_in_readers(tmp_path):
    here = change(filled(tmp_path, tables()), tables(4))
    bring_up_to_date(here)
    assert counted(here) == [(june(3), 2)]
    assert here.create_planner().find_stale_tables() == []


def test_an_emptied_day_is_made_as_such_and_noted(tmp_path):
    here = change(filled(tmp_path, tables()), tables(4), Days(june(4), june(4)))
    audit = make(here.lake, here.catalog, "marts/counts", Days(june(3), june(9)), now=NOW)
    assert isinstance(audit, Audit)
    assert (audit.read, audit.materialized, audit.untouched) == (2, (Days(june(3), june(4)),), ())


def test_a_day_that_came_back_comes_back_in_readers(tmp_path):
    here = change(filled(tmp_path, tables()), tables(4))
    bring_up_to_date(here)
    here = change(here, tables())
    bring_up_to_date(here)
    assert counted(here) == [(june(3), 2), (june(4), 2)]


def test_a_month_is_emptied_with_the_last_of_its_days(tmp_path):
    here = filled(tmp_path, tables(counts=MONTHLY))
    for left_out, found in (((4,), [(june(1), 2)]), ((3, 4), [])):
        here = change(here, tables(*left_out, counts=MONTHLY))
        bring_up_to_date(here)
        assert counted(here) == found
        assert here.create_planner().find_stale_tables() == []


@pytest.mark.parametrize(
    ("notes", "counts", "left_out", "found"),
    [
        (DAILY, None, (3, 4), []),
        (None, None, (3, 4), []),
        (None, DAILY, (4,), [(june(3), 2)]),
        (None, DAILY, (3, 4), []),
    ],
)
def test_tables_without_periods_are_emptied_and_empty_others_too(
    tmp_path, notes, counts, left_out, found
):
    here = filled(tmp_path, tables(notes=notes, counts=counts))
    here = change(here, tables(*left_out, notes=notes, counts=counts))
    bring_up_to_date(here)
    assert counted(here) == found
    assert here.create_planner().find_stale_tables() == []


@pytest.mark.parametrize("counts", [DAILY, None])
def test_rows_that_somebody_deleted_by_hand_empty_no_reader(tmp_path, counts):
    here = filled(tmp_path, tables(counts=counts))
    here.lake.open("staged/notes").delete()
    make(here.lake, here.catalog, "marts/counts", now=NOW)
    assert counted(here) == [(june(3), 2), (june(4), 2)]


def test_a_raw_day_that_is_gone_empties_no_reader(tmp_path):
    here = filled(tmp_path, tables())
    here.lake.open("raw/notes").delete(f"day = '{june(4)}'")
    bring_up_to_date(here)
    assert counted(here) == [(june(3), 2), (june(4), 2)]


def test_an_input_speaks_for_what_it_made_and_nobody_touched(tmp_path):
    here = filled(tmp_path, tables())
    notes, counts, every = (
        here.catalog["staged/notes"],
        here.catalog["marts/counts"],
        Days(june(1), june(9)),
    )
    write(here, "notes", "b.csv", f"day,text\n{june(4)},z\n")
    land_all(here)
    make(here.lake, here.catalog, "staged/notes", Days(june(4), june(4)), now=NOW)
    asked = AskedPeriods(counts, notes, every, every)
    assert find_intentionally_empty(here.lake, asked) == {june(3), june(4)}
    here.lake.open("staged/notes").delete(f"note_date = DATE '{june(4)}'")
    assert find_intentionally_empty(here.lake, asked) == {june(3)}
    assert find_intentionally_empty(here.lake, asked, until=0) == {june(3), june(4)}
    of_raw = AskedPeriods(notes, here.catalog["raw/notes"], every, every)
    assert find_intentionally_empty(here.lake, of_raw) == set()


def test_an_input_that_was_restored_to_before_it_was_made_does_not_speak(tmp_path):
    here = filled(tmp_path, tables(3, 4))
    for left_out in ((4,), ()):
        here = change(here, tables(*left_out))
    here.lake.open("staged/notes").delete(f"note_date = DATE '{june(3)}'")
    here.lake.open("staged/notes").restore(0)
    notes, counts = here.catalog["staged/notes"], here.catalog["marts/counts"]
    every = Days(june(1), june(9))
    asked = AskedPeriods(counts, notes, every, every)
    assert find_intentionally_empty(here.lake, asked) == {june(3), june(4)}
