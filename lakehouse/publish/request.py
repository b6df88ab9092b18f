"""Rows on their way into one table, and what the table has to know to take them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

import polars as pl

from lakehouse.calendar import Physical
from lakehouse.storage.revision import Base

# Each open file buffers one row group, so that all of them together bound the memory of a write to many partitions.
_ROWS_BUFFERED = 1_200_000
_ROWS_PER_GROUP = (16_384, 122_880)
_TRUNCATE: Mapping[Physical, str] = {"day": "1d", "month": "1mo", "year": "1y"}


@dataclass(frozen=True)
class Sheet:
    """Rows on their way into one table.

    Attributes:
        table: where they go.
        rows: exactly the columns of the table.
        mode: `append` adds them; `replace` puts them in the place of `days`, or of everything.
        window: the `Date` column that tells a row's day.
        days: the days that are replaced; None replaces the whole table.
        keys: the keys whose rows are replaced, one row each; the rows of all other keys stay.
        physical: the partitioning of the files, from `window`.
        split_by: rows that differ in it share no new file; an expression has a name that is no column's.
        base: the revision that the caller has read, None for a table that did not exist; a later commit to the same
            place makes this fail.
        description: what the table is, for the catalogue.
        comments: what each column is, for the catalogue.
        hidden: columns without statistics, because they hold personal data.
        required: columns in which no row of the table may be null; with them the columns are exactly those of the rows.
            None lets columns come and go.
        marks: numbers that the commit leaves in the table for the next writer, by name; see `lake.mark`.
        corrections: for a value of `_source`, what columns become in the rows that stand there with it.
        retyped: columns that get another type, in the rows that stand in the table too; all of them are written again.
    """

    table: str
    rows: pl.LazyFrame
    mode: Literal["append", "replace"]
    window: str | None = None
    days: Sequence[date] | None = None
    keys: pl.DataFrame | None = None
    physical: Physical | None = None
    split_by: str | pl.Expr | None = None
    base: Base = "latest"
    description: str = ""
    comments: Mapping[str, str] = field(default_factory=dict)
    hidden: frozenset[str] = frozenset()
    required: frozenset[str] | None = None
    marks: Mapping[str, int] = field(default_factory=dict)
    corrections: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    retyped: Mapping[str, pl.DataType] = field(default_factory=dict)

    @property
    def partition(self) -> str | None:
        """The partition column of the files."""
        return f"_{self.physical}" if self.physical and self.window else None

    def parted(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """Rows with the partition column."""
        if self.partition is None or self.physical is None:
            return rows
        return rows.with_columns(
            pl.col(str(self.window)).dt.truncate(_TRUNCATE[self.physical]).alias(self.partition)
        )

    def parts_of(self, days: Iterable[date]) -> pl.Series:
        """The values of the partition column into which some days fall, each once."""
        return (
            self.parted(pl.LazyFrame({str(self.window): pl.Series(days, dtype=pl.Date)}))
            .collect()[str(self.partition)]
            .unique()
        )

    @property
    def places(self) -> set[str]:
        """Names of the parts of the table that are filled; no two writers fill the same at once."""
        if self.mode == "append" or self.days is None or self.physical is None:
            return {""}
        return name_partitions(self.physical, self.days)

    @property
    def rows_per_group(self) -> int:
        """How many rows make a row group: large ones are cheaper, where few files are open at a time."""
        least, most = _ROWS_PER_GROUP
        if self.mode == "append" or self.days is None or self.physical is None:
            return least
        return min(max(_ROWS_BUFFERED // max(len(self.places), 1), least), most)


def name_partitions(physical: Physical, days: Iterable[object]) -> set[str]:
    """Names of the parts of a table into which some days fall."""
    size = {"day": 10, "month": 7, "year": 4}[physical]
    return {str(day)[:size] for day in days}
