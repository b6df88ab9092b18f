"""Replays quarantine: rejected rows get another try after the contract or the transform was fixed.

The first input is complete, so making a period again is the replay of its rows: what passes now is
published, each row once and in its place among newer versions of its key, and what does not stays
in quarantine. A replay makes exactly the periods that hold open rows, and those that an earlier
replay left half done when it was killed. Dead letters are replayed in `replay_dead_letters.py`.
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
from lakehouse.lineage.quarantine_changes import (
    find_arrived_periods,
    find_disturbed_periods,
    find_open_periods,
)
from lakehouse.operations.replay_dead_letters import replay_dead_letters
from lakehouse.publish.audit import Audit
from lakehouse.quarantine.dead_letters import DeadLetters
from lakehouse.quarantine.rejected_rows import scan_quarantine
from lakehouse.quarantine.states import OPEN, RELEASED, is_in
from lakehouse.system_columns import BROKEN
from lakehouse.tables.table_types import DerivedTable, RawTable
from lakehouse.transform.make import make


@dataclass(frozen=True)
class ReplayCounts:
    """The number of rows in a state, in all and by rule; a row may have broken several rules.

    Attributes:
        rows: how many rows there are.
        rules: rows by the rule that they broke at the last try; dead letters by their reason.
    """

    rows: int = 0
    rules: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ReplayReport:
    """The result of a replay.

    Attributes:
        table: the table that rejected the rows.
        released: the rows that left quarantine.
        remaining: the rows that are still open.
        audits: the commits that the replay made.
        problems: why parts of it could not be made, each with the next step.
        notes: what else a person should know.
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
    """Gives the open rows of a table's quarantine another try, or the dead letters of a raw table.

    Args:
        here: where the table is.
        name: the table that rejected them.
        run_id: who asks; each replay has its own.
        now: the time that counts as the present.

    Raises:
        SetupError: there is no such table.
        BusyError: other writers kept committing first.
        LawError: a row is unaccounted for.
    """
    with here.lake.translate_errors():
        return _replay(here, name, run_id, now)


def _replay(here: Environment, name: str, run_id: str | None, now: datetime | None) -> ReplayReport:
    table = here.catalog[name]
    # An id of its own: the released rows are counted by the run that they name.
    run = run_id or f"replay-{uuid4().hex[:8]}"
    # One moment for all spans: a midnight between two of them would change which days exist.
    moment = now or datetime.now(UTC)
    if isinstance(table, RawTable):
        return _replay_letters(here, table, run, moment)
    audits: list[Audit] = []
    problems: list[str] = []
    notes: list[str] = []
    for days in _find_spans(here, table, moment):
        try:
            audit = make(
                here.lake, here.catalog, name, days, run_id=run, now=moment, is_replay=True
            )
        except DataError as error:
            problems.append(str(error))
            continue
        # Without an input row nothing was judged, so nothing may be released either.
        if audit is None:
            where = f" [{days}]" if days else ""
            notes.append(f"{name}{where}: its input no longer has these rows; they stay open")
            continue
        audits.append(audit)
        problems += [
            f"{name} [{period}]: held back: {why}" for period, why in audit.held_back.items()
        ]
    # Asked of the quarantine, because an audit does not count the rows that were released.
    rows = scan_quarantine(here.lake, table)
    released = remaining = ReplayCounts()
    if rows is not None:
        released = _count(rows, _is_released_by(run), pl.col(BROKEN).explode())
        remaining = _count(rows, is_in(OPEN), pl.col(BROKEN).explode())
    return ReplayReport(name, released, remaining, tuple(audits), tuple(problems), tuple(notes))


def _find_spans(here: Environment, table: DerivedTable, now: datetime) -> list[Days | None]:
    """Returns the spans of days to make again; `[None]` stands for a table without partitions."""
    known = None if table.partitions is None else table.partitions.days_until(now)
    audits = read_period_history(here.lake, table).audits
    keys: set[PeriodKey] = find_open_periods(here.lake, table)
    # A replay that was killed before its table's commit has released rows that no version of the
    # table holds. No row is open there, but no audit names that commit of the quarantine.
    keys |= find_disturbed_periods(here.lake, table, audits, known)
    if table.partitions is None or known is None:
        return [None] if keys else []
    # A row dated ahead was rejected with the first period. Once its day exists, the first period
    # has to be made again to release it, and its own period to publish it.
    keys |= find_arrived_periods(here.lake, table, audits, known)
    # Neighbours are made in one commit. Dates are all that is left here; the test is for types.
    return [*table.partitions.join_to_spans(key for key in keys if isinstance(key, date))]


def _replay_letters(here: Environment, table: RawTable, run_id: str, now: datetime) -> ReplayReport:
    """Replays the dead letters of a raw table."""
    done = replay_dead_letters(here.lake, here.landing, table, run_id=run_id, now=now)
    letters = DeadLetters(here.lake, table.name).rows()
    released = _count(letters, _is_released_by(run_id), pl.col("reason"))
    remaining = _count(letters, is_in(OPEN), pl.col("reason"))
    return ReplayReport(table.name, released, remaining, done.audits, notes=done.notes)


def _is_released_by(run_id: str) -> pl.Expr:
    # The state as well: a discarded row names in the same column who gave it up.
    return is_in(RELEASED) & (pl.col("_settled_by") == run_id)


def _count(rows: pl.LazyFrame, which: pl.Expr, rule: pl.Expr) -> ReplayCounts:
    """Counts some rows, in all and by rule."""
    chosen = rows.filter(which)
    # The total is a query of its own, as a row with two rules is counted under both; run together
    # they share one scan.
    by_rule = chosen.select(rule.alias("rule")).group_by("rule").len().sort("rule")
    counts, total = pl.collect_all([by_rule, chosen.select(pl.len())])
    return ReplayCounts(total.item(), dict(counts.iter_rows()))
