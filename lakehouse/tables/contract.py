"""A contract: a Pandera model of a table's rows, and the properties of the table as a whole.

Belongs here: columns, types and table properties, and how to read them.
Does not belong here: whether a contract makes sense (`contract_checks.py`), the rules of its rows
(`rules.py`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from difflib import get_close_matches
from functools import cache
from inspect import signature
from typing import Annotated, Any, ClassVar

import pandera.polars as pa
import polars as pl

from lakehouse.calendar import Physical
from lakehouse.errors import SetupError, list_problems

Instant = Annotated[pl.Datetime, "us", "UTC"]
"""A point in time: microseconds, UTC. The one form in which typed tables store times."""


def Field(  # noqa: N802 - as Pandera's
    *,
    unit: str | None = None,
    pii: bool = False,
    allow_inf: bool = False,
    allow_nan: bool = False,
    **options: Any,  # noqa: ANN401
) -> Any:  # noqa: ANN401
    """Declares a column: Pandera's `Field` with a unit, and what else its values may be.

    Args:
        unit: unit of the values, such as `GBP` or `W`; shown in the catalogue.
        pii: personal data; kept out of file statistics, examples and log messages.
        allow_inf: whether a real number may be infinite; a row with one is quarantined otherwise.
        allow_nan: the same for NaN, which then counts as a value.
        **options: whatever `pandera.Field` takes (`ge`, `isin`, `str_matches`, `nullable`,
            `description`, …).

    The contract refuses an option that does not exist or whose value makes no sense, because it
    knows the name of the column.
    """
    try:
        # Without the flags that are off: they would give every contract another version.
        allowed = {"allow_inf": allow_inf, "allow_nan": allow_nan}
        flags = {name: True for name, is_on in allowed.items() if is_on}
        return pa.Field(metadata={"unit": unit, "pii": pii, **flags}, **options)
    except (pa.errors.SchemaInitError, re.error, TypeError, ValueError) as error:
        arguments = ", ".join(f"{name}={value!r}" for name, value in options.items())
        return _InvalidField(f"Field({arguments}): {_explain_invalid_field(error)}")


@dataclass(frozen=True)
class _InvalidField:
    """Stands in for a field that Pandera refuses, until the contract reports it."""

    problem: str


def _explain_invalid_field(error: Exception) -> str:
    # Pandera takes an unknown option for a custom check that nobody registered.
    unknown = re.match(r"custom check '(\w+)' is not available", str(error))
    if unknown is None:
        return str(error)
    similar = get_close_matches(unknown[1], signature(pa.Field).parameters)
    suggestion = f"; did you mean {', '.join(similar)}?" if similar else ""
    return f"there is no check {unknown[1]!r}{suggestion}"


@dataclass(frozen=True)
class TableProperties:
    """The properties of a table as a whole; written as `class Table` inside a contract.

    Attributes:
        key: columns that identify a row. In staged tables the latest version of a key supersedes
            the others; in marts a repeated key refuses the commit.
        sequence: columns that order the versions of a key. Where they are equal, the time of the
            delivery and the origin of the row decide.
        event_time: the column with the time of the event; `lakehouse tables` shows its newest
            value.
        date_column: the `Date` column by which the table is rebuilt, day by day.
        physical: the period of a directory of files in Delta, when there is a `date_column`.
        counts: the column with the number of rows of the first input behind a row (aggregates).
        max_quarantined: the largest share of the rows read that may break the contract; with more,
            the commit is refused.
        fresh_within: how old the newest event may become before the table counts as late.
        rules: named Polars aggregates over the rows to be published; each must be true.
        row_rules: named Polars conditions over the columns of one row; a row that breaks one is
            quarantined. A row for which a condition is null keeps it.
        references: for a column, or a tuple of columns, the table whose key its values must be:
            its name, or a tuple of its name and the columns to look in. A row with another value
            is quarantined; a null refers to nothing, and is kept.
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
    row_rules: Mapping[str, pl.Expr] = field(default_factory=dict)
    references: Mapping[str | tuple[str, ...], str | tuple[str, ...]] = field(default_factory=dict)


class Contract(pa.DataFrameModel):
    """The base of every contract: a class per table, a field per column, an inner `class Table`."""

    __properties__: ClassVar[TableProperties] = TableProperties()

    class Config:
        """Pandera's own settings: no other columns, in any order."""

        strict = True

    def __init_subclass__(cls, **kwargs: object) -> None:
        # Its own only: a contract without `class Table` has the properties of its base.
        inner = cls.__dict__.get("Table")
        if inner is not None:
            delattr(cls, "Table")  # Pandera takes every public name for a column
            cls.__properties__ = _build_properties(cls.__name__, inner)
        # Here and not in `Field`: the columns have names, and all problems are reported at once.
        problems = [
            f"column {name!r}: {value.problem}"
            for name, value in vars(cls).items()
            if isinstance(value, _InvalidField)
        ]
        if problems:
            headline = f"Contract {cls.__name__} ({cls.__module__}) does not compile."
            next_step = "correct the field; no data was touched."
            raise SetupError(list_problems(headline, problems, next_step))
        super().__init_subclass__(**kwargs)  # type: ignore[no-untyped-call]  # Pandera's is untyped


def _build_properties(contract: str, inner: type) -> TableProperties:
    # A class body also defines `__module__`, `__qualname__` and the like.
    declared = {name: value for name, value in vars(inner).items() if not name.startswith("__")}
    known = {f.name for f in fields(TableProperties)}
    if unknown := sorted(set(declared) - known):
        raise SetupError(
            list_problems(
                f"Contract {contract}: `class Table` has properties that do not exist.",
                unknown,
                f"use one of {', '.join(sorted(known))}.",
            )
        )
    return TableProperties(**declared)


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
        allow_inf: whether a real number may be infinite.
        allow_nan: whether NaN counts as a value.
    """

    name: str
    dtype: pl.DataType
    nullable: bool
    description: str
    unit: str | None
    pii: bool
    allow_inf: bool = False
    allow_nan: bool = False

    @property
    def meaning(self) -> str:
        """The description of the column, with its unit."""
        return f"{self.description} [{self.unit}]" if self.unit else self.description


def get_properties(contract: type[Contract]) -> TableProperties:
    """Returns the properties of a contract's table."""
    return contract.__properties__


@cache
def list_columns(contract: type[Contract]) -> tuple[Column, ...]:
    """Returns the columns of a contract in their declared order.

    Raises:
        SetupError: Pandera cannot read the model.
    """
    try:
        schema = contract.to_schema()
    # Pandera compiles the model here, and not before: annotations may name types that do not exist.
    except (pa.errors.SchemaInitError, NameError, TypeError, ValueError) as error:
        raise SetupError(
            f"Contract {contract.__name__} ({contract.__module__}) does not compile: {error}\n"
            "Next: correct the field that is named."
        ) from error
    return tuple(_build_column(name, column) for name, column in schema.columns.items())


def _build_column(name: str, column: Any) -> Column:  # noqa: ANN401 - Pandera's column is untyped
    metadata = column.metadata or {}
    return Column(
        name=name,
        dtype=_instantiate(column.dtype.type),
        nullable=bool(column.nullable),
        description=column.description or "",
        unit=metadata.get("unit"),
        pii=bool(metadata.get("pii")),
        allow_inf=bool(metadata.get("allow_inf")),
        allow_nan=bool(metadata.get("allow_nan")),
    )


def _instantiate(dtype: Any) -> pl.DataType:  # noqa: ANN401 - a type or an instance of it
    """Returns an instance of a type: Pandera names simple types by their class."""
    return dtype() if isinstance(dtype, type) else dtype  # type: ignore[no-any-return]  # of Any


def to_polars_schema(contract: type[Contract]) -> pl.Schema:
    """Returns the columns of a contract with their types, without those of the engine."""
    return pl.Schema({column.name: column.dtype for column in list_columns(contract)})
