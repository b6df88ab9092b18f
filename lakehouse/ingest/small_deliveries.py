"""Rows of small deliveries that are alike, bundled: what would be done for each file is done once for many.

Belongs here: keeping them in memory while they are few, with their origin. Does not belong here: what they become in
the table (`fitting.py`), and files whose rows are spooled by themselves (`sources/parts.py`).
"""

import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import polars as pl

from lakehouse.ingest.drift.projection import Projection
from lakehouse.system_columns import ORIGIN

SMALL_DELIVERY = 4 << 20
"""Bytes of rows in memory, as Polars estimates them; rows of a larger delivery are spooled by themselves."""

_HELD = 16 << 20
"""So many bytes are in memory at once; then they are spooled together."""

_Kind = tuple[object, ...]


class SmallDeliveries:
    """The rows of small deliveries, with their origin, in a frame for each kind of delivery."""

    def __init__(self) -> None:
        self._held: dict[_Kind, tuple[Projection, list[tuple[pl.DataFrame, str, datetime]]]] = {}
        self._spooled: list[tuple[Projection, pl.LazyFrame]] = []
        self._bytes = 0

    def add(
        self, rows: pl.DataFrame, fit: Projection, source: str, modified_at: datetime, spool: Path
    ) -> None:
        """Take the rows of a delivery: its columns, and `_offset`.

        Args:
            rows: at least one.
            fit: how they go into the table.
            source: their `_source`.
            modified_at: when the file was written.
            spool: a private folder for what becomes too much.
        """
        kind = (*fit.types.items(), *fit.projected.items(), *fit.rescued)
        self._held.setdefault(kind, (fit, []))[1].append((rows, source, modified_at))
        self._bytes += int(rows.estimated_size())
        if self._bytes >= _HELD:
            self._write(spool)

    def frames(self) -> Iterator[tuple[Projection, pl.LazyFrame]]:
        """The rows of each kind with `_source` and `_modified_at`, and how they go into the table."""
        yield from self._spooled
        for fit, parts in self._held.values():
            yield fit, _together(parts).lazy()

    def _write(self, spool: Path) -> None:
        folder = Path(tempfile.mkdtemp(prefix="bundles-", dir=spool))
        for number, (fit, parts) in enumerate(self._held.values()):
            path = folder / f"{number:06}.parquet"
            _together(parts).write_parquet(path, compression="lz4", statistics=False)
            self._spooled.append((fit, pl.scan_parquet(path)))
        self._held, self._bytes = {}, 0


def _together(parts: list[tuple[pl.DataFrame, str, datetime]]) -> pl.DataFrame:
    frames, sources, moments = zip(*parts, strict=True)
    origin = {"_source": sources, "_modified_at": moments}
    each = pl.DataFrame(origin, schema={name: ORIGIN[name] for name in origin})
    heights = pl.Series([frame.height for frame in frames])
    rows: pl.DataFrame = pl.concat(frames, how="diagonal")
    return rows.hstack(each.select(pl.all().repeat_by(heights).explode()))
