"""Numbers and names in sentences."""


def counted(number: int, noun: str) -> str:
    """`1 row`, `2 rows`, `31,415 rows`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
