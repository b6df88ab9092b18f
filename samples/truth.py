"""What a lakehouse has to find in the sample files, counted while they are written.

Laws: `records = dead + raw_rows`, and `raw_rows = superseded + quarantined + written`. A row that
repeats an earlier one is superseded first, whatever else is wrong with it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from samples.dirt import Bytes
from samples.invoices import Invoice, Item
from samples.kinds import SERVICES, Names, kinds


@dataclass
class Counts:
    """Invoice lines of one file, or of all.

    Attributes:
        records: data records, blank lines left out.
        dead: records that cannot be parsed.
        raw_rows: the others.
        superseded: raw rows that repeat an earlier raw row in all eight fields as text.
        quarantined: rows left that break a rule; each once.
        written: rows left after that.
        anonymous: written rows without a customer.
        cancellations: written rows whose invoice number starts with C.
        service_lines: written rows whose code is not five digits and at most two letters.
        quarantined_by_reason: the quarantined rows by the rule that they break; each breaks one.
        dead_by_reason: the dead records by what is wrong with them.
        dirt: how often each kind occurs, over all raw rows, superseded and quarantined ones
            included. Write-offs, prices of zero and extreme quantities are counted where no rule is
            broken.
        rows_by_day: written rows by the day of `InvoiceDate`.
    """

    records: int = 0
    dead: int = 0
    raw_rows: int = 0
    superseded: int = 0
    quarantined: int = 0
    written: int = 0
    anonymous: int = 0
    cancellations: int = 0
    service_lines: int = 0
    quarantined_by_reason: Counter[str] = field(default_factory=Counter)
    dead_by_reason: Counter[str] = field(default_factory=Counter)
    dirt: Counter[str] = field(default_factory=Counter)
    rows_by_day: Counter[str] = field(default_factory=Counter)

    def add_row(self, invoice: Invoice, item: Item, *, is_repeated: bool) -> None:
        """Count a raw row."""
        self.records += 1
        self.raw_rows += 1
        self.dirt.update(kinds(invoice, item))
        if is_repeated:
            self.superseded += 1
            self.dirt["repeated_lines"] += 1
            if item.fault is not None:
                self.dirt["repeated_broken_lines"] += 1
        elif item.fault is not None:
            self.quarantined += 1
            self.quarantined_by_reason[item.fault.reason] += 1
        else:
            self._add_written(invoice, item)

    def _add_written(self, invoice: Invoice, item: Item) -> None:
        self.written += 1
        self.anonymous += invoice.customer is None
        self.cancellations += invoice.kind == "C"
        self.service_lines += item.code in SERVICES
        self.rows_by_day[str(invoice.at.date())] += 1

    def add_bytes(self, planted: Bytes) -> None:
        """Count what was planted in the bytes of a file."""
        self.records += planted.ragged + planted.invalid
        self.dead += planted.ragged + planted.invalid
        dead = {"ragged": planted.ragged, "invalid_utf8": planted.invalid}
        self.dead_by_reason.update({reason: count for reason, count in dead.items() if count})
        if planted.blank:
            self.dirt["blank_lines"] += planted.blank

    def add(self, other: "Counts") -> None:
        """Count everything that another one counts."""
        for name, count in vars(other).items():
            if isinstance(count, Counter):
                getattr(self, name).update(count)
            else:
                setattr(self, name, getattr(self, name) + count)


@dataclass
class InvoiceTruth(Counts):
    """The invoice lines of all files; a repeated file counts only in the numbers of files.

    Attributes:
        files: delivered files.
        files_repeated: those with the bytes of another one.
        copies: the repeated files, each with the file that it repeats.
        by_file: the counts of each distinct file. Codes and customers with several names are
            counted anew over all files, so those of the files do not add up to the total.
    """

    files: int = 0
    files_repeated: int = 0
    copies: dict[str, str] = field(default_factory=dict)
    by_file: dict[str, Counts] = field(default_factory=dict)

    def add_file(self, name: str, counts: Counts) -> None:
        """Count a distinct file."""
        self.files += 1
        self.by_file[name] = counts
        self.add(counts)

    def add_copy(self, name: str, original: str) -> None:
        """Count a file that has the bytes of another."""
        self.files += 1
        self.files_repeated += 1
        self.copies[name] = original

    def count_names(self, names: Names) -> None:
        """Put the codes and customers of all files in the place of the sums over files."""
        for kind, count in names.dirt().items():
            self.dirt[kind] = count


@dataclass(frozen=True)
class RateTruth:
    """The exchange rates.

    Attributes:
        files: always one.
        days: lines of the table.
        currencies: its columns without the date.
        cells: days times currencies.
        cells_missing: cells that are `N/A`.
        currencies_missing: missing cells by currency.
    """

    files: int
    days: int
    currencies: int
    cells: int
    cells_missing: int
    currencies_missing: dict[str, int]


@dataclass(frozen=True)
class Truth:
    """What was made, table by table."""

    invoice_lines: InvoiceTruth
    fx_rates: RateTruth

    def as_json(self) -> dict[str, Any]:
        """The same as plain dictionaries and numbers."""
        return {"invoice_lines": _plain(self.invoice_lines), "fx_rates": _plain(self.fx_rates)}

    def lines(self) -> Iterator[str]:
        """The same as an aligned table, without the counts of single files and days."""
        for table, counts in self.as_json().items():
            rows = list(_flat(counts))
            width = max(len(name) for name, _ in rows)
            yield table
            yield from (f"  {name:<{width}}  {count:>11,}" for name, count in rows)


def _plain(counted: object) -> dict[str, Any]:
    values = counted if isinstance(counted, dict) else vars(counted)
    return {
        name: value if isinstance(value, int | str) else _plain(value)
        for name, value in values.items()
    }


def _flat(counts: dict[str, Any]) -> Iterable[tuple[str, int]]:
    for name, count in counts.items():
        if isinstance(count, int):
            yield name, count
    for name in ("quarantined_by_reason", "dead_by_reason", "dirt", "currencies_missing"):
        for kind, count in sorted(counts.get(name, {}).items()):
            yield f"{name.removesuffix('_by_reason')}: {kind}", count
