"""How much of a file, a batch or a spool is taken at once, each limit with its reason."""

import os
from dataclasses import dataclass

_MIB = 1 << 20


@dataclass(frozen=True)
class IngestLimits:
    """How much ingestion takes at once; sizes in bytes.

    A record beyond the limits of its file becomes a dead letter. The other limits only bound memory
    and commits: no result depends on them.

    Attributes:
        payload_bytes: what a dead letter keeps of its record; the whole file is kept beside the
            table if that is more.
        record_bytes: the longest line that is read; a longer one is never in memory as a whole.
        record_lines: how many lines a quoted CSV field may span; a quote that is never closed
            costs no search beyond that.
        span_bytes: the longest CSV record over several lines, for the same reason.
        columns: the most columns of a file; a file with more is refused, and
            a JSON record that would add more is a dead letter.
        block_bytes: what is read of a file at once; the unit of the CSV fast path, so that one odd
            record sends no more than this to the slow one.
        pending_bytes: parsed values in memory before they become a frame.
        pending_records: parsed records in memory before they become a frame; a record costs memory
            even if it has few bytes.
        part_bytes: frames in memory before they become one Parquet part of the spool.
        small_file_bytes: delivered files up to this size are read ahead in threads; larger ones may
            need much memory, so one is read at a time.
        files_at_once: threads that read small files; each holds one file in memory.
        small_delivery_bytes: rows up to this size (as Polars estimates) stay in memory and join
            those of others.
        joined_bytes: rows of small deliveries that are in memory together before they are spooled.
        batch_bytes: delivered bytes in one commit, unless a single file is larger; this much is
            read again when another writer was faster.
        batch_files: files in one commit, for the same reason where they are small.
    """

    payload_bytes: int = 1 * _MIB
    record_bytes: int = 16 * _MIB
    record_lines: int = 256
    span_bytes: int = 1 * _MIB
    columns: int = 4096
    block_bytes: int = 1 * _MIB
    pending_bytes: int = 8 * _MIB
    pending_records: int = 20_000
    part_bytes: int = 32 * _MIB
    small_file_bytes: int = 1 * _MIB
    files_at_once: int = min(os.cpu_count() or 1, 4)
    small_delivery_bytes: int = 4 * _MIB
    joined_bytes: int = 16 * _MIB
    batch_bytes: int = 512 * _MIB
    batch_files: int = 1000

    @property
    def head_bytes(self) -> int:
        """How much of a line over the limit is kept."""
        return min(self.payload_bytes, self.record_bytes)


DEFAULT_LIMITS = IngestLimits()
