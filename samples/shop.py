"""A day in the shop: who buys what, what comes back, and what the office books.

Belongs here: everything that is true of a shop, odd as it may look. Does not belong here: mistakes
(`dirt.py`). Shares follow the real shop's: lines of a kind in all lines, measured on 541,909 of
them.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, time, timedelta
from random import Random
from typing import TypeVar

from samples import catalogue
from samples.catalogue import HOME, Customer, Product, Service
from samples.days import Day
from samples.invoices import Fault, Invoice, Item

_SALES = 0.97
_LATE = 0.04
_WEEKDAY = (0.95, 1.05, 1.1, 1.2, 0.9, 0.0, 0.8)
_ANONYMOUS = 0.12
_LINES = {True: 36, False: 18}  # mean lines of an invoice, by whether it is anonymous
_MARKUP = 1.9  # anonymous sales go through the web shop, at its prices
_QUANTITIES = (1, 2, 3, 4, 6, 8, 10, 12, 18, 24, 36, 48, 96)
_WEIGHTS = {
    True: (62, 17, 7, 5, 3, 1, 2, 2, 0.2, 0.4, 0.1, 0.1, 0.1),
    False: (18, 15, 8, 9, 12, 7, 5, 14, 1, 7, 1.5, 1.5, 1),
}
_CANCELLATIONS = 0.0085
_UNMATCHED = 0.1
_BULK = 24  # pieces from which a line gets cheaper
_WRITE_OFFS = 0.0023
_UNKNOWN_WRITE_OFFS = 0.0002
_FOUND = 0.002
_FOUND_NAMELESS = 0.5  # shares of the write-offs, and of the found stock
_WITHOUT_REMARK = 0.65
_BAD_DEBT = 0.00001
_TYPING_SLIPS = 0.00001

T = TypeVar("T")


def open_shop(day: Day) -> list[Invoice]:
    """The invoices of a day, in order of time and numbered."""
    invoices = _sales(day, "sales", _SALES)
    rng = day.random("office")
    bought = [invoice for invoice in invoices if invoice.customer is not None]
    invoices += [
        _cancellation(rng, day, bought) for _ in range(day.planned("cancellation", _CANCELLATIONS))
    ]
    invoices += _bookings(rng, day)
    invoices += _typing_slips(rng, day)
    _attach_services(rng, day, invoices)
    invoices.sort(key=lambda invoice: invoice.at)
    for position, invoice in enumerate(invoices):
        invoice.number = day.number(position)
    return invoices


def late_invoices(day: Day) -> list[Invoice]:
    """Returns an earlier day's invoices in this file, numbered from the end of its numbers."""
    if (earlier := day.late_from) is None:
        return []
    invoices = sorted(_sales(earlier, "late", _LATE), key=lambda invoice: invoice.at)
    for position, invoice in enumerate(reversed(invoices)):
        invoice.number = earlier.number(-1 - position)
    return invoices


def _sales(day: Day, purpose: str, share: float) -> list[Invoice]:
    """What is bought on a day, not numbered yet: about a share of the rows that were asked for."""
    rng = day.random(purpose)
    lines = max(
        1, round(day.run.rows * share * _WEEKDAY[day.date.weekday()] * rng.uniform(0.8, 1.2))
    )
    most, left, invoices = max(1, day.run.rows // 3), lines, list[Invoice]()
    while left:
        invoice = _sale(rng, day, max(1, lines // 5))
        if len(invoices) + 1 >= most:  # the day's numbers must not run out
            invoice.items += [_item(rng, is_web=False) for _ in range(left)]
        del invoice.items[left:]
        left -= len(invoice.items)
        invoices.append(invoice)
    return invoices


def _sale(rng: Random, day: Day, most: int) -> Invoice:
    is_web = rng.random() < _ANONYMOUS
    customer = None if is_web else _skewed(rng, catalogue.customers(), 1.6)
    invoice = _invoice_of(rng, day, customer)
    count = min(most, 1 + int(rng.expovariate(1 / _LINES[is_web])))
    invoice.items = [_item(rng, is_web=is_web) for _ in range(count)]
    return invoice


def _invoice_of(rng: Random, day: Day, customer: Customer | None) -> Invoice:
    """An invoice without lines, at some time of the day."""
    at = datetime.combine(day.date, time()) + timedelta(
        minutes=int(rng.triangular(7 * 60 + 30, 18 * 60, 13 * 60))
    )
    return Invoice(
        at,
        customer.number if customer else None,
        rng.choice(customer.countries) if customer else HOME,
    )


def _item(rng: Random, *, is_web: bool) -> Item:
    product = _skewed(rng, catalogue.products(), 1.4)
    quantity = rng.choices(_QUANTITIES, _WEIGHTS[is_web])[0]
    price = product.price * (_MARKUP if is_web else 0.85 if quantity >= _BULK else 1)
    return Item(product.code, _name(rng, product), quantity, round(price, 2))


def _name(rng: Random, product: Product) -> str:
    return rng.choice(product.names)


def _skewed(rng: Random, choices: Sequence[T], by: float) -> T:
    return choices[int(len(choices) * rng.random() ** by)]


def _cancellation(rng: Random, day: Day, bought: Sequence[Invoice]) -> Invoice:
    """Returns a cancellation, mostly of an earlier invoice of the day; some match no invoice."""
    if not bought or rng.random() < _UNMATCHED:
        returned = _invoice_of(rng, day, _skewed(rng, catalogue.customers(), 1.6))
        lines = [_item(rng, is_web=False)]
    else:
        origin = rng.choice(bought)
        at = origin.at + timedelta(minutes=rng.randint(5, 240))
        returned = Invoice(
            min(at, datetime.combine(day.date, time(19, 30))), origin.customer, origin.country
        )
        lines = rng.sample(origin.items, min(len(origin.items), rng.choice((1, 1, 1, 2, 4))))
    returned.kind = "C"
    returned.items = [
        Item(line.code, line.description, -rng.randint(1, line.quantity), line.price)
        for line in lines
    ]
    return returned


def _bookings(rng: Random, day: Day) -> list[Invoice]:
    """What the office books: stock that is written off or found, fees, discounts, bad debt."""
    plan: list[tuple[str, float, Callable[[Random, Day], Invoice]]] = [
        ("write-off", _WRITE_OFFS, _write_off),
        ("unknown write-off", _UNKNOWN_WRITE_OFFS, _unknown_write_off),
        ("found", _FOUND, _found),
        (
            "manual",
            0.001,
            lambda rng, day: _fee(rng, day, catalogue.MANUAL, rng.choice((-1, 1)), is_known=True),
        ),
        (
            "discount",
            0.00014,
            lambda rng, day: _fee(rng, day, catalogue.DISCOUNT, -1, is_known=True),
        ),
        ("samples", 0.00012, lambda rng, day: _fee(rng, day, catalogue.SAMPLES, -1)),
        ("bank", 0.00007, lambda rng, day: _fee(rng, day, catalogue.BANK_CHARGES, -1)),
        ("market", 0.00006, lambda rng, day: _fee(rng, day, catalogue.MARKET_FEE, -1)),
        ("charity", 0.00003, lambda rng, day: _fee(rng, day, catalogue.CHARITY, -1, is_known=True)),
        ("bad debt", _BAD_DEBT, _bad_debt),
    ]
    return [book(rng, day) for kind, share, book in plan for _ in range(day.planned(kind, share))]


def _stock(rng: Random, day: Day, description: str, quantity: int) -> Invoice:
    invoice = _invoice_of(rng, day, None)
    invoice.items = [Item(_skewed(rng, catalogue.products(), 1).code, description, quantity, 0.0)]
    return invoice


def _write_off(rng: Random, day: Day) -> Invoice:
    remark = "" if rng.random() < _WITHOUT_REMARK else rng.choice(catalogue.REMARKS)
    return _stock(rng, day, remark, -1 - int(rng.expovariate(1 / 60)))


def _unknown_write_off(rng: Random, day: Day) -> Invoice:
    return _stock(
        rng, day, rng.choice(catalogue.UNKNOWN_REMARKS), -1 - int(rng.expovariate(1 / 150))
    )


def _found(rng: Random, day: Day) -> Invoice:
    product = _skewed(rng, catalogue.products(), 1)
    invoice = _stock(
        rng, day, "" if rng.random() < _FOUND_NAMELESS else _name(rng, product), rng.randint(1, 40)
    )
    invoice.items[0].code = product.code
    return invoice


def _service(rng: Random, service: Service, quantity: int) -> Item:
    return Item(service.code, service.name, quantity, round(rng.uniform(*service.prices), 2))


def _fee(
    rng: Random, day: Day, service: Service, quantity: int, *, is_known: bool = False
) -> Invoice:
    invoice = _invoice_of(rng, day, _skewed(rng, catalogue.customers(), 1.6) if is_known else None)
    invoice.kind = "C" if quantity < 0 else ""
    invoice.items = [_service(rng, service, quantity)]
    return invoice


def _bad_debt(rng: Random, day: Day) -> Invoice:
    invoice = _invoice_of(rng, day, None)
    owed = _service(rng, catalogue.BAD_DEBT, 1)
    owed.price = -owed.price
    owed.fault = Fault("price_below_zero")
    invoice.kind, invoice.items = "A", [owed]
    return invoice


def _typing_slips(rng: Random, day: Day) -> list[Invoice]:
    """Somebody orders tens of thousands, and takes it back a quarter of an hour later."""
    slips = []
    for _ in range(day.planned("typing slip", _TYPING_SLIPS)):
        order = _invoice_of(rng, day, _skewed(rng, catalogue.customers(), 1.6))
        line = _item(rng, is_web=False)
        line.quantity = rng.randint(10_000, 80_000)
        order.items = [line]
        back = Item(line.code, line.description, -line.quantity, line.price)
        undone = Invoice(
            order.at + timedelta(minutes=15), order.customer, order.country, [back], "C"
        )
        slips += [order, undone]
    return slips


def _attach_services(rng: Random, day: Day, invoices: Sequence[Invoice]) -> None:
    """Postage on invoices abroad, postage and vouchers on those of the web shop."""
    bought = [invoice for invoice in invoices if invoice.is_sale]
    abroad = [invoice for invoice in bought if invoice.country != HOME]
    web = [invoice for invoice in bought if invoice.customer is None]
    for kind, share, service, fitting in (
        ("postage", 0.0023, catalogue.POSTAGE, abroad),
        ("web postage", 0.0013, catalogue.WEB_POSTAGE, web),
        ("voucher", 0.00005, catalogue.VOUCHER, web),
    ):
        for _ in range(day.planned(kind, share)):
            rng.choice(fitting or bought).items.append(_service(rng, service, 1))
