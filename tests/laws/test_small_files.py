"""Commits that are made anyway compact small files, and the rows do not change."""

import json
import os
from pathlib import Path

import polars as pl
import pytest
from deltalake.exceptions import CommitFailedError
from deltalake.transaction import AddAction
from stock import KEYED_TABLES, Event, create_lake, deliver_events, make_tables, read_rows
from support.sizes import first
from support.worlds import NOW, bring_up_to_date, contents, copy_world, with_limits, world
from tills import lines, live_files, only, redo, rows, same_tables, sell, take, till

from lakehouse.errors import LawError
from lakehouse.failpoints import KILL_AT, trail
from lakehouse.ingest.landed_files import read_landed_files
from lakehouse.ingest.row_origins import RowOriginCache
from lakehouse.lineage.staleness import Planner
from lakehouse.observe.overview import list_audits
from lakehouse.publish import auto_compaction
from lakehouse.transform.make import make

RAW = "raw/sales"


def day_by_day(here, days, *, then=bring_up_to_date):
    """Deliver some days, a file each, and bring everything up to date after each."""
    for day in days:
        sell(here, f"d{day:02}", lines(day, 1, 2, -1, first=100 * day))
        take(here)
        then(here)


def sources(here) -> set[str]:
    return set(here.lake.scan(RAW).select("_source").unique().collect().to_series())


def one_by_one(here, numbers):
    """Deliver files of a line, each into a commit of its own."""
    for number in numbers:
        sell(here, f"n{number:03}", lines(1 + number % 28, number, first=number))
        take(here)


@pytest.fixture(scope="module")
def eight_days_template(tmp_path_factory):
    """A till that was brought up to date after each of eight days."""
    folder = tmp_path_factory.mktemp("eight_days")
    day_by_day(world(folder, till()), range(1, 9))
    return folder


@pytest.fixture
def eight_days(eight_days_template, tmp_path):
    """A copy of it."""
    return copy_world(eight_days_template, tmp_path, till())


def test_thousands_of_deliveries_are_few_files(shop):
    one_by_one(shop, range(2 * shop.lake.limits.many_files + 5))
    assert len(live_files(shop, RAW)) <= shop.lake.limits.many_files + 1
    assert len(live_files(shop, "quarantine/deliveries")) <= shop.lake.limits.many_files + 1
    assert [row[0] for row in rows(shop, RAW)] == sorted(
        str(n) for n in range(2 * shop.lake.limits.many_files + 5)
    )


@pytest.mark.full
def test_a_table_of_days_has_few_files_a_month(eight_days):
    shop = eight_days
    assert all(
        len(live_files(shop, table)) <= shop.lake.limits.many_files_in_partition + 1
        for table in ("staged/sales", "marts/shop_days")
    )
    assert {audit.carried > 0 for audit in list_audits(shop, "staged/sales")} == {True, False}


@pytest.mark.full
def test_days_one_by_one_give_what_all_at_once_give(shop, tmp_path):
    day_by_day(shop, [3, 1, 2, 5, 4])
    other = world(tmp_path / "other", till())
    day_by_day(other, [3, 1, 2, 5, 4], then=lambda _: None)
    bring_up_to_date(other)
    same_tables(shop, other)
    assert contents(shop) == contents(other)


def test_what_is_landed_is_known_by_the_rows_wherever_they_stand(shop):
    day_by_day(shop, range(1, 9), then=lambda _: None)
    assert len(live_files(shop, RAW)) < 5
    version, known = shop.lake.version(RAW), read_landed_files(shop.lake, RAW)
    take(shop)
    assert shop.lake.version(RAW) == version
    assert {f"{one.name}#{digest}" for digest, one in known.by_digest.items()} == sources(shop)
    assert len(known.by_digest) == 8


@pytest.mark.full
def test_rows_that_move_make_no_day_stale(shop):
    day_by_day(shop, range(1, 8))
    sell(shop, "late", lines(2, 5, first=900))
    take(shop)
    commit = shop.lake.read_log(RAW)[-1]
    assert (
        len(commit.added),
        len(commit.data_added),
        len(commit.removed),
        len(commit.data_removed),
    ) == (
        2,
        1,
        3,
        0,
    )
    [stale, *_] = Planner(shop.lake, shop.catalog, NOW).find_stale_tables()
    assert (stale.table, [key.day for key in stale.keys]) == ("staged/sales", [2])


def test_an_account_says_how_many_rows_moved(shop):
    day_by_day(shop, range(1, 6), then=lambda _: None)
    told = [(audit.read, audit.written, audit.carried) for audit in list_audits(shop, RAW)]
    assert sorted(told) == [(3, 3, 0)] * 4 + [(3, 3, 9)]


@pytest.mark.full
def test_new_events_are_folded_alone_though_their_files_have_been_gathered(tmp_path):
    here, other = create_lake(tmp_path / "one"), create_lake(tmp_path / "other")
    for number in range(12):
        for one in (here, other):
            deliver_events(
                one,
                f"f{number:02}",
                [
                    Event(f"sku{number % 3}", number, f"n{number}", "1"),
                    Event(f"only {number}", 1, "", ""),
                ],
            )
        if number % 5 == 4:
            make_tables(here)
    make_tables(here)
    make_tables(other)
    assert sorted(audit.read for audit in list_audits(here, "staged/latest")) == [4, 10, 10]
    assert all(read_rows(here, name) == read_rows(other, name) for name in KEYED_TABLES)


@pytest.mark.full
def test_events_in_a_gathered_file_of_another_writer_are_folded_anew(tmp_path):
    here = create_lake(tmp_path)
    for number in range(3):
        deliver_events(here, f"f{number}", [Event("a", number, f"n{number}", "1")])
    make_tables(here)
    here.lake.open("raw/items").optimize.compact()
    for number in range(3, 6):
        deliver_events(here, f"f{number}", [Event("a", number, f"n{number}", "1")])
    make_tables(here)
    assert read_rows(here, "staged/latest") == [("a", 5, "n5", 1)]


def test_an_earlier_writing_of_the_same_bytes_corrects_rows_in_a_gathered_file(shop):
    for number in range(6):
        os.utime(
            sell(shop, f"n{number}", lines(3, number, first=number)), (1_700_000_000, 1_700_000_000)
        )
        take(shop)
    os.utime(sell(shop, "a", lines(3, 1, first=1)), (1_600_000_000, 1_600_000_000))
    take(shop)
    assert {source.partition("#")[0] for source in sources(shop)} == {
        "a.csv",
        "n0.csv",
        *(f"n{n}.csv" for n in range(2, 6)),
    }
    assert len(rows(shop, RAW)) == 6


@pytest.mark.full
@pytest.mark.parametrize("table", [RAW, "staged/sales"])
def test_a_row_that_is_lost_on_the_way_stops_the_commit(shop, monkeypatch, table):
    day_by_day(shop, range(1, 4 if table == RAW else 5))
    sell(shop, "more", lines(5, 1, first=400))
    if table != RAW:
        take(shop)
    standing, there = contents(shop), shop.lake.version(table)
    whole = auto_compaction.scan_files
    monkeypatch.setattr(auto_compaction, "scan_files", lambda *given: whole(*given).slice(1))
    with pytest.raises(LawError, match=f"{table}: .* rows are in .* small files"):
        take(shop) if table == RAW else redo(shop, table, only(5))
    assert shop.lake.version(table) == there
    assert contents(shop) == standing


def test_two_that_gather_the_same_files_keep_every_row_once(shop, monkeypatch):
    day_by_day(shop, range(1, 4), then=lambda _: None)
    sell(shop, "mine", lines(5, 1, first=500))
    waiting = [lambda: (sell(shop, "theirs", lines(6, 1, first=600)), take(shop))]

    def reached(name):
        if name == "commit: before commit" and waiting:
            waiting.pop()()

    monkeypatch.setattr("lakehouse.publish.table_commit.failpoint", reached)
    take(shop)
    assert len(rows(shop, RAW)) == len({row[0] for row in rows(shop, RAW)}) == 11


def test_large_files_are_left_alone(shop):
    shop = with_limits(shop, many_files=1, small_file_bytes=0)
    day_by_day(shop, range(1, 5), then=lambda _: None)
    assert len(live_files(shop, RAW)) == 4


def test_a_column_that_came_later_is_null_in_gathered_rows_that_are_older(shop):
    day_by_day(shop, range(1, 3), then=lambda _: None)
    for day in range(3, 7):
        path = sell(shop, f"d{day}")
        path.write_text(f"id,sold_on,shop,amount,till\n{day},2024-06-0{day},north,1,t{day}\n")
        take(shop)
    found = shop.lake.scan(RAW).select("id", "till").collect()
    assert found.height == 10
    assert set(found["till"]) == {None, "t3", "t4", "t5", "t6"}
    redo(shop, "staged/sales")
    assert (
        make(shop.lake, shop.catalog, "staged/sales", only(1, 6), now=NOW).read
        == pl.Series(found["id"]).len()
    )


def test_a_compaction_that_began_before_and_ends_after_is_refused(shop):
    day_by_day(shop, range(1, 4), then=lambda _: None)
    late = shop.lake.open(RAW)
    day_by_day(shop, [4], then=lambda _: None)
    with pytest.raises(CommitFailedError):
        late.optimize.compact()
    assert len(rows(shop, RAW)) == len(set(rows(shop, RAW))) == 12


@pytest.mark.full
def test_rejected_rows_that_move_make_no_other_day_stale(shop):
    for day in range(1, 12):
        sell(shop, f"d{day:02}", lines(day, 1, -1, 2, 3, first=100 * day))
        take(shop)
        redo(shop, "staged/sales", only(day))
    log = shop.lake.read_log("quarantine/staged_sales")
    gathered_at = next(
        commit.version for commit in log if commit.removed and not commit.data_removed
    )
    sell(shop, "late", lines(gathered_at + 1, 9, first=5000))
    take(shop)
    redo(shop, "staged/sales", only(gathered_at + 1))
    assert [
        stale
        for stale in Planner(shop.lake, shop.catalog, NOW).find_stale_tables()
        if stale.table == "staged/sales"
    ] == []


@pytest.mark.full
@pytest.mark.parametrize("back", first(1, [2, 1, 3]))
def test_a_raw_table_that_went_back_makes_the_days_stale_that_went(eight_days, back):
    shop = eight_days
    shop.lake.open(RAW).restore(shop.lake.version(RAW) - back)
    take(shop)
    [stale, *_] = Planner(shop.lake, shop.catalog, NOW).find_stale_tables()
    assert (stale.table, [key.day for key in stale.keys]) == (
        "staged/sales",
        list(range(9 - back, 9)),
    )


@pytest.mark.full
def test_restores_of_restores_reach_the_days_of_all_that_they_undid(eight_days):
    shop = eight_days
    for version in (5, 3, 7, 0, 7, 2):
        shop.lake.open(RAW).restore(version)
    take(shop)
    bring_up_to_date(shop)
    assert len(rows(shop, "staged/sales")) == 16
    assert Planner(shop.lake, shop.catalog, NOW).find_stale_tables() == []


def put_odd(shop, path: str) -> None:
    """Append a file of one row to the raw table, with a narrower column and an extra one, as other programs may write it."""
    handle = shop.lake.open(RAW)
    target = Path(shop.lake.uri(RAW)) / path
    odd = (
        shop.lake.scan(RAW)
        .head(1)
        .with_columns(pl.col("_offset").cast(pl.Int32), id=pl.lit("odd"), more=pl.lit(1))
    )
    odd.collect().write_parquet(target)
    action = AddAction(path, target.stat().st_size, {}, 0, True, json.dumps({"numRecords": 1}))
    handle.create_write_transaction([action], "append", handle.schema())


def test_a_file_that_others_wrote_otherwise_is_left_where_it_is(shop):
    day_by_day(shop, range(1, 3), then=lambda _: None)
    put_odd(shop, "odd.parquet")
    day_by_day(shop, range(3, 9), then=lambda _: None)
    assert "odd.parquet" in live_files(shop, RAW)
    assert len(live_files(shop, RAW)) < 6


@pytest.mark.full
def test_files_of_many_small_rows_are_not_gathered_for_ever(shop):
    shop = with_limits(shop, rows_at_once=10)
    day_by_day(shop, range(1, 17), then=lambda _: None)
    told = [audit.carried for audit in list_audits(shop, RAW)]
    assert sum(told) < 3 * len(rows(shop, RAW))


def test_small_files_of_long_rows_are_gathered_into_several(shop):
    shop = with_limits(shop, many_files=12)
    one_by_one(shop, range(12))
    folder = Path(shop.lake.uri(RAW))
    size = sum((folder / path).stat().st_size for path in live_files(shop, RAW))
    shop = with_limits(shop, bytes_at_once=int(0.45 * size))  # five of the twelve
    one_by_one(shop, [12])
    assert list_audits(shop, RAW)[-1].carried == 12 == len(rows(shop, RAW)) - 1
    assert len(live_files(shop, RAW)) == 3 + 1


def begun_by_clean_days(shop, monkeypatch) -> int:
    """Counts the files that are begun while four days without a dead letter land."""
    monkeypatch.setenv(KILL_AT, "#0")
    trail.clear()
    day_by_day(shop, range(5, 9), then=lambda _: None)
    return trail.count("files: file begun")


def test_what_is_not_committed_is_not_gathered(shop, tmp_path, monkeypatch):
    clean = world(tmp_path / "clean", till())
    for day in range(1, 1 + shop.lake.limits.many_files):
        for here in (shop, clean):
            sell(
                here,
                f"d{day}",
                lines(day, 1, first=100 * day),
                f"{day},too,short\n" if here is shop or day == 1 else "",
            )
            take(here)
    assert len(live_files(shop, "quarantine/dead_letters")) == shop.lake.limits.many_files
    assert begun_by_clean_days(shop, monkeypatch) == begun_by_clean_days(clean, monkeypatch)


@pytest.mark.full
def test_odd_files_do_not_make_the_others_move_each_time(shop):
    day_by_day(shop, range(1, 3), then=lambda _: None)
    for number in range(shop.lake.limits.many_files):
        put_odd(shop, f"odd-{number}.parquet")
    day_by_day(shop, range(3, 15), then=lambda _: None)
    told = sorted((audit.version, audit.carried) for audit in list_audits(shop, RAW))
    assert sum(carried > 0 for _, carried in told) <= 12 // (shop.lake.limits.many_files - 1)


def test_a_process_forgets_what_files_said_that_were_gathered_since(shop):
    for number in range(9):
        for part in range(3):
            sell(shop, f"n{number}-{part}", lines(1 + number, part, first=10 * number + part))
        take(shop)
    take(shop)
    assert len(rows(shop, RAW)) == 27
    assert shop.lake.handles.companion(RowOriginCache).by_file[RAW].keys() <= live_files(shop, RAW)
