"""Where the values of a JSON document begin and end, without reading what they are.

Belongs here: strings, brackets and commas. Does not belong here: whether a value is sound
(`values.py`), and which values are records (`walk.py`).
"""

import mmap
import re
from collections.abc import Iterator

from lakehouse.ingest.files.record_ledger import RefusedError

_NEAR = 1 << 20
"""How far one pattern looks for the end of a value, in bytes; what is larger is gone through."""

_LEVELS = 4
"""How many brackets within one another one pattern knows; deeper ones are counted."""

_DEEPEST = 1 << 20
_TAIL_BYTES = 1 << 12
_RELEASED_BYTES = 64 << 20
_BLANKS = rb"[ \t\r\n]*+"
_TEXT = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'


def _nest(inner: bytes) -> bytes:
    plain = rb'[^"{}\[\]]*+'
    other = b"|" + inner if inner else b""
    body = plain + b"(?:(?:" + _TEXT + other + b")" + plain + b")*+"
    return rb"(?:\{" + body + rb"\}|\[" + body + rb"\])"


def _nest_levels() -> bytes:
    pattern = b""
    for _ in range(_LEVELS):
        pattern = _nest(pattern)
    return pattern


_PLAIN = rb'[^\s"{}\[\],:]++'
_VALUE_BYTES = b"(?:" + _nest_levels() + b"|" + _TEXT + b"|" + _PLAIN + b")"
_VALUE = re.compile(_VALUE_BYTES, re.DOTALL)
_ELEMENT = re.compile(_BLANKS + b"(" + _VALUE_BYTES + b")" + _BLANKS + rb"([,\]])", re.DOTALL)
_SCALAR = re.compile(_PLAIN)
_STRING = re.compile(_TEXT, re.DOTALL)
_MARK = re.compile(rb'["{}\[\]]')
_STOP = re.compile(rb'["{}\[\],]')
_MEMBER = re.compile(_BLANKS + b"(" + _TEXT + b")" + _BLANKS + b":" + _BLANKS, re.DOTALL)
_DELIMITER = re.compile(_BLANKS + rb"([,}\]])")
_SPACE = re.compile(_BLANKS)
_BETWEEN = re.compile(rb"[ \t\r\n,]*+")
_CLOSING = {ord("{"): ord("}"), ord("["): ord("]")}


class Document:
    """The bytes of a document, and where it is in its file.

    Attributes:
        bytes: the bytes; a file that is mapped into memory, or a line.
        size: how many they are.
    """

    def __init__(self, content: bytes | mmap.mmap) -> None:
        """Takes the bytes of a document."""
        self.bytes = content
        self.size = len(content)
        self._released = 0
        self._line, self._line_at = 1, 0

    def place(self, position: int) -> str:
        """Returns where a byte is, for people."""
        return f"line {self.find_line(position)}, byte {position + 1:,} of the file"

    def find_line(self, position: int) -> int:
        """Returns the number of a byte's line."""
        if position < self._line_at:
            self._line, self._line_at = 1, 0
        # From the last place on: most places are asked for in order.
        while self._line_at < position:
            piece = self.bytes[self._line_at : min(position, self._line_at + _NEAR)]
            self._line += piece.count(b"\n")
            self._line_at += len(piece)
        return self._line

    def skip_blanks(self, position: int) -> int:
        """Returns the position of the next byte that is not blank."""
        return self._match(_SPACE, position)

    def skip_between(self, position: int) -> int:
        """Returns where the next value at the top may begin; commas may separate them."""
        return self._match(_BETWEEN, position)

    def _match(self, pattern: re.Pattern[bytes], position: int) -> int:
        found = pattern.match(self.bytes, position)
        return position if found is None else found.end()

    def find_end(self, start: int) -> int:
        """Returns the position behind the value that begins at `start`.

        Raises:
            RefusedError: the value does not end, or its brackets do not fit.
        """
        mark = self.bytes[start : start + 1]
        if mark in (b"{", b"["):
            found = _VALUE.match(self.bytes, start, min(start + _NEAR, self.size))
            return found.end() if found else self._count_brackets(start)
        if mark == b'"':
            return self._skip_text(start)
        if scalar := _SCALAR.match(self.bytes, start):
            return scalar.end()
        raise RefusedError(f"a value is expected at {self.place(start)}")

    def _count_brackets(self, start: int) -> int:
        open_ones, position = bytearray(), start
        while found := _MARK.search(self.bytes, position):
            position, mark = found.start(), found[0][0]
            if mark == ord('"'):
                position = self._skip_text(position)
            elif mark in _CLOSING:
                # The outermost one was tried by `find_end`.
                near = min(position + _NEAR, self.size)
                whole = _VALUE.match(self.bytes, position, near) if open_ones else None
                if whole:
                    position = whole.end()
                else:
                    open_ones.append(mark)
                    position += 1
                if len(open_ones) > _DEEPEST:
                    raise RefusedError(f"nested too deeply at {self.place(position)}")
            else:
                self._close(open_ones, mark, position)
                position += 1
            if not open_ones:
                return position
            self.release(position)
        raise self._cut_off(start)

    def _skip_text(self, position: int) -> int:
        text = _STRING.match(self.bytes, position)
        if text is None:
            raise RefusedError(
                f"cut off or damaged: the text that begins at {self.place(position)} does not end"
            )
        return text.end()

    def _close(self, open_ones: bytearray, mark: int, position: int) -> None:
        if not open_ones or _CLOSING[open_ones.pop()] != mark:
            raise RefusedError(f"{chr(mark)} does not fit at {self.place(position)}")

    def _cut_off(self, start: int) -> RefusedError:
        kind = "list" if self.bytes[start] == ord("[") else "object"
        return RefusedError(
            f"cut off or damaged: the {kind} that begins at {self.place(start)} does not end"
        )

    def list_elements(self, start: int) -> Iterator[tuple[int, int]]:
        """Yields begin and end of each element of the list at `start`, the end of the list last.

        What stands between two commas is an element, whatever it is. The last pair has the position
        behind the list as its begin, and -1.

        Raises:
            RefusedError: the list does not end, or its brackets do not fit.
        """
        position = start + 1
        while True:
            near = min(position + _NEAR, self.size)
            if found := _ELEMENT.match(self.bytes, position, near):
                yield found.span(1)
                position, is_last = found.end(), found[2] == b"]"
            else:
                begin = self.skip_blanks(position)
                end, position, is_last = self._find_element(start, begin)
                # `[]`, and a comma behind the last element, which loses nothing.
                if begin < end or not is_last:
                    yield begin, end
            if is_last:
                yield position, -1
                return
            self.release(position)

    def _find_element(self, start: int, begin: int) -> tuple[int, int, bool]:
        """Returns where an element ends, the position behind its comma or bracket, and which."""
        position = begin
        while found := _STOP.search(self.bytes, position):
            position, mark = found.start(), found[0]
            if mark in b",]":
                tail = self.bytes[max(begin, position - _TAIL_BYTES) : position]
                end = position - len(tail) + len(tail.rstrip())
                return end, position + 1, mark == b"]"
            if mark == b'"':
                position = self._skip_text(position)
            elif mark == b"}":
                raise RefusedError(f"}} does not fit at {self.place(position)}")
            else:
                position = self.find_end(position)
        raise self._cut_off(start)

    def find_member(self, position: int) -> tuple[bytes, int] | None:
        """Returns the key of the next member of an object as JSON and where its value begins.

        Returns:
            None at the end of the object.

        Raises:
            RefusedError: there is no member.
        """
        if found := _MEMBER.match(self.bytes, position):
            return found[1], found.end()
        begin = self.skip_blanks(position)
        if self.bytes[begin : begin + 1] == b"}":
            return None
        if begin >= self.size:
            raise RefusedError(f"cut off: an object does not end at {self.place(begin)}")
        raise RefusedError(f"a key in quotes and a colon are expected at {self.place(begin)}")

    def skip_comma(self, position: int) -> int:
        """Returns the position behind the comma between two members; at a bracket, the same."""
        found = _DELIMITER.match(self.bytes, position)
        if found is None or found[1] == b"]":
            raise RefusedError(f"a comma or }} is expected at {self.place(position)}")
        return found.end() if found[1] == b"," else found.start(1)

    def release(self, position: int) -> None:
        """Lets go of the memory of what lies well before a position."""
        if position - self._released < _RELEASED_BYTES or isinstance(self.bytes, bytes):
            return
        # Pages that were read count as memory of this process until they are given back. They can
        # be read again.
        end = position // mmap.PAGESIZE * mmap.PAGESIZE
        self.bytes.madvise(mmap.MADV_DONTNEED, 0, end)
        self._released = end
