"""The quarantine of a derived table: its rejected rows on their way there, and which of its periods hold open ones.

Belongs here: what stands in quarantine for the periods that are made, and what names a row in it. Does not belong here:
what a state is (`states.py`), and when a period is made again (`staleness.py`, `replay.py`).
"""

from collections.abc import Mapping, Sequence
from datetime import date

import polars as pl
from deltalake import DeltaTable

from lakehouse.calendar import WHOLE_TABLE, Days, PeriodKey
from lakehouse.publish.audit import Audit
from lakehouse.publish.request import ReplaceAll, ReplaceDays, TableInfo
from lakehouse.quarantine.states import (
    OPEN,
    RELEASED,
    Attempt,
    fill_states,
    identify_by_origin,
    is_in,
    merge_all_judged,
    merge_some_judged,
)
from lakehouse.storage.lake import Lake, scan_visible_rows
from lakehouse.storage.revision import Revision
from lakehouse.system_columns import EVENT_DATE, LINEAGE, WINDOW
from lakehouse.tables.table_types import DerivedTable
from lakehouse.tables.type_widening import align_types


def request_rejected_rows(  # noqa: PLR0913
    lake: Lake,
    table: DerivedTable,
    rows: pl.LazyFrame,
    base: Revision | None,
    attempt: Attempt,
    *,
    days: Sequence[date] | None = None,
    is_all: bool = True,
) -> ReplaceAll | ReplaceDays:
    """The rejected rows of some days, with those that stand there in quarantine, for its next version.

    Args:
        lake: where the tables are.
        table: what rejected them.
        rows: the rows that are rejected now.
        base: the revision of the quarantine that was read; None for none.
        attempt: who judges.
        days: all days of the periods that are made; None for a table without periods.
        is_all: whether all rows of these days were judged; otherwise what is not rejected now stays as it stands.
    """
    handle = None if base is None else lake.open_shared(table.quarantine, base.version)
    rows, retyped = align_types(
        rows, {} if handle is None else scan_visible_rows(handle).collect_schema()
    )
    standing = None if handle is None else _standing(handle, days)
    if standing is not None:
        standing = standing.with_columns(
            pl.col(name).cast(dtype) for name, dtype in retyped.items()
        )
        names = _names(table, standing.collect_schema(), rows.collect_schema())
        carry = merge_all_judged if is_all else merge_some_judged
        rows = carry(standing, rows, names, attempt, is_unique=_keeps_origins(table))
    info = TableInfo(
        description=f"Rows that {table.name} rejected, as received, with every rule that they broke and their state.",
        hidden=frozenset(rows.collect_schema().names()) - {WINDOW, *LINEAGE},
    )
    if days is None:
        return ReplaceAll(table.quarantine, rows, base=base, info=info)
    return ReplaceDays(
        table.quarantine,
        rows,
        base=base,
        info=info,
        day_column=WINDOW,
        days=days,
        retyped=retyped,
    )


def _standing(handle: DeltaTable, days: Sequence[date] | None) -> pl.LazyFrame | None:
    """The rows that stand in quarantine for some days; None when there are none, so that nothing has to be joined."""
    rows = scan_visible_rows(handle)
    if days is not None and WINDOW in rows.collect_schema():
        rows = rows.filter(pl.col(WINDOW).is_in(pl.Series(days, dtype=pl.Date).implode()))
    return None if rows.head(1).collect(engine="streaming").is_empty() else rows


def _keeps_origins(table: DerivedTable) -> bool:
    """Whether each row is one record of a delivery."""
    return not table.is_aggregate and table.explode is None


def _names(table: DerivedTable, standing: pl.Schema, rejected: pl.Schema) -> list[pl.Expr]:
    """What names a row: its origin, and its values where a record became several rows; of an aggregate, its key."""
    if _keeps_origins(table):
        return identify_by_origin()
    key = table.properties.key if table.is_aggregate else ()
    if key:
        return [pl.col(name).cast(pl.String) for name in key]
    common = [name for name in rejected if name in standing and not name.startswith("_")]
    values = pl.struct(common).hash() if common else pl.lit(0, dtype=pl.UInt64)
    return [values] if table.is_aggregate else [*identify_by_origin(), values]


def scan_quarantine(lake: Lake, table: DerivedTable) -> pl.LazyFrame | None:
    """All rows that were ever quarantined, with their states; None when none was."""
    handle = lake.open_shared(table.quarantine)
    return None if handle is None else fill_states(scan_visible_rows(handle))


def find_open_periods(lake: Lake, table: DerivedTable) -> set[PeriodKey]:
    """The periods that hold open rows; None stands for a table without periods."""
    rows = scan_quarantine(lake, table)
    if rows is None:
        return set()
    of_open = rows.filter(is_in(OPEN))
    if table.partitions is None:
        return set() if of_open.head(1).collect().is_empty() else {WHOLE_TABLE}
    period = table.partitions.period_start_expr(pl.col(WINDOW))
    return set(of_open.select(period.unique()).collect(engine="streaming").to_series().drop_nulls())


def find_arrived_periods(
    lake: Lake, table: DerivedTable, audits: Mapping[PeriodKey, Audit], known: Days
) -> set[date]:
    """The periods of rejected rows that were dated ahead, of days that exist by now, and the first, which has them.

    The first may be made and their own not yet, when a run ended between the two.

    Args:
        lake: where the tables are.
        table: a table with periods.
        audits: the latest audit of each period.
        known: all days that the table has.
    """
    rows = scan_quarantine(lake, table)
    if (
        rows is None
        or table.partitions is None
        or not {WINDOW, EVENT_DATE} <= set(rows.collect_schema())
    ):
        return set()
    day = pl.col(EVENT_DATE)
    ahead = rows.filter((pl.col(WINDOW) == known.first) & (day > known.first) & (day <= known.last))
    of_day = ahead.group_by(day).agg(
        waits=(~is_in(RELEASED)).any(), left=pl.col("_settled_at").max()
    )
    found: set[date] = set()
    for gone, waits, left in of_day.collect(engine="streaming").iter_rows():
        made = audits.get(table.partitions.period_start(gone))
        if waits:
            found |= {*table.partitions.period_keys([known.first, gone])}
        elif made is None or (left is not None and made.audited_at <= left):
            found |= {table.partitions.period_start(gone)}
    return found
