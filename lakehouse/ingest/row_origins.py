"""The deliveries that have rows in a raw table, read from the rows' `_source` and `_modified_at`.

Where a data file holds one delivery, the statistics in the Delta log answer without reading it.
Where small deliveries share a file, its rows are read, once per process.
"""

from collections.abc import Iterable

import polars as pl
from deltalake import DeltaTable

from lakehouse.errors import SetupError
from lakehouse.expressions import differs_from_previous
from lakehouse.ingest.files.listing import Occurrence
from lakehouse.origin import has_short_digest, is_readable, select_digest, select_name
from lakehouse.storage.handle_cache import ValueCache
from lakehouse.storage.lake import Lake, list_data_files
from lakehouse.storage.parquet import scan_parquet_files
from lakehouse.system_columns import ORIGIN

ROW_ORIGIN = pl.Schema({"_source": pl.String(), "_modified_at": ORIGIN["_modified_at"]})
"""The columns that identify the delivery of a row."""

_FIRST = pl.Schema(
    {"digest": pl.String(), "_modified_at": ORIGIN["_modified_at"], "name": pl.String()}
)


def read_occurrences(lake: Lake, table: str, handle: DeltaTable) -> dict[str, Occurrence]:
    """Reads the deliveries that have rows in a raw table at the handle's version.

    Returns:
        The first occurrence of each delivery, by the hash of its bytes.
    """
    return index_occurrences(read_first_occurrences(lake, table, handle))


def index_occurrences(first: pl.DataFrame) -> dict[str, Occurrence]:
    """Returns the rows of `read_first_occurrences` as a mapping from digest to occurrence."""
    return {digest: Occurrence(moment, name) for digest, moment, name in first.iter_rows()}


class RowOriginCache:
    """The origins that were read, for as long as the open tables of a lake are kept.

    Attributes:
        first: the result of `read_first_occurrences`, by table.
        by_file: rows of `ROW_ORIGIN` of each live data file, by table and path.
    """

    def __init__(self) -> None:
        self.first = ValueCache[pl.DataFrame]()
        self.by_file: dict[str, dict[str, pl.DataFrame]] = {}


def _cache(lake: Lake) -> RowOriginCache:
    return lake.handles.companion(RowOriginCache)


def read_first_occurrences(lake: Lake, table: str, handle: DeltaTable | None) -> pl.DataFrame:
    """Reads the deliveries with rows in a table, as `select_first_occurrences` returns them."""
    if handle is None:
        return pl.DataFrame(schema=_FIRST)
    return _cache(lake).first.get(
        table, (handle,), lambda: select_first_occurrences(_read_origins(lake, table, handle))
    )


def select_first_occurrences(origins: pl.DataFrame) -> pl.DataFrame:
    """Selects the first occurrence of each delivery: the one that was written first.

    Args:
        origins: rows of `ROW_ORIGIN`; those of unreadable files are left out.

    Returns:
        One row for each delivery: `digest`, `_modified_at` and `name`.

    Raises:
        SetupError: an earlier version of the engine has written rows of another form.
    """
    source = pl.col("_source")
    readable = origins.lazy().filter(is_readable(source))
    # Every file would look new to these rows, and land a second time beside them.
    if readable.select(has_short_digest(source).any()).collect().item():
        raise SetupError(
            "The lake was filled by a version of the engine before 0.2.0: its rows name their "
            "files by the start of a hash.\n"
            "Next: rebuild the lake in another folder (LAKEHOUSE_LAKE) from the files in landing."
        )
    return (
        readable.select(select_digest(source), "_modified_at", select_name(source))
        .sort("digest", "_modified_at", "name")
        .unique("digest", keep="first", maintain_order=True)
        .collect()
    )


def _read_origins(lake: Lake, table: str, handle: DeltaTable) -> pl.DataFrame:
    """Reads the origins of the rows of a table: at least one row for each delivery."""
    files = list_data_files(handle)
    if files.is_empty():
        return pl.DataFrame(schema=ROW_ORIGIN)
    bounds = [f"{end}.{column}" for column in ROW_ORIGIN for end in ("min", "max")]
    # No file has such a bound, as where another program has written all of them.
    if any(bound not in files.columns for bound in bounds):
        return _read_files(lake, table, files["path"])
    is_one_source = pl.col(bounds[0]) == pl.col(bounds[1])
    is_one_moment = pl.col(bounds[2]) == pl.col(bounds[3])
    # A file without bounds is read, as one whose name is too long for a bound.
    is_one = (is_one_source & is_one_moment).fill_null(False)
    by_statistics = files.filter(is_one).select(_source=bounds[0], _modified_at=bounds[2])
    by_rows = _read_files(lake, table, files.filter(~is_one)["path"])
    return pl.concat([by_statistics.cast(ROW_ORIGIN), by_rows])


def _read_files(lake: Lake, table: str, paths: Iterable[str]) -> pl.DataFrame:
    """Reads the origins from the rows of data files, each once: data files never change."""
    cached = _cache(lake).by_file.get(table, {})
    found = {
        path: cached[path] if path in cached else _read_file(lake, f"{lake.uri(table)}/{path}")
        for path in paths
    }
    # The cache is replaced, not extended. Each compaction makes a file with the origins of all
    # before it, so the memory of a daemon grew with the square of the deliveries.
    _cache(lake).by_file[table] = found
    return pl.concat([pl.DataFrame(schema=ROW_ORIGIN), *found.values()])


def _read_file(lake: Lake, uri: str) -> pl.DataFrame:
    rows = scan_parquet_files(uri, lake.options)
    origins = rows.select(ROW_ORIGIN.names()).cast(ROW_ORIGIN)
    # The rows of a delivery are neighbours, so this leaves about one row for each.
    return origins.filter(differs_from_previous(ROW_ORIGIN)).collect(engine="streaming")
