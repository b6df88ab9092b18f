"""Time zones of a Parquet file that Polars does not know, found before Polars opens the file.

Polars panics over such a zone and writes a Rust backtrace. The zones are in the Arrow schema, which
the footer holds as a flatbuffer in Base64 text. Parquet itself stores instants in UTC, so a column
with a fixed offset is read as one of UTC from a copy of the file that says so.

https://github.com/apache/arrow/blob/main/format/Schema.fbs
"""

import base64
import binascii
import re
import shutil
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from lakehouse.ingest.files.record_ledger import RefusedError

_KEY = b"ARROW:schema\x18"  # followed by the head of the next field, a text
_TAIL_BYTES = 8
_UTC = b"UTC"
_OFFSET = re.compile(r"(UTC|GMT)?[+-][0-9]{1,2}(:?[0-9]{2})?")
_MOST_LEVELS = 64
_SHOWN = 40
# The numbers of fields in the tables of the flatbuffer, and that of a type.
_HEADER, _FIELDS, _NAME, _TYPE_NUMBER, _TYPE, _CHILDREN, _ZONE, _TIMESTAMP = 2, 1, 0, 2, 3, 5, 1, 10


@dataclass(frozen=True)
class _Zone:
    """The time zone of a column, and where its text begins in the flatbuffer."""

    column: str
    name: str
    place: int


def open_with_known_zones(path: Path, copy: Path) -> Path:
    """Returns a file with the same rows, whose time zones Polars knows.

    Args:
        path: the file.
        copy: where a copy may be written.

    Returns:
        The file itself where Polars knows its zones, and the copy otherwise.

    Raises:
        RefusedError: it has a zone that is neither known nor a fixed offset.
    """
    start, footer = _read_footer(path)
    changed, unknown = bytearray(footer), list[str]()
    for first, last in _find_schemas(footer):
        try:
            schema = bytearray(base64.b64decode(footer[first:last], validate=True))
            odd = [zone for zone in _list_zones(bytes(schema)) if not _is_known(zone.name)]
        except (binascii.Error, struct.error, IndexError, UnicodeDecodeError):
            continue  # damaged: Polars says so
        for zone in odd:
            if not _OFFSET.fullmatch(zone.name):
                unknown.append(f"{zone.column} has {zone.name[:_SHOWN]!r}")
                continue
            size = len(zone.name)
            text = struct.pack("<I", len(_UTC)) + _UTC.ljust(size, b"\0")
            schema[zone.place : zone.place + len(text)] = text
        changed[first:last] = base64.b64encode(schema)
    if unknown:
        raise RefusedError(
            f"time zones that are unknown here: {'; '.join(unknown)}; "
            "write these columns in UTC, or with a zone of the IANA database"
        )
    if changed == footer:
        return path
    shutil.copyfile(path, copy)
    with copy.open("r+b") as file:
        file.seek(start)
        file.write(changed)
    return copy


def _read_footer(path: Path) -> tuple[int, bytes]:
    """Returns where the footer of a file begins, and the footer."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(size - _TAIL_BYTES)
        start = max(0, size - _TAIL_BYTES - int.from_bytes(file.read(4), "little"))
        file.seek(start)
        return start, file.read(size - _TAIL_BYTES - start)


def _find_schemas(footer: bytes) -> Iterator[tuple[int, int]]:
    """Yields where each Arrow schema begins and ends in a footer."""
    for found in re.finditer(re.escape(_KEY), footer):
        first, size, shift = found.end(), 0, 0
        while first < len(footer):
            byte = footer[first]
            size, shift, first = size | (byte & 0x7F) << shift, shift + 7, first + 1
            if byte < 0x80:  # noqa: PLR2004, the highest bit says that more follows
                break
        if first + size <= len(footer):
            yield first, first + size


def _is_known(zone: str) -> bool:
    try:
        pl.Series([0], dtype=pl.Int64).cast(pl.Datetime("us", zone))
    except pl.exceptions.PolarsError:
        return False
    return True


def _list_zones(message: bytes) -> list[_Zone]:
    # Newer writers put a mark before the length.
    start = 8 if message[:4] == b"\xff\xff\xff\xff" else 4
    tables = _Tables(message)
    root = tables.follow(start)
    schema = tables.find(root, _HEADER)
    return [] if schema is None else list(tables.list_zones(schema, _FIELDS, "", 0))


@dataclass(frozen=True)
class _Tables:
    """A reader of a flatbuffer; an error of `struct` means that it is damaged."""

    content: bytes

    def list_zones(self, table: int, children: int, within: str, level: int) -> Iterator[_Zone]:
        """Yields the zones of the fields of a schema, or of those within a field."""
        vector = self.find(table, children)
        if vector is None or level > _MOST_LEVELS:
            return
        for number in range(self._read("<I", vector)):
            field = self.follow(vector + 4 + 4 * number)
            name = within + self._read_text(self.find(field, _NAME))
            kind, zone = self._locate(field, _TYPE_NUMBER), None
            if kind is not None and self.content[kind] == _TIMESTAMP:
                timestamp = self.find(field, _TYPE)
                zone = None if timestamp is None else self.find(timestamp, _ZONE)
            if zone is not None and (text := self._read_text(zone)):
                yield _Zone(name, text, zone)
            yield from self.list_zones(field, _CHILDREN, f"{name}.", level + 1)

    def find(self, table: int, number: int) -> int | None:
        """Returns where a table, a vector or a text of a table begins; None where it has none."""
        place = self._locate(table, number)
        return None if place is None else self.follow(place)

    def follow(self, place: int) -> int:
        """Returns where an offset leads."""
        return place + self._read("<I", place)

    def _locate(self, table: int, number: int) -> int | None:
        slots = table - self._read("<i", table)
        place = 4 + 2 * number
        offset = self._read("<H", slots + place) if place < self._read("<H", slots) else 0
        return table + offset if offset else None

    def _read_text(self, place: int | None) -> str:
        if place is None:
            return ""
        size = self._read("<I", place)
        return self.content[place + 4 : place + 4 + size].decode()

    def _read(self, form: str, place: int) -> int:
        if place < 0:
            raise struct.error
        return int(struct.unpack_from(form, self.content, place)[0])
