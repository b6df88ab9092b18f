"""Messages of Polars and DuckDB without the values that they quote, for a value may be personal and a log is for ever.

What is kept: the kind of the error, the words before the first value, types, the column, and Polars' expression.
"""

import re

import duckdb
import polars as pl

_OF_NAMES = (
    pl.exceptions.ColumnNotFoundError,
    pl.exceptions.DuplicateError,
    pl.exceptions.SchemaError,
    pl.exceptions.SchemaFieldNotFoundError,
    pl.exceptions.StructFieldNotFoundError,
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.ParserException,
)
"""Errors that speak of names and types alone."""

_POLARS_TYPE = r"(?:str|bool|binary|date|time|null|cat|enum|object|[iuf]\d+|(?:datetime|duration|decimal)\[[^`]*\])"
_DUCK_TYPE = r"\b(?:U?(?:TINY|SMALL|BIG|HUGE)?INT(?:EGER|\d+)?|VARCHAR|DATE|TIME(?:STAMP)?|DOUBLE|FLOAT|DECIMAL)\b"
_OF_DUCKDB = re.compile(r"Invalid Input Error: (?:Could not parse string|Malformed JSON|Failed to)")
_HARMLESS = re.compile(
    rf"(?:`{_POLARS_TYPE}`|(?<=in column )'[^']*'|\d+ out of \d+ values|{_DUCK_TYPE}|[^\"'`\[\](){{}}\d])*"
)
_EXPRESSION = "\n\nThis error occurred in the following expression:\n\t"


def redact(error: Exception) -> str:
    """What an error says, without values."""
    text = str(error)
    if isinstance(error, _OF_NAMES):
        return text
    message, _, expression = text.rpartition(_EXPRESSION) if _EXPRESSION in text else (text, "", "")
    line = message.split("\n", 1)[0]
    if isinstance(error, duckdb.InvalidInputException) and not _OF_DUCKDB.match(line):
        line = "Invalid Input Error"  # what a query itself raises may be nothing but values
    found = _HARMLESS.match(line)
    kept = found[0] if found else ""
    types = [] if kept == line else ["…", *re.findall(_DUCK_TYPE, line[len(kept) :])]
    said = " ".join([kept.strip(), *types])
    kind = "" if isinstance(error, duckdb.Error) else f"{type(error).__name__}: "
    return f"{kind}{said}" + (f", in {expression.splitlines()[0]}" if expression else "")
