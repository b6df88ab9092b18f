"""Tests of a value and of all values within it: the elements of a list, the fields of a struct."""

from collections.abc import Callable

import polars as pl
from polars.datatypes import DataTypeClass

# What must be true of a value of a type; None where any value of the type will do.
ValueTest = Callable[[pl.Expr, pl.DataType], pl.Expr | None]


def hold_for_all(
    value: pl.Expr, dtype: pl.DataType | DataTypeClass, test: ValueTest
) -> pl.Expr | None:
    """Returns whether a test holds for a value and all values within it; None if none is tested.

    A missing value keeps every test.
    """
    dtype = dtype() if isinstance(dtype, DataTypeClass) else dtype
    if isinstance(dtype, pl.List | pl.Array):
        inner = hold_for_all(pl.element(), dtype.inner, test)
        elements = value.arr.to_list() if isinstance(dtype, pl.Array) else value
        return None if inner is None else elements.list.eval(inner).list.all().fill_null(True)
    if isinstance(dtype, pl.Struct):
        within = [
            hold_for_all(value.struct.field(field.name), field.dtype, test)
            for field in dtype.fields
        ]
        tested = [holds for holds in within if holds is not None]
        return pl.all_horizontal(tested) if tested else None
    holds = test(value, dtype)
    return None if holds is None else holds.fill_null(True)
