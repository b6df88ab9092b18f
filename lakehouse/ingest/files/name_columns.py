"""Columns that the name of a file holds: those of its folders, and those of a pattern.

Belongs here: reading names, and comparing them with the rows. Does not belong here: that a name
with columns is part of what identifies a delivery (`ingest/delivery_identity.py`).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import unquote

import polars as pl

from lakehouse.ingest.files.packed.suffixes import name_packing, strip_packing
from lakehouse.ingest.files.record_ledger import RefusedError
from lakehouse.tables.files import Files

_NULL = "__HIVE_DEFAULT_PARTITION__"
"""What Hive and Spark write for null in the name of a folder."""


def read_name_columns(name: str, files: Files, inner: str = "") -> dict[str, str | None]:
    """Returns the columns that a name holds, with their values as text.

    Args:
        name: the name of the file with its folders.
        files: what is declared of names.
        inner: the name of the only member of an archive, with its folders.

    Raises:
        RefusedError: the pattern does not match, or the name gives a column two values.
    """
    found: dict[str, str | None] = {}
    spelled: dict[str, str] = {}
    for column, value in _list_values(name, inner, files):
        first = spelled.setdefault(column.casefold(), column)
        if first in found and found[first] != value:
            raise RefusedError(
                f"its name gives the column {column!r} two values: {found[first]!r} and {value!r}"
            )
        found[first] = value
    return found


def _list_values(name: str, inner: str, files: Files) -> Iterator[tuple[str, str | None]]:
    if files.name is not None:
        yield from _match(files.name, name).items()
    if files.folders:
        for part in (*name.split("/")[:-1], *inner.split("/")[:-1]):
            column, mark, value = part.partition("=")
            if mark and column:
                yield _decode(column), None if value in ("", _NULL) else _decode(value)


def _match(pattern: str, name: str) -> Mapping[str, str | None]:
    """Returns the named groups of a pattern in a name."""
    # Part of a name must not match: of `xnorth_1.csv`, `[a-z]{5}_` would take `north`.
    candidates = [name, name.rsplit("/", 1)[-1]]
    for candidate in candidates:
        if (found := re.fullmatch(pattern, candidate)) is not None:
            return found.groupdict()
        if name_packing(candidate):
            candidates.append(strip_packing(candidate))
    raise RefusedError(
        f"its name {name!r} does not match {pattern!r}, which tells columns; the pattern has to "
        "match all of the name, with its folders or without; correct Files(name=…), or the name"
    )


def _decode(part: str) -> str:
    try:
        return unquote(part, errors="strict")
    except UnicodeDecodeError as error:
        raise RefusedError(f"the name of its folder {part!r} is not UTF-8") from error


def check_own_values(
    rows: pl.LazyFrame, columns: Iterable[str], named: Mapping[str, str | None]
) -> None:
    """Checks that a file has the values of its name in the columns that both have.

    Args:
        rows: the rows of the file.
        columns: its columns.
        named: the columns of its name, with their value.

    Raises:
        RefusedError: it has other values.
    """
    wanted = {name.casefold(): value for name, value in named.items()}
    twice = {column: wanted[key] for column in columns if (key := column.casefold()) in wanted}
    schema = rows.collect_schema()
    differs = [
        (~_equals(column, schema[column], value)).any().alias(column)
        for column, value in twice.items()
    ]
    found = rows.select(differs).collect(engine="streaming").row(0, named=True)
    wrong = [f"{one} is {twice[one]!r} in its name" for one, is_other in found.items() if is_other]
    if wrong:
        raise RefusedError(
            f"its name and its rows have other values for the same column: {', '.join(wrong)}"
        )


def _equals(column: str, dtype: pl.DataType, value: str | None) -> pl.Expr:
    """Returns whether a column holds the value of a name, as text or as a value of its type."""
    if dtype.is_nested() or dtype == pl.Binary:
        return pl.lit(False)
    as_text = pl.col(column).cast(pl.String).eq_missing(pl.lit(value, pl.String))
    if not dtype.is_numeric() or value is None:
        return as_text
    # `month=01` in a name is the number 1 in the file.
    as_number = pl.lit(value, pl.String).cast(dtype, strict=False)
    return as_text | (pl.col(column) == as_number).fill_null(False)


def make_constants(named: Mapping[str, str | None]) -> list[pl.Expr]:
    """Returns the columns of a name, with the same value in each row."""
    return [pl.lit(value, dtype=pl.String).alias(name) for name, value in named.items()]
