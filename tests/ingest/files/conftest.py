"""Fixtures that read bytes as a delivery and collect its rows and dead letters."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lakehouse.ingest.files.delivery import Delivery, read_delivery, scan_letters, scan_rows
from lakehouse.ingest.files.read_options import ReadOptions
from lakehouse.tables.files import PLAIN

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Seen:
    """A delivery with its rows (without `_offset`), their offsets, and its dead letters."""

    delivery: Delivery
    rows: list[tuple[Any, ...]]
    offsets: list[int]
    letters: list[dict[str, Any]]

    @property
    def reasons(self) -> list[str]:
        return [letter["reason"] for letter in self.letters]

    @property
    def payloads(self) -> list[bytes]:
        return [letter["payload"] for letter in self.letters]

    @property
    def numbers(self) -> list[int]:
        """The offsets of rows and dead letters together."""
        return sorted([*self.offsets, *(letter["_offset"] for letter in self.letters)])

    def values(self, column: str) -> list[Any]:
        return [row[self.delivery.columns.index(column)] for row in self.rows]


def seen(delivery: Delivery) -> Seen:
    rows, dead = (
        pl.DataFrame() if path is None else scan(delivery).collect()
        for path, scan in ((delivery.rows, scan_rows), (delivery.dead, scan_letters))
    )
    values = [tuple(row[column] for column in delivery.columns) for row in rows.to_dicts()]
    return Seen(
        delivery, values, rows["_offset"].to_list() if delivery.rows else [], dead.to_dicts()
    )


@pytest.fixture(scope="session")
def read(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Seen]:
    """Read bytes (or a file) as a delivery; a session's fixture, so that properties can use it."""
    spool = tmp_path_factory.mktemp("spool")

    def read_bytes(content: bytes | Path, name: str | None = None, **options: Any) -> Seen:
        content, name = (
            (content.read_bytes(), content.name) if isinstance(content, Path) else (content, name)
        )
        chunks = (content[start : start + _CHUNK] for start in range(0, len(content), _CHUNK))
        folder = spool / uuid.uuid4().hex
        folder.mkdir()
        given = ReadOptions(
            tuple(options.pop("required", ())),
            tuple(options.pop("columns", ())),
            options.pop("files", PLAIN),
        )
        name = name or "a.csv"
        return seen(read_delivery(chunks, name=name, spool=folder, options=given, **options))

    return read_bytes
