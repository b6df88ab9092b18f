"""Polars types as DuckDB types and back, and the columns that a query returns."""

import re
from collections.abc import Mapping

import duckdb
import polars as pl
from polars.datatypes import DataTypeClass

from lakehouse.errors import SetupError
from lakehouse.storage.duckdb_connection import quote_identifier
from lakehouse.storage.sql_guard import ReadableTables, find_forbidden, parse_read

# Read in both directions, so no name may occur twice.
_TYPES: dict[pl.DataType, str] = {
    pl.String(): "VARCHAR",
    pl.Binary(): "BLOB",
    pl.Boolean(): "BOOLEAN",
    pl.Date(): "DATE",
    pl.Float32(): "FLOAT",
    pl.Float64(): "DOUBLE",
    pl.Int8(): "TINYINT",
    pl.Int16(): "SMALLINT",
    pl.Int32(): "INTEGER",
    pl.Int64(): "BIGINT",
    pl.Datetime("us", "UTC"): "TIMESTAMP WITH TIME ZONE",
}


_DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)")


def infer_query_schema(sql: str, schemas: Mapping[str, pl.Schema]) -> pl.Schema:
    """Returns the columns that a query returns, from tables without rows.

    Raises:
        SetupError: DuckDB refuses the query, it reads anything but these tables, or a column has a
            type that no contract can name.
    """
    _check_query(sql, schemas)
    with duckdb.connect() as connection:
        for view, schema in schemas.items():
            columns = ", ".join(
                f"{quote_identifier(name)} {to_sql_type(dtype)}" for name, dtype in schema.items()
            )
            connection.execute(f"CREATE TABLE {quote_identifier(view)} ({columns})")
        # DESCRIBE plans the query and runs nothing. The line break ends a comment at its end.
        try:
            described = connection.execute(f"DESCRIBE SELECT * FROM ({sql}\n)").fetchall()  # noqa: S608
        except duckdb.Error as error:
            raise SetupError(f"the query does not run: {error}") from error
    found = {name: _polars_type(kind) for name, kind, *_ in described}
    # Most often HUGEINT, which `sum` gives for BIGINT.
    unknown = [f"{name} is {kind}" for name, kind, *_ in described if found[name] is None]
    if unknown:
        raise SetupError(
            f"the query returns types that no contract has: {', '.join(unknown)}; "
            "cast them in the query"
        )
    return pl.Schema({name: dtype for name, dtype in found.items() if dtype is not None})


def _check_query(sql: str, schemas: Mapping[str, pl.Schema]) -> None:
    # What a query read elsewhere would be in no commit, and a repeat could not give the same rows.
    try:
        statement = parse_read(sql)
    except duckdb.Error as error:
        raise SetupError(f"the query does not run: {error}") from error
    if statement is None:
        raise SetupError("the query is not one SELECT; write one SELECT over its inputs")
    if problems := find_forbidden(statement, ReadableTables(names=frozenset(schemas))):
        known = ", ".join(schemas)
        raise SetupError(
            f"the query reaches beyond its inputs: {'; '.join(problems)}; "
            f"read only what `reads` names ({known}), and call functions of values alone"
        )


def to_sql_type(dtype: pl.DataType) -> str:
    """Returns DuckDB's name of a type that a table can store."""
    if isinstance(dtype, pl.Decimal):
        return f"DECIMAL({dtype.precision},{dtype.scale})"
    if isinstance(dtype, pl.List):
        return f"{to_sql_type(_instantiate(dtype.inner))}[]"
    if isinstance(dtype, pl.Struct):
        fields = [
            f"{quote_identifier(f.name)} {to_sql_type(_instantiate(f.dtype))}" for f in dtype.fields
        ]
        return f"STRUCT({', '.join(fields)})"
    return _TYPES[dtype]


def _instantiate(dtype: pl.DataType | DataTypeClass) -> pl.DataType:
    return dtype if isinstance(dtype, pl.DataType) else dtype()


def _polars_type(kind: str) -> pl.DataType | None:
    """Returns the type of a column by DuckDB's name; None if no contract can name it."""
    if kind.endswith("[]"):
        inner = _polars_type(kind.removesuffix("[]"))
        return None if inner is None else pl.List(inner)
    if decimal := _DECIMAL.fullmatch(kind):
        return pl.Decimal(int(decimal[1]), int(decimal[2]))
    return {duck: polars for polars, duck in _TYPES.items()}.get(kind)
