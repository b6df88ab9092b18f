"""What a person should know of a table beside what is stale: periods that were held back, or made by other code."""

from dataclasses import dataclass
from datetime import date

from lakehouse.lineage.period_history import read_period_history
from lakehouse.storage.lake import Lake
from lakehouse.tables.table_types import DerivedTable, Table
from lakehouse.wording import format_count


@dataclass(frozen=True)
class TableNotes:
    """What the log of a table says of its periods.

    Attributes:
        held: the periods that were held back, with the reason; they are as they were before.
        other: the periods that were made by another transform or contract than are declared now; None is the table.
    """

    held: dict[date, str]
    other: tuple[date | None, ...]

    def __str__(self) -> str:
        """In a few words; empty when there is nothing to say."""
        remarks = [f"{format_count(len(self.held), 'period')} held back"] if self.held else []
        other = "" if None in self.other else f"{format_count(len(self.other), 'period')} "
        remarks += [f"{other}made by other code or contract"] if self.other else []
        return "; ".join(remarks)


def read_notes(lake: Lake, table: Table | None) -> TableNotes:
    """What is to be said of a table; nothing of one that is landed, or not declared."""
    if not isinstance(table, DerivedTable):
        return TableNotes({}, ())
    made = read_period_history(lake, table)
    held = {key: audit.held_back[key] for key, audit in made.held.items() if key is not None}
    return TableNotes(held, tuple(made.list_outdated_periods(table)))
