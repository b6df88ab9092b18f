"""Delivered values as text, and values that do not fit into a table as JSON in `_rescued`.

A value is the text that it would be in a column of text: the delivered text of CSV and JSON lines,
the canonical form of Parquet values. Nested values are JSON, bytes are base64. A key is the name
that the file has for the column.
"""

import json
from collections.abc import Iterable

import polars as pl


def has_text_form(dtype: pl.DataType) -> bool:
    """Returns whether text can hold the values of a type; nested bytes cannot become JSON."""
    return not dtype.is_nested() or not _has_bytes(dtype)


def format_text(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Returns a value as text that loses nothing; null stays null."""
    if dtype == pl.Binary:
        return value.bin.encode("base64")
    if not dtype.is_nested():
        return value.cast(pl.String)
    # JSON has no NaN and no infinity, so floating-point numbers within nested values become texts.
    return pl.when(value.is_not_null()).then(_json(value.cast(_with_texts(dtype))))


def format_object(pieces: Iterable[tuple[str, pl.Expr]]) -> pl.Expr:
    """Returns named texts as a JSON object without those that are null; null if all are."""
    members = [
        pl.when(text.is_not_null()).then(
            pl.concat_str(pl.lit(f"{json.dumps(name, ensure_ascii=False)}:"), _json(text))
        )
        for name, text in pieces
    ]
    if not members:
        return pl.lit(None, dtype=pl.String)
    # A member of null is left out here. Were all of them null, braces alone would be left.
    joined = pl.concat_str(members, separator=",", ignore_nulls=True)
    has_any = pl.any_horizontal([member.is_not_null() for member in members])
    return pl.when(has_any).then(pl.concat_str(pl.lit("{"), joined, pl.lit("}")))


def _json(value: pl.Expr) -> pl.Expr:
    """Returns a value as JSON."""
    # Polars encodes only structs as JSON, so the value is wrapped in one and taken out again.
    return (
        pl.struct(value.alias("v"))
        .struct.json_encode()
        .str.strip_prefix('{"v":')
        .str.strip_suffix("}")
    )


def _has_bytes(dtype: pl.DataType) -> bool:
    return dtype == pl.Binary or any(_has_bytes(inner) for inner in _within(dtype))


def _within(dtype: pl.DataType) -> list[pl.DataType]:
    """Returns the types inside a nested type."""
    if isinstance(dtype, pl.Struct):
        return [field.dtype for field in dtype.fields]  # type: ignore[misc]
    return [dtype.inner] if isinstance(dtype, pl.List) else []  # type: ignore[list-item]


def _with_texts(dtype: pl.DataType) -> pl.DataType:
    """Returns a nested type with text in the place of floating-point numbers."""
    if isinstance(dtype, pl.Struct):
        inner = [pl.Field(f.name, _with_texts(f.dtype)) for f in dtype.fields]  # type: ignore[arg-type]
        return pl.Struct(inner)
    if isinstance(dtype, pl.List):
        return pl.List(_with_texts(dtype.inner))  # type: ignore[arg-type]
    return pl.String() if dtype.is_float() else dtype
