"""The years 1 to 9999: the days and instants that Python, SQL and most readers can hold."""

from datetime import date

import polars as pl

_EPOCH = date(1970, 1, 1)
_FIRST, _LAST = ((day - _EPOCH).days for day in (date.min, date.max))
_PER_DAY = {unit: 86_400 * count for unit, count in (("ms", 10**3), ("us", 10**6), ("ns", 10**9))}
_MOST_DAYS = 95_000_000
"""The years of chrono, Polars' calendar, end 262,142 years from our era."""
_FIRST_OF_FOUR_DIGITS = (date(1000, 1, 1) - _EPOCH).days


def is_in_years(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Returns whether a day or an instant lies in the years 1 to 9999; null where it is missing."""
    return _is_between(value, dtype, _FIRST, _LAST)


def is_of_short_year(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Returns whether a day or an instant lies in the years 1 to 999."""
    return _is_between(value, dtype, _FIRST, _FIRST_OF_FOUR_DIGITS - 1)


def is_in_first_second(value: pl.Expr, dtype: pl.Datetime) -> pl.Expr:
    """Returns whether an instant lies in the first second of a minute."""
    per_second = _PER_DAY[dtype.time_unit] // 86_400
    return value.to_physical() % (60 * per_second) < per_second


def can_be_written(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Returns whether Polars can write a day or an instant as text; it panics beyond that."""
    return _is_between(value, dtype, -_MOST_DAYS, _MOST_DAYS)


def _is_between(value: pl.Expr, dtype: pl.DataType, first: int, last: int) -> pl.Expr:
    # Compared as numbers: Polars panics when it makes a date of a number that is none.
    number = value.to_physical().cast(pl.Int128)
    if not isinstance(dtype, pl.Datetime):
        return number.is_between(first, last)
    per_day = _PER_DAY[dtype.time_unit]
    return number.is_between(first * per_day, (last + 1) * per_day - 1)
