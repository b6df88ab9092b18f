"""The rules that every contract has without saying so, by the type of a column.

Belongs here: what a value must be to be read and added up everywhere. Does not belong here: the
checks that a contract declares (`rules.py`).

- A value is present, unless the column is nullable. NaN counts as missing, as in Pandera.
- A real number is finite: one infinite price makes every sum and mean over it infinite or NaN.
  `Field(allow_inf=True)` and `Field(allow_nan=True)` take such a number as a value.
- A day or an instant lies in the years 1 to 9999. Python, SQL and most readers hold no others; a
  year of five digits is a typing error, or a mark for "never", which is better written as null.
"""

from collections.abc import Iterator

import polars as pl

from lakehouse.tables.contract import Column
from lakehouse.tables.nested_values import ValueTest, hold_for_all
from lakehouse.tables.years import is_in_years


def list_default_rules(column: Column) -> Iterator[tuple[str, pl.Expr]]:
    """Yields the name of each rule of a column, and the expression that is true where it holds.

    A missing value keeps all of them but the first, also within lists and structs.
    """
    value = pl.col(column.name)
    is_nan_missing = column.dtype.is_float() and not column.allow_nan and not column.nullable
    if is_nan_missing:
        # Polars takes NaN for larger than every number, so no lower bound would reject it.
        is_number = value.is_not_nan().fill_null(True)
        yield f"{column.name} is present", value.is_not_null() & is_number
    elif not column.nullable:
        yield f"{column.name} is present", value.is_not_null()
    # A row names a missing value once.
    is_finite = _is_finite(allow_inf=column.allow_inf, allow_nan=column.allow_nan or is_nan_missing)
    tests = {"is finite": is_finite, "lies in the years 1 to 9999": _is_in_years}
    for text, test in tests.items():
        if (holds := hold_for_all(value, column.dtype, test)) is not None:
            yield f"{column.name} {text}", holds


def _is_in_years(value: pl.Expr, dtype: pl.DataType) -> pl.Expr | None:
    return is_in_years(value, dtype) if isinstance(dtype, pl.Date | pl.Datetime) else None


def _is_finite(*, allow_inf: bool, allow_nan: bool) -> ValueTest:
    def test(value: pl.Expr, dtype: pl.DataType) -> pl.Expr | None:
        if not dtype.is_float() or (allow_inf and allow_nan):
            return None
        if allow_inf:
            return value.is_not_nan()
        return value.is_finite() | value.is_nan() if allow_nan else value.is_finite()

    return test
