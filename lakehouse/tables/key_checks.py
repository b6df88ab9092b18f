"""Whether tables with keys are declared so that they can be folded and looked up, before any data is touched."""

from collections.abc import Collection, Iterator, Mapping
from datetime import timedelta
from typing import get_args

import polars as pl

from lakehouse.errors import summarize_error
from lakehouse.system_columns import VALID
from lakehouse.tables.contract import list_columns, to_polars_schema
from lakehouse.tables.inferred_formats import INFERRED_FORMAT, infers_time_format
from lakehouse.tables.lookup import AsOf
from lakehouse.tables.table_types import DerivedTable, Mode, RawTable, Table

_MOMENTS = (pl.Date, pl.Datetime)
_MOST = 2**63


def find_key_problems(
    table: DerivedTable, sources: Collection[Table], returned: pl.Schema
) -> list[str]:
    """What keeps the events of a table from being folded.

    Args:
        table: the table.
        sources: the tables that it reads.
        returned: the columns that its transform returns.
    """
    if table.mode == "replace":
        only_folded = {
            "deletes": table.deletes is not None,
            "partial": table.partial,
            "full_dumps": table.full_dumps,
            "tombstone_retention": table.tombstone_retention is not None,
        }
        return [
            f'{name} is for tables that are folded: declare mode="upsert" or mode="history"'
            for name, is_set in only_folded.items()
            if is_set
        ]
    if table.mode not in get_args(Mode):
        return [f"mode is {table.mode!r}, it has to be one of {', '.join(get_args(Mode))}"]
    return [
        *_kind_problems(table, sources),
        *_column_problems(table),
        *_delete_problems(table, returned),
        *_retention_problems(table),
    ]


def list_series_columns(source: Table, column: str) -> tuple[str, ...]:
    """The columns that name those rows of a dated table of which each holds until the next; none if nobody knows."""
    return tuple(name for name in list_identity_columns(source) if name != column)


def list_identity_columns(source: Table) -> tuple[str, ...]:
    """The columns that name a row of a dated table."""
    if not isinstance(source, DerivedTable):
        return ()
    return (*source.properties.key, *((VALID[0],) if source.mode == "history" else ()))


def find_lookup_problems(table: DerivedTable, sources: Mapping[str, Table]) -> Iterator[str]:
    """What keeps a table from reading its dated inputs as it declares.

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
            yield f"as_of: {as_of.column!r} of {source.name} is {dtype}, it has to be a Date or an Instant"
        elif as_of.names:
            yield from _by_problems(source, sources[table.parameters[0]], as_of)


def _by_problems(source: Table, first: Table, as_of: AsOf) -> Iterator[str]:
    key, names = list_series_columns(source, as_of.column), as_of.names
    if source is first:
        yield f"as_of: {source.name} is the first input, whose rows are not looked up by anything"
    elif not isinstance(source, DerivedTable) or source.mode == "replace":
        yield f'as_of: by is for tables with keys, mode="upsert" or mode="history", which {source.name} is not'
    elif not len(set(names)) == len(names) == len(key):
        told = f"by names {', '.join(names)}, but the key of {source.name} is {', '.join(key)}"
        yield f"as_of: {told}; name a column of {first.name} for each"
    else:
        for name, of in zip(names, key, strict=True):
            if name not in first.schema:
                yield f"as_of: by names {name!r}, which {first.name} does not have"
            elif first.schema[name] != source.schema[of]:
                kinds = f"{first.schema[name]} in {first.name}, {of!r} of {source.name} is {source.schema[of]}"
                yield f"as_of: {name!r} is {kinds}"


def _kind_problems(table: DerivedTable, sources: Collection[Table]) -> list[str]:
    problems = []
    if not table.name.startswith("staged/") or table.is_aggregate:
        problems.append("only staged tables, whose rows keep their origin, are folded")
    if len(sources) != 1 or not all(isinstance(source, RawTable) for source in sources):
        problems.append(
            "a table that is folded reads one raw table and nothing else, so that new rows are enough"
        )
    if table.partitions is not None:
        problems.append("a table that is folded has no partitions: a key may change its day")
    if table.full_dumps is not None and not all(
        isinstance(source, RawTable) and source.full_dumps for source in sources
    ):
        problems.append(
            "its raw table has to be declared with full_dumps=True: a dump may equal an earlier one"
        )
    if table.distinct:
        problems.append(
            "`distinct` is of no use here: an event that repeats another changes nothing"
        )
    return problems


def _column_problems(table: DerivedTable) -> list[str]:
    known, declared = (
        table.properties,
        {column.name: column for column in list_columns(table.contract)},
    )
    problems = [] if known.key else ["its contract names no `key`"]
    if not known.sequence:
        problems.append(
            "its contract names no `sequence`, so that nobody knows which event is the later one"
        )
    problems += [
        f"sequence column {name!r} is nullable"
        for name in known.sequence
        if declared[name].nullable
    ]
    if table.partial:
        named = {*known.key, *known.sequence}
        required = [
            name for name, column in declared.items() if name not in named and not column.nullable
        ]
        problems += [
            f"{name!r} is not nullable, but a partial event may lack it" for name in required
        ]
        over_row = [check.name or "check" for check in table.contract.to_schema().checks]
        problems += [
            f"check {name} looks at several columns, of which a partial event has only some"
            for name in over_row
        ]
    if table.mode == "history" and known.sequence:
        first = declared[known.sequence[0]]
        if not isinstance(first.dtype, _MOMENTS):
            problems.append(
                f"a history is ordered by a Date or an Instant, not by {first.name!r} ({first.dtype})"
            )
        problems += [
            f"column {name!r} is one that a history adds" for name in VALID if name in declared
        ]
    if table.full_dumps is not None and len(known.sequence) != 1:
        problems.append(
            "the contract of full dumps names one `sequence` column: when the dump was taken"
        )
    return problems


def _delete_problems(table: DerivedTable, returned: pl.Schema) -> list[str]:
    if table.deletes is None:
        return []
    if table.full_dumps is not None:
        return ["a full dump deletes what it lacks; it cannot also tell of deletes"]
    deletes = pl.LazyFrame(schema=returned).select(deletes=table.deletes)
    try:
        dtype = deletes.collect_schema()["deletes"]
    except pl.exceptions.PolarsError as error:
        return [f"deletes: {summarize_error(error)}"]
    if infers_time_format(deletes):
        return [f"deletes reads times by {INFERRED_FORMAT}"]
    return [] if dtype == pl.Boolean else [f"deletes is {dtype}, it has to be true or false"]


def _retention_problems(table: DerivedTable) -> list[str]:
    kept, known = table.tombstone_retention, table.properties
    if kept is None or not known.sequence:
        return []
    if table.mode != "upsert" or (table.deletes is None and table.full_dumps is None):
        return [
            'tombstone_retention is for mode="upsert" with deletes: a history keeps all that it was told'
        ]
    name, first = known.sequence[0], to_polars_schema(table.contract)[known.sequence[0]]
    if isinstance(first, _MOMENTS):
        is_right, wanted = isinstance(kept, timedelta) and kept >= timedelta(0), "timedelta"
    elif first.is_integer():
        is_right, wanted = type(kept) is int and 0 <= kept < _MOST, "whole number"
    else:
        return [
            f"tombstone_retention: {name!r} is {first}, it has to be a Date, an Instant or a whole number"
        ]
    return (
        []
        if is_right
        else [
            f"tombstone_retention is {kept!r}: {name!r} is {first}, so give a {wanted}, 0 or more"
        ]
    )
