"""The columns of the engine: every column that begins with `_`, its type and its meaning."""

from collections.abc import Mapping

import polars as pl

ORIGIN: Mapping[str, pl.DataType] = {
    "_source": pl.String(),
    "_offset": pl.Int64(),
    "_modified_at": pl.Datetime("us", "UTC"),
    "_batch_id": pl.String(),
    "_ingested_at": pl.Datetime("us", "UTC"),
}
"""Where a raw row came from: the delivered file, the record in it, when the file was written, and its batch."""

EVENT_DATE = "_event_date"
"""The day that a raw row belongs to, as it says itself; null when it cannot be told."""

WINDOW = "_window"
"""Column of a row on its way: the day with which it is judged."""

RECEIVED = "_received"
"""Column of a row on its way: everything that it held before the transform."""

LINEAGE = ("_source", "_offset")
"""The origin that every row keeps for as long as rows are not aggregated."""

LAST = "_last"
"""Column of a table with keys: what orders the newest event of the key that was seen, whatever came of it."""

VALID = ("valid_from", "valid_to", "is_current")
"""Columns of a history: a version holds from `valid_from` until before `valid_to`, null for the current one."""

RESCUED = "_rescued"
"""What was delivered and does not fit into the columns of a raw table: a JSON object of texts; null when all fits."""

DELETED = "_deleted"
"""Column of a table with keys: true for a tombstone."""

BROKEN = "_rules"
"""Column of a rejected row: the names of every rule that it broke."""


def hide_tombstones(rows: pl.LazyFrame) -> pl.LazyFrame:
    """The rows that a reader sees, without the column that told them from tombstones."""
    return rows.filter(~pl.col(DELETED)).drop(DELETED) if DELETED in rows.collect_schema() else rows
