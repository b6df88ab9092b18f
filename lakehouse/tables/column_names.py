"""The names that columns of a table may have."""

from collections.abc import Iterable


def is_pattern(name: str) -> bool:
    """Returns whether Polars would take a name for a pattern: `*`, or `^…$`."""
    return name == "*" or (name.startswith("^") and name.endswith("$"))


def find_alike(names: Iterable[str]) -> list[list[str]]:
    """Returns names that differ by case alone, in groups; Delta Lake takes them for one name."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(name.lower(), []).append(name)
    return [group for group in groups.values() if len(group) > 1]
