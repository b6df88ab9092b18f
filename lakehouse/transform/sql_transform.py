"""Runs transforms written in SQL: DuckDB over views that are pinned to table versions.

The result leaves DuckDB as a Parquet file, so a query of any size streams. From there on it is
treated like the result of any other transform.
"""

from collections.abc import Mapping
from pathlib import Path

import duckdb
import polars as pl

from lakehouse.errors import DataError
from lakehouse.redaction import redact
from lakehouse.storage.duckdb_connection import (
    connect,
    quote_identifier,
    quote_literal,
    restrict_access,
)
from lakehouse.storage.lake import Lake
from lakehouse.storage.parquet import scan_parquet_files


def run_sql_transform(lake: Lake, sql: str, views: Mapping[str, str], spool: Path) -> pl.LazyFrame:
    """Returns the rows of a query, written to a file.

    Args:
        lake: where the tables are.
        sql: the query.
        views: for each view that it reads, the query behind it.
        spool: a private folder for the result.

    Raises:
        DataError: DuckDB cannot compute it from these rows.
    """
    target = spool / "query.parquet"
    with connect(lake.options, remote=not lake.is_local) as connection:
        for view, behind in views.items():
            connection.execute(f"CREATE VIEW {quote_identifier(view)} AS {behind}")
        # What DuckDB spills goes where it is deleted with everything else of this make.
        restrict_access(connection, lake.root, str(spool))
        try:
            with lake.translate_errors():
                # A query may end in a comment, so the bracket is on a line of its own.
                connection.execute(
                    f"COPY ({sql}\n) TO {quote_literal(str(target))} (FORMAT parquet)"
                )
        except duckdb.Error as error:
            raise DataError(
                f"the query fails on the data: {redact(error)}"
            ) from None  # it quotes values
    return scan_parquet_files(target)
