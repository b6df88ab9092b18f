"""Tombstones: rows that stand for deleted keys, so that a late event does not bring a key back. No reader sees them."""

import polars as pl

DELETED = "_deleted"
"""Column of a table with keys: true for a tombstone."""


def shown(rows: pl.LazyFrame) -> pl.LazyFrame:
    """The rows that a reader sees, without the column that told them from tombstones."""
    return rows.filter(~pl.col(DELETED)).drop(DELETED) if DELETED in rows.collect_schema() else rows
