"""Numbers and names in sentences."""


def format_count(number: int, noun: str) -> str:
    """Returns a number with its noun: `1 row`, `2 rows`, `31,415 rows`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def escape_control_characters(value: object) -> object:
    """Returns a text with its control characters escaped, and any other value unchanged."""
    # A terminal obeys escape sequences, and names and reasons may come from a delivered file.
    if not isinstance(value, str) or value.isprintable():
        return value
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in value)
