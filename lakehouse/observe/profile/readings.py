"""How a text may be read: as a number, a day, an instant, a yes or no; the strictest that fits.

A reading is a pattern that a text has to match whole, and the arguments of the function of
`lakehouse.tables` that reads such texts.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import polars as pl

BLANKS = " \t\r\n\u00a0\u2009\u202f"


@dataclass(frozen=True)
class Reading:
    """A way to read a text.

    Attributes:
        kind: whole, real, day, instant, local time, yes or no, text.
        words: what people call it.
        pattern: what a text matches, without blanks around it; None if every text does.
        formats: the formats of a day or a time, as Polars and Python name their parts.
        options: arguments of the function that reads it.
    """

    kind: str
    words: str
    pattern: str | None = None
    formats: tuple[str, ...] = ()
    options: dict[str, object] = field(default_factory=dict)

    def fits(self, column: str) -> pl.Expr:
        """Returns whether values of a column of text can be read so; null for null."""
        text = pl.col(column).str.strip_chars(BLANKS)
        if self.formats:
            return self._parse(text).is_not_null() & text.str.contains(f"^(?:{self.pattern})$")
        if self.pattern is None:
            return text.is_not_null()
        return text.str.contains(f"^(?:{self.pattern})$")

    def read(self, column: str) -> pl.Expr:
        """Returns values of a column of text, as they compare with each other."""
        text = pl.col(column).str.strip_chars(BLANKS)
        if self.formats:
            return self._parse(text)
        if self.kind == "whole" and not self.options:
            return text.cast(pl.Int64, strict=False)
        if self.kind in ("whole", "real"):
            return self._read_number(text)
        return pl.col(column)

    def _parse(self, text: pl.Expr) -> pl.Expr:
        if self.kind == "day":
            return text.str.to_date(self.formats[0], strict=False)
        if self.kind == "instant":
            zoned = "%z" in self.formats[0]
            if zoned:
                text = text.str.replace("Z$", "+00:00")
                return text.str.to_datetime(self.formats[0], strict=False, time_unit="us")
        return text.str.to_datetime(self.formats[0], strict=False, time_unit="us")

    def _read_number(self, text: pl.Expr) -> pl.Expr:
        decimal = str(self.options.get("decimal", "."))
        thousands = str(self.options.get("thousands", ""))
        bare = text.str.replace_all(r"[^0-9.,eE+\-]", "")
        if thousands.strip():
            bare = bare.str.replace_all(thousands, "", literal=True)
        return bare.str.replace(decimal, ".", literal=True).cast(pl.Float64, strict=False)


_WHOLE = r"[-+]?(?:0|[1-9]\d{0,17})"
_REAL = r"[-+]?(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?"
_SIGN = r"(?:[-+]\s?)?"
_MONEY = r"(?:[$€£¥]|EUR|USD|GBP|CHF)"
_TEXT = Reading("text", "text")
_DATES = (
    ("%Y-%m-%d", r"\d{4}-\d{1,2}-\d{1,2}"),
    ("%d.%m.%Y", r"\d{1,2}\.\d{1,2}\.\d{4}"),
    ("%d/%m/%Y", r"\d{1,2}/\d{1,2}/\d{4}"),
    ("%m/%d/%Y", r"\d{1,2}/\d{1,2}/\d{4}"),
    ("%Y/%m/%d", r"\d{4}/\d{1,2}/\d{1,2}"),
    ("%d-%m-%Y", r"\d{1,2}-\d{1,2}-\d{4}"),
    ("%m-%d-%Y", r"\d{1,2}-\d{1,2}-\d{4}"),
    ("%d-%b-%Y", r"\d{1,2}-[A-Za-z]{3}-\d{4}"),
    ("%d %b %Y", r"\d{1,2} [A-Za-z]{3} \d{4}"),
    ("%Y%m%d", r"(?:19|20)\d{6}"),
)
_TIMES = (
    ("%H:%M:%S", r"\d{2}:\d{2}:\d{2}"),
    ("%H:%M:%S%.f", r"\d{2}:\d{2}:\d{2}\.\d{1,9}"),
    ("%H:%M", r"\d{2}:\d{2}"),
    ("%I:%M:%S %p", r"\d{1,2}:\d{2}:\d{2} [AaPp][Mm]"),
    ("%I:%M %p", r"\d{1,2}:\d{2} [AaPp][Mm]"),
)
_BOOLEANS = (
    (("true",), ("false",)),
    (("yes",), ("no",)),
    (("ja",), ("nein",)),
    (("oui",), ("non",)),
    (("y",), ("n",)),
    (("t",), ("f",)),
)


def _list_numbers() -> Iterator[Reading]:
    yield Reading("whole", "whole number", _WHOLE)
    yield Reading("real", "real number", _REAL)
    for decimal, thousands, shown in (
        (",", ".", r"\."),
        (".", ",", ","),
        (",", " ", r"[ \x{a0}\x{202f}]"),
        (".", "'", r"['\x{2019}]"),
    ):
        words = "decimal comma" if decimal == "," else "decimal point"
        mark = "," if decimal == "," else r"\."
        plain = {"decimal": ","} if decimal == "," else {}
        if thousands in ".,":
            if plain:
                pattern = rf"{_SIGN}(?:0|[1-9]\d*)(?:{mark}\d+)?"
                yield Reading("real", f"real number, {words}", pattern, (), {**plain})
                yield Reading(
                    "real",
                    f"real number, {words}, %",
                    rf"{pattern}\s?%",
                    (),
                    {**plain, "percent": True},
                )
                yield Reading(
                    "real",
                    f"real number, {words}, currency",
                    rf"{_SIGN}(?:{_MONEY}\s?)?(?:0|[1-9]\d*)(?:{mark}\d+)?(?:\s?{_MONEY})?",
                    (),
                    {**plain, "currency": True},
                )
            else:
                yield Reading("real", "real number, %", rf"{_REAL}\s?%", (), {"percent": True})
                yield Reading(
                    "real",
                    "real number, currency",
                    rf"{_SIGN}(?:{_MONEY}\s?)?{_SIGN}(?:0|[1-9]\d*)(?:\.\d+)?(?:\s?{_MONEY})?",
                    (),
                    {"currency": True},
                )
        group = rf"(?:0|[1-9]\d{{0,2}}(?:{shown}\d{{3}})*|[1-9]\d*)(?:{mark}\d+)?"
        options: dict[str, object] = {**plain, "thousands": thousands}
        grouped = f"real number, {words}, groups of three"
        yield Reading("real", grouped, rf"{_SIGN}{group}", (), options)
        yield Reading(
            "real",
            f"{grouped}, currency",
            rf"{_SIGN}(?:{_MONEY}\s?)?{_SIGN}{group}(?:\s?{_MONEY})?",
            (),
            {**options, "currency": True},
        )


def _list_times() -> Iterator[Reading]:
    for day, shape in _DATES:
        yield Reading("day", f"day, {day}", shape, (day,))
    for day, shape in _DATES:
        for time, clock in _TIMES:
            for joint in ("T", " ") if day == "%Y-%m-%d" else (" ",):
                text_format, pattern = f"{day}{joint}{time}", f"{shape}{joint}{clock}"
                yield Reading("local time", f"local time, {text_format}", pattern, (text_format,))
                if "%p" not in time and day == "%Y-%m-%d":
                    yield Reading(
                        "instant",
                        f"instant, {text_format}%z",
                        rf"{pattern}(?:Z|[-+]\d{{2}}:?\d{{2}})",
                        (f"{text_format}%z",),
                    )


def _list_booleans() -> Iterator[Reading]:
    for true, false in _BOOLEANS:
        words = f"{true[0]} or {false[0]}"
        pattern = f"(?i:{true[0]}|{false[0]})"
        yield Reading("yes or no", words, pattern, (), {"true": true, "false": false})


READINGS = (*_list_numbers(), *_list_times(), *_list_booleans())
"""Every reading but text, the strictest first: of two that fit the same texts the first counts."""

_LEAST_SHARE = 0.95
"""A column is of a type if at least so many of its values can be read; the others are rejects."""


def choose_reading(texts: pl.Series, marks: Iterable[str]) -> tuple[Reading, str | None]:
    """Returns the reading of a column, and why it is not certain.

    Args:
        texts: values of the column.
        marks: texts that count as null.
    """
    filled = texts.str.strip_chars(BLANKS)
    filled = filled.filter(filled.is_not_null() & (filled != "") & ~filled.is_in(list(marks)))
    if filled.is_empty():
        return _TEXT, None
    frame = filled.unique().to_frame("value") if filled.len() > 1000 else filled.to_frame("value")  # noqa: PLR2004
    short = frame.head(50)
    likely = [one for one in READINGS if short.select(one.fits("value").mean()).item() >= 0.5]  # noqa: PLR2004
    if not likely:
        return _TEXT, None
    shares = (
        filled.to_frame("value")
        .select(one.fits("value").mean().alias(str(place)) for place, one in enumerate(likely))
        .row(0)
    )
    best = max(shares)
    if best < _LEAST_SHARE:
        return _TEXT, None
    equal = [one for one, share in zip(likely, shares, strict=True) if share == best]
    return equal[0], _find_doubt(equal)


def _find_doubt(equal: list[Reading]) -> str | None:
    """Returns why one of several readings that fit as well cannot be chosen; None if it can."""
    first = equal[0]
    days = {one.formats[0][:8] for one in equal if one.formats}
    if len(days) > 1 and {"%d/%m/%Y", "%m/%d/%Y"} & days:
        return "day and month cannot be told apart"
    if len(days) > 1 and {"%d-%m-%Y", "%m-%d-%Y"} & days:
        return "day and month cannot be told apart"
    if first.options.get("decimal") == "," and any(
        one.options.get("thousands") == "," for one in equal
    ):
        return "the comma may part decimals or groups of three digits"
    return None
