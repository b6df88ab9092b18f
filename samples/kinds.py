"""The kinds of dirt, as they are told from a row or from all rows.

Does not belong here: what is planted in the bytes of a file, which is counted where it is planted
(`dirt.py`).
"""

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from samples.catalogue import UNSPECIFIED
from samples.invoices import Invoice, Item

_LARGE = 1000
SERVICES = {
    "POST": "service_POST",
    "DOT": "service_DOT",
    "M": "service_M",
    "D": "service_D",
    "S": "service_S",
    "BANK CHARGES": "service_BANK_CHARGES",
    "AMAZONFEE": "service_AMAZONFEE",
    "CRUK": "service_CRUK",
    "gift_0001_20": "service_gift_0001_20",
    "B": "service_B",
}
"""Codes that are no products, with the kind under which each is counted."""


@dataclass
class Names:
    """What is told apart by more than one name; as large as the vocabulary, however long the run.

    Attributes:
        descriptions: the descriptions of each stock code, as text, empty ones left out.
        countries: the countries of each customer.
        times: the times of each invoice, where they can be parsed.
    """

    descriptions: dict[str, set[str]] = field(default_factory=dict)
    countries: dict[int, set[str]] = field(default_factory=dict)
    times: dict[str, set[int]] = field(default_factory=dict)

    def add_row(self, invoice: Invoice, item: Item) -> None:
        """Note the names on a raw row."""
        if item.description:
            self.descriptions.setdefault(item.code, set()).add(item.description)
        if invoice.customer is not None:
            self.countries.setdefault(invoice.customer, set()).add(invoice.country)
        if item.fault is None or item.fault.reason != "date_not_parseable":
            self.times.setdefault(f"{invoice.kind}{invoice.number}", set()).add(item.delay)

    def add(self, other: "Names") -> None:
        """Note the names of another; an invoice is whole in its file, so its times are left out."""
        for code, descriptions in other.descriptions.items():
            self.descriptions.setdefault(code, set()).update(descriptions)
        for customer, countries in other.countries.items():
            self.countries.setdefault(customer, set()).update(countries)

    def dirt(self) -> Counter[str]:
        """How many codes, customers and invoices have more than one."""
        several: dict[str, Collection[set[str]] | Collection[set[int]]] = {
            "codes_with_several_descriptions": self.descriptions.values(),
            "customers_with_several_countries": self.countries.values(),
            "invoices_with_several_times": self.times.values(),
        }
        return Counter(
            {
                kind: n
                for kind, sets in several.items()
                if (n := sum(len(names) > 1 for names in sets))
            }
        )


def kinds(invoice: Invoice, item: Item) -> Iterator[str]:
    """The kinds of dirt on one raw row."""
    yield from _description_kinds(item.description)
    yield "customers_missing" if invoice.customer is None else "customers_as_float"
    if invoice.kind == "C":
        yield "cancellations"
    if invoice.kind == "A":
        yield "bad_debt_adjustments"
    if invoice.country == UNSPECIFIED:
        yield "country_unspecified"
    if item.code.upper() != item.code:
        yield "lower_case_codes"
    if item.code in SERVICES:
        yield SERVICES[item.code]
    if item.fault is None:
        yield from _number_kinds(invoice, item)


def _number_kinds(invoice: Invoice, item: Item) -> Iterator[str]:
    if item.price == 0:
        yield "prices_zero"
    if item.quantity < 0 and invoice.kind != "C":
        yield "write_offs"
    if abs(item.quantity) >= _LARGE:
        yield "extreme_quantities"


@lru_cache(maxsize=4096)
def _description_kinds(text: str) -> tuple[str, ...]:
    kinds = {
        "descriptions_empty": not text,
        "descriptions_with_outer_blanks": text != text.strip(),
        "descriptions_with_quotes": '"' in text,
        "descriptions_with_commas": "," in text,
        "descriptions_not_ascii": not text.isascii(),
        "descriptions_from_question_mark": text.startswith("?"),
    }
    return tuple(kind for kind, is_so in kinds.items() if is_so)
