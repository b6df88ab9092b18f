"""The account of a commit: what became of every row that was read, checked against the files.

Belongs here: the audit made of the counts of a pass, and the laws that it must keep.
Does not belong here: counting (`period_counts.py`), and whether too many rows are bad
(`refusals.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from lakehouse.errors import REPORT_IT, LawError
from lakehouse.publish.audit import Audit, Provenance
from lakehouse.publish.publish import PassResult
from lakehouse.quarantine.states import DISCARDED, OPEN, is_in
from lakehouse.transform.period_counts import (
    PassCounts,
    Period,
    PeriodCounts,
    count_periods,
    sort_periods,
)
from lakehouse.transform.refusals import PassRejects, refuse_bad_periods
from lakehouse.transform.row_verdicts import JudgedRows
from lakehouse.transform.scope import Scope


@dataclass(frozen=True)
class CountedPass:
    """What one pass counted and wrote.

    Attributes:
        counts: what became of the rows, by period.
        written: rows in the files of the table.
        rejected: rows in the files of the quarantine that were rejected now; None when there are
            none.
    """

    counts: PassCounts
    written: int
    rejected: pl.LazyFrame | None

    @classmethod
    def of(cls, judged: JudgedRows, findings: PassResult) -> "CountedPass":
        """Returns the result of a pass that published; settled rows do not count as rejected."""
        is_rejected = is_in(OPEN) | is_in(DISCARDED)
        rejected = findings.rejected_rows.filter(is_rejected) if findings.rejected else None
        counts = count_periods(judged.table, findings.answers)
        return cls(counts, findings.rows, rejected)


def account_for_rows(
    judged: JudgedRows, scope: Scope, provenance: Provenance, result: CountedPass
) -> Audit:
    """Returns the audit of a pass; refuses what must not be published.

    Args:
        judged: the rows and the rules that they were judged by.
        scope: the periods that are made.
        provenance: run, code, contract and inputs.
        result: what the pass counted and wrote.

    Raises:
        LawError: a row has no fate, a row would land outside its days, or the files hold other rows
            than were judged.
        RefusedCommitError: in some periods too many rows broke the contract, or a table rule does
            not hold.
    """
    # The laws come before the verdict: their breach is a defect, and stops every period.
    periods, rejects = result.counts.periods, PassRejects(judged.table, result.rejected)
    # Counted over the few rejected rows: in the pass, each rule cost a sum over every row.
    broken = rejects.count_broken_rules()
    audit = _audit(judged, scope, provenance, periods, broken).check_balance()
    _check_days(scope, periods)
    _check_fingerprints(scope, result.counts)
    _check_files(scope, periods, result.written, rejects.count())
    refuse_bad_periods(audit, scope, periods, rejects, broken)
    return audit


def _audit(
    judged: JudgedRows,
    scope: Scope,
    provenance: Provenance,
    periods: Mapping[Period, PeriodCounts],
    broken: Mapping[Period, Mapping[str, int]],
) -> Audit:
    counts = periods.values()
    return Audit(
        table=judged.table.name,
        mode="replace",
        read=sum(one.read for one in counts),
        written=sum(one.written for one in counts),
        quarantined=sum(one.quarantined for one in counts),
        superseded=sum(one.superseded for one in counts),
        filtered={
            name: sum(one.filtered[name] for one in counts) for name in judged.table.leave_out
        },
        days=scope.days,
        materialized=scope.spans,
        untouched=scope.untouched,
        held_back=scope.held_back,
        rules={
            rule.name: sum(rows.get(rule.name, 0) for rows in broken.values())
            for rule in judged.rules
        },
        provenance=provenance,
        by_period={
            period: one.by_fate() for period, one in sort_periods(periods) if period is not None
        },
    )


def _check_days(scope: Scope, periods: Mapping[Period, PeriodCounts]) -> None:
    """Raises `LawError` when rows to be written carry days of none of the periods."""
    # Some rows of other days are odd values, which are quarantined. If no row keeps its day, it is
    # the transform that moves them.
    # A row without a day in the first input is judged with the first period, so it is none of them.
    moved = sum(max(0, one.outside - one.undated) for one in periods.values())
    outside = 0 if any(one.kept for one in periods.values()) else moved
    # A row of an aggregate outside its period would replace rows that this commit does not read.
    if scope.periods is not None:
        outside += sum(one.kept for period, one in periods.items() if period not in scope.periods)
    if outside:
        raise LawError(
            f"{_place(scope)}: {outside:,} rows have a day outside the days that are made. "
            "Nothing was published.\n"
            "Next: make the transform keep the day that each row has in its first input."
        )


def _check_fingerprints(scope: Scope, counts: PassCounts) -> None:
    """Raises `LawError` when the transform returned other rows than it was given."""
    # Counts alone let a join pass that drops one row and doubles another, or swaps two days.
    if counts.given != counts.returned:
        raise LawError(
            f"{_place(scope)}: the transform returned as many rows as it was given, but not "
            "the same ones. Nothing was published.\nNext: look for rows that are dropped while "
            "others are repeated, or that are counted for another day."
        )


def _check_files(
    scope: Scope, periods: Mapping[Period, PeriodCounts], written: int, rejected: int
) -> None:
    """Raises `LawError` when the files hold another number of rows than were judged."""
    # The sinks count what they wrote; the aggregates count what was to be written. Only the two
    # together catch a write that loses or doubles rows.
    counts = periods.values()
    for kind, wanted, found in (
        ("written", sum(one.table_rows for one in counts), written),
        ("rejected", sum(one.rejected_rows for one in counts), rejected),
    ):
        if wanted != found:
            raise LawError(
                f"{_place(scope)}: {wanted:,} rows should be {kind}, "
                f"but the files hold {found:,}.\n{REPORT_IT}"
            )


def _place(scope: Scope) -> str:
    return f"{scope.table.name} [{scope.days}]"
