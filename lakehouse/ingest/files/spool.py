"""The spool of one file: its frames as a folder of Parquet parts, each of bounded size."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from lakehouse.storage.parquet import scan_parquet_files


class Spool:
    """Frames that are written one after another into one folder of Parquet parts.

    Attributes:
        folder: the folder; it exists once a part is written.
        count: how many rows were added.
        in_memory: all rows, if they were few enough to stay in memory; set by `finish`.
    """

    def __init__(self, folder: Path, *, part_bytes: int, keep: int = 0) -> None:
        """Begins without a frame.

        Args:
            folder: where the parts go.
            part_bytes: how many bytes of frames are held in memory before they become a part.
            keep: how many bytes of rows may stay in memory in the end and are not written.
        """
        self.folder = folder
        self.in_memory: pl.DataFrame | None = None
        self.count = 0
        self._part_bytes = part_bytes
        self._keep = keep
        self._frames: list[pl.DataFrame] = []
        self._bytes = 0
        self._files: list[tuple[Path, int]] = []

    def add(self, frame: pl.DataFrame) -> None:
        """Adds a frame; its columns are those of the frame before, or more."""
        self._frames.append(frame)
        self.count += frame.height
        # Bytes as Polars estimates them in memory; a part on disk is smaller.
        self._bytes += int(frame.estimated_size())
        if self._bytes >= self._part_bytes:
            self._write()

    def sink(self, lf: pl.LazyFrame) -> None:
        """Streams a lazy frame into a part of its own."""
        path = self._next_path()
        lf.sink_parquet(path)
        # The count comes from the footer, not from another pass. The part is not among `_files`: a
        # file with types of its own is one frame, so there are no other parts to fit.
        self.count += int(scan_parquet_files(path).select(pl.len()).collect().item())

    def finish(self, shape: Sequence[pl.Expr] | None = None) -> Path | None:
        """Writes what is in memory.

        Args:
            shape: what each row becomes; None leaves the rows as they are.

        Returns:
            The folder, in which each part has all columns; None if there is no row, or all are
            `in_memory`.
        """
        # Landing 304 small files took 4.0 s of CPU while each was spooled and planned by itself. It
        # takes 1.4 s since their rows stay in memory and are joined.
        if self._frames and not self._files and self._bytes <= self._keep:
            rows = pl.concat(self._frames, how="diagonal")
            self.in_memory = rows if shape is None else rows.select(shape)
            return None
        if self._frames:
            self._write()
        self._widen_parts()
        if shape is not None:
            self._reshape_parts(shape)
        return self.folder if self.count else None

    def _write(self) -> None:
        # Diagonal: a later frame may have columns that the earlier ones lack.
        frame = pl.concat(self._frames, how="diagonal")
        path = self._next_path()
        frame.write_parquet(path)
        self._files.append((path, frame.width))
        self._frames, self._bytes = [], 0

    def _reshape_parts(self, shape: Sequence[pl.Expr]) -> None:
        for path, _ in self._files:
            other = path.with_suffix(".other")
            scan_parquet_files(path).collect().select(shape).write_parquet(other)
            other.replace(path)

    def _next_path(self) -> Path:
        self.folder.mkdir(exist_ok=True)
        return self.folder / f"{len(self._files):06}.parquet"

    def _widen_parts(self) -> None:
        """Gives every part the columns of the last one: JSON lines may bring columns late."""
        widest = max((width for _, width in self._files), default=0)
        narrow = [path for path, width in self._files if width < widest]
        if not narrow:
            return
        # Columns only grow, so the last part has them all. One part at a time is in memory.
        schema = scan_parquet_files(self._files[-1][0]).collect_schema()
        for path in narrow:
            wide = path.with_suffix(".wide")
            frames = [pl.DataFrame(schema=schema), scan_parquet_files(path).collect()]
            pl.concat(frames, how="diagonal").write_parquet(wide)
            wide.replace(path)
