"""Whole numbers that do not wrap: wide ones for transforms, and a refusal of arithmetic that wraps.

Polars adds up whole numbers of 32 bits in 32 bits, and a sum that has no room wraps without a word:
three times 2,147,483,647 pieces are 2,147,483,645. So a transform gets the whole numbers of its
inputs in 64 bits, its results are narrowed to the contract one by one, and a result that has no
room there quarantines its row. What a transform itself makes narrow is found in its plan.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from lakehouse.system_columns import TOO_LARGE
from lakehouse.tables.plan_calls import deserialize, get_options, iterate_nodes, read_plan

_NARROW = (pl.Int8(), pl.Int16(), pl.Int32())
_WRAPPING = (*_NARROW, pl.UInt8(), pl.UInt16(), pl.UInt32(), pl.UInt64())
# Polars adds up numbers of 8 and 16 bits in 64 bits by itself.
_ADDED_UP_AS_THEY_ARE = (pl.Int32(), pl.UInt32(), pl.UInt64())
_REMEDY = "cast to pl.Int64 before, and not after; the contract may still say a smaller type"
FITS = "_fits_"
"""Prefix of the Boolean columns that say whether a result has room in the type of its contract."""


def widen(schema: Mapping[str, pl.DataType]) -> dict[str, pl.DataType]:
    """Returns the columns as a transform gets them: smaller whole numbers in 64 bits."""
    return {name: pl.Int64() if dtype in _NARROW else dtype for name, dtype in schema.items()}


def widen_rows(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Returns rows as a transform gets them; see `widen`."""
    schema = rows.collect_schema()
    narrow = [name for name, dtype in schema.items() if dtype in _NARROW]
    return rows.with_columns(pl.col(narrow).cast(pl.Int64)) if narrow else rows


def narrow_rows(
    rows: pl.LazyFrame, wanted: Mapping[str, pl.DataType]
) -> tuple[pl.LazyFrame, list[str]]:
    """Returns a transform's rows with whole numbers in the types of its contract.

    Returns:
        The rows, with a column that begins with `FITS` for each column that was narrowed; null
        stands for a number that has no room, and `TOO_LARGE` shows it. And the names of these
        columns of the contract.
    """
    schema = rows.collect_schema()
    wide = {
        name: dtype
        for name, dtype in wanted.items()
        if name in schema and is_narrowed(schema[name], dtype)
    }
    taken = {name: pl.col(name).cast(dtype, strict=False) for name, dtype in wide.items()}
    fits = {f"{FITS}{name}": pl.col(name).is_null() | taken[name].is_not_null() for name in wide}
    large = [
        pl.when(~fit).then(pl.format("{} {}", pl.lit(name), pl.col(name)))
        for name, fit in zip(wide, fits.values(), strict=True)
    ]
    told = pl.concat_str(large, separator=", ", ignore_nulls=True).replace("", None)
    return rows.with_columns(**taken, **fits, **{TOO_LARGE: told}) if wide else rows, list(wide)


def is_narrowed(returned: pl.DataType, wanted: pl.DataType) -> bool:
    """Returns whether whole numbers of a result are brought to another type by its contract."""
    return returned.is_integer() and wanted.is_integer() and returned != wanted


def find_wrapping(rows: pl.LazyFrame) -> list[str]:
    """Returns a problem for each part of a plan that may wrap.

    Nothing is found where the plan calls a Python function.
    """
    plan = read_plan(rows)
    return sorted({problem for node in iterate_nodes(plan) for problem in _find_in_node(node)})


def _find_in_node(node: Mapping[str, Any]) -> Iterator[str]:
    """Yields the problems of the expressions of one step of a plan."""
    for step in node.values():
        if not isinstance(step, dict) or not isinstance(step.get("input"), dict):
            continue
        expressions = [part for name, part in step.items() if name != "input"]
        suspects = list(_iterate_suspects(expressions))
        if suspects:
            before = deserialize(pl.LazyFrame, step["input"])
            for what, operands, types in suspects:
                yield from _judge(before, what, operands, types)


def _iterate_suspects(expressions: Any) -> Iterator[tuple[str, list[Any], tuple[Any, ...]]]:  # noqa: ANN401
    """Yields what may wrap: in words, its operands, and the types for which it does."""
    for node in iterate_nodes(expressions):
        binary, total = node.get("BinaryExpr"), (node.get("Agg") or {})
        if isinstance(total, dict) and "Sum" in total:
            yield "sum()", [total["Sum"]], _ADDED_UP_AS_THEY_ARE
        elif isinstance(binary, dict) and binary["op"] == "Multiply":
            yield "a product", [binary["left"], binary["right"]], _WRAPPING
        elif isinstance(binary, dict) and binary["op"] == "Minus":
            yield "a difference", [binary["left"], binary["right"]], _WRAPPING[3:]
        elif isinstance(call := node.get("Function"), dict):
            if _adds_up(call):
                yield "a running sum", call["input"][:1], _ADDED_UP_AS_THEY_ARE
        elif isinstance(cast := node.get("Cast"), dict) and cast.get("options") == "Overflowing":
            yield "cast(wrap_numerical=True)", [], ()


def _adds_up(call: Mapping[str, Any]) -> bool:
    function = call.get("function")
    rolling = get_options(call, "RollingExpr", "function") == "Sum"
    by_time = get_options(call, "RollingExprBy", "function_by") == "SumBy"
    return rolling or by_time or (isinstance(function, dict) and "CumSum" in function)


def _judge(
    before: pl.LazyFrame, what: str, operands: list[Any], types: tuple[pl.DataType, ...]
) -> Iterator[str]:
    if not operands:
        yield f"{what} wraps; cast with strict=False, which gives null"
        return
    result = deserialize(pl.Expr, operands[0])
    for operand in operands[1:]:
        # Of a product as of a sum: the type in which Polars computes.
        result = result * deserialize(pl.Expr, operand)
    try:
        found = before.select(result.alias("x")).collect_schema()["x"]
    except pl.exceptions.PolarsError:
        return  # part of another expression, whose columns are not those of the step
    if found in types:
        columns = ", ".join(dict.fromkeys(result.meta.root_names())) or "rows"
        yield f"{what} of {columns} is computed in {found} and may wrap: {_REMEDY}"
