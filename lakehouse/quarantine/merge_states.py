"""The quarantine of some rows after they were judged again: what is rejected now, and what was.

Plain functions over LazyFrames, so that every way to make a table can use them. Does not belong
here: what a state is (`states.py`), and which periods are made again (`operations/replay.py`).
"""

from collections.abc import Sequence

import polars as pl

from lakehouse.quarantine.states import (
    DISCARDED,
    OPEN,
    RELEASED,
    STATES,
    SUPERSEDED,
    Attempt,
    fill_columns,
    fill_states,
    is_in,
)

_IS_REJECTED = "_is_rejected"
_IS_SUPERSEDED = "_is_superseded"
_BEFORE = "_before"  # ends the names of the columns of a row that was in quarantine already


def merge_all_judged(
    quarantined: pl.LazyFrame,
    rejected: pl.LazyFrame,
    identity: Sequence[pl.Expr],
    attempt: Attempt,
    *,
    is_unique: bool = False,
) -> pl.LazyFrame:
    """Returns the quarantine of some periods after all of their rows were judged again.

    It holds every row that was in quarantine or is rejected now, once. A row that is rejected is
    open, or still discarded. A row that was in quarantine and is not rejected now is released. Rows
    with the same identity are matched by their number. Memory grows with the rejected rows, not
    with all rows.

    Args:
        quarantined: the rows of these periods in quarantine.
        rejected: the rows that are rejected now, with the columns of `Attempt.build_first_columns`
            and the rules that they broke.
        identity: what identifies a row, over the columns of both.
        attempt: who judges.
        is_unique: whether no two rows of `rejected` have the same identity.

    Returns:
        The columns of `rejected`, then those that only `quarantined` has.
    """
    named = _name_identity(identity)
    # Equal rows are matched one to one: of three in quarantine and two rejected now, one passed.
    keys = [*named, "_number"]
    number = pl.int_range(pl.len(), dtype=pl.Int64).over(list(named))
    schema = rejected.collect_schema()
    # Where identities are unique, 0 spares a window over all rejected rows.
    now = rejected.with_columns(**named).with_columns(
        (pl.lit(0, dtype=pl.Int64) if is_unique else number).alias("_number"),
        pl.lit(True).alias(_IS_REJECTED),
    )
    before = fill_columns(fill_states(quarantined), schema)
    before = before.with_columns(
        attempt.is_superseded(before.collect_schema()).alias(_IS_SUPERSEDED)
    )
    before = before.with_columns(**named).with_columns(number.alias("_number"))
    old_schema = {n: dtype for n, dtype in before.collect_schema().items() if n not in keys}
    before = before.rename({name: f"{name}{_BEFORE}" for name in old_schema})
    # A null in a key equals a null: else a row without a key would be added by each attempt.
    both = now.join(before, on=keys, how="full", nulls_equal=True, coalesce=True)
    new = {name: _pick_value(name, dtype, old_schema[name]) for name, dtype in schema.items()}
    kept = [name for name in old_schema if name not in schema and name != _IS_SUPERSEDED]
    others = {name: pl.col(f"{name}{_BEFORE}") for name in kept}
    columns = {**new, **_build_states(attempt), **others}
    return both.select(value.alias(name) for name, value in columns.items())


def merge_some_judged(
    quarantined: pl.LazyFrame,
    rejected: pl.LazyFrame,
    identity: Sequence[pl.Expr],
    attempt: Attempt,
    *,
    is_unique: bool = False,
) -> pl.LazyFrame:
    """Returns the quarantine after some more rows were judged, which leaves all others unchanged.

    For the arguments see `merge_all_judged`.
    """
    named = _name_identity(identity)
    before, judged = fill_states(quarantined).with_columns(**named), rejected.select(**named)
    # The others were not judged, so their absence from `rejected` must not release them.
    others = before.join(judged, on=[*named], how="anti", nulls_equal=True).drop(named)
    others = _settle_superseded(others, attempt)
    again = before.join(judged, on=[*named], how="semi", nulls_equal=True).drop(named)
    rows = merge_all_judged(again, rejected, identity, attempt, is_unique=is_unique)
    known = others.collect_schema()
    # The types of the merged rows, as in `_pick_value`: a value that does not fit becomes null.
    schema = {name: dtype for name, dtype in rows.collect_schema().items() if name in known}
    return pl.concat([others.cast(pl.Schema(schema), strict=False), rows], how="diagonal")


def _settle_superseded(rows: pl.LazyFrame, attempt: Attempt) -> pl.LazyFrame:
    """Returns rows that were not judged, the superseded ones among them as such."""
    is_superseded = attempt.is_superseded(rows.collect_schema()) & is_in(OPEN)
    values = {
        "_state": pl.lit(SUPERSEDED),
        "_settled_at": attempt.moment,
        "_settled_by": pl.lit(attempt.run_id),
    }
    return rows.with_columns(
        pl.when(is_superseded).then(value).otherwise(pl.col(name)).alias(name)
        for name, value in values.items()
    )


def _name_identity(identity: Sequence[pl.Expr]) -> dict[str, pl.Expr]:
    """Returns what identifies a row as columns to join by."""
    return {f"_key_{number}": expr for number, expr in enumerate(identity)}


def _pick_value(name: str, dtype: pl.DataType, old_dtype: pl.DataType) -> pl.Expr:
    """Returns a column: its new value if the row is rejected now, else the one that it had.

    A column that has another type now is null where the old value cannot be cast to it.
    """
    old = pl.col(f"{name}{_BEFORE}")
    if old_dtype != dtype:
        # The old value stays readable in the older versions of the quarantine.
        is_nested = old_dtype.is_nested() or dtype.is_nested()
        old = pl.lit(None, dtype=dtype) if is_nested else old.cast(dtype, strict=False)
    return pl.when(pl.col(_IS_REJECTED).is_not_null()).then(pl.col(name)).otherwise(old)


def _build_states(attempt: Attempt) -> dict[str, pl.Expr]:
    """Returns each column of a state after an attempt."""
    old = {name: pl.col(f"{name}{_BEFORE}") for name in STATES}
    is_rejected = pl.col(_IS_REJECTED).is_not_null()
    is_new = old["_state"].is_null()  # `fill_states` leaves no null in a row that was there
    # A decision of a person outlives a rebuild, but not a row that is no longer rejected.
    stays_discarded = is_rejected & (old["_state"] == DISCARDED).fill_null(False)
    is_superseded = pl.col(f"{_IS_SUPERSEDED}{_BEFORE}").fill_null(False)
    settled = pl.when(is_superseded).then(pl.lit(SUPERSEDED)).otherwise(pl.lit(RELEASED))
    is_settled_now = ~is_rejected & (old["_state"] != settled)
    # A row that was settled before keeps what was noted then. A row that is open again is not
    # settled.
    stays_settled = stays_discarded | (~is_rejected & ~is_settled_now)
    return {
        "_state": pl.when(stays_discarded)
        .then(pl.lit(DISCARDED))
        .when(is_rejected)
        .then(pl.lit(OPEN))
        .otherwise(settled),
        "_first_seen_at": pl.coalesce(old["_first_seen_at"], pl.col("_first_seen_at")),
        "_last_seen_at": pl.when(is_rejected).then(attempt.moment).otherwise(old["_last_seen_at"]),
        "_tries": pl.when(is_new)
        .then(1)
        .when(is_rejected & _is_try(attempt))
        .then(old["_tries"] + 1)
        .otherwise(old["_tries"]),
        "_settled_at": pl.when(is_settled_now)
        .then(attempt.moment)
        .when(stays_settled)
        .then(old["_settled_at"]),
        "_settled_by": pl.when(is_settled_now)
        .then(pl.lit(attempt.run_id))
        .when(stays_settled)
        .then(old["_settled_by"]),
        "_discard_reason": pl.when(stays_discarded).then(old["_discard_reason"]),
    }


def _is_try(attempt: Attempt) -> pl.Expr:
    """Returns true for a row last judged by another transform or contract; in a replay, run."""
    # Without this, each backfill by the same code on the same rows would count as a try.
    current = {
        "_contract_version": attempt.contract_version,
        "_code_version": attempt.code_version,
    }
    if attempt.is_replay:
        current["_run_id"] = attempt.run_id
    return pl.any_horizontal(
        # Unknown versions, as of a row that another program wrote, are no try.
        (pl.col(f"{name}{_BEFORE}") != now).fill_null(False)
        for name, now in current.items()
    )
