"""Write requests: what a caller asks `publish` to do with one table.

There are four kinds, and each holds only what it needs: `Append` adds rows, `ReplaceAll` puts rows
in the place of the whole table, `ReplaceDays` in the place of some days, `ReplaceKeys` in the place
of some keys.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from datetime import date
from typing import Any

import polars as pl

from lakehouse.calendar import Physical
from lakehouse.storage.revision import Base

_TRUNCATE: Mapping[Physical, str] = {"day": "1d", "month": "1mo", "year": "1y"}
# Characters of an ISO date that name the partition.
_NAME_LENGTH: Mapping[Physical, int] = {"day": 10, "month": 7, "year": 4}

UNPARTITIONED = ""
"""The name of the one part of a table that is not partitioned."""


@dataclass(frozen=True)
class Partitioning:
    """The physical partitioning of a table's files by a date.

    Attributes:
        column: the `Date` column that dates a row.
        unit: the span of one partition.
    """

    column: str
    unit: Physical

    @property
    def name(self) -> str:
        """The partition column, which the files do not hold."""
        return f"_{self.unit}"

    def add_to(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """Returns rows with the partition column."""
        start = pl.col(self.column).dt.truncate(_TRUNCATE[self.unit])
        return rows.with_columns(start.alias(self.name))

    def list_values(self, days: Iterable[date]) -> pl.Series:
        """Returns the values of the partition column for some days, each once."""
        dated = pl.LazyFrame({self.column: pl.Series(days, dtype=pl.Date)})
        return self.add_to(dated).collect()[self.name].unique()


@dataclass(frozen=True)
class TableInfo:
    """What the catalogue and the log say of a table.

    Attributes:
        description: what the table is.
        comments: what each column is.
        hidden: columns without bounds in the log, because they hold personal data.
    """

    description: str = ""
    comments: Mapping[str, str] = field(default_factory=dict)
    hidden: frozenset[str] = frozenset()


@dataclass(frozen=True)
class WriteRequest:
    """Rows for one table; each kind of request says what becomes of the rows that are there.

    Attributes:
        table: the name of the table, `<layer>/<table>`.
        rows: the rows, in exactly the columns of the table.
        base: the revision that the caller has read, None for a table that did not exist. A later
            commit to the same part of the table makes the request fail.
        info: what the catalogue and the log say of the table.
    """

    table: str
    rows: pl.LazyFrame
    _: KW_ONLY
    base: Base = "latest"
    info: TableInfo = field(default_factory=TableInfo)

    @property
    def parts(self) -> frozenset[str]:
        """The parts of the table that are written; no two writers write the same one at once."""
        return frozenset({UNPARTITIONED})


@dataclass(frozen=True, kw_only=True)
class Append(WriteRequest):
    """Adds rows to a table that is not partitioned.

    Attributes:
        split_by: rows that differ in it go to different files; an expression needs a name that no
            column has.
        transaction_ids: numbers that the commit leaves in the table for the next writer, by name;
            see `lake.read_transaction_id`.
        corrections: for a value of `_source`, new values of some columns in the rows of the table
            that have it.
        retyped: columns that get another type; all rows of the table are written again in it.
        convert: brings the rows of the table to these types; a cast by default.
    """

    split_by: str | pl.Expr | None = None
    transaction_ids: Mapping[str, int] = field(default_factory=dict)
    corrections: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    retyped: Mapping[str, pl.DataType] = field(default_factory=dict)
    convert: Callable[[pl.LazyFrame], pl.LazyFrame] | None = None


@dataclass(frozen=True, kw_only=True)
class ReplaceAll(WriteRequest):
    """Replaces all rows of a table, and its columns with them.

    Attributes:
        partitioning: how the files are partitioned.
    """

    partitioning: Partitioning | None = None


@dataclass(frozen=True, kw_only=True)
class ReplaceDays(WriteRequest):
    """Replaces the rows of some days; the rows of all other days stay.

    Attributes:
        day_column: the `Date` column that dates a row.
        days: the days.
        physical: the span of one partition; None for a table that is not partitioned.
        has_undated: whether the rows without a day are replaced as well.
        required: columns in which no row of the table may be null; with them the columns are
            exactly those of the rows. None lets columns come and go.
        retyped: columns that get another type; the rows that stay are written again in it.
    """

    day_column: str
    days: Sequence[date]
    physical: Physical | None = None
    has_undated: bool = False
    required: frozenset[str] | None = None
    retyped: Mapping[str, pl.DataType] = field(default_factory=dict)

    @property
    def partitioning(self) -> Partitioning | None:
        """How the files are partitioned."""
        return None if self.physical is None else Partitioning(self.day_column, self.physical)

    @property
    def parts(self) -> frozenset[str]:
        """Names of the partitions that are written."""
        # Two writers of one month collide although their days differ: a file may hold both days.
        if self.physical is None:
            return frozenset({UNPARTITIONED})
        return frozenset(name_partitions(self.physical, self.days))


@dataclass(frozen=True, kw_only=True)
class ReplaceKeys(WriteRequest):
    """Replaces the rows of some keys in an unpartitioned table; the rows of all other keys stay.

    Attributes:
        keys: the keys, one row each, in the key's columns.
        required: as in `ReplaceDays`.
    """

    keys: pl.DataFrame
    required: frozenset[str] | None = None


Request = Append | ReplaceAll | ReplaceDays | ReplaceKeys
"""Any write request."""


def find_partitioning(request: Request) -> Partitioning | None:
    """Returns how the files of a request's table are partitioned; None where they are not."""
    return request.partitioning if isinstance(request, ReplaceAll | ReplaceDays) else None


def name_partitions(physical: Physical, days: Iterable[object]) -> set[str]:
    """Returns the names of the partitions that hold some days."""
    return {str(day)[: _NAME_LENGTH[physical]] for day in days}
