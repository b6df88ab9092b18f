"""Reading the rows of a table in its declared columns."""

import polars as pl
from deltalake import DeltaTable

from lakehouse.errors import SetupError
from lakehouse.storage.lake import list_data_files, scan_visible_rows
from lakehouse.system_columns import EVENT_DATE, RESCUED
from lakehouse.tables.table_types import RawTable, Table
from lakehouse.tables.years import is_in_years

_WRITTEN_DAY = "_written_day"


def scan_declared(handle: DeltaTable, source: Table) -> pl.LazyFrame:
    """Returns the rows of an open table in its declared columns.

    Raises:
        SetupError: a derived table was made before one of its columns was declared.
    """
    rows = scan_visible_rows(handle)
    if isinstance(source, RawTable):
        return add_missing_columns(rows, source, is_day_whole=_has_days(handle, source))
    stored = rows.collect_schema()
    if missing := [name for name in source.schema.names() if name not in stored]:
        raise SetupError(
            f"{source.name} has no column {', '.join(missing)}: it was made before that was "
            f"declared.\nNext: make all of {source.name} again, then what reads it."
        )
    return rows.select(source.schema.names())


def _has_days(handle: DeltaTable, source: RawTable) -> bool:
    """Returns whether every file of a raw table was written with the days of its rows."""
    if source.day is None:
        return True
    # A file from before `day` was declared has none; one in which no day can be read looks alike.
    files, nulls = list_data_files(handle), f"null_count.{EVENT_DATE}"
    if not files.height:
        return True
    if nulls not in files.columns:
        return False
    return not files.select((pl.col(nulls) == pl.col("num_records")).fill_null(True).any()).item()


def add_missing_columns(
    rows: pl.LazyFrame, source: RawTable, *, is_day_whole: bool = True
) -> pl.LazyFrame:
    """Returns the rows of a raw table; columns declared after its last commit are null.

    The day of a row is read from the row where its file has none.

    Args:
        rows: the stored rows.
        source: the table.
        is_day_whole: whether every file has the days of its rows.
    """
    stored = rows.collect_schema()
    # The origin is in every commit.
    known = {
        name: t for name, t in source.schema.items() if name in source.columns or name == RESCUED
    }
    whole = rows.with_columns(
        pl.lit(None, t).alias(name) for name, t in known.items() if name not in stored
    )
    if source.day is None or (EVENT_DATE in stored and is_day_whole):
        return whole
    if EVENT_DATE not in stored:
        return add_day(whole, source)
    written = whole.rename({EVENT_DATE: _WRITTEN_DAY})
    day = pl.coalesce(_WRITTEN_DAY, EVENT_DATE).alias(EVENT_DATE)
    return add_day(written, source).with_columns(day).drop(_WRITTEN_DAY)


def add_day(rows: pl.LazyFrame, raw: RawTable) -> pl.LazyFrame:
    """Returns rows with the day that their raw table gives them; without, where it declares none.

    A day that Python cannot hold, of the year 20240 for example, is none: it would stop whoever
    reads the days of the table.
    """
    if raw.day is None:
        return rows
    day = pl.when(is_in_years(raw.day, pl.Date())).then(raw.day)
    return rows.with_columns(day.alias(EVENT_DATE))
