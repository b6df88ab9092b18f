"""Whether an expression asks one row at a time: the verdict on a row must not depend on others.

A row that is rebuilt next to other rows, as in a backfill, would be judged differently otherwise.
"""

import json
from collections.abc import Iterator
from typing import Any

import polars as pl

_STEPS = {"Agg", "Over", "Rolling", "Sort", "SortBy", "Gather", "Filter", "Slice", "Explode", "Len"}
_FUNCTIONS = {
    *("Shift", "Diff", "PctChange", "Reverse", "Range", "Random", "Rank", "RollingExpr"),
    *("RollingExprBy", "CumSum", "CumCount", "CumProd", "CumMin", "CumMax", "Interpolate"),
    *("InterpolateBy", "FillNullWithStrategy", "Unique", "UniqueCounts", "ValueCounts", "Mode"),
    *("Quantile", "Skew", "Kurtosis", "ArgSort", "ArgUnique", "ArgMin", "ArgMax", "SearchSorted"),
    *("TopK", "TopKBy", "RLE", "RLEID", "EwmMean", "EwmMeanBy", "EwmStd", "EwmVar", "PeakMin"),
    *("PeakMax", "GatherEvery", "ApproxNUnique", "NullCount", "Correlation", "Entropy", "Hist"),
    *("Cut", "QCut", "DropNulls", "DropNans", "MaxBy", "MinBy"),
    *("IsDuplicated", "IsUnique", "IsFirstDistinct", "IsLastDistinct", "Any", "All", "HasNulls"),
}


def find_other_rows(condition: pl.Expr) -> str | None:
    """Returns what in a condition looks at other rows, or cannot be read; None if nothing does."""
    try:
        plan = json.loads(condition.meta.serialize(format="json"))
    except pl.exceptions.ComputeError:
        return "it calls a Python function; write it with expressions of Polars, or as a pa.check"
    if not condition.meta.root_names():
        return "it names no column"
    found = sorted(set(_iterate_steps(plan)))
    return f"it looks at other rows ({', '.join(found)})" if found else None


def _iterate_steps(part: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON
    if isinstance(part, list):
        # A literal list is a long list of bytes.
        for one in part if not part or not isinstance(part[0], int) else ():
            yield from ["len"] if one == "Len" else _iterate_steps(one)
    elif isinstance(part, dict):
        for name, inner in part.items():
            if name in _STEPS or inner == "Len":
                yield _name_step(name, inner)
            if name == "Function":
                # Only its arguments are expressions: `list.sort` sorts within the row.
                yield from _name_functions(inner["function"])
                yield from _iterate_steps(inner["input"])
            else:
                yield from _iterate_steps(inner)


def _name_step(name: str, inner: Any) -> str:  # noqa: ANN401
    return next(iter(inner)).lower() if name == "Agg" and isinstance(inner, dict) else name.lower()


def _name_functions(function: Any) -> Iterator[str]:  # noqa: ANN401
    """Yields the names of a function that looks at other rows: `Shift`, `{"CumSum": …}`."""
    if isinstance(function, str):
        named = {function}
    elif isinstance(function, dict):
        kind, inner = next(iter(function.items()))
        # The functions of lists stay within the row.
        named = {kind, inner} if kind == "Boolean" and isinstance(inner, str) else {kind}
        if kind == "Boolean" and isinstance(inner, dict):
            named.add(next(iter(inner)))
    else:
        return
    yield from (name.lower() for name in named & _FUNCTIONS)
