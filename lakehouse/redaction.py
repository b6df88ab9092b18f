"""Redaction: error messages of Polars and DuckDB without the values that they quote.

A value may be personal, and messages are kept in logs. A message keeps the kind of the error, the
words before the first value, types, the column, and Polars' expression.
"""

import re

import duckdb
import polars as pl

from lakehouse.url_secrets import hide_url_secrets

# Errors about names and types: their messages hold no values.
_WITHOUT_VALUES = (
    pl.exceptions.ColumnNotFoundError,
    pl.exceptions.DuplicateError,
    pl.exceptions.SchemaError,
    pl.exceptions.SchemaFieldNotFoundError,
    pl.exceptions.StructFieldNotFoundError,
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.ParserException,
)
_POLARS_TYPE = (
    r"(?:str|bool|binary|date|time|null|cat|enum|object|[iuf]\d+"
    r"|(?:datetime|duration|decimal)\[[^`]*\])"
)
_DUCKDB_TYPE = (
    r"\b(?:U?(?:TINY|SMALL|BIG|HUGE)?INT(?:EGER|\d+)?"
    r"|VARCHAR|DATE|TIME(?:STAMP)?|DOUBLE|FLOAT|DECIMAL)\b"
)
_BY_DUCKDB = re.compile(r"Invalid Input Error: (?:Could not parse string|Malformed JSON|Failed to)")
# The longest beginning of a message that cannot hold a value: no quotes, brackets or digits, except
# around a type, a column and a count of values.
_WITHOUT_VALUE = re.compile(
    rf"(?:`{_POLARS_TYPE}`|(?<=in column )'[^']*'|\d+ out of \d+ values"
    rf"|{_DUCKDB_TYPE}|[^\"'`\[\](){{}}\d])*"
)
_EXPRESSION = "\n\nThis error occurred in the following expression:\n\t"


def redact(error: BaseException) -> str:
    """Returns the message of an error without values."""
    text = str(error)
    if isinstance(error, _WITHOUT_VALUES):
        return hide_url_secrets(text)
    message, expression = text, ""
    if _EXPRESSION in text:
        message, _, expression = text.rpartition(_EXPRESSION)
    # A value may hold line breaks, so no later line is safe.
    line = message.split("\n", 1)[0]
    if isinstance(error, duckdb.InvalidInputException) and not _BY_DUCKDB.match(line):
        line = "Invalid Input Error"  # an error that the query itself raises may be a value alone
    found = _WITHOUT_VALUE.match(line)
    kept = found[0] if found else ""
    types = [] if kept == line else ["…", *re.findall(_DUCKDB_TYPE, line[len(kept) :])]
    words = " ".join([kept.strip(), *types])
    kind = "" if isinstance(error, duckdb.Error) else f"{type(error).__name__}: "
    place = f", in {expression.splitlines()[0]}" if expression else ""
    return hide_url_secrets(f"{kind}{words}{place}")
