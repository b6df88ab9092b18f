"""Which type holds the values of two, and whether a value goes into a type whole.

The types widen as Delta Lake's own type widening does: whole numbers and real numbers into larger ones, whole numbers
of up to 32 bits into doubles, decimals into longer ones. What a file asks of a column depends on the file and on the
declared type alone, never on what other files made of the column: so the order of deliveries does not decide anything.
"""

from collections.abc import Mapping

import polars as pl

_WHOLE = (pl.Int8(), pl.Int16(), pl.Int32(), pl.Int64())
_REAL = (pl.Float32(), pl.Float64())
_MOST_DIGITS = 38
_INSTANT = pl.Datetime("us", "UTC")


def find_common_type(one: pl.DataType, other: pl.DataType) -> pl.DataType | None:
    """The least type that holds what both hold; None if there is none."""
    if one == other:
        return one
    for types in (_WHOLE, _REAL):
        if one in types and other in types:
            return max(one, other, key=types.index)
    if {one, other} <= {*_WHOLE, *_REAL}:
        return pl.Float64()
    if isinstance(one, pl.Decimal) and isinstance(other, pl.Decimal) and one.scale == other.scale:
        return pl.Decimal(max(one.precision, other.precision), one.scale)
    return None


def list_allowed_types(
    declared: pl.DataType, delivered: pl.DataType, *, is_read: bool
) -> tuple[pl.DataType, ...]:
    """The types that a column of a declared type may take for a delivered one, the narrowest first; none if it may not.

    Args:
        declared: the type that the column is declared with.
        delivered: the type of the values.
        is_read: whether text may be read as the column's type, as that of formats without types has to be.
    """
    if delivered in (declared, pl.Null):
        return (declared,)
    if declared == pl.String:
        return () if loses_as_text(delivered) else (declared,)
    if delivered == pl.String:
        return _read(declared) if is_read else ()
    if isinstance(declared, pl.Decimal) and isinstance(delivered, pl.Decimal):
        return (_longer(declared, delivered),)
    if declared == pl.Int64 and delivered in _REAL:
        return (declared,)  # as far as they are whole: a double cannot hold every number of 64 bits
    widest = find_common_type(declared, delivered) if declared in (*_WHOLE, *_REAL) else None
    return () if widest is None else (widest,)


def _read(declared: pl.DataType) -> tuple[pl.DataType, ...]:
    """What text may be read as."""
    if declared not in _WHOLE:
        return () if loses_as_text(declared) else (declared,)
    return (*_WHOLE[_WHOLE.index(declared) :], *(() if declared == pl.Int64 else (pl.Float64(),)))


def _longer(declared: pl.Decimal, delivered: pl.Decimal) -> pl.Decimal:
    """A decimal of the declared scale that holds the whole digits of both."""
    digits = max(each.precision - each.scale for each in (declared, delivered))
    return pl.Decimal(min(digits + declared.scale, _MOST_DIGITS), declared.scale)


def loses_as_text(dtype: pl.DataType) -> bool:
    """Whether text would lose something: bytes may be no text, and nested values lose their names."""
    return dtype == pl.Binary or dtype.is_nested()


def may_become_double(declared: pl.DataType, taken: pl.DataType) -> bool:
    """Whether a column may hold doubles in the end, so that its numbers of 64 bits have to be exact as such."""
    return taken == pl.Int64 and declared != pl.Int64 and declared in (*_WHOLE, *_REAL)


def cast_losslessly(value: pl.Expr, dtype: pl.DataType, wanted: pl.DataType) -> pl.Expr:
    """A value as another type; null where it does not go into it whole."""
    if dtype in (wanted, pl.Null):
        return value.cast(wanted)
    if wanted == pl.String and not loses_as_text(dtype):
        return value.cast(wanted)
    if dtype == pl.String:
        return _parsed(value, wanted)
    if not (dtype.is_numeric() and wanted.is_numeric()):
        return pl.lit(None, dtype=wanted)
    taken = value.cast(wanted, strict=False)
    return pl.when(taken.cast(dtype, strict=False) == value).then(taken)


def align_types(
    rows: pl.LazyFrame, standing: Mapping[str, pl.DataType]
) -> tuple[pl.LazyFrame, dict[str, pl.DataType]]:
    """Rows on their way to others, in types that hold both; and the columns whose type changes for those others.

    Where there is such a column the rows get every column of the others, because all are written again.
    """
    schema = rows.collect_schema()
    wide = {
        name: find_common_type(standing[name], dtype)
        for name, dtype in schema.items()
        if name in standing
    }
    types = {name: dtype for name, dtype in wide.items() if dtype is not None}
    retyped = {name: dtype for name, dtype in types.items() if dtype != standing[name]}
    lost = (
        {name: dtype for name, dtype in standing.items() if name not in schema} if retyped else {}
    )
    casts = [pl.col(name).cast(dtype) for name, dtype in types.items() if dtype != schema[name]]
    return rows.with_columns(
        *casts, *(pl.lit(None, dtype=dtype).alias(name) for name, dtype in lost.items())
    ), retyped


def _parsed(text: pl.Expr, wanted: pl.DataType) -> pl.Expr:
    """Text read as a type; blanks around it do not count, and of a number its value alone does.

    A fraction becomes the nearest real number; a whole number has to be exact.
    """
    bare = text.str.strip_chars()
    if isinstance(wanted, pl.Decimal):
        is_exact = bare.str.contains(rf"^[+-]?\d*(\.\d{{0,{wanted.scale}}}0*)?$")
        return pl.when(is_exact).then(bare.cast(wanted, strict=False))
    if wanted in (*_WHOLE, *_REAL):
        number, count = bare.cast(wanted, strict=False), bare.cast(pl.Int64, strict=False)
        is_long = bare.str.contains(r"^[+-]?\d{8,}$")
        return pl.when(
            number.is_finite() & (~is_long | (number.cast(pl.Int64, strict=False) == count))
        ).then(number)
    if wanted == pl.Boolean:
        truths = {"true": True, "false": False}
        return bare.str.to_lowercase().replace_strict(truths, default=None, return_dtype=pl.Boolean)
    if wanted == pl.Date:
        return bare.str.to_date("%Y-%m-%d", strict=False)
    if wanted == _INSTANT:
        moment = bare.str.to_datetime(
            "%Y-%m-%dT%H:%M:%S%.f%#z", strict=False, time_unit="us", time_zone="UTC"
        )
        return pl.when(~bare.str.contains(r"\.\d{7}")).then(moment)
    return pl.lit(None, dtype=wanted)
