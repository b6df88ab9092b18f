"""Dated inputs, whose rows hold until the next one of their series: the days that a commit of one changes.

A table that is made whole notes these days in its audit, from one comparison when it is made; so nobody has to read old
versions again, however many there are. Of other commits they are told from the files that were added and removed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property
from typing import Any

import polars as pl

from lakehouse.calendar import Daily, Days
from lakehouse.lineage.touched_days import read_audit
from lakehouse.publish.audit import Audit
from lakehouse.storage.lake import Lake
from lakehouse.storage.log import Commit
from lakehouse.storage.revision import Revision
from lakehouse.system_columns import DELETED
from lakehouse.tables.catalog import Catalog
from lakehouse.tables.key_checks import list_identity_columns
from lakehouse.tables.table_types import DerivedTable, Table

_QUESTION = "changed by "
FIRST, UNTIL = "_first", "_until"
"""Columns of spans: from when until when, without an end where that is null."""

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class DatedInput:
    """A dated input.

    Attributes:
        lake: where it is.
        source: the table.
        column: the day from which a row holds.
        slack: by how many days a day of the reader may be another than in UTC; see `slack`.
    """

    lake: Lake
    source: Table
    column: str
    slack: int = 0

    def changed(self, commit: Commit) -> tuple[Days, ...] | None:
        """The days in which a row holds that a commit added, changed or took away; None where it cannot be told."""
        spans = self._changed(commit)
        return spans if spans is None else tuple(_wider(span, self.slack) for span in spans)

    def _changed(self, commit: Commit) -> tuple[Days, ...] | None:
        audit = read_audit(commit)
        if audit is not None and self.column in audit.changed:
            return audit.changed[self.column]
        try:
            before, after = (
                self._rows(actions) for actions in (commit.data_removed, commit.data_added)
            )
            spans = compare_rows(
                before, after, self._dates.lazy(), self.column, list_identity_columns(self.source)
            )
            return join_spans(spans.select(FIRST, UNTIL).unique().collect())
        except (OSError, pl.exceptions.PolarsError):
            return None  # files are gone, or of another form than they have now

    @cached_property
    def _dates(self) -> pl.DataFrame:
        """The days of each series as they stand now."""
        return (
            self.lake.scan(self.source.name)
            .select({self.column, *list_identity_columns(self.source)})
            .collect()
        )

    def _rows(self, actions: Iterable[Mapping[str, Any]]) -> pl.LazyFrame:
        stored = (
            self.source.stored_schema
            if isinstance(self.source, DerivedTable)
            else self.source.schema
        )
        names, root = (
            [*_names(self.source), *([DELETED] if DELETED in stored else [])],
            self.lake.uri(self.source.name),
        )
        paths = [f"{root}/{action['path']}" for action in actions]
        if not paths:
            return pl.LazyFrame(schema={name: stored[name] for name in names})
        options = dict(self.lake.options) or None
        rows = pl.scan_parquet(
            paths,
            hive_partitioning=False,
            glob=False,
            extra_columns="ignore",
            storage_options=options,
        )
        return rows.select(names)


def count_slack_days(source: Table, column: str, calendar: Daily) -> int:
    """By how many days an instant may lie beside its day in UTC, where a calendar has midnights of its own."""
    return int(source.schema.get(column) != pl.Date and calendar.timezone != "UTC")


def _wider(span: Days, days: int) -> Days:
    first, last = max(span.first, date.min + days * _DAY), min(span.last, date.max - days * _DAY)
    return Days(first, last).widen(back=days, ahead=days)


def compare_rows(
    before: pl.LazyFrame,
    after: pl.LazyFrame,
    dates: pl.LazyFrame,
    column: str,
    key: tuple[str, ...],
) -> pl.LazyFrame:
    """From when until when rows of a series hold that stand on one side only; without an end where none follows.

    Args:
        before: the rows before a change.
        after: the rows after it, in the same columns.
        dates: the date and key of rows that neither of them holds.
        column: the day from which a row holds.
        key: the key of the table; without `column` it names the series.
    """
    names = after.collect_schema().names()
    series = [name for name in key if name != column]
    sides = ((after, before), (before, after))
    changed = pl.concat(
        [one.join(other, on=names, how="anti", nulls_equal=True) for one, other in sides]
    )
    dated = (
        pl.concat([rows.select(column, *series) for rows in (dates, before, after)])
        .unique()
        .sort(column)
    )
    # A row holds until the next one of the same series; without a key nobody knows the series.
    following = pl.col(column).shift(-1) if column in key else pl.lit(None, dtype=pl.Date)
    ends = dated.with_columns((following.over(series) if series else following).alias(UNTIL))
    held = changed.select(column, *series).drop_nulls(column).unique()
    spans = held.join(ends, on=[column, *series], nulls_equal=True)
    return spans.select(*series, pl.col(column).alias(FIRST), UNTIL).unique()


def compare_versions(
    before: pl.LazyFrame,
    after: pl.LazyFrame,
    moment: str,
    key: tuple[str, ...],
    values: tuple[str, ...],
) -> pl.LazyFrame:
    """From when until when a key says something else than it did; without an end where that is still so.

    Args:
        before: the versions of some keys before a change, tombstones among them.
        after: the same after it.
        moment: the day from which a version holds.
        key: the key of the table.
        values: what it says; when a version began is not part of that. A deleted key says nothing, like one never seen.
    """
    said, nothing = pl.struct(DELETED, *values), pl.lit(None)
    old = before.select(*key, moment, _before=said, _after=nothing)
    new = after.select(*key, moment, _before=nothing, _after=said)
    told = (
        pl.concat([old, new], how="vertical_relaxed")
        .sort(*key, moment)
        .with_columns(pl.col("_before", "_after").forward_fill().over(key))
    )
    points = told.unique([*key, moment], keep="last", maintain_order=True)
    ends = points.with_columns(pl.col(moment).shift(-1).over(key).alias(UNTIL))
    seen = (
        pl.when(~pl.col(side).struct.field(DELETED)).then(pl.col(side))
        for side in ("_before", "_after")
    )
    other = ends.filter(next(seen).ne_missing(next(seen)))
    return other.select(*key, pl.col(moment).alias(FIRST), UNTIL).unique()


def build_questions(
    lake: Lake, catalog: Catalog, table: DerivedTable, base: Revision | None, rows: pl.LazyFrame
) -> dict[str, pl.LazyFrame]:
    """What to ask of new rows of a table, so that its audit can note what they change for those who read it by date."""
    names, schema = _names(table), rows.collect_schema()
    before = pl.LazyFrame(schema=schema) if base is None else lake.scan(table.name, base.version)
    stood = before.collect_schema()
    if table.partitions is not None or any(stood.get(name) != schema[name] for name in names):
        return {}  # a column that is new, or of another type, changes every row
    old, new = before.select(names), rows.select(names)
    return {
        f"{_QUESTION}{column}": compare_rows(
            old, new, old.clear(), column, list_identity_columns(table)
        )
        .select(FIRST, UNTIL)
        .unique()
        for column in list_date_columns(catalog, table)
    }


def list_date_columns(catalog: Catalog, table: DerivedTable) -> list[str]:
    """The columns by which readers look up the rows of a table that hold on a day."""
    return sorted(
        {
            reader.as_of[parameter].column
            for reader in catalog.derived_tables
            for parameter, name in catalog.find_inputs(reader).items()
            if name == table.name and parameter in reader.as_of
        }
    )


def note_changed_days(audit: Audit, answers: Mapping[str, pl.DataFrame]) -> Audit:
    """The audit with the answers to these questions."""
    asked = {
        name.removeprefix(_QUESTION): rows
        for name, rows in answers.items()
        if name.startswith(_QUESTION)
    }
    return replace(audit, changed={column: join_spans(rows) for column, rows in asked.items()})


def _names(source: Table) -> list[str]:
    return [name for name in source.schema if not name.startswith("_")]


def round_to_days(spans: pl.DataFrame, wider: int = 0) -> pl.DataFrame:
    """Spans as the days that they enter, from `FIRST` to before `UNTIL`; what no calendar of ours has is cut off.

    The day in which a span ends counts, unless it ends as that begins. `wider` are so many days more at both ends.
    """
    first, until, more = pl.col(FIRST), pl.col(UNTIL), pl.duration(days=wider)
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
    """Spans of days in order, those that meet joined; days that no calendar of ours has are cut off."""
    together: list[Days] = []
    for begins, ends in round_to_days(spans).select(FIRST, UNTIL).sort(FIRST).iter_rows():
        last = ends - _DAY if ends else date.max
        if together and max(begins, date.min + _DAY) - _DAY <= together[-1].last:
            together[-1] = Days(together[-1].first, max(together[-1].last, last))
        else:
            together.append(Days(begins, last))
    return tuple(together)
