"""Checks that events can be applied to keyed tables, and that readers can look up their rows.

The contracts were checked before: `key` and `sequence` name columns that exist.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

import polars as pl

from lakehouse.errors import summarize_error
from lakehouse.system_columns import VALID
from lakehouse.tables.contract import Column, list_columns, to_polars_schema
from lakehouse.tables.inferred_formats import INFERRED_FORMAT, infers_time_format
from lakehouse.tables.keyed_table import KeyedTable
from lakehouse.tables.table_types import AsOf, DerivedTable, RawTable, Table, list_series_columns

_MOMENTS = (pl.Date, pl.Datetime)
_INT64_END = 2**63
"""Whole numbers of a retention are compared with a column of at most 64 bits."""


def find_key_problems(
    table: KeyedTable, sources: Sequence[Table], returned: pl.Schema
) -> Iterator[str]:
    """Yields the problems that keep events from being applied to a table.

    Args:
        table: the table.
        sources: the tables that it reads.
        returned: the columns that its transform returns.
    """
    columns = {column.name: column for column in list_columns(table.contract)}
    yield from _find_source_problems(table, sources)
    yield from _find_sequence_problems(table, columns)
    if table.partial:
        yield from _find_partial_problems(table, columns)
    if table.keeps_history:
        yield from _find_history_problems(table, columns)
    if table.deletes is not None:
        yield from _find_delete_problems(table, table.deletes, returned)
    if table.tombstone_retention is not None and table.properties.sequence:
        yield from _find_retention_problems(table, table.tombstone_retention)


def find_lookup_problems(table: DerivedTable, sources: Mapping[str, Table]) -> Iterator[str]:
    """Yields the problems that keep a table from reading its dated inputs as declared.

    Args:
        table: the reader.
        sources: the tables that it reads, by parameter.
    """
    for parameter, as_of in table.as_of.items():
        if parameter not in sources:
            yield f"as_of names {parameter!r}, which it does not read"
            continue
        source = sources[parameter]
        dtype = source.schema.get(as_of.column)
        if dtype is None:
            yield f"as_of: {source.name} has no column {as_of.column!r}"
        elif not isinstance(dtype, _MOMENTS):
            place = f"{as_of.column!r} of {source.name}"
            yield f"as_of: {place} is {dtype}, it has to be a Date or an Instant"
        elif as_of.names:
            yield from _find_by_problems(source, sources[table.parameters[0]], as_of)


def _find_by_problems(source: Table, first: Table, as_of: AsOf) -> Iterator[str]:
    key, names = list_series_columns(source, as_of.column), as_of.names
    if source is first:
        yield f"as_of: {source.name} is the first input, whose rows look others up"
    elif not isinstance(source, KeyedTable):
        yield (
            f'as_of: `by` is for tables with keys, mode="upsert" or mode="history", '
            f"which {source.name} is not"
        )
    # By position: the names may differ on the two sides, and so must be as many, and distinct.
    elif not len(set(names)) == len(names) == len(key):
        yield (
            f"as_of: `by` names {', '.join(names)}, "
            f"but the key of {source.name} is {', '.join(key)}; "
            f"name a column of {first.name} for each"
        )
    else:
        for name, part in zip(names, key, strict=True):
            if name not in first.schema:
                yield f"as_of: `by` names {name!r}, which {first.name} does not have"
            elif first.schema[name] != source.schema[part]:
                yield (
                    f"as_of: {name!r} is {first.schema[name]} in {first.name}, "
                    f"{part!r} of {source.name} is {source.schema[part]}"
                )


def _find_source_problems(table: KeyedTable, sources: Sequence[Table]) -> Iterator[str]:
    if table.is_aggregate:
        yield "a table with keys keeps the origin of its rows, so its contract cannot have `counts`"
    # New rows are applied alone: a second input that changes would change old rows, too.
    if len(sources) != 1 or not isinstance(sources[0], RawTable):
        yield (
            "a table with keys reads one raw table and nothing else, "
            "so that new rows can be applied alone"
        )
    elif table.full_dumps is not None and not sources[0].full_dumps:
        yield (
            f"{sources[0].name} has to be declared with full_dumps=True: "
            "a dump may equal an earlier one"
        )


def _find_sequence_problems(table: KeyedTable, columns: Mapping[str, Column]) -> Iterator[str]:
    properties = table.properties
    if not properties.key:
        yield "its contract names no `key`"
    if not properties.sequence:
        yield "its contract names no `sequence`, so the order of events is unknown"
    for name in properties.sequence:
        if columns[name].nullable:
            yield f"sequence column {name!r} is nullable"
    # All rows of a dump are of one moment, by which dumps are compared.
    if table.full_dumps is not None and len(properties.sequence) != 1:
        yield "the contract of full dumps names one `sequence` column: the time of the dump"


def _find_partial_problems(table: KeyedTable, columns: Mapping[str, Column]) -> Iterator[str]:
    named = {*table.properties.key, *table.properties.sequence}
    for name, column in columns.items():
        if name not in named and not column.nullable:
            yield f"{name!r} is not nullable, but a partial event may lack it"
    for check in table.contract.to_schema().checks:
        yield (
            f"check {check.name or 'check'} reads several columns, "
            "but a partial event may lack some of them"
        )


def _find_history_problems(table: KeyedTable, columns: Mapping[str, Column]) -> Iterator[str]:
    # The first sequence column becomes `valid_from` and `valid_to`, to which readers join days.
    for name in table.properties.sequence[:1]:
        dtype = columns[name].dtype
        if not isinstance(dtype, _MOMENTS):
            yield f"a history is ordered by a Date or an Instant, not by {name!r} ({dtype})"
    for name in VALID:
        if name in columns:
            yield f"column {name!r} is one that a history adds"


def _find_delete_problems(
    table: KeyedTable, deletes: pl.Expr, returned: pl.Schema
) -> Iterator[str]:
    if table.full_dumps is not None:
        yield "a full dump deletes the keys that it lacks, so `deletes` cannot be declared as well"
        return
    # Over what the transform returns: the flag may be a column that the contract does not have.
    rows = pl.LazyFrame(schema=returned).select(deletes=deletes)
    try:
        dtype = rows.collect_schema()["deletes"]
    except pl.exceptions.PolarsError as error:
        yield f"deletes: {summarize_error(error)}"
        return
    if infers_time_format(rows):
        yield f"deletes reads times by {INFERRED_FORMAT}"
    elif dtype != pl.Boolean:
        yield f"deletes is {dtype}, it has to be true or false"


def _find_retention_problems(table: KeyedTable, retention: timedelta | int) -> Iterator[str]:
    if table.keeps_history or (table.deletes is None and table.full_dumps is None):
        yield (
            'tombstone_retention is for mode="upsert" with deletes or full dumps: '
            "a history keeps everything"
        )
        return
    name = table.properties.sequence[0]
    dtype = to_polars_schema(table.contract)[name]
    if isinstance(dtype, _MOMENTS):
        fits, wanted = isinstance(retention, timedelta) and retention >= timedelta(0), "timedelta"
    elif dtype.is_integer():
        # `type` because True is an int as well.
        fits, wanted = type(retention) is int and 0 <= retention < _INT64_END, "whole number"
    else:
        yield (
            f"tombstone_retention: {name!r} is {dtype}, "
            "it has to be a Date, an Instant or a whole number"
        )
        return
    if not fits:
        yield (
            f"tombstone_retention is {retention!r}: {name!r} is {dtype}, "
            f"so give a {wanted}, 0 or more"
        )
