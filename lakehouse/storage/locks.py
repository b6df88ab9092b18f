"""Locks on files of this machine; the system releases them when a process ends, however it ends.

The file of a lock says who holds it, for those who wait. Only the lock itself is trusted: the text
of a process that was killed stays until the next one writes its own.
"""

import fcntl
import json
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from lakehouse.errors import BusyError, SetupError

Tell = Callable[[str], None]
"""Called with a line for the person or the log that waits."""

LONGEST_WAIT = 600.0
"""Seconds; as long as a writer tries to commit beside others before it gives up."""

_FIRST_TELL = 2.0  # seconds; shorter waits are usual and worth no line
_TELL_EVERY = 30.0
_SHORTEST_REST = 0.001  # commits follow each other within milliseconds
_LONGEST_REST = 0.2  # also how long a signal may have to wait for an answer


@contextmanager
def wait_for_lock(
    file: Path, purpose: str, *, tell: Tell | None = None, longest: float | None = None
) -> Iterator[None]:
    """Waits for a lock, and holds it for the length of a `with` block.

    Args:
        file: the file to lock. It is created if need be, and stays.
        purpose: what the lock is for, as the beginning of a message: "staged/orders is made".
        tell: called while it waits, with who holds the lock and since when; a warning in the log of
            the process by default.
        longest: seconds to wait at most; `LONGEST_WAIT` by default.

    Raises:
        BusyError: the wait was too long.
    """
    descriptor = _open(file, 0o666)  # processes of other users may need it, as in /tmp
    try:
        most = LONGEST_WAIT if longest is None else longest
        _wait(descriptor, purpose, tell or logging.getLogger(__name__).warning, most)
        _note_holder(descriptor)
        yield
    finally:
        # Closing releases the lock. The file stays: if it were deleted, a process that waits for it
        # and one that creates it anew would both hold a lock.
        os.close(descriptor)


@contextmanager
def hold_lock(file: Path, busy: str) -> Iterator[int]:
    """Holds a lock for the length of a `with` block, or fails at once.

    Yields its file descriptor, which another process can inherit.

    Args:
        file: the file to lock. It is created if need be, and stays.
        busy: the message if another process holds the lock, with the next step. Who holds it is
            added to its first line.

    Raises:
        BusyError: another process holds the lock.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = _open(file, 0o644)
    try:
        if not _try(descriptor):
            first, *others = busy.splitlines()
            raise BusyError("\n".join([f"{first} It is {describe_holder(descriptor)}.", *others]))
        _note_holder(descriptor)
        yield descriptor
    finally:
        os.close(descriptor)


def is_locked(file: Path) -> bool:
    """Whether a process that is alive holds a lock; a process that is stopped is alive."""
    try:
        descriptor = os.open(file, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        # Shared, so that two who ask at the same time do not see each other.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


def describe_holder(descriptor: int) -> str:
    """Returns who holds a lock and since when, from the text in its file."""
    try:
        noted = json.loads(os.pread(descriptor, 1000, 0))
        return f"process {noted['pid']} on {noted['host']}, since {noted['since']}"
    # It was locked just now, or by a version that wrote nothing.
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError):
        return "another process"


def _open(file: Path, mode: int) -> int:
    """Opens a file to lock, and creates it if need be.

    Raises:
        SetupError: it belongs to another user, and is for nobody else.
    """
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, mode)
        # The mode at creation is cut by the umask of whoever is first, so that others were refused.
        if os.fstat(descriptor).st_uid == os.geteuid():
            os.fchmod(descriptor, mode)
    except PermissionError:
        # A lock needs no more than reading. In a shared folder for temporary files the system
        # grants no more of a file that is another user's, whatever its mode.
        return _open_to_read(file)
    return descriptor


def _open_to_read(file: Path) -> int:
    try:
        return os.open(file, os.O_RDONLY)
    except PermissionError as error:
        raise SetupError(
            f"The lock {file} belongs to another user, who lets nobody else use it.\n"
            f"Next: let its owner or root run `chmod a+r {file}`, or delete it while no run is "
            "under way."
        ) from error


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wait(descriptor: int, purpose: str, tell: Tell, longest: float) -> None:
    # Not the blocking call of the system: it would say nothing, for ever.
    started, rest, told = time.monotonic(), _SHORTEST_REST, _FIRST_TELL - _TELL_EVERY
    while not _try(descriptor):
        waited = time.monotonic() - started
        holder = describe_holder(descriptor)
        if waited >= longest:
            raise BusyError(
                f"{purpose} by {holder}, and not for us within {longest:.0f} s.\n"
                "Next: wait until that has ended, or end it if it hangs; then run again."
            )
        if waited - told >= _TELL_EVERY:
            told = waited
            tell(
                f"{purpose} by {holder}; waiting for it, up to {longest:.0f} s. "
                "If it hangs, end that process."
            )
        time.sleep(rest)
        rest = min(2 * rest, _LONGEST_REST)


def _note_holder(descriptor: int) -> None:
    noted = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC",
    }
    # The text is for people: a full disk takes it away, and not the lock.
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(noted).encode(), 0)
