"""How an input is cut to the days that a table is made for; once for Polars, once for SQL."""

from dataclasses import dataclass
from datetime import date

import polars as pl

from lakehouse.calendar import Days
from lakehouse.storage.duckdb_connection import quote_identifier, quote_literal
from lakehouse.system_columns import EVENT_DATE
from lakehouse.tables.table_types import DerivedTable, RawTable, Table


@dataclass(frozen=True)
class DayFilter:
    """The part of an input that a transform sees.

    Attributes:
        column: the column that tells a row's day.
        seen: the days of which rows are seen.
        known: all days that the table has, where rows of any other day are seen too, with the first of them.
    """

    column: str
    seen: Days
    known: Days | None = None

    @property
    def rows(self) -> pl.Expr:
        """True for a row that is seen."""
        inside = pl.col(self.column).is_between(self.seen.first, self.seen.last)
        return inside if self.known is None else inside | self._is_stray(self.known)

    @property
    def window(self) -> pl.Expr:
        """The day with which a row is judged."""
        day = pl.col(self.column)
        return (
            day
            if self.known is None
            else pl.when(self._is_stray(self.known)).then(self.known.first).otherwise(day)
        )

    @property
    def sql(self) -> str:
        """`rows` as a condition in SQL."""
        day = quote_identifier(self.column)
        inside = f"{day} BETWEEN {_date(self.seen.first)} AND {_date(self.seen.last)}"
        if self.known is None:
            return inside
        known = f"{day} BETWEEN {_date(self.known.first)} AND {_date(self.known.last)}"
        return f"({inside} OR {day} IS NULL OR NOT ({known}))"

    def _is_stray(self, known: Days) -> pl.Expr:
        day = pl.col(self.column)
        return day.is_null() | ~day.is_between(known.first, known.last)


def find_day_filter(
    source: Table, lookback: int, wanted: Days, known: Days, *, first: bool
) -> DayFilter | None:
    """How an input is cut to the wanted days and those before that the table looks back on; None for all of it.

    A raw row without a day, or with one that does not exist here, is judged with the table's first day. Beside the
    first input, a raw table is read whole, and one with longer periods is read in whole periods.
    """
    column, seen = source.day_column, wanted.widen(back=lookback)
    if column is None or (isinstance(source, RawTable) and not first):
        return None
    if isinstance(source, RawTable):
        inside = Days(max(seen.first, known.first), min(seen.last, known.last))
        return DayFilter(column, inside, known if known.first in wanted else None)
    if isinstance(source, DerivedTable) and source.partitions is not None and not first:
        seen = source.partitions.widen_to_periods(seen)
    return DayFilter(column, seen)


def find_day_column(source: Table) -> str | None:
    """The column by which an input is cut; None when it is read whole."""
    if isinstance(source, RawTable):
        return EVENT_DATE if source.day is not None else None
    return source.properties.date_column


def _date(day: date) -> str:
    return f"DATE {quote_literal(str(day))}"
