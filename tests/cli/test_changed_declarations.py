"""Declarations that change over a table that has rows, and files that should not have come."""

from datetime import date
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result
from support.worlds import bring_up_to_date, catalog_of, world, write

from lakehouse.calendar import Daily
from lakehouse.cli import commands
from lakehouse.environment import Environment
from lakehouse.tables import Contract, cast, raw, staged
from lakehouse.tables.catalog import Catalog

DAY = pl.col("day").str.to_date("%Y-%m-%d", strict=False)


class Visit(Contract):
    """A visit."""

    id: str
    day: date

    class Table:
        date_column = "day"
        event_time = "day"
        max_quarantined = 0.9


def declare(day: pl.Expr | None = None, **types: pl.DataType) -> Catalog:
    columns = {"id": pl.String(), "day": pl.String(), **types}
    raw_visits = raw("visits", "Visits.", columns=columns, day=day)
    if day is None:
        return catalog_of(raw_visits=raw_visits)

    @staged(Visit, partitions=Daily(date(2024, 1, 1)))
    def visits(raw_visits):
        """Visits."""
        return cast(raw_visits, day=DAY)

    return catalog_of(raw_visits=raw_visits, visits=visits)


def run(here: Environment, *arguments: str) -> Result:
    app = commands.App(lambda: here, lambda: None, None)
    return CliRunner().invoke(commands.cli, list(arguments), obj=app, catch_exceptions=False)


def days(here: Environment) -> list[tuple[str, date]]:
    return sorted(here.lake.scan("staged/visits").select("id", "day").collect().rows())


@pytest.mark.parametrize("later", [False, True])
def test_a_day_that_is_declared_over_rows_takes_effect(tmp_path, later):
    here = world(tmp_path, declare())
    write(here, "visits", "a.csv", "id,day\na,2024-01-01\nb,2024-01-03\n")
    bring_up_to_date(here)
    here = world(tmp_path, declare(DAY))
    wanted = [("a", date(2024, 1, 1)), ("b", date(2024, 1, 3))]
    if later:
        write(here, "visits", "b.csv", "id,day\nc,2024-01-02\n")
        wanted.append(("c", date(2024, 1, 2)))
    assert run(here, "tables").exit_code == 3
    bring_up_to_date(here)
    assert days(here) == wanted
    assert here.create_planner().find_stale_tables() == []
    assert run(here, "tables").exit_code == 0


def test_a_type_that_is_declared_otherwise_than_stored_is_told_with_what_to_do(tmp_path):
    here = world(tmp_path, declare())
    write(here, "visits", "a.csv", "id,day\n1,2024-01-01\n")
    bring_up_to_date(here)
    here = world(tmp_path, declare(id=pl.Int64()))
    told = run(here, "tables").stdout
    assert "raw/visits: id is stored as String, declared Int64" in told
    assert "Next: `lakehouse retype raw/visits`" in told


@pytest.fixture
def landed(tmp_path: Path) -> Environment:
    """A lake in which three files were landed one by one."""
    here = world(tmp_path, declare(DAY))
    for number, name in enumerate(("a", "b", "c"), start=1):
        write(here, "visits", f"{name}.csv", f"id,day\n{name},2024-01-0{number}\n")
        bring_up_to_date(here)
    return here


def test_a_file_that_should_not_have_come_goes_alone(landed):
    (Path(landed.landing.root) / "visits" / "b.csv").unlink()
    back = run(landed, "restore", "raw/visits", "--before-file", "b.csv", "--yes", "--by", "ann")
    assert back.exit_code == 0, back.output
    bring_up_to_date(landed)
    assert days(landed) == [("a", date(2024, 1, 1)), ("c", date(2024, 1, 3))]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("raw/visits", "--before-file", "a.csv"), "landed by the first commit of raw/visits"),
        (("raw/visits", "--before-file", "x.csv"), "has no rows of a file 'x.csv'"),
        (("staged/visits", "--before-file", "a.csv"), "is made from other tables"),
        (("raw/visits", "--before-file", "a.csv", "--version", "0"), "give one of --version"),
    ],
)
def test_a_restore_by_file_that_cannot_be_says_why_and_what_to_do(landed, arguments, told):
    result = run(landed, "restore", *arguments, "--yes", "--by", "ann")
    assert (result.exit_code, told in result.stderr) == (1, True), result.stderr
    assert "Next: " in result.stderr
