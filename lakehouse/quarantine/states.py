"""The states of rejected rows and dead letters: open, released, superseded, discarded.

Belongs here: the columns of a state, and what is known of a judgement. Does not belong here: how
rows in quarantine change when rows are judged again (`merge_states.py`), and which rows a person
gives up (`discard.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import polars as pl

from lakehouse.origin import select_digest

State = Literal["open", "released", "superseded", "withdrawn", "discarded"]
OPEN: State = "open"
RELEASED: State = "released"
SUPERSEDED: State = "superseded"
WITHDRAWN: State = "withdrawn"
DISCARDED: State = "discarded"
STATE_NAMES: tuple[State, ...] = (OPEN, DISCARDED, WITHDRAWN, SUPERSEDED, RELEASED)
"""All states: first what somebody may still have to act on, last what was published."""

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
    "_state": "open; released, when it is no longer rejected; superseded, when a newer row or file "
    "took its place; withdrawn, when its file was taken away; discarded, when somebody gave it up",
    "_first_seen_at": "When it was first rejected",
    "_last_seen_at": "When it was last rejected",
    "_tries": "How often it was rejected: by another transform or contract, or in a replay",
    "_settled_at": "When it was released or discarded",
    "_settled_by": "The run that released it, or who discarded it",
    "_discard_reason": "Why it was discarded",
}


@dataclass(frozen=True)
class Attempt:
    """A judgement of rows: by which run, code and contract, and when.

    Attributes:
        run_id: the run.
        code_version: of the transform.
        contract_version: of the contract.
        is_replay: whether rows are given another try on purpose. That counts as a try, once a run,
            for rows that neither other code nor another contract judges.
        superseded: the origins of rows that are not rejected because a newer row has superseded
            them: `_source` and `_offset`.
        now: the moment that is noted.
    """

    run_id: str
    code_version: str = ""
    contract_version: str = ""
    is_replay: bool = False
    superseded: pl.DataFrame | None = field(default=None, compare=False)
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def moment(self) -> pl.Expr:
        """`now`, as a column."""
        return pl.lit(self.now, dtype=_MOMENT)

    def is_superseded(self, schema: pl.Schema) -> pl.Expr:
        """Returns true for a row in quarantine that a newer row has superseded."""
        if self.superseded is None or self.superseded.is_empty() or "_source" not in schema:
            return pl.lit(False)
        named = [select_digest(pl.col("_source")), pl.col("_offset")]
        wanted = self.superseded.select(named).unique().to_struct()
        return pl.struct(named).is_in(wanted.implode())

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
    filled = fill_columns(rows, STATES)
    # A table without `_ingested_at` does not say when: the moments stay null there.
    ingested = pl.lit(None, dtype=_MOMENT)
    if "_ingested_at" in filled.collect_schema():
        ingested = pl.col("_ingested_at")
    return filled.with_columns(
        pl.col("_state").fill_null(OPEN),
        pl.col("_tries").fill_null(1),
        pl.col("_first_seen_at", "_last_seen_at").fill_null(ingested),
    )


def fill_columns(rows: pl.LazyFrame, columns: Mapping[str, pl.DataType]) -> pl.LazyFrame:
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
    return {state: found[state] for state in STATE_NAMES if state in found}


def identify_by_origin() -> list[pl.Expr]:
    """Returns what identifies a row that keeps its origin.

    That is the hash of its file's bytes, whatever the file is called, and its place in the file.
    """
    return [select_digest(pl.col("_source")), pl.col("_offset")]
