"""Changing the states of rows in quarantine: the same rows with other states, in one commit.

Such a commit carries an audit of its own, which distinguishes it from a change by another program
(`lineage/quarantine_changes.py`).
"""

from dataclasses import dataclass

import polars as pl

from lakehouse.publish.audit import Audit, Provenance
from lakehouse.publish.publish import publish
from lakehouse.publish.request import ReplaceAll, ReplaceDays, TableInfo
from lakehouse.quarantine.dead_letters import COMMENTS, DEAD_LETTERS
from lakehouse.storage.lake import Lake
from lakehouse.storage.revision import Revision
from lakehouse.system_columns import LINEAGE, WINDOW


@dataclass(frozen=True)
class StateChange:
    """A change of the states of some rows.

    Attributes:
        table: a table of the layer `quarantine`.
        base: the revision of it that was read.
        rows: its rows at that revision.
        is_changed: true for a row whose state changes.
        changed: all rows, with their new states.
    """

    table: str
    base: Revision
    rows: pl.LazyFrame
    is_changed: pl.Expr
    changed: pl.LazyFrame


def update_states(lake: Lake, change: StateChange, run_id: str) -> int:
    """Publishes a change of states; returns how many rows it changed.

    Of a table with days, only the days with such rows are written. Nothing is committed for no
    rows.

    Args:
        lake: where the tables are.
        change: what changes.
        run_id: who asks; stored in the commit.

    Raises:
        BusyError: another writer was faster.
    """
    count, days = _find_changed(change)
    if count == 0:
        return 0
    # All rows of the days are read and written, so the account balances; `count` is not part of it.
    request, read = _build_request(change, days)
    provenance = Provenance(run_id)
    publish(
        lake,
        request,
        # With an audit the commit makes no period stale: the rejected rows are the same.
        lambda result: Audit(
            change.table, "replace", read=read, written=result.rows, provenance=provenance
        ),
    )
    return count


def _find_changed(change: StateChange) -> tuple[int, pl.Series | None]:
    """Returns how many rows change, and their days; None for a table without days."""
    columns = {"rows": pl.len()}
    if WINDOW in change.rows.collect_schema():
        columns["days"] = pl.col(WINDOW).unique().implode()
    found = change.rows.filter(change.is_changed).select(**columns).collect()
    days = found["days"].explode() if "days" in columns else None
    return int(found["rows"].item()), days


def _build_request(
    change: StateChange, days: pl.Series | None
) -> tuple[ReplaceAll | ReplaceDays, int]:
    """Returns the write request, and how many rows it replaces."""
    names = frozenset(change.changed.collect_schema().names())
    info = TableInfo(
        comments=COMMENTS if change.table == DEAD_LETTERS else {},
        # Days and origins prune files. Whatever else was delivered may be personal.
        hidden=names - {WINDOW, "table", *LINEAGE},
    )
    # Dead letters have no days. Elsewhere another program has put a row without a day there. Then
    # the whole table is written again.
    if days is None or days.null_count():
        request = ReplaceAll(change.table, change.changed, base=change.base, info=info)
        return request, _count(change.rows)
    is_written = pl.col(WINDOW).is_in(days.implode())
    of_days = ReplaceDays(
        change.table,
        change.changed.filter(is_written),
        base=change.base,
        info=info,
        day_column=WINDOW,
        days=days.sort().to_list(),
    )
    return of_days, _count(change.rows.filter(is_written))


def _count(rows: pl.LazyFrame) -> int:
    return int(rows.select(pl.len()).collect(engine="streaming").item())
