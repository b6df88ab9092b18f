"""Reads the rejected rows of a table for people: how many, why, and some of them whole."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from lakehouse.environment import Environment
from lakehouse.quarantine.dead_letters import DEAD_LETTERS
from lakehouse.quarantine.states import State, count_by_state, fill_states, is_in
from lakehouse.system_columns import BROKEN
from lakehouse.tables.broken_rules import select_distinct_rules
from lakehouse.tables.table_types import RawTable

_TEXT = "_reason_text"


@dataclass(frozen=True)
class RejectedRows:
    """Rejected rows of a table.

    Attributes:
        table: the quarantine table that holds them.
        total: how many are in the state that was asked for.
        reasons: these rows by reason; a row may have several. A reason is the name of a rule, or
            for a dead letter a text.
        rows: the first of them, whole; read when they are asked for, as a dead letter may be large.
        states: all rows that were ever rejected, by state.
    """

    table: str
    total: int
    reasons: Mapping[str, int]
    rows: pl.LazyFrame
    states: Mapping[str, int] = field(default_factory=dict)

    @property
    def reason_column(self) -> str:
        """The column that says why a row was rejected: a text, or a list of rules."""
        return "reason" if self.table == DEAD_LETTERS else BROKEN


def pick_examples(found: RejectedRows, limit: int) -> list[dict[str, Any]]:
    """Returns some of the rows of `read_rejects`, each with another reason, in stored order."""
    if not found.total:
        return []
    reason = pl.col(found.reason_column)
    text = reason if found.reason_column == "reason" else reason.list.join("\n")
    rows = found.rows.with_columns(text.alias(_TEXT)).unique(
        _TEXT, keep="first", maintain_order=True
    )
    return rows.head(limit).drop(_TEXT).collect().to_dicts()


def read_rejects(
    here: Environment, table: str, limit: int | None, state: State | None = "open"
) -> RejectedRows:
    """Reads the rejected rows of a derived table, or the dead letters of a raw one.

    Args:
        here: where the table is.
        table: its name.
        limit: how many rows to give whole; None for all.
        state: only rows in this state; None for all.

    Raises:
        SetupError: no such table is declared.
    """
    with here.lake.translate_errors():
        declared = here.catalog[table]
        is_raw = isinstance(declared, RawTable)
        name = DEAD_LETTERS if isinstance(declared, RawTable) else declared.quarantine
        # The first rejected row creates the table, so nothing was rejected.
        if here.lake.open_shared(name) is None:
            return RejectedRows(name, 0, {}, pl.LazyFrame())
        rejected = fill_states(here.lake.scan(name))
        if is_raw:  # raw tables share one table of dead letters
            rejected = rejected.filter(pl.col("table") == table)
        # A row counts under each rule that it broke; its number is asked for apart, in one scan.
        rules = select_distinct_rules(pl.col(BROKEN))
        reason = pl.col("reason") if is_raw else rules.explode()
        wanted = rejected if state is None else rejected.filter(is_in(state))
        reasons, total = pl.collect_all(
            [
                wanted.select(reason.alias("reason"))
                .group_by("reason")
                .len()
                # By name where counts are equal, so that two calls print the same.
                .sort("len", "reason", descending=[True, False]),
                wanted.select(pl.len()),
            ]
        )
        return RejectedRows(
            name,
            total.item(),
            dict(reasons.iter_rows()),
            wanted if limit is None else wanted.head(limit),
            count_by_state(rejected),
        )
