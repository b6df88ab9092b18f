"""Replay: quarantined rows get another try after the contract or the transform was mended.

The first input is complete, so making a period again is the replay of its rows: what passes now lands, each row once
and in its place among newer versions of its key, and what does not stays. Exactly the periods that hold open rows are
made, and those that a replay left half done when it was killed. Dead letters are read again in `rereading.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from uuid import uuid4

import polars as pl

from lakehouse.calendar import Days, PeriodKey
from lakehouse.environment import Environment
from lakehouse.errors import DataError
from lakehouse.lineage.period_history import read_period_history
from lakehouse.lineage.quarantine_changes import find_disturbed_periods
from lakehouse.operations.replay_dead_letters import replay_dead_letters
from lakehouse.publish.audit import Audit
from lakehouse.quarantine.dead_letters import DeadLetters
from lakehouse.quarantine.rejected_rows import (
    find_arrived_periods,
    find_open_periods,
    scan_quarantine,
)
from lakehouse.quarantine.states import OPEN, RELEASED, is_in
from lakehouse.system_columns import BROKEN
from lakehouse.tables.table_types import DerivedTable, RawTable
from lakehouse.transform.make import make


@dataclass(frozen=True)
class ReplayCounts:
    """How many rows are in a state, and by which rule; a row may have broken several.

    Attributes:
        rows: the rows.
        rules: rows by the rule that they broke when they were rejected last; dead letters by their reason.
    """

    rows: int = 0
    rules: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ReplayReport:
    """What a replay did.

    Attributes:
        table: the table.
        released: what left quarantine.
        stays: what is open still.
        audits: the commits that it made.
        problems: why a part of it could not be made, each with the next step.
        notes: what a person should know beside.
    """

    table: str
    released: ReplayCounts
    remaining: ReplayCounts
    audits: tuple[Audit, ...] = ()
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def replay(
    here: Environment, name: str, *, run_id: str | None = None, now: datetime | None = None
) -> ReplayReport:
    """Give the open rows of a table's quarantine another try, or the open dead letters of a raw table.

    Args:
        here: where.
        name: the table that rejected them.
        run_id: who asks; each replay has its own.
        now: the time that counts as the present.

    Raises:
        SetupError: there is no such table.
        BusyError: other writers kept being faster.
        LawError: a row is unaccounted for.
    """
    table, run = here.catalog[name], run_id or f"replay-{uuid4().hex[:8]}"
    moment = now or datetime.now(UTC)
    if isinstance(table, RawTable):
        return _of_letters(here, table, run, moment)
    audits: list[Audit] = []
    problems: list[str] = []
    notes: list[str] = []
    for days in _spans(here, table, moment):
        try:
            audit = make(
                here.lake, here.catalog, name, days, run_id=run, now=moment, is_replay=True
            )
        except DataError as error:
            problems.append(str(error))
            continue
        if audit is None:
            where = f" [{days}]" if days else ""
            notes.append(
                f"{name}{where}: its input holds no rows for it any more, so what is open there stays"
            )
        else:
            audits.append(audit)
            problems += [
                f"{name} [{period}]: held back: {why}" for period, why in audit.held_back.items()
            ]
    rows = scan_quarantine(here.lake, table)
    told = [ReplayCounts(), ReplayCounts()]
    if rows is not None:
        told = [
            _counted(rows, is_in(RELEASED) & (pl.col("_settled_by") == run)),
            _counted(rows, is_in(OPEN)),
        ]
    return ReplayReport(name, told[0], told[1], tuple(audits), tuple(problems), tuple(notes))


def _spans(here: Environment, table: DerivedTable, now: datetime) -> list[Days | None]:
    """The periods to make again, neighbours joined."""
    known = None if table.partitions is None else table.partitions.days_until(now)
    audits = read_period_history(here.lake, table).audits
    keys: set[PeriodKey] = find_open_periods(here.lake, table) | find_disturbed_periods(
        here.lake, table, audits, known
    )
    if table.partitions is None or known is None:
        return [None] if keys else []
    keys |= find_arrived_periods(here.lake, table, audits, known)
    return [*table.partitions.join_to_spans(key for key in keys if isinstance(key, date))]


def _counted(rows: pl.LazyFrame, which: pl.Expr, rule: str = BROKEN) -> ReplayCounts:
    chosen = rows.filter(which)
    of_rule = chosen.select(pl.col(rule).alias("rule"))
    of_rule = of_rule.explode("rule") if rule == BROKEN else of_rule
    counts, total = pl.collect_all(
        [of_rule.group_by("rule").len().sort("rule"), chosen.select(pl.len())]
    )
    return ReplayCounts(total.item(), dict(counts.iter_rows()))


def _of_letters(here: Environment, table: RawTable, run_id: str, now: datetime) -> ReplayReport:
    """Read the files with open dead letters again."""
    done = replay_dead_letters(here.lake, here.landing, table, run_id=run_id, now=now)
    rows = DeadLetters(here.lake, table.name).rows()
    released, stays = is_in(RELEASED) & (pl.col("_settled_by") == run_id), is_in(OPEN)
    left, stay = (_counted(rows, which, "reason") for which in (released, stays))
    return ReplayReport(table.name, left, stay, done.audits, notes=done.notes)
