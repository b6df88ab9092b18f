"""Numbers and names in sentences."""

from collections.abc import Sequence

_NAMED = 10
"""How many of several things are named; the others are counted."""


def format_count(number: int, noun: str) -> str:
    """Returns a number with its noun: `1 row`, `2 rows`, `31,415 rows`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def name_first(names: Sequence[str]) -> str:
    """Returns names in one visible line: the first ten, and how many more there are."""
    # Anybody may name a file: a line feed in a name would end the line of the message.
    shown = [str(escape_control_characters(name)) for name in names[:_NAMED]]
    if len(names) > _NAMED:
        shown.append(f"and {len(names) - _NAMED:,} more")
    return ", ".join(shown)


def escape_control_characters(value: object) -> object:
    """Returns a text in one visible line, and any other value unchanged.

    Escaped are control characters, line ends, and what is not seen or changes the direction of
    reading: all that Python calls not printable.
    """
    # A terminal obeys escape sequences, and a mark of direction makes a name look like another.
    # Names and reasons may come from a delivered file.
    if not isinstance(value, str) or value.isprintable():
        return value
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in value)


def escape_lines(text: str) -> str:
    """Returns a message of several lines with the control characters of each line escaped."""
    if text.isprintable():
        return text
    return "\n".join(str(escape_control_characters(line)) for line in text.split("\n"))
