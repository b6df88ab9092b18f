"""Fitting a delivery into a raw table: the three ways to meet drift, and what each refuses.

`evolve` adds columns and widens types, `freeze` refuses a file that differs, `rescue` keeps what
does not fit in `_rescued`. A refused file is one dead letter as a whole. What a file asks of a
declared column depends on that file alone, and a column that nothing declares holds text: so the
order of deliveries does not decide anything.
"""

from collections.abc import Iterable, Mapping

import polars as pl

from lakehouse.ingest.drift.columns import TableColumns
from lakehouse.ingest.drift.projection import (
    ProjectedColumn,
    Projection,
    count_rows_where,
    group_by_column,
)
from lakehouse.ingest.drift.rescued import has_text_form
from lakehouse.ingest.drift.type_choice import (
    DeliveredColumns,
    choose_types,
    describe_difference,
    describe_no_text,
)
from lakehouse.ingest.files.delivery import Delivery, scan_rows
from lakehouse.ingest.files.header_names import list_names
from lakehouse.tables import type_widening

_ANY = "_any"
_EMPTY_DUMP = (
    "an empty dump deletes nothing. If the source really is empty, declare the time of this dump: "
    "FullDumps(emptied=(...,)). Then discard this dead letter"
)


def fit_delivery(columns: TableColumns, delivery: Delivery) -> tuple[Delivery, Projection]:
    """Fits a delivery into the columns of a raw table; these may grow.

    Returns:
        The delivery, refused as a whole if it does not fit, and how its columns go into those of
        the table.
    """
    names = columns.match_names(delivery.columns, delivery.delivered)
    if reason := _refuse_early(columns, delivery, names):
        return delivery.refuse(reason), Projection(names)
    if not delivery.rows_count:
        return delivery, Projection(names)
    schema = scan_rows(delivery).collect_schema()
    types = {name: schema[name] for name in delivery.columns}
    file = DeliveredColumns(delivery, names, types)
    if columns.raw.drift == "rescue":
        return _fit_rescuing(columns, file)
    return _fit_whole(columns, file)


def _refuse_early(
    columns: TableColumns, delivery: Delivery, names: Mapping[str, str]
) -> str | None:
    """Returns the reason for which a delivery is refused whatever its values are."""
    raw = columns.raw
    if raw.full_dumps and delivery.empty_because:
        return f"{delivery.empty_because}; {_EMPTY_DUMP}"
    # A full dump deletes every key that it lacks, so it is taken whole or not at all.
    if raw.full_dumps and delivery.dead_count and delivery.refused is None:
        lost = f"{delivery.dead_count:,} of {delivery.records:,} records cannot be read"
        return f"{lost}, and a full dump would delete the keys that it lacks"
    # Columns with aliases cannot be missed by a reader, which knows no aliases. Without a row there
    # may be no columns at all, as where no JSON line is an object.
    missing = [name for name in raw.required if name not in names.values()]
    if missing and delivery.rows_count:
        return f"columns missing, also under their aliases: {list_names(missing)}"
    return None


def _fit_rescuing(columns: TableColumns, file: DeliveredColumns) -> tuple[Delivery, Projection]:
    """Fits each value into its column, whose type stays as it is, or into `_rescued`."""
    projected = [
        (
            column,
            ProjectedColumn(name, file.types[name], columns.current[column], file.is_read(name)),
        )
        for name, column in file.names.items()
        if column in columns.current
    ]
    projection = Projection(file.names, group_by_column(projected), types=file.types)
    left = projection.find_leftovers()
    # No delivered column begins with `_`, so the count of rows has a name of its own. Both counts
    # take one pass.
    # JSON objects without a key make rows without a column, of which nothing can be left.
    is_any = {_ANY: pl.any_horizontal(left.values())} if left else {}
    counts = count_rows_where(file.delivery, {**left, **is_any})
    rows = counts.pop(_ANY, 0)
    rescued = {name: count for name, count in counts.items() if count}
    if without_text := [name for name in rescued if not has_text_form(file.types[name])]:
        problems = [describe_no_text(name, file.types[name]) for name in without_text]
        return file.delivery.refuse(_describe_types(problems)), projection
    return file.delivery, Projection(file.names, projection.projected, rescued, file.types, rows)


def _fit_whole(columns: TableColumns, file: DeliveredColumns) -> tuple[Delivery, Projection]:
    """Fits each value into a column that may be new or become wider, or refuses the whole file."""
    # Every problem is collected first, so that one message lists all columns to correct.
    chosen, wrong = choose_types(columns, file)
    wider, too_different = _widen(columns, file, chosen)
    wrong += too_different
    new = [name for name, column in file.names.items() if column not in columns.all]
    problems = []
    if new and columns.raw.drift == "freeze":
        table = columns.raw.name
        problems.append(f"new columns, but {table} is frozen: {list_names(new)}")
    if (most := columns.most_columns) < (total := len(columns.all) + len(new)) and new:
        problems.append(
            f"{columns.raw.name} would have {total:,} columns; limit {most:,} (table_columns). "
            'Where keys are values, declare drift="rescue"'
        )
    if wrong:
        problems.append(_describe_types(wrong))
    projection = _project(columns, file, chosen)
    # Last, because it reads all rows once more.
    if not problems and (twice := _describe_twice(file, projection)):
        problems.append(twice)
    if problems:
        return file.delivery.refuse("; ".join(problems)), projection
    # Only now: a refused file leaves no trace in the columns that the next file meets.
    columns.grow(wider, new)
    return file.delivery, projection


def _widen(
    columns: TableColumns, file: DeliveredColumns, chosen: Mapping[str, pl.DataType]
) -> tuple[dict[str, pl.DataType], list[str]]:
    """Returns the types of the columns with this file, and the columns for which there is none."""
    wider: dict[str, pl.DataType] = {}
    wrong: list[str] = []
    for name, dtype in chosen.items():
        column = file.names[name]
        if column not in columns.current:
            continue
        # `current` has what earlier files of the batch asked for; `wider` has what other names of
        # the same column in this file ask for.
        common = type_widening.find_common_type(wider.get(column, columns.current[column]), dtype)
        if common is None:
            wrong.append(describe_difference(columns, file, name))
        else:
            wider[column] = common
    return wider, wrong


def _project(
    columns: TableColumns, file: DeliveredColumns, chosen: Mapping[str, pl.DataType]
) -> Projection:
    projected = [
        (
            file.names[name],
            ProjectedColumn(
                name,
                file.types[name],
                dtype,
                is_read=file.is_read(name),
                is_undeclared=columns.is_undeclared(file.names[name]),
            ),
        )
        for name, dtype in chosen.items()
    ]
    return Projection(file.names, group_by_column(projected), types=file.types)


def _describe_twice(file: DeliveredColumns, projection: Projection) -> str | None:
    """Returns which columns have two values in a row, under several names; None if none has."""
    several = {column: each for column, each in projection.projected.items() if len(each) > 1}
    counts = count_rows_where(
        file.delivery,
        {
            column: pl.sum_horizontal([pl.col(one.name).is_not_null() for one in each]) > 1
            for column, each in several.items()
        },
    )
    wrong = [
        f"{column} ({', '.join(one.name for one in each)})"
        for column, each in several.items()
        if counts[column]
    ]
    if not wrong:
        return None
    return f"columns that got two values in one row, under different names: {'; '.join(wrong)}"


def _describe_types(problems: Iterable[str]) -> str:
    return f"types differ: {'; '.join(problems)}"
