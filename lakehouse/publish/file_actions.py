"""Files of a table as the actions of a Delta commit, with their statistics.

Belongs here: what the log says of a file. Does not belong here: which files are added and removed
(`file_writer.py`).

The statistics are read from the footers of the Parquet files that were just written. Only what can
prune safely gets bounds: integers, dates, instants and short text. Personal data gets none.
"""

import json
import math
import re
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import duckdb
import polars as pl
from deltalake.transaction import AddAction, RemoveAction

from lakehouse.publish.request import Append, Request
from lakehouse.storage.duckdb_connection import connect_for_footers
from lakehouse.storage.lake import Lake

NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"
"""The name that stands for null in the path of a file; the log itself writes null."""

_LONGEST_TEXT = 256  # characters; a longer bound makes the log larger than it can prune
_PLAIN_DATE = re.compile(
    r"(?!0000)\d{4}-\d\d-\d\d(?!.*BC)"
)  # the Delta log can write no other year

_SOURCE = "_source"
_CUT_BYTES = 64  # what Polars writes of a text into the footer
_SOURCES = """
    SELECT _path_of_file, min(_source), max(_source)
    FROM read_parquet(?, filename = '_path_of_file', hive_partitioning = false) GROUP BY ALL
"""
_FOOTERS = """
    SELECT file_name, path_in_schema,
           bool_and(stats_min_value IS NOT NULL), bool_and(stats_max_value IS NOT NULL),
           list(stats_min_value), list(stats_max_value), sum(stats_null_count)
    FROM parquet_metadata(?) GROUP BY ALL
"""


@dataclass(frozen=True)
class WrittenFile:
    """A file that a sink has finished.

    Attributes:
        path: where it is, as a path or a URI.
        rows: how many rows it holds.
        size: its size in bytes.
    """

    path: str
    rows: int
    size: int


def make_add_actions(
    lake: Lake, request: Request, columns: pl.Schema, files: Sequence[WrittenFile]
) -> list[AddAction]:
    """Returns the actions that add files to a table, with the statistics of their footers."""
    paths = [file.path for file in files]
    with connect_for_footers(lake.options, remote=not lake.is_local) as connection:
        statistics = read_statistics(connection, paths, dict(columns), request.info.hidden)
        # Only raw tables, which are appended to, are asked which deliveries they hold.
        if isinstance(request, Append):
            _complete_cut_bounds(connection, statistics)
    return [_make_add_action(request.table, file, statistics[file.path]) for file in files]


def _make_add_action(table: str, file: WrittenFile, statistics: Mapping[str, Any]) -> AddAction:
    path, now = make_relative(table, file.path), int(time.time() * 1000)
    folders = dict(part.split("=", 1) for part in path.split("/")[:-1])
    partition = {
        name: None if value == NULL_PARTITION else value for name, value in folders.items()
    }
    # Text stays unescaped: readers built on arrow-rs take `\ud842\udfb7` for another letter and
    # prune the file away. The time is in milliseconds, as Delta wants it.
    text = json.dumps({"numRecords": file.rows, **statistics}, ensure_ascii=False)
    return AddAction(path, file.size, partition, now, True, text)


def make_remove_actions(partition_column: str | None, files: pl.DataFrame) -> list[RemoveAction]:
    """Returns the actions that remove files, one row each, as `lake.list_data_files` gives them."""
    now = int(time.time() * 1000)
    # Also for compacted files each action says that data changed (`True`). Marked otherwise, it
    # would let a compaction of delta-rs pass that began before and removes the same files.
    return [
        RemoveAction(
            row["path"],
            True,
            now,
            row["size_bytes"],
            {partition_column: format_partition(row[f"partition.{partition_column}"])}
            if partition_column
            else {},
        )
        for row in files.iter_rows(named=True)
    ]


def make_relative(table: str, path: str) -> str:
    """Returns the path of a file relative to its table."""
    return path.replace("\\", "/").rsplit(f"{table}/", 1)[1]


def format_partition(value: date | None) -> str | None:
    """Returns a partition value as the log writes it; rows of other writers may have none."""
    return None if value is None else str(value)


def read_statistics(
    connection: duckdb.DuckDBPyConnection,
    paths: Collection[str],
    columns: Mapping[str, pl.DataType],
    hidden: Collection[str],
) -> dict[str, dict[str, dict[str, Any]]]:
    """Returns the statistics of each file as the Delta log names them, without its count of rows.

    Args:
        connection: a DuckDB that can read the files.
        paths: the files.
        columns: the columns and their types.
        hidden: columns without bounds, because they hold personal data.
    """
    statistics: dict[str, dict[str, dict[str, Any]]] = {
        path: {"minValues": {}, "maxValues": {}, "nullCount": {}} for path in paths
    }
    if not paths:
        return statistics
    footers = connection.execute(_FOOTERS, [list(paths)]).fetchall()
    for path, column, has_low, has_high, lows, highs, nulls in footers:
        dtype = columns.get(column)
        if dtype is None or isinstance(dtype, (pl.List, pl.Struct)):
            continue
        statistics[path]["nullCount"][column] = int(nulls or 0)
        # A row group without bounds may hold any value, and so may its file.
        if column in hidden or not (has_low and has_high):
            continue
        # One text or day that has no bound in a row group leaves the whole file without.
        low = [_parse_bound(dtype, text, is_upper=False) for text in lows]
        high = [_parse_bound(dtype, text, is_upper=True) for text in highs]
        if None not in low and None not in high:
            statistics[path]["minValues"][column] = min(low)
            statistics[path]["maxValues"][column] = max(high)
    return statistics


def _complete_cut_bounds(
    connection: duckdb.DuckDBPyConnection, statistics: Mapping[str, dict[str, dict[str, Any]]]
) -> None:
    """Replaces bounds of `_source` that a footer holds only the beginning of.

    A file whose two bounds are equal holds one delivery, and need not be read to know which. With
    its hash, a `_source` is longer than what Polars writes of a bound.
    """
    cut = [
        path
        for path, found in statistics.items()
        if len(found["minValues"].get(_SOURCE, "").encode()) >= _CUT_BYTES
    ]
    if not cut:
        return
    for path, low, high in connection.execute(_SOURCES, [cut]).fetchall():
        own = statistics[path]
        for kind, bound in (("minValues", low), ("maxValues", high)):
            if len(bound) <= _LONGEST_TEXT:
                own[kind][_SOURCE] = bound
            else:
                own[kind].pop(_SOURCE, None)


def _parse_bound(dtype: pl.DataType, text: str, *, is_upper: bool) -> Any:  # noqa: ANN401
    """Returns a bound as the Delta log writes it; None where it cannot prune safely."""
    if dtype.is_integer():
        return int(text)
    if isinstance(dtype, pl.Date):
        return text if _PLAIN_DATE.fullmatch(text) else None
    if isinstance(dtype, pl.Datetime):
        if not _PLAIN_DATE.match(text):
            return None
        return _round_to_milliseconds(datetime.fromisoformat(text), is_upper=is_upper)
    if isinstance(dtype, pl.String):
        return text if len(text) <= _LONGEST_TEXT else None
    return None


def _round_to_milliseconds(moment: datetime, *, is_upper: bool) -> str | None:
    """Returns an instant in milliseconds, which is what Delta keeps; None past the end of time.

    The lower bound is cut and the upper one rounded up, so that both still hold every value.
    """
    milliseconds = (math.ceil if is_upper else math.floor)(moment.microsecond / 1000)
    second = moment.replace(microsecond=0, tzinfo=None)
    try:
        rounded = second + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return None
    return rounded.isoformat(timespec="milliseconds") + "Z"
