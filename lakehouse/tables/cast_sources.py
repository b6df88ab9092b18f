"""What an expression of `cast` reads: columns, and values within JSON texts, structs and lists.

A key that a record lacks is no value that could not be read. So a value that an expression takes
out of another one by a path counts as the source, and not the column that it lies in.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import polars as pl

from lakehouse.tables.plan_calls import deserialize, iterate_nodes

_JSON = ("StringExpr", "JsonPathMatch")
_WITHIN = (("StructExpr", "FieldByName"), ("ListExpr", "Get"), ("ArrayExpr", "Get"))
_SPELLED = ("json_path_match", "struct.field", "list.get", "arr.get")


class Sources(NamedTuple):
    """What an expression reads.

    Attributes:
        texts: the sources that are text.
        others: the sources of other types.
        documents: the texts in which values are looked up by a JSON path.
    """

    texts: Sequence[pl.Expr]
    others: Sequence[pl.Expr]
    documents: Sequence[pl.Expr] = ()


def list_sources(expr: pl.Expr, schema: pl.Schema) -> Sources:
    """Returns what an expression reads.

    Args:
        expr: an expression over the columns of the schema.
        schema: the columns.
    """
    plan = _read_paths(expr)
    if plan is None:
        names = list(dict.fromkeys(expr.meta.root_names()))
        texts = [name for name in names if schema.get(name) == pl.String]
        others = [name for name in names if name not in texts]
        return Sources([*map(pl.col, texts)], [*map(pl.col, others)])
    found = {json.dumps(node): node for node in _iterate_sources(plan)}
    calls = [node["Function"] for node in iterate_nodes(plan) if _is_call(node, (_JSON,))]
    inner = {json.dumps(call["input"][0]): call["input"][0] for call in calls}
    documents = [deserialize(pl.Expr, node) for node in inner.values()]
    sources = [_express(node) for node in found.values()]
    empty = pl.LazyFrame(schema=schema)
    types = [empty.select(source).collect_schema().dtypes()[0] for source in sources]
    pairs = list(zip(sources, types, strict=True))
    return Sources(
        [source for source, dtype in pairs if dtype == pl.String],
        [source for source, dtype in pairs if dtype != pl.String],
        documents,
    )


def is_broken_document(document: pl.Expr) -> pl.Expr:
    """Returns whether a text is there and is no JSON, so that nothing could be looked up in it."""
    text = document.str.strip_chars()
    # Polars gives null for the JSON `null`, too.
    is_there = (text.ne("") & text.ne("null")).fill_null(False)
    return is_there & text.str.json_path_match("$").is_null()


def _read_paths(expr: pl.Expr) -> Any:  # noqa: ANN401 - any JSON
    """Returns an expression as JSON if it looks values up; None if not, or if it cannot be told."""
    if not any(word in str(expr) for word in _SPELLED):
        return None
    try:
        return json.loads(expr.meta.serialize(format="json"))
    except pl.exceptions.ComputeError:  # it calls a Python function
        return None


def _iterate_sources(plan: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - any JSON
    """Yields the outermost look-ups and the columns outside of them."""
    if isinstance(plan, list):
        for part in plan:
            yield from _iterate_sources(part)
    elif isinstance(plan, dict):
        if _is_call(plan, (_JSON, *_WITHIN)) or isinstance(plan.get("Column"), str):
            yield plan
            return
        for part in plan.values():
            yield from _iterate_sources(part)


def _is_call(node: dict[str, Any], kinds: Sequence[tuple[str, str]]) -> bool:
    call = node.get("Function")
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict):
        return False
    return any(
        function.get(kind) == name
        or (isinstance(function.get(kind), dict) and name in function[kind])
        for kind, name in kinds
    )


def _express(node: dict[str, Any]) -> pl.Expr:
    name = node.get("Column")
    return pl.col(name) if isinstance(name, str) else deserialize(pl.Expr, node)
