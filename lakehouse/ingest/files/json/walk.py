"""The records of a JSON document, found by their path without holding the document in memory.

A list on the path is gone through, and so is a list at its end. Null and an empty list at the path
hold no record. A value of a parent may stand before or after the records in the file.
"""

import json
from collections.abc import Generator, Iterator, Mapping
from typing import NamedTuple

from lakehouse.ingest.files.header_names import list_names
from lakehouse.ingest.files.json.bounds import Document
from lakehouse.ingest.files.record_ledger import RefusedError
from lakehouse.tables.record_path import RecordPath, quote_name

_NOTHING: Mapping[str, bytes] = {}


class Found(NamedTuple):
    """A record: where it begins and ends, and the JSON that it takes from its parents."""

    begin: int
    end: int
    parents: Mapping[str, bytes]


class Walker:
    """A walk through documents of one file.

    Attributes:
        is_found: whether the path was there, be it with no record.
        missing: how many objects at the top lack it.
        siblings: the paths that exist where the first one stops.
    """

    def __init__(self, path: RecordPath, most_bytes: int) -> None:
        """Begins before the first document.

        Args:
            path: where the records are.
            most_bytes: the most bytes of a value that records take from their parents.
        """
        self._most_bytes = most_bytes
        self._reached = False
        self._path = path
        self._wanted = [
            {parent.names[0] for parent in path.parents if parent.level == level}
            for level in range(len(path.steps) + 1)
        ]
        self.is_found = False
        self.missing = 0
        self.siblings: list[str] = []

    def walk(self, document: Document, start: int = 0) -> Iterator[Found]:
        """Yields the records of a document.

        Raises:
            RefusedError: it is cut off, or no JSON.
        """
        position = document.skip_between(start)
        while position < document.size:
            position = yield from self._walk_top(document, position)
            position = document.skip_between(position)

    def refuse_missing(self) -> None:
        """Refuses a file in which the path is nowhere.

        Raises:
            RefusedError: the path is nowhere; the message lists what is there.
        """
        if self.missing and not self.is_found:
            paths = list_names(self.siblings) or "nothing"
            raise RefusedError(
                f"no {self._path.describe()} in the file (records); there is: {paths}"
            )

    def describe(self) -> list[str]:
        """Returns notes about what has no records."""
        if not self.missing:
            return []
        return [f"objects without {self._path.describe()}: {self.missing:,}"]

    def _walk_top(self, document: Document, position: int) -> Generator[Found, None, int]:
        mark = document.bytes[position : position + 1]
        if mark == b"[":
            for begin, end in document.list_elements(position):
                if end < 0:
                    return begin
                if document.bytes[begin : begin + 1] == b"{" and self._path.steps:
                    yield from self._enter(document, begin)
                else:
                    yield Found(begin, end, _NOTHING)
        if mark == b"{":
            if self._path.steps:
                return (yield from self._enter(document, position))
            end = document.find_end(position)
            yield Found(position, end, _NOTHING)
            return end
        raise RefusedError(
            f"no JSON: an object or a list is expected at {document.place(position)}. "
            'Where each line is a record, declare Files(format="jsonl")'
        )

    def _enter(self, document: Document, position: int) -> Generator[Found, None, int]:
        """Walks through one object at the top; counts it if it lacks the path."""
        self._reached = False
        end = yield from self._visit(document, position, 0, 0, _NOTHING)
        self.missing += not self._reached
        self.is_found |= self._reached
        return end

    def _visit(
        self,
        document: Document,
        position: int,
        level: int,
        lists: int,
        parents: Mapping[str, bytes],
    ) -> Generator[Found, None, int]:
        """Walks through a value to which `level` names and `lists` lists lead; returns its end."""
        mark = document.bytes[position : position + 1]
        is_end = level == len(self._path.steps)
        most = max(1, self._path.steps[level - 1].lists) if level else 0
        if mark == b"[" and lists < most:
            self._reached |= is_end
            is_empty = True
            for begin, end in document.list_elements(position):
                if end < 0:
                    # On the way, too, an empty list holds no record.
                    self._reached |= is_empty
                    return begin
                is_empty = False
                yield from self._visit_element(document, begin, end, level, lists + 1, parents)
        if mark == b"{" and not is_end:
            return (yield from self._visit_object(document, position, level, parents))
        end = document.find_end(position)
        is_null = end - position == len(b"null") and document.bytes[position:end] == b"null"
        if is_end and not is_null:
            yield Found(position, end, parents)
        # Null on the way holds no record, as null at the path does.
        self._reached |= is_null or is_end
        return end

    def _visit_element(
        self,
        document: Document,
        begin: int,
        end: int,
        level: int,
        lists: int,
        parents: Mapping[str, bytes],
    ) -> Iterator[Found]:
        """Walks through an element of a list on the path; whatever it is, the next one follows."""
        mark = document.bytes[begin : begin + 1]
        most = max(1, self._path.steps[level - 1].lists)
        if level == len(self._path.steps) and (mark != b"[" or lists >= most):
            yield Found(begin, end, parents)
        elif mark in (b"{", b"["):
            yield from self._visit(document, begin, level, lists, parents)

    def _visit_object(
        self, document: Document, start: int, level: int, parents: Mapping[str, bytes]
    ) -> Generator[Found, None, int]:
        name = self._path.steps[level].name
        wanted = self._wanted[level]
        values: dict[str, bytes] = {}
        later: list[int] = []
        keys: dict[str, None] = {}
        has_name = False
        position = start + 1
        while member := document.find_member(position):
            raw, begin = member
            key = _read_key(raw)
            has_name |= key == name
            if key in wanted and key not in values:
                end = document.find_end(begin)
                values[key] = self._read_value(document, begin, end)
            elif key != name:
                end = document.find_end(begin)
            elif values.keys() >= wanted:
                known = self._take(level, values, parents)
                end = yield from self._visit(document, begin, level + 1, 0, known)
            else:
                # A value that its records take may come behind them.
                later.append(begin)
                end = document.find_end(begin)
            if not has_name:
                keys[key] = None
            position = document.skip_comma(end)
        for begin in later:
            known = self._take(level, values, parents)
            yield from self._visit(document, begin, level + 1, 0, known)
        if not has_name and not self.siblings:
            prefix = self._path.describe(level) if level else ""
            self.siblings = [".".join(filter(None, (prefix, quote_name(key)))) for key in keys]
        return document.skip_blanks(position) + 1

    def _read_value(self, document: Document, begin: int, end: int) -> bytes:
        if end - begin > self._most_bytes:
            raise RefusedError(
                f"a value that records take (parents) has {end - begin:,} bytes at "
                f"{document.place(begin)}; limit {self._most_bytes:,} (record_bytes)"
            )
        return document.bytes[begin:end]

    def _take(
        self, level: int, values: Mapping[str, bytes], parents: Mapping[str, bytes]
    ) -> Mapping[str, bytes]:
        """Returns what records below an object take from it and from what it lies within."""
        own = {
            parent.column: values[parent.names[0]]
            for parent in self._path.parents
            if parent.level == level and parent.names[0] in values
        }
        return {**parents, **own} if own else parents


def _read_key(raw: bytes) -> str:
    try:
        return str(json.loads(raw))
    except ValueError:
        # A key that is no sound JSON is not on any path.
        return raw.decode("utf-8", "replace")
