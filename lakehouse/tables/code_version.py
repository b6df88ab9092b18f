"""The version of a transform: a short hash that every commit names, so that one knows by which code its rows were made.

A function is its own source and what it names outside of itself, in its module or around it: expressions, plain values,
and other functions of the same project. What a library does is not part of it.
"""

import hashlib
import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import date, timedelta
from types import CodeType, FunctionType
from typing import Any

import polars as pl

_PLAIN = (
    str,
    bytes,
    int,
    float,
    bool,
    date,
    timedelta,
    tuple,
    list,
    dict,
    set,
    frozenset,
    type(None),
)


def compute_code_version(functions: Iterable[Callable[..., Any] | None], declared: object) -> str:
    """A short hash of some functions and of what is declared around them."""
    known: dict[str, str] = {}
    chosen = [function for function in functions if function is not None]
    source = "".join(inspect.getsource(function) for function in chosen)
    for function in chosen:
        _note_outside(function, known)
    outside = "".join(f"{name}={what}" for name, what in sorted(known.items()))
    return hashlib.sha256(f"{source}{declared}{outside}".encode()).hexdigest()[:12]


def describe_expression(expr: pl.Expr) -> str:
    """An expression in full; one with a Python function in it in short, because its bytes differ between processes."""
    return str(expr) if "python_udf" in str(expr) else repr(expr.meta.serialize())


def _note_outside(function: Callable[..., Any], known: dict[str, str]) -> None:
    """Note what a function names in its module and around it, and what that names in turn."""
    if not isinstance(function, FunctionType):
        return
    module, within = function.__module__, function.__globals__
    outside = {
        f"{module}.{name}": within[name]
        for name in sorted(set(_names(function.__code__)) & within.keys())
    }
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with suppress(ValueError):  # not filled yet
            outside[f"{module}.{function.__qualname__}.{name}"] = cell.cell_contents
    for place, value in outside.items():
        if place in known:
            continue
        if isinstance(value, pl.Expr):
            known[place] = describe_expression(value)
        elif isinstance(value, _PLAIN):
            known[place] = _plain(value)
        elif isinstance(value, FunctionType) and _project(value) == _project(function):
            known[place] = inspect.getsource(value)
            _note_outside(value, known)


def _names(code: CodeType) -> Iterator[str]:
    """Every global name in a function, its inner functions included."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _project(function: FunctionType) -> str:
    return function.__module__.partition(".")[0]


def _plain(value: object) -> str:
    """A value in words that are the same in every process: a set has no order of its own."""
    return repr(sorted(map(repr, value))) if isinstance(value, set | frozenset) else repr(value)
