"""File statistics for the Delta log, read from the footers of the Parquet files that were just written.

Only what can prune safely gets bounds: integers, dates, instants and short text. Personal data gets none.
"""

import json
import math
import re
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

import duckdb
import polars as pl

_LONGEST_TEXT = 256
_PLAIN_DATE = re.compile(r"(?!0000)\d{4}-\d\d-\d\d(?!.*BC)")
"""Years 1 to 9999; the Delta log has no way to write others."""

_FOOTERS = """
    SELECT file_name, path_in_schema, bool_and(stats_min_value IS NOT NULL), bool_and(stats_max_value IS NOT NULL),
           list(stats_min_value), list(stats_max_value), sum(stats_null_count), sum(num_values)
    FROM parquet_metadata(?) GROUP BY ALL
"""


def read_statistics(
    connection: duckdb.DuckDBPyConnection,
    paths: Collection[str],
    schema: Mapping[str, pl.DataType],
    hidden: Collection[str],
) -> dict[str, str]:
    """The statistics of each file as the JSON text of an add action, without its record count.

    Args:
        connection: a DuckDB that can read the files.
        paths: the files.
        schema: the columns and their types.
        hidden: columns without bounds, because they hold personal data.
    """
    found: dict[str, dict[str, dict[str, Any]]] = {
        path: {"minValues": {}, "maxValues": {}, "nullCount": {}} for path in paths
    }
    if not paths:
        return {}
    for path, column, has_low, has_high, lows, highs, nulls, _ in connection.execute(
        _FOOTERS, [list(paths)]
    ).fetchall():
        dtype = schema.get(column)
        if dtype is None or isinstance(dtype, (pl.List, pl.Struct)):
            continue
        found[path]["nullCount"][column] = int(nulls or 0)
        if column in hidden or not (has_low and has_high):
            continue
        low = [_bound(dtype, text, up=False) for text in lows]
        high = [_bound(dtype, text, up=True) for text in highs]
        if None not in low and None not in high:
            found[path]["minValues"][column] = min(low)
            found[path]["maxValues"][column] = max(high)
    return {path: _json(stats) for path, stats in found.items()}


def add_record_count(stats: str, records: int) -> str:
    """The JSON text of an add action's statistics with its record count."""
    return _json({"numRecords": records, **json.loads(stats)})


def _json(stats: Mapping[str, Any]) -> str:
    r"""Text unescaped: readers built on arrow-rs take `\ud842\udfb7` for another letter and prune the file away."""
    return json.dumps(stats, ensure_ascii=False)


def _bound(dtype: pl.DataType, text: str, *, up: bool) -> Any:  # noqa: ANN401
    if dtype.is_integer():
        return int(text)
    if isinstance(dtype, pl.Date):
        return text if _PLAIN_DATE.fullmatch(text) else None
    if isinstance(dtype, pl.Datetime):
        return (
            _milliseconds(datetime.fromisoformat(text), up=up) if _PLAIN_DATE.match(text) else None
        )
    if isinstance(dtype, pl.String):
        return text if len(text) <= _LONGEST_TEXT else None
    return None


def _milliseconds(moment: datetime, *, up: bool) -> str | None:
    """Delta keeps milliseconds: the lower bound is cut, the upper bound rounded up; None past the end of time."""
    rounded = (math.ceil if up else math.floor)(moment.microsecond / 1000)
    second = moment.replace(microsecond=0, tzinfo=None)
    try:
        whole = second + timedelta(milliseconds=rounded)
    except OverflowError:
        return None
    return whole.isoformat(timespec="milliseconds") + "Z"
