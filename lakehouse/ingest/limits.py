"""How much of a file, a batch or a spool is taken at once, each limit with its reason."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

from lakehouse.errors import SetupError, list_problems

_MIB = 1 << 20

REST_SECONDS = 1.0
"""How long a file must be unchanged before it counts as complete, unless a setting says so."""


@dataclass(frozen=True)
class IngestLimits:
    """How much ingestion takes at once; sizes in bytes.

    The limits from `payload_bytes` to `name_bytes` decide what becomes a dead letter or is refused,
    and what is kept of it; `LAKEHOUSE_INGEST_LIMITS` sets them. The others only bound memory and
    commits: no row depends on them.

    Attributes:
        payload_bytes: what a dead letter keeps of its record; if that is not all of it, the whole
            file is kept in the lake.
        record_bytes: the longest line that is read. A longer one is a dead letter, and no more of
            it than this and a block is in memory.
        cell_bytes: the longest quoted cell of CSV over several lines; the record of a longer one is
            one dead letter.
        columns: the most columns of a file; a file with more is refused, and
            a JSON record that would add more is a dead letter.
        table_columns: the most columns of a raw table; a file that would add more is refused. Each
            row of a wide table costs a cell in every column.
        rows: the most records of a file. A Parquet file of a hundred bytes can claim a billion.
        plain_bytes: the most bytes of a file after unpacking; more would fill the disk.
        ratio: how many bytes may come out of one packed byte, for files of more than `ratio_from`
            bytes. Real tables stay below 100; a bomb is at 1,000.
        ratio_from: what every file may unpack to, whatever its ratio.
        archive_members: the most files of an archive; one with more is refused.
        nesting: how deep the values of a record may be nested.
        reader_bytes: how much memory a process may take that reads an Excel sheet, or a file of
            Avro, ORC or Arrow; a sheet is in memory as a whole. A file that needs more is refused.
        reader_seconds: how long such a process may take.
        name_bytes: the longest name of a file, with its folders. Each of its rows carries it.
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
    cell_bytes: int = 1 * _MIB
    columns: int = 10_000
    table_columns: int = 10_000
    rows: int = 500_000_000
    plain_bytes: int = 16 << 30
    ratio: int = 250
    ratio_from: int = 64 * _MIB
    archive_members: int = 10_000
    nesting: int = 100
    reader_bytes: int = 4 << 30
    reader_seconds: int = 900
    name_bytes: int = 1024
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

    def describe(self) -> str:
        """Returns the limits that decide what becomes a dead letter, for a commit."""
        return ", ".join(f"{name} {getattr(self, name)}" for name in SETTABLE)

    @property
    def head_bytes(self) -> int:
        """How much of a line over the limit is kept."""
        # A dead letter would drop what is beyond `payload_bytes` anyway.
        return min(self.payload_bytes, self.record_bytes)


DEFAULT_LIMITS = IngestLimits()

SETTABLE = (
    *("payload_bytes", "record_bytes", "cell_bytes", "columns", "table_columns", "rows"),
    *("plain_bytes", "ratio", "ratio_from", "archive_members", "nesting", "name_bytes"),
    *("reader_bytes", "reader_seconds"),
)
"""The limits that a setting may change."""


def set_limits(wanted: Mapping[str, int]) -> IngestLimits:
    """Returns the default limits with others in their place.

    Raises:
        SetupError: naming every limit that is unknown or below 1.
    """
    problems = [f"{name} is not a limit" for name in wanted if name not in SETTABLE]
    problems += [
        f"{name} is {value}, it has to be 1 or more" for name, value in wanted.items() if value < 1
    ]
    if problems:
        next_step = f"correct LAKEHOUSE_INGEST_LIMITS; known are {', '.join(SETTABLE)}."
        raise SetupError(list_problems("The limits of landing are wrong.", problems, next_step))
    return replace(DEFAULT_LIMITS, **wanted)
