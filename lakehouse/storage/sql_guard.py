"""What a query may do: read the tables that it is given, and nothing else.

DuckDB's own switch, `enable_external_access`, does not bind the functions of an extension: the one
for Delta brings a function that writes any file. So a query is parsed before it runs, and each
table and function that it names has to be known to stay inside. A statement that cannot be taken
apart in this way does not run at all.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import duckdb

from lakehouse.errors import SetupError, list_problems
from lakehouse.storage.duckdb_connection import connect_closed
from lakehouse.storage.sql_functions import FUNCTIONS, TABLE_FUNCTIONS

# The parts of a statement, by DuckDB's names. Any other part is refused: the guard would not know
# where in it a table or a function is named.
_EXPRESSIONS = frozenset(
    (
        *("BETWEEN", "CASE", "CAST", "COLLATE", "COLUMN_REF", "COMPARISON", "CONJUNCTION"),
        *("CONSTANT", "FUNCTION", "LAMBDA", "LAMBDA_REF", "OPERATOR", "POSITIONAL_REFERENCE"),
        *("STAR", "SUBQUERY", "WINDOW"),
    )
)
_PARTS = frozenset(
    (
        *("SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"),
        *("BASE_TABLE", "EMPTY", "EXPRESSION_LIST", "JOIN", "PIVOT", "SHOW_REF", "SUBQUERY"),
        *("TABLE_FUNCTION", "LIMIT_MODIFIER", "LIMIT_PERCENT_MODIFIER", "ORDER_MODIFIER"),
        *("DISTINCT_MODIFIER", "ORDER_DEFAULT", "ASCENDING", "DESCENDING"),
    )
)
_TYPE_DETAILS = "_TYPE_INFO"
_LISTINGS = frozenset(("__show_tables_expanded", '"databases"', '"schemas"', '"tables"'))
"""What `SHOW ALL TABLES`, `SHOW DATABASES`, `SHOW SCHEMAS` and `SHOW TABLES` are parsed to."""

_OWN_CATALOGS = frozenset(("", "memory"))
_CATALOG_SCHEMA = "information_schema"
# A name with a slash or a dot could be a path, which DuckDB would open as a file.
_PLAIN_NAME = re.compile(r"\w+")
_EXPLAIN = re.compile(
    r"(?:\s|--[^\n]*\n|/\*.*?\*/)*EXPLAIN\b(?P<analyze>(?:\s|--[^\n]*\n|/\*.*?\*/)*\bANALYZE\b)?"
    r"(?P<options>\s*\(\s*(?:ANALYZE|FORMAT)\b[\w\s,]*\))?",
    re.DOTALL | re.IGNORECASE,
)


def _scans_nothing(_: str) -> bool:
    return False


@dataclass(frozen=True)
class ReadableTables:
    """The tables that a query may name.

    Attributes:
        schemas: schemas all of whose tables are open, in lower case.
        names: tables that are named without a schema.
        is_scannable: whether `delta_scan` may open a place; a query names one to read an earlier
            version.
    """

    schemas: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    is_scannable: Callable[[str], bool] = _scans_nothing


@dataclass(frozen=True)
class ReadStatement:
    """One statement that reads.

    Attributes:
        text: what to run.
        tree: its parts as DuckDB parsed them.
    """

    text: str
    tree: Mapping[str, Any]


def parse_read(query: str) -> ReadStatement | None:
    """Returns the one statement of a text if it reads; None if it is anything else.

    Raises:
        duckdb.Error: the text cannot be parsed.
        SetupError: it is nested too deeply to be checked.
    """
    parser = _open_parser().cursor()
    if statement := _parse_select(parser, query):
        return statement
    # EXPLAIN ANALYZE runs what it explains. What runs is put together anew from the part that was
    # checked, so it cannot matter how the comments before that part are read.
    start = _EXPLAIN.match(query)
    explained = _parse_select(parser, query[start.end() :]) if start else None
    if start is None or explained is None:
        return None
    how = " ANALYZE" if start["analyze"] else ""
    return ReadStatement(f"EXPLAIN{how} {start['options'] or ''} {explained.text}", explained.tree)


@cache
def _open_parser() -> duckdb.DuckDBPyConnection:
    # Once a process, because opening a DuckDB takes a hundred times as long as parsing a query.
    return connect_closed()


def _parse_select(parser: duckdb.DuckDBPyConnection, query: str) -> ReadStatement | None:
    """Returns a SELECT with its parts; None for any other statement, and for several.

    SHOW, DESCRIBE, SUMMARIZE, VALUES and FROM are a SELECT to DuckDB.
    """
    # `extract_statements` is no way to parse: it puts other statements in the place of IMPORT and
    # of each PRAGMA, for which it opens the files that they name.
    found = parser.execute("SELECT json_serialize_sql(?)", [query]).fetchone()
    try:
        tree: dict[str, Any] = json.loads(found[0]) if found else {"error": True}
    except RecursionError:
        raise SetupError(
            "The query is nested too deeply to be checked.\n"
            "Next: split it by WITH, or shorten a chain of several hundred operators."
        ) from None
    if tree["error"] and tree.get("error_type") == "parser":
        # It says more about a mistake, and finds it before it puts anything in another's place.
        parser.extract_statements(query)
    if tree["error"] or len(tree["statements"]) != 1:
        return None
    return ReadStatement(query, tree["statements"][0]["node"])


def refuse_forbidden(statement: ReadStatement, readable: ReadableTables, next_step: str) -> None:
    """Refuses a statement that names anything beyond what it may read.

    Raises:
        SetupError: naming each such table and function.
    """
    if problems := find_forbidden(statement, readable):
        headline = "The query reaches beyond the tables that it may read."
        raise SetupError(list_problems(headline, problems, next_step))


def find_forbidden(statement: ReadStatement, readable: ReadableTables) -> list[str]:
    """Returns what a statement names beyond what it may read, each once; empty if nothing."""
    found: dict[str, None] = {}
    known = frozenset(name.lower() for name in readable.names)
    # A stack and no recursion, because a long query is a deep tree. Each part comes with the names
    # that the WITH clauses around it define.
    parts: list[tuple[Any, frozenset[str]]] = [(statement.tree, known)]
    while parts:
        part, names = parts.pop()
        if isinstance(part, dict):
            names = names | _list_definitions(part)
            found.update(dict.fromkeys(_check_part(part, names, readable)))
            below = _list_parts_below(part)
        else:
            below = part if isinstance(part, list) else []
        parts += ((one, names) for one in reversed(below))
    return list(found)


def _list_definitions(part: Mapping[str, Any]) -> frozenset[str]:
    """Returns the names that the WITH clause of a query defines."""
    clause = part.get("cte_map") or {"map": []}
    return frozenset(entry["key"].lower() for entry in clause["map"])


def _list_parts_below(part: Mapping[str, Any]) -> list[Any]:
    """Returns the parts of a part that are still to be checked."""
    below = [value for value in part.values() if isinstance(value, dict | list)]
    if part.get("type") != "TABLE_FUNCTION":
        return below
    # The call itself was checked as what it is, a source of rows; its arguments were not.
    return [*(one for one in below if one is not part["function"]), *part["function"].values()]


def _check_part(
    part: Mapping[str, Any], names: frozenset[str], readable: ReadableTables
) -> Iterator[str]:
    """Yields what is wrong with a part itself, without the parts below it."""
    kind = part.get("type")
    if "class" in part:
        yield from _check_expression(part)
    elif kind == "BASE_TABLE":
        yield from _check_table(part, names, readable)
    elif kind == "TABLE_FUNCTION":
        yield from _check_table_function(part["function"], readable)
    elif kind == "SHOW_REF" and part["query"] is None:
        yield from _check_listing(part, readable)
    elif isinstance(kind, str) and kind not in _PARTS and not kind.endswith(_TYPE_DETAILS):
        yield f"it has a part that is not known to only read: {kind}"


def _check_expression(part: Mapping[str, Any]) -> Iterator[str]:
    if part["class"] not in _EXPRESSIONS:
        yield f"it has a part that is not known to only read: {part['class']}"
    elif "function_name" in part and part["function_name"].lower() not in FUNCTIONS:
        yield f"it calls the function {part['function_name']}"


def _check_table(
    part: Mapping[str, Any], names: frozenset[str], readable: ReadableTables
) -> Iterator[str]:
    schema, table = part["schema_name"].lower(), part["table_name"]
    if not schema:
        if part["catalog_name"] or table.lower() not in names:
            yield f"{table} is no table here"
    elif (
        part["catalog_name"].lower() not in _OWN_CATALOGS
        or schema not in readable.schemas | {_CATALOG_SCHEMA}
        or not _PLAIN_NAME.fullmatch(table)
    ):
        yield f"{part['schema_name']}.{table} is no table here"


def _check_table_function(call: Mapping[str, Any], readable: ReadableTables) -> Iterator[str]:
    name = call["function_name"].lower()
    if name in TABLE_FUNCTIONS:
        return
    if name != "delta_scan":
        yield f"it reads from the function {call['function_name']}"
    elif not _is_allowed_scan(call["children"], readable):
        yield "it scans a place that is no table of the lake; name one as a text, and a `version`"


def _is_allowed_scan(arguments: list[Mapping[str, Any]], readable: ReadableTables) -> bool:
    """Whether a scan names a table of the lake, and nothing but a version beside it."""
    first, *others = arguments or [{}]
    place = (first.get("value") or {}).get("value")
    return (
        first.get("class") == "CONSTANT"
        and not first["alias"]
        and isinstance(place, str)
        and readable.is_scannable(place)
        and all(one["class"] == "CONSTANT" and one["alias"] == "version" for one in others)
    )


def _check_listing(part: Mapping[str, Any], readable: ReadableTables) -> Iterator[str]:
    schema, table = part["schema_name"].lower(), part["table_name"]
    if part["show_type"] == "SHOW_FROM":
        return
    if table not in _LISTINGS and (
        schema not in readable.schemas or not _PLAIN_NAME.fullmatch(table)
    ):
        yield f"{table} is no table here"
