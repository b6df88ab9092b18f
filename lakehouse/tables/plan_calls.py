"""The calls of a Polars plan, read from its JSON: what expressions do, without running them.

Polars keeps the form of this JSON to itself, so it is read here alone, by the version that wrote
it. A plan that calls a Python function cannot be written as JSON; such a plan has no calls here.
"""

import io
import json
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl


def read_plan(rows: pl.LazyFrame) -> Any:  # noqa: ANN401 - any JSON
    """Returns a plan as JSON; None where it calls a Python function."""
    with warnings.catch_warnings():
        # The format is deprecated for storing plans. Here it is read at once, by the same version.
        warnings.simplefilter("ignore", UserWarning)
        try:
            return json.loads(rows.serialize(format="json"))
        except pl.exceptions.ComputeError:
            return None


def deserialize(kind: Any, part: Any) -> Any:  # noqa: ANN401 - any JSON
    """Returns a part of a plan as `pl.Expr` or `pl.LazyFrame`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return kind.deserialize(io.BytesIO(json.dumps(part).encode()), format="json")


def iterate_calls(plan: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - any JSON
    """Yields the function calls of a plan, with `input` and `function`."""
    for node in iterate_nodes(plan):
        if isinstance(call := node.get("Function"), dict):
            yield call


def iterate_nodes(plan: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - any JSON
    """Yields every object of a plan, those within another one first."""
    parts: Any = ()
    if isinstance(plan, dict):
        parts = plan.values()
    elif isinstance(plan, list):
        parts = plan
    for part in parts:
        # A frame without rows is a long list of bytes.
        if isinstance(part, dict | list) and not _is_bytes(part):
            yield from iterate_nodes(part)
    if isinstance(plan, dict):
        yield plan


def get_options(call: Mapping[str, Any], kind: str, name: str) -> Any:  # noqa: ANN401 - any JSON
    """Returns the options of a call such as `StringExpr`, `Strptime`; None for another call."""
    function = call.get("function")
    of_kind = function.get(kind) if isinstance(function, dict) else None
    return of_kind.get(name) if isinstance(of_kind, dict) else None


def get_text(argument: Any) -> str | None:  # noqa: ANN401 - any JSON
    """Returns the text of a literal argument; None for any other."""
    literal = argument.get("Literal") if isinstance(argument, dict) else None
    scalar = literal.get("Scalar") if isinstance(literal, dict) else None
    text = scalar.get("String") if isinstance(scalar, dict) else None
    return text if isinstance(text, str) else None


def _is_bytes(part: dict[str, Any] | list[Any]) -> bool:
    return isinstance(part, list) and bool(part) and isinstance(part[0], int)
