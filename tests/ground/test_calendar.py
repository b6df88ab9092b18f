"""Calendars: spans of days, whole periods, and which days exist at a moment."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.calendar import WEEKDAYS, Daily, Days, Monthly, Weekly, join_days
from lakehouse.errors import SetupError

DATES = st.dates(date(1999, 1, 1), date(2040, 12, 31))
WEEKS = [Weekly(date(2000, 1, 3 + n), week_starts=day) for n, day in enumerate(WEEKDAYS)]
CALENDARS = st.sampled_from([Daily(date(2000, 1, 1)), Monthly(date(2000, 1, 1)), *WEEKS])
DAY = timedelta(days=1)

quickly = settings(max_examples=60, deadline=None)


@st.composite
def spans(draw):
    first = draw(DATES)
    return Days(first, first + timedelta(days=draw(st.integers(0, 400))))


@quickly
@given(spans())
def test_a_span_holds_each_of_its_days_once(days):
    listed = list(days)
    assert listed == sorted(set(listed))
    assert (listed[0], listed[-1], len(listed)) == (
        days.first,
        days.last,
        (days.last - days.first).days + 1,
    )
    assert all(day in days for day in listed)
    assert days.first - DAY not in days
    assert days.last + DAY not in days


@quickly
@given(spans(), spans())
def test_a_clipped_span_holds_the_days_that_are_in_both(one, other):
    clipped = one.clip(other)
    assert set(clipped or ()) == set(one) & set(other)


@quickly
@given(spans(), st.integers(0, 50), st.integers(0, 50))
def test_a_widened_span_has_days_more_at_each_end(days, back, ahead):
    widened = days.widen(back=back, ahead=ahead)
    assert (days.first - widened.first, widened.last - days.last) == (DAY * back, DAY * ahead)


@pytest.mark.parametrize(
    ("days", "text"),
    [
        (Days(date(2020, 1, 1), date(2020, 1, 1)), "2020-01-01"),
        (Days(date(2020, 1, 1), date(2020, 1, 2)), "2020-01-01...2020-01-02"),
    ],
)
def test_a_span_reads_as_its_ends(days, text):
    assert str(days) == text


@quickly
@given(CALENDARS, st.sets(DATES, max_size=40))
def test_joined_periods_are_the_same_periods(calendar, days):
    keys = calendar.period_keys(days)
    joined = calendar.join_to_spans(keys)
    assert calendar.period_keys(day for span in joined for day in span) == keys
    assert all(calendar.widen_to_periods(span) == span for span in joined)


@quickly
@given(CALENDARS, st.sets(DATES, max_size=40))
def test_joined_spans_are_in_order_and_never_touch(calendar, days):
    joined = calendar.join_to_spans(calendar.period_keys(days))
    assert all(before.last + DAY < after.first for before, after in pairwise(joined))


@quickly
@given(CALENDARS, spans())
def test_a_whole_span_is_the_smallest_that_parts_no_period(calendar, days):
    whole = calendar.widen_to_periods(days)
    assert whole.first <= days.first <= days.last <= whole.last
    assert calendar.widen_to_periods(whole) == whole
    assert (calendar.period_start(whole.first), calendar.period_end(whole.last)) == (
        whole.first,
        whole.last,
    )
    assert calendar.period_start(days.first) == whole.first


@quickly
@given(CALENDARS, DATES)
def test_every_day_is_in_the_one_period_that_is_named_by_its_start(calendar, day):
    period = Days(calendar.period_start(day), calendar.period_end(day))
    assert day in period
    assert {calendar.period_start(other) for other in period} == {period.first}


@quickly
@given(CALENDARS, st.lists(DATES, min_size=1, max_size=20))
def test_a_column_of_days_has_the_same_periods(calendar, days):
    found = (
        pl.DataFrame({"day": days})
        .select(calendar.period_start_expr(pl.col("day")))
        .to_series()
        .to_list()
    )
    assert found == [calendar.period_start(day) for day in days]


@pytest.mark.parametrize(
    ("day", "last"),
    [("2023-02-10", "2023-02-28"), ("2024-02-29", "2024-02-29"), ("2024-12-31", "2024-12-31")],
)
def test_a_month_ends_on_its_last_day(day, last):
    assert Monthly(date(2020, 1, 1)).period_end(date.fromisoformat(day)) == date.fromisoformat(last)


@pytest.mark.parametrize(
    ("moment", "timezone", "last"),
    [
        ("2025-12-31T23:30", "UTC", "2025-12-31"),
        ("2025-12-31T23:30", "Europe/Berlin", "2026-01-01"),
        ("2026-01-01T04:30", "America/New_York", "2025-12-31"),
        ("2025-03-29T23:59", "Europe/London", "2025-03-29"),
        ("2025-03-30T23:30", "Europe/London", "2025-03-31"),
        ("2025-10-25T23:30", "Europe/London", "2025-10-26"),
        ("2025-10-26T23:30", "Europe/London", "2025-10-26"),
        ("2025-10-27T00:00", "Europe/London", "2025-10-27"),
    ],
)
def test_a_day_ends_at_the_midnight_of_its_time_zone(moment, timezone, last):
    now = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    assert Daily(date(2020, 1, 1), timezone).days_until(now) == Days(
        date(2020, 1, 1), date.fromisoformat(last)
    )


def test_before_its_first_day_a_calendar_has_that_day_alone():
    first = date(2020, 6, 1)
    assert Daily(first).days_until(datetime(2019, 1, 1, tzinfo=UTC)) == Days(first, first)


def test_neighbouring_months_join_over_the_end_of_a_year():
    keys = [date(2024, 2, 1), date(2023, 12, 1), date(2024, 1, 1), date(2024, 4, 1)]
    assert Monthly(date(2020, 1, 1)).join_to_spans(keys) == [
        Days(date(2023, 12, 1), date(2024, 2, 29)),
        Days(date(2024, 4, 1), date(2024, 4, 30)),
    ]


@pytest.mark.parametrize("calendar", WEEKS, ids=WEEKDAYS)
def test_a_week_has_seven_days_and_begins_on_its_day(calendar):
    week = calendar.widen_to_periods(Days(date(2024, 2, 29), date(2024, 2, 29)))
    assert (len(list(week)), WEEKDAYS[week.first.weekday()]) == (7, calendar.week_starts)


@pytest.mark.parametrize(
    ("first", "starts", "problem"),
    [
        (date(2024, 1, 2), "monday", "start with 2024-01-01"),
        (date(2024, 1, 1), "sunday", "start with 2023-12-31"),
        (date(2024, 1, 1), "Monday", "no day of the week"),
    ],
)
def test_a_calendar_of_weeks_begins_with_a_week(first, starts, problem):
    with pytest.raises(SetupError, match=problem):
        Weekly(first, week_starts=starts)


def test_nothing_joins_to_nothing():
    assert Daily(date(2020, 1, 1)).join_to_spans([]) == []


@quickly
@given(CALENDARS, spans())
def test_the_periods_of_a_span_are_those_of_its_days(calendar, span):
    assert calendar.period_keys(span) == calendar.period_keys(list(span))


@quickly
@given(st.sets(st.dates(date(2024, 1, 1), date(2024, 2, 9))))
def test_days_join_to_spans_that_hold_the_same_days_and_never_touch(days):
    joined = join_days(days)
    assert [day for span in joined for day in span] == sorted(days)
    assert all((after.first - before.last).days > 1 for before, after in pairwise(joined))
