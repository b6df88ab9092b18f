"""Detection of times that are read from text by a format that Polars infers.

Polars takes the format of the first value that it can read for the format of all. So one odd row
changes what the rows beside it mean, and streaming holds every row until the format is known.
"""

import json
import warnings
from collections.abc import Iterator
from typing import Any

import polars as pl

INFERRED_FORMAT = (
    "a format that is inferred from the first rows, so the same row can be read differently "
    'next to other rows; name the format, as in str.to_date("%Y-%m-%d", strict=False)'
)


def infers_time_format(rows: pl.LazyFrame) -> bool:
    """Returns whether a plan reads a column, or a part of an expression, by such a format.

    Parts of expressions are found only where the plan has no Python function: Polars cannot
    serialize one as JSON.
    """
    # The physical plan shows columns. It hides what is within aggregates, windows and lists.
    graph = rows.show_graph(raw_output=True, plan_stage="physical", engine="streaming")
    if 'label="strptime-infer' in str(graph):
        return True
    return any(_infers_format(call) for call in _iterate_calls(_serialize_plan(rows)))


def _serialize_plan(rows: pl.LazyFrame) -> Any:  # noqa: ANN401 - any JSON
    with warnings.catch_warnings():
        # The format is deprecated for storing plans. Here it is read at once, by the same version.
        warnings.simplefilter("ignore", UserWarning)
        try:
            return json.loads(rows.serialize(format="json"))
        except pl.exceptions.ComputeError:
            return None


def _iterate_calls(plan: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - any JSON
    """Yields the function calls of a plan."""
    parts: Any = ()
    if isinstance(plan, dict):
        parts = plan.values()
    elif isinstance(plan, list):
        parts = plan
    for part in parts:
        yield from _iterate_calls(part)
    if isinstance(plan, dict) and isinstance(call := plan.get("Function"), dict):
        yield call


def _infers_format(call: dict[str, Any]) -> bool:
    """Returns whether a call parses times without a format; a literal has nothing to infer from."""
    function = call.get("function")
    of_text = function.get("StringExpr") if isinstance(function, dict) else None
    if not isinstance(of_text, dict) or "Strptime" not in of_text:
        return False
    first = call["input"][0]
    is_literal = isinstance(first, dict) and "Literal" in first
    return of_text["Strptime"][1]["format"] is None and not is_literal
