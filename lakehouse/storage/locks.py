"""A lock that one process of this machine holds on a folder, and lets go when it ends, however it ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lakehouse.errors import BusyError


@contextmanager
def wait_for_lock(file: Path) -> Iterator[None]:
    """Wait for a lock, and hold it; whoever asks for the same one waits in turn."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def hold_lock(file: Path, busy: str) -> Iterator[int]:
    """Hold a lock; gives its file descriptor, which a program that takes this process over may inherit.

    Args:
        file: stands for what is locked; made if need be, and left there.
        busy: what to say, with the next step, when another process holds it.

    Raises:
        BusyError: another process holds it.
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
