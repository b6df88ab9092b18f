"""Broken rules in words: a quarantine stores the names of rules, people read what is wrong.

Belongs here: the words, and which reasons of a row repeat another one. Does not belong here: the
names themselves, which `rules.py` and `default_rules.py` give; they are stored with each rejected
row and never change.
"""

import re
from collections.abc import Callable, Collection

import polars as pl

_UNREAD, _PRESENT = " can be read", " is present"
_NAMES: tuple[tuple[str, Callable[[re.Match[str]], str]], ...] = tuple(
    (rf"(?s)(?P<of>.+?) {name}", words)
    for name, words in (
        ("is present", lambda m: f"{m['of']} is missing"),
        ("can be read", lambda m: f"{m['of']} cannot be read"),
        ("is finite", lambda m: f"{m['of']} is not finite"),
        ("lies in the years 1 to 9999", lambda m: f"{m['of']} lies outside the years 1 to 9999"),
        ("is a known value", lambda m: f"{m['of']} is no known value"),
        ("is not a forbidden value", lambda m: f"{m['of']} is a forbidden value"),
        (r"fits (?P<n>.+)", lambda m: f"{m['of']} does not fit {m['n']}"),
        (r"is a day of this table", lambda m: f"{m['of']} is no day of this table"),
        (
            r"is the day of the row in (?P<n>.+)",
            lambda m: f"{m['of']} is not the day of the row in {m['n']}",
        ),
        (r"has at least (?P<n>.+)", lambda m: f"{m['of']} has fewer than {m['n']}"),
        (r"has at most (?P<n>.+)", lambda m: f"{m['of']} has more than {m['n']}"),
        (r"has (?P<n>\d+(?: to \d+)? characters?)", lambda m: f"{m['of']} has not {m['n']}"),
        (r"between (?P<n>.+)", lambda m: f"{m['of']} is not between {m['n']}"),
        (r"matches (?P<n>.+)", lambda m: f"{m['of']} does not match {m['n']}"),
        (r"contains (?P<n>.+)", lambda m: f"{m['of']} does not contain {m['n']}"),
        (r"starts with (?P<n>.+)", lambda m: f"{m['of']} does not start with {m['n']}"),
        (r"ends with (?P<n>.+)", lambda m: f"{m['of']} does not end with {m['n']}"),
        (r">= (?P<n>.+)", lambda m: f"{m['of']} is below {m['n']}"),
        (r"<= (?P<n>.+)", lambda m: f"{m['of']} is above {m['n']}"),
        (r"> (?P<n>.+)", lambda m: f"{m['of']} is not above {m['n']}"),
        (r"< (?P<n>.+)", lambda m: f"{m['of']} is not below {m['n']}"),
        (r"!= (?P<n>.+)", lambda m: f"{m['of']} is {m['n']}"),
        (r"= (?P<n>.+)", lambda m: f"{m['of']} is not {m['n']}"),
    )
)


def describe_broken_rule(name: str) -> str:
    """Returns what is wrong with a row that breaks a rule, such as `quantity is missing`.

    The name of a check that a person wrote says itself what it wants, and is quoted.
    """
    for pattern, words in _NAMES:
        if found := re.fullmatch(pattern, name):
            return words(found)
    return f"breaks the rule: {name}"


def describe_broken_rules(names: Collection[str]) -> str:
    """Returns what is wrong with a row that breaks some rules, each thing once."""
    return "; ".join(map(describe_broken_rule, drop_repeated_rules(names)))


def drop_repeated_rules(names: Collection[str]) -> list[str]:
    """Returns the rules that a row breaks without those that another one implies.

    A value that cannot be read is null in its column, and so it is missing as well.
    """
    unread = {name.removesuffix(_UNREAD) for name in names if name.endswith(_UNREAD)}
    return [name for name in names if name.removesuffix(_PRESENT) not in unread]


def select_distinct_rules(rules: pl.Expr) -> pl.Expr:
    """Returns `drop_repeated_rules` for a column of lists of names."""
    element = pl.element()
    implied = element.filter(element.str.ends_with(_UNREAD)).str.replace(rf"{_UNREAD}$", _PRESENT)
    return rules.list.set_difference(rules.list.eval(implied))
