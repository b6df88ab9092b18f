"""Disks that are full or cannot be written, reported as such: a library may blame the file."""

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import obstore
import polars as pl
from deltalake.exceptions import DeltaError

from lakehouse.errors import SetupError
from lakehouse.storage.object_store import is_remote

# The operating system's errors 28 (disk full), 122 (quota exceeded) and 27 (file too large).
_DISK_FULL = re.compile(
    r"No space left|os error 28\b|os error 122\b|quota|File too large|os error 27\b", re.IGNORECASE
)
# Errors 1, 13 and 30: a folder that belongs to somebody else, or a disk that is mounted to be read.
_NOT_WRITABLE = re.compile(
    r"Permission denied|os error 13\b|Read-only file system|os error 30\b|os error 1\b"
)
_LEAST_FREE_BYTES = 1 << 20  # with less, a write that failed is taken to have failed for want of it


def is_full_disk(error: BaseException) -> bool:
    """Returns whether an error says that a disk is full."""
    return _DISK_FULL.search(str(error)) is not None


@contextmanager
def report_full_disk(root: str, least_free: int = _LEAST_FREE_BYTES) -> Iterator[None]:
    """Turns errors that a full disk, or one that cannot be written, caused into one that says so.

    Args:
        root: where the `with` block writes; it also writes into the folder for temporary files.
        least_free: free bytes below which a disk counts as full, whatever the error says.

    Raises:
        SetupError: one of the two is full, or cannot be written.
    """
    try:
        yield
    except (OSError, pl.exceptions.PolarsError, DeltaError, obstore.exceptions.BaseError) as error:
        # Polars may say that the file it could not write is out of specification, and name no disk.
        # So the disks are asked as well.
        places = (root, tempfile.gettempdir())
        folders = [place for place in places if not is_remote(place) and Path(place).exists()]
        full = [folder for folder in folders if shutil.disk_usage(folder).free < least_free]
        if not full and not is_full_disk(error):
            if is_remote(root) or not _NOT_WRITABLE.search(str(error)):
                raise
            raise SetupError(
                f"{' or '.join(places)} cannot be written: {error}\n"
                "Next: give the user of this process the right to write there, or mount it for "
                "writing, and run again. The tables are as they were."
            ) from None
        raise SetupError(
            f"There is no space left in {' and '.join(full or folders)}. What was being written "
            "was not published; the tables are unchanged.\n"
            "Next: free space there and run again (docs/runbook.md, A full disk)."
        ) from None
