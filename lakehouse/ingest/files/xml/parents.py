"""What the records of an XML document take from the elements that they lie within.

A record waits until all that it takes is known, or the elements that it lies within end. At most
`record_bytes` of records wait; a value that comes later still refuses the file.
"""

from collections.abc import Callable, Mapping
from typing import Any

from lakehouse.ingest.files.header_names import list_names
from lakehouse.ingest.files.record_ledger import RefusedError
from lakehouse.ingest.files.xml.values import NAMESPACE_MARK, find_member, write_value
from lakehouse.tables.record_path import Parent, RecordPath

Texts = Mapping[str, str | None]


class _Frame:
    """An open element on the path.

    Attributes:
        values: what is known of it, by name.
        attributes: which of these are attributes.
        is_taken: whether a record took its values.
        texts: what records take from it, by column; None until that is worked out.
    """

    __slots__ = ("attributes", "is_taken", "texts", "values")

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.attributes: frozenset[str] = frozenset()
        self.is_taken = False
        self.texts: dict[str, str | None] | None = None


class XmlParents:
    """The values of open elements, and the records that wait for them."""

    def __init__(self, path: RecordPath, most_bytes: int) -> None:
        """Begins before the document.

        Args:
            path: which values records take.
            most_bytes: how many bytes of records may wait.
        """
        # Names alone tell: a prefix in a declared path is left out.
        self._parents: list[Parent] = [
            one._replace(names=tuple(name.rpartition(":")[2] for name in one.names))
            for one in path.parents
        ]
        self._wanted = [
            {parent.names[0] for parent in self._parents if parent.level == level}
            for level in range(len(path.steps) + 1)
        ]
        self._most_bytes = most_bytes
        self._frames: list[_Frame] = []
        self._held: list[tuple[Callable[[Texts], None], tuple[_Frame, ...]]] = []
        self._held_bytes = 0
        self._seen: set[str] = set()

    def open(self, attributes: list[str]) -> None:
        """Opens an element on the path."""
        frame = _Frame()
        self._frames.append(frame)
        wanted = self._wanted[len(self._frames)]
        for place in range(0, len(attributes), 2):
            local = attributes[place].rpartition(NAMESPACE_MARK)[2]
            if local in wanted:
                frame.values.setdefault(local, attributes[place + 1])
        frame.attributes = frozenset(frame.values)

    def close(self) -> None:
        """Closes the innermost element on the path."""
        self._frames.pop()
        self._release_if_known()

    def wants(self, level: int, name: str) -> bool:
        """Returns whether records take an element of a name, from the element of a level."""
        return name in self._wanted[level] and (
            not level or name not in self._frames[level - 1].attributes
        )

    def add(self, name: str, value: Any, line: int) -> None:  # noqa: ANN401
        """Adds a value of the innermost element on the path.

        Raises:
            RefusedError: records took its values already.
        """
        frame = self._frames[-1]
        if frame.is_taken:
            raise RefusedError(
                f"{name}, which records take (parents), stands behind more than "
                f"{self._most_bytes:,} bytes of them (record_bytes), or a second time, at line "
                f"{line}"
            )
        if name not in frame.values:
            frame.values[name] = value
        elif type(known := frame.values[name]) is list:
            known.append(value)
        else:
            frame.values[name] = [known, value]
        self._release_if_known()

    def give(self, take: Callable[[Texts], None], size: int) -> None:
        """Gives a record what it takes, now or later.

        Args:
            take: what is called then, once for each record in their order.
            size: how many bytes the record has.
        """
        if not self._held and self._is_known():
            take(self._read(self._frames))
            return
        self._held.append((take, tuple(self._frames)))
        self._held_bytes += size
        if self._held_bytes > self._most_bytes:
            self._release()

    def describe(self) -> list[str]:
        """Returns a note for what no record could take."""
        absent = {parent.column for parent in self._parents} - self._seen
        if not absent:
            return []
        return [f"parents: {list_names(sorted(absent))}: absent in the whole file"]

    def _is_known(self) -> bool:
        return all(
            frame.values.keys() >= self._wanted[level]
            for level, frame in enumerate(self._frames, 1)
        )

    def _release_if_known(self) -> None:
        if self._held and self._is_known():
            self._release()

    def _release(self) -> None:
        for take, frames in self._held:
            take(self._read(frames))
        self._held, self._held_bytes = [], 0

    def _read(self, frames: list[_Frame] | tuple[_Frame, ...]) -> Texts:
        texts: dict[str, str | None] = {}
        for level, frame in enumerate(frames, 1):
            if frame.texts is None:
                frame.texts = self._read_frame(level, frame)
                frame.is_taken = True
            texts |= frame.texts
        return texts

    def _read_frame(self, level: int, frame: _Frame) -> dict[str, str | None]:
        texts: dict[str, str | None] = {}
        for parent in self._parents:
            if parent.level != level or parent.names[0] not in frame.values:
                continue
            value = frame.values[parent.names[0]]
            for name in parent.names[1:]:
                value = find_member(value, name)
            texts[parent.column] = write_value(value)
            self._seen.add(parent.column)
        return texts
