"""Prints the rejected rows of `lakehouse demo`: how many by reason, and one of each kind whole."""

from collections.abc import Mapping
from typing import Any

from lakehouse.cli.output import format_value, print_paragraph, print_text
from lakehouse.environment import Environment
from lakehouse.observe.rejects import RejectedRows, pick_examples, read_rejects
from lakehouse.origin import Origin
from lakehouse.system_columns import BROKEN, TOO_LARGE
from lakehouse.tables.broken_rules import describe_broken_rule, describe_broken_rules
from lakehouse.wording import escape_control_characters, format_count

_EXAMPLES = 4
"""How many rejected rows of a table are shown, each with another reason."""

_LONGEST_VALUE = 400
"""Characters of a value that are shown; a cell may hold a mebibyte."""


def print_rejects(here: Environment) -> None:
    """Prints the open rejected rows of each table by reason, and some of them whole."""
    for name in here.catalog.tables:
        found = read_rejects(here, name, None)
        if found.total:
            _print_table(name, found)


def _print_table(name: str, found: RejectedRows) -> None:
    what = "record" if found.reason_column == "reason" else "row"
    print_paragraph(
        f"\n{format_count(found.total, f'rejected {what}')} of {name}, kept whole in "
        f"{found.table.replace('/', '.')}",
        style="bold",
    )
    for reason, count in found.reasons.items():
        words = reason if found.reason_column == "reason" else describe_broken_rule(reason)
        print_paragraph(f"  {count:>6,}  {escape_control_characters(words)}", indent=10)
    for row in pick_examples(found, _EXAMPLES):
        print_text()
        print_paragraph(f"  {escape_control_characters(_describe_place(row))}", indent=4)
        print_paragraph(f"    {escape_control_characters(_describe_values(row))}", indent=4)


def _describe_place(row: Mapping[str, Any]) -> str:
    """Returns where a rejected row comes from, and why it was rejected."""
    broken = row.get(BROKEN)
    reason = row["reason"] if broken is None else describe_broken_rules(broken)
    if "_source" not in row:
        return reason
    place = "the whole file" if row["_offset"] is None else f"record {row['_offset']:,}"
    return f"{Origin.parse(row['_source']).label}, {place}: {reason}"


def _describe_values(row: Mapping[str, Any]) -> str:
    """Returns the values of a rejected row, or the bytes of a record that could not be parsed."""
    if BROKEN not in row:
        payload: bytes | None = row["payload"]
        if payload is None:
            return "(no bytes are kept)"
        return _shorten(payload.decode("utf-8", "backslashreplace"))
    values = ", ".join(
        f"{name} {_shorten(_quote(value))}"
        for name, value in row.items()
        if not name.startswith("_")
    )
    return f"{values}; too large: {large}" if (large := row.get(TOO_LARGE)) else values


def _quote(value: Any) -> str:  # noqa: ANN401
    """Returns a value as text; one in which blanks would be lost in the line is quoted."""
    if value is None:
        return "(none)"
    text = format_value(value)
    return f"'{text}'" if text != text.strip() or not text or ", " in text else text


def _shorten(text: str) -> str:
    if len(text) <= _LONGEST_VALUE:
        return text
    return f"{text[:_LONGEST_VALUE]}… ({len(text):,} characters)"
