"""Row counts by period: the aggregates that the pass computes, and the typed counts from them.

Belongs here: aggregating rows by period, and what names and identifies the rows that are counted.
Does not belong here: which rows break a rule (`row_verdicts.py`), what the counts decide
(`accounting.py`, `refusals.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import polars as pl

from lakehouse.calendar import WHOLE_TABLE, PeriodKey
from lakehouse.lineage.content_hash import SQUARES, SUM
from lakehouse.system_columns import WINDOW
from lakehouse.tables.table_types import DerivedTable

Period = date | None
"""The first day of a period; None for a table without periods."""

PERIOD = "period"
"""Column of an aggregate: the period that it is about."""

FINGERPRINT = "fingerprint"
FILTERED = "filtered: "
"""Prefix of the columns that count the rows that a named rule leaves out."""

READ = "read"
DISTINCT = "distinct"
PASSED = "passed"
RETURNED = "returned"
JUDGED = "judged"
LATEST = "latest"
TABLE_RULES = "table"
"""The names of the aggregates, in the order of a row's way.

Rows are read, freed of repeats, given to the transform, returned by it, judged by the contract and
reduced to the latest version of each key; the table rules must be true of what is left.
"""


@dataclass(frozen=True)
class PeriodCounts:
    """What became of the rows of one period.

    Counts are rows of the first input; a row of aggregates counts as the rows that it represents.

    Attributes:
        read: rows read.
        written: rows to write.
        quarantined: rows that broke the contract.
        superseded: repeated rows, and older versions of a key.
        filtered: rows left out, by the name of the rule.
        kept: rows that keep the contract, older versions of a key among them.
        undated: rows without a day of the table; they come from all days, and are judged with the
            first period.
        outside: rows that carry another day than the first input gave them.
        table_rows: rows to write, counted in rows of the table.
        rejected_rows: rows to reject, counted in rows of the quarantine.
        failed_rules: the table rules that do not hold.
    """

    read: int
    written: int
    quarantined: int
    superseded: int
    filtered: Mapping[str, int]
    kept: int
    undated: int = 0
    outside: int = 0
    table_rows: int = 0
    rejected_rows: int = 0
    failed_rules: tuple[str, ...] = ()

    def by_fate(self) -> dict[str, int]:
        """Returns the rows by fate, `read` first."""
        filtered = {f"{FILTERED}{name}": count for name, count in self.filtered.items()}
        return {
            "read": self.read,
            "written": self.written,
            "quarantined": self.quarantined,
            "superseded": self.superseded,
            **filtered,
        }


@dataclass(frozen=True)
class PassCounts:
    """The counts of one pass.

    Attributes:
        periods: what became of the rows, by period.
        given: identifies the rows that the transform was given, by period.
        returned: identifies the rows of the first input behind those that it returned, by period.
    """

    periods: Mapping[Period, PeriodCounts]
    given: Mapping[Period, int] = field(default_factory=dict)
    returned: Mapping[Period, int] = field(default_factory=dict)


def sort_periods(
    periods: Mapping[Period, PeriodCounts],
) -> list[tuple[Period, PeriodCounts]]:
    """Returns the counts of some periods in the order of time, those without a period first."""
    return sorted(periods.items(), key=lambda item: item[0] or date.min)


def aggregate_by_period(
    table: DerivedTable,
    rows: pl.LazyFrame,
    aggregates: Mapping[str, pl.Expr],
    *,
    is_input: bool = False,
) -> pl.LazyFrame:
    """Returns aggregates for each period of a table; of all rows where it has no periods.

    Args:
        table: the table whose periods they are.
        rows: rows of the first input, or of the transform.
        aggregates: the expressions, by name.
        is_input: whether they are rows of the first input.
    """
    if table.partitions is None:
        return rows.select(pl.lit(None, dtype=pl.Date).alias(PERIOD), **aggregates)
    is_dated_by_contract = table.is_aggregate and not is_input
    day = str(table.properties.date_column) if is_dated_by_contract else WINDOW
    return rows.group_by(table.partitions.period_start_expr(pl.col(day)).alias(PERIOD)).agg(
        **aggregates
    )


def read_content_hashes(
    table: DerivedTable, answers: Mapping[str, pl.DataFrame]
) -> dict[PeriodKey, tuple[int, int]]:
    """Returns the two sums of `HASH_SUMS` over the rows to write of each period that has any."""
    rows = answers[LATEST if table.keeps_latest_version else JUDGED]
    return {
        WHOLE_TABLE if period is None else period: (total or 0, squares or 0)
        for period, total, squares in rows.select(PERIOD, SUM, SQUARES).iter_rows()
    }


def fingerprint_rows(
    table: DerivedTable, which: pl.Expr | None = None, *, is_input: bool = False
) -> dict[str, pl.Expr]:
    """Returns an aggregate that identifies rows of the first input, in whatever order.

    Rows that keep their origin are identified by it. Of aggregates only the number of rows behind
    each is known.

    Args:
        table: the table that is made.
        which: only some of the rows.
        is_input: whether the frame holds rows of the first input, rather than of the transform.
    """
    if table.is_aggregate:
        number = pl.len().cast(pl.Int64) if is_input else count_represented(table)
        return {FINGERPRINT: number}
    # The product of two hashes costs half as much as the hash of a struct. Sums wrap at 2^64, which
    # does not matter: they are only compared.
    identity = pl.col("_source").hash() * pl.col("_offset").hash()
    return {FINGERPRINT: (identity if which is None else identity.filter(which)).sum()}


def count_represented(table: DerivedTable, which: pl.Expr | None = None) -> pl.Expr:
    """Returns an aggregate that counts the rows of the first input behind rows of the transform."""
    counts = table.properties.counts
    # The contract names the column that says how many rows of the input a row represents.
    if counts:
        numbers = pl.col(counts).cast(pl.Int64)
        return (numbers if which is None else numbers.filter(which)).sum()
    return pl.len().cast(pl.Int64) if which is None else which.sum().cast(pl.Int64)


def count_periods(table: DerivedTable, answers: Mapping[str, pl.DataFrame]) -> PassCounts:
    """Reads the counts of each period from the aggregates of a pass, by the name of each."""
    found = {name: _by_period(rows) for name, rows in answers.items() if PERIOD in rows.columns}
    # Without a search for repeats every row that is read is distinct.
    distinct, judged = found.get(DISTINCT, {}), found.get(JUDGED, {})
    found.setdefault(READ, distinct)
    # Rows of an aggregate have no origin; those that it was given are counted instead. Periods come
    # from both ends: one to which rows were moved is known by the verdicts alone.
    given, returned = (PASSED, RETURNED) if table.is_aggregate else (DISTINCT, JUDGED)
    return PassCounts(
        {period: _count_period(table, period, found) for period in {*found[READ], *judged}},
        _fingerprints(found.get(given, {})),
        _fingerprints(found.get(returned, {})),
    )


_Answers = Mapping[Period, Mapping[str, Any]]


def _count_period(
    table: DerivedTable, period: Period, found: Mapping[str, _Answers]
) -> PeriodCounts:
    # A period without rows is missing from an aggregate.
    distinct, judged = (found.get(name, {}).get(period, {}) for name in (DISTINCT, JUDGED))
    rules = found.get(TABLE_RULES, {}).get(period, {})
    read, first = _number(found[READ].get(period, {}), "rows"), _number(distinct, "rows")
    quarantined = _number(judged, "broke")
    kept = _number(judged, "rows") - quarantined
    written = _number(found[LATEST].get(period, {}), "rows") if LATEST in found else kept
    return PeriodCounts(
        read=read,
        written=written,
        quarantined=quarantined,
        # Repeats, removed before the transform, and older versions of a key, after the verdict.
        superseded=read - first + kept - written,
        filtered={name: _number(distinct, f"{FILTERED}{name}") for name in table.leave_out},
        kept=kept,
        undated=_number(distinct, "undated"),
        outside=_number(judged, "outside"),
        table_rows=_number(judged, "table_rows") if table.is_aggregate else written,
        rejected_rows=_number(judged, "rejected_rows") if table.is_aggregate else quarantined,
        failed_rules=tuple(name for name, holds in rules.items() if holds is not True),
    )


def _by_period(rows: pl.DataFrame) -> _Answers:
    return {row.pop(PERIOD): row for row in rows.iter_rows(named=True)}


def _number(answer: Mapping[str, Any], name: str) -> int:
    return int(answer.get(name) or 0)


def _fingerprints(answers: _Answers) -> dict[Period, int]:
    """Returns what identifies the rows of each period; a period without rows has no fingerprint."""
    found = {period: _number(answer, FINGERPRINT) for period, answer in answers.items()}
    return {period: value for period, value in found.items() if value}
