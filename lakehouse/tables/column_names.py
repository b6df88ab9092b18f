"""Which names columns of a table may have."""


def is_pattern(name: str) -> bool:
    """Whether Polars would take a name for a pattern: `*`, or `^…$`."""
    return name == "*" or (name.startswith("^") and name.endswith("$"))
