"""Which days a commit touched, as the Delta log tells it; it does not matter who wrote the commit."""

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import date
from typing import Any

import polars as pl

from lakehouse.publish.audit import AUDIT_KEY, Audit
from lakehouse.storage.lake import Lake
from lakehouse.storage.log import Commit
from lakehouse.system_columns import EVENT_DATE
from lakehouse.tables.table_types import DerivedTable, RawTable, Table

RESTORED = "restored"
"""The key of a commit's metadata under which `lakehouse restore` says who went back, where to, and why."""

ALL = None
"""Stands for every day, where it cannot be told which."""

Touched = frozenset[date | None] | None
"""The days that a commit touched, None among them for rows without a day; or ALL."""


def read_audit(commit: Commit) -> Audit | None:
    """The audit that a commit carries, if it is one of ours."""
    stored = commit.info.get(AUDIT_KEY)
    if not isinstance(stored, Mapping):
        return None
    with suppress(ValueError):
        return Audit.from_metadata(stored, commit.version)
    return None


def changes_rows(commit: Commit) -> bool:
    """Whether a commit added or took away rows, rather than moved them."""
    return bool(commit.data_added or commit.data_removed)


def find_touched_days(lake: Lake, source: Table, commit: Commit) -> Touched:
    """The days of the rows that a commit added or took away."""
    undone = list_undone_commits(lake, source.name, commit)
    if undone is not None:
        several = [find_touched_days(lake, source, one) for one in undone]
        return (
            ALL
            if ALL in several
            else frozenset().union(*(days for days in several if days is not ALL))
        )
    audit = read_audit(commit)
    if isinstance(source, DerivedTable) and source.partitions and audit is not None:
        return frozenset(day for span in audit.materialized for day in span)
    column = EVENT_DATE if isinstance(source, RawTable) else source.properties.date_column
    return read_days_of_files(lake, source.name, commit, column)


def list_undone_commits(lake: Lake, table: str, commit: Commit) -> list[Commit] | None:
    """The commits that a RESTORE undid or brought back, which tell its days better than its files do; None if lost."""
    if not _is_restore(commit) or (low := parse_restored_version(commit.info)) is None:
        return None
    while True:
        tail = lake.read_log_tail(table, after=low)
        between = [one for one in tail.commits if one.version < commit.version]
        reached = [parse_restored_version(one.info) for one in between if _is_restore(one)]
        if tail.after > low or None in reached:
            return None
        lowest = min([low, *(version for version in reached if version is not None)])
        if lowest == low:
            return [one for one in between if not _is_restore(one)]
        low = lowest


def _is_restore(commit: Commit) -> bool:
    return bool(commit.info.get("operation") == "RESTORE")


def parse_restored_version(info: Mapping[str, Any]) -> int | None:
    """The version that a RESTORE went back to; None where it is named by its time."""
    parameters = info.get("operationParameters")
    version = parameters.get("version") if isinstance(parameters, Mapping) else None
    return int(str(version)) if str(version).isdigit() else None


def read_days_of_files(lake: Lake, table: str, commit: Commit, column: str | None) -> Touched:
    """The days in the files that a commit added or took away, by the column that holds them."""
    days: set[date | None] = set()
    for action in (*commit.data_added, *commit.data_removed):
        found = _days_of_file(lake, table, action, column)
        if found is ALL:
            return ALL
        days |= found
    return frozenset(days)


def _days_of_file(
    lake: Lake, table: str, action: Mapping[str, Any], column: str | None
) -> set[date | None] | None:
    """The days in a data file: from its statistics when they name one day, from its rows otherwise."""
    if column is None:
        return ALL
    stats = json.loads(action.get("stats") or "{}")
    low, high = (stats.get(bound, {}).get(column) for bound in ("minValues", "maxValues"))
    if low is not None and low == high and stats.get("nullCount", {}).get(column) == 0:
        return {date.fromisoformat(low)}
    try:
        uri = f"{lake.uri(table)}/{action['path']}"
        rows = pl.scan_parquet(
            uri, hive_partitioning=False, glob=False, storage_options=dict(lake.options) or None
        )
        return set(rows.select(_python_date(pl.col(column)).unique()).collect().to_series())
    except (FileNotFoundError, pl.exceptions.ColumnNotFoundError):
        return ALL


def _python_date(day: pl.Expr) -> pl.Expr:
    """Null for a day that no calendar of ours has; Python cannot hold it either."""
    return pl.when(day.dt.year().is_between(1, 9999)).then(day)
