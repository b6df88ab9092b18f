"""Tables with keys: any order and batching of events ends with the rows that all events at once give.

The independent computation is a few lines of plain Python, which apply the events of one key in order.
"""

from datetime import date, timedelta
from itertools import groupby
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from disturbing import disturb
from hypothesis import strategies as st
from stock import KEYED_TABLES, Event, create_lake, deliver_events, make_tables, read_rows
from support.sizes import examples
from support.worlds import NOW, with_limits

from lakehouse.environment import Environment
from lakehouse.ingest.land import land
from lakehouse.lineage.commit_history import read_audit
from lakehouse.transform.limits import MakeLimits

events = st.builds(
    Event,
    sku=st.sampled_from(["a", "b", "c"]),
    at=st.integers(0, 6),
    name=st.sampled_from(["", "x", "y"]),
    price=st.sampled_from(["", "1", "2"]),
    op=st.sampled_from(["u", "u", "u", "d"]),
)
deliveries = st.lists(st.lists(events, min_size=1, max_size=5), min_size=1, max_size=5).map(
    lambda files: [[*events, Event(f"only in {n}", n, "", "")] for n, events in enumerate(files)]
)
"""Files of events; no two hold the same bytes, which would land once."""

Delivered = list[list[Event]]


def walked(
    delivered: Delivered, *, partial: bool
) -> dict[str, list[tuple[int, dict[str, str] | None]]]:
    """Returns the state of each article after each moment, None after a delete; by time, then delivery."""
    known: dict[str, list[tuple[int, dict[str, str] | None]]] = {}
    ordered = sorted(
        (event for file in delivered for event in file), key=lambda event: (event.sku, event.at)
    )
    for sku, own in groupby(ordered, key=lambda event: event.sku):
        state: dict[str, str] | None = None
        for at, equals in groupby(own, key=lambda event: event.at):
            for event in equals:
                said = {"name": event.name, "price": event.price}
                before = (state or {}) if partial else {}
                filled = {what: value or before.get(what, "") for what, value in said.items()}
                state = None if event.op == "d" else filled
            known.setdefault(sku, []).append((at, state))
    return known


def value(text: str) -> int | None:
    return int(text) if text else None


def day(number: int) -> date:
    return date(2024, 1, 1) + timedelta(days=number)


def latest(delivered: Delivered, *, partial: bool) -> list[tuple[object, ...]]:
    """The expected articles."""
    last = {sku: states[-1] for sku, states in walked(delivered, partial=partial).items()}
    return [
        (sku, at, state["name"] or None, value(state["price"]))
        for sku, (at, state) in sorted(last.items())
        if state
    ]


def versions(delivered: Delivered, *, partial: bool) -> list[tuple[object, ...]]:
    """Their expected versions."""
    found: list[tuple[object, ...]] = []
    for sku, states in walked(delivered, partial=partial).items():
        changes = [
            states[n] for n in range(len(states)) if n == 0 or states[n][1] != states[n - 1][1]
        ]
        for (at, state), following in zip(changes, [*changes[1:], None], strict=True):
            since, until = (
                None if n is None else date(2024, 1, 1) + timedelta(days=n[0])
                for n in ((at, 0), following)
            )
            if state:
                found.append(
                    (
                        sku,
                        since,
                        state["name"] or None,
                        value(state["price"]),
                        since,
                        until,
                        until is None,
                    )
                )
    return sorted(found, key=str)


def dated(rows: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
    """Articles whose moment is a day."""
    return [(sku, day(int(str(at))), *values) for sku, at, *values in rows]


def expected(delivered: Delivered) -> dict[str, list[tuple[object, ...]]]:
    """The expected rows of each table."""
    return {
        "staged/latest": latest(delivered, partial=False),
        "staged/merged": latest(delivered, partial=True),
        "staged/forgetful": latest(delivered, partial=False),
        "staged/merged_forgetful": dated(latest(delivered, partial=True)),
        "staged/versions": versions(delivered, partial=False),
        "staged/merged_versions": versions(delivered, partial=True),
    }


def deliver(here: Environment, delivered: Delivered, number: int) -> None:
    """Lands one delivery; each is an hour younger than the one before."""
    deliver_events(
        here, f"{number:03}", delivered[number], at=NOW.timestamp() - 3600 * (100 - number)
    )


def found(here: Environment) -> dict[str, list[tuple[object, ...]]]:
    return {name: read_rows(here, name) for name in KEYED_TABLES}


@examples(2, 12, delivered=deliveries, data=st.data())
def test_any_order_and_any_cut_ends_in_what_all_events_give(
    delivered: Delivered, data: st.DataObject
):
    order = data.draw(st.permutations(range(len(delivered))))
    keyed_rows = data.draw(st.sampled_from([2, 65_536]))
    small_file_rows = data.draw(st.sampled_from([1, 4, 1_000_000]))
    limits = MakeLimits(keyed_rows=keyed_rows)
    with TemporaryDirectory() as folder:
        here = with_limits(create_lake(Path(folder)), small_file_rows=small_file_rows)
        for number in order:
            deliver(here, delivered, number)
            if data.draw(st.booleans()):
                make_tables(here, limits=limits)
        make_tables(here, limits=limits)
        assert found(here) == expected(delivered)


@pytest.mark.full
@examples(2, 4, delivered=deliveries)
def test_a_rebuild_from_all_events_gives_what_the_increments_gave(delivered: Delivered):
    with TemporaryDirectory() as folder:
        here = create_lake(Path(folder))
        for number in range(len(delivered)):
            deliver(here, delivered, number)
            make_tables(here)
        by_increments = found(here)
        make_tables(here)  # without new events, which rebuilds the table from all
        assert found(here) == by_increments
        assert {read_audit(here.lake.read_log(name)[-1]).mode for name in KEYED_TABLES} == {
            "replace"
        }


@pytest.mark.full
@examples(2, 4, delivered=deliveries, data=st.data())
def test_a_restored_table_catches_up(delivered: Delivered, data: st.DataObject):
    with TemporaryDirectory() as folder:
        here = create_lake(Path(folder))
        for number in range(len(delivered)):
            deliver(here, delivered, number)
            make_tables(here)
        for name in ("raw/items", *KEYED_TABLES):
            handle = here.lake.open(name)
            if (back_to := data.draw(st.integers(0, handle.version()))) < handle.version():
                handle.restore(back_to)
        land(here.lake, here.landing, here.catalog["raw/items"], now=NOW)
        make_tables(here, *(part.table for part in here.create_planner().find_stale_tables()))
        assert found(here) == expected(delivered)


@pytest.mark.full
@examples(2, 8, delivered=deliveries, random=st.randoms(use_true_random=False))
def test_restores_and_compactions_between_deliveries_change_nothing(
    delivered: Delivered, random: Random
):
    order = [*range(len(delivered))]
    random.shuffle(order)
    with TemporaryDirectory() as folder:
        here = create_lake(Path(folder))
        for number in order:
            deliver(here, delivered, number)
            if random.random() < 0.7:
                catch_up(here)
                disturb(here, random)
        catch_up(here)
        assert found(here) == expected(delivered)
        assert here.create_planner().find_stale_tables() == []


def catch_up(here: Environment) -> None:
    """Lands the files that are not in raw yet, and makes what is stale."""
    land(here.lake, here.landing, here.catalog["raw/items"], now=NOW)
    while names := [part.table for part in here.create_planner().find_stale_tables()]:
        make_tables(here, *names)
