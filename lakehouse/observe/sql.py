"""SQL over the lake: a DuckDB in memory with a schema for each layer and a view for each table."""

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import duckdb

from lakehouse.errors import DataError, SetupError
from lakehouse.quarantine.states import OPEN
from lakehouse.storage.duckdb_connection import (
    connect,
    quote_identifier,
    quote_literal,
    restrict_access,
)
from lakehouse.storage.lake import LAYERS, Lake
from lakehouse.storage.scratch import create_scratch_folder
from lakehouse.system_columns import DELETED

_READS = {
    duckdb.StatementType.SELECT,
    duckdb.StatementType.PRAGMA,
    duckdb.StatementType.RELATION,
}
# DuckDB gives an EXPLAIN one type, whatever it explains, and EXPLAIN ANALYZE runs that: one with a
# COPY wrote a file. So the text is cut off behind it, comments and options included, and parsed.
_EXPLAIN = re.compile(
    r"(?:\s|--[^\n]*\n|/\*.*?\*/)*EXPLAIN\b(?:\s+ANALYZE\b)?(?:\s*\(\s*(?:ANALYZE|FORMAT)\b[^)]*\))?",
    re.DOTALL | re.IGNORECASE,
)
_SHOW_TABLES = re.compile(r"\s*SHOW\s+TABLES\s*;?\s*", re.IGNORECASE)
_ALL_TABLES = "SELECT schema, name FROM (SHOW ALL TABLES) ORDER BY ALL"
"""What `SHOW TABLES` runs here: DuckDB's own lists the current schema, which holds no table."""

_ROWS_AT_ONCE = 10_000
"""Rows that are fetched at a time; a result may be larger than memory."""


@contextmanager
def open_sql(
    lake: Lake, tables: Sequence[str] | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Opens a DuckDB in which each table of the lake is a view, such as `staged.invoice_lines`.

    It reads no other file. A quarantine shows its open rows; a view whose name ends in `_all` shows
    the released and discarded ones too.

    Args:
        lake: where the tables are.
        tables: which tables; all that exist by default.
    """
    with (
        create_scratch_folder() as spool,
        connect(lake.options, remote=not lake.is_local) as connection,
    ):
        for layer in LAYERS:
            connection.execute(f"CREATE SCHEMA {quote_identifier(layer)}")
        with lake.translate_errors():
            for table in lake.tables() if tables is None else tables:
                _view(connection, lake, table)
        # Last, because it locks the settings. Without it `read_csv` and `read_text` gave any file
        # of the machine to whoever may write a query.
        restrict_access(connection, lake.root, str(spool))
        yield connection


def _view(connection: duckdb.DuckDBPyConnection, lake: Lake, table: str) -> None:
    """Creates the view of a table: without tombstones, and of a quarantine the open rows."""
    layer, name = table.split("/")
    # The log knows the columns. Asking DuckDB for them would make it open each table twice.
    handle = lake.open_shared(table)
    columns = {field.name for field in handle.schema().fields} if handle is not None else set()
    scan = f"delta_scan({quote_literal(lake.uri(table))})"
    shown = every = f"SELECT * FROM {scan}"  # noqa: S608
    if layer == "staged" and DELETED in columns:
        shown = f"SELECT * EXCLUDE ({DELETED}) FROM {scan} WHERE NOT {DELETED}"  # noqa: S608
    if layer == "quarantine" and "_state" in columns:
        # A row that another program wrote without a state is open, as everywhere.
        shown = f"{every} WHERE coalesce(_state, {quote_literal(OPEN)}) = {quote_literal(OPEN)}"
        connection.execute(
            f"CREATE VIEW {quote_identifier(layer)}.{quote_identifier(f'{name}_all')} AS {every}"
        )
    connection.execute(f"CREATE VIEW {quote_identifier(layer)}.{quote_identifier(name)} AS {shown}")


def run_query(lake: Lake, query: str) -> tuple[list[str], Iterator[tuple[Any, ...]]]:
    """Runs a query; returns its columns, and its rows as an iterator that fetches them on demand.

    Raises:
        SetupError: the query is not one statement that only reads.
        DataError: DuckDB cannot run it.
        OutageError: the bucket does not answer.
    """
    statements = _parsed(_ALL_TABLES if _SHOW_TABLES.fullmatch(query) else query)
    if not _only_read(statements):
        raise SetupError(
            "`lakehouse sql` runs one read-only statement.\nNext: write a single SELECT."
        )
    # Closes the connection on an error; on success the iterator of rows takes it over.
    with ExitStack() as stack:
        connection = stack.enter_context(open_sql(lake))
        try:
            with lake.translate_errors():
                connection.execute(statements[0])
        except duckdb.Error as error:
            raise _failed(error) from error
        return [column[0] for column in connection.description or []], _fetched(
            lake, connection, stack.pop_all()
        )


def _failed(error: duckdb.Error) -> DataError:
    """Returns the error to raise for a query that fails."""
    # An error that DuckDB meets after some rows comes as the last line of its message.
    reason = str(error).rpartition("closed pending query result\nError: ")[2]
    return DataError(
        f"The query fails: {reason}\nNext: fix the query; `lakehouse tables` lists the tables."
    )


def _only_read(statements: Sequence[duckdb.Statement]) -> bool:
    """Whether this is one statement that reads."""
    if len(statements) != 1:
        return False
    if statements[0].type != duckdb.StatementType.EXPLAIN:
        return statements[0].type in _READS
    explained = _EXPLAIN.match(statements[0].query)
    return explained is not None and _only_read(_parsed(statements[0].query[explained.end() :]))


def _parsed(query: str) -> list[duckdb.Statement]:
    # Apart from the lake: a query with a mistake fails before any table is opened.
    try:
        with duckdb.connect() as parser:
            return parser.extract_statements(query)
    except duckdb.Error as error:
        raise SetupError(
            f"The query cannot be parsed: {error}\n"
            "Next: write a single SELECT; `lakehouse tables` lists the tables."
        ) from error


def _fetched(
    lake: Lake, connection: duckdb.DuckDBPyConnection, held: ExitStack
) -> Iterator[tuple[Any, ...]]:
    # Closed as well when the reader stops early, as `| head` does.
    with held:
        while batch := _next_rows(lake, connection):
            yield from batch


def _next_rows(lake: Lake, connection: duckdb.DuckDBPyConnection) -> list[tuple[Any, ...]]:
    try:
        with lake.translate_errors():
            return connection.fetchmany(_ROWS_AT_ONCE)
    except duckdb.Error as error:
        raise _failed(error) from error
