"""The system columns: every column that begins with `_`, its type and its meaning.

The columns that date a history are here as well. The columns of the states of rejected rows are in
`quarantine/states.py`.
"""

from collections.abc import Mapping

import polars as pl

# Times are in microseconds and UTC, for readers of Delta break on nanoseconds and naive times.
# `_offset` is a number, because file statistics cut off long texts.
ORIGIN: Mapping[str, pl.DataType] = {
    "_source": pl.String(),
    "_offset": pl.Int64(),
    "_modified_at": pl.Datetime("us", "UTC"),
    "_batch_id": pl.String(),
    "_ingested_at": pl.Datetime("us", "UTC"),
}
"""The origin of a raw row: the file, the record in it, when the file was written, and the batch."""

LINEAGE = ("_source", "_offset")
"""The part of the origin that every row keeps until rows are aggregated."""

EVENT_DATE = "_event_date"
"""Column of a raw row: the day that it belongs to by its own values; null when they give none."""

WINDOW = "_window"
"""Column of a row in a transform and in quarantine: the day with which it is judged."""

RECEIVED = "_received"
"""Column of a row in a transform: everything that it held before the transform."""

RESCUED = "_rescued"
"""Column of a raw row: what was delivered and fits no column, as JSON; null if all fits."""

LAST = "_last"
"""Column of a table with keys: the sequence of the key's newest event, even a rejected one."""

EVENT = "_event"
"""Column of a rejected row of a table with keys: its key, its sequence, and when it was written."""

DELETED = "_deleted"
"""Column of a table with keys: true for a tombstone."""

# Without `_`: people read these by name.
VALID = ("valid_from", "valid_to", "is_current")
"""Columns of a history: a version is valid until before `valid_to`, null for the current one."""

BROKEN = "_rules"
"""Column of a rejected row: the names of every rule that it broke."""

TOO_LARGE = "_too_large"
"""Column of a rejected row of an aggregate: its whole numbers without room in their types."""


def hide_tombstones(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Returns the rows that a reader sees: without tombstones and the column that marks them."""
    # Only a table whose events can delete a key has the column.
    if DELETED not in rows.collect_schema():
        return rows
    return rows.filter(~pl.col(DELETED)).drop(DELETED)
