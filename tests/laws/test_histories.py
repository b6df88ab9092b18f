"""Readers of tables with keys by date: they join what was valid then, and no more days are rebuilt than necessary."""

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from datetime import date
from pathlib import Path
from random import Random
from shutil import rmtree
from unittest.mock import patch

import pytest
from disturbing import disturb
from price_lists import (
    HOURS,
    READERS,
    SKUS,
    Deliveries,
    deliver_something,
    make_some,
    prices,
    read_marts,
)
from support.sizes import first, full
from support.worlds import NOW, bring_up_to_date, copy_world, land_all, world

from lakehouse.environment import Environment
from lakehouse.lineage.commit_history import read_audit
from lakehouse.observe.overview import list_audits
from lakehouse.tables.catalog import Catalog
from lakehouse.tables.contract import Instant
from lakehouse.transform.keyed import make_keyed
from lakehouse.transform.make import make

ALL_SALES = tuple((sku, hour) for sku in SKUS for hour in HOURS)


def list_made_days(here: Environment, name: str, since: int) -> list[date]:
    """The days that commits of a table made after a version, in order; a day that was made twice is listed twice."""
    made = [
        audit.materialized for audit in list_audits(here, f"marts/{name}") if audit.version > since
    ]
    return sorted(day for spans in made for span in spans for day in span)


def remake(here: Environment, *tables: str) -> None:
    for table in tables:
        make(here.lake, here.catalog, table, now=NOW)


@pytest.mark.full
@pytest.mark.parametrize(
    ("moment", "seed", "times"),
    [(Instant, 1, 2), full(date, 1, 2), *(full(m, s, 4) for m in (date, Instant) for s in (1, 2))],
)
def test_a_changed_past_rebuilds_its_days(tmp_path: Path, moment: object, seed: int, times: int):
    random, here, delivered = (
        Random(seed),
        world(tmp_path, prices(moment)),
        Deliveries(is_by_date=moment is date),
    )
    delivered.sell(here, *ALL_SALES)
    for _ in range(times):
        delivered.price(
            here,
            *(
                (random.choice(SKUS), random.choice(HOURS), random.choice("123"), "u")
                for _ in range(3)
            ),
        )
        bring_up_to_date(here)
    by_increments = read_marts(here)
    remake(here, "staged/prices", "staged/latest", *(f"marts/{name}" for name in READERS))
    assert read_marts(here) == by_increments == delivered.expected()
    assert any(price for *_, price in by_increments["valued"])


@pytest.mark.parametrize(
    ("moment", "seed", "times"),
    [(date, 0, 3), full(Instant, 0, 3), *(full(m, s, 5) for m in (date, Instant) for s in (0, 1))],
)
def test_exactly_the_days_that_hold_a_changed_key_while_it_is_changed_are_rebuilt(
    tmp_path, moment, seed, times
):
    random, delivered = Random(seed), Deliveries(is_by_date=moment is date)
    here = world(tmp_path, prices(moment, readers=("valued",)))
    delivered.sell(here, *random.sample(ALL_SALES, 12))
    delivered.price(here, ("a", HOURS[0], "1", "u"))
    bring_up_to_date(here)
    for _ in range(times):
        before, version = deepcopy(delivered), here.lake.version("marts/valued")
        sku = random.choice([*SKUS, "never sold"])
        delivered.price(
            here,
            *(
                (sku, random.choice(HOURS), random.choice("123"), random.choice("uuud"))
                for _ in range(2)
            ),
        )
        bring_up_to_date(here)
        assert list_made_days(here, "valued", version) == sorted(delivered.changed_since(before))
    assert read_marts(here)["valued"] == delivered.expected()["valued"]


@pytest.mark.parametrize(("seed", "steps"), [(0, 2), (1, 2), *(full(seed, 7) for seed in (0, 1))])
def test_any_order_of_deliveries_makes_restores_and_compactions_ends_in_the_expected_rows(
    tmp_path, seed, steps
):
    random, moment = Random(seed), date if seed % 2 else Instant
    here, delivered = (
        world(tmp_path, prices(moment, partial=seed % 3 == 0)),
        Deliveries(moment is date, seed % 3 == 0),
    )
    for _ in range(steps):
        deliver_something(here, delivered, random)
        share = random.choice([0.0, 0.6, 1.0])
        make_some(here, random, share)
        assert share < 1 or read_marts(here) == delivered.expected()
        if random.random() < 0.3 and here.lake.tables():
            disturb(here, random)
    make_some(here, random)
    assert read_marts(here) == delivered.expected()
    assert here.create_planner().find_stale_tables() == []


@pytest.fixture(scope="module")
def thrice(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Deliveries]:
    """A world after three deliveries of any kind, with sales and prices in each."""
    folder = tmp_path_factory.mktemp("thrice")
    random, here, delivered = Random("thrice"), world(folder, prices()), Deliveries()
    for _ in range(3):
        deliver_something(here, delivered, random)
        delivered.sell(here, (random.choice(SKUS), random.choice(HOURS)))
        delivered.price(here, (random.choice(SKUS), random.choice(HOURS), "4", "u"))
        bring_up_to_date(here)
    return folder, delivered


@pytest.mark.parametrize(
    "table", first(1, ["raw/prices", "staged/prices", "staged/sales", "marts/valued"])
)
def test_a_restored_table_ends_in_the_expected_rows(thrice, tmp_path, table):
    template, delivered = thrice
    here = copy_world(template, tmp_path, prices())
    handle = here.lake.open(table)
    handle.restore(handle.version() - 2)
    bring_up_to_date(here)
    assert read_marts(here) == delivered.expected()


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Deliveries]:
    """Article a is sold on days 1, 5 and 9, article b on days 2 to 8; both have a price."""
    folder = tmp_path_factory.mktemp("opened")
    here, delivered = world(folder, prices()), Deliveries()
    delivered.sell(
        here, *(("a", HOURS[2 * n]) for n in (0, 4, 8)), *(("b", HOURS[2 * n]) for n in range(1, 8))
    )
    delivered.price(here, ("a", HOURS[0], "1", "u"), ("b", HOURS[0], "1", "u"))
    bring_up_to_date(here)
    return folder, delivered


@pytest.fixture
def shop(opened: tuple[Path, Deliveries], tmp_path: Path) -> tuple[Environment, Deliveries]:
    """A copy of it."""
    template, delivered = opened
    return copy_world(template, tmp_path, prices()), deepcopy(delivered)


def stale(here: Environment, name: str = "valued") -> list[int]:
    """The days of June that are stale."""
    part = here.create_planner().find_stale_part(here.catalog[f"marts/{name}"])
    return [] if part is None else [key.day for key in part.keys]


def merge_prices(
    here: Environment, delivered: Deliveries, *events: tuple[str, str, str, str]
) -> None:
    """Delivers events and merges them."""
    delivered.price(here, *events)
    land_all(here)
    remake(here, "staged/prices", "staged/latest")


LATE = ("a", HOURS[6], "2", "u")
"""An event of article a on day 4, which only days 5 and 9 see."""


@pytest.mark.parametrize(
    ("name", "days"),
    [
        ("valued", [5, 9]),
        ("queried", [5, 9]),
        ("three_days", [5, 6, 7, 9]),
        ("months", [1]),
        ("in_spans", [4, 5, 6, 7, 8, 9]),
        ("latest_valued", [1, 5, 9]),
    ],
)
def test_a_late_event_affects_the_days_that_see_its_key(shop, name, days):
    here, delivered = shop
    merge_prices(here, delivered, LATE)
    assert stale(here, name) == days


@pytest.mark.parametrize(
    ("events", "days"),
    [
        ([("a", HOURS[6], "1", "u")], []),
        ([("c", HOURS[0], "1", "u")], []),
        ([("c", HOURS[0], "1", "d")], []),
        ([("a", HOURS[6], "", "d")], [5, 9]),
        ([("a", HOURS[6], "2", "u"), ("a", HOURS[10], "1", "u")], [5]),
        ([("a", HOURS[20], "2", "u")], []),
        ([("b", HOURS[12], "2", "u"), ("a", HOURS[16], "2", "u")], [7, 8, 9]),
    ],
    ids=[
        "repeated",
        "new",
        "never there",
        "deleted",
        "for a while",
        "after all sales",
        "of two keys",
    ],
)
def test_an_event_affects_only_days_on_which_it_changes_what_a_sale_sees(shop, events, days):
    here, delivered = shop
    merge_prices(here, delivered, *events)
    assert stale(here) == days


@pytest.mark.full
@pytest.mark.parametrize("zone", first(1, ["Pacific/Auckland", "America/New_York"]))
def test_a_calendar_of_another_zone_sees_a_change_on_its_own_days(tmp_path, zone):
    delivered, here = (
        Deliveries(is_by_date=False),
        world(tmp_path, prices(Instant, readers=("valued", "in_spans"), zone=zone)),
    )
    delivered.sell(here, *(("a", f"2024-06-05 {hour:02}:00") for hour in (2, 12, 22)))
    delivered.price(here, ("a", "2024-06-03 06:00", "1", "u"), ("a", "2024-06-05 23:00", "1", "u"))
    bring_up_to_date(here)
    delivered.price(here, ("a", "2024-06-05 01:00", "2", "u"))
    bring_up_to_date(here)
    for name in ("valued", "in_spans"):
        assert here.lake.scan(f"marts/{name}").collect()["price"].to_list() == [2, 2, 2]


def test_no_commit_names_a_key(shop):
    here, delivered = shop
    merge_prices(here, delivered, ("secret", HOURS[0], "2", "u"), LATE)
    audit = read_audit(here.lake.read_log("staged/prices")[-1])
    assert set(audit.affected) == {
        f"marts/{name}" for name in ("valued", "three_days", "months", "queried")
    }
    assert "secret" not in json.dumps(audit.to_metadata())


def make_stale(here: Environment, *tables: str) -> None:
    """Makes the stale parts of some tables."""
    for table in tables:
        part = here.create_planner().find_stale_part(here.catalog[table])
        for days in part.spans if part else ():
            make(here.lake, here.catalog, table, days, now=NOW)


def restore_sales(here: Environment, version: int) -> None:
    here.lake.open("staged/sales").restore(version)


def merge_while(here: Environment, meanwhile: Callable[[], None]) -> None:
    """Merges prices; just before the commit something else happens, so the reader is made from the old prices."""

    def publish_late(*args: object, **named: object) -> object:
        meanwhile()
        make_stale(here, "marts/valued")
        return publish(*args, **named)

    land_all(here)
    publish = make_keyed.publish
    with patch("lakehouse.transform.keyed.make_keyed.publish", publish_late):
        remake(here, "staged/prices")


@pytest.mark.full
def test_rows_that_arrive_while_a_change_is_merged_see_it(shop):
    here, delivered = shop
    delivered.sell(here, ("a", HOURS[12]), ("a", HOURS[4]))
    delivered.price(here, LATE)
    merge_while(here, lambda: make_stale(here, "staged/sales"))
    assert stale(here) == [5, 7, 9]
    bring_up_to_date(here)
    assert read_marts(here) == delivered.expected()


@pytest.mark.full
def test_rows_that_return_while_a_change_is_merged_see_it(shop):
    here, delivered = shop
    without = here.lake.version("staged/sales")
    delivered.sell(here, ("a", HOURS[12]))
    bring_up_to_date(here)
    held = here.lake.version("staged/sales")
    restore_sales(here, without)
    make_stale(here, "marts/valued")
    delivered.price(here, LATE)
    merge_while(here, lambda: restore_sales(here, held))
    assert stale(here) == [5, 7, 9]
    bring_up_to_date(here)
    assert read_marts(here) == delivered.expected()


def test_rows_that_arrive_while_logs_are_cleaned_may_see_every_day_of_the_change(shop):
    here, delivered = shop
    delivered.sell(here, ("a", HOURS[12]))
    delivered.price(here, LATE)
    merge_while(here, lambda: make_stale(here, "staged/sales"))
    handle = here.lake.open("staged/sales")
    handle.create_checkpoint()
    for entry in sorted((Path(here.lake.uri("staged/sales")) / "_delta_log").glob("*.json"))[
        : handle.version()
    ]:
        entry.unlink()
    assert {4, 5, 6, 7, 8, 9} <= set(stale(here))


def test_rows_that_arrive_after_a_change_rebuild_their_own_days_and_no_others(shop):
    here, delivered = shop
    delivered.sell(here, ("a", HOURS[4]))
    merge_prices(here, delivered, LATE)
    make_stale(here, "staged/sales")
    # The row without a moment makes day 1 again: it is unchanged, and its reader stays as it is.
    assert stale(here) == [3, 5, 9]
    make_stale(here, "marts/valued")
    assert stale(here) == []


@pytest.mark.full
def test_a_first_input_that_does_not_exist_yet_is_seen_once_it_does(tmp_path):
    here, delivered = world(tmp_path, prices()), Deliveries()
    merge_prices(here, delivered, ("a", HOURS[0], "1", "u"))
    merge_prices(here, delivered, LATE)
    assert stale(here) == []
    delivered.sell(here, ("a", HOURS[0]), ("a", HOURS[8]))
    bring_up_to_date(here)
    assert read_marts(here) == delivered.expected()


@pytest.mark.full
def test_a_first_input_that_was_built_again_is_not_the_one_that_was_looked_at(shop):
    here, delivered = shop
    delivered.price(here, LATE)

    def build_again() -> None:
        rmtree(here.lake.uri("staged/sales"))
        remake(here, "staged/sales")

    merge_while(here, build_again)
    assert stale(here) == [4, 5, 6, 7, 8, 9]
    bring_up_to_date(here)
    assert read_marts(here) == delivered.expected()


def without_notes(here: Environment) -> None:
    """The audits of merged prices without the days that they affect."""
    for entry in (Path(here.lake.uri("staged/prices")) / "_delta_log").glob("*.json"):
        actions = [json.loads(line) for line in entry.read_text().splitlines()]
        for action in actions:
            if "commitInfo" in action:
                del action["commitInfo"]["audit"]["affected"]
        entry.write_text("".join(f"{json.dumps(action)}\n" for action in actions))


def test_without_noted_days_the_whole_time_is_rebuilt(shop):
    here, delivered = shop
    merge_prices(here, delivered, LATE)
    without_notes(here)
    assert stale(here) == [4, 5, 6, 7, 8, 9]


@pytest.mark.full
def test_a_rolled_back_history_affects_the_days_of_what_it_undoes(shop):
    here, delivered = shop
    merge_prices(here, delivered, LATE)
    merge_prices(here, delivered, ("b", HOURS[10], "2", "u"), ("b", HOURS[12], "1", "u"))
    bring_up_to_date(here)
    handle = here.lake.open("staged/prices")
    handle.restore(handle.version() - 2)
    assert stale(here) == [5, 6, 9]


def test_a_transform_sees_no_other_keys_than_those_that_it_is_given(shop):
    here, delivered = shop
    merge_prices(here, delivered, ("never sold", HOURS[0], "7", "u"))
    seen = {}

    def watched(sales, prices):
        seen["keys"] = set(prices.select("sku").collect().to_series())
        return valued(sales, prices)

    valued = here.catalog["marts/valued"].transform
    watching = replace(here.catalog["marts/valued"], transform=watched)
    make(
        here.lake, Catalog({**here.catalog.tables, watching.name: watching}), watching.name, now=NOW
    )
    assert seen["keys"] == {"a", "b"}
