"""Law 3: any order, batching and repetition of the same deliveries ends with the same content."""

import os
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random

import polars as pl
import pytest
from support.sizes import first, full
from support.worlds import bring_up_to_date, contents, copy_world, deliver, in_state, world
from tills import june, lines, rows, same_tables, sell, till

from lakehouse.calendar import Days
from lakehouse.ingest.delivery_register import DELIVERIES
from lakehouse.observe.overview import list_audits
from samples.files import gzipped


def copied(file, folder, name, later):
    """The same bytes under another name, written later."""
    folder.mkdir(exist_ok=True)
    copy = folder / name
    copy.write_bytes(file.read_bytes())
    moment = file.stat().st_mtime + later
    os.utime(copy, (moment, moment))
    return copy


def deliveries(folder, random):
    """Every file of a landing folder in random order, and some a second time under another name."""
    files = [
        (table, file)
        for table in ("invoice_lines", "fx_rates")
        for file in sorted((folder / table).iterdir())
    ]
    again = [
        (t, copied(f, folder.parent / "again", f"again-{f.name}", 60))
        for t, f in random.sample(files, 3)
    ]
    shuffled = [*files, *again]
    random.shuffle(shuffled)
    return shuffled


def batches(items, random, mean):
    """The items in batches of random size."""
    while items:
        size = random.randint(1, 2 * mean - 1)
        yield items[:size]
        items = items[size:]


def versions(here):
    return {name: here.lake.version(name) for name in here.lake.tables()}


@pytest.fixture(scope="module")
def at_once(fortnight, tmp_path_factory):
    """The content if everything is delivered at once."""
    here = world(tmp_path_factory.mktemp("at_once"))
    for table in ("invoice_lines", "fx_rates"):
        deliver(here, table, *sorted((fortnight / table).iterdir()))
    bring_up_to_date(here)
    return here


@pytest.mark.parametrize(("seed", "mean"), [(2, 5), full(1, 1)])
def test_samples_in_any_order_end_in_the_same_content(here, fortnight, at_once, seed, mean):
    random = Random(seed)
    for batch in batches(deliveries(fortnight, random), random, mean):
        for table, file in batch:
            deliver(here, table, file)
        bring_up_to_date(here)
    same_tables(here, at_once)
    assert counted(here, "raw/invoice_lines") == counted(at_once, "raw/invoice_lines")
    assert counted(here, "quarantine/staged_invoice_lines") == counted(
        at_once, "quarantine/staged_invoice_lines"
    )


def counted(here, table):
    """Rows as received, however they came."""
    columns = ["InvoiceNo", "StockCode", "Quantity", "InvoiceDate", "UnitPrice"]
    return sorted(in_state(here, table).select(columns).rows(), key=str)


@pytest.mark.full
@pytest.mark.real_data
@pytest.mark.parametrize(("count", "histories"), [(8, 1), full(25, 2)])
def test_real_days_in_any_order_end_in_the_same_content(here, real, tmp_path, count, histories):
    random = Random(5)
    days = sorted((real / "online_retail/by_day").glob("*.csv.gz"))[10 : 10 + count]
    rates = sorted((real / "ecb_fx").glob("*.zip"))[:histories]
    together = world(tmp_path / "together")
    deliver(together, "invoice_lines", *days)
    deliver(together, "fx_rates", *rates)
    bring_up_to_date(together)
    shuffled = [("invoice_lines", day) for day in days] + [("fx_rates", zipped) for zipped in rates]
    random.shuffle(shuffled)
    for batch in batches(shuffled, random, 4):
        for table, file in batch:
            deliver(here, table, file)
        bring_up_to_date(here)
    same_tables(here, together)


def test_being_brought_up_to_date_again_commits_nothing(at_once):
    before = versions(at_once)
    bring_up_to_date(at_once)
    assert versions(at_once) == before


def test_a_repeated_delivery_changes_nothing(shop):
    file = sell(shop, "a", lines(3, 1, 2))
    bring_up_to_date(shop)
    before = versions(shop)
    file.rename(file.with_name("b.csv"))
    sell(shop, "a", lines(3, 1, 2))
    bring_up_to_date(shop)
    assert versions(shop) == before | {DELIVERIES: 1}


def test_a_grown_file_of_the_same_name_adds_its_new_lines(shop):
    sell(shop, "a", lines(3, 1, 2))
    bring_up_to_date(shop)
    file = sell(shop, "a", lines(3, 1, 2, 3))
    os.utime(file, (0, 1_700_000_000))
    bring_up_to_date(shop)
    assert rows(shop, "marts/shop_days") == [(june(3), "north", 6.0, 3)]


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_a_line_that_comes_in_two_files_counts_once(shop, order):
    content = {"a": lines(3, 1, 2), "b": lines(3, 2, 3, first=2)}
    for name in order:
        sell(shop, name, content[name])
        bring_up_to_date(shop)
    assert rows(shop, "staged/sales") == [
        (1, june(3), "north", 1.0),
        (2, june(3), "north", 2.0),
        (3, june(3), "north", 3.0),
    ]


@pytest.mark.full
def test_rows_without_a_day_do_not_depend_on_how_they_come(shop, tmp_path):
    days = [f"{lines(day, 1, 2, 3)}9,never,north,{day}\n" for day in range(1, 6)]
    together = world(tmp_path / "together", till())
    for number, day in enumerate(days):
        sell(shop, f"{number}", day)
        bring_up_to_date(shop)
        sell(together, f"{number}", day)
    bring_up_to_date(together)
    assert contents(shop) == contents(together)
    assert shop.lake.scan("quarantine/staged_sales").collect().height == 5


@pytest.fixture(scope="module")
def late(at_once, tmp_path_factory):
    """The periods that a file with lines of an earlier day causes to be made, by table."""
    here = copy_world(Path(at_once.landing.root).parent, tmp_path_factory.mktemp("late"))
    before = versions(here)
    file = tmp_path_factory.mktemp("late") / "late.csv.gz"
    header = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
    file.write_bytes(
        gzipped(f"{header}\n599999,22423,LATE,3,2010-12-06 11:00:00,2.50,,Malta\n".encode())
    )
    deliver(here, "invoice_lines", file, at=datetime(2010, 12, 20, tzinfo=UTC))
    bring_up_to_date(here)
    new = {table: list_audits(here, table) for table in here.catalog.tables}
    return here, {
        table: [a for a in found if a.version > before[table]] for table, found in new.items()
    }


def days_of(found):
    return [day for audit in found for span in audit.materialized for day in span]


def test_a_late_line_remakes_its_day_alone(late):
    _, made = late
    assert days_of(made["staged/invoice_lines"]) == [date(2010, 12, 6)]


def test_a_late_line_remakes_the_days_whose_week_it_is_in(late):
    here, made = late
    week = Days(date(2010, 12, 6), date(2010, 12, 12))
    held = (
        here.lake.scan("staged/invoice_lines").select("invoice_date").unique().collect().to_series()
    )
    assert sorted(days_of(made["marts/daily_sales"])) == sorted(day for day in held if day in week)


def test_a_late_line_leaves_the_rates_alone(late):
    _, made = late
    assert made["staged/fx_rates"] == made["raw/fx_rates"] == []


@pytest.mark.full
def test_a_late_rate_remakes_the_days_up_to_the_next_one_and_those_that_look_back(
    here, fortnight, tmp_path
):
    deliver(here, "invoice_lines", *sorted((fortnight / "invoice_lines").iterdir()))
    deliver(here, "fx_rates", rates(tmp_path / "a.csv", {1: 0.8, 3: 0.81, 9: 0.82}))
    bring_up_to_date(here)
    before = here.lake.version("marts/daily_sales")
    deliver(here, "fx_rates", rates(tmp_path / "b.csv", {6: 0.9}))
    bring_up_to_date(here)
    made = [audit for audit in list_audits(here, "marts/daily_sales") if audit.version > before]
    held = (
        here.lake.scan("staged/invoice_lines").select("invoice_date").unique().collect().to_series()
    )
    assert sorted(days_of(made)) == sorted(day for day in held if 6 <= day.day <= 8 + 6)


def rates(file, pounds):
    """A small table of rates."""
    days = "".join(f"2010-12-{day:02},{rate}\n" for day, rate in pounds.items())
    file.write_text(f"Date,GBP\n{days}")
    return file


@pytest.mark.parametrize("names", ["abc", "cba"])
def test_the_latest_rate_wins_however_it_comes(here, tmp_path, names):
    start = datetime(2011, 1, 1, tzinfo=UTC)
    for name in names:
        file = rates(tmp_path / f"{name}.csv", {1: {"a": 0.1, "b": 0.2, "c": 0.3}[name]})
        deliver(here, "fx_rates", file, at=start + timedelta(days=ord(name)))
        bring_up_to_date(here)
    assert [row[2] for row in rows(here, "staged/fx_rates")] == [0.3]


OLD, NEW = {1: 0.1}, {1: 0.2}
CASES = {
    "old bytes again, later": {"a": (1, OLD), "b": (2, NEW), "c": (3, OLD)},
    "old bytes again, at the same time": {"a": (1, OLD), "b": (1, NEW), "c": (1, OLD)},
    "the names against the times": {"c": (1, OLD), "b": (2, NEW), "a": (3, OLD)},
}


def rated(here, folder, name, day, pounds):
    """A file of rates in landing, written on a day of 2011."""
    deliver(
        here,
        "fx_rates",
        rates(folder / f"{name}.csv", pounds),
        at=datetime(2011, 1, day, tzinfo=UTC),
    )


@pytest.mark.parametrize("order", first(3, ["abc", "cba", "all", "acb", "bac", "bca", "cab"]))
@pytest.mark.parametrize("case", CASES)
def test_bytes_that_come_again_count_from_their_first_writing_in_any_order(
    here, tmp_path, case, order
):
    for names in ["abc"] if order == "all" else order:
        for name in names:
            rated(here, tmp_path, name, *CASES[case][name])
        bring_up_to_date(here)
    assert [row[2] for row in rows(here, "staged/fx_rates")] == [0.2]
    origins = here.lake.scan("raw/fx_rates").select(file_of("_source"), "_modified_at").collect()
    first = "c" if case.startswith("the names") else "a"
    assert sorted(row[0] for row in origins.rows()) == sorted([f"{first}.csv", "b.csv"])
    assert {row[1].day for row in origins.rows()} == {day for day, _ in CASES[case].values()} - {3}


def file_of(column):
    """The file's name in an origin."""
    return pl.col(column).str.split("#").list.first()


def test_an_earlier_file_with_landed_bytes_gives_the_rows_its_origin_and_adds_none(here, tmp_path):
    rated(here, tmp_path, "c", 3, {1: 0.1, 2: 0.3})
    rated(here, tmp_path, "d", 4, {5: 0.5})
    bring_up_to_date(here)
    rated(here, tmp_path, "a", 1, {1: 0.1, 2: 0.3})
    bring_up_to_date(here)
    found = here.lake.scan("raw/fx_rates").select(file_of("_source"), "_offset", "Date").collect()
    assert sorted(found.rows()) == [
        ("a.csv", 1, "2010-12-01"),
        ("a.csv", 2, "2010-12-02"),
        ("d.csv", 1, "2010-12-05"),
    ]
    last = list_audits(here, "raw/fx_rates")[-1]
    assert (last.read, last.written, last.carried) == (0, 0, 2)
    assert (
        re.sub("#\\w+", "", last.notes[0])
        == "a.csv: same bytes as c.csv, which was written later; the rows now name this file"
    )


def test_an_earlier_file_with_landed_bytes_makes_the_days_of_its_rows_again(shop):
    os.utime(sell(shop, "b", lines(3, 1, 2), lines(4, 3, first=3)), (0, 1_700_000_000))
    os.utime(sell(shop, "c", lines(5, 4, first=4)), (0, 1_700_000_000))
    bring_up_to_date(shop)
    before = len(list_audits(shop, "staged/sales"))
    os.utime(sell(shop, "a", lines(3, 1, 2), lines(4, 3, first=3)), (0, 1_600_000_000))
    bring_up_to_date(shop)
    assert days_of(list_audits(shop, "staged/sales")[before:]) == [june(3), june(4)]
    assert {
        row[0] for row in shop.lake.scan("staged/sales").select(file_of("_source")).collect().rows()
    } == {
        "a.csv",
        "c.csv",
    }


def test_a_file_that_is_compacted_with_others_gets_its_origin_alone(here, tmp_path):
    for letter, day in (("b", 2), ("c", 3), ("d", 4)):
        rated(here, tmp_path, letter, day, {day: day / 10})
    bring_up_to_date(here)
    here.lake.open("raw/fx_rates").optimize.compact()
    rated(here, tmp_path, "a", 1, {3: 0.3})
    bring_up_to_date(here)
    found = here.lake.scan("raw/fx_rates").select(file_of("_source"), "Date").collect()
    assert sorted(found.rows()) == [
        ("a.csv", "2010-12-03"),
        ("b.csv", "2010-12-02"),
        ("d.csv", "2010-12-04"),
    ]


def test_an_origin_that_was_rolled_back_is_given_again(here, tmp_path):
    rated(here, tmp_path, "c", 3, OLD)
    bring_up_to_date(here)
    rated(here, tmp_path, "a", 1, OLD)
    bring_up_to_date(here)
    here.lake.open("raw/fx_rates").restore(0)
    bring_up_to_date(here)
    assert here.lake.scan("raw/fx_rates").select(file_of("_source")).collect().rows() == [
        ("a.csv",)
    ]
