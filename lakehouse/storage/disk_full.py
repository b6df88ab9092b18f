"""A full disk, told as what it is: a library that meets one in the middle of a file may blame the file."""

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

_SAID = re.compile(
    r"No space left|os error 28\b|os error 122\b|quota|File too large|os error 27\b", re.IGNORECASE
)
_LEAST = 1 << 20


@contextmanager
def report_full_disk(root: str) -> Iterator[None]:
    """Work that writes below a root and into the folder for temporary files.

    Raises:
        SetupError: one of the two is full.
    """
    try:
        yield
    except (OSError, pl.exceptions.PolarsError, DeltaError, obstore.exceptions.BaseError) as error:
        folders = [
            folder
            for folder in (root, tempfile.gettempdir())
            if "://" not in folder and Path(folder).exists()
        ]
        full = [folder for folder in folders if shutil.disk_usage(folder).free < _LEAST]
        if not full and not _SAID.search(str(error)):
            raise
        raise SetupError(
            f"There is no room left in {' and '.join(full or folders)}. What was being written was not published; "
            "the tables are as they were.\n"
            "Next: make room there and run again (docs/runbook.md, A full disk)."
        ) from None
