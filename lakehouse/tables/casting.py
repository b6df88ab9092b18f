"""Typed casts that remember where a value was present and could not be read."""

from collections.abc import Sequence

import polars as pl

from lakehouse.tables.cast_sources import Sources, is_broken_document, list_sources
from lakehouse.tables.years import is_in_first_second, is_in_years, is_of_short_year

_TYPED = "_typed_"
# A sign before a year; that of an offset follows a digit, a letter or a blank.
_SIGNED_YEAR = r"(?:^\s*|[-/.,_])\+[0-9]{4}"
_LEAP_SECOND = (
    r"(?:[0-9]:[0-5][0-9]:|(?:[T ]|[0-9]{8})(?:[01][0-9]|2[0-3])[0-5][0-9])60(?:[^0-9]|$)"
)
UNREAD = "_unread_"
"""Prefix of the Boolean columns in which `cast` remembers that a value could not be read."""


def cast(lf: pl.LazyFrame, **typed: pl.Expr) -> pl.LazyFrame:
    """Adds typed columns, and remembers where a value was present but could not be read.

    Write the casts with `strict=False`: what cannot be read becomes null here, and the engine
    quarantines its row under the rule `<column> can be read`, whether or not the column is
    nullable. A text of blanks counts as missing.

    A value that an expression looks up counts by itself: `str.json_path_match("$.size")`,
    `struct.field("size")`, `list.get(0)`. A key that a record lacks is missing, and so null; a text
    that is no JSON cannot be read.

    A time whose year the text does not give in four digits without a sign cannot be read: for
    Polars, `%Y` takes fewer and more, and `24-03-01` is a day of the year 24. Nor can a leap
    second, which Polars moves into the next minute, and often into the next day.

    Args:
        lf: rows with the columns that the expressions need.
        **typed: the new columns, each an expression over source columns.
    """
    schema = lf.collect_schema()
    types = lf.select(**typed).collect_schema()
    # Each cast gets a temporary name, because a typed column may take the name of its source.
    sources = {name: list_sources(expr, schema) for name, expr in typed.items()}
    temporary = {
        f"{_TYPED}{name}": _drop_odd_times(expr, types[name], sources[name].texts)
        for name, expr in typed.items()
    }
    read = {name: pl.col(f"{_TYPED}{name}") for name in typed}
    unread = {}
    for name in typed:
        is_unread = _was_present(sources[name], read[name].is_null())
        # A column that was cast twice keeps what either cast could not read.
        earlier = f"{UNREAD}{name}"
        unread[earlier] = pl.col(earlier) | is_unread if earlier in schema else is_unread
    return lf.with_columns(**temporary).with_columns(**unread, **read).drop(temporary)


def _drop_odd_times(time: pl.Expr, dtype: pl.DataType, texts: Sequence[pl.Expr]) -> pl.Expr:
    """Returns a time without leap seconds and years not given in four digits; others unchanged."""
    if not isinstance(dtype, pl.Date | pl.Datetime):
        return time
    if not texts:
        return pl.when(is_in_years(time, dtype)).then(time)
    # Nulled first, so that the year of hardly any value is written as text.
    short = pl.when(is_of_short_year(time, dtype)).then(time)
    year = short.dt.to_string("%Y").str.zfill(4)
    is_given = pl.any_horizontal(text.str.contains(year, literal=True) for text in texts)
    is_odd = _contain(texts, _SIGNED_YEAR) | _is_leap_second(time, dtype, texts)
    return pl.when(is_in_years(time, dtype) & (short.is_null() | is_given) & ~is_odd).then(time)


def _is_leap_second(
    time: pl.Expr, dtype: pl.Date | pl.Datetime, texts: Sequence[pl.Expr]
) -> pl.Expr:
    """Returns whether a time was read from a text with the second 60."""
    if isinstance(dtype, pl.Datetime):
        return is_in_first_second(time, dtype).fill_null(False) & _contain(texts, _LEAP_SECOND)
    # A day may be read from a part of the text, which then gives it.
    is_leap = _contain(texts, _LEAP_SECOND)
    day = pl.when(is_leap & is_in_years(time, dtype)).then(time).dt.to_string("%Y-%m-%d")
    is_given = pl.any_horizontal(
        text.str.contains(day, literal=True).fill_null(False) for text in texts
    )
    return is_leap & ~is_given


def _contain(texts: Sequence[pl.Expr], pattern: str) -> pl.Expr:
    return pl.any_horizontal(text.str.contains(pattern).fill_null(False) for text in texts)


def _was_present(sources: Sources, where: pl.Expr) -> pl.Expr:
    """Returns whether everything that an expression reads was present; false outside of `where`."""
    if not sources.texts and not sources.others:
        return pl.lit(False)
    # The other rows are nulled first: where every value can be read this costs next to nothing.
    texts = [pl.when(where).then(text).str.strip_chars() for text in sources.texts]
    present = [text.ne("").fill_null(False) for text in texts]
    present += [other.is_not_null() for other in sources.others]
    broken = [is_broken_document(pl.when(where).then(text)) for text in sources.documents]
    return where & pl.any_horizontal(pl.all_horizontal(present), *broken)
