"""Filters of an input to the days for which a table is rebuilt, in Polars and in SQL."""

from dataclasses import dataclass
from datetime import date

import polars as pl

from lakehouse.calendar import Days
from lakehouse.storage.duckdb_connection import quote_identifier, quote_literal
from lakehouse.tables.table_types import RawTable, Table


@dataclass(frozen=True)
class DayFilter:
    """The part of an input that a transform sees.

    Attributes:
        column: the column with the day of a row.
        seen: the days whose rows are seen.
        known: all days of the table, set where undated rows are seen as well; they count for the
            first of these days.
    """

    column: str
    seen: Days
    known: Days | None = None

    @property
    def rows(self) -> pl.Expr:
        """True for a row that is seen."""
        inside = pl.col(self.column).is_between(self.seen.first, self.seen.last)
        return inside if self.known is None else inside | self._is_undated(self.known)

    @property
    def window(self) -> pl.Expr:
        """The day for which a row counts."""
        day = pl.col(self.column)
        if self.known is None:  # each seen row has a day of its own
            return day
        return pl.when(self._is_undated(self.known)).then(self.known.first).otherwise(day)

    @property
    def sql(self) -> str:
        """`rows` as a condition in SQL."""
        day = quote_identifier(self.column)
        inside = f"{day} BETWEEN {_to_sql_date(self.seen.first)} AND {_to_sql_date(self.seen.last)}"
        if self.known is None:
            return inside
        first, last = _to_sql_date(self.known.first), _to_sql_date(self.known.last)
        # In SQL as in Polars, null is neither between two days nor outside of them.
        return f"({inside} OR {day} IS NULL OR NOT ({day} BETWEEN {first} AND {last}))"

    def _is_undated(self, known: Days) -> pl.Expr:
        day = pl.col(self.column)
        return day.is_null() | ~day.is_between(known.first, known.last)


def find_day_filter(
    source: Table, lookback: int, wanted: Days, known: Days, *, first: bool
) -> DayFilter | None:
    """Returns the filter of an input to the wanted days and their lookback; None for all rows.

    A raw row without a day, or with a day that the table does not have, counts for the first day of
    the table. A raw table beside the first input is read whole.

    Args:
        source: the input.
        lookback: the number of days before the wanted ones that are seen as well.
        wanted: the days to rebuild.
        known: all days of the table.
        first: whether this is the first input, whose rows are accounted for.
    """
    column, seen = source.day_column, wanted.widen(back=lookback)
    if column is None:
        return None
    if isinstance(source, RawTable):
        if not first:
            return None
        # Days before the first one are not looked back to: rows dated there are undated here.
        inside = Days(max(seen.first, known.first), min(seen.last, known.last))
        # Only the period of the first day sees them, so that each is accounted for once.
        return DayFilter(column, inside, known if known.first in wanted else None)
    # A row of a longer period stands for all of its days, so it is read with the whole period.
    if source.partitions is not None and not first:
        seen = source.partitions.widen_to_periods(seen)
    return DayFilter(column, seen)


def _to_sql_date(day: date) -> str:
    return f"DATE {quote_literal(str(day))}"
