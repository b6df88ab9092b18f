"""Calls a transform with whole numbers so wide that no sum or product of them wraps.

Belongs here: how wide the columns of each input are handed over. Does not belong here: how large
numbers may become in a plan (`tables/plan_bounds.py`); what a result that has no room in its
contract leads to (`lazy_pass.py`).

64 bits do for almost every table. Where the values of a column and the number of rows do not prove
that the sums and products of a transform have room in them, the column is handed over in 128 bits.
Where these do not do either, or the transform does something that Polars cannot do in 128 bits,
nothing is made.
"""

from collections.abc import Callable, Iterable

import polars as pl

from lakehouse.errors import DataError, list_problems, summarize_error
from lakehouse.storage.lake import Lake, list_data_files
from lakehouse.tables.number_bounds import Bound, BoundedFrame
from lakehouse.tables.plan_bounds import MOST_OF_64, find_excess
from lakehouse.tables.plan_calls import read_plan
from lakehouse.tables.whole_numbers import widen_rows
from lakehouse.transform.inputs import InputFrames, PinnedInput
from lakehouse.transform.scope import Scope

REMEDY_OF_WIDE = (
    "where 128 bits do not do, cast to pl.Float64; leave out casts to pl.Int64, or cast to "
    "pl.Int128; write `0 - col(...)` for `-col(...)`; cast an integer index to pl.Int64, and what "
    "is concatenated to pl.Int128. Nothing was published."
)
_Transform = Callable[..., pl.LazyFrame]


def call_transform(
    lake: Lake, scope: Scope, opened: InputFrames, first: pl.LazyFrame
) -> pl.LazyFrame:
    """Returns what a transform makes of its inputs; its result may be wider than its contract.

    Args:
        lake: where the tables are.
        scope: the periods that are made; the transform of its table is a Python function.
        opened: the inputs.
        first: the rows of the first input, as the transform gets them.

    Raises:
        DataError: its numbers may become too large even for 128 bits, or Polars cannot do in 128
            bits what it does with them.
    """
    transform: _Transform = scope.table.transform
    frames = [widen_rows(frame) for frame in (first, *opened.others)]
    empty = [pl.LazyFrame(schema=frame.collect_schema()) for frame in frames]
    pinned = list(zip(opened.inputs, frames, strict=True))
    inputs = [_bound_by_log(lake, one, frame) for one, frame in pinned]
    wide, problems = _choose_wide(transform, empty, inputs)
    if wide:
        # Only now are rows read, for the bounds that the log lacks.
        inputs = [
            _bound_by_rows(lake, one, frame, known)
            for (one, frame), known in zip(pinned, inputs, strict=True)
        ]
        wide, problems = _choose_wide(transform, empty, inputs)
    if wide and (refusal := _find_refusal(transform, empty, wide)):
        if _is_small(inputs) and not problems:
            wide = frozenset()  # a plan that cannot be read, over numbers as most are
        else:
            problems = [f"{', '.join(sorted(wide))}: in 128 bits, Polars says: {refusal}"]
    if problems:
        headline = f"{scope.place}: whole numbers may need more room than they have:"
        raise DataError(list_problems(headline, problems, REMEDY_OF_WIDE))
    rows = transform(*frames)
    return _keep_nested(transform(*_hand_over(frames, wide)), rows) if wide else rows


def _choose_wide(
    transform: _Transform, empty: list[pl.LazyFrame], inputs: list[BoundedFrame]
) -> tuple[frozenset[str], list[str]]:
    """Returns the columns that are handed over in 128 bits, and what has no room even then."""
    bounds = {name: bound for one in inputs for name, bound in one.columns.items()}
    if not any(bound.columns for bound in bounds.values()):
        return frozenset(), []
    plan = read_plan(transform(*empty))
    if plan is not None:
        excess = find_excess(plan, inputs)
        return excess.columns, [*excess.stuck, *excess.beyond]
    # It calls Python, and may add up the products of any two columns.
    return frozenset(
        name
        for one in inputs
        for name, bound in one.columns.items()
        if bound.size is not None and bound.size**2 * one.rows > MOST_OF_64
    ), []


def _is_small(inputs: Iterable[BoundedFrame]) -> bool:
    """Returns whether sums have room in 64 bits, and products of two numbers too."""
    return all(
        bound.size is None or (bound.size < 2**31 and bound.size * one.rows <= MOST_OF_64)
        for one in inputs
        for bound in one.columns.values()
    )


def _find_refusal(
    transform: _Transform, empty: list[pl.LazyFrame], wide: frozenset[str]
) -> str | None:
    """Returns why Polars cannot run a transform with columns in 128 bits; None if it can."""
    # Some refusals come only when a plan is run, and some only over rows.
    for frames in (empty, [_take_one_row(frame) for frame in empty]):
        try:
            transform(*_hand_over(frames, wide)).collect()
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            if any(name in str(error).lower() for name in ("i128", "int128")):
                return summarize_error(Exception(str(error)))
    return None


def _take_one_row(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Returns a frame of one row: the number 1 in whole numbers, nothing in other columns."""
    schema = frame.collect_schema()
    row = pl.DataFrame(schema=schema).clear(1)
    return row.with_columns(
        pl.lit(1, dtype).alias(name) for name, dtype in schema.items() if dtype.is_integer()
    ).lazy()


def _hand_over(frames: Iterable[pl.LazyFrame], wide: frozenset[str]) -> list[pl.LazyFrame]:
    """Returns the frames with some columns in 128 bits."""
    return [
        frame.with_columns(
            pl.col(name).cast(pl.Int128)
            for name, dtype in frame.collect_schema().items()
            if name in wide and dtype == pl.Int64
        )
        for frame in frames
    ]


def _keep_nested(wide: pl.LazyFrame, rows: pl.LazyFrame) -> pl.LazyFrame:
    """Returns wide rows with lists and structs in their former types, which are not narrowed."""
    former = rows.collect_schema()
    return wide.with_columns(
        pl.col(name).cast(former[name])
        for name, dtype in wide.collect_schema().items()
        if dtype != former[name] and not dtype.is_integer()
    )


def _bound_by_log(lake: Lake, one: PinnedInput, frame: pl.LazyFrame) -> BoundedFrame:
    """Returns the bounds of the columns of an input, as far as its log has them."""
    schema = frame.collect_schema()
    whole = [name for name, dtype in schema.items() if dtype == pl.Int64 and name[0] != "_"]
    handle = one.open(lake) if whole else None
    columns = {
        name: Bound(2**63, is_known=False) if dtype.is_integer() else Bound()
        for name, dtype in schema.items()
    }
    if handle is None:
        return BoundedFrame(columns | {name: Bound(0) for name in whole}, 0)
    files = list_data_files(handle)
    for name in whole:
        columns[name] = Bound(2**63, frozenset({name}), is_known=False)
        ends = [files[end] for end in (f"min.{name}", f"max.{name}") if end in files.columns]
        if ends and not any(_is_unknown(files, end, name) for end in ends):
            # In 128 bits: the smallest number of 64 bits has no positive one.
            sizes = [end.cast(pl.Int128).abs().max() for end in ends]
            size = max((size for size in sizes if isinstance(size, int)), default=0)
            columns[name] = Bound(size, frozenset({name}))
    return BoundedFrame(columns, int(files["num_records"].sum() or 0))


def _bound_by_rows(
    lake: Lake, one: PinnedInput, frame: pl.LazyFrame, known: BoundedFrame
) -> BoundedFrame:
    """Returns the bounds of an input with those that its log lacks, such as of personal data."""
    unknown = [
        name for name, bound in known.columns.items() if bound.columns and not bound.is_known
    ]
    if not unknown:
        return known
    is_own = all(name in one.source.schema for name in unknown)
    rows = widen_rows(one.scan(lake)) if is_own else frame
    sizes = rows.select(pl.col(unknown).cast(pl.Int128).abs().max(), **{"#": pl.len()})
    *found, count = sizes.collect(engine="streaming").row(0)
    bounds = {
        name: Bound(size or 0, frozenset({name})) for name, size in zip(unknown, found, strict=True)
    }
    return BoundedFrame({**known.columns, **bounds}, max(known.rows, count))


def _is_unknown(files: pl.DataFrame, end: pl.Series, name: str) -> bool:
    """Returns whether the log lacks the bounds of a file that has values."""
    nulls = files[f"null_count.{name}"] if f"null_count.{name}" in files.columns else None
    if nulls is None:
        return end.null_count() > 0
    return bool((end.is_null() & (nulls != files["num_records"]).fill_null(True)).any())
