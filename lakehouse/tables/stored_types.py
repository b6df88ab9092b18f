"""Types that a contract may name: those that Delta Lake stores as they are, nested ones included.

Belongs here: what is wrong with a type, before any data is touched.
Does not belong here: the Delta type of a Polars type (`storage/delta_types.py`).
"""

from collections.abc import Iterator
from typing import Any

import polars as pl

from lakehouse.tables.column_names import find_alike

_STORED = (
    *(pl.String, pl.Binary, pl.Boolean, pl.Date, pl.Decimal),
    *(pl.Float32, pl.Float64, pl.Int8, pl.Int16, pl.Int32, pl.Int64),
)
_INSTANT = pl.Datetime("us", "UTC")


def find_type_problems(name: str, dtype: Any) -> Iterator[str]:  # noqa: ANN401, inner types may be classes
    """Yields what is wrong with a type, and with those inside it.

    Args:
        name: the place of the type, such as `lines.item.price`.
        dtype: the type.
    """
    if isinstance(dtype, pl.List):
        yield from find_type_problems(f"{name}.item", dtype.inner)
    elif isinstance(dtype, pl.Struct):
        names = [field.name for field in dtype.fields]
        if not names:
            yield f"{name!r} is a struct without fields, which Delta Lake cannot store"
        for alike in find_alike(names):
            yield f"{name!r} has fields that differ by case alone: {', '.join(alike)}"
        for field in dtype.fields:
            yield from find_type_problems(f"{name}.{field.name}", field.dtype)
    elif dtype == pl.Datetime or isinstance(dtype, pl.Datetime):
        # Other units and zones break Delta's and Spark's readers.
        if dtype != _INSTANT or isinstance(dtype, type):
            yield f"{name!r} is {dtype}: declare times as Instant (microseconds, UTC)"
    elif isinstance(dtype, type) and issubclass(dtype, pl.Decimal):
        yield f"{name!r} is {_BARE_DECIMAL}"
    elif not isinstance(dtype, _STORED) and dtype not in _STORED:
        yield f"{name!r} is {dtype}, which Delta Lake cannot store"


_BARE_DECIMAL = "a Decimal without digits: write pl.Decimal(precision, scale), such as (12, 2)"


def find_bare_decimals(annotations: dict[str, Any]) -> Iterator[str]:
    """Yields the columns that are declared as a decimal without precision and scale.

    Pandera would take 28 digits and no place behind the point, so that 9.99 becomes 10.
    """
    for name, annotation in annotations.items():
        if getattr(annotation, "__name__", "") == "Decimal" and isinstance(annotation, type):
            yield f"column {name!r} is {_BARE_DECIMAL}"
