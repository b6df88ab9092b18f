"""What each period of a table was built from, by the audits in the table's own log.

Does not belong here: whether a later version of an input changed the period (`staleness.py`), which
periods are empty on purpose (`empty_periods.py`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from deltalake import DeltaTable

from lakehouse.calendar import WHOLE_TABLE, PeriodKey
from lakehouse.lineage.commit_history import read_audit, read_commit_history
from lakehouse.publish.audit import Audit
from lakehouse.storage.lake import Lake
from lakehouse.storage.revision import read_revision
from lakehouse.tables.table_types import DerivedTable


@dataclass(frozen=True)
class PeriodHistory:
    """What each period of a table was built from.

    Attributes:
        audits: the latest audit of each period, as far as the log reaches back.
        held_back: the latest audit that held a period back since then. The same code does not
            retry it on the same inputs.
        undone: the periods that the current code and contract had made before a RESTORE undid it.
        is_complete: whether the log has every commit after the version asked for.
    """

    audits: Mapping[PeriodKey, Audit]
    held_back: Mapping[PeriodKey, Audit]
    undone: frozenset[PeriodKey] = frozenset()
    is_complete: bool = True

    def find_consumed_versions(
        self, name: str, current: DeltaTable, periods: Iterable[PeriodKey], default: int
    ) -> dict[PeriodKey, int]:
        """Returns the version of an input that each period was built from.

        Args:
            name: the input.
            current: the input as it is now.
            periods: the periods that are asked about.
            default: the version for a period that is not in the log.

        Returns:
            -1 where the input did not exist then, or was deleted and built again since.
        """
        latest = read_revision(current)
        # A held-back period has consumed its inputs as well: the same rows are not tried again, and
        # readers go on without it.
        known = {**self.audits, **self.held_back}
        # A version above the latest one is of a table that was deleted and built again since.
        consumed = dict.fromkeys(periods, default if default <= latest.version else -1)
        for period in consumed.keys() & known.keys():
            read = known[period].provenance.inputs.get(name)
            # By table id: a table that was built again soon has as many versions as the old one.
            consumed[period] = read.version if read is not None and read.is_in(latest) else -1
        return consumed

    def list_undone_periods(self, table: DerivedTable) -> set[PeriodKey]:
        """Returns the periods that would be as declared if no RESTORE had undone it."""
        # A RESTORE brought back rows of other code although this code had made the period since.
        # One that this code holds back would only be held back again.
        return set(self.list_outdated_periods(table)) & self.undone - self.held_back.keys()

    def list_outdated_periods(self, table: DerivedTable) -> list[PeriodKey]:
        """Returns the periods that were built by other code or under another contract than now."""
        # These are reported, not stale: a changed transform must not start a backfill by itself.
        return [key for key, audit in self.audits.items() if not has_current_code(table, audit)]


def read_period_history(lake: Lake, table: DerivedTable, *, after: int = -1) -> PeriodHistory:
    """Returns what each period was built from, by the commits in effect after a version.

    A period is missing where the log was cleaned up, or where a RESTORE went back further than the
    log does. It is found again once it has been rebuilt.
    """
    history = read_commit_history(lake, table.name, after=after)
    audits: dict[PeriodKey, Audit] = {}
    held_back: dict[PeriodKey, Audit] = {}
    for audit in filter(None, map(read_audit, history.effective)):
        periods = list_periods(table, audit)
        audits |= dict.fromkeys(periods, audit)
        # A period that was made since is held back no more. Nor does it count what other code held
        # back: the fix deserves a try.
        held_back = {key: earlier for key, earlier in held_back.items() if key not in periods}
        if has_current_code(table, audit):
            held_back |= dict.fromkeys(audit.held_back, audit)
    undone = {
        period
        for audit in filter(None, map(read_audit, history.undone))
        if has_current_code(table, audit)
        for period in list_periods(table, audit)
    }
    return PeriodHistory(audits, held_back, frozenset(undone), history.is_complete)


def list_periods(table: DerivedTable, audit: Audit) -> list[PeriodKey]:
    """Returns the periods that a commit made."""
    if table.partitions is None:
        return [WHOLE_TABLE]
    return [key for span in audit.materialized for key in table.partitions.period_keys(span)]


def has_current_code(table: DerivedTable, audit: Audit) -> bool:
    """Returns whether a commit was made by the transform and contract that are declared now."""
    made = audit.provenance
    return (made.code_version, made.contract_version) == (
        table.code_version,
        table.contract_version,
    )
