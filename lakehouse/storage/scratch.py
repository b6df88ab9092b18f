"""Scratch folders: temporary folders for rows that do not fit in memory.

A process that was killed leaves its folder behind, and the next one removes it. Such a folder is
recognized by a lock on a file in it, not by its name alone: a lake may be in `/tmp/lakehouse-data`.
"""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = "lakehouse-"
_LOCK = ".scratch"
_YOUNG_SECONDS = 60  # a younger folder may be one whose process has not locked it yet


@contextmanager
def create_scratch_folder() -> Iterator[Path]:
    """Creates a temporary folder for the length of a `with` block."""
    _remove_abandoned_folders()
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as name:
        # The system releases this lock when the process ends, also by a kill.
        descriptor = os.open(Path(name) / _LOCK, os.O_RDONLY | os.O_CREAT, 0o600)
        try:
            # Some file systems have no locks. There, no folder is ever removed for another process.
            with suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield Path(name)
        finally:
            os.close(descriptor)


def _remove_abandoned_folders() -> None:
    """Removes the scratch folders that no process holds."""
    for lock in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/{_LOCK}"):
        folder = lock.parent
        with suppress(OSError):  # another process removes it, or another user owns it
            if folder.lstat().st_mtime > time.time() - _YOUNG_SECONDS or folder.is_symlink():
                continue
            descriptor = os.open(lock, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(descriptor)
