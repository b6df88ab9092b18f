"""Values of a workbook as texts that lose nothing.

| in the cell | text |
|---|---|
| a number | all its digits, whole ones without `.0`: `7`, `0.125`; a percentage is its number |
| a day | `2024-01-31`; `2024-01-31 00:00:00` where its column has times of day too |
| a day with a time | `2024-01-31 23:59:59.5`; `2024-01-31T22:59:59.5+00:00` if a zone is declared |
| a time of day, a duration | `08:30:00`, `P1DT12H` |
| yes or no | `true`, `false` |
| an error | as it is shown: `#N/A` |
| a text | as it is, with its zeros and blanks; an empty one is null |
"""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

_WHOLE = 1e21  # from here on, most digits of a whole number come from its binary form
_SMALL = 1e-15
_DAY = 86_400


def spell_number(value: float) -> str:
    """Returns a number with all its digits, and without an exponent unless it is very long."""
    if value.is_integer() and abs(value) < _WHOLE:
        return str(int(value))
    shortest = repr(value)
    is_plain = "e" not in shortest or not _SMALL < abs(value) < _WHOLE
    return shortest if is_plain else format(Decimal(shortest), "f")


def spell_other(value: Any) -> str:  # noqa: ANN401, what a cell may hold
    """Returns a truth value, a time of day, a duration or anything else as text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, time):
        return _cut(value.isoformat())
    return _spell_duration(value) if isinstance(value, timedelta) else str(value)


def _cut(text: str) -> str:
    """Returns a time without zeros at the end of its fraction."""
    return text.rstrip("0") if "." in text else text


def _spell_duration(value: timedelta) -> str:
    """Returns a duration in the form of ISO 8601 that Polars gives to those of Parquet."""
    sign, size = ("-", -value) if value < timedelta() else ("", value)
    minutes, seconds = divmod(size.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = _cut(f".{size.microseconds:06}") if size.microseconds else ""
    clock = "".join(f"{n}{unit}" for n, unit in ((hours, "H"), (minutes, "M")) if n)
    clock += f"{seconds}{fraction}S" if seconds or fraction else ""
    days = f"{size.days}D" if size.days else ""
    return f"{sign}P{days}T{clock}" if clock else f"{sign}P{days}" if days else "PT0S"


class Clock:
    """Days with times of day as texts: as they are, or as instants if their zone is declared.

    Attributes:
        repeated: how many times a clock change repeats; each is taken for the earlier instant.
        skipped: how many times a clock change skips; each is moved forward by what it skips.
    """

    def __init__(self, zone: str | None) -> None:
        self._zone = ZoneInfo(zone) if zone else None
        self.repeated = self.skipped = 0

    def spell(self, value: date) -> str:
        """Returns a day and a time of day as text."""
        local = value if isinstance(value, datetime) else datetime.combine(value, time())
        if self._zone is None:
            return _cut(local.isoformat(" "))
        first = local.replace(tzinfo=self._zone)
        instant = first.astimezone(UTC)
        if instant.astimezone(self._zone).replace(tzinfo=None) != local:
            self.skipped += 1
        elif first.replace(fold=1).utcoffset() != first.utcoffset():
            self.repeated += 1
        return _cut(instant.replace(tzinfo=None).isoformat()) + "+00:00"
