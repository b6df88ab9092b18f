"""Law 3: any order, batching and repetition of the same deliveries ends in the same content."""

import os
from datetime import UTC, date, datetime, timedelta
from random import Random

import pytest
from support.worlds import bring_up_to_date, contents, deliver, world
from tills import june, lines, rows, same_tables, sell, till

from lakehouse.overview import audits
from lakehouse.windows import Days
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
    files = [(table, file) for table in ("invoice_lines", "fx_rates") for file in sorted((folder / table).iterdir())]
    again = [(t, copied(f, folder.parent / "again", f"again-{f.name}", 60)) for t, f in random.sample(files, 3)]
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
    """What everything at once ends in."""
    here = world(tmp_path_factory.mktemp("at_once"))
    for table in ("invoice_lines", "fx_rates"):
        deliver(here, table, *sorted((fortnight / table).iterdir()))
    bring_up_to_date(here)
    return here


@pytest.mark.parametrize(("seed", "mean"), [(1, 1), (2, 5)])
def test_samples_in_any_order_end_in_the_same_content(here, fortnight, at_once, seed, mean):
    random = Random(seed)
    for batch in batches(deliveries(fortnight, random), random, mean):
        for table, file in batch:
            deliver(here, table, file)
        bring_up_to_date(here)
    same_tables(here, at_once)
    assert counted(here, "raw/invoice_lines") == counted(at_once, "raw/invoice_lines")
    assert counted(here, "quarantine/staged_invoice_lines") == counted(at_once, "quarantine/staged_invoice_lines")


def counted(here, table):
    """Rows as received, however they came."""
    columns = ["InvoiceNo", "StockCode", "Quantity", "InvoiceDate", "UnitPrice"]
    return sorted(here.lake.scan(table).select(columns).collect().rows(), key=str)


@pytest.mark.real_data
def test_real_days_in_any_order_end_in_the_same_content(here, real, tmp_path):
    random = Random(5)
    days = sorted((real / "online_retail/by_day").glob("*.csv.gz"))[10:35]
    rates = sorted((real / "ecb_fx").glob("*.zip"))[:2]
    together = world(tmp_path / "together")
    deliver(together, "invoice_lines", *days)
    deliver(together, "fx_rates", *rates)
    bring_up_to_date(together)
    shuffled = [("invoice_lines", day) for day in days] + [("fx_rates", zipped) for zipped in rates]
    random.shuffle(shuffled)
    for batch in batches(shuffled, random, 7):
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
    assert versions(shop) == before


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
def late(fortnight, tmp_path_factory):
    """The commits that a file with lines of an earlier day leads to: made periods by table."""
    here = world(tmp_path_factory.mktemp("late"))
    for table in ("invoice_lines", "fx_rates"):
        deliver(here, table, *sorted((fortnight / table).iterdir()))
    bring_up_to_date(here)
    before = versions(here)
    file = tmp_path_factory.mktemp("late") / "late.csv.gz"
    header = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
    file.write_bytes(gzipped(f"{header}\n599999,22423,LATE,3,2010-12-06 11:00:00,2.50,,Malta\n".encode()))
    deliver(here, "invoice_lines", file, at=datetime(2010, 12, 20, tzinfo=UTC))
    bring_up_to_date(here)
    new = {table: audits(here, table) for table in here.catalog.tables}
    return here, {table: [a for a in found if a.version > before[table]] for table, found in new.items()}


def days_of(found):
    return [day for audit in found for span in audit.made for day in span]


def test_a_late_line_remakes_its_day_alone(late):
    _, made = late
    assert days_of(made["staged/invoice_lines"]) == [date(2010, 12, 6)]


def test_a_late_line_remakes_the_days_whose_week_it_is_in(late):
    here, made = late
    week = Days(date(2010, 12, 6), date(2010, 12, 12))
    held = here.lake.scan("staged/invoice_lines").select("invoice_date").unique().collect().to_series()
    assert sorted(days_of(made["marts/daily_sales"])) == sorted(day for day in held if day in week)


def test_a_late_line_leaves_the_rates_alone(late):
    _, made = late
    assert made["staged/fx_rates"] == made["raw/fx_rates"] == []


def test_a_late_rate_remakes_the_days_up_to_the_next_one_and_those_that_look_back(here, fortnight, tmp_path):
    deliver(here, "invoice_lines", *sorted((fortnight / "invoice_lines").iterdir()))
    deliver(here, "fx_rates", rates(tmp_path / "a.csv", {1: 0.8, 3: 0.81, 9: 0.82}))
    bring_up_to_date(here)
    before = here.lake.version("marts/daily_sales")
    deliver(here, "fx_rates", rates(tmp_path / "b.csv", {6: 0.9}))
    bring_up_to_date(here)
    made = [audit for audit in audits(here, "marts/daily_sales") if audit.version > before]
    held = here.lake.scan("staged/invoice_lines").select("invoice_date").unique().collect().to_series()
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


@pytest.mark.xfail(strict=True, reason="of two files with the same bytes the one that was landed first gives the time")
def test_an_older_file_that_comes_again_wins_in_any_order_or_in_none(tmp_path):
    start, ended = datetime(2011, 1, 1, tzinfo=UTC), []
    for order in ("abc", "cba"):
        there = world(tmp_path / order)
        for name in order:
            file = rates(tmp_path / f"{name}.csv", {1: 0.2 if name == "b" else 0.1})
            deliver(there, "fx_rates", file, at=start + timedelta(days=ord(name)))
            bring_up_to_date(there)
        ended.append(rows(there, "staged/fx_rates"))
    assert ended[0] == ended[1]
