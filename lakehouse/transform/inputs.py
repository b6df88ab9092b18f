"""The inputs of a derived table: pinned to versions, cut to the days that are made, by name at the border."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime

import polars as pl
from deltalake import DeltaTable

from lakehouse.calendar import Days
from lakehouse.errors import DataError
from lakehouse.expressions import differs_from_previous
from lakehouse.lineage.empty_periods import find_intentionally_empty, is_unmodified
from lakehouse.storage.duckdb_connection import quote_identifier, quote_literal
from lakehouse.storage.lake import Lake, list_data_files, scan_all_rows, scan_visible_rows
from lakehouse.storage.revision import Revision, log_position, read_revision
from lakehouse.system_columns import DELETED, EVENT_DATE, WINDOW
from lakehouse.tables.catalog import Catalog
from lakehouse.tables.day_filter import DayFilter, find_day_column, find_day_filter
from lakehouse.tables.key_checks import list_series_columns
from lakehouse.tables.reading import scan_declared
from lakehouse.tables.sql_types import to_sql_type
from lakehouse.tables.table_types import DerivedTable


@dataclass(frozen=True)
class Inputs:
    """What a transform reads.

    Attributes:
        table: the table that reads.
        names: the input tables, by parameter.
        revisions: the revision of each, by table; None where it does not exist yet.
        frames: the rows of each, by parameter; the first with its day as `_window`.
        days: the span of whole periods that is made; None for a table without partitions.
        keys: the periods of that span that are replaced: the first input holds rows of them, or was made without any.
        known: all days that the table has, by the clock of the run.
        cuts: how each input is cut to days, by parameter; those that are read whole are left out.
        whole: how many rows the first input has, where rows without a day are among those that are made.
        is_part: whether rows of the span's other periods are to be left aside.
        lookups: by what inputs are looked up, by parameter: each column of their key with one of the first input.
    """

    table: DerivedTable
    names: Mapping[str, str]
    revisions: Mapping[str, Revision | None]
    frames: Mapping[str, pl.LazyFrame]
    days: Days | None = None
    keys: tuple[date, ...] | None = None
    known: Days | None = None
    cuts: Mapping[str, DayFilter] = field(default_factory=dict)
    whole: int | None = None
    is_part: bool = False
    lookups: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def stray(self) -> date | None:
        """The period with which rows without a day are judged, when it is among those that are made."""
        return None if self.whole is None or self.known is None else self._start(self.known.first)

    def only(self, keys: Iterable[date]) -> "Inputs":
        """The same inputs for some of their periods."""
        chosen, first = tuple(sorted(keys)), self.table.parameters[0]
        frames = dict(self.frames)
        if not self.table.lookback:
            frames[first] = frames[first].filter(self._is_in(chosen, WINDOW))
        whole = self.whole if self.stray in chosen else None
        return replace(self, frames=frames, keys=chosen, whole=whole, is_part=True)

    def _start(self, day: date) -> date:
        return self.table.partitions.period_start(day) if self.table.partitions else day

    def _is_in(self, keys: Sequence[date], column: str) -> pl.Expr:
        assert self.table.partitions is not None  # noqa: S101
        return self.table.partitions.period_start_expr(pl.col(column)).is_in(
            pl.Series(keys, dtype=pl.Date).implode()
        )

    def own(self, rows: pl.LazyFrame, *, is_input: bool = False) -> pl.LazyFrame:
        """The rows of the days that are made, without those that were only looked at."""
        if self.days is None or self.keys is None or not (self.table.lookback or self.is_part):
            return rows
        window = str(self.table.properties.date_column)
        column = WINDOW if is_input or not self.table.is_aggregate else window
        if self.is_part:
            return rows.filter(self._is_in(self.keys, column))
        return rows.filter(pl.col(column).is_between(self.days.first, self.days.last))

    def given(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """The rows of the days that the transform's first frame holds; a query reads a whole span."""
        return self.own(rows) if self.is_part and not self.table.lookback else rows

    @property
    def others(self) -> list[pl.LazyFrame]:
        """The frames beside the first; of those that are looked up by key, the rows of keys that the first has."""
        return [
            self._looked_up(parameter, self.frames[parameter])
            for parameter in self.table.parameters[1:]
        ]

    def _looked_up(self, parameter: str, rows: pl.LazyFrame) -> pl.LazyFrame:
        if parameter not in self.lookups:
            return rows
        by = self.lookups[parameter]
        keys = self.frames[self.table.parameters[0]].select(
            pl.col(name).alias(key) for key, name in by.items()
        )
        return rows.join(keys.unique(), on=list(by), how="semi")

    @property
    def is_stray(self) -> pl.Expr:
        """True for a row of the first input that carries no day of the table: such come from all days."""
        if self.whole is None or self.known is None:
            return pl.lit(False)
        return ~pl.col(EVENT_DATE).is_between(self.known.first, self.known.last).fill_null(False)

    def views(self, lake: Lake) -> dict[str, str]:
        """What stands behind each view of a query: a table at its pinned version, cut as its frame is."""
        return {
            parameter: self._view(lake, parameter, name) for parameter, name in self.names.items()
        }

    def _view(self, lake: Lake, parameter: str, name: str) -> str:
        schema = {c: t for c, t in self.frames[parameter].collect_schema().items() if c != WINDOW}
        revision = self.revisions[name]
        if revision is None:
            nulls = ", ".join(
                f"NULL::{to_sql_type(dtype)} AS {quote_identifier(column)}"
                for column, dtype in schema.items()
            )
            return f"SELECT {nulls} WHERE false"
        source = f"delta_scan({quote_literal(lake.uri(name))}, version => {revision.version})"
        handle = lake.open_shared(name, revision.version)
        standing = {} if handle is None else scan_all_rows(handle).collect_schema()
        columns = [
            quote_identifier(c)
            if c in standing
            else f"NULL::{to_sql_type(t)} AS {quote_identifier(c)}"
            for c, t in schema.items()
        ]
        return f"SELECT {', '.join(columns)} FROM {source}{self._condition(parameter, standing)}"  # noqa: S608

    def _condition(self, parameter: str, standing: Mapping[str, pl.DataType]) -> str:
        conditions = [self.cuts[parameter].sql] if parameter in self.cuts else []
        conditions += [f"NOT {DELETED}"] if DELETED in standing else []
        if parameter in self.lookups:
            key, by = (
                ", ".join(map(quote_identifier, names))
                for names in zip(*self.lookups[parameter].items(), strict=True)
            )
            reader = quote_identifier(self.table.parameters[0])
            conditions.append(f"({key}) IN (SELECT {by} FROM {reader})")  # noqa: S608
        return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def read_inputs(
    lake: Lake, catalog: Catalog, table: DerivedTable, days: Days | None, now: datetime
) -> Inputs | None:
    """The inputs at their latest versions, cut to the days.

    Returns:
        None when the first input holds no row for these days, and was not made so.

    Raises:
        DataError: the table has none of these days.
    """
    known = table.partitions.days_until(now) if table.partitions else None
    wanted = _wanted(table, days, known)
    frames, names, whole = {}, catalog.find_inputs(table), None
    revisions: dict[str, Revision | None] = {}
    cuts: dict[str, DayFilter] = {}
    lookups = {
        parameter: dict(
            zip(
                list_series_columns(catalog[names[parameter]], as_of.column),
                as_of.names,
                strict=True,
            )
        )
        for parameter, as_of in table.as_of.items()
        if as_of.names
    }
    for parameter, name in names.items():
        source, handle = catalog[name], lake.open_shared(name)
        revisions[name] = None if handle is None else read_revision(handle)
        rows = (
            pl.LazyFrame(schema=source.schema) if handle is None else scan_declared(handle, source)
        )
        first = parameter == table.parameters[0]
        if (
            first
            and wanted
            and known
            and known.first in wanted
            and find_day_column(source) == EVENT_DATE
        ):
            whole = 0 if handle is None else _height(handle)
        cut = (
            find_day_filter(source, table.lookback, wanted, known, first=first)
            if wanted and known
            else None
        )
        if cut is not None:
            cuts[parameter] = cut
            rows = rows.filter(cut.rows)
            rows = rows.with_columns(cut.window.alias(WINDOW)) if first else rows
        frames[parameter] = rows
    first_rows, first_table = frames[table.parameters[0]], catalog[names[table.parameters[0]]]
    until = log_position(revisions[first_table.name])
    if table.partitions is None or wanted is None:
        has_rows = not first_rows.head(1).collect().is_empty()
        has_say = has_rows or is_unmodified(lake, first_table, until=until)
        return Inputs(table, names, revisions, frames, lookups=lookups) if has_say else None
    period = table.partitions.period_start_expr(pl.col(WINDOW))
    periods = (
        first_rows.select(period=period)
        .filter(pl.col("period").is_null() | differs_from_previous(["period"]))
        .unique()
    )
    held = set(periods.collect(engine="streaming").to_series())
    if not held.issuperset(table.partitions.period_keys(wanted)):
        held |= find_intentionally_empty(lake, table, first_table, wanted, filled=held, until=until)
    keys = tuple(sorted(key for key in held if key in wanted))
    pinned = Inputs(
        table, names, revisions, frames, wanted, keys, known, cuts, whole, lookups=lookups
    )
    return pinned if keys else None


def _height(handle: DeltaTable) -> int:
    """How many rows a table has; another writer may have left that out of the log."""
    told = list_data_files(handle)["num_records"]
    if told.null_count():
        return int(scan_visible_rows(handle).select(pl.len()).collect(engine="streaming").item())
    return int(told.sum())


def _wanted(table: DerivedTable, days: Days | None, known: Days | None) -> Days | None:
    if table.partitions is None or known is None:
        return None
    wanted = table.partitions.widen_to_periods(days or known).clip(
        table.partitions.widen_to_periods(known)
    )
    if wanted is None:
        raise DataError(f"{table.name} has no days {days}.\nNext: ask for days in {known}.")
    return wanted
