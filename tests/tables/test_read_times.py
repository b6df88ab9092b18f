"""Days and instants in texts: each reads as plain Python says, or not at all."""

from datetime import UTC, date, datetime, timedelta
from itertools import product
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import strategies as st

from lakehouse.errors import SetupError
from lakehouse.tables import read_date, read_epoch, read_excel_date, read_instant
from lakehouse.tables.inferred_formats import infers_time_format
from lakehouse.tables.local_times import find_raising_times
from lakehouse.tables.whole_numbers import find_wrapping
from tests.support.sizes import examples

BERLIN = ZoneInfo("Europe/Berlin")
DAYS = ["%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%Y%m%d", "%d %b %Y", "%d-%B-%Y", "%Y-%j", "%G-W%V-%u"]
TIMES = ["%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%I:%M %p", "%I:%M:%S %p"]
TWO_DIGITS = ["%d.%m.%y", "%y%m%d", "%d %b %y"]


def read_all(texts, reader, *formats, **options):
    """What a reader makes of some texts."""
    rows = pl.DataFrame(
        {"x": texts}, schema=None if texts and isinstance(texts[0], int) else {"x": pl.String}
    )
    return rows.select(reader("x", *formats, **options))["x"].to_list()


def strip_zeros(text):
    """A text whose days and months have one digit where that is possible."""
    return "/".join(part.removeprefix("0") for part in text.split("/"))


@examples(40, 1000, day=st.dates(date(1, 1, 1), date(9999, 12, 31)), form=st.sampled_from(DAYS))
def test_a_day_reads_as_python_wrote_it(day, form):
    # `strftime` of a year before 1000 pads it in no way that is the same everywhere.
    text = day.strftime(
        form.replace("%Y", f"{day.year:04}").replace("%G", f"{day.isocalendar()[0]:04}")
    )
    assert read_all([f" {text} "], read_date, form) == [day]


@examples(
    40,
    1000,
    text=st.from_regex(r"[0-9]{1,4}[-./ ][0-9]{1,2}[-./ ]?[0-9]{1,5}", fullmatch=True),
    form=st.sampled_from(["%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%Y%m%d"]),
)
def test_a_text_is_a_day_only_if_it_is_one_for_python(text, form):
    try:
        expected = datetime.strptime(text, form).date()  # noqa: DTZ007
    except ValueError:
        expected = None
    assert read_all([text], read_date, form) == [expected]


@examples(
    40,
    1000,
    day=st.dates(date(1800, 1, 1), date(2199, 12, 31)),
    before=st.integers(0, 99),
    form=st.sampled_from(TWO_DIGITS),
)
def test_two_digits_are_the_year_of_the_declared_hundred(day, before, form):
    pivot = day.year - before
    text = day.strftime(form)
    assert read_all([text], read_date, form, two_digit_years_from=pivot) == [day]


def test_a_leap_day_of_a_hundred_without_one_cannot_be_read():
    texts = ["29.02.00", "28.02.00"]
    for pivot, day in ((1850, None), (1950, date(2000, 2, 29)), (2050, None)):
        assert read_all(texts, read_date, "%d.%m.%y", two_digit_years_from=pivot)[0] == day


@examples(
    40,
    1000,
    at=st.datetimes(datetime(1950, 1, 1), datetime(2037, 12, 31)),  # noqa: DTZ001
    form=st.sampled_from([f"{day}T{time}" for day, time in product(DAYS, TIMES)]),
)
def test_a_local_time_reads_as_python_understands_it(at, form):
    text = at.strftime(form)
    local = datetime.strptime(text, form)  # noqa: DTZ007
    expected = local.replace(tzinfo=BERLIN, fold=0).astimezone(UTC)
    if expected.astimezone(BERLIN).replace(tzinfo=None) != local:
        expected = None  # skipped by a clock change
    assert read_all([text], read_instant, form, time_zone="Europe/Berlin") == [expected]


@examples(
    40,
    1000,
    at=st.datetimes(datetime(1950, 1, 1), datetime(2037, 12, 31)),  # noqa: DTZ001
    minutes=st.integers(-14 * 60, 14 * 60),
    style=st.sampled_from(["+02:00", "+0200", "+02"]),
)
def test_an_offset_is_read_in_each_of_its_forms(at, minutes, style):
    minutes -= minutes % 60 if style == "+02" else 0
    sign, (hours, rest) = "-" if minutes < 0 else "+", divmod(abs(minutes), 60)
    offset = {
        "+02:00": f"{hours:02}:{rest:02}",
        "+0200": f"{hours:02}{rest:02}",
        "+02": f"{hours:02}",
    }
    text = at.isoformat(timespec="microseconds") + sign + offset[style]
    expected = (at - timedelta(minutes=minutes)).replace(tzinfo=UTC)
    assert read_all([text], read_instant, "%Y-%m-%dT%H:%M:%S.%f%z") == [expected]


def test_z_is_utc_as_an_offset_and_at_the_end_of_a_format():
    texts, expected = ["2024-03-01T09:00:00Z"], [datetime(2024, 3, 1, 9, tzinfo=UTC)]
    assert read_all(texts, read_instant, "%Y-%m-%dT%H:%M:%S%z") == expected
    assert read_all(texts, read_instant, "%Y-%m-%dT%H:%M:%SZ", time_zone="Asia/Tokyo") == expected


def test_the_first_format_that_reads_a_text_gives_its_meaning():
    texts = ["01/02/2024", "13/02/2024", "2024-02-13", "02/13/2024"]
    found = read_all(texts, read_date, "%d/%m/%Y", "%m/%d/%Y", "%Y-%m-%d")
    assert found == [date(2024, 2, 1), date(2024, 2, 13), date(2024, 2, 13), date(2024, 2, 13)]


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("24-03-01", "%Y-%m-%d"),
        ("20240-03-01", "%Y-%m-%d"),
        ("+2024-03-01", "%Y-%m-%d"),
        ("2024112", "%Y%m%d"),
        ("2024-03-01 x", "%Y-%m-%d"),
        ("30.02.2024", "%d.%m.%Y"),
        ("Mon, 2 Jan 2024", "%a, %d %b %Y"),
        ("2024-03-01 24:00", "%Y-%m-%d %H:%M"),
        ("2024-03-01 09:00:60", "%Y-%m-%d %H:%M:%S"),
    ],
)
def test_what_a_format_does_not_say_cannot_be_read(text, form):
    assert read_all([text], read_date, form) == [None]
    assert read_all([text], read_instant, form, time_zone="UTC") == [None]


@examples(
    40,
    1000,
    micros=st.integers(-(10**15), 10**16),
    unit=st.sampled_from([("s", 10**6), ("ms", 10**3), ("us", 1)]),
)
def test_an_epoch_reads_to_the_microsecond(micros, unit):
    name, size = unit
    sign, (whole, rest) = "-" if micros < 0 else "", divmod(abs(micros), size)
    text = f"{sign}{whole}" + (f".{rest:0{len(str(size)) - 1}}" if rest else "")
    expected = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
    assert read_all([text], read_epoch, name) == [expected]


def test_an_epoch_may_be_a_number():
    assert read_all([1_709_280_000], read_epoch) == [datetime(2024, 3, 1, 8, tzinfo=UTC)]
    assert read_all(["x", "1e9", "", "9" * 30], read_epoch) == [None] * 4


def test_numbers_of_excel_are_days():
    texts = ["1", "59", "60", "61", "45292", "45292.0", "45292.5", "-1", "2958465", "2958466"]
    days = [date(1900, 1, 1), date(1900, 2, 28), None, date(1900, 3, 1), date(2024, 1, 1)]
    days += [date(2024, 1, 1), None, None, date(9999, 12, 31), None]
    assert read_all(texts, read_excel_date) == days
    assert read_all(["0", "43830"], read_excel_date, 1904) == [date(1904, 1, 1), date(2024, 1, 1)]


@pytest.mark.parametrize(
    ("build", "problem"),
    [
        (lambda: read_date("x"), "no format"),
        (lambda: read_date("x", "%d.%m.%y"), "two digits"),
        (lambda: read_date("x", "%d.%m"), "no whole day"),
        (lambda: read_date("x", "%Y-%m-%d %Q"), "%Q"),
        (lambda: read_date("x", "%Y-%m-%d %f"), "%f"),
        (lambda: read_instant("x", "%Y-%m-%d %H", time_zone="UTC"), "without minutes"),
        (lambda: read_instant("x", "%Y-%m-%d %I:%M", time_zone="UTC"), "%I without %p"),
        (lambda: read_instant("x", "%Y-%m-%d %H:%M"), "no zone"),
        (lambda: read_instant("x", "%Y-%m-%d", time_zone="Mars/Base"), "no time zone"),
        (lambda: read_epoch("x", "h"), "no unit"),
        (lambda: read_excel_date("x", 1899), "no system"),
    ],
)
def test_a_declaration_that_leaves_something_open_is_refused(build, problem):
    with pytest.raises(SetupError, match=problem):
        build()


def test_no_declaration_check_finds_anything_in_these_readers():
    times = pl.LazyFrame(schema={"x": pl.String()}).select(
        a=read_date("x", "%d.%m.%y", "%Y-%m-%d", two_digit_years_from=1950),
        b=read_instant("x", "%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%dT%H:%M%z", time_zone="Europe/Berlin"),
        c=read_epoch("x"),
        d=read_excel_date("x"),
    )
    assert not infers_time_format(times)
    assert find_raising_times(times) == find_wrapping(times) == []
