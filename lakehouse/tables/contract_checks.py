"""Checks that a contract makes sense and can be enforced, before any data is touched."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, get_args

import polars as pl
from polars.datatypes import DataTypeClass

from lakehouse.calendar import Physical
from lakehouse.errors import SetupError, list_problems
from lakehouse.tables.contract import (
    Column,
    Contract,
    TableProperties,
    get_properties,
    list_columns,
)
from lakehouse.tables.patterns import UnsupportedPatternError, match_whole

# What `storage/delta_types.py` can store; instants have a check of their own.
_TEXT_AND_TIME = (pl.String, pl.Binary, pl.Boolean, pl.Date)
_NUMBERS = (pl.Decimal, pl.Float32, pl.Float64, pl.Int8, pl.Int16, pl.Int32, pl.Int64)
_DELTA_TYPES = (*_TEXT_AND_TIME, *_NUMBERS, pl.List, pl.Struct)
_INSTANT = pl.Datetime("us", "UTC")


def check_contract(contract: type[Contract]) -> None:
    """Checks that a contract makes sense.

    Raises:
        SetupError: naming every problem of the contract at once.
    """
    columns = {column.name: column for column in list_columns(contract)}
    properties = get_properties(contract)
    problems = [
        *_find_unknown_columns(properties, columns),
        *_find_date_problems(properties, columns),
        *_find_malformed_properties(properties),
        *_find_key_problems(properties, columns),
        *_find_type_problems(columns.values()),
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
    # `key = "id"` is malformed, which another check reports: its letters are not columns.
    tuples = {"key": properties.key, "sequence": properties.sequence}
    named = {name: value for name, value in tuples.items() if isinstance(value, tuple)}
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


def _find_malformed_properties(properties: TableProperties) -> Iterator[str]:
    """Yields properties whose value is of the wrong kind."""
    for name, value in {"key": properties.key, "sequence": properties.sequence}.items():
        if not isinstance(value, tuple):
            yield f"{name} is {value!r}, it has to be a tuple of column names"
    if properties.physical not in get_args(Physical):
        known = ", ".join(get_args(Physical))
        yield f"physical is {properties.physical!r}, it has to be one of {known}"
    share = properties.max_quarantined
    if not isinstance(share, int | float) or not 0 <= share <= 1:
        yield f"max_quarantined is {share!r}, it has to be a share between 0 and 1"


def _find_key_problems(properties: TableProperties, columns: Mapping[str, Column]) -> Iterator[str]:
    # Rows with a null key would count as versions of one another.
    for name in properties.key if isinstance(properties.key, tuple) else ():
        if name in columns and columns[name].nullable:
            yield f"key column {name!r} is nullable"


def _find_type_problems(columns: Iterable[Column]) -> Iterator[str]:
    for column in columns:
        if column.name.startswith("_"):
            yield f"column {column.name!r}: names that begin with _ belong to the engine"
        # Other units and zones break Delta's and Spark's readers.
        if isinstance(column.dtype, pl.Datetime):
            if column.dtype != _INSTANT:
                yield (
                    f"column {column.name!r} is {column.dtype}: "
                    "declare times as Instant (microseconds, UTC)"
                )
        elif not isinstance(column.dtype, _DELTA_TYPES):
            yield f"column {column.name!r} is {column.dtype}, which Delta Lake cannot store"


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
