"""Tombstones: rows that stand for deleted keys, so that a late event does not bring a key back. No reader sees them."""

from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from lakehouse.system_columns import DELETED

_UNITS = {"ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
"""Of a second."""

_LEAST = -(2**63)


@dataclass(frozen=True)
class Watermark:
    """Behind what the tombstones of a table go.

    The rows alone tell it, and it never falls where tombstones have gone: the latest event of all is the latest of its
    key, and so it stands. Who changes the retention has the table folded anew, from all events.

    Attributes:
        column: the column by which events are ordered first.
        value: what it has to reach, as it is stored: there are moments that no other calendar has.
    """

    column: str
    value: int

    @classmethod
    def of(cls, rows: pl.LazyFrame, column: str, kept: timedelta | int) -> "Watermark | None":
        """So far behind the latest of some rows; None where there is none."""
        latest = rows.select(_stored(column).max()).collect(engine="streaming").item()
        units = _in_units(kept, rows.collect_schema()[column])
        return None if latest is None else cls(column, max(latest - units, _LEAST))

    @property
    def is_behind(self) -> pl.Expr:
        """True for an event that may be older than a tombstone that has gone."""
        return _stored(self.column) < pl.lit(self.value, pl.Int64)

    @property
    def is_old_tombstone(self) -> pl.Expr:
        """True for a row that goes."""
        return pl.col(DELETED) & self.is_behind


def _stored(column: str) -> pl.Expr:
    return pl.col(column).to_physical().cast(pl.Int64)


def _in_units(kept: timedelta | int, dtype: pl.DataType) -> int:
    """How long tombstones are kept, in what a column is stored in: whole days, parts of a second, or itself."""
    if isinstance(kept, int):
        return kept
    if not isinstance(dtype, pl.Datetime):
        return kept.days
    return kept // timedelta(microseconds=1) * _UNITS[dtype.time_unit] // 1_000_000
