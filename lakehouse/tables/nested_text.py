"""Nested values read from JSON text, as CSV and JSON lines deliver them for a typed column.

A value fits if nothing is lost: a list is a list, a struct has no other keys than its fields, and
each value within fits its type. A missing key is null. What does not fit is null as a whole, so
that the caller sees it as left over.
"""

import json
import math
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import polars as pl
from polars.datatypes import DataTypeClass

_BITS = {pl.Int8: 8, pl.Int16: 16, pl.Int32: 32, pl.Int64: 64}
_Type = pl.DataType | DataTypeClass


class _MisfitError(ValueError):
    """A value that a type does not hold. Never leaves this module."""


# A subclass of text, so that a number keeps its spelling in a column of text.
class _Number(str):
    """A number as the text spells it."""

    __slots__ = ()


def can_hold_in_json(dtype: _Type) -> bool:
    """Returns whether JSON can hold every value of a type: all but bytes and the like."""
    if isinstance(dtype, pl.Struct):
        return all(can_hold_in_json(field.dtype) for field in dtype.fields)
    if isinstance(dtype, pl.List):
        return can_hold_in_json(dtype.inner)
    return _as_class(dtype) in _READERS or _as_class(dtype) in _BITS


def parse_nested(text: pl.Expr, wanted: pl.DataType) -> pl.Expr:
    """Returns JSON text as a nested type; null where it is no JSON, or does not fit."""

    def parse(texts: pl.Series) -> pl.Series:
        return pl.Series([_parse(one, wanted) for one in texts], dtype=wanted)

    # One by one in Python: Polars' own reader raises an error for the whole column.
    return text.map_batches(parse, return_dtype=wanted, is_elementwise=True)


def _parse(text: str | None, wanted: pl.DataType) -> Any:  # noqa: ANN401 - any nested value
    if text is None:
        return None
    try:
        value = json.loads(text, parse_float=_Number, parse_int=_Number, parse_constant=_refuse)
        return _read(value, wanted)
    except (ValueError, RecursionError):
        return None


def _refuse(name: str) -> None:
    raise _MisfitError(f"{name} is no JSON")


def _read(value: Any, dtype: _Type) -> Any:  # noqa: ANN401 - any JSON
    """Returns a value of JSON as a type holds it."""
    if value is None:
        return None
    if isinstance(dtype, pl.List):
        if not isinstance(value, list):
            raise _MisfitError
        return [_read(one, dtype.inner) for one in value]
    if isinstance(dtype, pl.Struct):
        names = [field.name for field in dtype.fields]
        if not isinstance(value, dict) or not value.keys() <= set(names):
            raise _MisfitError
        return {field.name: _read(value.get(field.name), field.dtype) for field in dtype.fields}
    kind = _as_class(dtype)
    if kind in _BITS:
        return _read_whole(value, _BITS[kind])
    if isinstance(dtype, pl.Decimal):
        return _read_decimal(value, dtype)
    return _READERS[kind](value)


def _as_class(dtype: _Type) -> Any:  # noqa: ANN401 - a class of types
    return dtype if isinstance(dtype, DataTypeClass) else type(dtype)


def _read_whole(value: Any, bits: int) -> int:  # noqa: ANN401
    number = _read_number(value)
    if number != int(number) or not -(2 ** (bits - 1)) <= number < 2 ** (bits - 1):
        raise _MisfitError
    return int(number)


def _read_number(value: Any) -> Decimal:  # noqa: ANN401
    # A text is text here, unlike the whole of a column: within JSON both are told apart.
    if not isinstance(value, _Number):
        raise _MisfitError
    try:
        return Decimal(value)
    except InvalidOperation as error:
        raise _MisfitError from error


def _read_real(value: Any) -> float:  # noqa: ANN401
    number = float(_read_number(value))
    if not math.isfinite(number):
        raise _MisfitError
    return number


def _read_decimal(value: Any, dtype: pl.Decimal) -> Decimal:  # noqa: ANN401
    number = _read_number(value)
    _, digits, exponent = number.normalize().as_tuple()
    scale, precision = dtype.scale, dtype.precision or 38
    if -int(exponent) > scale or len(digits) + int(exponent) > precision - scale:
        raise _MisfitError
    return number


def _read_bool(value: Any) -> bool:  # noqa: ANN401
    if not isinstance(value, bool):
        raise _MisfitError
    return value


def _read_text(value: Any) -> str:  # noqa: ANN401
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bool):
        return json.dumps(value)
    raise _MisfitError


def _read_day(value: Any) -> date:  # noqa: ANN401
    return datetime.strptime(_read_text(value), "%Y-%m-%d").date()  # noqa: DTZ007


def _read_instant(value: Any) -> datetime:  # noqa: ANN401
    moment = datetime.fromisoformat(_read_text(value))
    if moment.tzinfo is None:
        raise _MisfitError
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise _MisfitError from error


_READERS: Mapping[type[pl.DataType], Callable[[Any], Any]] = {
    pl.Float32: _read_real,
    pl.Float64: _read_real,
    pl.Decimal: _read_number,
    pl.Boolean: _read_bool,
    pl.String: _read_text,
    pl.Date: _read_day,
    pl.Datetime: _read_instant,
}
