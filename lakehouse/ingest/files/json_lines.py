"""JSON lines: every record of a file as a row of text, or as a dead letter with its bytes.

Strings stay as they are, numbers keep their spelling, objects and lists become compact JSON text.
The columns are the union over the file; a key that differs only by case from an earlier one goes
into the same column.
"""

import json
import re
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any, NoReturn

from lakehouse.ingest.files.header_names import fold_names, has_nul, list_names, refuse_missing
from lakehouse.ingest.files.lines import (
    BYTE_ORDER_MARK,
    Line,
    LongLine,
    count_lines,
    read_blocks,
    split_lines,
)
from lakehouse.ingest.files.record_ledger import RecordLedger
from lakehouse.ingest.limits import IngestLimits
from lakehouse.tables.column_names import is_pattern

# Characters stay as delivered: the default would turn all but ASCII into escapes.
_EMPTY_LIST = re.compile(rb"(?:\xef\xbb\xbf)?\s*\[\s*\]\s*")
_EMPTY_LIST_BYTES = 1 << 10  # no program writes more blanks around it
_quote = json.JSONEncoder(ensure_ascii=False).encode


# A subclass of text, so that `_json` can tell a number, which gets no quotes, from a string.
class _Number(str):
    """A number as the file spells it."""

    __slots__ = ()


class _NotARecordError(ValueError):
    """A line that is no record; the message says why. Never leaves this module."""


def read_json_lines(path: Path, ledger: RecordLedger, *, required: Collection[str]) -> None:
    """Reads a plain file of JSON lines into the ledger.

    Raises:
        RefusedError: no object has a required key.
    """
    if _is_empty_list(path):
        ledger.empty_because = "an empty list: no records"
        return
    reader = _JsonReader(ledger, fold_names(required))
    number = 1
    for block in read_blocks(path, ledger.limits):
        content = block
        if number == 1 and isinstance(block, bytes) and block.startswith(BYTE_ORDER_MARK):
            ledger.notes.append("byte order mark removed")
            content = block.removeprefix(BYTE_ORDER_MARK)
        for line in split_lines(content, number, ledger.limits):
            reader.read(line)
        number += 1 if isinstance(block, LongLine) else count_lines(block)
    if not ledger.records:
        ledger.empty_because = "blank lines only: no records"
    # Without any object there is nothing to say about columns: each line is a dead letter already.
    if reader.has_objects:
        refuse_missing(ledger.columns, required)


def _is_empty_list(path: Path) -> bool:
    """Returns whether a file is `[]`: what programs write that have no record to write."""
    with path.open("rb") as file:
        head = file.read(_EMPTY_LIST_BYTES)
    return len(head) < _EMPTY_LIST_BYTES and _EMPTY_LIST.fullmatch(head) is not None


class _JsonReader:
    """A reader of lines, one after another, that collects the columns it meets."""

    def __init__(self, ledger: RecordLedger, required: dict[str, str]) -> None:
        self._ledger = ledger
        self._required = required
        self._places: dict[str, int] = {}
        self.has_objects = False

    def read(self, line: Line) -> None:
        self._ledger.ends[line.end] += bool(line.end)
        if not line.content.strip():
            self._ledger.blank_lines += 1
            return
        try:
            record = _parse(line, self._ledger.limits)
            places = self._place(record)
        except _NotARecordError as error:
            self._ledger.add_letter(str(error), line.place, line.content, line.size)
            return
        self.has_objects = True
        # As wide as the columns known so far; the ledger fills up earlier and shorter rows.
        values: list[str | None] = [None] * len(self._ledger.columns)
        for place, value in zip(places, record.values(), strict=True):
            values[place] = value
        self._ledger.add_row(values, line.size)

    def _place(self, record: dict[str, str | None]) -> list[int]:
        """Returns the position of the column of each key; new keys become columns."""
        folded = [key.strip().casefold() for key in record]
        new = {
            fold: key.strip()
            for fold, key in zip(folded, record, strict=True)
            if fold not in self._places
        }
        _check_keys(folded, record)
        # All checks come before the first change: a rejected record leaves no column behind.
        if len(self._places) + len(new) > self._ledger.limits.columns:
            raise _NotARecordError(
                f"more than {self._ledger.limits.columns:,} columns, "
                f"with: {list_names(new.values())}"
            )
        for fold, name in new.items():
            self._places[fold] = len(self._ledger.columns)
            self._ledger.columns.append(self._required.get(fold, name))
        return [self._places[fold] for fold in folded]


def _check_keys(folded: list[str], record: Collection[str]) -> None:
    counts = Counter(folded)
    if same := [key for key, fold in zip(record, folded, strict=True) if counts[fold] > 1]:
        raise _NotARecordError(f"keys differ only in case: {list_names(same)}")
    if reserved := [
        key for key, fold in zip(record, folded, strict=True) if fold.startswith("_") or not fold
    ]:
        raise _NotARecordError(
            f"keys are blank or begin with _, reserved for the engine: {list_names(reserved)}"
        )
    if patterns := [key for key in record if is_pattern(key.strip())]:
        raise _NotARecordError(f"keys that queries would read as patterns: {list_names(patterns)}")
    if with_nul := [key for key in record if has_nul(key)]:
        raise _NotARecordError(
            f"keys with a NUL byte, which no column can have: {list_names(with_nul)}"
        )


def _parse(line: Line, limits: IngestLimits) -> dict[str, str | None]:
    """Returns the values of an object as text, by key."""
    if line.is_cut:
        raise _NotARecordError(f"line too long: {line.size:,} bytes; limit {limits.record_bytes:,}")
    try:
        # Python's parser takes NaN and Infinity, which JSON does not have, and of a repeated key it
        # keeps the last value without a word. The hooks refuse both.
        record = json.loads(
            line.content.decode(),
            parse_float=_Number,
            parse_int=_Number,
            parse_constant=_refuse_constant,
            object_pairs_hook=_unique,
        )
        if not isinstance(record, dict):
            raise _NotARecordError(f"not an object but {_KINDS.get(type(record), 'a number')}")
        if any(_is_nested_deeper(value, limits.nesting) for value in record.values()):
            raise _NotARecordError(f"nested more than {limits.nesting} deep (nesting)")
        texts = {key: _text(value) for key, value in record.items()}
        # Python reads the escape `\ud800` without a complaint; Polars' text cannot hold the result.
        "".join([*texts, *(text for text in texts.values() if text)]).encode()
    except UnicodeDecodeError as error:
        raise _NotARecordError(
            f"not valid UTF-8: {error.reason} at byte {error.start + 1}"
        ) from error
    except UnicodeEncodeError as error:
        raise _NotARecordError(
            "an escape is half of a surrogate pair, which no text can hold"
        ) from error
    except RecursionError as error:
        raise _NotARecordError("nested too deeply") from error
    except json.JSONDecodeError as error:
        raise _NotARecordError(f"invalid JSON: {error.msg} at character {error.colno}") from error
    return texts


_KINDS = {str: "a string", list: "a list", bool: "true or false", type(None): "null"}


def _refuse_constant(name: str) -> NoReturn:
    raise _NotARecordError(f"invalid JSON: {name} is not a number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        raise _NotARecordError(
            f"duplicate keys: {list_names([key for key in record if counts[key] > 1])}"
        )
    return record


def _is_nested_deeper(value: object, most: int) -> bool:
    """Returns whether a value has more levels of objects and lists than `most`."""
    level = [value]
    for _ in range(most + 1):
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return False
    return True


def _text(value: object) -> str | None:
    """Returns a value as text: a string as it is, any other value as JSON."""
    if value is None:
        return None
    return str(value) if isinstance(value, str) else _json(value)


def _json(value: object) -> str:
    # Not `json.dumps`: numbers within nested values keep their spelling too.
    if isinstance(value, _Number):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{_quote(key)}:{_json(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_json(item) for item in value) + "]"
    return _quote(value)
