"""How the columns of one delivery go into those of a table: what goes in, what is left over.

Belongs here: the expressions. Does not belong here: which column goes where, and whether it may
(`fit.py`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import polars as pl

from lakehouse.ingest.drift.rescued import format_object, format_text
from lakehouse.ingest.files.delivery import Delivery, scan_rows
from lakehouse.tables import type_widening


@dataclass(frozen=True)
class ProjectedColumn:
    """A delivered column that goes into one of the table.

    Attributes:
        name: the name that the file has for it.
        dtype: its type in the file.
        wanted: the type that it is brought to; the column of the table may be wider by then.
        is_read: whether its text may be read as another type.
        is_undeclared: whether nothing declares the column, so that it holds the text of any value.
    """

    name: str
    dtype: pl.DataType
    wanted: pl.DataType
    is_read: bool
    is_undeclared: bool = False

    @property
    def value(self) -> pl.Expr:
        """What goes into the column; null where a value does not fit exactly."""
        if self.wanted == pl.String and self.is_undeclared:
            return format_text(pl.col(self.name), self.dtype)
        # Text of a typed format was meant as text, so it does not fit a column of another type.
        if self.dtype == pl.String != self.wanted and not self.is_read:
            return pl.lit(None, dtype=self.wanted)
        return type_widening.cast_losslessly(pl.col(self.name), self.dtype, self.wanted)

    @property
    def is_left(self) -> pl.Expr:
        """True for a value that does not fit exactly."""
        return pl.col(self.name).is_not_null() & self.value.is_null()


@dataclass(frozen=True)
class Projection:
    """A mapping of the columns of one delivery to those of a table.

    Attributes:
        names: the column of the table, by the name that the file has for it; rescued columns
            included.
        projected: what goes into each column of the table; several where a file has it under
            several names.
        rescued: how many values of delivered columns go into `_rescued`, by the name that the file
            has for them.
        types: the types of the delivered columns.
        rescued_rows: how many rows have such values.
    """

    names: Mapping[str, str]
    projected: Mapping[str, tuple[ProjectedColumn, ...]] = field(default_factory=dict)
    rescued: Mapping[str, int] = field(default_factory=dict)
    types: Mapping[str, pl.DataType] = field(default_factory=dict)
    rescued_rows: int = 0

    def fill(self, column: str, dtype: pl.DataType) -> pl.Expr:
        """Returns the values of a column of the table; null where the delivery has none."""
        if column not in self.projected:
            return pl.lit(None, dtype=dtype)
        # Cast from the type that this file asked for to that of the table, which other files of the
        # batch may have widened since.
        return pl.coalesce([one.value.cast(dtype) for one in self.projected[column]])

    def find_leftovers(self) -> dict[str, pl.Expr]:
        """Returns, for each delivered column, an expression that is true where its value stays out.

        Of a column with several names, the first value of a row goes in; the others are left over.
        """
        left = {name: pl.col(name).is_not_null() for name in self.types}
        for several in self.projected.values():
            is_filled = pl.lit(False)
            for one in several:
                # A second value of a row is left over even if it is equal: it was delivered.
                left[one.name] = one.is_left | (is_filled & pl.col(one.name).is_not_null())
                is_filled = is_filled | one.value.is_not_null()
        return left

    def collect_rescued(self) -> pl.Expr:
        """Returns what stays out of the table as a JSON object; null where nothing does."""
        left = self.find_leftovers()
        # Only the columns that have a value to rescue: each expression is run for every row.
        texts = {name: format_text(pl.col(name), self.types[name]) for name in self.rescued}
        return format_object((name, pl.when(left[name]).then(text)) for name, text in texts.items())


def group_by_column(
    columns: Iterable[tuple[str, ProjectedColumn]],
) -> dict[str, tuple[ProjectedColumn, ...]]:
    """Groups delivered columns by the column of the table, the one of the same name first."""
    found: dict[str, tuple[ProjectedColumn, ...]] = {}
    for column, one in columns:
        is_own = one.name.casefold() == column.casefold()
        others = found.get(column, ())
        found[column] = (one, *others) if is_own else (*others, one)
    return found


def count_rows_where(delivery: Delivery, conditions: Mapping[str, pl.Expr]) -> dict[str, int]:
    """Counts the rows in which each condition is true, in one pass."""
    if not conditions:
        return {}
    # Streamed: a delivery may be larger than memory (law 7).
    sums = [condition.sum().alias(name) for name, condition in conditions.items()]
    return scan_rows(delivery).select(sums).collect(engine="streaming").row(0, named=True)
