"""Detection of times that are read from text by a format that Polars infers.

Polars takes the format of the first value that it can read for the format of all. So one odd row
changes what the rows beside it mean, and streaming holds every row until the format is known.
"""

from typing import Any

import polars as pl

from lakehouse.tables.plan_calls import get_options, iterate_calls, read_plan

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
    return any(_infers_format(call) for call in iterate_calls(read_plan(rows)))


def _infers_format(call: dict[str, Any]) -> bool:
    """Returns whether a call parses times without a format; a literal has nothing to infer from."""
    options = get_options(call, "StringExpr", "Strptime")
    if options is None:
        return False
    first = call["input"][0]
    is_literal = isinstance(first, dict) and "Literal" in first
    return options[1]["format"] is None and not is_literal
