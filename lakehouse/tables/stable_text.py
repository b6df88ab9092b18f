"""Expressions and values as text that is the same in every process, whatever its hash seed.

Belongs here: the text of one value. Does not belong here: which values decide the version of a
transform (`versions.py`).
"""

import io
import json
import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import partial, singledispatch
from types import FunctionType
from typing import Any

import polars as pl

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def describe_expression(expr: pl.Expr) -> str:
    """Returns an expression as text."""
    # `str(expr)` leaves out the middle of a long list, where a changed value would be missed.
    # But a Python function is serialized differently by each process; its short form is the same.
    text = str(expr)
    if "python_udf" in text:
        return _ADDRESS.sub("", text)
    try:
        binary = expr.meta.serialize()
    except pl.exceptions.ComputeError:
        return _ADDRESS.sub("", text)  # `pl.fold` calls Python, and its text does not say so
    if ".is_in(" not in text:
        return repr(binary)
    # `is_in({…})` holds the members of a set in an order that follows the hash seed.
    with warnings.catch_warnings():
        # JSON may change with a release of Polars; so may the other form.
        warnings.simplefilter("ignore")
        written = expr.meta.serialize(format="json")
    return json.dumps(_sort_members(json.loads(written)), sort_keys=True)


def _sort_members(node: Any) -> Any:  # noqa: ANN401, any JSON
    """Returns a part of an expression with the members of each `is_in` in order."""
    if isinstance(node, list):
        return [_sort_members(part) for part in node]
    if not isinstance(node, dict):
        return node
    found = node.get("Function")
    if isinstance(found, dict) and "IsIn" in json.dumps(found.get("function")):
        looked_up, *members = found["input"]
        in_order = [_sort_members(looked_up), *(_read_members(one) for one in members)]
        return {"Function": {**found, "input": in_order}}
    return {name: _sort_members(part) for name, part in node.items()}


def _read_members(node: Any) -> Any:  # noqa: ANN401, any JSON
    """Returns the values of a literal in order; any other part as it is."""
    literal = node.get("Literal") if isinstance(node, dict) else None
    held = literal.get("Scalar", literal) if isinstance(literal, dict) else None
    stored = next(iter(held.values()), None) if isinstance(held, dict) else None
    if not isinstance(stored, list):
        return _sort_members(node)
    try:
        values = pl.read_ipc_stream(io.BytesIO(bytes(stored))).to_series()
    except (pl.exceptions.PolarsError, ValueError, TypeError, OSError):
        return node
    return [str(values.dtype), *sorted(map(repr, values.to_list()))]


DescribeFunction = Callable[[FunctionType], str]
"""Returns a function as text."""


@singledispatch
def describe_value(value: object, describe_function: DescribeFunction) -> str:
    """Returns a value as text, with what it holds.

    Args:
        value: the value.
        describe_function: returns a function as text.
    """
    if is_dataclass(value) and not isinstance(value, type):
        held = {field.name: getattr(value, field.name) for field in fields(value)}
        return repr((type(value).__qualname__, describe_value(held, describe_function)))
    # An object without a text of its own shows where it lies, which differs in every process.
    return _ADDRESS.sub("", repr(value))


@describe_value.register
def _(value: pl.Expr, _describe_function: DescribeFunction) -> str:
    return describe_expression(value)


@describe_value.register
def _(value: FunctionType, describe_function: DescribeFunction) -> str:
    return describe_function(value)


@describe_value.register
def _(value: Mapping, describe_function: DescribeFunction) -> str:  # type: ignore[type-arg]
    # In the order of the dict, which a transform may follow.
    return describe_value(list(value.items()), describe_function)


@describe_value.register(set)
@describe_value.register(frozenset)
def _(value: Iterable[object], describe_function: DescribeFunction) -> str:
    return repr(sorted(describe_value(member, describe_function) for member in value))


@describe_value.register(list)
@describe_value.register(tuple)
def _(value: Iterable[object], describe_function: DescribeFunction) -> str:
    return repr([describe_value(member, describe_function) for member in value])


@describe_value.register
def _(value: partial, describe_function: DescribeFunction) -> str:  # type: ignore[type-arg]
    return describe_value((value.func, value.args, value.keywords), describe_function)


@describe_value.register
def _(value: re.Pattern, _describe_function: DescribeFunction) -> str:  # type: ignore[type-arg]
    return repr((value.pattern, value.flags))  # `repr(value)` ends after 200 characters


@describe_value.register
def _(value: Enum, _describe_function: DescribeFunction) -> str:
    return str(value)


@describe_value.register
def _(value: pl.Series, _describe_function: DescribeFunction) -> str:
    return repr((value.name, str(value.dtype), value.to_list()))


@describe_value.register
def _(value: pl.DataFrame, _describe_function: DescribeFunction) -> str:
    return value.write_ndjson()
