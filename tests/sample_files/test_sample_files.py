"""The form of the sample files: that of the real ones, and the same bytes for the same seed."""

import gzip
import re
import zipfile
from datetime import date, timedelta
from pathlib import Path

import pytest

from samples import generate

REAL = Path(__file__).parents[3] / "shared" / "data"
HEADER = b"InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
LINE = re.compile(
    r"[CA]?\d{6},"
    r"(\d{5}[A-Za-z]{0,2}|[A-Za-z][A-Za-z0-9_ ]*),"
    r'([^",]*|"(?=[^\n]*[,"][^\n]*)([^"]|"")*"),'
    r"-?\d+,"
    r"20\d\d-[01]\d-[0-3]\d [012]\d:[0-5]\d:00,"
    r"-?\d+\.\d{1,3},"
    r"(\d{5}\.0)?,"
    r"[A-Z][A-Za-z ]+"
)
CELL = re.compile(r"N/A|\d+(\.\d*[1-9])?")
ZIP = "sample-eurofxref-hist.zip"


def bytes_of(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def strange_lines(content):
    """Lines that have not the form of the real files."""
    header, *lines, end = content.split(b"\n")
    assert (header, end) == (HEADER, b"")
    return [
        line
        for line in lines
        if "\ufffd" in (text := line.decode(errors="replace")) or not LINE.fullmatch(text)
    ]


def rate_table(path):
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["eurofxref-hist.csv"]
        header, *lines, end = archive.read("eurofxref-hist.csv").decode("ascii").split("\n")
    assert end == ""
    return [line.split(",") for line in (header, *lines)]


def assert_has_ecb_form(table):
    header, *rows = table
    days = [date.fromisoformat(row[0]) for row in rows]
    assert header[0] == "Date"
    assert all(re.fullmatch("[A-Z]{3}", code) for code in header[1:-1])
    assert {row[-1] for row in table} == {""}
    assert {len(row) for row in table} == {len(header)}
    assert days == sorted(set(days), reverse=True)
    assert max(day.weekday() for day in days) == 4
    assert all(CELL.fullmatch(cell) for row in rows for cell in row[1:-1])


def test_the_same_seed_gives_the_same_bytes(made, tmp_path):
    assert generate(tmp_path, days=60, rows=400, seed=7) == made.truth
    assert bytes_of(tmp_path) == bytes_of(made.folder)


def test_another_seed_gives_other_bytes(made, tmp_path):
    generate(tmp_path, days=10, rows=400, seed=8)
    ours, theirs = bytes_of(tmp_path), bytes_of(made.folder)
    assert [name for name in ours if ours[name] == theirs.get(name)] == []


def test_a_file_does_not_depend_on_how_many_days_are_asked_for(made, tmp_path):
    generate(tmp_path, days=20, rows=400, seed=7)
    few, many = bytes_of(tmp_path / "invoice_lines"), bytes_of(made.folder / "invoice_lines")
    assert few == {name: many[name] for name in few}
    assert len(few) == 18


def test_a_rate_does_not_depend_on_how_many_days_are_asked_for(made, tmp_path):
    generate(tmp_path, days=20, rows=1, seed=7)
    header, *few = rate_table(tmp_path / "fx_rates" / ZIP)
    assert [header, *few] == [header, *rate_table(made.folder / "fx_rates" / ZIP)[-len(few) :]]


def test_files_that_are_there_are_left_alone(tmp_path):
    generate(tmp_path, days=3, rows=20)
    first = {path: path.stat().st_mtime_ns for path in (tmp_path / "invoice_lines").iterdir()}
    generate(tmp_path, days=4, rows=20)
    assert first == {path: path.stat().st_mtime_ns for path in first}


def test_every_name_tells_that_it_is_a_sample_and_nothing_else_is_left(made):
    names = [path.name for path in made.folder.rglob("*") if path.is_file()]
    assert [name for name in names if not name.startswith("sample-")] == []
    assert {path.name for path in made.folder.iterdir()} == {"invoice_lines", "fx_rates"}


def test_there_is_no_file_of_saturdays(made):
    have = {name[7:17] for name in made.truth.invoice_lines.by_file}
    days = [date(2010, 12, 1) + timedelta(days=n) for n in range(60)]
    closed = {str(day) for day in days if day.weekday() == 5}
    assert have == {str(day) for day in days} - closed


def test_a_copy_has_the_bytes_of_its_original(made):
    folder = made.folder / "invoice_lines"
    copies = made.truth.invoice_lines.copies
    assert [(folder / copy).read_bytes() for copy in copies] == [
        (folder / name).read_bytes() for name in copies.values()
    ]


def test_packed_files_carry_no_time_of_making(made):
    packed = [path.read_bytes() for path in (made.folder / "invoice_lines").iterdir()]
    assert {content[4:8] for content in packed} == {bytes(4)}
    with zipfile.ZipFile(made.folder / "fx_rates" / ZIP) as archive:
        assert archive.infolist()[0].date_time == (2011, 1, 29, 15, 56, 0)


def test_only_planted_lines_leave_the_form_of_the_real_files(made):
    truth = made.truth.invoice_lines
    lines = [
        strange_lines(gzip.decompress((made.folder / "invoice_lines" / name).read_bytes()))
        for name in truth.by_file
    ]
    reasons, twice = truth.quarantined_by_reason, truth.dirt["repeated_broken_lines"]
    odd = (
        truth.dead + truth.dirt["blank_lines"] + sum(n for r, n in reasons.items() if "_not_" in r)
    )
    assert odd <= sum(map(len, lines)) <= odd + twice


@pytest.mark.real_data
@pytest.mark.skipif(not REAL.is_dir(), reason="the real data is not beside the checkout")
def test_the_real_invoice_files_have_this_form():
    paths = sorted((REAL / "online_retail" / "by_day").iterdir())[::10]
    assert [
        line for path in paths for line in strange_lines(gzip.decompress(path.read_bytes()))
    ] == []


def test_the_rates_have_the_form_of_the_ecb(made):
    table = rate_table(made.folder / "fx_rates" / ZIP)
    assert_has_ecb_form(table)
    assert {"GBP", "USD"} < set(table[0])
    assert (table[1][0], table[-1][0]) == ("2011-01-28", "2010-11-01")


@pytest.mark.real_data
@pytest.mark.skipif(not REAL.is_dir(), reason="the real data is not beside the checkout")
def test_the_real_rates_have_this_form():
    for path in sorted((REAL / "ecb_fx").iterdir()):
        assert_has_ecb_form(rate_table(path))


@pytest.mark.parametrize(
    "closed", ["2011-01-01", "2011-04-22", "2011-04-25", "2011-12-26", "2012-04-06", "2012-05-01"]
)
def test_there_are_no_rates_on_bank_holidays(tmp_path, closed):
    generate(tmp_path, days=10, rows=1, start=date.fromisoformat(closed))
    days = [row[0] for row in rate_table(tmp_path / "fx_rates" / ZIP)]
    assert closed not in days
    assert len(days) > 20
