"""Formats of days and instants, and the texts that each of them reads.

Polars takes more for a format than it says: `%Y` reads the year 24, `%y` a single digit, and
`%m%d` either of two days in `112`. Here a format reads exactly the texts of one pattern.
"""

import re
from collections.abc import Iterator

from lakehouse.errors import SetupError

_MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_LONG_MONTHS = (
    "january|february|march|april|may|june|july|august|september|october|november|december"
)
_DAYS = "mon|tue|wed|thu|fri|sat|sun"
_LONG_DAYS = "monday|tuesday|wednesday|thursday|friday|saturday|sunday"
_FRACTION = r"\.[0-9]{1,9}"
_LOOSE = {
    "%m": "[0-9]{1,2}",
    "%d": "[0-9]{1,2}",
    "%e": "[ 0-9]?[0-9]",
    "%H": "[0-9]{1,2}",
    "%I": "[0-9]{1,2}",
    "%M": "[0-5]?[0-9]",
    "%S": "[0-5]?[0-9]",
}
"""What may have one digit, unless another number touches it."""

_PATTERNS = {
    **_LOOSE,
    "%Y": "[0-9]{4}",
    "%y": "[0-9]{2}",
    "%j": "[0-9]{3}",
    "%G": "[0-9]{4}",
    "%V": "[0-9]{2}",
    "%u": "[1-7]",
    "%p": "(?i:am|pm)",
    "%b": f"(?i:{_MONTHS})",
    "%B": f"(?i:{_LONG_MONTHS})",
    "%a": f"(?i:{_DAYS})",
    "%A": f"(?i:{_LONG_DAYS})",
    "%.f": f"(?:{_FRACTION})?",
    "%z": "(?:Z|[+-][0-9]{2}(?::?[0-5][0-9])?)",
    "%%": "%",
}
_NUMERIC = {*_LOOSE, "%Y", "%y", "%j", "%G", "%V", "%u"}
_SHORT = {
    "%F": "%Y-%m-%d",
    "%T": "%H:%M:%S",
    "%R": "%H:%M",
    "%D": "%m/%d/%y",
    "%h": "%b",
    # What Python writes. Alone, `%f` counts nanoseconds for Polars.
    ".%f": "%.f",
}
_DATES = (("Y", "m", "d"), ("Y", "j"), ("G", "V", "u"))


def expand_format(text_format: str, function: str) -> str:
    """Returns a format in the directives that Polars knows, without abbreviations.

    Args:
        text_format: the format as a person writes it.
        function: who asks; named in errors.

    Raises:
        SetupError: the format has a directive that is not read here, or names no whole day.
    """
    expanded = text_format
    for short, long in _SHORT.items():
        expanded = expanded.replace(short, long)
    directives = [part for part in _split(expanded) if part.startswith("%")]
    problem = None
    if unknown := [one for one in directives if one not in _PATTERNS]:
        problem = f"has {', '.join(unknown)}, which is none of {', '.join(sorted(_PATTERNS))}"
    elif twice := sorted({one for one in directives if directives.count(one) > 1} - {"%%"}):
        problem = f"has {', '.join(twice)} twice"
    elif not _names_day(directives):
        problem = "names no whole day"
    elif ("%M" in directives) != bool({"%H", "%I"} & set(directives)):
        problem = "has an hour without minutes, or minutes without an hour"
    elif ("%I" in directives) != ("%p" in directives):
        problem = "has %I without %p, or %p without %I"
    if problem:
        raise SetupError(
            f"{function}: the format {text_format!r} {problem}.\n"
            'Next: write it in these directives, as in "%d.%m.%Y" or "%Y-%m-%dT%H:%M:%S%z".'
        )
    return expanded


def build_pattern(expanded: str) -> str:
    """Returns the pattern of the texts that a format reads; see `expand_format`."""
    parts = list(_split(expanded))
    pattern = ""
    for number, part in enumerate(parts):
        before, after = parts[max(number - 1, 0)], parts[min(number + 1, len(parts) - 1)]
        touched = (number > 0 and before in _NUMERIC) or (
            number < len(parts) - 1 and after in _NUMERIC
        )
        if part in _LOOSE and touched:
            pattern += "[0-9]{2}"
        else:
            pattern += _PATTERNS.get(part) or re.escape(part)
    return f"^{pattern}$"


def names_offset(expanded: str) -> bool:
    """Returns whether texts of a format say themselves how far they are from UTC."""
    return "%z" in expanded


def _names_day(directives: list[str]) -> bool:
    given = {{"b": "m", "B": "m", "e": "d", "y": "Y"}.get(one[1:], one[1:]) for one in directives}
    return any(given.issuperset(parts) for parts in _DATES)


def _split(text_format: str) -> Iterator[str]:
    """Yields the directives of a format, and the characters between them."""
    yield from re.findall(r"%\.f|%#?.|.|%$", text_format, flags=re.DOTALL)
