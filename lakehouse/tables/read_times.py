"""Days and instants read from text by declared formats, for `cast`.

Belongs here: what a text of a day or an instant means. Nothing is guessed: a text that no format
reads is null, and `cast` quarantines its row under `<column> can be read`.
Does not belong here: which texts a format reads (`time_formats.py`), numbers (`read_numbers.py`).
"""

from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl

from lakehouse.errors import SetupError
from lakehouse.tables.time_formats import build_pattern, expand_format, names_offset

_LOCAL, _UTC = pl.Datetime("us"), pl.Datetime("us", "UTC")
_FIRST_OF_POLARS = 1970
"""Polars takes two digits for a year from 1970 to 2069."""

_DIGITS_AFTER: dict[str, int] = {"s": 6, "ms": 3, "us": 0}
"""Digits between a unit and microseconds."""

_EXCEL_1970 = {1900: 25_569, 1904: 24_107}
"""Excel's number of 1 January 1970, by the year from which a workbook counts."""

_FICTION, _LAST_DAY = 60, 2_932_896
"""Excel's number of a day that never was, and the last day of the year 9999 counted from 1970."""


def read_date(
    column: str | pl.Expr, *formats: str, two_digit_years_from: int | None = None
) -> pl.Expr:
    """Reads days from text by the first of some formats that reads it; else null.

    A format reads only what it says: four digits for `%Y`, two for `%y`. A day or a month may have
    one digit, unless another number touches it, as in `%Y%m%d`. A time of the day in the text is
    read and left out. Blanks around the text are ignored. Months and weekdays are English.

    Args:
        column: a column of text, or an expression.
        *formats: formats such as `%d.%m.%Y`.
        two_digit_years_from: the first of the hundred years that two digits (`%y`) stand for. From
            1950, `49` is 2049 and `50` is 1950.

    Raises:
        SetupError: a format cannot be read, or two digits are a year and nothing says which.
    """
    return pl.coalesce(
        _read(column, one, pl.Date(), two_digit_years_from)
        for one in _expand("read_date", formats, two_digit_years_from)
    )


def read_instant(
    column: str | pl.Expr,
    *formats: str,
    time_zone: str | None = None,
    two_digit_years_from: int | None = None,
) -> pl.Expr:
    """Reads instants from text by the first of some formats that reads it, as UTC; else null.

    A format with `%z` (`+02:00`, `+0200`, `+02`, `Z`) or with `Z` at its end names an instant by
    itself; any other gives the local time of `time_zone`. Of a local time that exists twice the
    earlier one counts, and one that a clock change skips is null. A format without a time of the
    day means the beginning of the day. Digits beyond microseconds are cut off.

    Args:
        column: a column of text, or an expression.
        *formats: formats such as `%Y-%m-%d %H:%M:%S`; a fraction of a second is `%.f`.
        time_zone: the zone of local times, such as `Europe/Berlin`.
        two_digit_years_from: see `read_date`.

    Raises:
        SetupError: a format cannot be read, or is one of local times and no zone is named.
    """
    instants = []
    for text_format in _expand("read_instant", formats, two_digit_years_from):
        if names_offset(text_format):
            instants.append(_read_with_offset(column, text_format))
            continue
        zone = "UTC" if text_format.endswith("Z") else _check_zone(text_format, time_zone)
        local = _read(column, text_format, _LOCAL, two_digit_years_from)
        in_zone = local.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
        instants.append(in_zone.dt.convert_time_zone("UTC"))
    return pl.coalesce(instants)


def read_epoch(column: str | pl.Expr, unit: Literal["s", "ms", "us"] = "s") -> pl.Expr:
    """Reads instants from the time since 1970 in UTC, as a number or its text; else null.

    Args:
        column: a column of whole numbers or of text, or an expression; a fraction is read too, and
            what is beyond microseconds is cut off.
        unit: the unit of the numbers: seconds, milliseconds or microseconds.

    Raises:
        SetupError: there is no such unit.
    """
    if unit not in _DIGITS_AFTER:
        raise SetupError(f"read_epoch: there is no unit {unit!r}.\nNext: name one of s, ms, us.")
    after = _DIGITS_AFTER[unit]
    # So many digits that microseconds fit into 64 bits.
    text = _keep(_as_text(column), rf"^-?[0-9]{{1,{18 - after}}}(?:\.[0-9]{{1,12}})?$")
    whole = text.str.extract(r"^(-?[0-9]+)")
    fraction = text.str.extract(r"\.([0-9]+)$").fill_null("").str.pad_end(after, "0")
    # As one text: a product of numbers and a sum would have to mind the sign.
    digits = pl.concat_str(whole, fraction.str.head(after))
    return digits.cast(pl.Int64, strict=False).cast(_UTC)


def read_excel_date(column: str | pl.Expr, system: Literal[1900, 1904] = 1900) -> pl.Expr:
    """Reads days from the numbers by which Excel stores them, as numbers or text; else null.

    Number 60 stands for 29 February 1900 in Excel, which never was: it cannot be read. Nor can a
    number with a fraction, which is a time of the day.

    Args:
        column: a column of numbers or of text, or an expression.
        system: the year from which the workbook counts; 1904 in some that were made on a Mac.

    Raises:
        SetupError: there is no such system.
    """
    if system not in _EXCEL_1970:
        raise SetupError(
            f"read_excel_date: there is no system {system!r}.\nNext: name 1900 or 1904."
        )
    text = _keep(_as_text(column), r"^[0-9]{1,7}(?:\.0*)?$")
    number = text.str.extract("^([0-9]+)").cast(pl.Int64, strict=False)
    if system == 1900:  # noqa: PLR2004 - the year itself
        # Before the day that never was, all numbers are one too small.
        is_early = number.is_between(1, _FICTION - 1)
        number = pl.when(number > _FICTION).then(number).when(is_early).then(number + 1)
    days = number - _EXCEL_1970[system]
    return pl.when(days <= _LAST_DAY).then(days).cast(pl.Int32, strict=False).cast(pl.Date)


def _expand(function: str, formats: tuple[str, ...], pivot: int | None) -> list[str]:
    if not formats:
        raise SetupError(
            f'{function}: no format is named.\nNext: name one, as in {function}("at", "%Y-%m-%d").'
        )
    expanded = [expand_format(one, function) for one in formats]
    for text_format in expanded:
        if "%y" not in text_format:
            continue
        if names_offset(text_format):
            raise SetupError(
                f"{function}: {text_format!r} reads years of two digits beside an offset.\n"
                "Next: read a year of four digits with %Y."
            )
        if pivot is None:
            raise SetupError(
                f"{function}: {text_format!r} reads years of two digits, and nothing says which.\n"
                "Next: name the first that they can mean, as in two_digit_years_from=1950."
            )
    return expanded


def _check_zone(text_format: str, zone: str | None) -> str:
    if zone is None:
        raise SetupError(
            f"read_instant: {text_format!r} reads local times, and no zone is named.\n"
            'Next: name it, as in time_zone="Europe/Berlin", or read the offset with %z.'
        )
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise SetupError(
            f"read_instant: there is no time zone {zone!r}.\n"
            'Next: name one such as "UTC" or "Europe/Berlin".'
        ) from error
    return zone


def _read(
    column: str | pl.Expr, text_format: str, dtype: pl.Date | pl.Datetime, pivot: int | None
) -> pl.Expr:
    text = pl.col(column) if isinstance(column, str) else column
    kept = _keep(text.str.strip_chars(), build_pattern(text_format))
    time = kept.str.strptime(dtype, text_format, strict=False)
    return _shift_centuries(time, pivot) if pivot is not None and "%y" in text_format else time


def _read_with_offset(column: str | pl.Expr, text_format: str) -> pl.Expr:
    text = pl.col(column) if isinstance(column, str) else column
    kept = _keep(text.str.strip_chars(), build_pattern(text_format))
    if text_format.endswith("%z"):
        # Polars takes neither.
        kept = kept.str.replace("Z$", "+00:00").str.replace("([+-][0-9]{2})$", "${1}:00")
    return kept.str.strptime(_UTC, text_format, strict=False)


def _shift_centuries(time: pl.Expr, pivot: int) -> pl.Expr:
    """Returns times of two-digit years, which Polars puts into 1970 to 2069, from a year on."""
    centuries = (pivot - _FIRST_OF_POLARS) // 100
    moved = pl.coalesce(
        _drop_before(_move(time, 100 * years), pivot) for years in (centuries, centuries + 1)
    )
    # The year 00 alone is a leap year in some centuries and not in others.
    is_kept = (moved.dt.month() == time.dt.month()) & (moved.dt.day() == time.dt.day())
    return pl.when(is_kept).then(moved)


def _move(time: pl.Expr, years: int) -> pl.Expr:
    return time.dt.offset_by(f"{years}y")


def _drop_before(time: pl.Expr, year: int) -> pl.Expr:
    return pl.when(time.dt.year() >= year).then(time)


def _as_text(column: str | pl.Expr) -> pl.Expr:
    text = pl.col(column) if isinstance(column, str) else column
    return text.cast(pl.String).str.strip_chars()


def _keep(text: pl.Expr, pattern: str) -> pl.Expr:
    return pl.when(text.str.contains(pattern)).then(text)
