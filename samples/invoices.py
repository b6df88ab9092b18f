"""Invoices and their lines, and how the till writes them.

Belongs here: the form of a line. Does not belong here: what is sold (`shop.py`) and what goes wrong
(`dirt.py`).
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

COLUMNS = (
    "InvoiceNo",
    "StockCode",
    "Description",
    "Quantity",
    "InvoiceDate",
    "UnitPrice",
    "CustomerID",
    "Country",
)

Reason = Literal[
    "price_below_zero",
    "price_not_a_number",
    "quantity_zero",
    "quantity_not_a_number",
    "date_not_parseable",
]


@dataclass(frozen=True, slots=True)
class Fault:
    """What makes a line break a rule.

    Attributes:
        reason: the rule.
        column: the column that is written wrongly; None when the line's own value breaks the rule.
        text: what is written there.
    """

    reason: Reason
    column: str | None = None
    text: str = ""


@dataclass(slots=True)
class Item:
    """One line of an invoice.

    Attributes:
        code: of a product or service.
        description: as written, blanks included.
        quantity: pieces.
        price: pounds for a piece.
        delay: minutes after the invoice was begun.
        fault: why it will be refused, if it will.
    """

    code: str
    description: str
    quantity: int
    price: float
    delay: int = 0
    fault: Fault | None = None


@dataclass(slots=True)
class Invoice:
    """A number, a time, a customer and lines.

    Attributes:
        at: when it was begun, London time.
        customer: the number of an account; None when anonymous.
        country: as booked.
        items: its lines; the same one twice is written twice.
        kind: `C` for a cancellation, `A` for an adjustment.
        number: six digits, given when the day is over.
    """

    at: datetime
    customer: int | None
    country: str
    items: list[Item] = field(default_factory=list)
    kind: Literal["", "C", "A"] = ""
    number: int = 0

    @property
    def is_sale(self) -> bool:
        """Whether something was bought, by anybody."""
        return not self.kind and self.items[0].quantity > 0 and self.items[0].price > 0

    def fields(self, item: Item) -> list[str]:
        """The eight fields of a line as text."""
        fields = [
            f"{self.kind}{self.number}",
            item.code,
            item.description,
            str(item.quantity),
            str(self.at + timedelta(minutes=item.delay)),
            str(item.price),
            "" if self.customer is None else f"{self.customer}.0",
            self.country,
        ]
        if item.fault is not None and item.fault.column is not None:
            fields[COLUMNS.index(item.fault.column)] = item.fault.text
        return fields


def record(fields: list[str]) -> str:
    """Fields as a CSV record, quoted only where it must be."""
    return ",".join([_quoted(text) if '"' in text or "," in text else text for text in fields])


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
