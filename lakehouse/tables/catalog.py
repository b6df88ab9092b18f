"""Every declared table, and the proof that they fit together, before any data is touched."""

import inspect
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import get_args

import polars as pl

from lakehouse.errors import (
    LakehouseError,
    SetupError,
    indent_problem,
    list_problems,
    summarize_error,
)
from lakehouse.storage.lake import check_name
from lakehouse.system_columns import EVENT_DATE, LINEAGE, RECEIVED, RESCUED, WINDOW
from lakehouse.tables.column_names import is_pattern
from lakehouse.tables.contract import to_polars_schema
from lakehouse.tables.day_filter import find_day_column
from lakehouse.tables.inferred_formats import INFERRED_FORMAT, infers_time_format
from lakehouse.tables.key_checks import find_key_problems, find_lookup_problems
from lakehouse.tables.rules import compile_rules
from lakehouse.tables.sql_types import infer_query_schema
from lakehouse.tables.table_types import DerivedTable, Drift, RawTable, Table

_MISTAKES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    NameError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What a transform with a slip in it raises when it is called."""


@dataclass(frozen=True)
class Catalog:
    """The declared tables by name."""

    tables: Mapping[str, Table]

    def __getitem__(self, name: str) -> Table:
        if name not in self.tables:
            raise SetupError(
                f"There is no table {name!r}.\nNext: use one of {', '.join(self.tables)}; or declare it under assets/."
            )
        return self.tables[name]

    @property
    def raw_tables(self) -> list[RawTable]:
        """The raw tables."""
        return [table for table in self.tables.values() if isinstance(table, RawTable)]

    @cached_property
    def derived_tables(self) -> list[DerivedTable]:
        """The derived tables, each after everything that it reads."""
        ordered: dict[str, DerivedTable] = {}
        waiting = [table for table in self.tables.values() if isinstance(table, DerivedTable)]
        while waiting:
            ready = [
                t
                for t in waiting
                if all(not self._waits(name, ordered) for name in self.find_inputs(t).values())
            ]
            if not ready:
                raise SetupError(
                    f"Tables read each other in a circle: {', '.join(t.name for t in waiting)}.\nNext: break it."
                )
            ordered |= {table.name: table for table in ready}
            waiting = [table for table in waiting if table.name not in ordered]
        return list(ordered.values())

    def _waits(self, name: str, ordered: Mapping[str, DerivedTable]) -> bool:
        return isinstance(self.tables[name], DerivedTable) and name not in ordered

    def find_inputs(self, table: DerivedTable) -> dict[str, str]:
        """The tables that a transform reads, by parameter.

        Raises:
            SetupError: a parameter names no declared table.
        """
        return {parameter: self._named(table, parameter) for parameter in table.parameters}

    def _named(self, table: DerivedTable, parameter: str) -> str:
        candidates = [f"staged/{parameter}", f"marts/{parameter}"]
        if parameter.startswith("raw_"):
            candidates.insert(0, f"raw/{parameter.removeprefix('raw_')}")
        found = next(
            (name for name in candidates if name in self.tables and name != table.name), None
        )
        if found is None:
            raise SetupError(
                f"{table.name}: its parameter {parameter!r} names no table (tried {', '.join(candidates)}).\n"
                f"Next: name one of {', '.join(self.tables)}."
            )
        return found


def collect_tables(modules: Iterable[ModuleType]) -> Catalog:
    """The catalogue of everything that some modules declare, proved.

    Raises:
        SetupError: naming every problem of every table at once.
    """
    tables: dict[str, Table] = {}
    for table in _declared(modules):
        check_name(table.name)
        if tables.setdefault(table.name, table) is not table:
            raise SetupError(f"{table.name} is declared twice.\nNext: rename one of the two.")
    catalog = Catalog(tables)
    # Raw tables first, then each after what it reads: the order in which people look at them.
    ordered: list[Table] = [*catalog.raw_tables, *catalog.derived_tables]
    catalog = Catalog({table.name: table for table in ordered})
    problems = [problem for table in catalog.raw_tables for problem in _raw_problems(table)]
    problems += [
        problem for table in catalog.derived_tables for problem in _problems(catalog, table)
    ]
    if problems:
        raise SetupError(
            list_problems(
                "The declared tables do not fit together.",
                problems,
                "mend them; no data was touched.",
            )
        )
    return catalog


def _declared(modules: Iterable[ModuleType]) -> Iterator[Table]:
    for module in modules:
        for value in vars(module).values():
            if isinstance(value, RawTable) or (
                isinstance(value, DerivedTable) and value.transform.__module__ == module.__name__
            ):
                yield value


def _raw_problems(table: RawTable) -> list[str]:
    problems = [
        f"{table.name}: names of columns that begin with _ belong to the engine: {name}"
        for name in table.columns
        if name.startswith("_")
    ]
    problems += [f"{table.name}: {problem}" for problem in _drift_problems(table)]
    if table.day is None:
        return problems
    dated = pl.LazyFrame(schema=table.columns).select(day=table.day)
    try:
        day = dated.collect_schema()["day"]
    except pl.exceptions.PolarsError as error:
        return [*problems, f"{table.name}: its day cannot be told: {summarize_error(error)}"]
    problems += (
        [f"{table.name}: its day is read by {INFERRED_FORMAT}"] if infers_time_format(dated) else []
    )
    return (
        problems
        if day == pl.Date
        else [*problems, f"{table.name}: its day is {day}, it has to be Date"]
    )


def _drift_problems(table: RawTable) -> list[str]:
    """What of the declared ways to meet drift cannot work."""
    columns, known = set(table.columns), {name.casefold() for name in table.columns}
    others = Counter(name.strip().casefold() for name in table.aliases)
    problems = [
        f"aliases: {old!r} stands for {new!r}, which is no column of the table"
        for old, new in table.aliases.items()
        if new not in columns
    ]
    for old in table.aliases:
        if old.strip().casefold() in known:
            problems.append(f"aliases: {old!r} is a column of the table itself")
        elif others[old.strip().casefold()] > 1:
            problems.append(f"aliases: {old!r} is named twice, in another case")
        elif not old.strip() or old != old.strip() or old.startswith("_") or is_pattern(old):
            problems.append(f"aliases: no file can deliver a column named {old!r}")
    if table.drift not in get_args(Drift):
        problems.append(
            f"drift is {table.drift!r}, it has to be one of {', '.join(get_args(Drift))}"
        )
    elif table.drift != "evolve" and not columns:
        problems.append(f"drift is {table.drift!r}, which needs columns to hold the files to")
    return problems


def _problems(catalog: Catalog, table: DerivedTable) -> list[str]:
    try:
        compile_rules(table.contract)
        found = _output_schema(catalog, table)
    except LakehouseError as error:
        return [f"{table.name}: {indent_problem(str(error))}"]
    except pl.exceptions.PolarsError as error:
        return [f"{table.name}: {summarize_error(error)}"]
    except _MISTAKES as error:
        return [
            f"{table.name}: the transform raises {type(error).__name__}: {summarize_error(error)}{_line(table, error)}"
        ]
    wanted = to_polars_schema(table.contract)
    problems = [
        f"{table.name}: the transform does not return {name!r}"
        for name in wanted
        if name not in found
    ]
    problems += [
        f"{table.name}: {name!r} is {found[name]}, its contract says {dtype}"
        for name, dtype in wanted.items()
        if name in found and found[name] != dtype
    ]
    if table.is_aggregate:
        extra = [name for name in found if name not in wanted]
        problems += [
            f"{table.name}: the transform returns {name!r}, which its contract does not have"
            for name in extra
        ]
    elif lost := [name for name in (*LINEAGE, RECEIVED) if name not in found]:
        problems.append(
            f"{table.name}: the transform drops {', '.join(lost)}; add columns by `cast` or `with_columns`, no `select`"
        )
    if table.partitions and not table.properties.date_column:
        problems.append(f"{table.name}: it has partitions, but its contract names no window column")
    problems += [f"{table.name}: {problem}" for problem in _version_problems(catalog, table)]
    sources = {parameter: catalog[name] for parameter, name in catalog.find_inputs(table).items()}
    first = sources[table.parameters[0]]
    if table.partitions and find_day_column(first) is None:
        problems.append(
            f"{table.name}: it has partitions, but the rows of {first.name} have no day"
        )
    problems += [f"{table.name}: {problem}" for problem in find_lookup_problems(table, sources)]
    return problems + [
        f"{table.name}: {problem}"
        for problem in find_key_problems(table, list(sources.values()), found)
    ]


def _line(table: DerivedTable, error: Exception) -> str:
    """Where in the transform's file an error arose."""
    file = inspect.getsourcefile(table.transform)
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file
    ]
    return f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""


def _version_problems(catalog: Catalog, table: DerivedTable) -> Iterator[str]:
    """What a reader by date takes from a history that changes without a change of what held on a day."""
    for parameter, name in catalog.find_inputs(table).items():
        source = catalog[name]
        if (
            parameter not in table.as_of
            or not isinstance(source, DerivedTable)
            or source.mode != "history"
        ):
            continue
        hidden = source.properties.sequence
        try:
            _output_schema(catalog, table, {parameter: hidden})
        except (LakehouseError, pl.exceptions.PolarsError, *_MISTAKES):
            yield (
                f"it reads {' or '.join(map(repr, hidden))} of {name}, which changes without a change of what held on "
                "a day; valid_from tells which version held"
            )


def _output_schema(
    catalog: Catalog, table: DerivedTable, hidden: Mapping[str, tuple[str, ...]] | None = None
) -> pl.Schema:
    """What the transform returns, learned from inputs without rows; some of their columns may be hidden from it."""
    schemas = {
        parameter: pl.Schema(
            {
                c: t
                for c, t in catalog[name].schema.items()
                if c not in (hidden or {}).get(parameter, ())
            }
        )
        for parameter, name in catalog.find_inputs(table).items()
    }
    if table.is_sql:
        return infer_query_schema(table.transform(), schemas)
    first, *others = (pl.LazyFrame(schema=schema) for schema in schemas.values())
    first = (
        first.with_columns(pl.lit(None, dtype=pl.Date).alias(WINDOW)) if table.partitions else first
    )
    read = explode_rows(table, first)
    kept = read.filter(~pl.any_horizontal(table.leave_out.values())) if table.leave_out else read
    returned = table.transform(prepare_first_input(table, kept), *others)
    if not isinstance(returned, pl.LazyFrame):
        raise SetupError(
            f"the transform returns {type(returned).__name__}, it has to return a LazyFrame"
        )
    found = returned.collect_schema()
    if infers_time_format(returned):
        raise SetupError(f"it reads times by {INFERRED_FORMAT}")
    return found


def explode_rows(table: DerivedTable, first: pl.LazyFrame) -> pl.LazyFrame:
    """The rows of the first input that are accounted for."""
    return table.explode(first) if table.explode else first


def prepare_first_input(table: DerivedTable, rows: pl.LazyFrame) -> pl.LazyFrame:
    """The first input as the transform gets it: with each row as received beside it, unless rows are aggregated."""
    if table.is_aggregate:
        return rows.drop(WINDOW, strict=False)
    names = rows.collect_schema().names()
    engine = {"_batch_id", "_ingested_at", EVENT_DATE, RESCUED}
    kept = [name for name in names if not name.startswith("_") or name in engine]
    return rows.with_columns(pl.struct(kept).alias(RECEIVED))
