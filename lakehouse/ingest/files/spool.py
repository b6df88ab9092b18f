"""Rows on their way: frames of one file, spooled as a folder of Parquet files, each of bounded size."""

from pathlib import Path

import polars as pl

_PART_BYTES = 32 << 20


class Spool:
    """Frames that are written one after another into one folder of Parquet files."""

    def __init__(self, folder: Path, *, keep: int = 0) -> None:
        """Begin without a frame; so many bytes at most are kept in memory in the end, rather than written."""
        self.folder = folder
        self.in_memory: pl.DataFrame | None = None
        self._keep = keep
        self.count = 0
        self._frames: list[pl.DataFrame] = []
        self._bytes = 0
        self._files: list[tuple[Path, int]] = []

    def add(self, frame: pl.DataFrame) -> None:
        """Take a frame; its columns are those of the frame before, or more."""
        self._frames.append(frame)
        self.count += frame.height
        self._bytes += int(frame.estimated_size())
        if self._bytes >= _PART_BYTES:
            self._write()

    def sink(self, lf: pl.LazyFrame) -> None:
        """Stream a whole frame into a part of its own."""
        path = self._next()
        lf.sink_parquet(path)
        self.count += int(pl.scan_parquet(path).select(pl.len()).collect().item())

    def finish(self) -> Path | None:
        """The folder, each part with all columns; None if there is no row, or all of them are `kept`."""
        if self._frames and not self._files and self._bytes <= self._keep:
            self.in_memory = pl.concat(self._frames, how="diagonal")
            return None
        if self._frames:
            self._write()
        widest = max((width for _, width in self._files), default=0)
        if any(width < widest for _, width in self._files):
            schema = pl.Schema(pl.read_parquet_schema(self._files[-1][0]))
            for path, _ in (file for file in self._files if file[1] < widest):
                _widen(path, schema)
        return self.folder if self.count else None

    def _write(self) -> None:
        frame = pl.concat(self._frames, how="diagonal")
        path = self._next()
        frame.write_parquet(path)
        self._files.append((path, frame.width))
        self._frames, self._bytes = [], 0

    def _next(self) -> Path:
        self.folder.mkdir(exist_ok=True)
        return self.folder / f"{len(self._files):06}.parquet"


def _widen(path: Path, schema: pl.Schema) -> None:
    wide = path.with_suffix(".wide")
    pl.concat([pl.DataFrame(schema=schema), pl.read_parquet(path)], how="diagonal").write_parquet(
        wide
    )
    wide.replace(path)
