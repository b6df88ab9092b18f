"""What has to be made again: the periods whose inputs changed after they were made, as the Delta logs tell it.

Belongs here: what each period was made from, and the comparison with the days that commits touched (`touched.py`).
It does not matter whether a sensor saw a commit; without a log that reaches back, everything counts as stale.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl
from deltalake.exceptions import DeltaError

from lakehouse.catalog import Catalog
from lakehouse.contract import facts
from lakehouse.errors import SetupError
from lakehouse.lake import Commit, Lake
from lakehouse.tables import EVENT_DATE, WINDOW, DerivedTable, RawTable, Table
from lakehouse.touched import ALL, audit_of, changes_rows, touched_days
from lakehouse.windows import Daily, Days


@dataclass(frozen=True)
class Stale:
    """A table that is older than its inputs.

    Attributes:
        table: its name.
        keys: the periods to make again; empty for a table without partitions, which is made whole.
        spans: the same, neighbours joined; periods of which the input holds no rows do not part neighbours.
    """

    table: str
    keys: tuple[date, ...] = ()
    spans: tuple[Days, ...] = ()


@dataclass
class _Made:
    """From which versions of its inputs each period of a table was made; the key is None for the whole table."""

    versions: dict[date | None, Mapping[str, int]] = field(default_factory=dict)
    is_known: bool = True


@dataclass(frozen=True)
class Planner:
    """Finds what is stale.

    Attributes:
        lake: where the tables are.
        catalog: the declared tables.
        now: the time that counts as the present.
        since: versions up to which everything is known to be in order, by table; a hint that saves reading old log
            entries. Without it every entry is looked at.
    """

    lake: Lake
    catalog: Catalog
    now: datetime
    since: Mapping[str, int] = field(default_factory=dict)

    def stale(self) -> list[Stale]:
        """Every stale table, inputs before their readers."""
        return [stale for table in self.catalog.derived if (stale := self.stale_part(table)) is not None]

    def stale_part(self, table: DerivedTable) -> Stale | None:
        """The part of a table that is stale; None when it is up to date."""
        first = self.catalog[self.catalog.inputs(table)[table.parameters[0]]]
        if self.lake.open(first.name) is None:
            return None
        made = self._made(table)
        if table.partitions is None:
            is_stale = any(self._is_newer(made, name) for name in self.catalog.inputs(table).values())
            return Stale(table.name) if is_stale else None
        changed = {
            key
            for parameter, name in self.catalog.inputs(table).items()
            for key in self._changed_keys(table, made, parameter, name)
        } | self._came_true(table)
        if not changed:
            return None
        held = self._held(table, first, Days(min(changed), table.partitions.end(max(changed))))
        keys = tuple(sorted(changed & held))
        return Stale(table.name, keys, _joined(held, changed, table.partitions)) if keys else None

    def _came_true(self, table: DerivedTable) -> set[date]:
        """The first period, while its rejected rows hold some of days that exist by now: they were dated ahead.

        Only told without a hint: a day begins without a commit.
        """
        if self.since or self.lake.open(table.quarantine) is None:
            return set()
        known, rows = _calendar(table).until(self.now), self.lake.scan(table.quarantine)
        if not {WINDOW, EVENT_DATE} <= set(rows.collect_schema()):
            return set()
        day = pl.col(EVENT_DATE)
        ahead = (pl.col(WINDOW) == known.first) & (day > known.first) & (day <= known.last)
        return set() if rows.filter(ahead).head(1).collect().is_empty() else {_calendar(table).start(known.first)}

    def _is_newer(self, made: _Made, name: str) -> bool:
        """Whether an input changed its rows after the whole table was made from it."""
        current = self.lake.version(name)
        consumed = made.versions.get(None, {}).get(name, self.since.get(name, -1) if made.is_known else -1)
        if current is None or current <= consumed:
            return False
        commits = self.lake.log(name, after=consumed)
        return commits is None or any(changes_rows(commit) for commit in commits)

    def _changed_keys(self, table: DerivedTable, made: _Made, parameter: str, name: str) -> set[date]:
        partitions, source = _calendar(table), self.catalog[name]
        known = partitions.until(self.now)
        current = self.lake.version(name)
        if current is None:
            return set()
        floor = self.since.get(name, -1) if made.is_known else -1
        if parameter in table.as_of:
            return self._as_of_keys(table, made, name, table.as_of[parameter], floor, current)
        commits = self.lake.log(name, after=floor)
        if commits is None:
            return set(partitions.keys(known))
        # A raw table beside the first input is read whole, so each of its rows may matter to every day.
        is_whole = isinstance(source, RawTable) and parameter != table.parameters[0]
        keys: set[date] = set()
        for commit in commits:
            touched = ALL if is_whole and changes_rows(commit) else touched_days(self.lake, source, commit)
            reached = partitions.keys(known) if touched is ALL else _mapped(table, touched, known)
            keys |= {key for key in reached if made.versions.get(key, {}).get(name, floor) < commit.version}
        return keys

    def _as_of_keys(  # noqa: PLR0913
        self, table: DerivedTable, made: _Made, name: str, column: str, floor: int, current: int
    ) -> set[date]:
        """Periods in which a row of a dated input holds that was added, changed or taken away."""
        partitions = _calendar(table)
        known = partitions.until(self.now)
        consumed = {versions.get(name, floor) for versions in made.versions.values()} | {floor}
        keys: set[date] = set()
        for version in (v for v in consumed if v < current):
            spans = self._changed_spans(name, column, version, current, known)
            inside = (span.clipped(known) for span in spans)
            seen = (span.widened(ahead=table.lookback).clipped(known) for span in inside if span)
            reached = {key for span in seen if span for key in partitions.keys(span)}
            keys |= {key for key in reached if made.versions.get(key, {}).get(name, floor) == version}
        return keys

    def _changed_spans(self, name: str, column: str, before: int, after: int, known: Days) -> list[Days]:
        """The days in which a row of a dated input holds that stands in only one of two versions."""
        source = self.catalog[name]
        key = facts(source.contract).key if isinstance(source, DerivedTable) else ()
        try:
            new, old = (_content(self.lake, source, version) for version in (after, before))
        except (SetupError, DeltaError, OSError):
            return [known]  # the older version is gone, or never was
        changed = new.join(old, on=new.columns, how="anti", nulls_equal=True)
        changed = changed.vstack(old.join(new, on=new.columns, how="anti", nulls_equal=True)).drop_nulls(column)
        # A row holds until the next one of the same series; without a key nobody knows the series.
        series = [other for other in key if other != column]
        dated = pl.concat([new, old]).select(column, *series).unique().sort(column)
        following = pl.col(column).shift(-1) if column in key else pl.lit(None, dtype=pl.Date)
        ends = dated.with_columns((following.over(series) if series else following).alias("_until"))
        held = changed.select(column, *series).unique().join(ends, on=[column, *series], nulls_equal=True)
        # Series change on the same days: tens of thousands of rows come down to the few spans that exist here.
        is_known = (pl.col(column) <= known.last) & (pl.col("_until") > known.first).fill_null(True)
        spans = held.filter(is_known).select(column, "_until").unique()
        return [Days(day, until - timedelta(days=1) if until else known.last) for day, until in spans.iter_rows()]

    def _held(self, table: DerivedTable, first: Table, days: Days) -> set[date]:
        """The periods of which the first input holds rows: there is nothing to make of the others."""
        partitions = _calendar(table)
        known = partitions.until(self.now)
        column = EVENT_DATE if isinstance(first, RawTable) else facts(first.contract).window
        if column is None:
            return set(partitions.keys(days))
        day = pl.col(column)
        rows = self.lake.scan(first.name)
        stray = day.is_null() | ~day.is_between(known.first, known.last)
        rows = rows.filter(day.is_between(days.first, days.last) | (stray if known.first in days else pl.lit(False)))
        held = rows.select(pl.when(stray).then(pl.lit(known.first)).otherwise(day).unique()).collect().to_series()
        return set(partitions.keys(held))

    def _made(self, table: DerivedTable) -> _Made:
        """What each period was made from, by the audits of the commits that are in effect."""
        floor = self.since.get(table.name, -1)
        commits = self.lake.log(table.name, after=floor)
        if commits is None:
            return _Made(is_known=False)
        effective = _in_effect(commits, floor)
        if effective is None:
            return _Made(is_known=False)
        made = _Made()
        for commit in effective:
            audit = audit_of(commit)
            if audit is not None:
                keys = [None] if table.partitions is None else [k for s in audit.made for k in table.partitions.keys(s)]
                made.versions |= dict.fromkeys(keys, audit.provenance.inputs)
        return made


def _in_effect(commits: Iterable[Commit], floor: int) -> list[Commit] | None:
    """The commits that a RESTORE has not undone; None when one reaches back behind the floor."""
    effective: list[Commit] = []
    for commit in commits:
        if commit.info.get("operation") == "RESTORE":
            target = _restored_version(commit.info)
            if target is None or target < floor:
                return None
            effective = [earlier for earlier in effective if earlier.version <= target]
        else:
            effective.append(commit)
    return effective


def _restored_version(info: Mapping[str, Any]) -> int | None:
    version = info.get("operationParameters", {}).get("version")
    return int(version) if version is not None else None


def _calendar(table: DerivedTable) -> Daily:
    assert table.partitions is not None  # noqa: S101
    return table.partitions


def _mapped(table: DerivedTable, touched: Iterable[date | None], known: Days) -> set[date]:
    """The periods of a table that some days of an input enter; a day that does not exist belongs to the first."""
    days = {day if day is not None and day in known else known.first for day in touched}
    spans = (Days(day, day).widened(ahead=table.lookback).clipped(known) for day in days)
    return {key for span in spans if span for key in _calendar(table).keys(span)}


def _joined(held: Iterable[date], wanted: set[date], partitions: Daily) -> tuple[Days, ...]:
    """The wanted ones of the held periods, joined where no other held period lies between them."""
    spans: list[Days] = []
    is_open = False
    for key in sorted(held):
        if key in wanted and is_open:
            spans[-1] = Days(spans[-1].first, partitions.end(key))
        elif key in wanted:
            spans.append(Days(key, partitions.end(key)))
        is_open = key in wanted
    return tuple(spans)


def _content(lake: Lake, source: Table, version: int) -> pl.DataFrame:
    """The rows of a table at a version, as its readers see them; none before the first."""
    names = [name for name in source.schema if not name.startswith("_")]
    if version < 0:
        return pl.DataFrame(schema={name: source.schema[name] for name in names})
    return lake.scan(source.name, version).select(names).collect()
