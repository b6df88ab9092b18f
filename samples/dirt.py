"""What goes wrong: in the lines of a day, and in the bytes of a file.

Belongs here: mistakes, planted on purpose. What is planted rarely is planted at least once in 11
days, on any seed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from random import Random

from samples import catalogue
from samples.days import Day
from samples.invoices import Fault, Invoice, Item, record

_REPEATS = 0.004  # as many again repeat by chance
_LOWER_CASE = 0.0036
_LARGE = 0.00035
_TWO_TIMES = 0.00008
_UNSPECIFIED = 0.00006
_TRAVELLERS = 0.00002
_BROKEN = 0.00002
_BROKEN_TWICE = 0.3
_TIME_ONLY = 0.3


@dataclass(frozen=True)
class Bytes:
    """The content of a file, and what was planted in its bytes.

    Attributes:
        content: the file before it is packed.
        ragged: records with a field too few.
        invalid: records that are not UTF-8.
        blank: empty lines.
    """

    content: bytes
    ragged: int
    invalid: int
    blank: int


def spoil(day: Day, invoices: Sequence[Invoice]) -> None:
    """Plant the day's mistakes in its invoices."""
    rng = day.random("dirt")
    bought = [invoice for invoice in invoices if invoice.is_sale]
    for _ in range(day.planned("traveller", _TRAVELLERS)):
        _book_in_two_countries(rng, bought)
    for _ in range(day.planned("unspecified", _UNSPECIFIED)):
        rng.choice(bought).country = catalogue.UNSPECIFIED
    for _ in range(day.planned("two times", _TWO_TIMES)):
        _write_slowly(rng, bought)
    web = [invoice for invoice in bought if invoice.customer is None]
    for _ in range(day.planned("lower case", _LOWER_CASE)):
        _write_in_lower_case(rng, rng.choice(web or bought))
    for _ in range(day.planned("large", _LARGE)):
        rng.choice(rng.choice(bought).items).quantity = rng.randint(1000, 4800)
    for fault in _faults(rng, day):
        _break(rng, bought, fault)
    lengths = [len(invoice.items) for invoice in invoices]
    for invoice in rng.choices(invoices, lengths, k=day.planned("repeat", _REPEATS)):
        _repeat(rng, invoice.items)


def _book_in_two_countries(rng: Random, bought: Sequence[Invoice]) -> None:
    customer = rng.choice(catalogue.travellers())
    known = [invoice for invoice in bought if invoice.customer is not None]
    for invoice, country in zip(
        rng.sample(known, min(2, len(known))), customer.countries, strict=False
    ):
        invoice.customer, invoice.country = customer.number, country


def _write_slowly(rng: Random, bought: Sequence[Invoice]) -> None:
    long = [invoice for invoice in bought if len(invoice.items) > 1]
    if long:
        items = rng.choice(long).items
        for item in items[len(items) // 2 :]:
            item.delay = 1


def _write_in_lower_case(rng: Random, invoice: Invoice) -> None:
    product = rng.choice(catalogue.lettered_products())
    item = rng.choice(invoice.items)
    item.code, item.description = product.code.lower(), product.names[0]


def _faults(rng: Random, day: Day) -> list[Fault]:
    broken = rng.choice(catalogue.BROKEN_NUMBERS)
    faults = (
        Fault("quantity_zero", "Quantity", "0"),
        Fault("quantity_not_a_number", "Quantity", broken),
        Fault("price_not_a_number", "UnitPrice", broken),
        Fault("date_not_parseable", "InvoiceDate", _no_date(rng, day.date)),
    )
    return [fault for fault in faults for _ in range(day.planned(fault.reason, _BROKEN))]


def _no_date(rng: Random, day: date) -> str:
    """Returns a time that does not exist, mostly on no existing day; different for each day."""
    if rng.random() < _TIME_ONLY:
        return f"{day} 99:00:00"
    return f"{day.year}-{day.month + 12}-{day.day + 31} 99:00:00"


def _break(rng: Random, bought: Sequence[Invoice], fault: Fault) -> None:
    invoice = rng.choice(bought)
    sound = [n for n, item in enumerate(invoice.items) if item.fault is None]
    if not sound:
        return
    place = rng.choice(sound)
    invoice.items[place] = broken = replace(invoice.items[place], fault=fault)
    if rng.random() < _BROKEN_TWICE:
        invoice.items.append(broken)


def _repeat(rng: Random, items: list[Item]) -> None:
    """Write a line a second time, somewhere after the first."""
    place = rng.randrange(len(items))
    items.insert(rng.randint(place + 1, len(items)), items[place])


def in_bytes(day: Day, header: str, records: Sequence[Sequence[str]]) -> Bytes:
    """A file's lines as bytes, with records among them that cannot be parsed."""
    rng = day.random("bytes")
    lines = [record(list(fields)).encode() for fields in records]
    ragged, invalid, blank = (day.planned(kind, _BROKEN) for kind in ("ragged", "invalid", "blank"))
    planted = [record(list(rng.choice(records))[:-1]).encode() for _ in range(ragged)]
    planted += [_in_latin_1(rng.choice(records)) for _ in range(invalid)]
    planted += [b""] * blank
    for line in planted:
        lines.insert(rng.randrange(len(lines)), line)
    return Bytes(b"\n".join([header.encode(), *lines, b""]), ragged, invalid, blank)


def _in_latin_1(fields: Sequence[str]) -> bytes:
    number, code, _, *others = fields
    return record([number, code, "CAFÉ TRAY", *others]).encode("latin-1", errors="replace")
