"""The periods that a commit replaces, and which rows belong to them.

Belongs here: the days and periods of one commit as a value, and the filters that follow from them.
Does not belong here: finding out which periods the first input holds (`plan.py`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date

import polars as pl

from lakehouse.calendar import Days
from lakehouse.system_columns import EVENT_DATE, WINDOW
from lakehouse.tables.table_types import DerivedTable


@dataclass(frozen=True)
class Scope:
    """What one commit of a derived table replaces: some of its periods, or all of it.

    Attributes:
        table: the table.
        days: the span of whole periods that is read; None for a table without periods.
        periods: the first days of the periods that are replaced, in order; None for a table without
            periods. The first input holds rows of each, or is empty there on purpose.
        known: all days that the table has, by the clock of the run.
        total_rows: the number of rows of the whole first input, where undated rows are judged with
            these periods.
        untouched: periods of the span that the table holds and its first input does not; they stay
            as they are.
        held_back: periods of the span that an earlier verdict held back, with the reason.
        is_subset: whether rows of the other periods of the span are left out.
    """

    table: DerivedTable
    days: Days | None = None
    periods: tuple[date, ...] | None = None
    known: Days | None = None
    total_rows: int | None = None
    untouched: tuple[date, ...] = ()
    held_back: Mapping[date, str] = field(default_factory=dict)
    is_subset: bool = False

    @property
    def place(self) -> str:
        """The table and the span of its periods, for messages."""
        return f"{self.table.name} [{self.days}]" if self.days else self.table.name

    @property
    def undated_period(self) -> date | None:
        """The period with which undated rows are judged, if it is one of these."""
        if self.total_rows is None or self.known is None or self.table.partitions is None:
            return None
        return self.table.partitions.period_start(self.known.first)

    @property
    def spans(self) -> tuple[Days, ...]:
        """The periods as spans of days, neighbours joined."""
        if self.table.partitions is None or not self.periods:
            return ()
        return tuple(self.table.partitions.join_to_spans(self.periods))

    @property
    def all_days(self) -> tuple[date, ...] | None:
        """Each day of the periods; None for a table without periods."""
        if self.periods is None:
            return None
        return tuple(day for span in self.spans for day in span)

    @property
    def is_undated(self) -> pl.Expr:
        """True for a row of the first input whose day is missing, or is none of the table's."""
        if self.total_rows is None or self.known is None:
            return pl.lit(False)
        return ~pl.col(EVENT_DATE).is_between(self.known.first, self.known.last).fill_null(False)

    def subset(self, periods: Iterable[date], held_back: Mapping[date, str]) -> "Scope":
        """Returns the scope for some of its periods, where the others are held back."""
        # Undated rows go with the period that they are judged with: where it is held back, they
        # are, too.
        chosen = tuple(sorted(periods))
        return replace(
            self,
            periods=chosen,
            total_rows=self.total_rows if self.undated_period in chosen else None,
            untouched=tuple(day for day in self.untouched if day not in held_back),
            held_back=held_back,
            is_subset=True,
        )

    def is_in_periods(self, column: str) -> pl.Expr:
        """Returns an expression that is true where a day lies in one of the periods."""
        assert self.table.partitions is not None  # noqa: S101
        periods = pl.Series(self.periods, dtype=pl.Date).implode()
        return self.table.partitions.period_start_expr(pl.col(column)).is_in(periods)

    def own_rows(self, rows: pl.LazyFrame, *, is_input: bool = False) -> pl.LazyFrame:
        """Returns the rows of these periods, without the days that the table only looks back on.

        Args:
            rows: rows of the first input, or of the transform.
            is_input: whether they are rows of the first input.
        """
        is_cut = self.table.lookback > 0 or self.is_subset
        if self.days is None or self.periods is None or not is_cut:
            return rows
        # Only aggregates have lost `_window`; they carry a day of their own.
        window = str(self.table.properties.date_column)
        column = WINDOW if is_input or not self.table.is_aggregate else window
        # A subset may have gaps, which the span of days would cover.
        if self.is_subset:
            return rows.filter(self.is_in_periods(column))
        return rows.filter(pl.col(column).is_between(self.days.first, self.days.last))

    def rows_of_given_days(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """Returns the transform's rows of the days that its first frame holds.

        A query reads the whole span, periods that are held back among them.
        """
        # With a lookback the first frame holds the days before as well, and is not cut.
        is_cut = self.is_subset and not self.table.lookback
        return self.own_rows(rows) if is_cut else rows
