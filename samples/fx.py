"""Invented euro reference rates in the ECB's form: a wide table, newest day first.

Rates walk at random from invented levels; holidays and the life of a currency are as they were.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from random import Random

from samples.days import ONE_DAY, Run
from samples.files import PREFIX, put, zipped
from samples.truth import RateTruth

_MEMBER = "eurofxref-hist.csv"
_LEAD = timedelta(days=30)
_SATURDAY = 5


@dataclass(frozen=True)
class _Currency:
    """A column of the table: start level, decimals, spread, first and last day with a rate."""

    code: str
    level: float
    decimals: int
    spread: float = 0.005
    first: date = date.min
    last: date = date.max


_CURRENCIES = (
    _Currency("USD", 1.3, 4),
    _Currency("JPY", 115, 2),
    _Currency("CZK", 25, 3, 0.003),
    _Currency("DKK", 7.45, 4, 0.0001),
    _Currency("EEK", 15.6466, 4, 0, last=date(2010, 12, 31)),
    _Currency("GBP", 0.86, 5),
    _Currency("SEK", 9.2, 4),
    _Currency("CHF", 1.3, 4),
    _Currency("ISK", 140, 1, first=date(2018, 2, 1)),
    _Currency("NOK", 8, 4),
    _Currency("HRK", 7.4, 4, 0.001, last=date(2022, 12, 30)),
    _Currency("AUD", 1.4, 4),
    _Currency("CAD", 1.35, 4),
)


def write_rates(out: Path, run: Run) -> RateTruth:
    """Write the zip with all rates from 30 days before the run to its end.

    Args:
        out: the landing folder.
        run: what was asked for.
    """
    levels = {currency.code: float(currency.level) for currency in _CURRENCIES}
    lines, missing = [], dict.fromkeys(levels, 0)
    day = run.start - _LEAD
    while day <= run.last:
        if _is_set(day):
            _walk(levels, Random(f"{run.seed} {day} rates"))
            cells = {
                currency.code: _cell(currency, day, levels[currency.code])
                for currency in _CURRENCIES
            }
            lines.append(",".join([str(day), *cells.values(), ""]))
            for code, cell in cells.items():
                missing[code] += cell == "N/A"
        day += ONE_DAY
    header = ",".join(["Date", *levels, ""])
    content = "\n".join([header, *reversed(lines), ""]).encode()
    put(out / "fx_rates" / f"{PREFIX}eurofxref-hist.zip", zipped(_MEMBER, content, run.last))
    return RateTruth(
        files=1,
        days=len(lines),
        currencies=len(levels),
        cells=len(lines) * len(levels),
        cells_missing=sum(missing.values()),
        currencies_missing={code: count for code, count in missing.items() if count},
    )


def _walk(levels: dict[str, float], rng: Random) -> None:
    for currency in _CURRENCIES:
        pull = 0.01 * (
            currency.level / levels[currency.code] - 1
        )  # back to the start, so that no run drifts away
        levels[currency.code] *= 1 + pull + rng.gauss(0, currency.spread)


def _cell(currency: _Currency, day: date, level: float) -> str:
    """A rate as text, zeros at its end left out."""
    if not currency.first <= day <= currency.last:
        return "N/A"
    return f"{level:.{currency.decimals}f}".rstrip("0").rstrip(".")


def _is_set(day: date) -> bool:
    return day.weekday() < _SATURDAY and day not in _holidays(day.year)


@cache
def _holidays(year: int) -> frozenset[date]:
    """Days on which the TARGET system is closed."""
    sunday = _easter(year)
    fixed = ((1, 1), (5, 1), (12, 25), (12, 26))
    return frozenset(
        {sunday - 2 * ONE_DAY, sunday + ONE_DAY, *(date(year, month, day) for month, day in fixed)}
    )


def _easter(year: int) -> date:
    """Easter Sunday by the rule of Gauss, valid from 1900 to 2099."""
    moon = (19 * (year % 19) + 24) % 30
    week = (2 * (year % 4) + 4 * (year % 7) + 6 * moon + 5) % 7
    days = moon + week
    if (moon, week) == (29, 6) or ((moon, week) == (28, 6) and year % 19 > 10):  # noqa: PLR2004
        days -= 7
    return date(year, 3, 22) + ONE_DAY * days
