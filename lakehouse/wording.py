"""Numbers and names in sentences."""


def format_count(number: int, noun: str) -> str:
    """`1 row`, `2 rows`, `31,415 rows`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def escape_control_characters(value: object) -> object:
    """A value as it is, or a text in one line: line feeds and other control signs are spelled out."""
    if not isinstance(value, str) or value.isprintable():
        return value
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in value)
