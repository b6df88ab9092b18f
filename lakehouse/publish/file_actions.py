"""Files of a table as the actions of a Delta commit.

Belongs here: what the log says of a file. Does not belong here: which files come and go (`draft.py`).
"""

import time
from collections.abc import Sequence
from datetime import date
from typing import Any

import polars as pl
from deltalake.transaction import AddAction, RemoveAction

from lakehouse.publish.request import Sheet
from lakehouse.publish.statistics import add_record_count, read_statistics
from lakehouse.storage.duckdb_connection import connect_for_footers
from lakehouse.storage.lake import Lake

NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"
"""The value of a partition for rows without a day, in the path of a file."""


def make_add_actions(
    lake: Lake, sheet: Sheet, schema: pl.Schema, files: Sequence[Any]
) -> list[AddAction]:
    """Add actions of files that Polars wrote, with the statistics of their footers."""
    with connect_for_footers(lake.options, remote=not lake.is_local) as connection:
        found = read_statistics(
            connection, [file.path for file in files], dict(schema), sheet.hidden
        )
    return [_add(sheet, file, found[file.path]) for file in files]


def _add(sheet: Sheet, file: Any, stats: str) -> AddAction:  # noqa: ANN401
    path, now = make_relative(sheet, file.path), int(time.time() * 1000)
    named = dict(part.split("=", 1) for part in path.split("/")[:-1])
    values = {name: None if value == NULL_PARTITION else value for name, value in named.items()}
    return AddAction(
        path, file.num_bytes, values, now, True, add_record_count(stats, file.num_rows)
    )


def make_remove_actions(sheet: Sheet, files: pl.DataFrame) -> list[RemoveAction]:
    """Remove actions of files, one row each, as `lake.files` tells them."""
    now, partition = int(time.time() * 1000), sheet.partition
    return [
        RemoveAction(
            row["path"],
            True,
            now,
            row["size_bytes"],
            {partition: format_partition(row[f"partition.{partition}"])} if partition else {},
        )
        for row in files.iter_rows(named=True)
    ]


def make_relative(sheet: Sheet, path: str) -> str:
    """The path of a file in its table."""
    return path.replace("\\", "/").rsplit(f"{sheet.table}/", 1)[1]


def format_partition(value: date | None) -> str | None:
    """A partition value as the log writes it; a row of another writer may have none."""
    return None if value is None else str(value)
