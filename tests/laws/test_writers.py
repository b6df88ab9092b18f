"""Two writers at a time: both succeed, and neither undoes the work of the other."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
import tills
from deltalake.transaction import create_table_with_add_actions
from support import children
from support.sizes import full
from support.worlds import bring_up_to_date, contents, world
from tills import june, lines, live_files, only, redo, rows, sell, take, till, typed, with_sales

from lakehouse.observe.overview import list_audits


@pytest.fixture
def open_shop(shop):
    """A till with three days landed, a reject and a record that cannot be parsed among them."""
    sell(shop, "a", lines(3, 1, 2), lines(4, 3, -1, first=3), "9,too,short\n", lines(5, 5, first=5))
    take(shop)
    return shop


@pytest.fixture
def meet(monkeypatch):
    """Makes the first two threads that pass a failpoint wait for each other."""

    def at(module, point):
        barrier, places = Barrier(2), iter((1, 2))

        def reached(name):
            if name == point and next(places, None):
                barrier.wait(60)

        monkeypatch.setattr(f"lakehouse.{module}.failpoint", reached)

    return at


@pytest.fixture
def between(monkeypatch):
    """Does something else once, when a failpoint is passed."""

    def at(module, point, act):
        waiting = [act]

        def reached(name):
            if name == point and waiting:
                waiting.pop()()

        monkeypatch.setattr(f"lakehouse.{module}.failpoint", reached)

    return at


def together(*acts):
    """Returns the results of calls that run at the same time."""
    with ThreadPoolExecutor(len(acts)) as pool:
        return [future.result() for future in [pool.submit(act) for act in acts]]


def alone(here, folder):
    """What one writer makes of the same files."""
    other = world(folder, till())
    for file in (Path(here.landing.root) / "sales").iterdir():
        sell(other, file.stem, file.read_text().partition("\n")[2])
    bring_up_to_date(other)
    return contents(other)


def raw_rows(here):
    return here.lake.scan("raw/sales").select("_source", "_offset").collect()


@pytest.mark.full
def test_two_processes_make_days_of_one_month(open_shop, tmp_path):
    redo(open_shop, "staged/sales", only(3))
    started = [
        children.start(tills.main, str(tmp_path), json.dumps([["staged/sales", day]]))
        for day in (4, 5)
    ]
    assert [children.code_of(process) for process in started] == [0, 0]
    assert [row[0] for row in rows(open_shop, "staged/sales")] == [1, 2, 3, 5]
    assert open_shop.lake.version("staged/sales") == 2


@pytest.mark.parametrize("first", [False, True])
def test_days_of_one_month_made_at_the_same_time_are_both_made(open_shop, meet, first):
    if not first:
        redo(open_shop, "staged/sales", only(3))
    meet("publish.publish", "publish: files written")
    together(
        lambda: redo(open_shop, "staged/sales", only(4)),
        lambda: redo(open_shop, "staged/sales", only(5)),
    )
    assert [row[0] for row in rows(open_shop, "staged/sales")][-2:] == [3, 5]
    assert len(rows(open_shop, "quarantine/staged_sales")) == 1


def test_the_same_day_made_at_the_same_time_is_made_once(open_shop, meet, tmp_path):
    redo(open_shop, "staged/sales")
    meet("publish.publish", "publish: files written")
    together(*[lambda: redo(open_shop, "staged/sales", only(3, 4))] * 2)
    bring_up_to_date(open_shop)
    assert contents(open_shop) == alone(open_shop, tmp_path / "alone")
    assert len(rows(open_shop, "quarantine/staged_sales")) == 1


def test_months_made_at_the_same_time_each_name_their_own_version(shop, meet):
    sell(shop, "a", lines(3, 1), lines(3, 2, first=2).replace("2024-06", "2024-07"))
    take(shop)
    redo(shop, "staged/sales")
    july = type(only(3))(june(3).replace(month=7), june(3).replace(month=7))
    meet("publish.publish", "publish: files written")
    made = together(
        lambda: redo(shop, "staged/sales", only(3)), lambda: redo(shop, "staged/sales", july)
    )
    stored = {audit.version: audit.days for audit in list_audits(shop, "staged/sales")}
    assert {audit.version: audit.days for audit in made}.items() <= stored.items()


@pytest.mark.parametrize("first", [True, False])
def test_two_landings_at_the_same_time_land_every_file_once(shop, meet, first):
    if not first:
        sell(shop, "0", lines(2, 1, first=100))
        take(shop)
    for name, day in (("a", 3), ("b", 4)):
        sell(shop, name, lines(day, 1, 2, first=day * 10), f"9,{name},short\n")
    meet("ingest.land", "land: files read")
    together(lambda: take(shop), lambda: take(shop))
    origins = raw_rows(shop)
    assert (origins.height, origins.is_duplicated().any()) == (4 if first else 5, False)
    assert len(rows(shop, "quarantine/dead_letters")) == 2


@pytest.mark.parametrize("_attempt", range(3))
def test_a_table_that_two_writers_make_first_is_made_once(shop, monkeypatch, _attempt):
    barrier, places = Barrier(2), iter((1, 2))

    def at_once(*given, **named):
        if next(places, None):
            barrier.wait(60)
        return create_table_with_add_actions(*given, **named)

    monkeypatch.setattr("lakehouse.publish.commit.create_table_with_add_actions", at_once)
    sell(shop, "a", lines(3, 1, 2))
    together(lambda: take(shop), lambda: take(shop))
    assert (raw_rows(shop).height, shop.lake.version("raw/sales")) == (2, 0)


def test_a_landing_in_the_middle_of_another_doubles_no_dead_letter(shop, between):
    sell(shop, "a", lines(3, 1, 2), "9,too,short\n")
    between("ingest.land", "land: files read", lambda: take(shop))
    take(shop)
    assert (raw_rows(shop).height, len(rows(shop, "quarantine/dead_letters"))) == (2, 1)


@pytest.mark.parametrize("point", ["land: files read", "land: published"])
def test_a_file_that_two_landings_read_is_registered_once(shop, between, point):
    sell(shop, "a", lines(3, 1, 2), "9,too,short\n")
    between("ingest.land", point, lambda: take(shop))
    take(shop)
    assert shop.lake.scan("quarantine/deliveries").collect()["outcome"].to_list() == ["landed"]


def test_a_landing_in_the_middle_of_another_keeps_the_files_of_both(shop, between):
    def another():
        sell(shop, "b", lines(4, 3, first=3))
        take(shop)

    sell(shop, "a", lines(3, 1, 2))
    between("publish.publish", "publish: files written", another)
    take(shop)
    take(shop)
    assert [row[0] for row in rows(shop, "raw/sales")] == ["1", "2", "3"]


@pytest.mark.parametrize(
    "point", ["publish: before files", "publish: files written", "publish: quarantine committed"]
)
def test_a_slow_writer_never_undoes_newer_rows(open_shop, between, point):
    def newer():
        sell(open_shop, "b", lines(4, 7, -3, first=20))
        take(open_shop)
        redo(open_shop, "staged/sales", only(4))

    redo(open_shop, "staged/sales", only(3))
    between("publish.publish", point, newer)
    redo(open_shop, "staged/sales", only(4))
    assert {row[0] for row in rows(open_shop, "staged/sales")} == {1, 2, 3, 20}
    assert len(rows(open_shop, "quarantine/staged_sales")) == 2


STAGED, REJECTED = "staged/sales", "quarantine/staged_sales"


@pytest.mark.parametrize(
    ("point", "table"),
    [
        ("publish: files written", STAGED),
        ("publish: files written", REJECTED),
        full("publish: before files", STAGED),
        full("publish: before files", REJECTED),
        full("publish: quarantine committed", STAGED),
        full("publish: quarantine committed", REJECTED),
    ],
)
def test_a_compaction_in_the_middle_of_a_replacement_doubles_nothing(
    open_shop, between, point, table, tmp_path
):
    sell(open_shop, "b", lines(4, -7, 7, 8, first=30), lines(5, -7, 7, 7, first=40))
    take(open_shop)
    for day in (3, 4, 5):
        redo(open_shop, "staged/sales", only(day))
    compacted = []
    between(
        "publish.publish",
        point,
        lambda: compacted.append(open_shop.lake.open(table).optimize.compact()),
    )
    redo(open_shop, "staged/sales", only(4))
    assert compacted[0]["numFilesRemoved"] > 1
    assert contents(open_shop) == {
        "staged/sales": alone(open_shop, tmp_path / "alone")["staged/sales"]
    }
    assert [row[0] for row in rows(open_shop, "quarantine/staged_sales")] == ["30", "4", "40"]


def test_a_compaction_in_the_middle_of_a_corrected_landing_doubles_nothing(shop, between):
    for name, day in (("b", 3), ("c", 4)):
        os.utime(sell(shop, name, lines(day, 1, 2, first=day * 10)), (1_700_000_000, 1_700_000_000))
        take(shop)
    os.utime(sell(shop, "a", lines(3, 1, 2, first=30)), (1_600_000_000, 1_600_000_000))
    between(
        "publish.publish", "publish: files written", shop.lake.open("raw/sales").optimize.compact
    )
    take(shop)
    assert [row[0] for row in rows(shop, "raw/sales")] == ["30", "31", "40", "41"]
    assert set(shop.lake.scan("raw/sales").collect()["_source"].str.split("#").list.first()) == {
        "a.csv",
        "c.csv",
    }


def test_a_slow_writer_that_dies_leaves_the_newer_quarantine(tmp_path, monkeypatch):
    waiting = []

    def slow(raw_sales):
        if waiting:
            waiting.pop()()
        return typed(raw_sales)

    def newer():
        sell(here, "b", lines(4, 7, -3, first=20))
        take(here)
        redo(here, "staged/sales", only(4))
        monkeypatch.setattr("lakehouse.publish.publish.failpoint", die)

    def die(name):
        if name == "publish: quarantine committed":
            raise KeyboardInterrupt

    here = world(tmp_path, with_sales(slow))
    sell(here, "a", lines(4, 3, -1, first=3))
    take(here)
    redo(here, "staged/sales")
    waiting.append(newer)
    with pytest.raises(KeyboardInterrupt):
        redo(here, "staged/sales", only(4))
    assert sorted(row[0] for row in rows(here, "quarantine/staged_sales")) == ["21", "4"]


def test_rows_that_land_while_a_day_is_made_are_made_next(open_shop, between, tmp_path):
    def newer():
        sell(open_shop, "b", lines(4, 7, first=20))
        take(open_shop)

    between("publish.publish", "publish: before files", newer)
    redo(open_shop, "staged/sales")
    bring_up_to_date(open_shop)
    assert contents(open_shop) == alone(open_shop, tmp_path / "alone")


def test_a_writer_that_came_second_leaves_no_file_behind(open_shop, meet):
    redo(open_shop, "staged/sales", only(3))
    meet("publish.publish", "publish: files written")
    together(
        lambda: redo(open_shop, "staged/sales", only(4)),
        lambda: redo(open_shop, "staged/sales", only(5)),
    )
    from_log = {
        action["path"]
        for commit in open_shop.lake.read_log("staged/sales")
        for action in commit.added
    }
    assert (
        tills.files_of(open_shop, "staged/sales")
        == from_log
        >= live_files(open_shop, "staged/sales")
    )
