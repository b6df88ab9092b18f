"""The verdict on each period: too many bad rows or a failed table rule hold it back.

Belongs here: the limits that a period must keep, and the error that names every reason and some bad
rows.
Does not belong here: the laws, whose breach stops the whole commit (`accounting.py`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice

import polars as pl

from lakehouse.errors import list_problems
from lakehouse.publish.audit import Audit, RefusedCommitError
from lakehouse.system_columns import BROKEN, WINDOW
from lakehouse.tables.table_types import DerivedTable
from lakehouse.transform.period_counts import PERIOD, Period, PeriodCounts, sort_periods
from lakehouse.transform.scope import Scope

# A message has to fit on a screen.
_EXAMPLES_SHOWN = 5
_PERIODS_SHOWN = 10


@dataclass(frozen=True)
class PassRejects:
    """The rows that one pass rejected.

    Attributes:
        table: what rejected them.
        rows: the rows as they are written to quarantine; None when there are none.
    """

    table: DerivedTable
    rows: pl.LazyFrame | None

    @property
    def _period(self) -> pl.Expr:
        calendar = self.table.partitions
        if calendar is None:
            return pl.lit(None, dtype=pl.Date)
        return calendar.period_start_expr(pl.col(WINDOW))

    def count(self) -> int:
        """Returns how many there are."""
        if self.rows is None:
            return 0
        return int(self.rows.select(pl.len()).collect(engine="streaming").item())

    def count_broken_rules(self) -> dict[Period, dict[str, int]]:
        """Returns the number of rows by broken rule, for each period that has rejected rows."""
        if self.rows is None:
            return {}
        broken = self.rows.select(self._period.alias(PERIOD), BROKEN).explode(BROKEN)
        counts: dict[Period, dict[str, int]] = {}
        for period, rule, number in (
            broken.group_by(PERIOD, BROKEN).len().collect(engine="streaming").iter_rows()
        ):
            counts.setdefault(period, {})[rule] = number
        return counts

    def show_examples(self, periods: Iterable[Period]) -> list[str]:
        """Returns the origins of a few rows and the rules that they broke; never a value."""
        if self.rows is None:
            return []
        # Nulls are equal, because the one period of a table without any is null.
        wanted = pl.Series(list(periods), dtype=pl.Date).implode()
        rows = self.rows.filter(self._period.is_in(wanted, nulls_equal=True)).head(_EXAMPLES_SHOWN)
        return [_describe(row) for row in rows.collect(engine="streaming").iter_rows(named=True)]


def refuse_bad_periods(
    audit: Audit,
    scope: Scope,
    periods: Mapping[Period, PeriodCounts],
    rejects: PassRejects,
    broken: Mapping[Period, Mapping[str, int]],
) -> None:
    """Raises `RefusedCommitError` when some periods must not be published, with every reason.

    Args:
        audit: what the commit would have been.
        scope: the periods that are made.
        periods: what became of their rows.
        rejects: the rows that were rejected.
        broken: the number of these by period and broken rule.
    """
    # Each period is judged by its own counts, so that it gets the same verdict alone and in a
    # backfill.
    refused: dict[Period, list[str]] = {}
    for period, counts in sort_periods(periods):
        problems = [f"the table rule {name!r} does not hold" for name in counts.failed_rules]
        problems += _too_many_rejects(scope, counts)
        if problems:
            refused[period] = problems
    if refused:
        raise _refusal(audit, refused, rejects, broken)


def _too_many_rejects(scope: Scope, counts: PeriodCounts) -> list[str]:
    """Returns why the rejected rows of a period are too many; empty when they are not.

    Undated rows come from all days, so that their share is of all rows rather than of the period's.
    """
    allowed = scope.table.properties.max_quarantined
    broke, undated = counts.quarantined, counts.undated
    # The undated rows are taken out of both sides; they are held against the whole input below.
    is_fine = broke - undated <= allowed * (counts.read - undated)
    if is_fine and undated <= allowed * (scope.total_rows or 0):
        return []
    share = f"{broke / counts.read:.1%}" if counts.read else "all"
    return [
        f"{broke:,} of {counts.read:,} rows break the contract ({share}; {allowed:.1%} are allowed)"
    ]


def _refusal(
    audit: Audit,
    refused: Mapping[Period, list[str]],
    rejects: PassRejects,
    broken: Mapping[Period, Mapping[str, int]],
) -> RefusedCommitError:
    # A single refused period is named in the headline; of several each line names its own.
    lines: list[str] = []
    for period, problems in islice(refused.items(), _PERIODS_SHOWN):
        rules = sorted(broken.get(period, {}).items())
        reasons = [*problems, *(f"{count:,} x {name}" for name, count in rules)]
        lines += [f"{period}: {reason}" for reason in reasons] if len(refused) > 1 else reasons
    if len(refused) > _PERIODS_SHOWN:
        lines.append(f"and {len(refused) - _PERIODS_SHOWN:,} more periods")
    lines += [f"for example {example}" for example in rejects.show_examples(refused)]
    place = next(iter(refused)) if len(refused) == 1 else audit.days
    where = f" [{place}]" if audit.days else ""
    message = list_problems(
        f"{audit.table}{where}: refused. Nothing was published; the table is unchanged.",
        lines,
        "fix the source or the transform and run these days again. "
        "If the rows are right, change the contract.",
    )
    first_reasons = {period: problems[0] for period, problems in refused.items()}
    return RefusedCommitError(message, audit, first_reasons)


def _describe(row: Mapping[str, object]) -> str:
    """Returns where a rejected row is from, and why; its values may be personal."""
    origin = f"the row of {row.get(WINDOW)}"
    if "_source" in row:
        origin = f"{row['_source']}, record {row['_offset']}"
    return f"{origin}: {', '.join(row[BROKEN])}"  # type: ignore[arg-type]  # a list of text
