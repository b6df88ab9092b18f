"""One odd value spoils its row and nothing else: days, instants and clock changes, in tables of days."""

from datetime import date

import polars as pl
import pytest
from polars import col
from support.worlds import bring_up_to_date, catalog_of, in_state, land_all, world, write

from lakehouse.calendar import Days
from lakehouse.errors import DataError, LawError, SetupError
from lakehouse.observe.overview import list_tables
from lakehouse.publish.audit import RefusedCommitError
from lakehouse.tables import Contract, Daily, Field, Instant, cast, raw, staged
from lakehouse.tables.catalog import Catalog
from lakehouse.transform.make import make

FROM = date(2024, 1, 1)
OFFSET = col("at").str.to_datetime("%Y-%m-%dT%H:%M:%S%z", strict=False, time_unit="us")
IN_UTC = OFFSET.dt.convert_time_zone("UTC")
WRITTEN_DAY = col("at").str.head(10).str.to_date("%Y-%m-%d", strict=False)


class Visit(Contract):
    """A visit."""

    id: str
    at: Instant
    day: date

    class Table:
        date_column = "day"
        max_quarantined = 0.4


def visits(at: pl.Expr, day: pl.Expr, *, read_day: pl.Expr = WRITTEN_DAY) -> Catalog:
    """Raw and staged visits, a table of days; both read the day from the time in their own way."""
    raw_visits = raw("visits", "Visits.", columns=("id", "at"), day=read_day)

    def staged_visits(raw_visits: pl.LazyFrame) -> pl.LazyFrame:
        return cast(raw_visits, at=at, day=day)

    staged_visits.__name__ = "visits"
    table = staged(Visit, partitions=Daily(FROM))(staged_visits)
    return catalog_of(raw_visits=raw_visits, visits=table)


def made(folder, catalog, *times):
    """A lake with a visit at each time, made as far as it can be."""
    here = world(folder, catalog)
    rows = [f"v{number},{time}" for number, time in enumerate(times)]
    write(here, "visits", "a.csv", "\n".join(["id,at", *rows]) + "\n")
    bring_up_to_date(here)
    return here


def ids(here) -> list[str]:
    return sorted(here.lake.scan("staged/visits").collect()["id"])


def broken(here) -> dict[str, list[str]]:
    if "quarantine/staged_visits" not in here.lake.tables():
        return {}
    rows = in_state(here, "quarantine/staged_visits")
    return dict(zip(rows["id"].to_list(), rows["_rules"].to_list(), strict=True))


MOVED = ["day is the day of the row in raw/visits"]


@pytest.mark.parametrize("odd", ["2024-05-01T23:30:00-05:00", "2024-05-02T00:30:00+02:00"])
def test_an_instant_whose_day_is_another_is_quarantined_and_its_day_is_published(tmp_path, odd):
    plain = [f"2024-05-0{day}T{hour}:00:00+00:00" for day in (1, 2) for hour in (10, 11, 12)]
    here = made(tmp_path, visits(IN_UTC, IN_UTC.dt.date()), *plain, odd)
    assert ids(here) == [f"v{number}" for number in range(6)]
    assert broken(here) == {"v6": MOVED}


def test_too_many_instants_of_other_days_hold_back_their_day_alone_and_name_the_rows(tmp_path):
    catalog = visits(IN_UTC, IN_UTC.dt.date())
    plain = [f"2024-05-01T{hour}:00:00+00:00" for hour in (10, 11, 12)]
    odd = ["2024-05-02T23:30:00-05:00", "2024-05-02T23:31:00-05:00", "2024-05-02T10:00:00+00:00"]
    here = world(tmp_path, catalog)
    rows = [f"v{number},{time}" for number, time in enumerate([*plain, *odd])]
    write(here, "visits", "a.csv", "\n".join(["id,at", *rows]) + "\n")
    land_all(here)
    audit = make(here.lake, catalog, "staged/visits")
    assert ids(here) == ["v0", "v1", "v2"]
    assert "2 of 3 rows break the contract" in audit.held_back[date(2024, 5, 2)]
    with pytest.raises(
        RefusedCommitError, match=r"a.csv#.*, record [45]: day is the day of the row"
    ):
        make(here.lake, catalog, "staged/visits", Days(date(2024, 5, 2), date(2024, 5, 2)))


def test_a_transform_that_moves_every_row_is_a_defect(tmp_path):
    here = world(tmp_path, visits(IN_UTC, IN_UTC.dt.date().dt.offset_by("1d")))
    write(here, "visits", "a.csv", "id,at\na,2024-05-01T10:00:00+00:00\n")
    land_all(here)
    with pytest.raises(LawError, match="make the transform keep the day"):
        make(here.lake, here.catalog, "staged/visits")


DAY_FORMATS = [
    ("%Y-%m-%d", "{0}-05-01"),
    ("%d.%m.%Y", "01.05.{0}"),
    ("%Y%m%d", "{0}0501"),
]


@pytest.mark.parametrize("form", DAY_FORMATS, ids=str)
@pytest.mark.parametrize(
    ("year", "is_read"),
    [("2024", True), ("24", False), ("124", False), ("-001", False), ("20240", False), ("", False)],
)
def test_a_year_has_four_digits(form, year, is_read):
    pattern, text = form[0], form[1].format(year)
    rows = pl.LazyFrame({"text": [text]})
    read = cast(rows, day=col("text").str.to_date(pattern, strict=False)).collect()
    assert read["_unread_day"].to_list() == [not is_read]
    assert read["day"].is_null().to_list() == [not is_read]


@pytest.mark.parametrize("day", ["0001-01-01", "0999-12-31", "1000-01-01", "9999-12-31"])
def test_a_year_that_is_written_in_four_digits_is_read_whatever_it_is(day):
    rows = pl.LazyFrame({"text": [day]})
    read = cast(
        rows,
        day=col("text").str.to_date("%Y-%m-%d", strict=False),
        at=col("text").str.to_datetime("%Y-%m-%d", strict=False, time_unit="us", time_zone="UTC"),
    ).collect()
    assert read.select(pl.col("day", "at").cast(pl.String).str.head(10)).row(0) == (day, day)


@pytest.mark.parametrize("unit", ["ms", "us"])
def test_an_instant_beyond_all_years_cannot_be_read(unit):
    rows = pl.LazyFrame({"number": [2**63 - 1, -(2**63), 0]})
    typed = cast(rows, at=col("number").cast(pl.Datetime(unit)))
    read = typed.select("_unread_at").collect()
    assert read["_unread_at"].to_list() == [True, True, False]


ODD_DAYS = ["20240-05-01", "24-05-01", "0000-05-01", "-0001-05-01", "9999-12-31", "0001-01-01", ""]


def test_days_of_any_year_stop_neither_their_file_nor_the_other_days(tmp_path):
    day = col("at").str.to_date("%Y-%m-%d", strict=False)
    at = col("at").str.to_datetime("%Y-%m-%d", strict=False, time_unit="us", time_zone="UTC")
    catalog = visits(at, day, read_day=day)
    here = made(tmp_path, catalog, *[f"2024-05-0{1 + n % 2}" for n in range(20)], *ODD_DAYS)
    assert len(ids(here)) == 20
    assert sorted(broken(here)) == [f"v{number}" for number in range(20, 27)]
    assert in_state(here, "raw/visits")["_event_date"].null_count() == 4


AT = col("at").str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False, time_unit="us")
SKIPPED = {
    "Europe/Berlin": "2024-03-31 02:30:00",
    "America/New_York": "2024-03-10 02:30:00",
    "Pacific/Auckland": "2024-09-29 02:30:00",
    "America/Santiago": "2024-09-08 00:00:00",
}
REPEATED = {
    "Europe/Berlin": "2024-10-27 02:30:00",
    "America/New_York": "2024-11-03 01:30:00",
    "Pacific/Auckland": "2024-04-07 02:30:00",
    "Australia/Lord_Howe": "2024-04-07 01:45:00",
}
RAISING = [
    AT.dt.replace_time_zone("Europe/Berlin"),
    AT.dt.replace_time_zone("Europe/Berlin", ambiguous="earliest"),
    AT.dt.replace_time_zone("Europe/Berlin", non_existent="null"),
    col("at").str.to_datetime(
        "%Y-%m-%d %H:%M:%S", strict=False, time_unit="us", time_zone="Asia/Tokyo"
    ),
    pl.datetime(2024, AT.dt.month(), 1, time_zone="America/New_York"),
]


@pytest.mark.parametrize("local", RAISING, ids=[str(number) for number in range(len(RAISING))])
def test_local_times_that_may_stop_a_table_are_refused_when_it_loads(local):
    with pytest.raises(SetupError, match=r"staged/visits: .*ambiguous=.*non_existent=") as refused:
        visits(local.dt.convert_time_zone("UTC"), AT.dt.date())
    assert "dt.replace_time_zone" in str(refused.value)


def test_local_times_in_the_day_of_a_raw_table_are_refused_too():
    zoned = AT.dt.replace_time_zone("Europe/Berlin").dt.date()
    with pytest.raises(
        SetupError, match=r"raw/visits: `day`: it reads local times of Europe/Berlin"
    ):
        visits(IN_UTC, WRITTEN_DAY, read_day=zoned)


@pytest.mark.parametrize("zone", ["UTC", "Etc/GMT+5"])
def test_a_zone_without_clock_changes_needs_no_answer(zone):
    assert visits(AT.dt.replace_time_zone(zone).dt.convert_time_zone("UTC"), AT.dt.date())


@pytest.mark.parametrize("zone", sorted({*SKIPPED, *REPEATED}))
def test_a_time_that_a_clock_change_skips_or_repeats_stops_no_other_row(tmp_path, zone):
    local = AT.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    catalog = visits(local.dt.convert_time_zone("UTC"), AT.dt.date())
    odd = [time for time in (SKIPPED.get(zone), REPEATED.get(zone)) if time]
    plain = [f"{time[:10]} 1{hour}:00:00" for time in odd for hour in range(4)]
    here = made(tmp_path, catalog, *plain, *odd)
    skipped = [f"v{len(plain)}"] if zone in SKIPPED else []
    assert broken(here) == {key: ["at can be read", "at is present"] for key in skipped}
    assert len(ids(here)) == len([*plain, *odd]) - len(skipped)


@pytest.mark.parametrize("days", [[5_000_000], [-800_000], [5_000_000, 19_844]])
def test_days_of_any_year_that_another_program_wrote_stop_nothing(tmp_path, days):
    plain = [f"2024-05-0{day}T10:00:00+00:00" for day in (1, 2)]
    here = made(tmp_path, visits(IN_UTC, IN_UTC.dt.date()), *plain)
    odd = here.lake.scan("raw/visits").collect().head(len(days))
    odd = odd.with_columns(
        id=pl.lit("odd"),
        _event_date=pl.Series(days, dtype=pl.Int32).cast(pl.Date),
        _offset=pl.lit(9, pl.Int64) + pl.int_range(pl.len()),
    )
    odd.write_delta(here.lake.uri("raw/visits"), mode="append")
    assert here.create_planner().find_stale_part(here.catalog["staged/visits"]) is not None
    bring_up_to_date(here)
    assert {"v0", "v1"} <= set(ids(here))
    assert "raw/visits" in {one.table for one in list_tables(here)}


TIME_FORMATS = [
    ("%Y-%m-%dT%H:%M:%S%z", "{0}2024-01-06T23:59:{1}+02:00"),
    ("%Y-%m-%dT%H:%M:%S%.f%z", "{0}2024-01-06T23:59:{1}.5+0530"),
    ("%Y-%m-%d %H:%M:%S", "{0}2024-01-06 23:59:{1}"),
    ("%d.%m.%Y %H:%M:%S", "06.01.{0}2024 11:00:{1}"),
    ("%Y%m%d%H%M%S", "{0}20240106235960"),
    ("%Y%m%dT%H%M%S", "{0}20240106T2359{1}"),
    ("%d/%m/%Y %I:%M:%S %p", "06/01/{0}2024 11:59:{1} PM"),
]


@pytest.mark.parametrize("form", TIME_FORMATS, ids=str)
@pytest.mark.parametrize(
    ("sign", "second", "is_read"),
    [("", "59", True), ("", "00", True), ("", "60", False), ("+", "00", False)],
)
def test_leap_seconds_and_signed_years_cannot_be_read(form, sign, second, is_read):
    pattern, text = form[0], form[1].format(sign, second)
    is_read &= not text.endswith("235960")
    at = col("text").str.to_datetime(pattern, strict=False, time_unit="us")
    read = cast(pl.LazyFrame({"text": [text, None, ""]}), at=at).collect()
    assert read["_unread_at"].to_list() == [not is_read, False, False]


@pytest.mark.parametrize(
    ("day", "unread"), [(IN_UTC.dt.date(), True), (WRITTEN_DAY, False), (OFFSET.dt.date(), True)]
)
def test_a_day_that_a_leap_second_moves_cannot_be_read(day, unread):
    rows = pl.LazyFrame({"at": ["2024-01-06T23:59:60+00:00", "2024-01-06T23:59:59+00:00"]})
    assert cast(rows, day=day).collect()["_unread_day"].to_list() == [unread, False]


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("%Y-%m-%d %H:%M:%S%.f", "2024-01-06 12:00:00.60"),
        ("%d%m%Y %H:%M", "01011960 00:00"),
        ("%Y-%m-%dT%H:%M:%S%z", "1000-01-06T00:00:00+1000"),
        ("%Y-%m-%d %H:%M:%S %z", "2024-01-06 00:00:00 +0500"),
        ("%d%m%Y", "01011960"),
    ],
)
def test_times_that_look_like_leap_seconds_or_signed_years_are_read(pattern, text):
    at = col("text").str.to_datetime(pattern, strict=False, time_unit="us")
    read = cast(pl.LazyFrame({"text": [text]}), at=at).collect()
    assert read["at"].null_count() == 0


def test_a_leap_second_and_a_signed_year_are_quarantined_and_stop_no_other_row(tmp_path):
    odd = ["2024-01-06T23:59:60+00:00", "+2024-01-06T10:00:00+00:00"]
    here = made(tmp_path, visits(IN_UTC, WRITTEN_DAY), *["2024-01-06T10:00:00+00:00"] * 5, *odd)
    assert len(ids(here)) == 5
    assert set(broken(here)) == {"v5", "v6"}
    assert all("at can be read" in rules for rules in broken(here).values())


class Number(Contract):
    """A number."""

    id: str
    n: int = Field(nullable=True)


def test_a_panic_of_polars_is_an_error_that_names_the_table(tmp_path):
    raw_numbers = raw("numbers", "Numbers.", columns={"id": pl.String(), "n": pl.Int64()})

    @staged(Number)
    def numbers(raw_numbers):
        """Writes a day that no calendar has as text."""
        text = col("n").cast(pl.Int32).cast(pl.Date).cast(pl.String)
        return raw_numbers.with_columns(n=text.str.len_chars().cast(pl.Int64))

    here = world(tmp_path, catalog_of(raw_numbers=raw_numbers, numbers=numbers))
    write(here, "numbers", "a.csv", f"id,n\na,{2**31 - 1}\n")
    land_all(here)
    with pytest.raises(DataError, match=r"staged/numbers: the transform fails on the data"):
        make(here.lake, here.catalog, "staged/numbers")
