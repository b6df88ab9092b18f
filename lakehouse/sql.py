"""SQL over the lake: DuckDB in memory, a schema for each layer, a view for each table, nothing to write to."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import duckdb

from lakehouse.duck import connect, named, quoted
from lakehouse.errors import DataError, SetupError
from lakehouse.lake import LAYERS, Lake

_READS = {
    duckdb.StatementType.SELECT,
    duckdb.StatementType.EXPLAIN,
    duckdb.StatementType.PRAGMA,
    duckdb.StatementType.RELATION,
}
_ROWS_AT_ONCE = 10_000


@contextmanager
def opened(lake: Lake, tables: Sequence[str] | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB in which every table of the lake is a view, such as `staged.invoice_lines`.

    Args:
        lake: where the tables are.
        tables: which tables; all that exist by default.
    """
    with connect(lake.options, remote=not lake.is_local) as connection:
        for layer in LAYERS:
            connection.execute(f"CREATE SCHEMA {named(layer)}")
        for table in lake.tables() if tables is None else tables:
            layer, name = table.split("/")
            scan = f"delta_scan({quoted(lake.uri(table))})"
            connection.execute(f"CREATE VIEW {named(layer)}.{named(name)} AS SELECT * FROM {scan}")
        yield connection


def rows(lake: Lake, query: str) -> tuple[list[str], Iterator[tuple[Any, ...]]]:
    """The columns of a query and its rows, read as they are asked for.

    Raises:
        SetupError: the query is not one statement that only reads.
        DataError: DuckDB cannot run it.
    """
    statements = _parsed(query)
    if len(statements) != 1 or statements[0].type not in _READS:
        raise SetupError("`lakehouse sql` runs one statement that reads.\nNext: write a single SELECT.")
    with ExitStack() as stack:
        connection = stack.enter_context(opened(lake))
        try:
            connection.execute(statements[0])
        except duckdb.Error as error:
            raise DataError(
                f"The query fails: {error}\nNext: mend it; `lakehouse tables` lists what there is."
            ) from error
        return [column[0] for column in connection.description or []], _fetched(connection, stack.pop_all())


def _parsed(query: str) -> list[duckdb.Statement]:
    try:
        with duckdb.connect() as parser:
            return parser.extract_statements(query)
    except duckdb.Error as error:
        raise SetupError(f"The query cannot be parsed: {error}") from error


def _fetched(connection: duckdb.DuckDBPyConnection, held: ExitStack) -> Iterator[tuple[Any, ...]]:
    with held:
        while batch := connection.fetchmany(_ROWS_AT_ONCE):
            yield from batch
