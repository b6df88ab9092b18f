"""The kinds of declared table: raw tables, and derived tables, which are periodic or keyed.

A declaration is data: it reads and writes nothing. `declare.py` builds declarations, `collect.py`
finds them in modules, `declaration_checks.py` checks them. Keyed tables are in `keyed_table.py`.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import polars as pl

from lakehouse.calendar import Daily
from lakehouse.system_columns import (
    EVENT_DATE,
    LINEAGE,
    ORIGIN,
    RECEIVED,
    RESCUED,
    WINDOW,
)
from lakehouse.tables import versions
from lakehouse.tables.contract import (
    Contract,
    TableProperties,
    get_properties,
    to_polars_schema,
)
from lakehouse.tables.files import PLAIN, Files
from lakehouse.tables.stable_text import describe_expression

Drift = Literal["evolve", "freeze", "rescue"]
"""What happens to a file whose columns or types differ from those of its table; see `RawTable`."""


@dataclass(frozen=True)
class AsOf:
    """How a transform looks up rows of an input whose rows are valid until the next one.

    Attributes:
        column: the day or instant from which a row of the input is valid.
        by: for a keyed input, the column or columns of the first input that hold its key, in the
            order of the key. Each row looks up the version of its key that was valid on its own
            day. The transform then sees only the keys of the rows it is given, and a changed key
            rebuilds only the days that hold that key.
    """

    column: str
    by: str | tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The columns of `by`; empty where rows are not looked up by key."""
        return (self.by,) if isinstance(self.by, str) else tuple(self.by)


@dataclass(frozen=True, kw_only=True)
class RawTable:
    """A table of rows as received.

    Attributes:
        name: `raw/<table>`; files are landed under `<landing>/<table>/`.
        description: what is delivered, by whom, how often.
        columns: the expected columns with their types; text unless the source is typed.
        optional: the columns that a delivery may lack; they are then null.
        day: the day that a row belongs to, from its own columns or from the name of its file
            (`file_name()`); null where it cannot be read.
        full_dumps: whether each file holds every row of the source at its time. Equal bytes under
            another name are then a new delivery: a source may return to an earlier state.
        drift: what happens to a file with other columns or types: `evolve` adds the columns and
            widens the types, `freeze` refuses the whole file, `rescue` keeps what does not fit in
            `_rescued`.
        aliases: other names under which a column is delivered, each with the column it stands for.
        files: what the files look like, where their suffix does not say it.
        owner: who answers for the source.
        domain: the folder under `assets/`.
    """

    name: str
    description: str
    columns: Mapping[str, pl.DataType]
    optional: frozenset[str] = frozenset()
    day: pl.Expr | None = None
    full_dumps: bool = False
    drift: Drift = "evolve"
    aliases: Mapping[str, str] = field(default_factory=dict)
    files: Files = PLAIN
    owner: str | None = None
    domain: str = ""

    @property
    def required(self) -> tuple[str, ...]:
        """The columns without which a whole delivery is refused."""
        return tuple(name for name in self.columns if name not in self.optional)

    @property
    def schema(self) -> pl.Schema:
        """The columns that the table always has."""
        rescued = {RESCUED: pl.String()} if self.drift == "rescue" else {}
        dated = {EVENT_DATE: pl.Date()} if self.day is not None else {}
        return pl.Schema({**self.columns, **rescued, **ORIGIN, **dated})

    @property
    def stored_schema(self) -> pl.Schema:
        """The same: a raw table stores nothing that its readers do not see."""
        return self.schema

    @property
    def landing(self) -> str:
        """The folder under the landing root."""
        return self.name.removeprefix("raw/")

    @property
    def parameters(self) -> tuple[str, ...]:
        """No inputs: a raw table reads no other table."""
        return ()

    @property
    def partitions(self) -> None:
        """No periods: a raw table is appended to, never rebuilt."""
        return

    @property
    def day_column(self) -> str | None:
        """The column that holds a row's day; None where rows have none."""
        return EVENT_DATE if self.day is not None else None

    @property
    def row_key(self) -> tuple[str, ...]:
        """No key: a raw table may hold many versions of a row."""
        return ()


@dataclass(frozen=True, kw_only=True)
class DerivedTable:
    """A table that a pure transform builds from others: a `PeriodicTable` or a `KeyedTable`.

    Attributes:
        name: `staged/<table>` or `marts/<table>`.
        contract: the contract that its rows must keep.
        transform: LazyFrames in, a LazyFrame out; or, with `is_sql`, nothing in and a query out.
        parameters: the names by which the transform knows its inputs. Each row of the first one is
            accounted for.
        leave_out: input rows that are filtered, by the name of the rule.
        explode: turns input rows into the rows that are accounted for, where one input row holds
            many.
        owner: who answers for the table.
        domain: the folder under `assets/`.
        partitions, lookback, distinct, as_of, is_sql: see `PeriodicTable`; other kinds cannot
            declare them.
    """

    name: str
    contract: type[Contract]
    transform: Callable[..., Any]
    parameters: tuple[str, ...]
    leave_out: Mapping[str, pl.Expr] = field(default_factory=dict)
    explode: Callable[[pl.LazyFrame], pl.LazyFrame] | None = None
    owner: str | None = None
    domain: str = ""

    # Every reader asks these of any derived table, so a kind that cannot declare them has their
    # empty values.
    partitions: Daily | None = field(default=None, init=False)
    lookback: int = field(default=0, init=False)
    distinct: tuple[str, ...] = field(default=(), init=False)
    as_of: Mapping[str, AsOf] = field(default_factory=dict, init=False)
    is_sql: bool = field(default=False, init=False)

    @property
    def description(self) -> str:
        """The transform's docstring: the table's text in the catalogue."""
        return inspect.getdoc(self.transform) or ""

    @property
    def properties(self) -> TableProperties:
        """The properties that the contract gives to the table as a whole."""
        return get_properties(self.contract)

    @property
    def is_aggregate(self) -> bool:
        """Whether a row stands for several rows of the first input."""
        return self.properties.counts is not None

    @property
    def schema(self) -> pl.Schema:
        """The columns that a reader sees, without the partition column."""
        lineage = {} if self.is_aggregate else {name: ORIGIN[name] for name in LINEAGE}
        return pl.Schema({**to_polars_schema(self.contract), **lineage})

    @property
    def event_schema(self) -> pl.Schema:
        """The columns of judged rows, before they are published or applied to a keyed table."""
        return self.schema

    @property
    def stored_schema(self) -> pl.Schema:
        """The columns that the table stores, with those that only the engine reads."""
        return self.schema

    @property
    def day_column(self) -> str | None:
        """The column that holds a row's day; None where rows have none."""
        return self.properties.date_column

    @property
    def row_key(self) -> tuple[str, ...]:
        """The columns that name a row."""
        return self.properties.key

    @property
    def keeps_latest_version(self) -> bool:
        """Whether older versions of a key are superseded while the rows are judged."""
        return False

    @property
    def quarantine(self) -> str:
        """The table that holds its rejected rows."""
        # The layer goes into the name: a staged table and a mart may have the same name.
        return f"quarantine/{self.name.replace('/', '_')}"

    @property
    def contract_version(self) -> str:
        """The version of the contract, which every commit of the table names."""
        return versions.compute_contract_version(self.contract)

    # Kept: planning asks for it dozens of times, and the source takes 5 ms to read.
    @cached_property
    def code_version(self) -> str:
        """A hash of the transform, of what it names outside itself, and of the declaration."""
        functions = (self.transform, self.explode)
        return versions.compute_code_version(functions, self._describe_declaration())

    def _describe_declaration(self) -> tuple[object, ...]:
        """Returns the parts of the declaration that decide the content of the table."""
        return tuple(
            (name, describe_expression(rule)) for name, rule in sorted(self.leave_out.items())
        )

    def explode_rows(self, first: pl.LazyFrame) -> pl.LazyFrame:
        """Returns the rows of the first input that are accounted for."""
        return self.explode(first) if self.explode else first

    def attach_received(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """Returns the first input as a transform gets it, with each row as received beside itself.

        An aggregate gets the rows alone: its rejected rows cannot be shown as received.
        """
        if self.is_aggregate:
            return rows.drop(WINDOW, strict=False)
        # `_source` and `_offset` go to quarantine from the row itself.
        engine = {"_batch_id", "_ingested_at", EVENT_DATE, RESCUED}
        names = rows.collect_schema().names()
        kept = [name for name in names if not name.startswith("_") or name in engine]
        return rows.with_columns(pl.struct(kept).alias(RECEIVED))


@dataclass(frozen=True, kw_only=True)
class PeriodicTable(DerivedTable):
    """A table that is rebuilt from its inputs, period by period or whole.

    Attributes:
        partitions: the periods in which it is rebuilt; None rebuilds it whole.
        lookback: the number of days before the period that the transform also sees.
        distinct: input columns; a row that repeats another in all of them is superseded.
        as_of: inputs whose rows are valid until the next one: the column that dates them, or `AsOf`
            with a key.
        is_sql: whether `transform` returns a query for DuckDB.
    """

    partitions: Daily | None = None
    lookback: int = 0
    distinct: tuple[str, ...] = ()
    as_of: Mapping[str, AsOf] = field(default_factory=dict)
    is_sql: bool = False

    @property
    def keeps_latest_version(self) -> bool:
        """Whether older versions of a key are superseded, as in every staged table with a key."""
        return bool(self.properties.key) and self.name.startswith("staged/")

    def _describe_declaration(self) -> tuple[object, ...]:
        # Only `by`: it decides which keys the transform sees. The dates decide what is stale.
        by_key = [(name, as_of.names) for name, as_of in sorted(self.as_of.items()) if as_of.names]
        inherited = super()._describe_declaration()
        return (self.lookback, self.distinct, *inherited, *by_key)


Table = RawTable | DerivedTable


def list_series_columns(source: Table, column: str) -> tuple[str, ...]:
    """Returns the columns that group the rows of a dated table into series.

    A row is valid until the next row of its series, in the order of `column`. Empty where the table
    has no key.
    """
    return tuple(name for name in source.row_key if name != column)
