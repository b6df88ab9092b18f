"""Values of a query as DuckDB itself shows them, where Python's own would say something else.

In Python an interval of a year is 360 days, nanoseconds are cut off, and an infinite day is the
last day that Python knows. So columns of such types leave DuckDB as text. Days and times that
Python can hold become its own again, and look as days and times always do.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import duckdb

from lakehouse.storage.duckdb_connection import quote_identifier


@dataclass(frozen=True)
class _Text:
    """What a type is cast to, and how a value of it is read.

    Attributes:
        cast: the type as SQL names it, with VARCHAR in the place of each day, time and interval.
        read: returns a value to show; it is never given None.
    """

    cast: str
    read: Callable[[Any], Any]


def fetch_as_shown(relation: duckdb.DuckDBPyRelation) -> Callable[[int], list[tuple[Any, ...]]]:
    """Returns a function that fetches the next rows of a query, at most as many as it is told."""
    texts = [_find_text(kind) for kind in relation.types]
    if not any(texts):
        return relation.fetchmany
    # By position, because two columns may have one name.
    columns = (
        f"CAST(#{number} AS {text.cast})" if text else f"#{number}"
        for number, text in enumerate(texts, start=1)
    )
    projected = relation.project(", ".join(columns))
    return lambda count: [_read_row(texts, row) for row in projected.fetchmany(count)]


def _read_row(texts: Sequence[_Text | None], row: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(
        value if text is None or value is None else text.read(value)
        for text, value in zip(texts, row, strict=True)
    )


def _find_text(kind: Any) -> _Text | None:  # noqa: ANN401, DuckDB has no name for it
    """Returns what a type is cast to; None if its values are the same in Python."""
    if find := _NESTED.get(kind.id):
        return find(kind)
    read = _READERS.get(kind.id)
    return None if read is None else _Text("VARCHAR", read)


def _find_list_text(kind: Any) -> _Text | None:  # noqa: ANN401
    (_, child), *size = kind.children
    inner = _find_text(child)
    if inner is None:
        return None
    length = str(size[0][1]) if size else ""
    # An array is a tuple in Python, and a list is a list.
    return _Text(
        f"{inner.cast}[{length}]",
        lambda values: type(values)(_read(inner, value) for value in values),
    )


def _find_struct_text(kind: Any) -> _Text | None:  # noqa: ANN401
    fields = {name: _find_text(child) for name, child in kind.children}
    if not any(fields.values()):
        return None
    if "" in fields:  # `row(1, 2)` has fields without names, a type that SQL cannot name
        return _Text("VARCHAR", _keep)
    casts = (
        f"{quote_identifier(name)} {_name_type(child, fields[name])}"
        for name, child in kind.children
    )
    return _Text(
        f"STRUCT({', '.join(casts)})",
        lambda values: {name: _read(fields[name], value) for name, value in values.items()},
    )


def _find_map_text(kind: Any) -> _Text | None:  # noqa: ANN401
    (_, key), (_, value) = kind.children
    keys, values = _find_text(key), _find_text(value)
    if not (keys or values):
        return None
    if key.id in _NESTED:  # no dictionary of Python has such keys
        return _Text("VARCHAR", _keep)
    return _Text(
        f"MAP({_name_type(key, keys)}, {_name_type(value, values)})",
        lambda held: {_read(keys, one): _read(values, other) for one, other in held.items()},
    )


def _find_union_text(kind: Any) -> _Text | None:  # noqa: ANN401
    _, *members = kind.children  # the first one is the tag
    if not any(_find_text(child) for _, child in members):
        return None
    casts = (
        f"{quote_identifier(name)} {_name_type(child, _find_text(child))}"
        for name, child in members
    )
    # Not read back: a value does not say which member it is.
    return _Text(f"UNION({', '.join(casts)})", _keep)


def _name_type(kind: Any, text: _Text | None) -> str:  # noqa: ANN401
    return str(kind) if text is None else text.cast


def _read(text: _Text | None, value: Any) -> Any:  # noqa: ANN401
    return value if text is None or value is None else text.read(value)


def _keep(value: Any) -> Any:  # noqa: ANN401
    return value


def _read_date(text: str) -> date | str:
    """Returns a day; the text itself if Python has no such day."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return text


def _read_datetime(text: str) -> datetime | str:
    """Returns a moment; the text itself if Python has no such moment."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return text


_READERS: Mapping[str, Callable[[str], Any]] = {
    "date": _read_date,
    **dict.fromkeys(("timestamp", "timestamp_s", "timestamp_ms"), _read_datetime),
    "timestamp with time zone": _read_datetime,
    **dict.fromkeys(("interval", "timestamp_ns", "time_ns", "variant"), _keep),
}
_NESTED: Mapping[str, Callable[[Any], _Text | None]] = {
    **dict.fromkeys(("list", "array"), _find_list_text),
    "struct": _find_struct_text,
    "map": _find_map_text,
    "union": _find_union_text,
}
