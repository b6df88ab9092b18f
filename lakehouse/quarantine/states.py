"""The states of rejected rows and dead letters: open, released, discarded; nothing that was quarantined vanishes.

Belongs here: the columns that tell a state, and how the rows that stand in quarantine meet those that are rejected now.
Plain functions over LazyFrames, so that every way to make a table can use them. Does not belong here: which periods are
made again (`replay.py`), and whose rows a person gives up (`discard.py`).
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
COMMENTS = {
    "_state": "open; released, when it is rejected no more; discarded, when somebody gave it up",
    "_first_seen_at": "When it was rejected first",
    "_last_seen_at": "When it was rejected last",
    "_tries": "How often it was judged anew and rejected: by another transform or contract, or in a replay",
    "_settled_at": "When it was released or discarded",
    "_settled_by": "The run that released it, or who discarded it",
    "_discard_reason": "Why it was discarded",
}
_FORMER = "_rejected_at"
"""What `_last_seen_at` was called in tables without states."""

_HERE, _STOOD = "_is_rejected", "_stood"


@dataclass(frozen=True)
class Attempt:
    """Who judges rows, and when.

    Attributes:
        run_id: the run.
        code_version: of the transform.
        contract_version: of the contract.
        is_replay: whether rows are given another try on purpose; that counts as a try for rows that nothing else
            judges anew, once a run.
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

    def opened(self) -> list[pl.Expr]:
        """The columns of a state, of what is rejected for the first time."""
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

    def seen(self) -> list[pl.Expr]:
        """The engine's columns of a row that is rejected for the first time; the rules that it broke aside."""
        versions = {
            "_contract_version": self.contract_version,
            "_code_version": self.code_version,
            "_run_id": self.run_id,
        }
        return [*(pl.lit(value).alias(name) for name, value in versions.items()), *self.opened()]


def is_in(state: State) -> pl.Expr:
    """True for a row in a state; a row that has none is open."""
    return pl.col("_state").fill_null(OPEN) == state


def fill_states(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Rows of a quarantine with every column of a state; those that were written before there were states are open."""
    schema = rows.collect_schema()
    filled = _with(rows, STATES)
    former = next(
        (pl.col(name) for name in (_FORMER, "_ingested_at") if name in schema),
        pl.lit(None, dtype=_MOMENT),
    )
    return filled.with_columns(
        pl.col("_state").fill_null(OPEN),
        pl.col("_tries").fill_null(1),
        *(pl.col(name).fill_null(former) for name in ("_first_seen_at", "_last_seen_at")),
    ).drop(_FORMER, strict=False)


def _with(rows: pl.LazyFrame, columns: Mapping[str, pl.DataType]) -> pl.LazyFrame:
    """Rows with some more columns, null where they do not have them."""
    schema = rows.collect_schema()
    missing = {name: dtype for name, dtype in columns.items() if name not in schema}
    return rows.with_columns(
        pl.lit(None, dtype=dtype).alias(name) for name, dtype in missing.items()
    )


def count_by_state(rows: pl.LazyFrame) -> dict[str, int]:
    """How many rows are in each state, open ones first; states that no row is in are left out."""
    found = dict(rows.group_by("_state").len().collect(engine="streaming").iter_rows())
    return {state: found[state] for state in (OPEN, DISCARDED, RELEASED) if state in found}


def identify_by_origin() -> list[pl.Expr]:
    """What names a row that keeps its origin: the bytes that it came with, whatever they are called, and its place."""
    return [select_digest(pl.col("_source")), pl.col("_offset")]


def merge_all_judged(
    standing: pl.LazyFrame,
    rejected: pl.LazyFrame,
    identity: Sequence[pl.Expr],
    attempt: Attempt,
    *,
    is_unique: bool = False,
) -> pl.LazyFrame:
    """The quarantine of some periods after they were judged again: every row that stands or is rejected, once.

    Rejected again is open, or discarded still; what stands and is not rejected is released. Rows that equal each other
    in their identity are told apart by their number. Memory grows with what is quarantined, not with what passes.

    Args:
        standing: the rows that stand in quarantine, of these periods.
        rejected: the rows that are rejected now, with the columns of `Attempt.seen` and the rules that they broke.
        identity: what names a row, over the columns of both.
        attempt: who judges.
        is_unique: whether no two rows that are rejected now have the same identity.

    Returns:
        The columns of `rejected`, then those that only stand.
    """
    named = _named(identity)
    keys = list(named)
    number = pl.int_range(pl.len(), dtype=pl.Int64).over(keys)
    keys.append("_number")
    schema = rejected.collect_schema()
    now = rejected.with_columns(**named).with_columns(
        (pl.lit(0, dtype=pl.Int64) if is_unique else number).alias("_number"),
        pl.lit(True).alias(_HERE),
    )
    stood = (
        _with(fill_states(standing), schema)
        .with_columns(**named)
        .with_columns(number.alias("_number"))
    )
    before = {name: dtype for name, dtype in stood.collect_schema().items() if name not in keys}
    stood = stood.rename({name: f"{name}{_STOOD}" for name in before})
    both = now.join(stood, on=keys, how="full", nulls_equal=True, coalesce=True)
    kept = {name: _kept(name, dtype, before[name]) for name, dtype in schema.items()}
    left = {name: pl.col(f"{name}{_STOOD}") for name in before if name not in schema}
    return both.select(
        value.alias(name) for name, value in {**kept, **_states(attempt), **left}.items()
    )


def merge_some_judged(
    standing: pl.LazyFrame,
    rejected: pl.LazyFrame,
    identity: Sequence[pl.Expr],
    attempt: Attempt,
    *,
    is_unique: bool = False,
) -> pl.LazyFrame:
    """The quarantine after some more rows were judged, and none of the others: these stay as they stand.

    For the arguments see `carried`.
    """
    named = _named(identity)
    stood, judged = fill_states(standing).with_columns(**named), rejected.select(**named)
    others, again = (
        stood.join(judged, on=[*named], how=how, nulls_equal=True).drop(named)
        for how in ("anti", "semi")
    )
    rows = merge_all_judged(again, rejected, identity, attempt, is_unique=is_unique)
    known = others.collect_schema()
    schema = pl.Schema(
        {name: dtype for name, dtype in rows.collect_schema().items() if name in known}
    )
    return pl.concat([others.cast(schema, strict=False), rows], how="diagonal")


def _named(identity: Sequence[pl.Expr]) -> dict[str, pl.Expr]:
    """What names a row, as columns to join by."""
    return {f"_key_{number}": expr for number, expr in enumerate(identity)}


def _kept(name: str, dtype: pl.DataType, before: pl.DataType) -> pl.Expr:
    """A column of a row that is rejected, or of one that only stands; null where its old value has no place in it."""
    stood = pl.col(f"{name}{_STOOD}")
    if before != dtype:
        is_nested = before.is_nested() or dtype.is_nested()
        stood = pl.lit(None, dtype=dtype) if is_nested else stood.cast(dtype, strict=False)
    return pl.when(pl.col(_HERE).is_not_null()).then(pl.col(name)).otherwise(stood)


def _states(attempt: Attempt) -> dict[str, pl.Expr]:
    """Each column of a state after this attempt."""
    stood = {name: pl.col(f"{name}{_STOOD}") for name in STATES}
    here, was, tries = pl.col(_HERE).is_not_null(), stood["_state"], stood["_tries"]
    stays = here & (was == DISCARDED).fill_null(False)
    leaves = ~here & (was != RELEASED)
    # What was settled before stays as it was noted; what is open again was not settled.
    settled = pl.when(stays | (~here & ~leaves))
    return {
        "_state": pl.when(stays)
        .then(pl.lit(DISCARDED))
        .when(here)
        .then(pl.lit(OPEN))
        .otherwise(pl.lit(RELEASED)),
        "_first_seen_at": pl.coalesce(stood["_first_seen_at"], pl.col("_first_seen_at")),
        "_last_seen_at": pl.when(here).then(attempt.moment).otherwise(stood["_last_seen_at"]),
        "_tries": pl.when(was.is_null())
        .then(1)
        .when(here & _is_try(attempt))
        .then(tries + 1)
        .otherwise(tries),
        "_settled_at": pl.when(leaves)
        .then(attempt.moment)
        .otherwise(settled.then(stood["_settled_at"])),
        "_settled_by": pl.when(leaves)
        .then(pl.lit(attempt.run_id))
        .otherwise(settled.then(stood["_settled_by"])),
        "_discard_reason": pl.when(stays).then(stood["_discard_reason"]),
    }


def _is_try(attempt: Attempt) -> pl.Expr:
    """True for a row that was judged by another transform or contract last; in a replay, by another run."""
    last = {"_contract_version": attempt.contract_version, "_code_version": attempt.code_version}
    last |= {"_run_id": attempt.run_id} if attempt.is_replay else {}
    return pl.any_horizontal(
        (pl.col(f"{name}{_STOOD}") != now).fill_null(False) for name, now in last.items()
    )
