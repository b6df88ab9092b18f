"""The deliveries of the retail domain: invoice lines a day, exchange rates, and the truth.

A day is in memory at a time. The truth is returned, never written next to the files.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from datetime import date, datetime
from itertools import islice
from pathlib import Path
from zoneinfo import ZoneInfo

from samples.days import ONE_DAY, Day, Run, is_open, list_open_days_before
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
_FILE_OF_DAY = re.compile(re.escape(PREFIX) + r"(\d{4}-\d\d-\d\d)\.csv\.gz")


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


def find_today() -> date:
    """Returns the present day where the shop is. Nothing else here reads the clock."""
    return datetime.now(ZoneInfo("Europe/London")).date()


def generate_latest(
    out: Path | str, today: date, days: int = 60, rows: int = 400, seed: int = 7
) -> Truth:
    """Write the sample files of the latest days, but for the last file: `add_days` adds it.

    Args:
        out: the landing folder; made if it does not exist.
        today: the present day; of it and of the days after it there is no file yet.
        days: about how many calendar days. The first one has a file, so that `add_days` finds it.
        rows: invoice lines on a mean day.
        seed: the same one gives the same bytes on the same day.

    Returns:
        What a lakehouse has to find in the files.
    """
    first = find_latest_start(today, days)
    _, last = islice(list_open_days_before(today), 2)
    return generate(out, (last - first).days + 1, rows, seed, first)


def find_latest_start(today: date, days: int = 60) -> date:
    """Returns the first day of the sample files of the latest days; one on which there is a file.

    Args:
        today: the present day.
        days: about how many calendar days.
    """
    _, last = islice(list_open_days_before(today), 2)
    first = last - ONE_DAY * (days - 1)
    return first if is_open(first) else first + ONE_DAY


def add_days(
    out: Path | str,
    days: int = 1,
    *,
    known: Collection[str] | None = None,
    today: date | None = None,
    rows: int = 400,
    seed: int = 7,
) -> list[str]:
    """Write the files of the next days on which the shop is open, after those that are delivered.

    They hold what `generate` writes for the same days, rows and seed, from the first of the files
    that are delivered. Where there is none, the files are those of the latest days before today, or
    of the first days of all if no day is given.

    Args:
        out: the landing folder.
        days: how many days with a file.
        known: the names of all files that are delivered; by default those in the folder.
        today: the present day. Of it and of the days after it there is no file yet.
        rows: invoice lines on a mean day.
        seed: the same one gives the same bytes.

    Returns:
        The paths of the day's files and of the rates, which have grown; none if no day is left.
    """
    delivered = _read_days(_list_names(Path(out)) if known is None else known)
    fresh = sorted(_choose_days(days, delivered, today))
    if not fresh:
        return []
    start = min([*delivered, *fresh])
    run = Run(days=(fresh[-1] - start).days + 1, rows=rows, seed=seed, start=start)
    truth = InvoiceTruth()
    for day in run.open_days():
        if day.date in fresh:
            _write_day(Path(out) / "invoice_lines", day, truth, Names())
    write_rates(Path(out), run)
    written = [Path(out) / "invoice_lines" / name for name in (*truth.by_file, *truth.copies)]
    return [str(path) for path in (*written, *(Path(out) / "fx_rates").glob(f"{PREFIX}*"))]


def _choose_days(days: int, delivered: Collection[date], today: date | None) -> Iterator[date]:
    if delivered or today is None:
        after = max(delivered) if delivered else FIRST_DAY - ONE_DAY
        following = (after + ONE_DAY * n for n in range(1, 2 * days + 2))
        ready = (day for day in following if is_open(day) and (today is None or day < today))
        return islice(ready, days)
    return islice(list_open_days_before(today), days)


def _list_names(out: Path) -> list[str]:
    return [path.name for path in (out / "invoice_lines").glob(f"{PREFIX}*")]


def _read_days(names: Iterable[str]) -> list[date]:
    """Returns the days of which there is a file, by the names of files."""
    found = (_FILE_OF_DAY.fullmatch(name.rpartition("/")[2]) for name in names)
    return [date.fromisoformat(one[1]) for one in found if one]


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
