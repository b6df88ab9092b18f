"""The days of a run, and how much of each kind of thing happens on a day.

Every number follows from the seed and the date, never from how many days are asked for.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import count
from math import floor
from random import Random

ONE_DAY = timedelta(days=1)
_SATURDAY = 5
_AT_LEAST_EVERY = 11  # days; no multiple of 7, so that no kind falls on Saturdays only
_EPISODE = 60  # days from one late or repeated delivery to the next
_MOST_NUMBERS = 900_000
_FIRST_NUMBER = 536_000
_EPOCH = date(2010, 12, 1)


def is_open(day: date) -> bool:
    """Whether the shop delivers a file of this day: not of Saturdays."""
    return day.weekday() != _SATURDAY


def list_open_days_before(day: date) -> Iterator[date]:
    """Yields the days before one of which the shop delivers a file, the latest first."""
    return (one for n in count(1) if is_open(one := day - ONE_DAY * n))


@dataclass(frozen=True)
class Run:
    """What was asked for.

    Attributes:
        days: calendar days.
        rows: invoice lines on a mean day.
        seed: everything random follows from it.
        start: the first day.

    Raises:
        ValueError: a number is out of range.
    """

    days: int
    rows: int
    seed: int
    start: date

    def __post_init__(self) -> None:
        if self.days < 1 or self.rows < 1:
            raise ValueError(f"Days and rows must be at least 1, not {self.days} and {self.rows}.")
        if self.block > _MOST_NUMBERS:
            raise ValueError(
                f"{self.rows:,} rows a day need more invoice numbers than six digits hold."
            )

    @property
    def last(self) -> date:
        """The last calendar day."""
        return self.start + ONE_DAY * (self.days - 1)

    @property
    def block(self) -> int:
        """How many invoice numbers a day has for itself."""
        return self.rows // 2 + 100

    def open_days(self) -> Iterator["Day"]:
        """The days with a file, oldest first."""
        for n in range(self.days):
            if is_open(day := self.start + ONE_DAY * n):
                yield Day(self, day)


@dataclass(frozen=True)
class Day:
    """One day of a run."""

    run: Run
    date: date

    def random(self, purpose: str) -> Random:
        """The day's own source of chance for one purpose."""
        return Random(f"{self.run.seed} {self.date} {purpose}")

    def number(self, position: int) -> int:
        """Returns the invoice number at a position of the day's block, out of 900,000 numbers."""
        offset = (self.date - _EPOCH).days * self.run.block + position % self.run.block
        return 100_000 + (_FIRST_NUMBER - 100_000 + offset) % _MOST_NUMBERS

    def planned(self, kind: str, share: float) -> int:
        """Returns how often a kind happens today: a share of the rows, at least once in 11 days."""
        rate = max(self.run.rows * share, 1 / _AT_LEAST_EVERY)
        phase = Random(f"{self.run.seed} {kind}").random()
        position = self.date.toordinal()
        return floor((position + 1) * rate + phase) - floor(position * rate + phase)

    def is_first_open_after(self, offset: int) -> bool:
        """Returns whether this is the first open day at or after a day of an episode of 60 days."""
        into = (self.date - self.run.start).days % _EPISODE
        return into >= offset and not any(
            is_open(self.date - ONE_DAY * n) for n in range(1, into - offset + 1)
        )

    @property
    def late_from(self) -> "Day | None":
        """The earlier day of which this day's file brings some lines; None for most files."""
        if not self.is_first_open_after(11):
            return None
        earlier = (self.date - ONE_DAY * n for n in range(2, 16))
        return next(
            (Day(self.run, day) for day in earlier if is_open(day) and day >= self.run.start), None
        )

    @property
    def is_delivered_twice(self) -> bool:
        """Whether this day's file comes a second time under another name."""
        return self.is_first_open_after(4)
