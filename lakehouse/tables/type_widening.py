"""Common types of two types, and casts that lose nothing.

Types widen as in Delta Lake's own type widening: whole and real numbers into larger ones, whole
numbers of up to 32 bits into doubles, decimals into longer ones. What a file may do to a column
depends on the file and the declared type alone, never on what other files did to the column. So the
order of deliveries decides nothing.
"""

from collections.abc import Callable, Mapping

import polars as pl

from lakehouse.tables.nested_text import can_hold_in_json, parse_nested

_WHOLE = (pl.Int8(), pl.Int16(), pl.Int32(), pl.Int64())
_REAL = (pl.Float32(), pl.Float64())
_MAX_DIGITS = 38
"""The most digits that a decimal of Delta Lake can have."""
_INSTANT = pl.Datetime("us", "UTC")


def find_common_type(one: pl.DataType, other: pl.DataType) -> pl.DataType | None:
    """Returns the smallest type for the values of both; None if there is none.

    For whole numbers of 64 bits and real ones that is a double, which holds the former up to 2^53.
    """
    if one == other:
        return one
    for types in (_WHOLE, _REAL):
        if one in types and other in types:
            return max(one, other, key=types.index)
    # A whole number that a double does not hold becomes null in `cast_losslessly`: it does not fit.
    if {one, other} <= {*_WHOLE, *_REAL}:
        return pl.Float64()
    if isinstance(one, pl.Decimal) and isinstance(other, pl.Decimal) and one.scale == other.scale:
        return pl.Decimal(max(one.precision, other.precision), one.scale)
    return None


def list_allowed_types(
    declared: pl.DataType, delivered: pl.DataType, *, is_read: bool
) -> tuple[pl.DataType, ...]:
    """Returns the types that a column may take for delivered values, the narrowest first.

    Args:
        declared: the type that the column is declared with.
        delivered: the type of the values.
        is_read: whether text may be read as the column's type, as formats without types need.

    Returns:
        An empty tuple when the column cannot take the values.
    """
    if delivered in (declared, pl.Null):
        return (declared,)
    if declared == pl.String:
        return () if loses_as_text(delivered) else (declared,)
    # CSV and JSON lines have no types. In a typed file, text is meant as text.
    if delivered == pl.String:
        return _list_readable(declared) if is_read else ()
    if isinstance(declared, pl.Decimal) and isinstance(delivered, pl.Decimal):
        return (_lengthen(declared, delivered),)
    if declared == pl.Int64 and delivered in _REAL:
        # Only whole values fit. A double cannot hold every number of 64 bits.
        return (declared,)
    widest = find_common_type(declared, delivered) if declared in (*_WHOLE, *_REAL) else None
    return () if widest is None else (widest,)


def _list_readable(declared: pl.DataType) -> tuple[pl.DataType, ...]:
    """Returns the types that text may be read as, the narrowest first."""
    if declared not in _WHOLE:
        return (declared,) if can_be_read(declared) else ()
    return (*_WHOLE[_WHOLE.index(declared) :], *(() if declared == pl.Int64 else (pl.Float64(),)))


def _lengthen(declared: pl.Decimal, delivered: pl.Decimal) -> pl.Decimal:
    """Returns a decimal of the declared scale with room for the whole digits of both."""
    digits = max(each.precision - each.scale for each in (declared, delivered))
    return pl.Decimal(min(digits + declared.scale, _MAX_DIGITS), declared.scale)


def loses_as_text(dtype: pl.DataType) -> bool:
    """Returns whether a type loses something as text.

    Bytes may be no text, and nested values lose names.
    """
    return dtype == pl.Binary or dtype.is_nested()


def can_be_read(dtype: pl.DataType) -> bool:
    """Returns whether text may be read as a type; nested values are read as JSON."""
    return can_hold_in_json(dtype) if dtype.is_nested() else dtype != pl.Binary


def may_become_double(declared: pl.DataType, taken: pl.DataType) -> bool:
    """Returns whether a column may become one of doubles, which must then hold its numbers."""
    return taken == pl.Int64 and declared != pl.Int64 and declared in (*_WHOLE, *_REAL)


def cast_losslessly(value: pl.Expr, dtype: pl.DataType, wanted: pl.DataType) -> pl.Expr:
    """Returns a value as another type; null where the type cannot hold it exactly."""
    if dtype in (wanted, pl.Null):
        return value.cast(wanted)
    if wanted == pl.String and not loses_as_text(dtype):
        return value.cast(wanted)
    if dtype == pl.String:
        return _parse(value, wanted)
    if not (dtype.is_numeric() and wanted.is_numeric()):
        return pl.lit(None, dtype=wanted)
    # There and back again: where something was lost, the value differs, or is null.
    taken = value.cast(wanted, strict=False)
    return pl.when(taken.cast(dtype, strict=False) == value).then(taken)


def align_types(
    rows: pl.LazyFrame,
    stored: Mapping[str, pl.DataType],
    find_type: Callable[[pl.DataType, pl.DataType], pl.DataType | None] = find_common_type,
) -> tuple[pl.LazyFrame, dict[str, pl.DataType]]:
    """Returns new rows in types that also hold the stored rows, and the stored columns that widen.

    Where a stored column widens, the new rows get every stored column, because all stored rows are
    written again beside them.

    Args:
        rows: the new rows.
        stored: the types of the stored rows.
        find_type: returns the type that holds a stored value and a new one. The common type does
            where both are known to be exact in it, as the numbers of a raw table are.
    """
    schema = rows.collect_schema()
    types: dict[str, pl.DataType] = {}
    for name in schema.names():
        common = find_type(stored[name], schema[name]) if name in stored else None
        if common is not None:
            types[name] = common
    # delta-rs knows no type widening, and an append takes no new schema: the commit overwrites.
    widened = {name: dtype for name, dtype in types.items() if dtype != stored[name]}
    casts = [pl.col(name).cast(dtype) for name, dtype in types.items() if dtype != schema[name]]
    if widened:
        missing = [name for name in stored if name not in schema]
        casts += [pl.lit(None, dtype=stored[name]).alias(name) for name in missing]
    return rows.with_columns(casts), widened


def find_exact_type(stored: pl.DataType, new: pl.DataType) -> pl.DataType | None:
    """Returns the type of a stored column that holds its values and new ones, each exactly."""
    types = {stored, new}
    # As a double, a whole number beyond 2^53 would become another one; as text, none does.
    is_mixed = pl.Int64() in types and not types.isdisjoint(_REAL)
    # What became text once stays text.
    is_text = stored == pl.String and not loses_as_text(new)
    return pl.String() if is_mixed or is_text else find_common_type(stored, new)


def _parse(text: pl.Expr, wanted: pl.DataType) -> pl.Expr:
    """Returns text read as a type; blanks around it, and the spelling of a number, do not count.

    A fraction becomes the nearest real number; a whole number has to be exact.
    """
    bare = text.str.strip_chars()
    if isinstance(wanted, pl.Decimal):
        # Digits beyond the scale may only be zeros.
        is_exact = bare.str.contains(rf"^[+-]?\d*(\.\d{{0,{wanted.scale}}}0*)?$")
        return pl.when(is_exact).then(bare.cast(wanted, strict=False))
    if wanted in (*_WHOLE, *_REAL):
        # Whole numbers of up to seven digits are exact in all of these types: a float of 32 bits
        # holds them up to 2^24. Longer ones are compared. "nan" and "inf" are no numbers.
        number, count = bare.cast(wanted, strict=False), bare.cast(pl.Int64, strict=False)
        is_long = bare.str.contains(r"^[+-]?\d{8,}$")
        return pl.when(
            number.is_finite() & (~is_long | (number.cast(pl.Int64, strict=False) == count))
        ).then(number)
    if wanted == pl.Boolean:
        truths = {"true": True, "false": False}
        return bare.str.to_lowercase().replace_strict(truths, default=None, return_dtype=pl.Boolean)
    if wanted.is_nested():
        return parse_nested(text, wanted)
    return _parse_time(bare, wanted)


def _parse_time(bare: pl.Expr, wanted: pl.DataType) -> pl.Expr:
    # For Polars, %Y takes fewer digits than four, and a sign.
    has_year = bare.str.contains(r"^\d{4}-")
    if wanted == pl.Date:
        return pl.when(has_year).then(bare.str.to_date("%Y-%m-%d", strict=False))
    if wanted == _INSTANT:
        # The offset is required, for without it the time zone is unknown. A time finer than
        # microseconds would be cut off, so it does not fit.
        moment = bare.str.to_datetime(
            "%Y-%m-%dT%H:%M:%S%.f%#z", strict=False, time_unit="us", time_zone="UTC"
        )
        return pl.when(has_year & ~bare.str.contains(r"\.\d{7}")).then(moment)
    return pl.lit(None, dtype=wanted)
