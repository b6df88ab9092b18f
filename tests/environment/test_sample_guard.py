"""Samples and a person's own files are distinguished by name in each domain; a domain that holds both is refused."""

from dataclasses import replace
from pathlib import Path

import pytest
from support.worlds import catalog_of, land_all, world, write

from lakehouse.environment import Environment
from lakehouse.errors import SetupError
from lakehouse.observe.domain_files import list_domain_files
from lakehouse.tables.declare import raw
from resources import sample_files

FILE = "id\n1\n"


@pytest.fixture
def here(tmp_path: Path) -> Environment:
    """Two domains with a raw table each."""
    orders = replace(raw("orders", "Orders.", columns=("id",)), domain="shop")
    visits = replace(raw("visits", "Visits.", columns=("id",)), domain="door")
    return world(tmp_path, catalog_of(orders=orders, visits=visits))


def refusal(here: Environment) -> str:
    return str(sample_files.refusal(here, "shop", list_domain_files(here)["shop"]))


def mixed(here: Environment) -> list[str]:
    return [
        domain for domain, files in list_domain_files(here).items() if sample_files.is_mixed(files)
    ]


def test_each_domain_is_looked_at_by_itself(here):
    write(here, "orders", "sample-1.csv", FILE)
    write(here, "visits", "mine.csv", FILE)
    assert mixed(here) == []
    write(here, "orders", "sub/mine.csv", FILE)
    assert mixed(here) == ["shop"]


def test_files_beside_samples_are_named_and_sent_to_a_place_of_their_own(here):
    write(here, "orders", "sample-1.csv", FILE)
    land_all(here)
    for number in range(7):
        write(here, "orders", f"mine-{number}.csv", f"{FILE}{number}\n")
    assert "your own: orders/mine-0.csv, " in refusal(here)
    assert "orders/mine-4.csv, and 2 more\n" in refusal(here)
    assert "  - samples: orders/sample-1.csv (landed)\n" in refusal(here)
    assert "Next: take your files out of" in refusal(here)


def test_samples_beside_files_that_are_landed_are_to_be_taken_away(here):
    write(here, "orders", "mine.csv", FILE)
    land_all(here)
    write(here, "orders", "sample-1.csv", f"{FILE}2\n")
    assert "Next: take the samples out of" in refusal(here)


def test_a_lake_that_holds_both_stays_as_it_is(here):
    write(here, "orders", "mine.csv", FILE)
    write(here, "orders", "sample-1.csv", f"{FILE}2\n")
    land_all(here)
    assert f"leave the lake {here.lake.root} as it is, and start new ones." in refusal(here)
    assert "take your files out of data/landing, then run" in refusal(here)


def test_samples_are_not_put_beside_other_files(here):
    sample_files.refuse_samples(here, "shop")
    write(here, "orders", "mine.csv", FILE)
    with pytest.raises(
        SetupError,
        match=r"your own files: orders/mine.csv\.\nNext: make a lake of samples elsewhere",
    ):
        sample_files.refuse_samples(here, "shop")
    sample_files.refuse_samples(here, "door")


def test_samples_are_not_added_where_both_kinds_are_and_the_remedy_is_that_of_the_demo(here):
    write(here, "orders", "sample-1.csv", FILE)
    write(here, "orders", "mine.csv", FILE)
    with pytest.raises(SetupError) as error:
        sample_files.refuse_samples(here, "shop")
    assert str(error.value) == refusal(here)
