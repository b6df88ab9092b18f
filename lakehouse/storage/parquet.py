"""Scans of single Parquet files: data files of a table, and temporary files.

Whole tables are scanned by `lake.py`, through their log.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import polars as pl


def scan_parquet_files(
    paths: str | Path | Sequence[str | Path],
    options: Mapping[str, str] | None = None,
    *,
    schema: Mapping[str, pl.DataType] | None = None,
    extra_columns: Literal["ignore", "raise"] = "raise",
    path_column: str | None = None,
) -> pl.LazyFrame:
    """Scans Parquet files by their paths or URIs, or all files of a folder.

    Args:
        paths: the files, or one folder.
        options: object store options, as Polars takes them.
        schema: the columns to read; a column that a file lacks is null in its rows. None: the
            columns of the first file, which all files must have.
        extra_columns: what to do about columns of later files that are not read.
        path_column: the name of a column that gets the path of each row's file.
    """
    listed = [paths] if isinstance(paths, str | Path) else paths
    return pl.scan_parquet(
        [str(path) for path in listed],
        schema=None if schema is None else pl.Schema(schema),
        # Files that were written before a column was added lack it.
        missing_columns="raise" if schema is None else "insert",
        extra_columns=extra_columns,
        include_file_paths=path_column,
        storage_options=dict(options) if options else None,
        # A path is never a pattern and holds no column's value: a lake or a folder for temporary
        # files may be called `a[1]` or `b=1`.
        glob=False,
        hive_partitioning=False,
    )
