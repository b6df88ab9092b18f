"""JSON: where its records are, and whether it holds numbers that are none in JSON."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from lakehouse.ingest.files.recognize.recognized import Recognized, declare_format
from lakehouse.ingest.files.recognize.sample import Sample
from lakehouse.tables.files import Files

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\Z)|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)
_NOT_JSON = re.compile(r"-?(?:NaN|Infinity)")
_VALUE = re.compile(r"-?(?:\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|NaN|Infinity)|true|false|null")
_DEEPEST = 60


@dataclass
class _Level:
    """An object or array that is open: its path, its key so far, what it holds."""

    path: str
    is_array: bool
    key: str = ""
    expects_key: bool = False


@dataclass
class _Found:
    """What a walk over the text saw."""

    objects: int = 0
    arrays: int = 0
    lists: dict[str, int] = field(default_factory=dict)
    keys: dict[str, dict[str, None]] = field(default_factory=dict)
    has_nan: bool = False
    is_broken: bool = False


def recognize_json(text: str, sample: Sample, encoding: str) -> Recognized | None:
    """Returns the layout of a JSON file; None if it is none."""
    start = text.lstrip()
    if not start.startswith(("{", "[")):
        return None
    found = _walk(text)
    if found.is_broken or not (found.objects or found.arrays):
        return None
    if found.arrays and not found.lists and text.strip() != "[]":
        return None
    records = _find_records(found)
    is_lines = found.objects > 1 and _is_json(start.partition("\n")[0])
    path = "" if records is None else records.removesuffix("[]")
    columns = tuple(found.keys.get(records or _top(found), {}))
    files = Files(
        format=declare_format("jsonl" if is_lines else "json", sample.name),
        encoding=encoding,
        records=f"{path}[]" if records else None,
        allow_nan=found.has_nan,
    )
    return Recognized(files, columns, len(columns))


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _top(found: _Found) -> str:
    return "" if found.objects else "[]"


def _find_records(found: _Found) -> str | None:
    """Returns the path of the records within the one object of a file; None for the top."""
    if found.objects != 1 or found.arrays:
        return None
    # The outermost list: what lies within its records belongs to them.
    inner = {path: count for path, count in found.lists.items() if path}
    if not inner:
        return None
    depth = min(path.count(".") + path.count("[]") for path in inner)
    outer = {p: n for p, n in inner.items() if p.count(".") + p.count("[]") == depth}
    return max(outer, key=lambda path: outer[path])


def _walk(text: str) -> _Found:
    """Returns what lies where in a text, which may be cut at its end."""
    found, levels = _Found(), list[_Level]()
    for part in _split(text):
        if part in "{[":
            _open(part, levels, found)
        elif part in "}]":
            if not levels or levels.pop().is_array != (part == "]"):
                found.is_broken = True
        elif part in ",:":
            if levels:
                levels[-1].expects_key = part == "," and not levels[-1].is_array
        else:
            _note_value(part, levels, found)
        if found.is_broken or len(levels) > _DEEPEST:
            break
    return found


def _note_value(part: str, levels: list[_Level], found: _Found) -> None:
    if part.startswith('"'):
        if levels and levels[-1].expects_key:
            _note_key(part, levels[-1], found)
    elif _VALUE.fullmatch(part):
        found.has_nan |= bool(_NOT_JSON.fullmatch(part))
    else:
        found.is_broken = True


def _split(text: str) -> Iterator[str]:
    for match in _TOKEN.finditer(text):
        # The last part may be cut.
        if match.end() == len(text) and match[0] not in "{}[]":
            return
        yield match[0]


def _open(part: str, levels: list[_Level], found: _Found) -> None:
    outer = levels[-1] if levels else None
    if outer is None:
        path = "" if part == "{" else "[]"
        found.objects += part == "{"
        found.arrays += part == "["
    else:
        path = outer.path if outer.is_array else f"{outer.path}.{outer.key}".removeprefix(".")
        if part == "[":
            path = f"{path}[]"
    if outer is not None and outer.is_array and part == "{":
        found.lists[path] = found.lists.get(path, 0) + 1
    levels.append(_Level(path, part == "[", expects_key=part == "{"))


def _note_key(part: str, level: _Level, found: _Found) -> None:
    try:
        level.key = json.loads(part)
    except ValueError:
        level.key = part[1:-1]
    found.keys.setdefault(level.path, {})[level.key] = None
