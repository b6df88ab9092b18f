"""Detection of local times that stop a whole table: those that a clock change skips or repeats.

When clocks go forward, an hour of local time does not exist; when they go back, one exists twice.
Polars raises an error for such a time unless it is told what it means, and the error is of the
whole frame: one row in the night of a clock change holds every other row of the table.
"""

from collections.abc import Iterator
from typing import Any

import polars as pl

from lakehouse.tables.plan_calls import get_options, get_text, iterate_calls, read_plan

_FIXED = ("UTC", "Etc/", "GMT", "Zulu", "UCT", "Universal")
_REMEDY = (
    "one time that a clock change skips or repeats would stop the whole table. Read it without a "
    'zone, then say what such a time means: dt.replace_time_zone("Europe/Berlin", '
    'ambiguous="earliest", non_existent="null"); with "null" the row is quarantined'
)


def find_raising_times(rows: pl.LazyFrame) -> list[str]:
    """Returns a problem for each zone whose local times a plan reads so that some raise an error.

    Nothing is found where the plan calls a Python function.
    """
    zones = {zone for call in iterate_calls(read_plan(rows)) for zone in _find_zones(call)}
    return [
        f"it reads local times of {zone} without ambiguous= and non_existent=: {_REMEDY}"
        for zone in sorted(zones)
    ]


def _find_zones(call: dict[str, Any]) -> Iterator[str]:
    """Yields the zone of a call that raises an error for some local times."""
    if (replaced := get_options(call, "TemporalExpr", "ReplaceTimeZone")) is not None:
        zone, non_existent = replaced
        is_raising = non_existent == "Raise" or get_text(call["input"][-1]) == "raise"
    elif (parsed := get_options(call, "StringExpr", "Strptime")) is not None:
        zone, text_format = _get_zone(parsed[0]), str(parsed[1].get("format"))
        # A format with an offset names an instant. Nothing can be said about times that do not
        # exist here, whatever `ambiguous` says.
        is_raising = "%z" not in text_format and "%#z" not in text_format
    elif (built := get_options(call, "TemporalExpr", "DatetimeFunction")) is not None:
        zone, is_raising = built.get("time_zone"), True
    else:
        return
    name = zone.get("inner") if isinstance(zone, dict) else zone
    if is_raising and isinstance(name, str) and not name.startswith(_FIXED):
        yield name


def _get_zone(dtype: Any) -> Any:  # noqa: ANN401 - any JSON
    """Returns the zone of a serialized type, if it is one of instants."""
    literal = dtype.get("Literal", dtype) if isinstance(dtype, dict) else None
    instant = literal.get("Datetime") if isinstance(literal, dict) else None
    return instant[1] if instant else None
