"""Whether rows read times from text by a format that Polars guesses.

It takes the format of the first value that it can read for that of all: one odd row changes what the rows beside it
mean, and the stream holds all of them until it has guessed.
"""

import json
import warnings
from collections.abc import Iterator
from typing import Any

import polars as pl

INFERRED_FORMAT = (
    "a format that is guessed from the first rows, so that a row means something else beside other rows; name it, "
    'as in str.to_date("%Y-%m-%d", strict=False)'
)


def infers_time_format(rows: pl.LazyFrame) -> bool:
    """Whether a column of the plan or a part of an expression is a time in text without a format.

    Parts of expressions are seen where no Python function is in the plan: with one, Polars cannot write it down.
    """
    graph = rows.show_graph(raw_output=True, plan_stage="physical", engine="streaming")
    return 'label="strptime-infer' in str(graph) or any(
        _is_guess(call) for call in _calls(_written_down(rows))
    )


def _written_down(rows: pl.LazyFrame) -> Any:  # noqa: ANN401
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", UserWarning
        )  # this form is deprecated as one to be read again elsewhere
        try:
            return json.loads(rows.serialize(format="json"))
        except pl.exceptions.ComputeError:
            return None


def _calls(plan: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401
    """The calls of functions in a plan."""
    parts = plan.values() if isinstance(plan, dict) else plan if isinstance(plan, list) else ()
    for part in parts:
        yield from _calls(part)
    if isinstance(plan, dict) and isinstance(call := plan.get("Function"), dict):
        yield call


def _is_guess(call: dict[str, Any]) -> bool:
    """Whether a call reads times without a format; of a text that stands in the plan there is nothing to guess."""
    of_text = call["function"].get("StringExpr") if isinstance(call.get("function"), dict) else None
    if not isinstance(of_text, dict) or "Strptime" not in of_text:
        return False
    first = call["input"][0]
    return of_text["Strptime"][1]["format"] is None and not (
        isinstance(first, dict) and "Literal" in first
    )
