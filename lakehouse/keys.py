"""Whether a table with keys is declared so that its events can be folded, before any data is touched."""

from collections.abc import Collection
from typing import get_args

import polars as pl

from lakehouse.contract import columns, facts
from lakehouse.errors import brief
from lakehouse.tables import VALID, DerivedTable, Mode, RawTable, Table

_MOMENTS = (pl.Date, pl.Datetime)


def key_problems(table: DerivedTable, sources: Collection[Table], returned: pl.Schema) -> list[str]:
    """What keeps the events of a table from being folded.

    Args:
        table: the table.
        sources: the tables that it reads.
        returned: the columns that its transform returns.
    """
    if table.mode == "replace":
        only_folded = {"deletes": table.deletes is not None, "partial": table.partial, "snapshot": table.snapshot}
        return [
            f'{name} is for tables that are folded: declare mode="upsert" or mode="history"'
            for name, is_set in only_folded.items()
            if is_set
        ]
    if table.mode not in get_args(Mode):
        return [f"mode is {table.mode!r}, it has to be one of {', '.join(get_args(Mode))}"]
    return [*_kind_problems(table, sources), *_column_problems(table), *_delete_problems(table, returned)]


def _kind_problems(table: DerivedTable, sources: Collection[Table]) -> list[str]:
    problems = []
    if not table.name.startswith("staged/") or table.is_aggregate:
        problems.append("only staged tables, whose rows keep their origin, are folded")
    if len(sources) != 1 or not all(isinstance(source, RawTable) for source in sources):
        problems.append("a table that is folded reads one raw table and nothing else, so that new rows are enough")
    if table.partitions is not None:
        problems.append("a table that is folded has no partitions: a key may change its day")
    if table.snapshot is not None and not all(isinstance(source, RawTable) and source.dumps for source in sources):
        problems.append("its raw table has to be declared with dumps=True: a dump may equal an earlier one")
    if table.distinct:
        problems.append("`distinct` is of no use here: an event that repeats another changes nothing")
    return problems


def _column_problems(table: DerivedTable) -> list[str]:
    known, declared = facts(table.contract), {column.name: column for column in columns(table.contract)}
    problems = [] if known.key else ["its contract names no `key`"]
    if not known.sequence:
        problems.append("its contract names no `sequence`, so that nobody knows which event is the later one")
    problems += [f"sequence column {name!r} is nullable" for name in known.sequence if declared[name].nullable]
    if table.partial:
        named = {*known.key, *known.sequence}
        required = [name for name, column in declared.items() if name not in named and not column.nullable]
        problems += [f"{name!r} is not nullable, but a partial event may lack it" for name in required]
        over_row = [check.name or "check" for check in table.contract.to_schema().checks]
        problems += [
            f"check {name} looks at several columns, of which a partial event has only some" for name in over_row
        ]
    if table.mode == "history" and known.sequence:
        first = declared[known.sequence[0]]
        if not isinstance(first.dtype, _MOMENTS):
            problems.append(f"a history is ordered by a Date or an Instant, not by {first.name!r} ({first.dtype})")
        problems += [f"column {name!r} is one that a history adds" for name in VALID if name in declared]
    if table.snapshot is not None and len(known.sequence) != 1:
        problems.append("the contract of full dumps names one `sequence` column: when the dump was taken")
    return problems


def _delete_problems(table: DerivedTable, returned: pl.Schema) -> list[str]:
    if table.deletes is None:
        return []
    if table.snapshot is not None:
        return ["a full dump deletes what it lacks; it cannot also tell of deletes"]
    try:
        dtype = pl.LazyFrame(schema=returned).select(deletes=table.deletes).collect_schema()["deletes"]
    except pl.exceptions.PolarsError as error:
        return [f"deletes: {brief(error)}"]
    return [] if dtype == pl.Boolean else [f"deletes is {dtype}, it has to be true or false"]
