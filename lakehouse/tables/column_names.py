"""The names that columns of a table may have."""


def is_pattern(name: str) -> bool:
    """Returns whether Polars would take a name for a pattern: `*`, or `^…$`."""
    return name == "*" or (name.startswith("^") and name.endswith("$"))
