"""The quarantine of a derived table: the rows that its contract rejects, on their way there.

Belongs here: the write request for rejected rows, and what identifies one. Does not belong here:
what a state is (`states.py`), and which periods are made again because of rejected rows
(`lineage/quarantine_changes.py`).
"""

from collections.abc import Sequence
from datetime import date

import polars as pl
from deltalake import DeltaTable

from lakehouse.publish.request import ReplaceAll, ReplaceDays, TableInfo
from lakehouse.quarantine.merge_states import merge_all_judged, merge_some_judged
from lakehouse.quarantine.states import (
    Attempt,
    fill_states,
    identify_by_origin,
)
from lakehouse.storage.lake import Lake, scan_visible_rows
from lakehouse.storage.revision import Revision
from lakehouse.system_columns import LINEAGE, WINDOW
from lakehouse.tables.table_types import DerivedTable
from lakehouse.tables.type_widening import align_types, find_exact_type


def request_rejected_rows(  # noqa: PLR0913, two of them say which rows were judged
    lake: Lake,
    table: DerivedTable,
    rows: pl.LazyFrame,
    base: Revision | None,
    attempt: Attempt,
    *,
    days: Sequence[date] | None = None,
    is_all: bool = True,
) -> ReplaceAll | ReplaceDays:
    """Returns the request to write the next version of a table's quarantine.

    It holds the rows that are rejected now, and those of the same days that were in quarantine
    before, with their states.

    Args:
        lake: where the tables are.
        table: the table whose contract rejected the rows.
        rows: the rows that are rejected now.
        base: the revision of the quarantine that was read; None for none.
        attempt: who judges.
        days: all days of the periods that are made; None for a table without periods.
        is_all: whether all rows of these days were judged. If not, a row that was in quarantine and
            is not rejected now stays unchanged.
    """
    # Read at its base: rows that another writer puts there meanwhile are a conflict at the commit.
    handle = None if base is None else lake.open_revision(table.quarantine, base)
    schema = {} if handle is None else scan_visible_rows(handle).collect_schema()
    rows, retyped = align_types(rows, schema, find_exact_type)
    has_undated = _has_first_day(table, days)
    before = None if handle is None else _read_days(handle, days, has_undated=has_undated)
    # Replacing these days would drop the rows that pass now. They stay, as released: nothing that
    # was ever rejected disappears.
    if before is not None:
        before = before.with_columns(pl.col(name).cast(dtype) for name, dtype in retyped.items())
        rows = _merge(table, before, rows, attempt, is_all=is_all)
    info = _describe(table, rows)
    if days is None:
        return ReplaceAll(table.quarantine, rows, base=base, info=info)
    return ReplaceDays(
        table.quarantine,
        rows,
        base=base,
        info=info,
        day_column=WINDOW,
        days=days,
        has_undated=has_undated,
        retyped=retyped,
    )


def _merge(
    table: DerivedTable,
    before: pl.LazyFrame,
    rows: pl.LazyFrame,
    attempt: Attempt,
    *,
    is_all: bool,
) -> pl.LazyFrame:
    """Returns the rejected rows together with those that were in quarantine before."""
    identity = _identify(table, before.collect_schema(), rows.collect_schema())
    merge = merge_all_judged if is_all else merge_some_judged
    return merge(before, rows, identity, attempt, is_unique=_keeps_origins(table))


def _has_first_day(table: DerivedTable, days: Sequence[date] | None) -> bool:
    # Rows that another program has put there without a day are judged with the first period.
    return days is not None and table.partitions is not None and table.partitions.first in days


def _describe(table: DerivedTable, rows: pl.LazyFrame) -> TableInfo:
    return TableInfo(
        description=(
            f"Rows that {table.name} rejected, as received, with every rule that they broke and "
            "their state."
        ),
        # Rejected rows may hold personal data in any column, so the log holds no bounds of them.
        hidden=frozenset(rows.collect_schema().names()) - {WINDOW, *LINEAGE},
    )


def _read_days(
    handle: DeltaTable, days: Sequence[date] | None, *, has_undated: bool
) -> pl.LazyFrame | None:
    """Returns the rows in quarantine for some days; None when there are none.

    None spares the streaming pass a join.
    """
    rows = scan_visible_rows(handle)
    if days is not None and WINDOW in rows.collect_schema():
        is_wanted = pl.col(WINDOW).is_in(pl.Series(days, dtype=pl.Date).implode())
        rows = rows.filter(is_wanted.fill_null(has_undated))
    return None if rows.head(1).collect(engine="streaming").is_empty() else rows


def _keeps_origins(table: DerivedTable) -> bool:
    """Returns whether each row is one record of a delivery."""
    return not table.is_aggregate and table.explode is None


def _identify(table: DerivedTable, before: pl.Schema, rejected: pl.Schema) -> list[pl.Expr]:
    """Returns what identifies a row.

    For a row of an aggregate, that is its key. For others it is the origin, and the values as well
    where a record became several rows.
    """
    if _keeps_origins(table):
        return identify_by_origin()
    key = table.properties.key if table.is_aggregate else ()
    if key:
        # As text, so that a key whose declared type has changed since then still joins.
        return [pl.col(name).cast(pl.String) for name in key]
    # Only what both have: a column that comes or goes must not turn old rows into new ones.
    common = [name for name in rejected if name in before and not name.startswith("_")]
    values = pl.struct(common).hash() if common else pl.lit(0, dtype=pl.UInt64)
    return [values] if table.is_aggregate else [*identify_by_origin(), values]


def scan_quarantine(lake: Lake, table: DerivedTable) -> pl.LazyFrame | None:
    """Returns all rows that were ever rejected, with their states; None when none was."""
    handle = lake.open_shared(table.quarantine)
    # Rows that another program has put there have no state yet.
    return None if handle is None else fill_states(scan_visible_rows(handle))
