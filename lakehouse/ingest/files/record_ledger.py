"""The books of one delivered file: each of its records becomes a row or a dead letter, numbered in order.

Belongs here: the limits, the numbering, and the refusal of a whole file. Does not belong here: how any format is
parsed, and how rows are spooled (`parts.py`).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from lakehouse.errors import DataError
from lakehouse.ingest.files.spool import Spool

LETTER_SCHEMA = pl.Schema(
    {
        "_offset": pl.Int64(),
        "reason": pl.String(),
        "place": pl.String(),
        "payload": pl.Binary(),
        "payload_bytes": pl.Int64(),
    }
)
"""A dead letter; `_offset` is null for a whole file, `payload_bytes` is its true size."""

_PENDING_BYTES = 8 << 20
_PENDING_RECORDS = 20_000


class RefusedError(DataError):
    """The whole file cannot be read as what it says it is; `read_delivery` turns it into a refused delivery."""


class EmptyFileError(RefusedError):
    """The file holds no record."""


@dataclass(frozen=True)
class FileLimits:
    """What one file may ask for; beyond it, a record is a dead letter.

    Attributes:
        payload_bytes: bytes of a dead letter that are kept.
        record_bytes: the longest line that is read; a longer one is never held in memory.
        record_lines: how many lines a quoted field may span.
        span_bytes: the longest record over several lines.
        columns: the most columns that a file may have.
        block_bytes: how much is read at once.
    """

    payload_bytes: int = 1 << 20
    record_bytes: int = 16 << 20
    record_lines: int = 256
    span_bytes: int = 1 << 20
    columns: int = 4096
    block_bytes: int = 1 << 20

    @property
    def head_bytes(self) -> int:
        """How much of a line over the limit is kept."""
        return min(self.payload_bytes, self.record_bytes)


DEFAULT_LIMITS = FileLimits()


class RecordLedger:
    """What became of each record so far.

    Attributes:
        limits: what the file may ask for.
        columns: the source columns, in order; they may grow while the file is read.
        records: how many records were seen.
        ends: how many lines ended in which way.
        blank_lines: lines without a byte, which are no records.
        notes: what else was tolerated.
        is_cut: whether a dead letter holds less than its record.
        is_typed: whether the format has types of its own; otherwise all values are text.
    """

    def __init__(self, folder: Path, limits: FileLimits, *, keep: int = 0) -> None:
        """Begin; of the rows so many bytes at most are kept in memory, rather than spooled into the folder."""
        self.limits = limits
        self.columns: list[str] = []
        self.records = 0
        self.is_cut = False
        self.is_typed = False
        self.ends: Counter[bytes] = Counter()
        self.blank_lines = 0
        self.notes: list[str] = []
        self.rows = Spool(folder / "rows", keep=keep)
        self.dead = Spool(folder / "dead")
        self._values: list[Sequence[str | None]] = []
        self._offsets: list[int] = []
        self._letters: list[tuple[int | None, str, str, bytes, int]] = []
        self._row_bytes = 0
        self._letter_bytes = 0

    def add_row(self, values: Sequence[str | None], size: int) -> None:
        """The next record is a row: text for each column known so far."""
        self.records += 1
        self._values.append(values)
        self._offsets.append(self.records)
        self._row_bytes += size
        cells = 8 * len(self.columns) * len(self._values)
        if len(self._values) >= _PENDING_RECORDS or self._row_bytes + cells >= _PENDING_BYTES:
            self._flush_rows()

    def add_frame(self, frame: pl.DataFrame) -> None:
        """The next records are the rows of a frame with exactly the source columns."""
        self._flush_rows()
        start = self.records + 1
        self.records += frame.height
        self.rows.add(
            frame.select(
                pl.int_range(start, start + pl.len(), dtype=pl.Int64).alias("_offset"), pl.all()
            )
        )

    def add_letter(self, reason: str, place: str, payload: bytes, size: int | None = None) -> None:
        """The next record is a dead letter of so many bytes; `payload` may be its beginning only."""
        self.records += 1
        kept = payload[: self.limits.payload_bytes]
        whole = len(payload) if size is None else size
        self.is_cut |= len(kept) < whole
        self._letters.append((self.records, reason, place, kept, whole))
        self._letter_bytes += len(kept)
        if len(self._letters) >= _PENDING_RECORDS or self._letter_bytes >= _PENDING_BYTES:
            self._flush_letters()

    def add_typed(self, lf: pl.LazyFrame, columns: Sequence[str]) -> None:
        """All records are rows of a frame that has its types already."""
        self.columns, self.is_typed = list(columns), True
        numbered = lf.with_row_index("_offset", offset=1)
        self.rows.sink(numbered.select(pl.col("_offset").cast(pl.Int64), *columns))
        self.records = self.rows.count

    def finish(self) -> tuple[Path | None, Path | None]:
        """Write what is pending; the folders of rows and dead letters, None where there are none or they are kept."""
        self._flush_rows()
        self._flush_letters()
        return self.rows.finish(), self.dead.finish()

    def describe(self) -> tuple[str, ...]:
        """What was tolerated, in words."""
        names = [
            {b"\n": "LF", b"\r\n": "CRLF", b"\r": "CR"}[end]
            for end in sorted(self.ends)
            if self.ends[end]
        ]
        lines = [f"mixed line ends: {', '.join(names)}"] if len(names) > 1 else []
        lines += ["lines end with CR only"] if names == ["CR"] else []
        lines += [f"blank lines skipped: {self.blank_lines}"] if self.blank_lines else []
        return (*self.notes, *lines)

    def _flush_rows(self) -> None:
        if not self._values:
            return
        width = len(self.columns)
        full = [v if len(v) == width else [*v, *[None] * (width - len(v))] for v in self._values]
        texts = zip(*full, strict=True)
        columns = [
            pl.Series(name, text, dtype=pl.String)
            for name, text in zip(self.columns, texts, strict=True)
        ]
        self.rows.add(pl.DataFrame([pl.Series("_offset", self._offsets, dtype=pl.Int64), *columns]))
        self._values, self._offsets, self._row_bytes = [], [], 0

    def _flush_letters(self) -> None:
        if self._letters:
            self.dead.add(frame_letters(self._letters))
        self._letters, self._letter_bytes = [], 0


def frame_letters(rows: Sequence[tuple[int | None, str, str, bytes, int]]) -> pl.DataFrame:
    """Dead letters as a frame of the schema `LETTER`."""
    return pl.DataFrame(rows, schema=LETTER_SCHEMA, orient="row")
