"""The rows of a table in the columns by which it is declared."""

import polars as pl
from deltalake import DeltaTable

from lakehouse.storage.lake import scan_visible_rows
from lakehouse.system_columns import RESCUED
from lakehouse.tables.table_types import RawTable, Table


def scan_declared(handle: DeltaTable, source: Table) -> pl.LazyFrame:
    """The rows of an open table in the columns by which it is declared."""
    rows = scan_visible_rows(handle)
    return (
        add_missing_columns(rows, source)
        if isinstance(source, RawTable)
        else rows.select(source.schema.names())
    )


def add_missing_columns(rows: pl.LazyFrame, source: RawTable) -> pl.LazyFrame:
    """The rows of a raw table, null in columns that were declared after its last commit."""
    standing = rows.collect_schema()
    known = {
        name: t for name, t in source.schema.items() if name in source.columns or name == RESCUED
    }
    return rows.with_columns(
        pl.lit(None, t).alias(name) for name, t in known.items() if name not in standing
    )
