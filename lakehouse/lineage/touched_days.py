"""Which days a commit touched: those of the rows that it added, changed or removed.

Belongs here: what the Delta log says of one commit.
Does not belong here: which periods of a reader see these days (`staleness.py`).
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl

from lakehouse.calendar import Days
from lakehouse.lineage.commit_history import list_undone_commits, read_audit
from lakehouse.storage.lake import Lake
from lakehouse.storage.log import Commit
from lakehouse.storage.parquet import scan_parquet_files
from lakehouse.system_columns import EVENT_DATE
from lakehouse.tables.table_types import DerivedTable, RawTable, Table


@dataclass(frozen=True)
class TouchedDays:
    """The days of the rows that a commit added, changed or removed.

    Attributes:
        days: these days.
        undated: whether rows without a day are among the rows.
        every: whether the rows may be of any day, because their days are unknown.
    """

    days: frozenset[date] = frozenset()
    undated: bool = False
    every: bool = False

    def assign(self, known: Days) -> frozenset[date]:
        """Returns the days of a table that the rows belong to.

        Rows without a day, or with a day that the table does not have, belong to its first day.
        """
        if self.every:
            return frozenset(known)
        inside = frozenset(day for day in self.days if day in known)
        # Each row has to be judged with some period, or it would be in no account.
        is_outside = self.undated or len(inside) < len(self.days)
        return inside | {known.first} if is_outside else inside


EVERY_DAY = TouchedDays(every=True)


def unite_days(several: Iterable[TouchedDays]) -> TouchedDays:
    """Returns the days of several commits or files together."""
    parts = list(several)
    return TouchedDays(
        frozenset().union(*(part.days for part in parts)),
        undated=any(part.undated for part in parts),
        every=any(part.every for part in parts),
    )


def find_touched_days(lake: Lake, source: Table, commit: Commit) -> TouchedDays:
    """Returns the days of a table that a commit touched.

    A RESTORE touched the days of the commits that it undid. A commit of ours touched the periods
    that it made with other rows than before. The days of any other commit are those of the files
    that it added and removed.
    """
    undone = list_undone_commits(lake, source.name, commit)
    if undone is not None:
        return unite_days(find_touched_days(lake, source, one) for one in undone)
    audit = read_audit(commit)
    # The audit and not the files: a commit copies rows of other days that share a file with it, and
    # a period that became empty is in no new file.
    if audit is not None and isinstance(source, DerivedTable) and source.partitions:
        made, unchanged = (
            frozenset(day for span in spans for day in span)
            for spans in (audit.materialized, audit.unchanged)
        )
        return TouchedDays(made - unchanged)
    if audit is not None and audit.is_unchanged:
        return TouchedDays()
    # The files of an increment of a table with keys hold rows of many other days.
    if audit is not None and audit.touched is not None:
        return TouchedDays(frozenset(day for span in audit.touched for day in span))
    column = EVENT_DATE if isinstance(source, RawTable) else source.properties.date_column
    return read_days_of_files(lake, source.name, commit, column)


def read_days_of_files(lake: Lake, table: str, commit: Commit, column: str | None) -> TouchedDays:
    """Returns the days in the files that a commit added or removed.

    Args:
        lake: where the table is.
        table: its name.
        commit: the commit.
        column: the column that holds the day of a row; None where no column does.
    """
    # Removed files as well: the day that a row had before is touched, too.
    actions = (*commit.data_added, *commit.data_removed)
    if actions and column is None:
        return EVERY_DAY
    return unite_days(_read_days_of_file(lake, table, action, str(column)) for action in actions)


def _read_days_of_file(
    lake: Lake, table: str, action: Mapping[str, Any], column: str
) -> TouchedDays:
    """Returns the days in one file, from its statistics where they name a single day."""
    stats = json.loads(action.get("stats") or "{}")
    low, high = (stats.get(bound, {}).get(column) for bound in ("minValues", "maxValues"))
    # Nulls are not within the bounds, and their number may be missing: it must be known to be 0.
    if low is not None and low == high and stats.get("nullCount", {}).get(column) == 0:
        return _read_single_day(low)
    rows = scan_parquet_files(f"{lake.uri(table)}/{action['path']}", lake.options)
    try:
        days = set(rows.select(_python_date(pl.col(column)).unique()).collect().to_series())
    except (FileNotFoundError, pl.exceptions.ColumnNotFoundError):
        return EVERY_DAY  # vacuum has removed the file, or it is older than the column
    return TouchedDays(frozenset(days - {None}), undated=None in days)


def _read_single_day(text: str) -> TouchedDays:
    try:
        return TouchedDays(frozenset({date.fromisoformat(text)}))
    except ValueError:
        return TouchedDays(undated=True)  # of a year that Python does not have, as below


def _python_date(day: pl.Expr) -> pl.Expr:
    """Returns null for a day before year 1 or after year 9999: Python has no such date."""
    return pl.when(day.dt.year().is_between(1, 9999)).then(day)
