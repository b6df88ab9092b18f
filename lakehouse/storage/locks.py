"""Locks that a process holds on a file of this machine until it ends, however it ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lakehouse.errors import BusyError


@contextmanager
def wait_for_lock(file: Path) -> Iterator[None]:
    """Waits for a lock, and holds it for the length of a `with` block."""
    # Every user of the machine may take this lock: it lies in the folder for temporary files.
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def hold_lock(file: Path, busy: str) -> Iterator[int]:
    """Holds a lock for the length of a `with` block, or fails at once.

    Yields its file descriptor, which a program that replaces this process may inherit.

    Args:
        file: the file to lock. It is created if need be, and stays.
        busy: the message, with the next step, for when another process holds the lock.

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
