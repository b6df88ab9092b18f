"""Notes on a derived table that is not stale: periods held back, and periods made by other code."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from lakehouse.calendar import WHOLE_TABLE, PeriodKey
from lakehouse.lineage.period_history import read_period_history
from lakehouse.storage.lake import Lake
from lakehouse.tables.table_types import DerivedTable, Table
from lakehouse.wording import format_count

_BY_OTHER_CODE = "made by other code or under another contract"


@dataclass(frozen=True)
class TableNotes:
    """The periods of a table that were held back or made by other code, as its log shows them.

    Attributes:
        held_back: the periods that were held back, with the reason; their last good version stays.
        outdated: the periods that were made by another transform or contract than is declared now.
    """

    held_back: Mapping[date, str]
    outdated: tuple[PeriodKey, ...]

    def __str__(self) -> str:
        """Returns a few words; empty if there is nothing to say."""
        notes = []
        if self.held_back:
            notes.append(f"{format_count(len(self.held_back), 'period')} held back")
        periods = [period for period in self.outdated if isinstance(period, date)]
        if WHOLE_TABLE in self.outdated:
            notes.append(_BY_OTHER_CODE)
        elif len(periods) == 1:
            notes.append(f"1 period was {_BY_OTHER_CODE} ({periods[0]})")
        elif periods:
            span = f"{min(periods)} to {max(periods)}"
            notes.append(f"{len(periods):,} periods were {_BY_OTHER_CODE} ({span})")
        return "; ".join(notes)


def read_notes(lake: Lake, table: Table | None) -> TableNotes:
    """Reads which periods of a derived table were held back or made by other code.

    Other tables have no such periods.
    """
    if not isinstance(table, DerivedTable):
        return TableNotes({}, ())
    history = read_period_history(lake, table)
    # A table without partitions has no period to name; as a whole it is refused, not held back.
    held_back = {
        key: audit.held_back[key]
        for key, audit in history.held_back.items()
        if isinstance(key, date)
    }
    return TableNotes(held_back, tuple(history.list_outdated_periods(table)))
