"""What each period of a table was made from, as the audits in its own log say.

Belongs here: which commits are in effect after RESTOREs, where the log is too short to tell, and which periods are
empty because they were made so. Does not belong here: whether what was consumed is still the latest (`staleness.py`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl
from deltalake import DeltaTable

from lakehouse import contract_version
from lakehouse.audit import Audit
from lakehouse.contract import facts
from lakehouse.lake import Commit, Lake, scan
from lakehouse.tables import DerivedTable, Table
from lakehouse.touched import ALL, audit_of, changes_rows, touched_days
from lakehouse.windows import Days


@dataclass(frozen=True)
class Made:
    """From what each period of a table was made.

    Attributes:
        audits: the latest audit of each period that is found in the log; the key is None for the whole table.
        held: the audits that held a period back since then; the same code does not try it again from the same inputs.
        is_whole: whether the log tells of every period that was made after the version asked for.
    """

    audits: Mapping[date | None, Audit]
    held: Mapping[date | None, Audit]
    is_whole: bool = True

    def consumed(
        self, name: str, current: DeltaTable, keys: Iterable[date | None], floor: int
    ) -> dict[date | None, int]:
        """The version of an input that each of some periods was made from; `floor` for periods that are not found.

        It is -1 where another table stood there, which was deleted since and built again.
        """
        latest, identity = current.version(), str(current.metadata().id)

        def of(key: date | None) -> int:
            latest_audit = self.held.get(key) or self.audits.get(key)
            provenance = None if latest_audit is None else latest_audit.provenance
            version = floor if provenance is None else provenance.inputs.get(name, -1)
            is_same = version <= latest and (provenance is None or provenance.ids.get(name, identity) == identity)
            return version if is_same else -1

        return {key: of(key) for key in keys}

    def by_other_code(self, table: DerivedTable) -> list[date | None]:
        """The periods that were made by another transform, or held to another contract, than are declared now."""
        return [key for key, audit in self.audits.items() if not is_by(table, audit)]


def made_by(lake: Lake, table: DerivedTable, *, after: int = -1) -> Made:
    """What each period was made from, by the commits after a version that are in effect.

    A period that is not found because the log was cleaned up, or restored to a version that it no longer tells of, is
    found again as soon as it was made once more.
    """
    commits, is_whole = in_effect(lake, table.name, after=after)
    audits: dict[date | None, Audit] = {}
    held: dict[date | None, Audit] = {}
    for commit in commits:
        audit = audit_of(commit)
        if audit is not None:
            keys = [None] if table.partitions is None else [k for s in audit.made for k in table.partitions.keys(s)]
            audits |= dict.fromkeys(keys, audit)
            held = {key: earlier for key, earlier in held.items() if key not in keys}
            held |= dict.fromkeys(audit.held if is_by(table, audit) else (), audit)
    return Made(audits, held, is_whole)


def is_by(table: DerivedTable, audit: Audit) -> bool:
    """Whether a commit was made by the transform and the contract that are declared now."""
    made = audit.provenance
    return (made.code_version, made.contract_version) == (table.code_version, contract_version.version(table.contract))


def speaks_for(  # noqa: PLR0913
    lake: Lake, table: DerivedTable, source: Table, days: Days, *, after: int = -1, until: int | None = None
) -> set[date]:
    """The periods of a table for which its first input speaks even where it holds no rows of them.

    They are empty because they were made so, and nobody has touched them since. A raw table only has what is
    delivered, so it speaks for nothing that it does not hold.
    """
    if not isinstance(source, DerivedTable) or table.partitions is None:
        return set()
    if source.partitions is None:
        return _periods_held(lake, table, days) if is_as_made(lake, source, until=until) else set()
    made: set[date] = set()
    for commit in in_effect(lake, source.name, after=after, until=until)[0]:
        touched = touched_days(lake, source, commit)
        if audit_of(commit) is not None and touched is not ALL:
            made |= {day for day in touched if day is not None}
        else:
            made -= made if touched is ALL else touched
    return set(table.partitions.keys(made & set(days)))


def is_as_made(lake: Lake, source: Table, *, until: int | None = None) -> bool:
    """Whether nobody has touched a derived table since it was made."""
    commits, _ = in_effect(lake, source.name, until=until)
    telling = [audit_of(commit) for commit in commits if audit_of(commit) is not None or changes_rows(commit)]
    return isinstance(source, DerivedTable) and bool(telling) and telling[-1] is not None


def _periods_held(lake: Lake, table: DerivedTable, days: Days) -> set[date]:
    window, handle = facts(table.contract).window, lake.open(table.name)
    if handle is None or window is None or table.partitions is None:
        return set()
    held = scan(handle).filter(pl.col(window).is_between(days.first, days.last)).select(pl.col(window).unique())
    return set(table.partitions.keys(held.collect().to_series()))


def in_effect(lake: Lake, table: str, *, after: int = -1, until: int | None = None) -> tuple[list[Commit], bool]:
    """The commits between two versions that no RESTORE has undone, oldest first, and whether none is missing."""
    log = lake.log_tail(table, after=after)
    found = {commit.version: commit for commit in log.commits}
    latest = max(found, default=log.after)
    version = latest if until is None else min(until, latest)
    effective: list[Commit] = []
    while version > log.after:
        commit = found[version]
        if commit.info.get("operation") == "RESTORE":
            version = min(_restored_version(commit.info), version - 1)
        else:
            effective.append(commit)
            version -= 1
    return effective[::-1], version == log.after == after


def _restored_version(info: Mapping[str, Any]) -> int:
    """The version that a RESTORE went back to; -2, which is before every log, where it is named by its time."""
    parameters = info.get("operationParameters")
    version = parameters.get("version") if isinstance(parameters, Mapping) else None
    return int(str(version)) if str(version).isdigit() else -2
