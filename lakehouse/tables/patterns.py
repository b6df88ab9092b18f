"""Patterns of contracts as Polars runs them: the same verdict as Python's `re`, or a refusal.

A pattern is written for Python and run by Rust's `regex`. The two agree on most of what people
write; what they read differently is refused when the contract loads.
"""

import re

# Of the others, `re.DEBUG` changes no verdict, and `re.UNICODE` is how both read text.
_FLAGS = {re.IGNORECASE: "i", re.MULTILINE: "m", re.DOTALL: "s", re.VERBOSE: "x"}
_REFUSED = {re.ASCII: "re.ASCII", re.LOCALE: "re.LOCALE"}
_ESCAPED_OR_CLASS = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
_SET_OF_SETS = re.compile(r"(?<!\\)(?:\[|&&|--|~~)")
_POSSESSIVE = re.compile(r"[*+?}]\+")
# In Rust `\<` and `\>` are ends of a word, in Python the characters.
_WORD_ENDS = re.compile(r"(?<!\\)(?:\\\\)*\\[<>]")


class UnsupportedPatternError(ValueError):
    """A pattern that Polars cannot run, or would read in another way than Python."""


def get_text(pattern: str | re.Pattern[str]) -> str:
    """Returns a pattern as text, its flags in front: `(?i)abc`."""
    if isinstance(pattern, str):
        return pattern
    return f"{_inline(pattern.flags)}{pattern.pattern}"


def match_whole(pattern: str | re.Pattern[str]) -> str:
    """Returns the pattern for Polars that a text matches as a whole, as with `re.fullmatch`.

    Raises:
        UnsupportedPatternError: Polars would read it in another way.
    """
    # Not `^` and `$`: in `^a|b$` each holds for one alternative, and with (?m) for a line.
    return rf"\A{find_within(pattern)}\z"


def find_within(pattern: str | re.Pattern[str]) -> str:
    """Returns the pattern for Polars that a text contains somewhere, as with `re.search`.

    Raises:
        UnsupportedPatternError: Polars would read it in another way.
    """
    text = pattern if isinstance(pattern, str) else pattern.pattern
    flags = _check(text, pattern)
    # With (?x) a comment may end the pattern, and would hide the bracket.
    end = "\n" if flags & re.VERBOSE else ""
    return f"(?:{_inline(flags)}{text}{end})"


def _inline(flags: int) -> str:
    letters = "".join(letter for flag, letter in _FLAGS.items() if flags & flag)
    return f"(?{letters})" if letters else ""


def _check(text: str, pattern: str | re.Pattern[str]) -> int:
    """Returns the flags of a pattern, those within its text among them."""
    try:
        flags = re.compile(text, 0 if isinstance(pattern, str) else pattern.flags).flags
    except re.error as error:
        raise UnsupportedPatternError(f"{text!r} is no pattern: {error}") from error
    for flag, name in _REFUSED.items():
        if flags & flag:
            raise UnsupportedPatternError(
                f"{text!r} has the flag {name}, which Polars does not have: name the characters"
            )
    if _POSSESSIVE.search(_ESCAPED_OR_CLASS.sub("x", text)) or _WORD_ENDS.search(text):
        raise UnsupportedPatternError(
            f"{text!r} has `*+`, `++`, `?+`, `\\<` or `\\>`, which Polars reads in another way"
        )
    # Python reads these as characters, and warns at the first time alone that it may not always.
    if any(_SET_OF_SETS.search(found[0], 1) for found in _ESCAPED_OR_CLASS.finditer(text)):
        raise UnsupportedPatternError(
            f"{text!r} has `[`, `&&`, `--` or `~~` in a class, where Polars reads a set of sets: "
            "escape them with a backslash"
        )
    return flags
