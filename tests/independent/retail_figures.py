"""The retail marts worked out in plain Python from the invoice files and one ECB zip.

A second opinion: only the standard library, and nothing of the pipeline.
Money is an exact `Decimal` of the source's text. Every figure is a pure function of kept lines.
"""

import csv
import gzip
import io
import re
import zipfile
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import NamedTuple, TypeVar
from zoneinfo import ZoneInfo

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
LONDON = ZoneInfo("Europe/London")
KEPT, SUPERSEDED, REJECTED = "kept", "superseded", "rejected"

_INTEGER = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_CUSTOMER = re.compile(r"([0-9]+)(\.0*)?")
_PRODUCT_CODE = re.compile(r"[0-9]{5}[A-Z]{0,2}")

K = TypeVar("K", bound=Hashable)


class Line(NamedTuple):
    """One kept invoice line, cleaned; `invoiced_at` is the time as written, local to Europe/London."""

    invoice_no: str
    stock_code: str
    description: str | None
    quantity: int
    invoiced_at: datetime
    price: Decimal
    customer_id: int | None
    country: str

    @property
    def invoice_date(self) -> date:
        """The local day as written."""
        return self.invoiced_at.date()

    @property
    def is_cancellation(self) -> bool:
        """The invoice number starts with C."""
        return self.invoice_no.startswith("C")

    @property
    def is_service(self) -> bool:
        """The stock code is not five digits and at most two letters (postage, fees, vouchers, DCGS codes)."""
        return _PRODUCT_CODE.fullmatch(self.stock_code) is None

    @property
    def revenue_gbp(self) -> Decimal:
        """Quantity times price, in pounds; negative for a return."""
        return self.quantity * self.price


class Judged(NamedTuple):
    """What became of one line of the files; `line` is set if it was kept."""

    fate: str
    reasons: tuple[str, ...] = ()
    line: Line | None = None


class Quality(NamedTuple):
    """Counts of lines by fate; a rejected line counts once under each of its `reasons`."""

    read: int
    superseded: int
    rejected: int
    kept: int
    reasons: dict[str, int]


class DailySales(NamedTuple):
    """Figures of one local day and country."""

    revenue_gbp: Decimal
    revenue_eur: Decimal
    invoices: int
    units: int
    returns: int
    lines: int
    revenue_gbp_7d_mean: Decimal


class ProductMonth(NamedTuple):
    """Figures of one month and stock code; units are net of returns."""

    units: int
    revenue_gbp: Decimal
    invoices: int
    customers: int
    lines: int


class Customer(NamedTuple):
    """Figures of one customer; the days are None without a purchase."""

    first_purchase_date: date | None
    last_purchase_date: date | None
    recency_days: int | None
    frequency: int
    monetary_gbp: Decimal
    returns: int
    lines: int


def judged_lines(folder: Path) -> Iterator[Judged]:
    """Every line of the folder's `*.csv.gz` with its fate, files in the order of their names.

    A line equal in all eight fields as received to an earlier one, in any file, is superseded.
    """
    seen = set()
    for fields in _rows(folder):
        whole = "\x1f".join(fields)
        yield Judged(SUPERSEDED) if whole in seen else _judged(fields)
        seen.add(whole)


def read_lines(folder: Path) -> Iterator[Line]:
    """The kept lines of the folder."""
    return kept_lines(judged_lines(folder))


def kept_lines(judged: Iterable[Judged]) -> Iterator[Line]:
    """The lines among `judged` that were kept."""
    return (each.line for each in judged if each.line is not None)


def quality(judged: Iterable[Judged]) -> Quality:
    """How many lines were read, and what became of them."""
    fates: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for each in judged:
        fates[each.fate] += 1
        reasons.update(each.reasons)
    return Quality(fates.total(), fates[SUPERSEDED], fates[REJECTED], fates[KEPT], dict(reasons))


def gbp_rates(archive: Path) -> dict[date, Decimal]:
    """Pounds for one euro by ECB day, oldest first, without the days that have no rate."""
    with zipfile.ZipFile(archive) as opened:
        text = opened.read("eurofxref-hist.csv").decode("utf-8")
    rows = csv.DictReader(io.StringIO(text))
    known = (
        (date.fromisoformat(row["Date"]), row["GBP"])
        for row in rows
        if row["GBP"] not in ("", "N/A")
    )
    return {day: Decimal(rate) for day, rate in sorted(known)}


def rate_on(rates: dict[date, Decimal], day: date) -> Decimal:
    """The rate of the last known day on or before `day`; LookupError if there is none."""
    days = sorted(rates)
    position = bisect_right(days, day)
    if position == 0:
        raise LookupError(f"no GBP rate on or before {day}")
    return rates[days[position - 1]]


def daily_sales(
    lines: Iterable[Line], rates: dict[date, Decimal]
) -> dict[tuple[date, str], DailySales]:
    """Sales by (invoice date, country), for each pair with at least one line; of several countries the last of a day.

    Pass all kept lines: the country of a customer comes from earlier lines.
    """
    lines = list(lines)
    known = customer_countries(lines)
    groups = _grouped(
        lines,
        lambda line: (
            line.invoice_date,
            value_on(known.get(line.customer_id, {}), line.invoice_date) or line.country,
        ),
    )
    revenue = {key: _revenue(group) for key, group in groups.items()}
    rate = {day: rate_on(rates, day) for day in {day for day, _ in groups}}
    return {
        (day, country): DailySales(
            revenue_gbp=revenue[day, country],
            revenue_eur=revenue[day, country] / rate[day],
            invoices=_invoices(group),
            units=sum(line.quantity for line in group if line.quantity > 0),
            returns=_returns(group),
            lines=len(group),
            revenue_gbp_7d_mean=_week(revenue, day, country) / 7,
        )
        for (day, country), group in groups.items()
    }


def product_months(lines: Iterable[Line]) -> dict[tuple[date, str], ProductMonth]:
    """Sales by (first day of the month, stock code)."""
    groups = _grouped(lines, lambda line: (line.invoice_date.replace(day=1), line.stock_code))
    return {
        key: ProductMonth(
            units=sum(line.quantity for line in group),
            revenue_gbp=_revenue(group),
            invoices=_invoices(group),
            customers=len({line.customer_id for line in group} - {None}),
            lines=len(group),
        )
        for key, group in groups.items()
    }


def customers(lines: Iterable[Line]) -> dict[int, Customer]:
    """Figures by customer id; recency in days before the latest invoice date of all `lines`.

    Pass all kept lines: those without a customer also count for the latest date.
    """
    groups = _grouped(lines, lambda line: line.customer_id)
    latest = max((line.invoice_date for group in groups.values() for line in group), default=None)
    return {key: _customer(group, latest) for key, group in groups.items() if key is not None}


def product_texts(lines: Iterable[Line]) -> dict[str, dict[date, str]]:
    """By stock code the days on which its text changed, with the new text; lines without a price do not count."""
    return _changes(
        (line.stock_code, line.invoice_date, line.description) for line in lines if line.price
    )


def customer_countries(lines: Iterable[Line]) -> dict[int, dict[date, str]]:
    """By customer the days on which the country changed, with the new country."""
    return _changes(
        (line.customer_id, line.invoice_date, line.country) for line in lines if line.customer_id
    )


def value_on(changes: dict[date, str], day: date) -> str | None:
    """Returns the latest value on or before a day."""
    return next((changes[since] for since in sorted(changes, reverse=True) if since <= day), None)


def _changes(said: Iterable[tuple[K, date, str | None]]) -> dict[K, dict[date, str]]:
    """Returns the last value of each day where it differs from that of the day before."""
    last: dict[K, dict[date, str]] = defaultdict(dict)
    for key, day, value in said:
        if value is not None:
            last[key][day] = value
    return {
        key: {
            day: days[day]
            for before, day in zip([None, *sorted(days)], sorted(days), strict=False)
            if before is None or days[before] != days[day]
        }
        for key, days in last.items()
    }


def anonymous_lines(lines: Iterable[Line]) -> int:
    """How many lines name no customer."""
    return sum(line.customer_id is None for line in lines)


def _customer(group: list[Line], latest: date | None) -> Customer:
    bought = [line.invoice_date for line in group if line.quantity > 0 and not line.is_cancellation]
    last = max(bought, default=None)
    return Customer(
        first_purchase_date=min(bought, default=None),
        last_purchase_date=last,
        recency_days=(latest - last).days if latest and last else None,
        frequency=_invoices(group),
        monetary_gbp=_revenue(group),
        returns=_returns(group),
        lines=len(group),
    )


def _grouped(lines: Iterable[Line], key: Callable[[Line], K]) -> dict[K, list[Line]]:
    groups: dict[K, list[Line]] = defaultdict(list)
    for line in lines:
        groups[key(line)].append(line)
    return groups


def _revenue(group: list[Line]) -> Decimal:
    return sum((line.revenue_gbp for line in group), Decimal(0))


def _invoices(group: list[Line]) -> int:
    return len({line.invoice_no for line in group if not line.is_cancellation})


def _returns(group: list[Line]) -> int:
    return sum(-line.quantity for line in group if line.quantity < 0)


def _week(revenue: dict[tuple[date, str], Decimal], day: date, country: str) -> Decimal:
    days = (day - timedelta(days=back) for back in range(7))
    return sum((revenue.get((each, country), Decimal(0)) for each in days), Decimal(0))


def _rows(folder: Path) -> Iterator[list[str]]:
    files = sorted(folder.glob("*.csv.gz"))
    if not files:
        raise FileNotFoundError(f"no *.csv.gz in {folder}")
    for file in files:
        with gzip.open(file, "rt", encoding="utf-8", newline="") as opened:
            rows = csv.reader(opened)
            if next(rows, None) != HEADER.split(","):
                raise ValueError(f"{file}: the header is not {HEADER}")
            yield from rows


def _judged(fields: list[str]) -> Judged:
    if len(fields) != len(Line._fields):
        return Judged(REJECTED, ("field_count",))
    invoice_no, stock_code, description, quantity, invoiced_at, price, customer_id, country = fields
    line = Line(
        invoice_no=invoice_no.strip().upper(),
        stock_code=_upper(stock_code),
        description=_folded(description),
        quantity=_integer(quantity),
        invoiced_at=_london_time(invoiced_at),
        price=_number(price),
        customer_id=_customer_id(customer_id),
        country=country.strip(),
    )
    reasons = _reasons(line, has_customer=customer_id.strip() != "")
    return Judged(REJECTED, reasons) if reasons else Judged(KEPT, (), line)


def _reasons(line: Line, *, has_customer: bool) -> tuple[str, ...]:
    found = (
        ("quantity_not_an_integer", line.quantity is None),
        ("quantity_zero", line.quantity == 0),
        ("invoice_time_invalid", line.invoiced_at is None),
        ("price_not_a_number", line.price is None),
        ("price_negative", line.price is not None and line.price < 0),
        ("customer_id_not_an_integer", has_customer and line.customer_id is None),
    )
    return tuple(reason for reason, applies in found if applies)


# The casts below give None for a text that cannot be cast; they are cached because the same texts come back.


@cache
def _upper(text: str) -> str:
    return text.strip().upper()


@cache
def _folded(text: str) -> str | None:
    return " ".join(text.split()) or None


@cache
def _integer(text: str) -> int | None:
    return int(text) if _INTEGER.fullmatch(text) else None


@cache
def _number(text: str) -> Decimal | None:
    return Decimal(text) if _NUMBER.fullmatch(text) else None


@cache
def _customer_id(text: str) -> int | None:
    match = _CUSTOMER.fullmatch(text.strip())
    return int(match[1]) if match else None


@cache
def _london_time(text: str) -> datetime | None:
    try:
        local = datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=LONDON)
    except ValueError:
        return None
    # A time skipped in spring comes back from UTC as another time.
    back = local.astimezone(UTC).astimezone(LONDON)
    return (
        local.replace(tzinfo=None)
        if back.replace(tzinfo=None) == local.replace(tzinfo=None)
        else None
    )
