"""Tombstones: rows that stand for deleted keys, so that a late event does not bring a key back. No reader sees them."""

from datetime import timedelta

import polars as pl

_UNITS = {"ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
"""Of a second."""

DELETED = "_deleted"
"""Column of a table with keys: true for a tombstone."""


def shown(rows: pl.LazyFrame) -> pl.LazyFrame:
    """The rows that a reader sees, without the column that told them from tombstones."""
    return rows.filter(~pl.col(DELETED)).drop(DELETED) if DELETED in rows.collect_schema() else rows


def in_units(kept: timedelta | int, dtype: pl.DataType) -> int:
    """How long tombstones are kept, in what a column is stored in: whole days, parts of a second, or itself."""
    if isinstance(kept, int):
        return kept
    if not isinstance(dtype, pl.Datetime):
        return kept.days
    microseconds = kept // timedelta(microseconds=1)
    return microseconds * _UNITS[dtype.time_unit] // 1_000_000
