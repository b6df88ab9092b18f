"""SQL over the lake: a DuckDB in memory with a schema for each layer and a view for each table."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

from lakehouse.errors import DataError, SetupError
from lakehouse.observe.sql_values import fetch_as_shown
from lakehouse.quarantine.dead_letters import DEAD_LETTERS
from lakehouse.quarantine.states import OPEN
from lakehouse.storage.duckdb_connection import (
    connect,
    quote_identifier,
    quote_literal,
    restrict_access,
)
from lakehouse.storage.lake import LAYERS, Lake
from lakehouse.storage.scratch import create_scratch_folder
from lakehouse.storage.sql_guard import (
    ReadableTables,
    ReadStatement,
    parse_read,
    refuse_forbidden,
)
from lakehouse.system_columns import DELETED
from lakehouse.tables.catalog import Catalog

_SHOW_TABLES = re.compile(r"\s*SHOW\s+TABLES\s*;?\s*", re.IGNORECASE)
_ALL_TABLES = "SELECT schema, name FROM (SHOW ALL TABLES) ORDER BY ALL"
"""What `SHOW TABLES` runs here: DuckDB's own lists the current schema, which holds no table."""

_NOT_ONE_READ = "`lakehouse sql` runs one read-only statement.\nNext: write a single SELECT."
# Without its values a PIVOT is two statements: DuckDB makes a type of the values first.
_PIVOT_HINT = " A PIVOT has to name its values: PIVOT … ON column IN (…) USING …."
_NO_TABLE = re.compile(r"Table with name (\S+) does not exist")
_NAME_TABLES = (
    "name tables as <layer>.<table>, which `lakehouse tables` lists, and call functions that work "
    "on values alone."
)

_ROWS_AT_ONCE = 10_000
"""Rows that are fetched at a time; a result may be larger than memory."""


@contextmanager
def open_sql(
    lake: Lake, tables: Sequence[str] | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Opens a DuckDB in which each table of the lake is a view, such as `staged.invoice_lines`.

    A quarantine shows its open rows; a view whose name ends in `_all` shows the released and
    discarded ones too. Whoever holds the connection is trusted: it opens no file outside the lake
    by itself, but functions of the Delta extension still do. `run_query` is for queries of others.

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


def run_query(
    lake: Lake, query: str, catalog: Catalog | None = None
) -> tuple[list[str], Iterator[tuple[Any, ...]]]:
    """Runs a query; returns its columns, and its rows as an iterator that fetches them on demand.

    Args:
        lake: where the tables are.
        query: the query.
        catalog: the declared tables, to tell a quarantine that does not exist yet from a wrong
            name.

    Raises:
        SetupError: the query is not one statement that only reads tables of the lake.
        DataError: DuckDB cannot run it.
        OutageError: the bucket does not answer.
    """
    statement = _parse(_ALL_TABLES if _SHOW_TABLES.fullmatch(query) else query)
    readable = ReadableTables(frozenset(LAYERS), is_scannable=partial(_is_table_of, lake))
    refuse_forbidden(statement, readable, _NAME_TABLES)
    # Closes the connection on an error; on success the iterator of rows takes it over.
    with ExitStack() as stack:
        connection = stack.enter_context(open_sql(lake))
        with _translate_errors(lake):
            try:
                relation = connection.sql(statement.text)
            except duckdb.CatalogException as error:
                if empty := _find_empty_quarantine(error, query, catalog):
                    raise empty from error
                raise
            fetch = fetch_as_shown(relation)
            # Now: where a query fails at its first rows, nothing of its result is printed.
            first = fetch(_ROWS_AT_ONCE)
        return relation.columns, _fetched(lake, fetch, first, stack.pop_all())


@contextmanager
def _translate_errors(lake: Lake) -> Iterator[None]:
    try:
        with lake.translate_errors():
            yield
    except duckdb.Error as error:
        raise _failed(error) from error


def _find_empty_quarantine(
    error: duckdb.Error, query: str, catalog: Catalog | None
) -> DataError | None:
    """Returns the error to raise for a quarantine that does not exist yet; None for others."""
    # The first rejected row makes the table. DuckDB would propose another table with a like name.
    found = _NO_TABLE.search(str(error))
    if catalog is None or found is None or "quarantine" not in query.lower():
        return None
    name = found[1].lower()
    owners = {table.quarantine: table.name for table in catalog.derived_tables}
    owners[DEAD_LETTERS] = "any raw table"
    owner = owners.get(f"quarantine/{name.removesuffix('_all')}")
    if owner is None:
        return None
    return DataError(
        f"Nothing of {owner} was rejected yet, so there is no table quarantine.{name}.\n"
        "Next: there is nothing to do; the first rejected row creates it."
    )


def _failed(error: duckdb.Error) -> DataError:
    """Returns the error to raise for a query that fails."""
    # An error that DuckDB meets after some rows comes as the last line of its message.
    reason = str(error).rpartition("closed pending query result\nError: ")[2]
    return DataError(
        f"The query fails: {reason}\nNext: fix the query; `lakehouse tables` lists the tables."
    )


def _parse(query: str) -> ReadStatement:
    """Returns the statement of a query that reads tables of the lake and nothing else."""
    # Apart from the lake: a query with a mistake fails before any table is opened.
    try:
        query.encode()
        statement = parse_read(query)
    except UnicodeEncodeError:
        raise SetupError(
            "The query holds bytes that are not UTF-8.\nNext: write it in UTF-8."
        ) from None
    except duckdb.Error as error:
        raise SetupError(
            f"The query cannot be parsed: {error}\n"
            "Next: write a single SELECT; `lakehouse tables` lists the tables."
        ) from error
    if statement is None:
        raise SetupError(_NOT_ONE_READ + (_PIVOT_HINT if "pivot" in query.lower() else ""))
    return statement


def _is_table_of(lake: Lake, place: str) -> bool:
    """Whether a text is the place of a table of the lake.

    The Delta reader takes a place for a URL, where `%2e` is a dot, so it has to be a plain path.
    """
    if not lake.is_local:
        # Nothing but the URI itself: a path without the root is one of this machine.
        return place in map(lake.uri, lake.tables())
    if "%" in place or "\0" in place or place.startswith("~") or ".." in Path(place).parts:
        return False
    root, table = Path(lake.root).resolve(), Path(place).resolve()
    return table.is_relative_to(root) and table.relative_to(root).as_posix() in lake.tables()


def _fetched(
    lake: Lake,
    fetch: Callable[[int], list[tuple[Any, ...]]],
    first: list[tuple[Any, ...]],
    held: ExitStack,
) -> Iterator[tuple[Any, ...]]:
    # Closed as well when the reader stops early, as `| head` does.
    with held:
        batch = first
        while batch:
            yield from batch
            with _translate_errors(lake):
                batch = fetch(_ROWS_AT_ONCE)
