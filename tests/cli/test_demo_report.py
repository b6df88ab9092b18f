"""The report of the demo: every kind of rejected row is shown with where it comes from."""

import re

import polars as pl
from support.worlds import bring_up_to_date, catalog_of, world, write

from lakehouse.cli.demo_report import print_report
from lakehouse.tables import Contract, Field, mart, raw, staged


class Visit(Contract):
    """A visit."""

    id: str
    door: str = Field(isin=["north", "south"])

    class Table:
        key = ("id",)
        max_quarantined = 1.0


class Door(Contract):
    """The visits of a door."""

    door: str
    visits: pl.Int64 = Field(le=1)

    class Table:
        key = ("door",)
        counts = "visits"
        max_quarantined = 1.0


@staged(Visit)
def visits(raw_visits: pl.LazyFrame) -> pl.LazyFrame:
    """Visits."""
    return raw_visits


@mart(Door)
def doors(visits: pl.LazyFrame) -> pl.LazyFrame:
    """Visits by door."""
    return visits.group_by("door").agg(visits=pl.len().cast(pl.Int64))


def test_rejected_rows_are_named_by_their_record_and_aggregates_by_their_values(tmp_path, capsys):
    of_file = raw("visits", "Visits.", columns=("id", "door"))
    here = world(tmp_path, catalog_of(raw_visits=of_file, visits=visits, doors=doors))
    write(here, "visits", "a.csv", "id,door\n1,north\n2,south\n3,south\n4,window\n5\n")
    bring_up_to_date(here)
    before = dict.fromkeys(here.catalog.tables, -1)
    print_report(here, before, [], {}, None, "make ui")
    printed = capsys.readouterr().out
    assert "1 rejected row of marts/doors" in printed
    assert "  visits is above 1\n    door south, visits 2\n" in printed
    assert "record 4: door is no known value\n    id 4, door window\n" in printed
    assert re.search(r"record 5: .* where the header has 2\n    5\n", printed)
