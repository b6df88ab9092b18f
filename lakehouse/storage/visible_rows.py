"""How many rows of a table a reader sees: the one count of every command and page."""

import polars as pl
from deltalake import DeltaTable

from lakehouse.storage.lake import list_data_files, scan_all_rows, scan_visible_rows
from lakehouse.system_columns import DELETED


def count_visible_rows(handle: DeltaTable) -> int:
    """Returns the rows of an open table, without the tombstones of deleted keys."""
    counts = list_data_files(handle)
    rows = scan_all_rows(handle)
    hidden = pl.col(DELETED) if DELETED in rows.collect_schema() else None
    # Another program may write files without statistics, or delete rows within a file.
    is_counted = not (counts.height and counts["num_records"].null_count())
    if not is_counted or "deletionVectors" in (handle.protocol().reader_features or ()):
        return _count(scan_visible_rows(handle))
    total = int(counts["num_records"].sum()) if counts.height else 0
    return total if hidden is None else total - _count(rows.filter(hidden))


def _count(rows: pl.LazyFrame) -> int:
    return int(rows.select(pl.len()).collect(engine="streaming").item())
