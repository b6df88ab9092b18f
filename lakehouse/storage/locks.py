"""Locks on files of this machine; the system releases them when a process ends, however it ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lakehouse.errors import BusyError


@contextmanager
def wait_for_lock(file: Path) -> Iterator[None]:
    """Waits for a lock, and holds it for the length of a `with` block."""
    # Processes of other users may need this lock: it lies in the folder for temporary files.
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        # Closing releases the lock. The file stays: if it were deleted, a process that waits for it
        # and one that creates it anew would both hold a lock.
        os.close(descriptor)


@contextmanager
def hold_lock(file: Path, busy: str) -> Iterator[int]:
    """Holds a lock for the length of a `with` block, or fails at once.

    Yields its file descriptor, which a program that replaces this process can inherit.

    Args:
        file: the file to lock. It is created if need be, and stays.
        busy: the message if another process holds the lock, with the next step.

    Raises:
        BusyError: another process holds the lock.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(busy) from None
        yield descriptor
    finally:
        os.close(descriptor)
