"""Paths of records, and of values of what they lie within, in JSON and XML.

A path such as `data.orders[].lines[]` is names between dots or slashes, from the top of a document.
`[]` marks a list and may be left out. A name with a dot, a slash, a bracket or a quote is written
in quotes, as in JSON.
"""

import json
import re
from collections.abc import Mapping
from typing import NamedTuple

_STEP = re.compile(r'("(?:[^"\\]|\\.)*"|[^./\[\]"]+)((?:\[\])*)(?:[./]|\Z)')


class Step(NamedTuple):
    """A name, and how many lists are within one another behind it; 0 says nothing about lists."""

    name: str
    lists: int


class Parent(NamedTuple):
    """A column that each record takes from what it lies within.

    Attributes:
        column: its name.
        level: how many names of the path of records lead to the object or element that has it.
        names: the names from there.
    """

    column: str
    level: int
    names: tuple[str, ...]


class RecordPath(NamedTuple):
    """Where the records of a document are, and what they take from what they lie within."""

    steps: tuple[Step, ...] = ()
    parents: tuple[Parent, ...] = ()

    def describe(self, length: int | None = None) -> str:
        """Returns the first names of the path, as they may be written."""
        return ".".join(quote_name(step.name) for step in self.steps[:length])


def quote_name(name: str) -> str:
    """Returns a name as it is written in a path."""
    return json.dumps(name, ensure_ascii=False) if re.search(r'[./\[\]"]', name) else name


def parse_record_path(records: str | None, parents: Mapping[str, str]) -> RecordPath:
    """Returns declared paths.

    Raises:
        ValueError: a path cannot be read, or does not lead to a value of what records lie within.
    """
    if records is None:
        return RecordPath()
    steps = _parse(records)
    return RecordPath(steps, tuple(_place(name, path, steps) for name, path in parents.items()))


def _parse(path: str) -> tuple[Step, ...]:
    # The objects at the top are the same ones, in a list or not.
    text = re.sub(r"\A(?:\[\])+(?:[./]|\Z)", "", path.strip())
    steps, position = [], 0
    while position < len(text):
        found = _STEP.match(text, position)
        if found is None:
            raise ValueError(
                f"{path!r} is no path; write names between dots, as data.orders[].lines[]"
            )
        name = found[1].strip()
        steps.append(Step(json.loads(name) if name.startswith('"') else name, len(found[2]) // 2))
        position = found.end()
    if not steps or text.endswith((".", "/")):
        raise ValueError(f"{path!r} is no path; write names between dots, as data.orders[].lines[]")
    return tuple(steps)


def _place(column: str, path: str, records: tuple[Step, ...]) -> Parent:
    steps = _parse(path)
    level = 0
    while level < min(len(steps), len(records)) and steps[level].name == records[level].name:
        level += 1
    names = steps[level:]
    if not names:
        raise ValueError(f"{path!r} is on the path of the records: name a value within it")
    if any(step.lists for step in names):
        raise ValueError(f"{path!r} leads through a list that the records do not lie in")
    return Parent(column, level, tuple(step.name for step in names))
