"""Samples and a person's own files: told apart by name, domain by domain, and what is said where both are."""

from dataclasses import replace
from pathlib import Path

import pytest
from support.worlds import catalog_of, land_all, world, write

from lakehouse import mixing
from lakehouse.environment import Environment
from lakehouse.errors import SetupError
from lakehouse.tables.table_types import raw

FILE = "id\n1\n"


@pytest.fixture
def here(tmp_path: Path) -> Environment:
    """Two domains with a raw table each."""
    orders = replace(raw("orders", "Orders.", columns=("id",)), domain="shop")
    visits = replace(raw("visits", "Visits.", columns=("id",)), domain="door")
    return world(tmp_path, catalog_of(orders=orders, visits=visits))


def told(here: Environment) -> str:
    return str(mixing.refusal(here, "shop", mixing.held(here)["shop"]))


def test_each_domain_is_looked_at_by_itself(here):
    write(here, "orders", "sample-1.csv", FILE)
    write(here, "visits", "mine.csv", FILE)
    assert mixing.mixed(mixing.held(here)) == []
    write(here, "orders", "sub/mine.csv", FILE)
    assert mixing.mixed(mixing.held(here)) == ["shop"]


def test_files_beside_samples_are_named_and_sent_to_a_place_of_their_own(here):
    write(here, "orders", "sample-1.csv", FILE)
    land_all(here)
    for number in range(7):
        write(here, "orders", f"mine-{number}.csv", f"{FILE}{number}\n")
    assert "no samples: orders/mine-0.csv, " in told(here)
    assert "orders/mine-4.csv, and 2 more\n" in told(here)
    assert "  - samples: orders/sample-1.csv (landed)\n" in told(here)
    assert "Next: take your files out of" in told(here)


def test_samples_beside_files_that_are_landed_are_to_be_taken_away(here):
    write(here, "orders", "mine.csv", FILE)
    land_all(here)
    write(here, "orders", "sample-1.csv", f"{FILE}2\n")
    assert "Next: take the samples out of" in told(here)


def test_a_lake_that_holds_both_stays_as_it_is(here):
    write(here, "orders", "mine.csv", FILE)
    write(here, "orders", "sample-1.csv", f"{FILE}2\n")
    land_all(here)
    assert "stays as it is; begin new ones." in told(here)
    assert "take your files out of data/landing first" in told(here)


def test_samples_are_not_put_beside_other_files(here):
    mixing.refuse_samples(here, "shop")
    write(here, "orders", "mine.csv", FILE)
    with pytest.raises(
        SetupError,
        match=r"files of yours: orders/mine.csv\.\nNext: make a lake of samples elsewhere",
    ):
        mixing.refuse_samples(here, "shop")
    mixing.refuse_samples(here, "door")
