"""Calendars: the periods in which a partitioned table is rebuilt.

Belongs here: spans of days, and periods. Does not belong here: Dagster's partitions, which
`orchestration/partitions.py` builds from these.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import Enum
from typing import Literal
from zoneinfo import ZoneInfo

import polars as pl

from lakehouse.errors import SetupError

_DAY = timedelta(days=1)

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

Physical = Literal["day", "month", "year"]
"""The unit by which a table's files are partitioned; it is independent of the table's periods."""


@dataclass(frozen=True, order=True)
class Days:
    """A span of days, both ends included."""

    first: date
    last: date

    def __iter__(self) -> Iterator[date]:
        return map(date.fromordinal, range(self.first.toordinal(), self.last.toordinal() + 1))

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}...{self.last}"

    def __contains__(self, day: date) -> bool:
        return self.first <= day <= self.last

    def widen(self, *, back: int = 0, ahead: int = 0) -> "Days":
        """Returns the span with `back` more days before it and `ahead` more after it."""
        return Days(self.first - _DAY * back, self.last + _DAY * ahead)

    def clip(self, bounds: "Days") -> "Days | None":
        """Returns the part of the span inside `bounds`; None when there is none."""
        first, last = max(self.first, bounds.first), min(self.last, bounds.last)
        return Days(first, last) if first <= last else None


def join_days(days: Iterable[date]) -> list[Days]:
    """Returns the spans that some days form, in order; adjacent days are joined."""
    spans: list[Days] = []
    for day in sorted(set(days)):
        if spans and day - spans[-1].last == _DAY:
            spans[-1] = Days(spans[-1].first, day)
        else:
            spans.append(Days(day, day))
    return spans


@dataclass(frozen=True)
class Daily:
    """A calendar with one period per day, from a first day to today, in one time zone.

    Attributes:
        first: the first day. Rows without a day, or with one outside the calendar, are judged with
            it.
        timezone: the time zone whose midnight ends a day.
    """

    first: date
    timezone: str = "UTC"

    def days_until(self, now: datetime) -> Days:
        """Returns all days of the calendar, up to and including the day of `now`."""
        # Never empty: before the first day there is that day, with which undated rows are judged.
        return Days(self.first, max(self.first, now.astimezone(ZoneInfo(self.timezone)).date()))

    def period_start(self, day: date) -> date:
        """Returns the first day of the period that holds a day; it is the key of the period."""
        return day

    def period_end(self, day: date) -> date:
        """Returns the last day of the period that holds a day."""
        return day

    def period_start_expr(self, day: pl.Expr) -> pl.Expr:
        """Returns `period_start` as an expression."""
        return day

    def widen_to_periods(self, days: Days) -> Days:
        """Returns a span widened to whole periods."""
        return Days(self.period_start(days.first), self.period_end(days.last))

    def period_keys(self, days: Iterable[date]) -> list[date]:
        """Returns the keys of the periods that hold some days, in order."""
        if isinstance(days, Days):
            return self._keys_of_span(days)  # counted, not collected day by day
        return sorted({self.period_start(day) for day in days})

    def _keys_of_span(self, days: Days) -> list[date]:
        return list(days)

    def join_to_spans(self, keys: Iterable[date]) -> list[Days]:
        """Returns the spans that some periods form, in order; adjacent periods are joined."""
        spans: list[Days] = []
        for key in sorted(set(keys)):
            # A span ends with its last period, so the key of the next one is a day later.
            if spans and key - spans[-1].last == _DAY:
                spans[-1] = Days(spans[-1].first, self.period_end(key))
            else:
                spans.append(Days(key, self.period_end(key)))
        return spans


@dataclass(frozen=True)
class Monthly(Daily):
    """A calendar with one period per month, whose key is the first day of the month."""

    def __post_init__(self) -> None:
        # Otherwise the key of the first month would be a day before the calendar.
        if self.first.day != 1:
            raise SetupError(
                f"Monthly({self.first}) does not start on the first day of a month.\n"
                f"Next: start with {self.first.replace(day=1)}."
            )

    def period_start(self, day: date) -> date:
        """Returns the first day of the month."""
        return day.replace(day=1)

    def period_end(self, day: date) -> date:
        """Returns the last day of the month."""
        # Four days after the 28th is in the next month, whatever the length of this one.
        return (day.replace(day=28) + 4 * _DAY).replace(day=1) - _DAY

    def period_start_expr(self, day: pl.Expr) -> pl.Expr:
        """Returns `period_start` as an expression."""
        return day.dt.month_start()

    def _keys_of_span(self, days: Days) -> list[date]:
        # Months since year 0: a span of decades needs no loop over its days.
        first, last = (day.year * 12 + day.month - 1 for day in (days.first, days.last))
        months = range(first, last + 1) if days.first <= days.last else ()
        return [date(month // 12, month % 12 + 1, 1) for month in months]


@dataclass(frozen=True)
class Weekly(Daily):
    """A calendar with one period per week, whose key is the first day of the week.

    Attributes:
        week_starts: the day with which a week begins, such as `sunday`; Monday by default.
    """

    week_starts: str = "monday"

    def __post_init__(self) -> None:
        if self.week_starts not in WEEKDAYS:
            raise SetupError(
                f"Weekly: week_starts is {self.week_starts!r}, which is no day of the week.\n"
                f"Next: name one of {', '.join(WEEKDAYS)}."
            )
        # Otherwise the key of the first week would be a day before the calendar.
        if self.period_start(self.first) != self.first:
            raise SetupError(
                f"Weekly({self.first}) does not start on a {self.week_starts.capitalize()}.\n"
                f"Next: start with {self.period_start(self.first)}, or name `week_starts`."
            )

    @property
    def _days_after_monday(self) -> int:
        return WEEKDAYS.index(self.week_starts)

    def period_start(self, day: date) -> date:
        """Returns the first day of the week."""
        return day - (day.weekday() - self._days_after_monday) % 7 * _DAY

    def period_end(self, day: date) -> date:
        """Returns the last day of the week."""
        return self.period_start(day) + 6 * _DAY

    def period_start_expr(self, day: pl.Expr) -> pl.Expr:
        """Returns `period_start` as an expression."""
        # Polars' weeks begin on Monday.
        shift = self._days_after_monday
        return day.dt.offset_by(f"-{shift}d").dt.truncate("1w").dt.offset_by(f"{shift}d")

    def _keys_of_span(self, days: Days) -> list[date]:
        first = self.period_start(days.first)
        return [first + _DAY * n for n in range(0, (days.last - first).days + 1, 7)]


# One member of an Enum: unlike None it means one thing, and `is` narrows its type.
class WholeTable(Enum):
    """The one period of a table without partitions."""

    WHOLE_TABLE = "the whole table"


WHOLE_TABLE = WholeTable.WHOLE_TABLE

PeriodKey = date | WholeTable
"""The key of a period, its first day; `WHOLE_TABLE` for a table without partitions."""
