"""Rows of small deliveries, joined where they are alike, so that work is done once for many.

Belongs here: keeping the rows in memory while they are few, with their origin. Does not belong
here: how they go into the table (`drift/columns.py`), and deliveries whose rows are spooled by
themselves (`files/spool.py`).
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

from lakehouse.ingest.drift.projection import Projection
from lakehouse.storage.parquet import scan_parquet_files
from lakehouse.system_columns import ORIGIN

_Kind = tuple[object, ...]


@dataclass(frozen=True)
class _Part:
    rows: pl.DataFrame
    source: str
    modified_at: datetime


class SmallDeliveries:
    """The rows of small deliveries with their origin, in one frame for each kind of delivery.

    Deliveries are of one kind if their columns go into the table in the same way.
    """

    # By itself, each file would cost a plan of thirteen expressions and a spooled Parquet file.

    def __init__(self, spool: Path, joined_bytes: int) -> None:
        """Begins without rows.

        Args:
            spool: a private folder for rows that are too many for memory.
            joined_bytes: how many bytes of rows may be in memory.
        """
        self._spool = spool
        self._joined_bytes = joined_bytes
        self._in_memory: dict[_Kind, tuple[Projection, list[_Part]]] = {}
        self._spooled: list[tuple[Projection, pl.LazyFrame]] = []
        self._bytes = 0

    def add(
        self, rows: pl.DataFrame, projection: Projection, source: str, modified_at: datetime
    ) -> None:
        """Adds the rows of a delivery.

        Args:
            rows: at least one: the columns of the delivery, and `_offset`.
            projection: how they go into the table.
            source: their `_source`.
            modified_at: when the file was written.
        """
        # All that decides the expressions of a projection: how many values are rescued does not.
        # Files that have the same columns in another order are of one kind, but rescued values are
        # named in the order of their own file.
        kind = (
            frozenset(projection.types.items()),
            frozenset(projection.projected.items()),
            tuple(projection.rescued),
        )
        _, parts = self._in_memory.setdefault(kind, (projection, []))
        parts.append(_Part(rows, source, modified_at))
        self._bytes += int(rows.estimated_size())
        if self._bytes >= self._joined_bytes:
            self._write()

    def frames(self) -> Iterator[tuple[Projection, pl.LazyFrame]]:
        """Yields how each kind goes into the table, and its rows with their origin."""
        yield from self._spooled
        for projection, parts in self._in_memory.values():
            yield projection, _join(parts).lazy()

    def _write(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="joined-", dir=self._spool))
        for number, (projection, parts) in enumerate(self._in_memory.values()):
            path = folder / f"{number:06}.parquet"
            # Read back once and whole, so bounds would prune nothing.
            _join(parts).write_parquet(path, compression="lz4", statistics=False)
            self._spooled.append((projection, scan_parquet_files(path)))
        self._in_memory, self._bytes = {}, 0


def _join(parts: list[_Part]) -> pl.DataFrame:
    origin = {
        "_source": [part.source for part in parts],
        "_modified_at": [part.modified_at for part in parts],
    }
    each = pl.DataFrame(origin, schema={name: ORIGIN[name] for name in origin})
    heights = pl.Series([part.rows.height for part in parts])
    # Diagonal, because parts of one kind may have their columns in another order.
    rows: pl.DataFrame = pl.concat([part.rows for part in parts], how="diagonal")
    return rows.hstack(each.select(pl.all().repeat_by(heights).explode()))
