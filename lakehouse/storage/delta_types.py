"""Delta types for Polars types."""

from collections.abc import Mapping

import polars as pl
from deltalake import Field, Schema
from deltalake.schema import ArrayType, PrimitiveType, StructType

from lakehouse.errors import SetupError

# No unsigned numbers, times of day or durations: Delta has no type for them.
_PRIMITIVES: Mapping[type[pl.DataType], str] = {
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
    """Returns the Delta type that holds a Polars type.

    Raises:
        SetupError: Delta has no such type.
    """
    # Other units and zones break Delta's and Spark's readers; see `casting`.
    if isinstance(dtype, pl.Datetime) and (dtype.time_unit, dtype.time_zone) == ("us", "UTC"):
        return PrimitiveType("timestamp")
    if isinstance(dtype, pl.Decimal):
        return PrimitiveType(f"decimal({dtype.precision or 38},{dtype.scale})")
    if isinstance(dtype, pl.List):
        # A Polars list does not say whether its elements may be null, so they may.
        inner = to_delta_type(dtype.inner)  # type: ignore[arg-type] # Polars types it too widely
        return ArrayType(inner, contains_null=True)
    if isinstance(dtype, pl.Struct):
        return StructType([_to_delta_field(field) for field in dtype.fields])
    if type(dtype) not in _PRIMITIVES:
        raise SetupError(
            f"Delta Lake has no type for {dtype}.\nNext: cast the column to a type that it has."
        )
    return PrimitiveType(_PRIMITIVES[type(dtype)])


def _to_delta_field(field: pl.Field) -> Field:
    return Field(field.name, to_delta_type(field.dtype))  # type: ignore[arg-type] # as above


def to_delta_schema(
    schema: Mapping[str, pl.DataType], comments: Mapping[str, str], partition: str | None
) -> Schema:
    """Returns the Delta schema of a table; a partition column comes last.

    Args:
        schema: the columns.
        comments: what each column means, for the catalogue.
        partition: the name of the partition column, a date.
    """
    fields = []
    for name, dtype in schema.items():
        # `comment` is the key under which Spark keeps the text of a column.
        metadata = {"comment": comments[name]} if comments.get(name) else None
        fields.append(Field(name, to_delta_type(dtype), metadata=metadata))
    if partition is not None:
        fields.append(Field(partition, PrimitiveType("date")))
    return Schema(fields)
