"""Polars types as Delta types."""

from collections.abc import Mapping

import polars as pl
from deltalake import Field, Schema
from deltalake.schema import ArrayType, PrimitiveType, StructType

from lakehouse.errors import SetupError

_PRIMITIVES: dict[type[pl.DataType], str] = {
    pl.String: "string",
    pl.Binary: "binary",
    pl.Boolean: "boolean",
    pl.Date: "date",
    pl.Float32: "float",
    pl.Float64: "double",
    pl.Int8: "byte",
    pl.Int16: "short",
    pl.Int32: "integer",
    pl.Int64: "long",
}


def to_delta_type(dtype: pl.DataType) -> PrimitiveType | ArrayType | StructType:
    """The Delta type that holds a Polars type.

    Raises:
        SetupError: Delta has no such type.
    """
    if isinstance(dtype, pl.Datetime) and (dtype.time_unit, dtype.time_zone) == ("us", "UTC"):
        return PrimitiveType("timestamp")
    if isinstance(dtype, pl.Decimal):
        return PrimitiveType(f"decimal({dtype.precision or 38},{dtype.scale})")
    if isinstance(dtype, pl.List):
        return ArrayType(to_delta_type(dtype.inner), contains_null=True)  # type: ignore[arg-type]
    if isinstance(dtype, pl.Struct):
        return StructType([Field(f.name, to_delta_type(f.dtype)) for f in dtype.fields])  # type: ignore[arg-type]
    if type(dtype) not in _PRIMITIVES:
        raise SetupError(
            f"Delta Lake has no type for {dtype}.\nNext: cast the column to a type that it has."
        )
    return PrimitiveType(_PRIMITIVES[type(dtype)])


def to_delta_schema(
    schema: Mapping[str, pl.DataType], comments: Mapping[str, str], partition: str | None
) -> Schema:
    """The Delta schema of a table; column comments become the catalogue's."""
    fields = [
        Field(
            name,
            to_delta_type(dtype),
            metadata={"comment": comments[name]} if comments.get(name) else None,
        )
        for name, dtype in schema.items()
    ]
    return Schema([*fields, Field(partition, PrimitiveType("date"))] if partition else fields)
