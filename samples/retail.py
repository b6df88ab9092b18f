"""The deliveries of the retail domain: invoice lines a day, exchange rates, and the truth.

A day is in memory at a time. The truth is returned, never written next to the files.
"""

from datetime import date
from pathlib import Path

from samples.days import ONE_DAY, Day, Run
from samples.dirt import in_bytes, spoil
from samples.files import PREFIX, gzipped, put
from samples.fx import write_rates
from samples.invoices import COLUMNS, record
from samples.kinds import Names
from samples.shop import late_invoices, open_shop
from samples.truth import Counts, InvoiceTruth, Truth

DOMAIN = "retail"
"""The domain under `assets/` that reads these files."""
FIRST_DAY = date(2010, 12, 1)


def generate(
    out: Path | str, days: int = 60, rows: int = 400, seed: int = 7, start: date = FIRST_DAY
) -> Truth:
    """Write sample files for the retail domain into a landing folder.

    A day's file follows from the seed, the rows, the start and the date; asking for more days adds
    files and leaves those that are there alone.

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


def add_days(out: Path | str, days: int = 1, rows: int = 400, seed: int = 7) -> list[str]:
    """Write the files of the next days on which the shop is open, after those that are there.

    They hold what `generate` writes for the same days, rows and seed.

    Args:
        out: the landing folder.
        days: how many days with a file.
        rows: invoice lines on a mean day.
        seed: the same one gives the same bytes.

    Returns:
        The paths of the day's files and of the rates, which have grown.
    """
    last = _last_day(Path(out)) or FIRST_DAY - ONE_DAY
    whole = Run(
        days=(last - FIRST_DAY).days + 1 + 14 * (days + 1), rows=rows, seed=seed, start=FIRST_DAY
    )
    fresh = [day.date for day in whole.open_days() if day.date > last][:days]
    run = Run(days=(fresh[-1] - FIRST_DAY).days + 1, rows=rows, seed=seed, start=FIRST_DAY)
    truth = InvoiceTruth()
    for day in run.open_days():
        if day.date in fresh:
            _write_day(Path(out) / "invoice_lines", day, truth, Names())
    write_rates(Path(out), run)
    written = [Path(out) / "invoice_lines" / name for name in (*truth.by_file, *truth.copies)]
    return [str(path) for path in (*written, *(Path(out) / "fx_rates").glob(f"{PREFIX}*"))]


def _last_day(out: Path) -> date | None:
    """The last day of which there is a file."""
    names = [
        path.name[len(PREFIX) :]
        for path in (out / "invoice_lines").glob(f"{PREFIX}????-??-??.csv.gz")
    ]
    return max((date.fromisoformat(name.removesuffix(".csv.gz")) for name in names), default=None)


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

    Two equal rows are always in one file: an invoice number belongs to one file of one day, and
    comes again only after 900,000 others, with another date.
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
