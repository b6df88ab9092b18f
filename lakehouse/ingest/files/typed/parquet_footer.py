"""The depth of a Parquet file's schema, read from its footer before any library reads it.

Polars and DuckDB follow a schema by recursion. One of thousands of levels overflows their stack,
which ends the process and with it the landing of every other file. The footer is a struct of
Thrift's compact protocol: https://github.com/apache/parquet-format/blob/master/README.md#metadata
"""

from pathlib import Path

_TAIL_BYTES = 8  # the length of the footer and the magic bytes
_SCHEMA, _ROWS, _CHILDREN = 2, 3, 5
"""The fields `FileMetaData.schema`, `FileMetaData.num_rows` and `SchemaElement.num_children`."""

_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 11, 12
_INTEGERS = (4, 5, 6)
_MOST_LEVELS = 64
"""How deep the footer itself may be nested; Parquet defines fewer than ten levels."""


class BrokenFooterError(Exception):
    """A footer that cannot be read; never leaves the Parquet reader."""


def read_footer(path: Path) -> tuple[int, int]:
    """Returns how many groups lie in each other, at most, and how many rows the file claims.

    Raises:
        BrokenFooterError: the footer is no Thrift struct, or has no schema or number of rows.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(size - _TAIL_BYTES)
        length = int.from_bytes(file.read(4), "little")
        if length > size - _TAIL_BYTES:
            raise BrokenFooterError(f"its footer claims {length:,} of {size:,} bytes")
        file.seek(size - _TAIL_BYTES - length)
        footer = _Footer(file.read(length))
    try:
        depth = _measure(footer.read_children_counts())
        return depth, footer.read_row_count()
    except IndexError as error:
        raise BrokenFooterError("its footer is cut off") from error


def _measure(counts: list[int]) -> int:
    """Returns the depth of a tree, from the number of children of each node in preorder."""
    depth, left = 0, list[int]()
    for count in counts:
        if left:
            left[-1] -= 1
        if count:
            left.append(count)
            depth = max(depth, len(left))
        while left and not left[-1]:
            left.pop()
    return depth


class _Footer:
    """A reader of a Thrift struct; an index beyond its end is a footer that is cut off."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._position = 0

    def read_children_counts(self) -> list[int]:
        """Returns the number of children of each element of the schema, in preorder."""
        field = 0
        while (head := self._read_byte()) != 0:
            field = self._read_field(head, field)
            if field == _SCHEMA and head & 0xF == _LIST:
                count, _ = self._read_list_head()
                return [self._read_children_count() for _ in range(count)]
            self._skip(head & 0xF, 0)
        raise BrokenFooterError("its footer has no schema")

    def read_row_count(self) -> int:
        """Returns the number of rows, the field after the schema."""
        head = self._read_byte()
        if self._read_field(head, _SCHEMA) != _ROWS or head & 0xF not in _INTEGERS:
            raise BrokenFooterError("its footer has no number of rows")
        number = self._read_number()
        return (number >> 1) ^ -(number & 1)

    def _read_children_count(self) -> int:
        children, field = 0, 0
        while (head := self._read_byte()) != 0:
            field = self._read_field(head, field)
            if field == _CHILDREN and head & 0xF in _INTEGERS:
                number = self._read_number()
                children = (number >> 1) ^ -(number & 1)
            else:
                self._skip(head & 0xF, 0)
        return max(children, 0)

    def _read_byte(self) -> int:
        byte = self._content[self._position]
        self._position += 1
        return byte

    def _read_number(self) -> int:
        number, shift = 0, 0
        while True:
            byte = self._read_byte()
            number |= (byte & 0x7F) << shift
            if byte < 0x80:  # noqa: PLR2004, the highest bit says that more follows
                return number
            shift += 7

    def _read_field(self, head: int, last: int) -> int:
        """Returns the number of a field: the last one and a step, or written out."""
        if step := head >> 4:
            return last + step
        number = self._read_number()
        return (number >> 1) ^ -(number & 1)

    def _read_list_head(self) -> tuple[int, int]:
        """Returns how many elements a list has, and their type."""
        head = self._read_byte()
        short = head >> 4
        return (self._read_number() if short == 0xF else short), head & 0xF  # noqa: PLR2004

    def _skip(self, kind: int, level: int) -> None:
        if level > _MOST_LEVELS:
            raise BrokenFooterError("its footer is nested too deep")
        if kind in _INTEGERS:
            self._read_number()
        elif kind in (_BYTE, _DOUBLE, _BINARY):
            size = {_BYTE: 1, _DOUBLE: 8}.get(kind) or self._read_number()
            self._position += size
        elif kind == _STRUCT:
            while (head := self._read_byte()) != 0:
                self._read_field(head, 0)
                self._skip(head & 0xF, level + 1)
        elif kind in (_LIST, _SET):
            count, inner = self._read_list_head()
            self._skip_each(count, (inner,), level)
        elif kind == _MAP:
            if count := self._read_number():
                kinds = self._read_byte()
                self._skip_each(count, (kinds >> 4, kinds & 0xF), level)
        elif kind not in (_TRUE, _FALSE):
            raise BrokenFooterError(f"its footer has a value of the unknown type {kind}")

    def _skip_each(self, count: int, kinds: tuple[int, ...], level: int) -> None:
        for _ in range(count):
            for kind in kinds:
                # In a list, a truth value takes a byte; as a field, it is part of the head.
                self._skip(_BYTE if kind in (_TRUE, _FALSE) else kind, level + 1)
                if self._position > len(self._content):
                    raise BrokenFooterError("its footer is cut off")
