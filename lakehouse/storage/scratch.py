"""Folders for what does not fit in memory; what a process that was killed left behind is taken away by the next one.

A folder is known by a file in it that its process holds, not by its name: a lake may be in `/tmp/lakehouse-data`.
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
_HELD = ".scratch"
_YOUNG_SECONDS = 60


@contextmanager
def create_scratch_folder() -> Iterator[Path]:
    """A folder that is there for the length of a piece of work, in the folder for temporary files."""
    _sweep()
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as name:
        descriptor = os.open(Path(name) / _HELD, os.O_RDONLY | os.O_CREAT, 0o600)
        try:
            with suppress(
                OSError
            ):  # not every file system has locks; then nothing is swept there either
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield Path(name)
        finally:
            os.close(descriptor)


def _sweep() -> None:
    """Take away the folders that nobody holds; one that was just made may not be held yet."""
    for held in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/{_HELD}"):
        folder = held.parent
        with suppress(OSError):
            if folder.lstat().st_mtime > time.time() - _YOUNG_SECONDS or folder.is_symlink():
                continue
            descriptor = os.open(held, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(descriptor)
