"""A deleted key in the answers of the commands: it is a tombstone, and no row that a reader sees."""

import json
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner
from support.worlds import bring_up_to_date, catalog_of, copy_world, world, write

from lakehouse.cli import commands
from lakehouse.environment import Environment
from lakehouse.tables import Contract, Instant, cast, raw, staged


class Guest(Contract):
    """A guest of the house."""

    id: str
    at: Instant

    class Table:
        key = ("id",)
        sequence = ("at",)
        event_time = "at"


@staged(Guest, mode="upsert", deletes=pl.col("gone") == "1")
def guests(raw_visits: pl.LazyFrame) -> pl.LazyFrame:
    """The last visit of each guest."""
    at = pl.col("day").str.to_datetime("%Y-%m-%d", time_unit="us", time_zone="UTC")
    return cast(raw_visits, at=at)


VISITS = raw("visits", "Visits.", columns=("id", "day", "gone"))
CATALOG = catalog_of(visits=VISITS, guests=guests)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four guests, one of whom was deleted by a second file."""
    here = world(folder := tmp_path_factory.mktemp("guests"), CATALOG)
    days = "".join(f"{n},2024-01-0{n},0\n" for n in range(1, 5))
    for name, text in (("a.csv", days), ("b.csv", "4,2024-01-09,1\n")):
        write(here, "visits", name, f"id,day,gone\n{text}")
        bring_up_to_date(here)
    return folder


@pytest.fixture
def here(template: Path, tmp_path: Path) -> Environment:
    return copy_world(template, tmp_path, CATALOG)


def run(here: Environment, *arguments: str) -> str:
    app = commands.App(lambda: here, lambda: None, None)
    return CliRunner().invoke(commands.cli, list(arguments), obj=app).stdout


def test_a_list_of_tables_and_a_query_count_what_readers_see(here):
    [found] = [
        one
        for one in json.loads(run(here, "tables", "--format", "json"))
        if one["table"] == "staged/guests"
    ]
    query = "SELECT count(*) AS n FROM staged.guests"
    assert (found["rows"], json.loads(run(here, "sql", query, "--format", "json"))) == (
        3,
        [{"n": 3}],
    )


@pytest.mark.parametrize("form", ["table", "csv"])
def test_an_audit_says_that_it_counts_what_was_written(here, form):
    header = run(here, "audit", "staged/guests", "--format", form).splitlines()[0]
    names = header.replace(",", " ").split()
    assert ("rows_written" in names, "rows" in names) == (True, False)


def test_an_audit_as_json_names_its_counts_as_the_table_does(here):
    audits = json.loads(run(here, "audit", "staged/guests", "--format", "json"))
    assert all("rows_written" in one and "rows" not in one for one in audits)


def test_a_restore_counts_the_rows_that_readers_see(here):
    assert "  rows of the table: 3 now, 4 afterwards\n" in run(
        here, "restore", "staged/guests", "--version", "0"
    )


def test_a_drop_counts_the_rows_that_readers_see(here):
    orphaned = Environment(here.lake, here.landing, catalog_of(visits=VISITS))
    assert "This drops 3 rows of staged/guests" in run(orphaned, "drop", "staged/guests")
