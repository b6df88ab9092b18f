"""A table's promise: a Pandera model of its rows, and what is true of the table as a whole.

Belongs here: columns, types, the facts of a table, and the proof that a contract makes sense.
Does not belong here: evaluating rules (`rules.py`), storing anything (`lake.py`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from difflib import get_close_matches
from functools import cache
from inspect import signature
from typing import Annotated, Any, ClassVar, get_args

import pandera.polars as pa
import polars as pl

from lakehouse.calendar import Physical
from lakehouse.errors import SetupError, list_problems

Instant = Annotated[pl.Datetime, "us", "UTC"]
"""A point in time: microseconds, UTC. The one form in which typed tables hold times."""


_TEXT_AND_TIME = (pl.String, pl.Binary, pl.Boolean, pl.Date)
_NUMBERS = (pl.Decimal, pl.Float32, pl.Float64, pl.Int8, pl.Int16, pl.Int32, pl.Int64)
_DELTA_TYPES = (*_TEXT_AND_TIME, *_NUMBERS, pl.List, pl.Struct)


def Field(*, unit: str | None = None, pii: bool = False, **options: Any) -> Any:  # noqa: ANN401, N802
    """A column's promise: Pandera's `Field` with a unit and a mark for personal data.

    Args:
        unit: unit of the values, e.g. `GBP` or `W`; shown in the catalogue.
        pii: personal data; kept out of file statistics, examples and log messages.
        **options: whatever `pandera.Field` takes (`ge`, `isin`, `str_matches`, `nullable`, `description`, …).

    An option that does not exist, or whose value makes no sense, is refused by the contract, which knows the column.
    """
    try:
        return pa.Field(metadata={"unit": unit, "pii": pii}, **options)
    except (pa.errors.SchemaInitError, re.error, TypeError, ValueError) as error:
        given = ", ".join(f"{name}={value!r}" for name, value in options.items())
        return _Unfit(f"Field({given}): {_reason(error)}")


@dataclass(frozen=True)
class _Unfit:
    """Stands for a field that cannot be, until the contract tells of it."""

    problem: str


def _reason(error: Exception) -> str:
    unknown = re.match(r"custom check '(\w+)' is not available", str(error))
    if unknown is None:
        return str(error)
    known = get_close_matches(unknown[1], signature(pa.Field).parameters)
    return f"there is no check {unknown[1]!r}" + (
        f"; did you mean {', '.join(known)}?" if known else ""
    )


@dataclass(frozen=True)
class TableProperties:
    """What is true of a table beyond its rows; written as `class Table` inside a contract.

    Attributes:
        key: columns that name a row. In staged tables the latest version of a key supersedes the others;
            in marts a repeated key refuses the commit.
        sequence: columns that order the versions of a key, before the delivery's time and origin decide.
        event_time: the column that tells when a row happened; `lakehouse tables` shows its newest value.
        date_column: the `Date` column by which the table is made again, day by day.
        physical: how the files are partitioned in Delta when there is a window.
        counts: the column that tells how many rows of the first input a row stands for (aggregates).
        max_quarantined: the largest share of read rows that may break the contract before a commit is refused.
        fresh_within: how old the newest event may be before the table counts as late.
        rules: named Polars aggregates over the rows to be published; each must be true.
    """

    key: tuple[str, ...] = ()
    sequence: tuple[str, ...] = ()
    event_time: str | None = None
    date_column: str | None = None
    physical: Physical = "month"
    counts: str | None = None
    max_quarantined: float = 0.05
    fresh_within: timedelta | None = None
    rules: Mapping[str, pl.Expr] = field(default_factory=dict)


class Contract(pa.DataFrameModel):
    """Base of every contract: a class per table, a field per column, and an inner `class Table` with its facts."""

    __facts__: ClassVar[TableProperties] = TableProperties()

    class Config:
        """Pandera's own settings: no other columns, in any order."""

        strict = True

    def __init_subclass__(cls, **kwargs: object) -> None:
        inner = cls.__dict__.get("Table")
        if inner is not None:
            delattr(cls, "Table")  # Pandera takes every public name for a column
            cls.__facts__ = _facts(cls.__name__, inner)
        unfit = {name: value for name, value in vars(cls).items() if isinstance(value, _Unfit)}
        if unfit:
            problems = [f"column {name!r}: {value.problem}" for name, value in unfit.items()]
            headline = f"Contract {cls.__name__} ({cls.__module__}) does not compile."
            raise SetupError(
                list_problems(headline, problems, "mend the field; no data was touched.")
            )
        super().__init_subclass__(**kwargs)  # type: ignore[no-untyped-call]


def _facts(contract: str, inner: type) -> TableProperties:
    given = {name: value for name, value in vars(inner).items() if not name.startswith("__")}
    known = {f.name for f in fields(TableProperties)}
    if unknown := sorted(set(given) - known):
        raise SetupError(
            list_problems(
                f"Contract {contract}: `class Table` holds facts that do not exist.",
                unknown,
                f"use one of {', '.join(sorted(known))}.",
            )
        )
    return TableProperties(**given)


@dataclass(frozen=True)
class Column:
    """One column of a contract.

    Attributes:
        name: the column's name.
        dtype: its Polars type.
        nullable: whether a value may be missing.
        description: its meaning, for the catalogue.
        unit: unit of its values, if they have one.
        pii: whether it holds personal data.
    """

    name: str
    dtype: pl.DataType
    nullable: bool
    description: str
    unit: str | None
    pii: bool

    @property
    def meaning(self) -> str:
        """Its description with its unit."""
        return f"{self.description} [{self.unit}]" if self.unit else self.description


def get_properties(contract: type[Contract]) -> TableProperties:
    """The facts of a contract's table."""
    return contract.__facts__


@cache
def list_columns(contract: type[Contract]) -> tuple[Column, ...]:
    """The columns of a contract in their declared order.

    Raises:
        SetupError: Pandera cannot read the model.
    """
    try:
        schema = contract.to_schema()
    except (pa.errors.SchemaInitError, NameError, TypeError, ValueError) as error:
        raise SetupError(
            f"Contract {contract.__name__} ({contract.__module__}) does not compile: {error}\n"
            "Next: mend the field that is named."
        ) from error
    return tuple(
        Column(
            name,
            _instance(column.dtype.type),
            bool(column.nullable),
            column.description or "",
            (column.metadata or {}).get("unit"),
            bool((column.metadata or {}).get("pii")),
        )
        for name, column in schema.columns.items()
    )


def _instance(dtype: Any) -> pl.DataType:  # noqa: ANN401
    """Pandera names simple types by their class; everything here speaks of instances."""
    return dtype() if isinstance(dtype, type) else dtype  # type: ignore[no-any-return]


def to_polars_schema(contract: type[Contract]) -> pl.Schema:
    """The Polars schema that a transform has to return, engine columns aside."""
    return pl.Schema({column.name: column.dtype for column in list_columns(contract)})


def check_contract(contract: type[Contract]) -> None:
    """Check that a contract makes sense before any data is touched.

    Raises:
        SetupError: naming every problem of the contract at once.
    """
    known = {column.name: column for column in list_columns(contract)}
    problems = [
        *_fact_problems(get_properties(contract), known),
        *_type_problems(known.values()),
        *_unheld(contract),
    ]
    if problems:
        raise SetupError(
            list_problems(
                f"Contract {contract.__name__} ({contract.__module__}) does not compile.",
                problems,
                "mend the contract; no data was touched.",
            )
        )


def _fact_problems(table: TableProperties, known: Mapping[str, Column]) -> list[str]:
    listed_names = {"key": table.key, "sequence": table.sequence}
    named = {fact: names for fact, names in listed_names.items() if isinstance(names, tuple)}
    named |= {
        name: (getattr(table, name),)
        for name in ("event_time", "date_column", "counts")
        if getattr(table, name)
    }
    problems = [
        f"{fact} names the column {column!r}, which the contract does not have"
        for fact, names in named.items()
        for column in names
        if column not in known
    ]
    window, counts = known.get(table.date_column or ""), known.get(table.counts or "")
    if window is not None and window.dtype != pl.Date:
        problems.append(f"date_column {window.name!r} is {window.dtype}, it has to be Date")
    if window is not None and window.nullable:
        problems.append(
            f"date_column {window.name!r} is nullable; a row without a day has no place"
        )
    if counts is not None and not counts.dtype.is_integer():
        problems.append(f"counts {counts.name!r} is {counts.dtype}, it has to be a whole number")
    problems += _malformed(table)
    return problems + [
        f"key column {name!r} is nullable"
        for name in named.get("key", ())
        if name in known and known[name].nullable
    ]


def _malformed(table: TableProperties) -> list[str]:
    """Facts that are not even of the right kind."""
    problems = [
        f"{name} is {value!r}, it has to be a tuple of column names"
        for name, value in {"key": table.key, "sequence": table.sequence}.items()
        if not isinstance(value, tuple)
    ]
    if table.physical not in get_args(Physical):
        problems.append(
            f"physical is {table.physical!r}, it has to be one of {', '.join(get_args(Physical))}"
        )
    share = table.max_quarantined
    if not isinstance(share, int | float) or not 0 <= share <= 1:
        problems.append(f"max_quarantined is {share!r}, it is a share between 0 and 1")
    return problems


def _type_problems(known: Any) -> list[str]:  # noqa: ANN401
    problems = []
    for column in known:
        if column.name.startswith("_"):
            problems.append(f"column {column.name!r}: names beginning with _ belong to the engine")
        if isinstance(column.dtype, pl.Datetime) and (
            column.dtype.time_unit,
            column.dtype.time_zone,
        ) != (
            "us",
            "UTC",
        ):
            problems.append(
                f"column {column.name!r} is {column.dtype}: declare times as Instant (microseconds, UTC)"
            )
        elif not isinstance(column.dtype, (*_DELTA_TYPES, pl.Datetime)):
            problems.append(
                f"column {column.name!r} is {column.dtype}, which Delta Lake cannot hold"
            )
    return problems


def _unheld(contract: type[Contract]) -> list[str]:
    """What Pandera can declare and the row pass does not hold: a promise is kept or refused, never ignored."""
    schema = contract.to_schema()
    unique = [schema.unique] if isinstance(schema.unique, str) else list(schema.unique or ())
    unique += [name for name, column in schema.columns.items() if column.unique]
    problems = [
        f"{name!r} is declared unique, which no row can keep by itself: name it in `key`, or in a table rule"
        for name in unique
    ]
    for name, column in schema.columns.items():
        asked = {
            "default": column.default is not None,
            "regex": column.regex,
            "coerce": column.coerce,
        }
        asked["an optional column"] = not column.required
        problems += [
            f"column {name!r} asks for {what}: let the transform do that"
            for what, is_so in asked.items()
            if is_so
        ]
    if schema.coerce:
        problems.append("the model asks for coerce: let the transform do that")
    checks = [
        *schema.checks,
        *(check for column in schema.columns.values() for check in column.checks),
    ]
    return problems + [
        f"check {check.name} only warns: a row keeps a rule or breaks it; drop raise_warning, or the check"
        for check in checks
        if check.raise_warning
    ]
