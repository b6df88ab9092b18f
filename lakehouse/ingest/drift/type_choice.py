"""The type that a column takes for one file: the narrowest that holds each value exactly.

Belongs here: which types a column may take, and what is wrong with a file if none of them holds its
values. Does not belong here: which types hold which others (`tables/type_widening.py`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import polars as pl

from lakehouse.ingest.drift.columns import TableColumns
from lakehouse.ingest.drift.projection import ProjectedColumn, count_rows_where
from lakehouse.ingest.drift.rescued import has_text_form
from lakehouse.ingest.files.delivery import Delivery
from lakehouse.tables import type_widening


@dataclass(frozen=True)
class DeliveredColumns:
    """The columns of a delivery, matched with those of its table.

    Attributes:
        delivery: the delivery.
        names: the column of the table, by the name that the file has for it.
        types: the type in the file, by the same name.
    """

    delivery: Delivery
    names: Mapping[str, str]
    types: Mapping[str, pl.DataType]

    def is_read(self, name: str) -> bool:
        """Returns whether text may be read as another type, as in formats without types."""
        return not self.delivery.is_typed or name in self.delivery.named


def choose_types(
    columns: TableColumns, file: DeliveredColumns
) -> tuple[dict[str, pl.DataType], list[str]]:
    """Chooses the type for each delivered column.

    Returns:
        The narrowest of the allowed types that holds all values, by the name in the file; and what
        is wrong with the columns that no allowed type holds.
    """
    allowed = {name: _list_allowed(columns, file, name) for name in file.names}
    misfits = _count_misfits(columns, file, allowed)
    chosen: dict[str, pl.DataType] = {}
    wrong: list[str] = []
    for name, types in allowed.items():
        fitting = [dtype for dtype, count in zip(types, misfits[name], strict=True) if not count]
        if fitting:
            chosen[name] = fitting[0]
        else:
            # The count for the widest type: the others fail for more values.
            count = misfits[name][-1] if types else 0
            wrong.append(describe_difference(columns, file, name, count))
    return chosen, wrong


def _list_allowed(
    columns: TableColumns, file: DeliveredColumns, name: str
) -> tuple[pl.DataType, ...]:
    """Lists the types that a column may take for a delivered one, the narrowest first."""
    column, dtype = file.names[name], file.types[name]
    if columns.is_undeclared(column):
        return (pl.String(),) if has_text_form(dtype) else ()
    # By the declared type, not by the present one: what earlier files made of the column must not
    # decide about this one.
    if columns.raw.drift == "evolve":
        declared = columns.declared_type(column)
        return type_widening.list_allowed_types(declared, dtype, is_read=file.is_read(name))
    wanted = columns.current[column]
    is_text = dtype == pl.String and file.is_read(name) and type_widening.can_be_read(wanted)
    return (wanted,) if dtype in (wanted, pl.Null) or is_text else ()


def _count_misfits(
    columns: TableColumns,
    file: DeliveredColumns,
    allowed: Mapping[str, tuple[pl.DataType, ...]],
) -> dict[str, list[int]]:
    """Counts the values that each allowed type does not hold, in one pass over the rows."""
    conditions: dict[str, pl.Expr] = {}
    for name, types in allowed.items():
        conditions |= {
            # The number comes first, so that no name can give the key of another one.
            f"{number} {name}": is_left
            for number, is_left in _find_misfits(columns, file, name, types)
        }
    counts = count_rows_where(file.delivery, conditions)
    return {
        name: [counts.get(f"{number} {name}", 0) for number in range(len(types))]
        for name, types in allowed.items()
    }


def _find_misfits(
    columns: TableColumns, file: DeliveredColumns, name: str, types: tuple[pl.DataType, ...]
) -> Iterator[tuple[int, pl.Expr]]:
    """Yields, for each type that may fail to hold a value, its number and the test for that."""
    column, dtype = file.names[name], file.types[name]
    for number, wanted in enumerate(types):
        if wanted == pl.String:
            continue  # text holds every value
        # Whether text may be read at all was decided when the types were listed.
        one = ProjectedColumn(name, dtype, wanted, is_read=True)
        # Whole numbers of 64 bits that a later file may turn into doubles must be exact as doubles
        # already, or the order of the files would decide whether they lose digits.
        if _may_become_double(columns, column, one):
            exact = type_widening.cast_losslessly(one.value, one.wanted, pl.Float64())
            yield number, pl.col(one.name).is_not_null() & exact.is_null()
        elif dtype not in (wanted, pl.Null):
            yield number, one.is_left


def _may_become_double(columns: TableColumns, column: str, one: ProjectedColumn) -> bool:
    """Returns whether a later file may turn the column into doubles; numbers must then be exact."""
    if columns.raw.drift != "evolve":
        return False
    return type_widening.may_become_double(columns.declared_type(column), one.wanted)


def describe_difference(
    columns: TableColumns, file: DeliveredColumns, name: str, misfits: int = 0
) -> str:
    """Returns what is wrong with a delivered column."""
    column, dtype = file.names[name], file.types[name]
    if columns.is_undeclared(column):
        return describe_no_text(name, dtype)
    # Not the type that other files led to: a reason must not depend on the order of deliveries.
    is_frozen = columns.raw.drift == "freeze"
    known = columns.current[column] if is_frozen else columns.declared_type(column)
    values = f" ({misfits:,} of its values do not fit)" if misfits else ""
    return f"{name} is {dtype} in the file and {known} in {columns.raw.name}{values}"


def describe_no_text(name: str, dtype: pl.DataType) -> str:
    """Returns what is wrong with values that a column of text cannot hold."""
    return f"{name} is {dtype}, which cannot be stored as text; declare its type"
