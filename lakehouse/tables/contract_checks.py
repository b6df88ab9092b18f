"""Checks that a contract makes sense and can be enforced, before any data is touched."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, get_args, get_type_hints

import polars as pl
from polars.datatypes import DataTypeClass

from lakehouse.calendar import Physical
from lakehouse.errors import SetupError, list_problems
from lakehouse.tables.column_names import find_alike
from lakehouse.tables.contract import (
    Column,
    Contract,
    TableProperties,
    get_properties,
    list_columns,
)
from lakehouse.tables.patterns import UnsupportedPatternError, match_whole
from lakehouse.tables.references import find_malformed_references, list_references
from lakehouse.tables.stored_types import find_bare_decimals, find_type_problems


def check_contract(contract: type[Contract]) -> None:
    """Checks that a contract makes sense.

    Raises:
        SetupError: naming every problem of the contract at once.
    """
    columns = {column.name: column for column in list_columns(contract)}
    properties = get_properties(contract)
    malformed = dict(_find_malformed_properties(properties))
    # What the others name is checked all the same.
    defaults = {name: getattr(TableProperties(), name) for name in malformed}
    properties = replace(properties, **defaults)
    problems = [
        *malformed.values(),
        *_find_unknown_columns(properties, columns),
        *_find_date_problems(properties, columns),
        *_find_key_problems(properties, columns),
        *_find_name_problems(columns),
        *_find_column_type_problems(columns.values()),
        *find_bare_decimals(get_type_hints(contract, include_extras=True)),
        *_find_flag_problems(columns.values()),
        *_find_pattern_problems(contract),
        *_find_unenforced(contract),
    ]
    if problems:
        raise SetupError(
            list_problems(
                f"Contract {contract.__name__} ({contract.__module__}) does not compile.",
                problems,
                "correct the contract; no data was touched.",
            )
        )


def _find_unknown_columns(
    properties: TableProperties, columns: Mapping[str, Column]
) -> Iterator[str]:
    named = {"key": properties.key, "sequence": properties.sequence}
    named["references"] = tuple(
        column for one in list_references(properties) for column in one.columns
    )
    for name in ("event_time", "date_column", "counts"):
        if value := getattr(properties, name):
            named[name] = (value,)
    for name, values in named.items():
        for column in values:
            if column not in columns:
                yield f"{name} names the column {column!r}, which the contract does not have"


def _find_date_problems(
    properties: TableProperties, columns: Mapping[str, Column]
) -> Iterator[str]:
    date_column = columns.get(properties.date_column or "")
    if date_column is not None and date_column.dtype != pl.Date:
        yield f"date_column {date_column.name!r} is {date_column.dtype}, it has to be Date"
    if date_column is not None and date_column.nullable:
        yield (
            f"date_column {date_column.name!r} is nullable; "
            "a row without a day belongs to no period"
        )
    counts = columns.get(properties.counts or "")
    if counts is not None and not counts.dtype.is_integer():
        yield f"counts {counts.name!r} is {counts.dtype}, it has to be a whole number"


def _find_malformed_properties(properties: TableProperties) -> Iterator[tuple[str, str]]:
    """Yields properties whose value is of the wrong kind, each with what is wrong."""
    for name in ("key", "sequence"):
        names = getattr(properties, name)
        if not isinstance(names, tuple) or not all(isinstance(one, str) for one in names):
            yield name, f"{name} is {names!r}, it has to be a tuple of column names"
        elif len(set(names)) < len(names):
            yield name, f"{name} is {names!r}, which names a column twice"
    for name in ("event_time", "date_column", "counts"):
        value = getattr(properties, name)
        if value is not None and not isinstance(value, str):
            yield name, f"{name} is {value!r}, it has to be the name of a column"
    age = properties.fresh_within
    if age is not None and not (isinstance(age, timedelta) and age > timedelta(0)):
        yield "fresh_within", f"fresh_within is {age!r}, it has to be a timedelta above 0"
    unit, known = properties.physical, get_args(Physical)
    if not isinstance(unit, str) or unit not in known:
        yield "physical", f"physical is {unit!r}, it has to be one of {', '.join(known)}"
    share = properties.max_quarantined
    # True is a number as well, and so is NaN, which is between nothing.
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
        problem = f"max_quarantined is {share!r}, it has to be a share between 0 and 1"
        yield "max_quarantined", problem
    yield from _find_malformed_collections(properties)


def _find_malformed_collections(properties: TableProperties) -> Iterator[tuple[str, str]]:
    for name in ("rules", "row_rules"):
        for problem in _find_malformed_rules(name, getattr(properties, name)):
            yield name, problem
    for problem in find_malformed_references(properties.references):
        yield "references", problem


def _find_malformed_rules(kind: str, rules: Any) -> Iterator[str]:  # noqa: ANN401, anything
    if not isinstance(rules, Mapping):
        yield f"{kind} is {type(rules).__name__}, it has to be a dict of expressions by name"
        return
    one = kind.removesuffix("s").replace("_", " ")
    wrong = [
        f"{one} {name!r} is {type(rule).__name__}, it has to be an expression of Polars"
        for name, rule in rules.items()
        if not isinstance(name, str) or not isinstance(rule, pl.Expr)
    ]
    if wrong:
        yield "; ".join(wrong)


def _find_key_problems(properties: TableProperties, columns: Mapping[str, Column]) -> Iterator[str]:
    # Rows with a null key would count as versions of one another.
    for name in properties.key:
        if name in columns and columns[name].nullable:
            yield f"key column {name!r} is nullable"


def _find_name_problems(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        if name.startswith("_"):
            yield f"column {name!r}: names that begin with _ belong to the engine"
    for alike in find_alike(names):
        yield f"columns {', '.join(map(repr, alike))} differ by case alone: rename one of them"


def _find_column_type_problems(columns: Iterable[Column]) -> Iterator[str]:
    for column in columns:
        for problem in find_type_problems(column.name, column.dtype):
            yield f"column {problem}"


def _find_flag_problems(columns: Iterable[Column]) -> Iterator[str]:
    for column in columns:
        for flag in ("allow_inf", "allow_nan"):
            if getattr(column, flag) and not _holds_reals(column.dtype):
                yield f"column {column.name!r} is {column.dtype}, for which {flag} means nothing"


def _holds_reals(dtype: pl.DataType | DataTypeClass) -> bool:
    if isinstance(dtype, pl.Struct):
        return any(_holds_reals(field.dtype) for field in dtype.fields)
    return _holds_reals(dtype.inner) if isinstance(dtype, pl.List) else dtype.is_float()


def _find_pattern_problems(contract: type[Contract]) -> Iterator[str]:
    """Yields patterns that Polars cannot run as Python does."""
    for name, column in contract.to_schema().columns.items():
        for check in column.checks:
            if check.name not in ("str_matches", "str_contains"):
                continue
            if (pattern := (check.statistics or {}).get("pattern")) is None:
                continue  # a check of a person's own
            try:
                match_whole(pattern)
            except UnsupportedPatternError as error:
                yield f"column {name!r}: {error}"


def _find_unenforced(contract: type[Contract]) -> Iterator[str]:
    """Yields what Pandera declares but the row pass does not enforce, so that none is ignored."""
    # Pandera would check or convert all of this in `validate`, which the engine does not call: on a
    # LazyFrame that looks at the schema alone.
    schema = contract.to_schema()
    unique = [schema.unique] if isinstance(schema.unique, str) else list(schema.unique or ())
    unique += [name for name, column in schema.columns.items() if column.unique]
    for names in unique:
        yield (
            f"{names!r} is declared unique, which cannot be checked row by row: "
            "name it in `key`, or in a table rule"
        )
    for name, column in schema.columns.items():
        for option in _list_conversions(column):
            yield f"column {name!r} asks for {option}: let the transform do that"
    if schema.coerce:
        yield "the model asks for coerce: let the transform do that"
    checks = [*schema.checks]
    for column in schema.columns.values():
        checks += column.checks
    for check in checks:
        if check.raise_warning:
            yield (
                f"check {check.name} only warns, but a row keeps a rule or breaks it: "
                "drop raise_warning, or the check"
            )


def _list_conversions(column: Any) -> Iterator[str]:  # noqa: ANN401 - Pandera's column is untyped
    if column.default is not None:
        yield "default"
    if column.regex:
        yield "regex"
    if column.coerce:
        yield "coerce"
    if not column.required:
        yield "an optional column"
