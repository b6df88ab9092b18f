"""The inputs of a derived table: pinned to revisions, cut to days, opened as frames or SQL views.

Belongs here: reading what a plan has pinned.
Does not belong here: choosing versions and days (`plan.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import polars as pl
from deltalake import DeltaTable

from lakehouse.storage.duckdb_connection import quote_identifier, quote_literal
from lakehouse.storage.lake import Lake, scan_all_rows
from lakehouse.storage.revision import Revision
from lakehouse.system_columns import DELETED, WINDOW
from lakehouse.tables.day_filter import DayFilter
from lakehouse.tables.reading import scan_declared
from lakehouse.tables.sql_types import to_sql_type
from lakehouse.tables.table_types import Table
from lakehouse.tables.whole_numbers import widen
from lakehouse.transform.scope import Scope


@dataclass(frozen=True)
class PinnedInput:
    """An input of a table at the revision that is read.

    Attributes:
        parameter: the name by which the transform knows it.
        source: the table.
        revision: the revision that is read; None where it does not exist yet.
        cut: the days whose rows are read; None when it is read whole.
        lookup: for each column of the key by which its rows are looked up, the column of the first
            input.
        is_first: whether each of its rows is accounted for; these carry their day as `_window`.
        is_reference: whether only its keys are read, to judge rows by them; the transform does not
            see it.
    """

    parameter: str
    source: Table
    revision: Revision | None
    cut: DayFilter | None = None
    lookup: Mapping[str, str] = field(default_factory=dict)
    is_first: bool = False
    is_reference: bool = False

    def open(self, lake: Lake) -> DeltaTable | None:
        """Returns the table at its revision; None where it did not exist.

        Raises:
            BusyError: it was deleted since.
        """
        if self.revision is None:
            return None
        # Another revision instead would make the audit name rows that were never read.
        return lake.open_revision(self.source.name, self.revision)

    def scan(self, lake: Lake) -> pl.LazyFrame:
        """Returns the rows that are read, in the columns by which the table is declared."""
        handle = self.open(lake)
        if handle is None:
            rows = pl.LazyFrame(schema=self.source.schema)
        else:
            rows = scan_declared(handle, self.source)
        if self.cut is None:
            return rows
        rows = rows.filter(self.cut.rows)
        return rows.with_columns(self.cut.window.alias(WINDOW)) if self.is_first else rows


@dataclass(frozen=True)
class InputFrames:
    """The rows of some inputs, lazily.

    Attributes:
        inputs: the inputs that the transform sees, the first one first.
        frames: the rows of each input by parameter, referenced tables among them.
    """

    inputs: tuple[PinnedInput, ...]
    frames: Mapping[str, pl.LazyFrame]

    @property
    def first(self) -> pl.LazyFrame:
        """The rows that are accounted for."""
        return self.frames[self.inputs[0].parameter]

    @property
    def others(self) -> list[pl.LazyFrame]:
        """The other frames; where rows are looked up by key, only rows of keys in the first."""
        return [self._of_given_keys(one) for one in self.inputs[1:]]

    def _of_given_keys(self, one: PinnedInput) -> pl.LazyFrame:
        rows = self.frames[one.parameter]
        if not one.lookup:
            return rows
        # The transform must see no other keys: their changes do not make its days stale. A wrong
        # column then shows as missing values at once, rather than as old values later.
        keys = self.first.select(pl.col(name).alias(key) for key, name in one.lookup.items())
        return rows.join(keys.unique(), on=list(one.lookup), how="semi")

    def with_first(self, rows: pl.LazyFrame) -> "InputFrames":
        """Returns the same frames with other rows of the first input."""
        return replace(self, frames={**self.frames, self.inputs[0].parameter: rows})


def open_inputs(lake: Lake, inputs: tuple[PinnedInput, ...], scope: Scope) -> InputFrames:
    """Returns the frames of pinned inputs, the first one cut to the periods that are made."""
    seen = tuple(one for one in inputs if not one.is_reference)
    opened = InputFrames(seen, {one.parameter: one.scan(lake) for one in inputs})
    if not scope.is_subset or scope.table.lookback:
        return opened  # a row of a period that is held back may be looked at by another period
    return opened.with_first(opened.first.filter(scope.is_in_periods(WINDOW)))


def define_views(lake: Lake, opened: InputFrames) -> dict[str, str]:
    """Returns the query behind each view of a SQL transform: a pinned table, cut as its frame."""
    first = opened.inputs[0].parameter
    return {
        one.parameter: _view(lake, one, opened.frames[one.parameter], first)
        for one in opened.inputs
    }


def _view(lake: Lake, one: PinnedInput, rows: pl.LazyFrame, first: str) -> str:
    schema = {name: dtype for name, dtype in rows.collect_schema().items() if name != WINDOW}
    handle, revision = one.open(lake), one.revision
    stored = {} if handle is None else scan_all_rows(handle).collect_schema()
    # A declared column that no delivery had yet is null, as in the frame.
    # Whole numbers as wide as in a frame: DuckDB raises an error where a product has no room.
    columns = ", ".join(
        f"{quote_identifier(name) if name in stored else 'NULL'}::{to_sql_type(dtype)} "
        f"AS {quote_identifier(name)}"
        if name not in stored or dtype != schema[name]
        else quote_identifier(name)
        for name, dtype in widen(schema).items()
    )
    if revision is None:
        return f"SELECT {columns} WHERE false"
    source = (
        f"delta_scan({quote_literal(lake.uri(one.source.name))}, version => {revision.version})"
    )
    return f"SELECT {columns} FROM {source}{_condition(one, stored, first)}"  # noqa: S608


def _condition(one: PinnedInput, stored: Mapping[str, pl.DataType], first: str) -> str:
    conditions = [] if one.cut is None else [one.cut.sql]
    # DuckDB scans the table itself, so tombstones must be hidden here as in the frame.
    if DELETED in stored:
        conditions.append(f"NOT {DELETED}")
    if one.lookup:
        key, by = (
            ", ".join(map(quote_identifier, names))
            for names in zip(*one.lookup.items(), strict=True)
        )
        conditions.append(f"({key}) IN (SELECT {by} FROM {quote_identifier(first)})")  # noqa: S608
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""
