"""Scans of single Parquet files: data files of a table, and temporary files.

Whole tables are scanned by `lake.py`, through their log.
"""

from collections.abc import Mapping
from typing import Literal

import polars as pl


def scan_parquet_files(
    paths: str | list[str],
    options: Mapping[str, str] | None = None,
    *,
    schema: Mapping[str, pl.DataType] | None = None,
    extra_columns: Literal["ignore", "raise"] = "raise",
    path_column: str | None = None,
) -> pl.LazyFrame:
    """Scans Parquet files by their paths or URIs.

    Args:
        paths: the files.
        options: object store options, as Polars takes them.
        schema: the columns to read; a column that a file lacks is null in its rows. None: the
            columns of the first file, which all files must have.
        extra_columns: what to do about columns of later files that are not read.
        path_column: the name of a column that gets the path of each row's file.
    """
    return pl.scan_parquet(
        paths,
        schema=None if schema is None else pl.Schema(schema),
        # Files that were written before a column was added lack it.
        missing_columns="raise" if schema is None else "insert",
        extra_columns=extra_columns,
        include_file_paths=path_column,
        storage_options=dict(options) if options else None,
        # The lake names its files and folders itself: neither is a pattern or holds a column's
        # value.
        glob=False,
        hive_partitioning=False,
    )
