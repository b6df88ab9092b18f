"""Versions of code and contracts: short hashes that every commit names in its provenance.

The version of a transform covers its own source and what it names outside itself, in its module or
in an enclosing function: expressions, plain values, and other functions of the same project.
Libraries are not part of it.
"""

import hashlib
import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import fields
from functools import cache, partial
from types import CodeType, FunctionType
from typing import Any

import pandera.polars as pa

from lakehouse.tables.contract import Contract, TableProperties, get_properties
from lakehouse.tables.stable_text import describe_value

_LATER = {"row_rules", "references"}
"""Properties that came after the first contracts were stored."""

_LENGTH = 12
"""Hexadecimal digits of a version: enough to tell apart all versions of one table."""


def compute_code_version(
    functions: Iterable[Callable[..., Any] | None], declaration: object
) -> str:
    """Returns a short hash of some functions, of what they name, and of a declaration."""
    known: dict[str, str] = {}
    chosen = [function for function in functions if function is not None]
    # As text: a changed comment makes another version, too.
    source = "".join(inspect.getsource(function) for function in chosen)
    for function in chosen:
        _note_outside(function, known)
    outside = "".join(f"{name}={what}" for name, what in sorted(known.items()))
    return _hash(f"{source}{declaration}{outside}")


# Planning asks for the version of each contract many times.
@cache
def compute_contract_version(contract: type[Contract]) -> str:
    """Returns a short hash of all that a contract declares, with the source of custom checks."""
    schema = contract.to_schema()
    declared = [
        (
            name,
            str(column.dtype),
            column.nullable,
            sorted((column.metadata or {}).items()),
            [_describe_check(check) for check in column.checks],
        )
        for name, column in schema.columns.items()
    ]
    properties = get_properties(contract)
    table = [
        (field.name, _describe_property(value))
        for field in fields(TableProperties)
        # Without these where they are empty: they would give every contract another version.
        if (value := getattr(properties, field.name)) or field.name not in _LATER
    ]
    # Checks that read several columns of a row. Their code is in the sources.
    over_row = [_describe_check(check) for check in schema.checks]
    return _hash(repr((declared, table, over_row, _list_sources(contract))))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_LENGTH]


def _note_outside(function: Callable[..., Any], known: dict[str, str]) -> None:
    """Adds to `known` what a function names outside itself, and what that names in turn."""
    if not isinstance(function, FunctionType):
        return
    module, namespace = function.__module__, function.__globals__
    outside = {
        f"{module}.{name}": namespace[name]
        for name in sorted(set(_list_names(function.__code__)) & namespace.keys())
    }
    # Defaults are read where the function is defined, so its code does not name them.
    outside[f"{module}.{function.__qualname__}()"] = (
        function.__defaults__,
        function.__kwdefaults__,
    )
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with suppress(ValueError):  # the cell is still empty
            outside[f"{module}.{function.__qualname__}.{name}"] = cell.cell_contents
    for place, value in outside.items():
        if place in known:  # functions may name each other in a circle
            continue
        if isinstance(value, FunctionType):
            _note_function(value, function, place, known)
        elif isinstance(value, partial) or not (inspect.ismodule(value) or callable(value)):
            known[place] = describe_value(value, _describer(function, known))


def _note_function(
    value: FunctionType, by: Callable[..., Any], place: str, known: dict[str, str]
) -> None:
    """Adds a function of the same project to `known`, with what it names in turn."""
    if _get_project(value) == by.__module__.partition(".")[0]:
        # Before its own names are followed, for it may be among them.
        known[place] = inspect.getsource(value)
        _note_outside(value, known)


def _describer(by: Callable[..., Any], known: dict[str, str]) -> Callable[[FunctionType], str]:
    """Returns how functions within a value are described: by name, with their code in `known`."""

    def describe(value: FunctionType) -> str:
        name = f"{value.__module__}.{value.__qualname__}"
        if name not in known:
            _note_function(value, by, name, known)
        return name

    return describe


def _list_names(code: CodeType) -> Iterator[str]:
    """Yields every global name that a function and its inner functions use."""
    # Attributes are among these names: a global that has the name of one counts as well.
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _list_names(constant)


def _get_project(function: FunctionType) -> str:
    return function.__module__.partition(".")[0]


def _describe_check(check: pa.Check) -> tuple[str, ...]:
    """Returns a check as texts that are the same in every process."""
    arguments = {
        name: describe_value(value, _name_function)
        for name, value in (check.statistics or {}).items()
    }
    return (
        check.name or "",
        repr(sorted(arguments.items())),
        str(check.ignore_na),
        str(check.element_wise),
    )


def _name_function(function: FunctionType) -> str:
    return function.__qualname__


def _describe_property(value: object) -> str:
    return describe_value(value, _name_function)


def _list_sources(contract: type[Contract]) -> list[str]:
    """Returns the source of every method of a contract: its custom checks, and what they call."""
    # With the classes in between: a contract may inherit checks from another.
    own_classes = contract.__mro__[: contract.__mro__.index(Contract)]
    methods = [
        value.__func__ if isinstance(value, classmethod | staticmethod) else value
        for own_class in own_classes
        for value in vars(own_class).values()
    ]
    by_name = {
        method.__qualname__: method
        for method in methods
        if inspect.isfunction(method) and method.__module__ != Contract.__module__
    }
    return [inspect.getsource(method) for _, method in sorted(by_name.items())]
