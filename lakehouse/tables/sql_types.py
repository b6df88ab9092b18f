"""Polars types as DuckDB types and back, and the columns that a query returns."""

from collections.abc import Mapping
from typing import Any

import duckdb
import polars as pl
from polars.datatypes import DataTypeClass

from lakehouse.errors import SetupError
from lakehouse.storage.duckdb_connection import connect_closed, quote_identifier
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


def infer_query_schema(sql: str, schemas: Mapping[str, pl.Schema]) -> pl.Schema:
    """Returns the columns that a query returns, from tables without rows.

    Raises:
        SetupError: DuckDB refuses the query, it reads anything but these tables, or a column has a
            type that no contract can name.
    """
    _check_query(sql, schemas)
    with connect_closed() as connection:
        for view, schema in schemas.items():
            columns = ", ".join(
                f"{quote_identifier(name)} {to_sql_type(dtype)}" for name, dtype in schema.items()
            )
            connection.execute(f"CREATE TABLE {quote_identifier(view)} ({columns})")
        # A relation is planned and not run. The line break ends a comment at the query's end.
        try:
            planned = connection.sql(f"SELECT * FROM ({sql}\n)")  # noqa: S608
        except duckdb.Error as error:
            raise SetupError(f"the query does not run: {error}") from error
        kinds = dict(zip(planned.columns, planned.types, strict=True))
    # `sum` gives HUGEINT for BIGINT. No table stores it; a result is narrowed to its contract.
    found = {
        name: pl.Int128() if kind.id == "hugeint" else _to_polars_type(kind)
        for name, kind in kinds.items()
    }
    unknown = [f"{name} is {kind}" for name, kind in kinds.items() if found[name] is None]
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


def find_wide_columns(connection: duckdb.DuckDBPyConnection, sql: str) -> list[str]:
    """Returns the whole numbers of 128 bits that a query returns, without running it."""
    # A query may end in a comment, so the bracket is on a line of its own.
    planned = connection.sql(f"SELECT * FROM ({sql}\n)")  # noqa: S608
    kinds = zip(planned.columns, planned.types, strict=True)
    return [name for name, kind in kinds if kind.id == "hugeint"]


def _instantiate(dtype: pl.DataType | DataTypeClass) -> pl.DataType:
    return dtype if isinstance(dtype, pl.DataType) else dtype()


def _to_polars_type(kind: Any) -> pl.DataType | None:  # noqa: ANN401, DuckDB has no name for it
    """Returns the type of a column as Polars has it; None if no contract can name it."""
    if kind.id == "decimal":
        return pl.Decimal(**dict(kind.children))
    if kind.id == "list":
        inner = _to_polars_type(dict(kind.children)["child"])
        return None if inner is None else pl.List(inner)
    if kind.id == "struct":
        fields = {name: _to_polars_type(held) for name, held in kind.children}
        known = {name: held for name, held in fields.items() if held is not None}
        return pl.Struct(known) if len(known) == len(fields) else None
    return {duck: polars for polars, duck in _TYPES.items()}.get(str(kind))
