"""The states of rejected rows and dead letters: open, released, discarded.

Belongs here: the columns of a state, and how the rows in quarantine change when rows are judged
again. Plain functions over LazyFrames, so that every way to make a table can use them. Does not
belong here: which periods are made again (`operations/replay.py`), and which rows a person gives up
(`discard.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import polars as pl

from lakehouse.origin import select_digest

State = Literal["open", "released", "discarded"]
OPEN: State = "open"
RELEASED: State = "released"
DISCARDED: State = "discarded"

_MOMENT = pl.Datetime("us", "UTC")
STATES: Mapping[str, pl.DataType] = {
    "_state": pl.String(),
    "_first_seen_at": _MOMENT,
    "_last_seen_at": _MOMENT,
    "_tries": pl.Int64(),
    "_settled_at": _MOMENT,
    "_settled_by": pl.String(),
    "_discard_reason": pl.String(),
}
"""The columns of a state."""

COMMENTS = {
    "_state": "open; released, once it is no longer rejected; discarded, once given up on",
    "_first_seen_at": "When it was first rejected",
    "_last_seen_at": "When it was last rejected",
    "_tries": "How often it was rejected: by another transform or contract, or in a replay",
    "_settled_at": "When it was released or discarded",
    "_settled_by": "The run that released it, or who discarded it",
    "_discard_reason": "Why it was discarded",
}

_IS_REJECTED = "_is_rejected"
_BEFORE = "_before"  # ends the names of the columns of a row that was in quarantine already


@dataclass(frozen=True)
class Attempt:
    """A judgement of rows: by which run, code and contract, and when.

    Attributes:
        run_id: the run.
        code_version: of the transform.
        contract_version: of the contract.
        is_replay: whether rows are given another try on purpose. That counts as a try, once a run,
            for rows that neither other code nor another contract judges.
        now: the moment that is noted.
    """

    run_id: str
    code_version: str = ""
    contract_version: str = ""
    is_replay: bool = False
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def moment(self) -> pl.Expr:
        """`now`, as a column."""
        return pl.lit(self.now, dtype=_MOMENT)

    def build_first_state(self) -> list[pl.Expr]:
        """Returns the columns of the state of a row that is rejected for the first time."""
        values = {
            "_state": pl.lit(OPEN),
            "_first_seen_at": self.moment,
            "_last_seen_at": self.moment,
            "_tries": pl.lit(1, dtype=pl.Int64),
        }
        return [
            values.get(name, pl.lit(None, dtype=dtype)).alias(name)
            for name, dtype in STATES.items()
        ]

    def build_first_columns(self) -> list[pl.Expr]:
        """Returns the system columns of a row that is rejected for the first time.

        The rules that it broke are not among them.
        """
        versions = {
            "_contract_version": self.contract_version,
            "_code_version": self.code_version,
            "_run_id": self.run_id,
        }
        columns = [pl.lit(value).alias(name) for name, value in versions.items()]
        return [*columns, *self.build_first_state()]


def is_in(state: State) -> pl.Expr:
    """Returns true for a row in a state; a row that another program wrote without one is open."""
    return pl.col("_state").fill_null(OPEN) == state


def fill_states(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Returns rows of a quarantine with every column of a state.

    A row that another program wrote without a state is open, was tried once, and was seen when it
    was ingested.
    """
    filled = _add_missing(rows, STATES)
    # A table without `_ingested_at` does not say when: the moments stay null there.
    ingested = pl.lit(None, dtype=_MOMENT)
    if "_ingested_at" in filled.collect_schema():
        ingested = pl.col("_ingested_at")
    return filled.with_columns(
        pl.col("_state").fill_null(OPEN),
        pl.col("_tries").fill_null(1),
        pl.col("_first_seen_at", "_last_seen_at").fill_null(ingested),
    )


def _add_missing(rows: pl.LazyFrame, columns: Mapping[str, pl.DataType]) -> pl.LazyFrame:
    """Returns rows with those of some columns that they lack, null."""
    schema = rows.collect_schema()
    return rows.with_columns(
        pl.lit(None, dtype=dtype).alias(name)
        for name, dtype in columns.items()
        if name not in schema
    )


def count_by_state(rows: pl.LazyFrame) -> dict[str, int]:
    """Returns how many rows are in each state, open ones first; states of no row are left out."""
    found = dict(rows.group_by("_state").len().collect(engine="streaming").iter_rows())
    return {state: found[state] for state in (OPEN, DISCARDED, RELEASED) if state in found}


def identify_by_origin() -> list[pl.Expr]:
    """Returns what identifies a row that keeps its origin.

    That is the hash of its file's bytes, whatever the file is called, and its place in the file.
    """
    return [select_digest(pl.col("_source")), pl.col("_offset")]


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
    before = _add_missing(fill_states(quarantined), schema)
    before = before.with_columns(**named).with_columns(number.alias("_number"))
    old_schema = {n: dtype for n, dtype in before.collect_schema().items() if n not in keys}
    before = before.rename({name: f"{name}{_BEFORE}" for name in old_schema})
    # A null in a key equals a null: else a row without a key would be added by each attempt.
    both = now.join(before, on=keys, how="full", nulls_equal=True, coalesce=True)
    new = {name: _pick_value(name, dtype, old_schema[name]) for name, dtype in schema.items()}
    others = {name: pl.col(f"{name}{_BEFORE}") for name in old_schema if name not in schema}
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
    again = before.join(judged, on=[*named], how="semi", nulls_equal=True).drop(named)
    rows = merge_all_judged(again, rejected, identity, attempt, is_unique=is_unique)
    known = others.collect_schema()
    # The types of the merged rows, as in `_pick_value`: a value that does not fit becomes null.
    schema = {name: dtype for name, dtype in rows.collect_schema().items() if name in known}
    return pl.concat([others.cast(pl.Schema(schema), strict=False), rows], how="diagonal")


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
    # A decision of a person outlives a rebuild, but not a row that passes: that one is released.
    stays_discarded = is_rejected & (old["_state"] == DISCARDED).fill_null(False)
    is_released_now = ~is_rejected & (old["_state"] != RELEASED)
    # A row that was settled before keeps what was noted then. A row that is open again is not
    # settled.
    stays_settled = stays_discarded | (~is_rejected & ~is_released_now)
    return {
        "_state": pl.when(stays_discarded)
        .then(pl.lit(DISCARDED))
        .when(is_rejected)
        .then(pl.lit(OPEN))
        .otherwise(pl.lit(RELEASED)),
        "_first_seen_at": pl.coalesce(old["_first_seen_at"], pl.col("_first_seen_at")),
        "_last_seen_at": pl.when(is_rejected).then(attempt.moment).otherwise(old["_last_seen_at"]),
        "_tries": pl.when(is_new)
        .then(1)
        .when(is_rejected & _is_try(attempt))
        .then(old["_tries"] + 1)
        .otherwise(old["_tries"]),
        "_settled_at": pl.when(is_released_now)
        .then(attempt.moment)
        .when(stays_settled)
        .then(old["_settled_at"]),
        "_settled_by": pl.when(is_released_now)
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
