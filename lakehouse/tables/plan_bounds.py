"""How large whole numbers may become in a transform: a bound for each step of its plan.

Belongs here: which columns a transform adds up or multiplies so that their results may leave 64 or
128 bits. Does not belong here: what is done about it (`transform/wide_inputs.py`).

A bound is never too small. It may be too large: a sum counts as one of all rows.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from lakehouse.tables.number_bounds import (
    Bound,
    BoundedFrame,
    bound_series,
    join,
    power_of,
    read_literal,
    times,
)
from lakehouse.tables.plan_calls import deserialize

MOST_OF_64, MOST_OF_128 = 2**63 - 1, 2**127 - 1
_INPUTS = ("input", "inputs", "input_left", "input_right", "contexts")
_PRODUCED = {"Select": ("expr",), "HStack": ("exprs",), "GroupBy": ("keys", "aggs")}
_AS_THEY_ARE = frozenset({"Filter", "Sort", "Distinct", "Slice", "Cache", "DataFrameScan"})
_COMPARISONS = frozenset(
    {"Eq", "EqValidity", "NotEq", "NotEqValidity", "Lt", "LtEq", "Gt", "GtEq", "LogicalAnd"}
    | {"LogicalOr"}
)
_INTO_FLOATS = frozenset({"Mean", "Median", "Std", "Var", "Quantile"})
_OF_ROWS = frozenset({"Count", "NUnique", "AggGroups"})
# Of a call such as `sum().over("shop")`, the part that gives the values.
_VALUES = {"Over": "function", "Filter": "input", "SortBy": "expr", "Ternary": "truthy"}
_OF_OTHER_TYPES = frozenset({"StringExpr", "TemporalExpr", "ListExpr", "ArrayExpr", "BinaryExpr"})


@dataclass(frozen=True)
class Excess:
    """What may leave 64 or 128 bits.

    Attributes:
        columns: the columns that have to be wider than 64 bits.
        stuck: what may leave 64 bits although the columns are wider, in words.
        beyond: what may leave 128 bits, in words.
    """

    columns: frozenset[str]
    stuck: tuple[str, ...]
    beyond: tuple[str, ...]


def find_excess(plan: Any, inputs: Iterable[BoundedFrame]) -> Excess:  # noqa: ANN401 - any JSON
    """Returns what may leave its bits in a plan, given what is known of its inputs.

    Args:
        plan: the plan of a transform of frames without rows, as JSON.
        inputs: the columns of each such frame.
    """
    known = list(inputs)
    wide = _Bounds(known)
    wide.read_frame(plan)
    # Few joins pair all rows with all. That stops no table, it only makes its columns wider.
    least = _Bounds(known, is_pairing=False)
    least.read_frame(plan)
    return Excess(frozenset(wide.columns), tuple(least.stuck), tuple(least.beyond))


@dataclass
class _Bounds:
    """A reader of one plan, and what it has found."""

    inputs: list[BoundedFrame]
    is_pairing: bool = True
    columns: set[str] = field(default_factory=set)
    stuck: dict[str, None] = field(default_factory=dict)
    beyond: dict[str, None] = field(default_factory=dict)

    def read_frame(self, plan: Any) -> BoundedFrame:  # noqa: ANN401 - any JSON
        ((kind, step),) = plan.items()
        if kind == "DataFrameScan":
            return self._read_rows(plan, set(step["schema"]["fields"]))
        parts = [step[name] for name in _INPUTS if name in step]
        frames = [
            self.read_frame(one)
            for part in parts
            for one in (part if isinstance(part, list) else [part])
        ]
        before = self._combine(kind, step, frames)
        others = {name: part for name, part in step.items() if name not in _INPUTS}
        if kind not in _PRODUCED:
            for part in others.values():
                self._read(part, before)
            if kind in _AS_THEY_ARE or kind in ("Union", "Join"):
                return before
            every = join(before.columns.values())
            if "Stats" in str(others.get("function")):
                every = self._judge(every, "a sum", times(every.size, before.rows))
            return BoundedFrame({"": every}, before.rows)
        made = [one for name in _PRODUCED[kind] for one in others.pop(name)]
        kept = dict(before.columns) if kind == "HStack" else {}
        return BoundedFrame(self._read_made(made, before, kept), before.rows)

    def _read_made(
        self, made: list[Any], before: BoundedFrame, kept: dict[str, Bound]
    ) -> dict[str, Bound]:
        names_are_known = True
        for number, expression in enumerate(made):
            bound, name = self._read(expression, before), _name(expression)
            names_are_known &= name is not None
            kept[f"#{number}" if name is None else name] = bound
        return kept if names_are_known else {"": join(kept.values())}

    def _combine(
        self, kind: str, step: Mapping[str, Any], frames: list[BoundedFrame]
    ) -> BoundedFrame:
        names = dict.fromkeys(name for frame in frames for name in frame.columns)
        if "" in names:
            columns = {"": join(bound for frame in frames for bound in frame.columns.values())}
        else:
            columns = {
                name: join(frame.columns[name] for frame in frames if name in frame.columns)
                for name in names
            }
        rows = [frame.rows for frame in frames]
        if kind != "Join":
            return BoundedFrame(columns, sum(rows))
        how = step["options"]["args"]["how"]
        if how in ("Semi", "Anti") or (isinstance(how, dict) and "AsOf" in how):
            return BoundedFrame(columns, rows[0])
        return BoundedFrame(
            columns, rows[0] * rows[1] + sum(rows) if self.is_pairing else max(rows)
        )

    def _read_rows(self, plan: Any, names: set[str]) -> BoundedFrame:  # noqa: ANN401 - any JSON
        found = [one for one in self.inputs if set(one.columns) == names]
        if found:
            columns = {name: join(one.columns[name] for one in found) for name in names}
            return BoundedFrame(columns, max(one.rows for one in found))
        rows = deserialize(pl.LazyFrame, plan).collect()  # a table that the transform itself names
        return BoundedFrame({one.name: bound_series(one) for one in rows}, rows.height)

    def _read(self, part: Any, frame: BoundedFrame) -> Bound:  # noqa: ANN401, PLR0911 - any JSON
        """Returns the bound of an expression, or of the widest part of anything else."""
        if part == "Len":
            return Bound(frame.rows)
        if isinstance(part, list):
            return join(self._read(one, frame) for one in part)
        if not isinstance(part, dict):
            return Bound()
        for kind, content in part.items():
            if kind == "Column":
                return frame.find(content)
            if kind == "Selector":
                return join(frame.columns.values())
            if kind == "Literal":
                return read_literal(content)
            if kind in ("Cast", "BinaryExpr", "Agg", "Function"):
                return getattr(self, f"_read_{kind.lower()}")(content, frame)  # type: ignore[no-any-return]
            if kind in _VALUES and isinstance(content, dict):
                read = {name: self._read(one, frame) for name, one in content.items()}
                return join([read[_VALUES[kind]], read.get("falsy", Bound())])
        return join(self._read(one, frame) for one in part.values())

    def _read_cast(self, content: Mapping[str, Any], frame: BoundedFrame) -> Bound:
        value, dtype = self._read(content["expr"], frame), content["dtype"]
        kind = dtype.get("Literal") if isinstance(dtype, dict) else None
        if not (isinstance(kind, str) and kind.startswith(("Int", "UInt"))):
            return Bound()
        if value.size is None:
            return Bound(2**63, is_known=False)
        if kind in ("Int128", "UInt128"):
            return value
        # Whatever the column was, the result has no more than 64 bits.
        return Bound(min(value.size, 2**64), is_known=value.is_known)

    def _read_binaryexpr(self, content: Mapping[str, Any], frame: BoundedFrame) -> Bound:
        left, right = (self._read(content[side], frame) for side in ("left", "right"))
        both, op = join([left, right]), content["op"]
        if op in _COMPARISONS:
            return Bound(1)
        if op == "TrueDivide" or left.size is None or right.size is None:
            return Bound()
        if op == "Multiply":
            return self._judge(both, "a product", left.size * right.size)
        if op in ("FloorDivide", "Modulus"):
            return both
        return self._judge(both, "a sum or difference", left.size + right.size)

    def _read_agg(self, content: Any, frame: BoundedFrame) -> Bound:  # noqa: ANN401 - any JSON
        if not isinstance(content, dict):
            return Bound(frame.rows)
        ((kind, inner),) = content.items()
        value = self._read(inner, frame)
        if kind == "Sum":
            return self._judge(value, "a sum", times(value.size, frame.rows))
        if kind in _OF_ROWS:
            return Bound(frame.rows)
        return Bound() if kind in _INTO_FLOATS else value

    def _read_function(self, content: Mapping[str, Any], frame: BoundedFrame) -> Bound:
        given = [self._read(one, frame) for one in content["input"]]
        every, function = join(given), content["function"]
        kind, options = (
            next(iter(function.items())) if isinstance(function, dict) else (function, "")
        )
        if kind == "Boolean":
            return Bound(1)
        if every.size is None:
            is_number = kind in _OF_OTHER_TYPES or kind == "StructExpr"
            wide = 2**63 if kind in ("StructExpr", "ListExpr") else 2**32
            return Bound(wide, is_known=False) if is_number else Bound()
        size, what = every.size, "a sum"
        if kind == "Pow":
            if given[0].size is None or given[1].size is None:
                return Bound()
            size, what = power_of(given[0].size, given[1].size), "a power"
        elif kind in ("Product", "CumProd"):
            size, what = power_of(size, frame.rows), "a product"
        elif kind == "CumSum" or (kind != "SumHorizontal" and "Sum" in str(options)):
            size = size * frame.rows
        elif kind == "SumHorizontal":
            size = sum(one.size or 0 for one in given)
        elif kind in ("Diff", "Negate", "Abs"):
            size, what = size * (2 if kind == "Diff" else 1), "a difference"
        else:
            return every.of_size(max(size, frame.rows))
        return self._judge(every, what, size)

    def _judge(self, operands: Bound, what: str, size: int | None) -> Bound:
        """Notes whether a result may leave its bits; returns its bound."""
        result = operands.of_size(size)
        if result.size is None or result.size <= MOST_OF_64:
            return result
        self.columns |= operands.columns
        # A type alone says too little to stop a table: most numbers that were text are small.
        if operands.is_known and not operands.columns:
            self.stuck[f"{what} of numbers that the transform casts to 64 bits"] = None
        elif operands.is_known and result.size > MOST_OF_128:
            self.beyond[f"{what} of {', '.join(sorted(operands.columns))}"] = None
        return result


def _name(expression: Any) -> str | None:  # noqa: ANN401 - any JSON
    """Returns the name of the one column that an expression gives; None where it is unclear."""
    if isinstance(expression, dict) and isinstance(alias := expression.get("Alias"), list):
        return str(alias[1])
    if "'Selector'" in str(expression) or "'RenameAlias'" in str(expression):
        return None
    return deserialize(pl.Expr, expression).meta.output_name(raise_if_undetermined=False)  # type: ignore[no-any-return]
