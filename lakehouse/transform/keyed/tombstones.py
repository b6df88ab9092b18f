"""Tombstones: rows that mark deleted keys, so that a late event brings no key back.

No reader sees them.
"""

from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from lakehouse.system_columns import DELETED

_UNITS_PER_SECOND = {"ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_SMALLEST = -(2**63)  # of a signed integer of 64 bits, in which moments are stored


@dataclass(frozen=True)
class Watermark:
    """The moment behind which the tombstones of a table are removed.

    It follows from the rows alone, and never falls once tombstones were removed: the latest event
    of all is the latest of its key, and so it is stored. A change of the retention rebuilds the
    table from all events.

    Attributes:
        column: the column by which events are ordered first.
        value: the moment, as the number that Polars stores.
    """

    column: str
    value: int

    @classmethod
    def of(cls, rows: pl.LazyFrame, column: str, kept: timedelta | int) -> "Watermark | None":
        """Returns the watermark that lies `kept` behind the latest row; None without a row."""
        latest = rows.select(_stored(column).max()).collect(engine="streaming").item()
        units = _in_units(kept, rows.collect_schema()[column])
        # Before all moments no tombstone is old, so a retention longer than that keeps all.
        return None if latest is None else cls(column, max(latest - units, _SMALLEST))

    @property
    def is_behind(self) -> pl.Expr:
        """True for an event that may be older than a tombstone that was removed."""
        return _stored(self.column) < pl.lit(self.value, pl.Int64)

    @property
    def is_old_tombstone(self) -> pl.Expr:
        """True for a tombstone that is removed."""
        return pl.col(DELETED) & self.is_behind


def _stored(column: str) -> pl.Expr:
    # The stored number: there are moments that Python's calendar does not have, and the first of
    # them stopped the table.
    return pl.col(column).to_physical().cast(pl.Int64)


def _in_units(kept: timedelta | int, dtype: pl.DataType) -> int:
    """Returns how long tombstones are kept, in the unit in which a column is stored."""
    if isinstance(kept, int):
        return kept
    if not isinstance(dtype, pl.Datetime):
        return kept.days
    return kept // timedelta(microseconds=1) * _UNITS_PER_SECOND[dtype.time_unit] // 1_000_000
