"""Parquet: every row with its types; `typed_frames.py` says which types change.

Belongs here: what makes a file Parquet, and what Polars must not see. Other typed formats are read
in a process of their own (`typed_files.py`).
"""

import errno
from pathlib import Path

import polars as pl

from lakehouse.ingest.files.read_options import ReadOptions
from lakehouse.ingest.files.record_ledger import RecordLedger, RefusedError
from lakehouse.ingest.files.typed.parquet_footer import BrokenFooterError, read_footer
from lakehouse.ingest.files.typed.parquet_zones import open_with_known_zones
from lakehouse.ingest.files.typed.typed_frames import add_typed_frame, describe_repeated_name
from lakehouse.redaction import redact
from lakehouse.storage.disk_full import is_full_disk
from lakehouse.storage.parquet import scan_parquet_files

_MAGIC = b"PAR1"
_LEAST_BYTES = 12  # magic bytes at both ends, and the length of the footer


def read_parquet(path: Path, ledger: RecordLedger, options: ReadOptions) -> None:
    """Reads a Parquet file into the ledger.

    Raises:
        OSError: the disk is full.
        RefusedError: it is no Parquet, cut off, damaged or too large, or has a column with a
            forbidden name.
    """
    _check_magic(path)
    rows = _check_footer(path, ledger.limits.nesting)
    copy = ledger.rows.folder.with_name("zoned")
    try:
        lf = scan_parquet_files(open_with_known_zones(path, copy))
        add_typed_frame(lf, path.stat().st_size, ledger, options, "a Parquet file")
        # A bit that flips in a number of the footer would lose rows without a word.
        if ledger.records != rows:
            raise RefusedError(
                f"Parquet file is damaged: it claims {rows:,} rows and has {ledger.records:,}"
            )
    except pl.exceptions.DuplicateError as error:
        raise RefusedError(describe_repeated_name(error)) from error
    # A panic of Polars is no `Exception`: uncaught, one damaged file would end the whole landing.
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        if is_full_disk(error):
            raise OSError(errno.ENOSPC, str(error)) from error  # which says nothing about the file
        raise RefusedError(
            f"Parquet file is damaged, or Polars cannot read it: {_message(error)}"
        ) from error
    finally:
        copy.unlink(missing_ok=True)


def _check_footer(path: Path, most: int) -> int:
    """Returns how many rows a file claims; a schema that would overflow the stack is refused."""
    try:
        depth, rows = read_footer(path)
    except BrokenFooterError as error:
        raise RefusedError(f"Parquet file is damaged: {error}") from error
    # A list takes two groups, and the root is one.
    if depth > 2 * most + 2:
        raise RefusedError(f"nested {depth:,} groups deep; limit {most:,} (nesting)")
    return rows


def _check_magic(path: Path) -> None:
    with path.open("rb") as file:
        head = file.read(len(_MAGIC))
        size = file.seek(0, 2)
        file.seek(max(0, size - len(_MAGIC)))
        tail = file.read()
    if head != _MAGIC:
        raise RefusedError("not a Parquet file: it does not begin with PAR1")
    if tail != _MAGIC or size < _LEAST_BYTES:
        raise RefusedError(
            f"Parquet file is cut off after {size:,} bytes: it does not end with PAR1"
        )


def _message(error: BaseException) -> str:
    # Polars quotes values in its errors, and those of a panic are no better: reasons end in logs,
    # which are kept for years.
    return redact(error).split("\n", 1)[0][:500]
