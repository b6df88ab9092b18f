"""A raw table whose declared types changed gets them, with every row as it was, or stays as it is."""

from datetime import date
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner
from support.worlds import bring_up_to_date, catalog_of, contents, land_all, world, write

from lakehouse.calendar import Daily
from lakehouse.cli import commands
from lakehouse.errors import DataError, SetupError
from lakehouse.observe.overview import list_audits
from lakehouse.operations.restore import RestoreRequest, restore
from lakehouse.operations.restore_plan import plan_restore
from lakehouse.operations.retype import plan_retyping, retype
from lakehouse.system_columns import EVENT_DATE
from lakehouse.tables.casting import cast
from lakehouse.tables.contract import Contract
from lakehouse.tables.declare import raw, staged

RAW = "raw/visits"
TEXT = {"id": pl.String(), "day": pl.String(), "paid": pl.String()}
TYPED = {"id": pl.Int64(), "day": pl.Date(), "paid": pl.Decimal(10, 2)}
FILES = ["id,day,paid\n1,2024-01-01,2.50\n2,2024-01-02,\n", "id,day,paid\n007,2024-02-01,3\n"]


def declare(columns):
    day = pl.col("day")
    if columns["day"] == pl.String:
        day = day.str.to_date("%Y-%m-%d", strict=False)
    return catalog_of(raw_visits=raw("visits", "Visits.", columns=columns, day=day))


def land_files(folder: Path, files=FILES, columns=TEXT):
    here = world(folder, declare(columns))
    for number, text in enumerate(files):
        write(here, "visits", f"{number}.csv", text)
        bring_up_to_date(here)
    return here


def rows_of(here):
    """The rows of the raw table without when they were landed."""
    rows = here.lake.scan(RAW).drop("_batch_id", "_ingested_at", "_modified_at").collect()
    return rows.select(sorted(rows.columns)).sort("_source", "_offset")


def test_text_becomes_what_a_landing_in_the_declared_types_gives(tmp_path):
    land_files(tmp_path / "lake")
    here = world(tmp_path / "lake", declare(TYPED))
    before = here.lake.scan(RAW).collect()
    audit = retype(here, plan_retyping(here, RAW), "me")
    assert rows_of(here).equals(rows_of(land_files(tmp_path / "fresh", columns=TYPED)))
    after = here.lake.scan(RAW).collect()
    origin = ["_source", "_offset", "_batch_id", "_ingested_at", "_modified_at", EVENT_DATE]
    assert after.select(origin).sort(origin).equals(before.select(origin).sort(origin))
    assert (audit.read, audit.written, audit.carried) == (0, 0, 3)
    assert audit.notes[0].startswith("columns in another type, as declared: id (String to Int64)")
    assert plan_retyping(here, RAW).columns == {}


def test_after_it_files_land_in_the_new_types_and_known_bytes_land_nothing(tmp_path):
    land_files(tmp_path)
    here = world(tmp_path, declare(TYPED))
    retype(here, plan_retyping(here, RAW), "me")
    write(here, "visits", "again.csv", FILES[0])
    write(here, "visits", "new.csv", "id,day,paid\n4,2024-03-01,1\n")
    write(here, "visits", "bad.csv", "id,day,paid\nx,2024-03-01,1\n")
    landed = land_all(here)[RAW]
    assert sorted(here.lake.scan(RAW).collect()["id"].to_list()) == [1, 2, 4, 7]
    assert [text.partition(":")[0] for text in landed.refused] == ["bad.csv"]


def test_a_value_that_does_not_fit_is_counted_and_named_and_nothing_is_changed(tmp_path):
    land_files(tmp_path, [*FILES, "id,day,paid\nx,2024-03-01,1\ny,2024-03-01,1.005\n"])
    here = world(tmp_path, declare(TYPED))
    before = here.lake.revision(RAW)
    with pytest.raises(DataError) as refused:
        plan_retyping(here, RAW)
    assert "id: 2 values of 5 do not fit Int64, such as in 2.csv record 1, 2.csv record 2" in str(
        refused.value
    )
    assert "paid: 1 value of 5 do not fit" in str(refused.value)
    assert here.lake.revision(RAW) == before


class Visit(Contract):
    """A visit."""

    id: pl.Int64
    day: date

    class Table:
        date_column = "day"
        max_quarantined = 1.0


class Latest(Contract):
    """The latest visit of a number."""

    id: pl.Int64
    day: date

    class Table:
        key = ("id",)
        sequence = ("day",)
        max_quarantined = 1.0


def declare_readers(columns):
    """The raw table, and tables by day and with keys that read it in its types."""
    day, number = pl.col("day"), pl.col("id")
    if columns["day"] == pl.String:
        day, number = day.str.to_date("%Y-%m-%d", strict=False), number.cast(pl.Int64, strict=False)

    def visits(raw_visits):
        """Visits."""
        return cast(raw_visits, id=number, day=day)

    def latest(raw_visits):
        """The latest visits."""
        return cast(raw_visits, id=number, day=day)

    return catalog_of(
        raw_visits=raw("visits", "Visits.", columns=columns, day=day),
        visits=staged(Visit, partitions=Daily(date(2024, 1, 1)))(visits),
        latest=staged(Latest, mode="upsert")(latest),
    )


def test_its_readers_are_made_again_and_have_what_a_fresh_lake_has(tmp_path):
    here, fresh = world(tmp_path / "lake", declare_readers(TEXT)), tmp_path / "fresh"
    fresh = world(fresh, declare_readers(TYPED))
    for number, text in enumerate(FILES):
        for one in (here, fresh):
            write(one, "visits", f"{number}.csv", text)
            bring_up_to_date(one)
    here = world(tmp_path / "lake", declare_readers(TYPED))
    retype(here, plan_retyping(here, RAW), "me")
    stale = {part.table for part in here.create_planner().find_stale_tables()}
    assert stale == {"staged/visits", "staged/latest"}
    bring_up_to_date(here)
    assert contents(here) == contents(fresh)
    assert here.create_planner().find_stale_tables() == []


def test_a_restore_brings_the_former_types_back(tmp_path):
    here = land_files(tmp_path)
    before = rows_of(here)
    version = here.lake.version(RAW)
    here = world(tmp_path, declare(TYPED))
    retype(here, plan_retyping(here, RAW), "me")
    restore(here, plan_restore(here, RAW, version), RestoreRequest("me", "a test"))
    assert rows_of(here).equals(before)
    retype(here, plan_retyping(here, RAW), "me")
    assert here.lake.scan(RAW).collect_schema()["id"] == pl.Int64


@pytest.mark.parametrize("columns", [{**TYPED, "id": pl.Int32()}, {**TYPED, "paid": pl.Float64()}])
def test_numbers_become_other_numbers(tmp_path, columns):
    land_files(tmp_path, columns=TYPED)
    here = world(tmp_path, declare(columns))
    retype(here, plan_retyping(here, RAW), "me")
    stored = here.lake.scan(RAW).collect()
    assert {name: stored.schema[name] for name in columns} == columns
    assert sorted(stored["id"].to_list()) == [1, 2, 7]
    assert [float(paid) for paid in stored.sort("id")["paid"].drop_nulls()] == [2.5, 3.0]


def test_typed_values_do_not_become_text(tmp_path):
    land_files(tmp_path, columns=TYPED)
    with pytest.raises(SetupError, match="id, day, paid cannot become text"):
        plan_retyping(world(tmp_path, declare(TEXT)), RAW)


def test_the_command_says_what_it_does_and_does_it_once(tmp_path):
    land_files(tmp_path)
    here = world(tmp_path, declare(TYPED))

    def run(*arguments):
        app = commands.App(lambda: here, lambda: None, None)
        return CliRunner().invoke(commands.cli, list(arguments), obj=app)

    assert "lakehouse retype raw/visits" in run("tables").output
    asked = run("retype", RAW)
    assert "3 rows of raw/visits" in asked.output
    assert asked.exit_code != 0
    assert "with the declared types" in run("retype", RAW, "--yes").output
    assert "has the declared types already" in run("retype", RAW, "--yes").output
    assert len(list_audits(here, RAW)) == 3
    assert here.lake.scan(RAW).collect()["day"].max() == date(2024, 2, 1)
