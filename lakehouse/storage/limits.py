"""Limits of writes: how large the files of a table are, and how many rows are in memory at a time.

A lake carries them, so that a test can give a small table the limits that only large ones reach.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class BatchLimits:
    """When batches are large enough, and when rows are rare; see `publish/coalesce_batches.py`.

    Attributes:
        large_rows: rows of a joined batch; a sink cuts each batch into a piece for each partition.
        most_batches: batches that wait to be joined; each keeps all text that was read with it.
        rare_share: a partition is rare in a batch that gives it a smaller share of its rows.
        most_rare_share: a batch with a larger share of rare rows goes on as it is: setting rows
            apart copies their text.
        company_rows: rare rows that go on together, so that they make few batches themselves.
    """

    # Measured on 84 months of TPC-H line items: joining batches makes the write a tenth faster;
    # setting rare rows apart takes the growth of the peak, from 6 to 18 million rows, from 58 % to
    # 16 %.
    large_rows: int = 131_072
    most_batches: int = 32
    rare_share: float = 1 / 200
    most_rare_share: float = 0.25
    company_rows: int = 8_192


@dataclass(frozen=True)
class WriteLimits:
    """How large files are, how much of them is in memory at a time, and how long a log is.

    Attributes:
        rows_per_file: rows of a file of a table that is not partitioned.
        buffered_rows: rows in the row groups of all files that are open at a time: each buffers
            one, so that they bound the memory of a write to many partitions.
        smallest_row_group: rows; smaller ones make each column chunk too short to compress.
        largest_row_group: rows; larger ones gain nothing.
        small_file_bytes: bytes; a larger file is not compacted.
        many_files: small files of a table that is not partitioned, before a commit compacts them.
        many_files_in_partition: small files of a partition, before a commit compacts them.
        rows_at_once: rows that move to one file; a file with half as many is not compacted, so that
            no row moves for ever.
        bytes_at_once: bytes of files that move to one file: rows can be long.
        files_at_once: files that one commit compacts: each is opened to look at its columns.
        small_file_rows: rows; a replacement of keys also rewrites the files with fewer.
        batches: the batches of a write to many partitions.
        entries_per_archive_file: log entries, a multiple of the next; at least so many stay in the
            log of a table.
        commits_per_checkpoint: commits after which delta-rs writes a checkpoint.
        requests_at_once: requests to a bucket, where each waits for its way there and back.
    """

    rows_per_file: int = 5_000_000
    buffered_rows: int = 1_200_000
    # Row groups of 16,384 rows throughout cost a backfill of 365 days 0.3 s, so they are larger
    # where few files are open.
    smallest_row_group: int = 16_384
    largest_row_group: int = 122_880
    small_file_bytes: int = 8 << 20
    many_files: int = 32
    many_files_in_partition: int = 4
    rows_at_once: int = 1_000_000
    # By rows alone, 500 files of 8 MiB with few long rows each became one file of gigabytes.
    bytes_at_once: int = 128 << 20
    files_at_once: int = 500
    small_file_rows: int = 1_000_000
    batches: BatchLimits = field(default_factory=BatchLimits)
    entries_per_archive_file: int = 500
    # By default delta-rs writes one every 100 commits. An open reads all entries after it, 0.3 ms
    # each.
    commits_per_checkpoint: int = 10
    requests_at_once: int = 32
