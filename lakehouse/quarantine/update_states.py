"""Changing the states of rows that stand in quarantine: the same rows, in one commit, with other states.

Such a commit carries an audit of its own, by which it is told from a strange hand (`rejects.py`).
"""

import polars as pl

from lakehouse.publish.audit import Audit, Provenance
from lakehouse.publish.publish import publish
from lakehouse.publish.request import ReplaceAll, ReplaceDays, TableInfo
from lakehouse.quarantine.dead_letters import COMMENTS, DEAD_LETTERS
from lakehouse.storage.lake import Lake
from lakehouse.storage.revision import Revision
from lakehouse.system_columns import LINEAGE, WINDOW


def update_states(  # noqa: PLR0913
    lake: Lake,
    place: str,
    base: Revision,
    rows: pl.LazyFrame,
    chosen: pl.Expr,
    changed: pl.LazyFrame,
    run_id: str,
) -> int:
    """Put rows with other states in the place of those that stand, day by day where they have days.

    Args:
        lake: where the tables are.
        place: a table of the layer `quarantine`.
        base: the revision of it that was read.
        rows: its rows at that revision.
        chosen: true for a row of which something changes.
        changed: all rows, as they are to be.
        run_id: who asks; stored in the commit.

    Returns:
        How many rows were chosen; nothing is committed for none.

    Raises:
        BusyError: another writer was faster.
    """
    names = rows.collect_schema().names()
    asked = {"days": pl.col(WINDOW).unique()} if WINDOW in names else {}
    found = (
        rows.filter(chosen)
        .select(pl.len().alias("rows"), **{n: e.implode() for n, e in asked.items()})
        .collect()
    )
    if not found["rows"].item():
        return 0
    info = TableInfo(
        comments=COMMENTS if place == DEAD_LETTERS else {},
        hidden=frozenset(changed.collect_schema().names()) - {WINDOW, "table", *LINEAGE},
    )
    days = found["days"].explode() if asked else None
    request: ReplaceAll | ReplaceDays
    # A row without a day was put there by somebody else; then the whole table is written again.
    if days is None or days.null_count():
        is_written = pl.lit(True)
        request = ReplaceAll(place, changed, base=base, info=info)
    else:
        is_written = pl.col(WINDOW).is_in(days.implode())
        request = ReplaceDays(
            place,
            changed.filter(is_written),
            base=base,
            info=info,
            day_column=WINDOW,
            days=days.sort().to_list(),
        )
    read = int(rows.filter(is_written).select(pl.len()).collect(engine="streaming").item())
    provenance = Provenance(run_id)
    publish(
        lake,
        request,
        lambda told: Audit(place, "replace", read=read, written=told.rows, provenance=provenance),
    )
    return int(found["rows"].item())
