"""How a table is declared: `raw` for what is landed, `staged` and `mart` for what is made from other tables.

A declaration is data and touches nothing. Dagster learns of it in `orchestration/`, the engine makes it in `make.py`.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from functools import cached_property
from typing import Any, Literal

import polars as pl

from lakehouse.calendar import Daily
from lakehouse.errors import SetupError
from lakehouse.system_columns import DELETED, EVENT_DATE, LAST, LINEAGE, ORIGIN, RESCUED, VALID
from lakehouse.tables import code_version, lookup
from lakehouse.tables import contract as contracts
from lakehouse.tables.contract import Contract
from lakehouse.tables.contract_version import compute_contract_version

Drift = Literal["evolve", "freeze", "rescue"]
"""What becomes of a file whose columns or types are not those of its table; see `RawTable`."""

Mode = Literal["replace", "upsert", "history"]
"""How rows land in a derived table: made again, the latest version of each key, or all versions with their times."""


@dataclass(frozen=True)
class FullDumps:
    """Full dumps, each all rows of one value of the first `sequence`: a key that a later one does not have was deleted.

    Attributes:
        may_shrink: the largest share of its rows by which a dump may be smaller than the one before.
        accepted: dumps that are smaller still and right, by that value, as text.
        emptied: moments at which the source was empty, as text; a dump without a record deletes nothing by itself.
    """

    may_shrink: float = 0.1
    accepted: tuple[str, ...] = ()
    emptied: tuple[str, ...] = ()


@dataclass(frozen=True)
class RawTable:
    """A table of rows as received.

    Attributes:
        name: `raw/<table>`; files are landed under `<landing>/<table>/`.
        description: what is delivered, by whom, how often.
        columns: the columns that are expected, with their types; text unless the source is typed.
        optional: those of them that a delivery may lack; it holds null in them then.
        day: the day that a row belongs to, from its own columns; null when it cannot be told.
        full_dumps: whether each file is all that there is at its time. Then the bytes of an earlier file under another name
            are a delivery of their own, because a source may return to what it was.
        drift: what becomes of a file whose columns or types are others: `evolve` adds the columns and widens the types,
            `freeze` refuses the file whole, `rescue` keeps what does not fit in `_rescued`.
        aliases: other names under which a column is delivered, each with the column.
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
    owner: str | None = None
    domain: str = ""

    @property
    def required(self) -> tuple[str, ...]:
        """Columns without which a delivery is refused whole."""
        return tuple(name for name in self.columns if name not in self.optional)

    @property
    def schema(self) -> pl.Schema:
        """The columns that the raw table is sure to have."""
        rescued = {RESCUED: pl.String()} if self.drift == "rescue" else {}
        dated = {EVENT_DATE: pl.Date()} if self.day is not None else {}
        return pl.Schema({**self.columns, **rescued, **ORIGIN, **dated})

    @property
    def landing(self) -> str:
        """The folder under the landing root."""
        return self.name.removeprefix("raw/")


@dataclass(frozen=True)
class DerivedTable:
    """A table made from other tables by a pure transform.

    Attributes:
        name: `staged/<table>` or `marts/<table>`.
        contract: the promise that its rows are held to.
        transform: LazyFrames in, a LazyFrame out; or, with `is_sql`, nothing in and a query out.
        parameters: the names by which the transform knows its inputs; the first one is accounted for row by row.
        partitions: the periods in which it is made; None makes it whole.
        lookback: days before the period that the transform also sees.
        distinct: input columns; a row that repeats another in all of them is superseded.
        leave_out: input rows that are left out, by the name of the rule.
        explode: turns input rows into the rows that are accounted for, where one row holds many.
        as_of: inputs whose rows hold until the next one: the column that dates them, or `AsOf` with a key.
        is_sql: whether `transform` gives a query for DuckDB.
        mode: `replace` makes it again from its inputs. `upsert` and `history` fold the events of each key of the
            contract, new raw rows only where that is enough: the latest version, or all with the time they held.
        deletes: true for a row of the transform that deletes its key; such a row needs no more than key and sequence.
        partial: whether null in an event keeps the value from before.
        full_dumps: set where deliveries are full dumps.
        tombstone_retention: how far behind its latest event, by the first `sequence`, an `upsert` keeps tombstones.
        owner: who answers for the table.
        domain: the folder under `assets/`.
    """

    name: str
    contract: type[Contract]
    transform: Callable[..., Any]
    parameters: tuple[str, ...]
    partitions: Daily | None = None
    lookback: int = 0
    distinct: tuple[str, ...] = ()
    leave_out: Mapping[str, pl.Expr] = field(default_factory=dict)
    explode: Callable[[pl.LazyFrame], pl.LazyFrame] | None = None
    as_of: Mapping[str, lookup.AsOf] = field(default_factory=dict)
    is_sql: bool = False
    mode: Mode = "replace"
    deletes: pl.Expr | None = None
    partial: bool = False
    full_dumps: FullDumps | None = None
    tombstone_retention: timedelta | int | None = None
    owner: str | None = None
    domain: str = ""

    @property
    def description(self) -> str:
        """The transform's docstring: the table's text in the catalogue."""
        return inspect.getdoc(self.transform) or ""

    @property
    def properties(self) -> contracts.TableProperties:
        """What the contract says of the table as a whole."""
        return contracts.get_properties(self.contract)

    @property
    def contract_version(self) -> str:
        """The version of the contract, which every commit of the table names."""
        return compute_contract_version(self.contract)

    @property
    def is_aggregate(self) -> bool:
        """Whether a row stands for several rows of the first input."""
        return self.properties.counts is not None

    @property
    def schema(self) -> pl.Schema:
        """The columns of the table that a reader sees, its partition column aside."""
        lineage = {} if self.is_aggregate else {name: ORIGIN[name] for name in LINEAGE}
        declared = dict(contracts.to_polars_schema(self.contract))
        if self.mode == "history":
            moment = declared[self.properties.sequence[0]]
            declared |= dict(zip(VALID, (moment, moment, pl.Boolean()), strict=True))
        return pl.Schema({**declared, **lineage})

    @property
    def event_schema(self) -> pl.Schema:
        """The columns of the rows that a transform gives, as they are published or folded."""
        if self.mode == "replace":
            return self.schema
        origin = {name: ORIGIN[name] for name in (*LINEAGE, "_modified_at")}
        return pl.Schema(
            {**contracts.to_polars_schema(self.contract), **origin, DELETED: pl.Boolean()}
        )

    @property
    def stored_schema(self) -> pl.Schema:
        """The columns that stand in the table, with what the next events of a key need to know."""
        if self.mode == "replace":
            return self.schema
        known, declared = self.properties, contracts.to_polars_schema(self.contract)
        engine: dict[str, pl.DataType] = {"_modified_at": ORIGIN["_modified_at"]}
        if self.deletes is not None or self.full_dumps is not None:
            engine[DELETED] = pl.Boolean()
        if self.mode == "history" or self.partial or self.full_dumps is not None:
            seen = known.sequence[:1] if self.mode == "history" else known.sequence
            engine[LAST] = pl.Struct({name: declared[name] for name in seen})
        return pl.Schema({**self.schema, **engine})

    @property
    def quarantine(self) -> str:
        """The table that holds its rejected rows."""
        return f"quarantine/{self.name.replace('/', '_')}"

    @cached_property
    def code_version(self) -> str:
        """A short hash of the transform, of what it names outside of itself, and of what is declared around it."""
        left_out = [
            (name, code_version.describe_expression(rule))
            for name, rule in sorted(self.leave_out.items())
        ]
        deletes = None if self.deletes is None else code_version.describe_expression(self.deletes)
        folded = (
            () if self.mode == "replace" else (self.mode, deletes, self.partial, self.full_dumps)
        )
        kept = () if self.tombstone_retention is None else (self.tombstone_retention,)
        declared = (
            self.lookback,
            self.distinct,
            left_out,
            *folded,
            *kept,
            *lookup.describe_lookups(self.as_of),
        )
        return code_version.compute_code_version((self.transform, self.explode), declared)


Table = RawTable | DerivedTable


def raw(  # noqa: PLR0913
    name: str,
    description: str,
    *,
    columns: Mapping[str, pl.DataType] | tuple[str, ...],
    optional: tuple[str, ...] = (),
    day: pl.Expr | None = None,
    full_dumps: bool = False,
    drift: Drift = "evolve",
    aliases: Mapping[str, str] | None = None,
    owner: str | None = None,
) -> RawTable:
    """Declare a table of files as they are landed; see `RawTable`."""
    typed, domain = (
        columns if isinstance(columns, Mapping) else dict.fromkeys(columns, pl.String()),
        _domain(_caller()),
    )
    if unknown := sorted(set(optional) - set(typed)):
        raise SetupError(
            f"raw/{name}: optional names columns that are not declared: {', '.join(unknown)}.\nNext: add them."
        )
    return RawTable(
        f"raw/{name}",
        description,
        typed,
        frozenset(optional),
        day,
        full_dumps,
        drift,
        dict(aliases or {}),
        owner,
        domain,
    )


def staged(
    contract: type[Contract],
    **declared: Any,  # noqa: ANN401
) -> Callable[[Callable[..., pl.LazyFrame]], DerivedTable]:
    """Declare a clean, typed table: a function that adds the contract's columns to its input.

    The function takes LazyFrames named after their tables (`raw_orders` is `raw/orders`, `orders` is `staged/orders`)
    and returns one. It keeps the columns that it was given, so that a rejected row can be shown as it was received.
    For the keywords see `DerivedTable`.
    """
    return _derived("staged", contract, declared)


def mart(contract: type[Contract], **declared: Any) -> Callable[[Callable[..., Any]], DerivedTable]:  # noqa: ANN401
    """Declare a table for people: a function from tables to the contract's columns; see `DerivedTable`."""
    return _derived("marts", contract, declared)


def sql_mart(
    contract: type[Contract],
    *,
    reads: tuple[str, ...],
    **declared: Any,  # noqa: ANN401
) -> Callable[[Callable[[], str]], DerivedTable]:
    """Declare a mart by a query: the function returns SQL over views that are named after the tables in `reads`."""
    return _derived("marts", contract, {**declared, "is_sql": True}, reads)


def _derived(
    layer: str,
    contract: type[Contract],
    declared: Mapping[str, Any],
    reads: tuple[str, ...] | None = None,
) -> Callable[[Callable[..., Any]], DerivedTable]:
    def declare(transform: Callable[..., Any]) -> DerivedTable:
        name, parameters = (
            f"{layer}/{transform.__name__}",
            reads or tuple(inspect.signature(transform).parameters),
        )
        if not parameters:
            raise SetupError(
                f"{name}: the transform takes no table.\nNext: name one as a parameter."
            )
        domain = _domain(transform.__module__)
        known = {f.name for f in fields(DerivedTable)} - {
            "name",
            "contract",
            "transform",
            "parameters",
            "domain",
        }
        if unknown := sorted(set(declared) - known):
            raise SetupError(
                f"{name}: there is no {', '.join(unknown)} to declare.\nNext: use one of {', '.join(sorted(known))}."
            )
        known_by = {**declared, "as_of": lookup.parse_lookups(declared.get("as_of", {}))}
        return DerivedTable(name, contract, transform, parameters, domain=domain, **known_by)

    return declare


def _caller() -> str:
    frame = inspect.currentframe()
    caller = frame and frame.f_back and frame.f_back.f_back
    return str(caller.f_globals["__name__"]) if caller else ""


def _domain(module: str) -> str:
    """`retail` for `assets.retail.staged`."""
    parts = module.split(".")
    return parts[1] if len(parts) > 2 else parts[0]  # noqa: PLR2004
