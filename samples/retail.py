"""The retail domain's deliveries: a file of invoice lines a day and the exchange rates, with the truth about them.

A day is in memory at a time. The truth is returned, never written next to the files.
"""

from datetime import date
from pathlib import Path

from samples.days import Day, Run
from samples.dirt import in_bytes, spoil
from samples.files import PREFIX, gzipped, put
from samples.fx import write_rates
from samples.invoices import COLUMNS, record
from samples.kinds import Names
from samples.shop import late_invoices, open_shop
from samples.truth import Counts, InvoiceTruth, Truth

FIRST_DAY = date(2010, 12, 1)


def generate(out: Path | str, days: int = 60, rows: int = 400, seed: int = 7, start: date = FIRST_DAY) -> Truth:
    """Write sample files for the retail domain into a landing folder.

    A day's file follows from the seed, the rows, the start and the date; asking for more days adds files and leaves
    those that are there alone.

    Args:
        out: the landing folder; made if it does not exist.
        days: calendar days; a day on which the shop is closed has no file.
        rows: invoice lines on a mean day.
        seed: the same one gives the same bytes.
        start: the first day.

    Returns:
        What a lakehouse has to find in the files.

    Raises:
        ValueError: a number is out of range.
    """
    run = Run(days=days, rows=rows, seed=seed, start=start)
    truth, names = InvoiceTruth(), Names()
    for day in run.open_days():
        _write_day(Path(out) / "invoice_lines", day, truth, names)
    truth.count_names(names)
    return Truth(truth, write_rates(Path(out), run))


def _write_day(folder: Path, day: Day, truth: InvoiceTruth, names: Names) -> None:
    counts, here = Counts(), Names()
    planted = in_bytes(day, ",".join(COLUMNS), _rows(day, counts, here))
    counts.add_bytes(planted)
    counts.dirt.update(here.dirt())
    content, name = gzipped(planted.content), f"{PREFIX}{day.date}.csv.gz"
    put(folder / name, content)
    truth.add_file(name, counts)
    names.add(here)
    if day.is_delivered_twice:
        copy = f"{PREFIX}{day.date} (copy).csv.gz"
        put(folder / copy, content)
        truth.add_copy(copy, name)


def _rows(day: Day, counts: Counts, names: Names) -> list[list[str]]:
    """The day's rows as text, counted on the way.

    Two equal rows are always in one file: an invoice number belongs to one file of one day, and comes again only after
    900,000 others, with another date.
    """
    invoices = open_shop(day)
    spoil(day, invoices)
    late = late_invoices(day)
    rows, seen = [], set[str]()
    for invoice in [*invoices, *late]:
        for item in invoice.items:
            fields = invoice.fields(item)
            text = record(fields)
            counts.add_row(invoice, item, is_repeated=text in seen)
            names.add_row(invoice, item)
            seen.add(text)
            rows.append(fields)
    if late:
        counts.dirt["late_lines"] = sum(len(invoice.items) for invoice in late)
    return rows
