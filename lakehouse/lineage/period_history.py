"""What each period of a table was made from, as the audits in its own log say.

Belongs here: which commits are in effect after RESTOREs, where the log is too short to tell, and which periods are
empty because they were made so. Does not belong here: whether what was consumed is still the latest (`staleness.py`).
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl
from deltalake import DeltaTable

from lakehouse.calendar import Days
from lakehouse.lineage.touched_days import (
    ALL,
    RESTORED,
    changes_rows,
    find_touched_days,
    parse_restored_version,
    read_audit,
)
from lakehouse.publish.audit import Audit
from lakehouse.storage.lake import Lake, read_transaction_id, scan_visible_rows
from lakehouse.storage.log import Commit
from lakehouse.storage.revision import read_revision
from lakehouse.system_columns import WINDOW
from lakehouse.tables.table_types import DerivedTable, RawTable, Table


@dataclass(frozen=True)
class PeriodHistory:
    """From what each period of a table was made.

    Attributes:
        audits: the latest audit of each period that is found in the log; the key is None for the whole table.
        held: the audits that held a period back since then; the same code does not try it again from the same inputs.
        undone: the periods that the code and the contract declared now had made, when a RESTORE undid it.
        is_whole: whether the log tells of every period that was made after the version asked for.
    """

    audits: Mapping[date | None, Audit]
    held: Mapping[date | None, Audit]
    undone: frozenset[date | None] = frozenset()
    is_whole: bool = True

    def find_consumed_versions(
        self, name: str, current: DeltaTable, keys: Iterable[date | None], floor: int
    ) -> dict[date | None, int]:
        """The version of an input that each of some periods was made from; `floor` for periods that are not found.

        It is -1 where another table stood there, which was deleted since and built again.
        """
        latest = read_revision(current)
        told = {**self.audits, **self.held}
        consumed = dict.fromkeys(keys, floor if floor <= latest.version else -1)
        for key in consumed.keys() & told.keys():
            read = told[key].provenance.inputs.get(name)
            consumed[key] = read.version if read is not None and read.is_in(latest) else -1
        return consumed

    def list_undone_periods(self, table: DerivedTable) -> set[date | None]:
        """The periods that would be as declared, had no RESTORE undone it."""
        return set(self.list_outdated_periods(table)) & self.undone - self.held.keys()

    def list_outdated_periods(self, table: DerivedTable) -> list[date | None]:
        """The periods that were made by another transform, or held to another contract, than are declared now."""
        return [key for key, audit in self.audits.items() if not has_current_code(table, audit)]


def read_period_history(lake: Lake, table: DerivedTable, *, after: int = -1) -> PeriodHistory:
    """What each period was made from, by the commits after a version that are in effect.

    A period that is not found because the log was cleaned up, or restored to a version that it no longer tells of, is
    found again as soon as it was made once more.
    """
    history = _history(lake, table.name, after=after)
    audits: dict[date | None, Audit] = {}
    held: dict[date | None, Audit] = {}
    for audit in filter(None, map(read_audit, history.effective)):
        keys = _periods(table, audit)
        audits |= dict.fromkeys(keys, audit)
        held = {key: earlier for key, earlier in held.items() if key not in keys}
        held |= dict.fromkeys(audit.held_back if has_current_code(table, audit) else (), audit)
    undone = (
        audit
        for audit in filter(None, map(read_audit, history.undone))
        if has_current_code(table, audit)
    )
    return PeriodHistory(
        audits,
        held,
        frozenset(key for audit in undone for key in _periods(table, audit)),
        history.is_whole,
    )


def _periods(table: DerivedTable, audit: Audit) -> list[Any]:
    """The periods that a commit made; None is the whole table."""
    return (
        [None]
        if table.partitions is None
        else [key for s in audit.materialized for key in table.partitions.period_keys(s)]
    )


def has_current_code(table: DerivedTable, audit: Audit) -> bool:
    """Whether a commit was made by the transform and the contract that are declared now."""
    made = audit.provenance
    return (made.code_version, made.contract_version) == (
        table.code_version,
        table.contract_version,
    )


def find_intentionally_empty(  # noqa: PLR0913
    lake: Lake,
    table: DerivedTable,
    source: Table,
    days: Days,
    *,
    held: Collection[date] = (),
    after: int = -1,
    until: int | None = None,
) -> set[date]:
    """The periods of a table for which its first input speaks even where it holds no rows of them.

    They are empty because they were made so, and nobody has touched them since. A raw table only has what is
    delivered, so it speaks for nothing that it does not hold, unless a person took it back by `lakehouse restore`.

    Args:
        lake: where the tables are.
        table: whose periods.
        source: its first input.
        days: the days that are asked about.
        held: the periods of which the input holds rows.
        after: the version of the input after which its log is read.
        until: the version of the input that is read.
    """
    if table.partitions is None:
        return set()
    if isinstance(source, RawTable):
        return _taken_back(lake, table, source, days, held, until)
    if source.partitions is None:
        return (
            _periods_held(lake, table, days) if is_unmodified(lake, source, until=until) else set()
        )
    made: set[date] = set()
    for commit in list_effective_commits(lake, source.name, after=after, until=until)[0]:
        touched = find_touched_days(lake, source, commit)
        if read_audit(commit) is not None and touched is not ALL:
            made |= {day for day in touched if day is not None}
        else:
            made -= made if touched is ALL else touched
    return set(table.partitions.period_keys(made & set(days)))


def _taken_back(
    lake: Lake,
    table: DerivedTable,
    source: RawTable,
    days: Days,
    held: Collection[date],
    until: int | None,
) -> set[date]:
    """The periods of which a table still has rows, and of which its raw table was rolled back to none on purpose."""
    handle = lake.open_shared(source.name)
    restored = None if handle is None else read_transaction_id(handle, source.name, RESTORED)
    if (
        restored is None
        or table.partitions is None
        or not (asked := _periods_held(lake, table, days) - set(held))
    ):
        return set()
    taken: set[date | None] = set()
    for commit in lake.read_log_tail(source.name, after=restored - 1).commits:
        touched = (
            find_touched_days(lake, source, commit)
            if until is None or commit.version <= until
            else frozenset()
        )
        if touched is ALL:
            taken = set()
            continue
        taken = taken | touched if RESTORED in commit.info else taken - touched
    return asked & set(table.partitions.period_keys(day for day in taken if day is not None))


def is_unmodified(lake: Lake, source: Table, *, until: int | None = None) -> bool:
    """Whether nobody has touched a derived table since it was made."""
    commits, _ = list_effective_commits(lake, source.name, until=until)
    telling = [
        read_audit(commit)
        for commit in commits
        if read_audit(commit) is not None or changes_rows(commit)
    ]
    return isinstance(source, DerivedTable) and bool(telling) and telling[-1] is not None


def _periods_held(lake: Lake, table: DerivedTable, days: Days) -> set[date]:
    """The periods of which a table or its quarantine holds rows."""
    window, found = table.properties.date_column, set()
    for name, column in ((table.name, window), (table.quarantine, WINDOW)):
        handle = lake.open_shared(name)
        if (
            handle is not None
            and column is not None
            and column in scan_visible_rows(handle).collect_schema()
        ):
            day = pl.col(column)
            found |= set(
                scan_visible_rows(handle)
                .filter(day.is_between(days.first, days.last))
                .select(day.unique())
                .collect()[column]
            )
    return set(table.partitions.period_keys(found)) if table.partitions else set()


@dataclass(frozen=True)
class _History:
    """The commits of a table: those in effect and those that a RESTORE has undone, and whether none is missing."""

    effective: list[Commit]
    undone: list[Commit]
    is_whole: bool


def list_effective_commits(
    lake: Lake, table: str, *, after: int = -1, until: int | None = None
) -> tuple[list[Commit], bool]:
    """The commits between two versions that no RESTORE has undone, oldest first, and whether none is missing."""
    history = _history(lake, table, after=after, until=until)
    return history.effective, history.is_whole


def _history(lake: Lake, table: str, *, after: int, until: int | None = None) -> _History:
    log = lake.read_log_tail(table, after=after)
    found = {commit.version: commit for commit in log.commits}
    latest = max(found, default=log.after)
    version = latest if until is None else min(until, latest)
    effective: list[Commit] = []
    while version > log.after:
        commit = found[version]
        if commit.info.get("operation") == "RESTORE":
            restored = parse_restored_version(commit.info)
            version = (
                -2 if restored is None else min(restored, version - 1)
            )  # -2 is before every log
        else:
            effective.append(commit)
            version -= 1
    undone = [found[one] for one in sorted(found.keys() - {commit.version for commit in effective})]
    return _History(effective[::-1], undone, version == log.after == after)
