"""Calendars: the periods in which windowed tables are made again.

Belongs here: spans of days, and which periods a table has. Dagster's partitions are built from these elsewhere.
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
        """The span with a number of days more at each end."""
        return Days(self.first - _DAY * back, self.last + _DAY * ahead)

    def clip(self, bounds: "Days") -> "Days | None":
        """The part inside `bounds`; None when there is none."""
        first, last = max(self.first, bounds.first), min(self.last, bounds.last)
        return Days(first, last) if first <= last else None


def join_days(days: Iterable[date]) -> list[Days]:
    """Neighbouring days joined to spans, in order."""
    joined: list[Days] = []
    for day in sorted(set(days)):
        is_next = bool(joined) and day - joined[-1].last == _DAY
        joined[-1:] = [Days(joined[-1].first, day)] if is_next else [*joined[-1:], Days(day, day)]
    return joined


@dataclass(frozen=True)
class Daily:
    """A period a day: from a first day to today, in one time zone.

    Attributes:
        first: the first day; rows that carry no day, or one that does not exist here, are judged with it.
        timezone: whose midnight ends a day.
    """

    first: date
    timezone: str = "UTC"

    def days_until(self, now: datetime) -> Days:
        """All days up to and including the day of `now`."""
        return Days(self.first, max(self.first, now.astimezone(ZoneInfo(self.timezone)).date()))

    def period_start(self, day: date) -> date:
        """The day by which a period is named, for a day in it."""
        return day

    def period_end(self, day: date) -> date:
        """The last day of the period that a day is in."""
        return day

    def period_start_expr(self, day: pl.Expr) -> pl.Expr:
        """`period_start` for a column."""
        return day

    def widen_to_periods(self, days: Days) -> Days:
        """The span widened to whole periods."""
        return Days(self.period_start(days.first), self.period_end(days.last))

    def period_keys(self, days: Iterable[date]) -> list[date]:
        """The names of the periods that some days are in, in order."""
        return (
            self._keys_of(days)
            if isinstance(days, Days)
            else sorted({self.period_start(day) for day in days})
        )

    def _keys_of(self, days: Days) -> list[date]:
        return list(days)

    def join_to_spans(self, keys: Iterable[date]) -> list[Days]:
        """Neighbouring periods joined to spans of whole periods, in order."""
        joined: list[Days] = []
        for key in sorted(set(keys)):
            if joined and key - joined[-1].last == _DAY:
                joined[-1] = Days(joined[-1].first, self.period_end(key))
            else:
                joined.append(Days(key, self.period_end(key)))
        return joined


@dataclass(frozen=True)
class Monthly(Daily):
    """A period a calendar month, named by its first day."""

    def __post_init__(self) -> None:
        if self.first.day != 1:
            raise SetupError(
                f"Monthly({self.first}) begins within a month.\nNext: begin with {self.first.replace(day=1)}."
            )

    def period_start(self, day: date) -> date:
        """The first day of the month."""
        return day.replace(day=1)

    def period_end(self, day: date) -> date:
        """The last day of the month."""
        return (day.replace(day=28) + 4 * _DAY).replace(day=1) - _DAY

    def period_start_expr(self, day: pl.Expr) -> pl.Expr:
        """`period_start` for a column."""
        return day.dt.month_start()

    def _keys_of(self, days: Days) -> list[date]:
        first, last = (day.year * 12 + day.month - 1 for day in (days.first, days.last))
        months = range(first, last + 1) if days.first <= days.last else ()
        return [date(month // 12, month % 12 + 1, 1) for month in months]


class WholeTable(Enum):
    """The one period of a table without partitions."""

    WHOLE_TABLE = "the whole table"


WHOLE_TABLE = WholeTable.WHOLE_TABLE

PeriodKey = date | WholeTable
"""A period by its first day; `WHOLE_TABLE` for a table without partitions."""

Physical = Literal["day", "month", "year"]
