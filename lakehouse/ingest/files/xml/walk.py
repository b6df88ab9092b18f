"""The records of an XML document, found by their path while the file is parsed.

Belongs here: where the elements are, and the limits of parsing. Does not belong here: what an
element holds (`values.py`), and what records take from their parents (`parents.py`).
"""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple, NoReturn
from xml.parsers import expat

from lakehouse.ingest.files.header_names import list_names
from lakehouse.ingest.files.record_ledger import RefusedError
from lakehouse.ingest.files.xml.parents import XmlParents
from lakehouse.ingest.files.xml.safety import Guard
from lakehouse.ingest.files.xml.values import NAMESPACE_MARK, ElementValues, Members
from lakehouse.ingest.limits import IngestLimits
from lakehouse.tables.record_path import RecordPath, quote_name

_DEEPEST = 10_000
"""How deep elements may be nested; each level costs memory."""

_NAMES_PER_COLUMN = 10
"""How many different names a file may have, for each column that it may have."""

_MOST_SIBLINGS = 1_000
_CUT_OFF = (3, 5, 20)  # no element found, unclosed token, unclosed CDATA section


class Element(NamedTuple):
    """An element that is a record.

    Attributes:
        members: what it holds, by key; empty if there is a problem.
        begin: its position in the file.
        end: the position of its end tag, or behind it if it is empty.
        line: the number of its line.
        problem: why it is no record; empty if it is one.
    """

    members: Members
    begin: int
    end: int
    line: int
    problem: str = ""


class XmlWalker:
    """A walk through one document.

    Attributes:
        records: how many records were found.
    """

    def __init__(
        self,
        path: RecordPath,
        limits: IngestLimits,
        parents: XmlParents,
        take: Callable[[Element], None],
    ) -> None:
        """Begins before the document.

        Args:
            path: where the records are.
            limits: the limits of the file.
            parents: what records take from what they lie within.
            take: takes each record.
        """
        self.records = 0
        self._limits = limits
        self._parents = parents
        self._take = take
        # Names alone tell: a prefix in a declared path is left out.
        self._steps = [step.name.rpartition(":")[2] for step in path.steps]
        self._shown = ".".join(map(quote_name, self._steps))
        self._values = ElementValues()
        self._depth = self._matched = self._deepest = 0
        self._siblings: Counter[str] = Counter()
        self._holds_more = False
        self._wanted = ""
        self._begin = self._line = self._inner = 0
        self._problem = ""

    def walk(self, chunks: Iterator[bytes], codec: str, start: int = 0, lines: int = 0) -> None:
        """Parses a document.

        Args:
            chunks: its bytes.
            codec: their encoding.
            start: how many bytes of the file come before them.
            lines: how many lines come before them.

        Raises:
            RefusedError: it is not well-formed, not safe, too large in some way, or lacks the path
                of the records.
        """
        parser = self._parser = expat.ParserCreate(
            codec.replace("utf-16-", "utf-16"), NAMESPACE_MARK
        )
        parser.buffer_text = parser.ordered_attributes = True
        self._start_at, self._lines = start, lines
        self._guard = Guard(parser, codec)
        self._leave()
        fed = 0
        try:
            for chunk in chunks:
                parser.Parse(chunk, False)
                fed += len(chunk)
                self._check_size(fed)
            parser.Parse(b"", True)
        except expat.ExpatError as error:
            cut = "the file is cut off, or " if error.code in _CUT_OFF else ""
            place = f"line {error.lineno + lines}, column {error.offset + 1}"
            raise RefusedError(
                f"{cut}not well-formed XML: {expat.ErrorString(error.code)} at {place}"
            ) from error
        self._refuse_missing()

    # Outside of records

    def _leave(self) -> None:
        parser = self._parser
        parser.CharacterDataHandler = None
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end

    def _start(self, name: str, attributes: list[str]) -> None:
        if attributes and self._guard.is_watching:
            self._guard.check_attributes()
        local = name.rpartition(NAMESPACE_MARK)[2]
        level, self._depth = self._matched, self._depth + 1
        if self._depth > _DEEPEST:
            self._refuse(f"elements are nested more than {_DEEPEST:,} deep")
        if self._depth - 1 > level:
            # Within an element beside the path.
            self._holds_more |= level == self._deepest
            return
        if local == self._steps[level]:
            self._matched += 1
            if self._matched == len(self._steps):
                self._enter(attributes, "")
            else:
                self._reach()
                self._parents.open(attributes)
            return
        if self._parents.wants(level, local):
            self._enter(attributes, local)
        elif level == self._deepest and not self.records:
            self._note_sibling(local, holds_more=bool(attributes))

    def _end(self, _: str) -> None:
        self._depth -= 1
        if self._depth < self._matched:
            self._matched = self._depth
            self._parents.close()

    def _reach(self) -> None:
        if self._matched > self._deepest:
            self._deepest, self._holds_more = self._matched, False
            self._siblings.clear()

    def _note_sibling(self, local: str, *, holds_more: bool) -> None:
        if len(self._siblings) < _MOST_SIBLINGS or local in self._siblings:
            self._siblings[local] += 1
        self._holds_more |= holds_more

    # Within a record, or a value of its parents

    def _enter(self, attributes: list[str], wanted: str) -> None:
        parser = self._parser
        self._begin, self._line = parser.CurrentByteIndex, parser.CurrentLineNumber + self._lines
        self._wanted, self._problem, self._inner = wanted, "", 0
        values = self._values
        values.begin(attributes)
        parser.CharacterDataHandler = values.pieces.append
        parser.StartElementHandler = self._open
        parser.EndElementHandler = self._close

    def _open(self, _: str, attributes: list[str]) -> None:
        self._inner += 1
        if attributes and self._guard.is_watching:
            self._guard.check_attributes()
        if self._inner > self._limits.nesting:
            self._skip(f"nested more than {self._limits.nesting} deep (nesting)")
        else:
            self._values.open(attributes)

    def _close(self, name: str) -> None:
        if self._inner:
            self._inner -= 1
            self._values.close(name)
        else:
            self._finish()

    def _finish(self) -> None:
        self._depth -= 1
        end = self._parser.CurrentByteIndex
        if end - self._begin > self._limits.record_bytes:
            self._skip("too long")
        if self._wanted:
            if self._problem:
                self._refuse(f"{self._wanted}, a value that records take (parents), is too large")
            value = self._values.finish_value()
            self._parents.add(self._wanted, value, self._line)
        else:
            self._matched -= 1
            self.records += 1
            members = {} if self._problem else self._values.finish()
            self._take(
                Element(
                    members,
                    self._begin + self._start_at,
                    end + self._start_at,
                    self._line,
                    self._problem,
                )
            )
        self._leave()

    def _skip(self, problem: str) -> None:
        """Goes on to the end of a record without collecting it."""
        self._problem = self._problem or problem
        self._values.drop()
        parser = self._parser
        parser.CharacterDataHandler = None
        parser.StartElementHandler = self._open_skipped
        parser.EndElementHandler = self._close_skipped

    def _open_skipped(self, _: str, __: list[str]) -> None:
        self._inner += 1
        if self._depth + self._inner > _DEEPEST:
            self._refuse(f"elements are nested more than {_DEEPEST:,} deep")

    def _close_skipped(self, _: str) -> None:
        if self._inner:
            self._inner -= 1
        else:
            self._finish()

    # Limits and refusals

    def _check_size(self, fed: int) -> None:
        most, parser = self._limits.record_bytes, self._parser
        is_inside = parser.StartElementHandler in (self._open, self._open_skipped)
        if is_inside and fed - self._begin > most:
            self._skip("too long")
        if fed - parser.CurrentByteIndex > most + (1 << 20):
            self._refuse(f"one tag or comment has more than {most:,} bytes (record_bytes)")
        names = _NAMES_PER_COLUMN * self._limits.columns
        if len(parser.intern) > names:
            self._refuse(f"more than {names:,} different names of elements and attributes")

    def _refuse(self, problem: str) -> NoReturn:
        raise RefusedError(f"{problem}, at line {self._parser.CurrentLineNumber + self._lines}")

    def _refuse_missing(self) -> None:
        """Refuses a file in which the path is nowhere, and something else may be the records."""
        if self.records:
            return
        # Texts beside an empty place of records, such as a date, are none. What holds more, or
        # repeats, may be the records under another name.
        is_empty = not self._holds_more and max(self._siblings.values(), default=0) <= 1
        if self._deepest and is_empty:
            return
        prefix = self._steps[: self._deepest]
        found = [".".join(map(quote_name, [*prefix, name])) for name in self._siblings]
        raise RefusedError(
            f"no {self._shown} in the file (records); there is: {list_names(found) or 'nothing'}"
        )
