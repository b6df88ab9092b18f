"""How much of a file, a batch or a spool is taken at once, each limit with its reason."""

import os
from dataclasses import dataclass

_MIB = 1 << 20

REST_SECONDS = 1.0
"""How long a file must be unchanged before it counts as complete, unless a setting says so."""


@dataclass(frozen=True)
class IngestLimits:
    """How much ingestion takes at once; sizes in bytes.

    The limits from `payload_bytes` to `columns` decide what becomes a dead letter and what is kept
    of it. The others only bound memory and commits: no row depends on them.

    Attributes:
        payload_bytes: what a dead letter keeps of its record; if that is not all of it, the whole
            file is kept in the lake.
        record_bytes: the longest line that is read. A longer one is a dead letter, and no more of
            it than this and a block is in memory.
        record_lines: how many lines a CSV record may span by its quoted fields; a quote that is
            never closed costs no search beyond that.
        span_bytes: the longest CSV record over several lines, for the same reason.
        columns: the most columns of a file; a file with more is refused, and
            a JSON record that would add more is a dead letter.
        block_bytes: what is read of a file at once; the fast path of CSV tries a block as a whole
            before pieces of it.
        pending_bytes: values of rows, or payloads of dead letters, in memory before they become a
            frame.
        pending_records: records in memory before they become a frame; a record costs memory even
            if it has few bytes.
        part_bytes: frames in memory (as Polars estimates) before they become one Parquet part of
            the spool.
        small_file_bytes: delivered files below this size are read ahead in threads; larger ones may
            need much memory, so only one of them is read at a time.
        files_at_once: threads that read small files. Twice as many deliveries may wait in memory,
            each with rows of at most `small_delivery_bytes`.
        small_delivery_bytes: rows up to this size (as Polars estimates) stay in memory and join
            those of others; more are spooled.
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
    # Reading small files ahead, joining their rows and writing one file for them took the landing
    # of 304 daily files from 4.0 s of CPU on one core to 1.4 s on all.
    small_file_bytes: int = 1 * _MIB
    files_at_once: int = min(os.cpu_count() or 1, 4)
    small_delivery_bytes: int = 4 * _MIB
    joined_bytes: int = 16 * _MIB
    batch_bytes: int = 512 * _MIB
    batch_files: int = 1000

    @property
    def head_bytes(self) -> int:
        """How much of a line over the limit is kept."""
        # A dead letter would drop what is beyond `payload_bytes` anyway.
        return min(self.payload_bytes, self.record_bytes)


DEFAULT_LIMITS = IngestLimits()
