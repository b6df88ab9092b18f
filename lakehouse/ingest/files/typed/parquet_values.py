"""Values of a Parquet file that no table holds: the file is refused, with the first of them.

| in the file | why no table holds it |
|---|---|
| a decimal of more than 38 digits | neither Delta Lake nor Polars has one |
| a day, or a timestamp with a zone, outside the years 1 to 9999 | Python and SQL have none |
| a timestamp without a zone that is some 262,000 years off | it cannot be written as text |

Databases write `infinity` so. A timestamp without a zone of the year 20240 is text in the raw
table, so it spoils its row alone.
"""

from collections.abc import Iterator, Mapping

import polars as pl
from polars.datatypes import DataTypeClass

from lakehouse.ingest.files.record_ledger import RefusedError
from lakehouse.tables.nested_values import hold_for_all
from lakehouse.tables.years import can_be_written, is_in_years

_MOST_DIGITS = 38
_REMEDY = "write such a value as null, as 9999-12-31 or as text"


def refuse_unheld_values(lf: pl.LazyFrame, schema: Mapping[str, pl.DataType]) -> None:
    """Refuses a file with values that no table holds.

    Raises:
        RefusedError: naming each column, and the first record with such a value.
    """
    long = [
        f"{name} is a decimal of {digits} digits, and a table holds {_MOST_DIGITS} at most; "
        "write it as text or as a double"
        for name, dtype in schema.items()
        if (digits := max(_list_digits(dtype), default=0)) > _MOST_DIGITS
    ]
    if long:
        raise RefusedError("; ".join(long))
    tests = {
        name: holds
        for name, dtype in schema.items()
        if (holds := hold_for_all(pl.col(name), dtype, _is_held)) is not None
    }
    if not tests:
        return
    # All columns take one pass. Only a file that is refused is read again, for its first record.
    found = lf.select((~holds).any().alias(name) for name, holds in tests.items())
    bad = found.collect(engine="streaming").row(0, named=True)
    if wrong := [_describe(lf, name, tests[name]) for name, is_bad in bad.items() if is_bad]:
        raise RefusedError(f"{'; '.join(wrong)}; {_REMEDY}")


def _is_held(value: pl.Expr, dtype: pl.DataType) -> pl.Expr | None:
    if isinstance(dtype, pl.Datetime) and dtype.time_zone is None:
        return can_be_written(value, dtype)
    return is_in_years(value, dtype) if isinstance(dtype, pl.Date | pl.Datetime) else None


def _describe(lf: pl.LazyFrame, name: str, holds: pl.Expr) -> str:
    # A row in the file, not a filter by it: the number of the record has to be that of the file.
    numbered = lf.select(pl.col(name)).with_row_index("record", offset=1).filter(~holds)
    first = numbered.select("record").head(1).collect().item()
    return f"{name} has times outside the years 1 to 9999, the first in record {first:,}"


def _list_digits(dtype: pl.DataType | DataTypeClass) -> Iterator[int]:
    """Yields the digits of each decimal in a type."""
    if isinstance(dtype, pl.Decimal):
        yield dtype.precision or _MOST_DIGITS
    elif isinstance(dtype, pl.List | pl.Array):
        yield from _list_digits(dtype.inner)
    elif isinstance(dtype, pl.Struct):
        for field in dtype.fields:
            yield from _list_digits(field.dtype)
