"""Inputs that are read by date: the days on which a commit changes what a reader sees.

A row of such an input is valid until the next row of its series.

Belongs here: when the rows are valid that differ before and after a commit.
Does not belong here: on which of these days a reader looks up a changed key (`key_changes.py`).

A table without periods notes these days in its audit when it is built, so that no old version has
to be read later. For other commits, the files that were added and removed are compared.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property
from typing import Any

import polars as pl

from lakehouse.calendar import Daily, Days, join_days
from lakehouse.lineage.commit_history import read_audit
from lakehouse.lineage.content_hash import compare_days
from lakehouse.publish.audit import Audit
from lakehouse.storage.lake import Lake, scan_visible_rows
from lakehouse.storage.log import Commit
from lakehouse.storage.parquet import scan_parquet_files
from lakehouse.storage.revision import Revision
from lakehouse.system_columns import DELETED
from lakehouse.tables.catalog import Catalog
from lakehouse.tables.table_types import DerivedTable, Table

_TOUCHED = "touched days"
_QUESTION = "changed by "  # begins the names of these questions among all that one pass answers
FIRST, UNTIL = "_first", "_until"
"""Columns of spans: the first day or instant, and the one before which the span ends, or null."""

ALWAYS = (Days(date.min, date.max),)
"""All days, for a change whose days are unknown."""

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class DatedInput:
    """An input that a table reads by date.

    Attributes:
        lake: where it is.
        source: the input.
        column: the column that dates a row; the row is valid from that day on.
        slack: how many days a day of the reader may lie beside the day in UTC; see
            `count_slack_days`.
    """

    lake: Lake
    source: Table
    column: str
    slack: int = 0

    def find_changed_days(self, commit: Commit) -> tuple[Days, ...]:
        """Returns the days on which rows are valid that a commit added, changed or removed."""
        return tuple(_widen(span, self.slack) for span in self._find_spans(commit))

    def _find_spans(self, commit: Commit) -> tuple[Days, ...]:
        audit = read_audit(commit)
        # Comparing versions for each commit cost more with every commit, and vacuum removes them.
        if audit is not None and self.column in audit.changed:
            return audit.changed[self.column]
        try:
            before = self._scan_files(commit.data_removed)
            after = self._scan_files(commit.data_added)
            dates = self._current_dates.lazy()
            spans = compare_rows(before, after, dates, self.column, self.source.row_key)
            return join_spans(spans.select(FIRST, UNTIL).unique().collect())
        except (OSError, pl.exceptions.PolarsError):
            return ALWAYS  # vacuum has removed the files, or their columns are others than now

    @cached_property
    def _current_dates(self) -> pl.DataFrame:
        """The dates of each series now."""
        # Read once for all commits: a date that came or went later has a span by its own commit.
        columns = {self.column, *self.source.row_key}
        return self.lake.scan(self.source.name).select(columns).collect()

    def _scan_files(self, actions: Iterable[Mapping[str, Any]]) -> pl.LazyFrame:
        """Returns the rows of some files, tombstones among them."""
        source = self.source
        stored = source.stored_schema
        names = [*_list_columns(source), *([DELETED] if DELETED in stored else [])]
        paths = [f"{self.lake.uri(source.name)}/{action['path']}" for action in actions]
        if not paths:
            return pl.LazyFrame(schema={name: stored[name] for name in names})
        rows = scan_parquet_files(paths, self.lake.options, extra_columns="ignore")
        return rows.select(names)


def count_slack_days(source: Table, column: str, calendar: Daily) -> int:
    """Returns how many days an instant may lie beside its day in UTC; 1 in other time zones."""
    # Without it a reader by days of New York kept the price of before for an evening.
    return int(source.schema.get(column) != pl.Date and calendar.timezone != "UTC")


def _widen(span: Days, days: int) -> Days:
    """Returns a span with some days more at both ends, within the years that Python has."""
    first, last = max(span.first, date.min + days * _DAY), min(span.last, date.max - days * _DAY)
    return Days(first, last).widen(back=days, ahead=days)


def compare_rows(
    before: pl.LazyFrame,
    after: pl.LazyFrame,
    dates: pl.LazyFrame,
    column: str,
    key: tuple[str, ...],
) -> pl.LazyFrame:
    """Returns the spans in which rows are valid that are on one side only, under their series.

    Args:
        before: the rows before a change.
        after: the rows after it, in the same columns.
        dates: the date and key of rows that neither of them contains.
        column: the column that dates a row; the row is valid from that day on.
        key: the key of the table; without `column` it names the series.
    """
    names = after.collect_schema().names()
    series = [name for name in key if name != column]
    sides = ((after, before), (before, after))
    changed = pl.concat(
        [one.join(other, on=names, how="anti", nulls_equal=True) for one, other in sides]
    )
    dated = pl.concat([rows.select(column, *series) for rows in (dates, before, after)])
    dated = dated.unique().sort(column)
    # A row is valid until the next one of its series. Without a key there is no series, so it is
    # valid without end.
    following = pl.col(column).shift(-1) if column in key else pl.lit(None, dtype=pl.Date)
    ends = dated.with_columns((following.over(series) if series else following).alias(UNTIL))
    # A row without a date is never valid, so nobody sees its change.
    begins = changed.select(column, *series).drop_nulls(column).unique()
    spans = begins.join(ends, on=[column, *series], nulls_equal=True)
    return spans.select(*series, pl.col(column).alias(FIRST), UNTIL).unique()


def compare_versions(
    before: pl.LazyFrame,
    after: pl.LazyFrame,
    moment: str,
    key: tuple[str, ...],
    values: tuple[str, ...],
) -> pl.LazyFrame:
    """Returns the spans in which a key has other values than before, under the key.

    Args:
        before: the versions of some keys before a change, tombstones among them.
        after: the same after it.
        moment: the column that dates a version; the version is valid from then on.
        key: the key of the table.
        values: the columns that are compared; when a version began is not one of them. A deleted
            key counts as one that never existed.
    """
    version, nothing = pl.struct(DELETED, *values), pl.lit(None)
    old = before.select(*key, moment, _before=version, _after=nothing)
    new = after.select(*key, moment, _before=nothing, _after=version)
    both = pl.concat([old, new], how="vertical_relaxed").sort(*key, moment)
    # At each moment of either side: the version that was valid then, before and after the change.
    both = both.with_columns(pl.col("_before", "_after").forward_fill().over(key))
    points = both.unique([*key, moment], keep="last", maintain_order=True)
    ends = points.with_columns(pl.col(moment).shift(-1).over(key).alias(UNTIL))
    was, is_now = (
        pl.when(~pl.col(side).struct.field(DELETED)).then(pl.col(side))
        for side in ("_before", "_after")
    )
    changed = ends.filter(was.ne_missing(is_now))
    return changed.select(*key, pl.col(moment).alias(FIRST), UNTIL).unique()


def build_questions(
    lake: Lake, catalog: Catalog, table: DerivedTable, base: Revision | None, rows: pl.LazyFrame
) -> dict[str, pl.LazyFrame]:
    """Returns the questions about new rows of a table whose answers its audit notes for readers.

    Args:
        lake: where the tables are.
        catalog: all of them.
        table: the table that is made; only one that is made whole is asked.
        base: the revision of the table that is replaced; None where there is no table yet.
        rows: the new rows.
    """
    if table.partitions is not None:
        return {}
    names, schema = _list_columns(table), rows.collect_schema()
    before = pl.LazyFrame(schema=schema)
    if base is not None:
        before = scan_visible_rows(lake.open_revision(table.name, base))
    columns = before.collect_schema()
    if any(columns.get(name) != schema[name] for name in names):
        return {}  # a column that is new, or has another type, changes every row
    old, new = before.select(names), rows.select(names)
    day, touched = table.properties.date_column, dict[str, pl.LazyFrame]()
    if day is not None and base is not None and _is_read_by_day(catalog, table):
        touched[_TOUCHED] = compare_days(table, before, rows, day)
    # Both sides are the whole table, so no other row ends a span.
    return touched | {
        f"{_QUESTION}{column}": compare_rows(old, new, old.clear(), column, table.row_key)
        .select(FIRST, UNTIL)
        .unique()
        for column in list_date_columns(catalog, table)
    }


def _is_read_by_day(catalog: Catalog, table: DerivedTable) -> bool:
    """Returns whether a table with periods reads the rows of its own days."""
    return any(
        name == table.name and reader.partitions is not None and parameter not in reader.as_of
        for reader in catalog.derived_tables
        for parameter, name in catalog.find_inputs(reader).items()
    )


def list_date_columns(catalog: Catalog, table: DerivedTable) -> list[str]:
    """Returns the columns by whose date readers look up rows of a table."""
    return sorted(
        {
            reader.as_of[parameter].column
            for reader in catalog.derived_tables
            for parameter, name in catalog.find_inputs(reader).items()
            if name == table.name and parameter in reader.as_of
        }
    )


def note_changed_days(audit: Audit, answers: Mapping[str, pl.DataFrame]) -> Audit:
    """Returns the audit with the answers to `build_questions`."""
    changed = {
        name.removeprefix(_QUESTION): join_spans(rows)
        for name, rows in answers.items()
        if name.startswith(_QUESTION)
    }
    touched = audit.touched
    if _TOUCHED in answers:
        touched = tuple(join_days(answers[_TOUCHED].to_series().to_list()))
    return replace(audit, changed=changed, touched=touched)


def _list_columns(source: Table) -> list[str]:
    return [name for name in source.schema if not name.startswith("_")]


def round_to_days(spans: pl.DataFrame, slack: int = 0) -> pl.DataFrame:
    """Returns spans as the days that they contain a part of, from `FIRST` to before `UNTIL`.

    The day on which a span ends counts, unless the span ends at its midnight. Days before year 1 or
    after year 9999 are cut off: Python has no such dates. `slack` adds days at both ends.
    """
    first, until, more = pl.col(FIRST), pl.col(UNTIL), pl.duration(days=slack)
    if spans.schema[FIRST] != pl.Date:
        first, day = first.dt.date(), until.dt.date()
        until = day + pl.duration(days=(until != until.dt.truncate("1d")).cast(pl.Int64))
    begins, ends = pl.max_horizontal(first - more, pl.lit(date.min)), until.cast(pl.Date) + more
    days = spans.with_columns(
        begins.alias(FIRST), pl.when(ends <= date.max).then(ends).alias(UNTIL)
    )
    return days.filter(
        pl.col(FIRST) <= date.max, pl.col(UNTIL).is_null() | (pl.col(UNTIL) > pl.col(FIRST))
    )


def join_spans(spans: pl.DataFrame) -> tuple[Days, ...]:
    """Returns the days that some spans enter, in order, with spans that meet joined."""
    joined: list[Days] = []
    for begins, ends in round_to_days(spans).select(FIRST, UNTIL).sort(FIRST).iter_rows():
        last = ends - _DAY if ends else date.max
        if joined and max(begins, date.min + _DAY) - _DAY <= joined[-1].last:
            joined[-1] = Days(joined[-1].first, max(joined[-1].last, last))
        else:
            joined.append(Days(begins, last))
    return tuple(joined)
