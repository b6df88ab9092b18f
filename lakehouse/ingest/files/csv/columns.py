"""The columns of a CSV file: those that its header names, and blank ones at its end.

A header may end with separators. Where each line does so too, as in the rates of the ECB, that is a
habit of the program and no column. Where a record has a value there, it is a column without a name.
Only the records tell which, so these columns are added when the first value is seen, as a new key
of JSON lines is. Earlier records have null in them.
"""

from collections.abc import Collection, Sequence

from lakehouse.ingest.files.csv.fields import Fields
from lakehouse.ingest.files.header_names import fold_names, land_names, list_names
from lakehouse.ingest.files.record_ledger import RecordLedger


def name_blanks(names: Sequence[str], cells: int, required: Collection[str]) -> list[str]:
    """Returns the names of the columns that a header leaves blank at its end.

    Args:
        names: the names of the header, without those.
        cells: how many cells the header has.
        required: names in the spelling that they shall have.
    """
    wanted = fold_names(required)
    landed = land_names([*names, *[""] * (cells - len(names))]).names[len(names) :]
    return [wanted.get(name.casefold(), name) for name in landed]


class CsvColumns:
    """The columns of a ledger, which grow by the blank ones at the end of a header.

    Attributes:
        named: how many columns the header names; each record has at least as many fields.
    """

    def __init__(
        self, ledger: RecordLedger, blanks: Sequence[str], required: Collection[str]
    ) -> None:
        """Begins with the columns of the ledger.

        Args:
            ledger: what takes the records; it has the columns with names already.
            blanks: the names of the others.
            required: columns that the file must have; a blank one of them is there from the start.
        """
        self.named = len(ledger.columns)
        self._ledger = ledger
        self._all = [*ledger.columns, *blanks][: max(self.named, ledger.limits.columns)]
        wanted = set(required)
        self._grow(max((n for n, name in enumerate(self._all, 1) if name in wanted), default=0))

    def fits(self, values: Sequence[str | None]) -> bool:
        """Returns whether a record has a field for each name, and no value behind the header."""
        return len(values) >= self.named and not any(values[len(self._all) :])

    def take(self, values: Sequence[str | None]) -> Sequence[str | None]:
        """Returns the values of a record that fits, without the surplus; columns grow as needed."""
        known = len(self._ledger.columns)
        if known < len(self._all) and any(values[known:]):
            self._grow(max(n for n, value in enumerate(values, 1) if value))
        return values[: len(self._ledger.columns)]

    def describe_misfit(self, record: Fields) -> str:
        """Returns why a record does not fit."""
        found, width = len(record.values), len(self._all)
        is_short = found < self.named
        surplus = "" if is_short else ", and the surplus is not empty"
        counts = f"{found} fields where the header has {self.named if is_short else width}{surplus}"
        if record.lines == 1:
            return counts
        return f"broken quoting: a quote opens a record of {record.lines} lines with {counts}"

    def note_unnamed(self) -> None:
        """Notes which columns have no name in the header."""
        if unnamed := self._ledger.columns[self.named :]:
            self._ledger.notes.append(
                f"columns that the header leaves blank, with values: {list_names(unnamed)}"
            )

    def _grow(self, width: int) -> None:
        self._ledger.columns += self._all[len(self._ledger.columns) : width]
