"""Which columns seem to hold personal data: by what they are called, and by how values look."""

import ipaddress
import re
from collections.abc import Callable, Sequence

_NAMES = {
    "e-mail": r"e.?mail|mail.?addr",
    "phone": r"phone|telefon|mobile|handy|\btel\b|fax",
    "IBAN": r"\biban\b|bank.?account|kontonummer",
    "card": r"card.?(?:number|no)|credit.?card|\bpan\b",
    "IP address": r"\bip\b|\bip.?addr|client.?ip",
    "name of a person": r"(?:first|last|middle|given|family|sur|full|contact|user).?name"
    r"|vorname|nachname|auftraggeber|empf(?:ä|ae)nger|beg(?:ü|ue)nstigter|\bname der person\b",
    "birth": r"birth|geburt|\bdob\b",
    "address": r"^(?:home.?|street.?)?address(?:.?\d)?$|street|stra(?:ß|ss)e|postal.?code"
    r"|\bzip\b|\bplz\b",
    "identity number": r"\bssn\b|social.?security|passport|steuer.?id|tax.?id|national.?id",
}
_MOST = 0.8
_EMAIL = re.compile(r"[^@\s,;<>]+@[^@\s,;<>]+\.[A-Za-z]{2,}")
_INNER_EMAIL = re.compile(r'"[^@\s,;<>"]+@[^@\s,;<>"]+\.[A-Za-z]{2,}"')
"""An e-mail address that is a value of a JSON text."""
_PHONE = re.compile(
    r"(?:\+|00)\d[\d ()/.-]{6,18}\d|\(\d{2,5}\)[\d ./-]{5,14}\d|0\d{2,4}[ /-][\d -]{5,12}"
)
_IBAN = re.compile(r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}")
_CARD = re.compile(r"\d{13,19}")


def suspect_personal_data(name: str, values: Sequence[str]) -> str | None:
    """Returns what kind of personal data a column seems to hold; None if none.

    Args:
        name: the name of the column.
        values: some of its values that are not null.
    """
    found = _suspect_values(values)
    if found:
        return found
    spoken = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).replace("_", " ").lower()
    for kind, pattern in _NAMES.items():
        if re.search(pattern, spoken) and _may_be(kind, values):
            return f"{kind}, by its name"
    return None


def _may_be(kind: str, values: Sequence[str]) -> bool:
    # A flag such as `email_sent` is none.
    del kind
    return not values or len({value.strip().lower() for value in values}) > 2 or len(values) < 4  # noqa: PLR2004


def _suspect_values(values: Sequence[str]) -> str | None:
    if not values:
        return None
    nested = [value for value in values if value.lstrip()[:1] in ("{", "[")]
    if nested and sum(bool(_INNER_EMAIL.search(value)) for value in nested) >= _MOST * len(nested):
        return "e-mail"
    for kind, check in _CHECKS.items():
        if sum(check(value.strip()) for value in values) >= _MOST * len(values):
            return kind
    return None


def _is_email(text: str) -> bool:
    return bool(_EMAIL.fullmatch(text))


def _is_phone(text: str) -> bool:
    return bool(_PHONE.fullmatch(text))


def is_iban(text: str) -> bool:
    """Returns whether a text is an international bank account number with a right checksum."""
    bare = text.replace(" ", "").upper()
    if not _IBAN.fullmatch(bare):
        return False
    digits = "".join(str(int(letter, 36)) for letter in bare[4:] + bare[:4])
    return int(digits) % 97 == 1


def is_card(text: str) -> bool:
    """Returns whether a text is the number of a payment card: of its length, with Luhn's digit."""
    bare = text.replace(" ", "").replace("-", "")
    if not _CARD.fullmatch(bare) or bare[0] not in "3456":
        return False
    total = 0
    for place, digit in enumerate(map(int, reversed(bare))):
        doubled = digit * 2 if place % 2 else digit
        total += doubled - 9 if doubled > 9 else doubled  # noqa: PLR2004
    return total % 10 == 0


def _is_ip(text: str) -> bool:
    if text.count(".") != 3 and ":" not in text:  # noqa: PLR2004
        return False
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


_CHECKS: dict[str, Callable[[str], bool]] = {
    "e-mail": _is_email,
    "IBAN": is_iban,
    "card": is_card,
    "IP address": _is_ip,
    "phone": _is_phone,
}
