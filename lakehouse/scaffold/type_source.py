"""Polars types as Python source: in `raw(columns=…)`, and as a field of a contract."""

import polars as pl
from polars.datatypes import DataTypeClass

from lakehouse.ingest.files.recognize.declaration_text import write_value


def write_type(dtype: pl.DataType | DataTypeClass) -> str:
    """Returns a type as `raw` and casts take it: `pl.Struct({"id": pl.Int64()})`."""
    if isinstance(dtype, pl.Struct):
        return f"pl.Struct({_write_fields(dtype)})"
    if isinstance(dtype, pl.List):
        return f"pl.List({write_type(dtype.inner)})"
    if isinstance(dtype, pl.Decimal):
        return f"pl.Decimal({dtype.precision}, {dtype.scale})"
    if isinstance(dtype, pl.Datetime):
        return 'pl.Datetime("us", "UTC")'
    return "pl.String()" if dtype == pl.Null else f"pl.{dtype.base_type().__name__}()"


def write_annotation(dtype: pl.DataType) -> str:
    """Returns a type as the annotation of a field, in a form that mypy accepts, too."""
    if isinstance(dtype, pl.Struct):
        return f"Annotated[pl.Struct, {_write_fields(dtype)}]"
    if isinstance(dtype, pl.List):
        return f"Annotated[pl.List, {write_type(dtype.inner)}]"
    if isinstance(dtype, pl.Decimal):
        return f"Annotated[pl.Decimal, {dtype.precision}, {dtype.scale}]"
    return write_type(dtype).removesuffix("()")


def _write_fields(dtype: pl.Struct) -> str:
    fields = (f"{write_value(one.name)}: {write_type(one.dtype)}" for one in dtype.fields)
    return f"{{{', '.join(fields)}}}"
