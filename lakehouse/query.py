"""Transforms written in SQL: DuckDB over views that are pinned to table versions.

The result leaves DuckDB as a Parquet file, so that a query of any size streams, and goes on like every other transform.
"""

from collections.abc import Mapping
from pathlib import Path

import duckdb
import polars as pl

from lakehouse.duck import connect, named, quoted
from lakehouse.errors import DataError, SetupError
from lakehouse.lake import Lake

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


def columns_of(sql: str, schemas: Mapping[str, pl.Schema]) -> pl.Schema:
    """The columns that a query returns, learned from tables without rows.

    Raises:
        SetupError: DuckDB refuses the query, or a column has a type that no contract can name.
    """
    known = {duck: polars for polars, duck in _TYPES.items()}
    with duckdb.connect() as connection:
        for view, schema in schemas.items():
            columns = ", ".join(f"{named(name)} {_TYPES[dtype]}" for name, dtype in schema.items())
            connection.execute(f"CREATE TABLE {named(view)} ({columns})")
        try:
            described = connection.execute(f"DESCRIBE {sql}").fetchall()
        except duckdb.Error as error:
            raise SetupError(f"the query does not run: {error}") from error
    unknown = [f"{name} is {kind}" for name, kind, *_ in described if kind not in known]
    if unknown:
        raise SetupError(
            f"the query returns types without a Polars equal: {', '.join(unknown)}; cast them in the query"
        )
    return pl.Schema({name: known[kind] for name, kind, *_ in described})


def sql_type(dtype: pl.DataType) -> str:
    """DuckDB's name of a type."""
    return _TYPES[dtype]


def run(lake: Lake, sql: str, views: Mapping[str, str], spool: Path) -> pl.LazyFrame:
    """The rows of a query, spooled to a file.

    Args:
        lake: where the tables are.
        sql: the query.
        views: for each view that it reads, the query that stands behind it.
        spool: a private folder for the result.

    Raises:
        DataError: DuckDB cannot compute it from these rows.
    """
    target = spool / "query.parquet"
    with connect(lake.options, remote=not lake.is_local) as connection:
        connection.execute(f"SET temp_directory = {quoted(str(spool))}")
        for view, behind in views.items():
            connection.execute(f"CREATE VIEW {named(view)} AS {behind}")
        try:
            connection.execute(f"COPY ({sql}) TO {quoted(str(target))} (FORMAT parquet)")
        except duckdb.Error as error:
            raise DataError(f"the query fails on the data: {error}") from error
    return pl.scan_parquet(target, hive_partitioning=False)
