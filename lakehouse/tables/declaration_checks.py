"""Checks that declared tables fit together, on frames without rows, before any data is touched."""

import inspect
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, get_args

import polars as pl

from lakehouse.errors import LakehouseError, SetupError, indent_problem, summarize_error
from lakehouse.system_columns import LINEAGE, ORIGIN, RECEIVED, WINDOW
from lakehouse.tables.catalog import Catalog
from lakehouse.tables.column_names import find_alike
from lakehouse.tables.contract import to_polars_schema
from lakehouse.tables.inferred_formats import INFERRED_FORMAT, infers_time_format
from lakehouse.tables.key_checks import find_key_problems, find_lookup_problems
from lakehouse.tables.keyed_table import KeyedTable
from lakehouse.tables.local_times import find_raising_times
from lakehouse.tables.references import find_reference_problems
from lakehouse.tables.rules import compile_rules
from lakehouse.tables.sql_types import infer_query_schema
from lakehouse.tables.stored_types import find_type_problems
from lakehouse.tables.table_types import DerivedTable, Drift, RawTable
from lakehouse.tables.whole_numbers import find_wrapping, is_narrowed, widen, widen_rows


def find_raw_problems(table: RawTable) -> list[str]:
    """Returns every problem of the declaration of a raw table."""
    problems = [
        f"column {name!r}: names that begin with _ belong to the engine; {name!r} of a file lands "
        f"as {f'source{name}'!r}"
        for name in table.columns
        if name.startswith("_")
    ]
    problems += [
        f"columns {', '.join(map(repr, alike))} differ by case alone, which a header does not: "
        "declare one of them"
        for alike in find_alike(table.columns)
    ]
    problems += [
        f"column {problem}"
        for name, dtype in table.columns.items()
        for problem in find_type_problems(name, dtype)
    ]
    problems += [*_find_alias_problems(table), *_find_drift_problems(table)]
    if table.day is not None:
        problems += _find_day_problems(table, table.day)
    return [f"{table.name}: {problem}" for problem in problems]


def _find_day_problems(table: RawTable, day: pl.Expr) -> Iterator[str]:
    # The name of the file, for tables whose day is in it; see `file_names`.
    named = {**table.columns, "_source": ORIGIN["_source"]}
    dated = pl.LazyFrame(schema=named).select(day=day)
    try:
        dtype = dated.collect_schema()["day"]
    except pl.exceptions.PolarsError as error:
        yield f"`day` does not fit the columns: {summarize_error(error)}"
        return
    if infers_time_format(dated):
        yield f"`day` is read by {INFERRED_FORMAT}"
    for problem in find_raising_times(dated):
        yield f"`day`: {problem}"
    if dtype != pl.Date:
        yield f"`day` is {dtype}, it has to be Date"


def _find_alias_problems(table: RawTable) -> Iterator[str]:
    # A header's blanks are cut off.
    columns = {name.casefold() for name in table.columns}
    # A header is matched without regard to case, so two aliases must differ in more than that.
    spellings = Counter(alias.strip().casefold() for alias in table.aliases)
    for alias, column in table.aliases.items():
        if column not in table.columns:
            yield f"aliases: {alias!r} stands for {column!r}, which is no column of the table"
    for alias in table.aliases:
        name = alias.strip()
        if name.casefold() in columns:
            yield f"aliases: {alias!r} is a column of the table itself"
        elif spellings[name.casefold()] > 1:
            yield f"aliases: {alias!r} is named twice, in different case"
        elif not name or alias != name:
            yield f"aliases: no file can deliver a column named {alias!r}"


def _find_drift_problems(table: RawTable) -> Iterator[str]:
    if table.drift not in get_args(Drift):
        yield f"drift is {table.drift!r}, it has to be one of {', '.join(get_args(Drift))}"
    elif table.drift != "evolve" and not table.columns:
        yield f"drift is {table.drift!r}, which needs declared columns to compare files with"


def find_derived_problems(catalog: Catalog, table: DerivedTable) -> list[str]:
    """Returns every problem of the declaration of a derived table.

    Args:
        catalog: all declared tables.
        table: the table to check.
    """
    return [f"{table.name}: {problem}" for problem in _find_problems(catalog, table)]


def _find_problems(catalog: Catalog, table: DerivedTable) -> Iterable[str]:
    try:
        # Everything below relies on a contract that makes sense, and on the columns returned.
        compile_rules(table.contract)
        returned = _infer_schema(catalog, table)
    except LakehouseError as error:
        return [indent_problem(str(error))]
    except pl.exceptions.PolarsError as error:
        return [summarize_error(error)]
    known = {name: catalog[source] for name, source in catalog.find_inputs(table).items()}
    sources = {parameter: known[parameter] for parameter in table.parameters}
    problems = [
        *_find_column_problems(table, returned),
        *_find_partition_problems(catalog, table),
        *_find_hidden_column_problems(catalog, table),
        *find_lookup_problems(table, sources),
        *find_reference_problems(table, known),
    ]
    if isinstance(table, KeyedTable):
        problems += find_key_problems(table, list(sources.values()), returned)
    return problems


def _find_column_problems(table: DerivedTable, returned: pl.Schema) -> Iterator[str]:
    wanted = to_polars_schema(table.contract)
    for name, dtype in wanted.items():
        if name not in returned:
            yield f"the transform does not return {name!r}"
        elif returned[name] != dtype and not is_narrowed(returned[name], dtype):
            yield f"{name!r} is {returned[name]}, its contract says {dtype}"
    # Other transforms may return more: they keep the columns of their input.
    if table.is_aggregate:
        for name in returned:
            if name not in wanted:
                yield f"the transform returns {name!r}, which its contract does not have"
    elif lost := [name for name in (*LINEAGE, RECEIVED) if name not in returned]:
        yield (
            f"the transform drops {', '.join(lost)}; "
            "add columns with `cast` or `with_columns`, and do not `select`"
        )


def _find_partition_problems(catalog: Catalog, table: DerivedTable) -> Iterator[str]:
    if table.partitions is None:
        return
    if table.day_column is None:
        yield "it has partitions, but its contract names no `date_column`"
    first = catalog[catalog.find_inputs(table)[table.parameters[0]]]
    if first.day_column is None:
        remedy = "with `day=`" if isinstance(first, RawTable) else "with `date_column`"
        yield f"it has partitions, but the rows of {first.name} have no day; name it there {remedy}"


def _find_hidden_column_problems(catalog: Catalog, table: DerivedTable) -> Iterator[str]:
    """Yields columns of a history that a reader by date must not read.

    These are its sequence, which may change while what was valid on a day stays the same.
    """
    for parameter, name in catalog.find_parameters(table).items():
        source = catalog[name]
        if not (isinstance(source, KeyedTable) and source.keeps_history):
            continue
        if parameter not in table.as_of:
            continue
        hidden = source.properties.sequence
        # A late event that says the same moves the sequence of a row. A mart that showed it was not
        # rebuilt, and stayed other than a backfill makes it. A transform that reads it fails here.
        try:
            _infer_schema(catalog, table, {parameter: hidden})
        except (LakehouseError, pl.exceptions.PolarsError):
            yield (
                f"it reads {' or '.join(map(repr, hidden))} of {name}, which changes without a "
                "change in what was valid on a day; read valid_from instead"
            )


def _infer_schema(
    catalog: Catalog, table: DerivedTable, hidden: Mapping[str, tuple[str, ...]] | None = None
) -> pl.Schema:
    """Returns the columns that a transform returns, from inputs without rows.

    Args:
        catalog: all declared tables.
        table: the table.
        hidden: columns to withhold from the transform, by parameter.

    Raises:
        SetupError: the transform fails, returns no LazyFrame, or reads times by a format that is
            inferred.
        PolarsError: its result does not fit its inputs.
    """
    schemas = {}
    for parameter, name in catalog.find_parameters(table).items():
        left_out = (hidden or {}).get(parameter, ())
        columns = catalog[name].schema.items()
        schemas[parameter] = pl.Schema({c: t for c, t in columns if c not in left_out})
    with _explain_user_code(table.transform):
        if table.is_sql:
            wide = {view: pl.Schema(widen(columns)) for view, columns in schemas.items()}
            return infer_query_schema(table.transform(), wide)
        # The inputs are prepared as in a make, so that what passes here passes there.
        first, *others = (pl.LazyFrame(schema=schema) for schema in schemas.values())
        if table.partitions:
            first = first.with_columns(pl.lit(None, dtype=pl.Date).alias(WINDOW))
        rows = table.explode_rows(first)
        if table.leave_out:
            rows = rows.filter(~pl.any_horizontal(table.leave_out.values()))
        given = [widen_rows(frame) for frame in (table.attach_received(rows), *others)]
        returned = table.transform(*given)
    if not isinstance(returned, pl.LazyFrame):
        raise SetupError(
            f"the transform returns {type(returned).__name__}, it has to return a LazyFrame"
        )
    # Outside of the block: a wrong expression shows only now, as an error of Polars.
    found = returned.collect_schema()
    if infers_time_format(returned):
        raise SetupError(f"it reads times by {INFERRED_FORMAT}")
    if problems := [*find_raising_times(returned), *find_wrapping(returned)]:
        raise SetupError("; ".join(problems))
    return found


class _explain_user_code:  # noqa: N801 - it is used like a function
    """Turns any error of a transform into a SetupError that names its line.

    Code that people write may raise anything, so no list of exceptions would do. Errors of Polars
    say enough already.
    """

    def __init__(self, transform: Callable[..., Any]) -> None:
        self.file = inspect.getsourcefile(transform)

    def __enter__(self) -> None:
        return

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, LakehouseError | pl.exceptions.PolarsError):
            return
        if isinstance(error, Exception):
            # The innermost line of the transform's own file; inside of it are those of libraries.
            frames = [f for f in traceback.extract_tb(trace) if f.filename == self.file]
            line = (
                f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
            )
            raise SetupError(
                f"the transform raises {type(error).__name__}: {summarize_error(error)}{line}"
            ) from error
