"""Leases: signs of life of the processes that execute runs, in a folder beside Dagster's storage.

A lease is a file that its process keeps locked until it ends. Whether the process is alive is asked
of the lock and of nothing else: process numbers are used again, clocks jump, and a process that is
stopped does not answer but is alive. A lease that was written on another machine is only as good as
the file system between them, so there is `Process.is_here` to tell.
"""

import fcntl
import json
import os
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from lakehouse.storage.locks import is_locked

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_MACHINE_ID = Path("/etc/machine-id")
_held: dict[Path, int] = {}
"""The leases of this process with their descriptors, which must stay open."""


@dataclass(frozen=True)
class Process:
    """A process, as its leases name it.

    Attributes:
        host: the name of its machine.
        machine: the id of its machine; empty where it has none.
        boot: the id of the machine's start; two machines never have the same.
        pid: its number, for people.
        started: when it was started, in ticks since the start of the machine; empty where the
            system does not tell. With the number it names a process for certain.
        since: when it took the lease, UTC, for people.
        command: its command line, for people.
    """

    host: str
    machine: str
    boot: str
    pid: int
    started: str
    since: str
    command: str

    @property
    def is_here(self) -> bool:
        """Whether it runs, or ran, on this machine since it was started."""
        return self.boot == find_boot_id()

    @property
    def is_of_an_earlier_start(self) -> bool:
        """Whether it ran on this machine before the machine was last started."""
        is_same = bool(self.machine) and (self.machine, self.host) == (
            find_machine_id(),
            socket.gethostname(),
        )
        return is_same and not self.is_here

    @property
    def is_running(self) -> bool:
        """Whether this machine has a process of this number and start."""
        return self.is_here and is_running(self.pid) and find_start(self.pid) == self.started

    def __str__(self) -> str:
        """Returns the words by which a message names it."""
        return f"process {self.pid} on {self.host}"

    def to_text(self) -> str:
        """Returns it as text, to be stored beside a run."""
        return json.dumps(asdict(self))


def parse_process(text: str) -> Process | None:
    """Returns the process that a text names; None for one that was cut off or is no such text."""
    with suppress(json.JSONDecodeError, TypeError):
        return Process(**json.loads(text))
    return None


def identify_process() -> Process:
    """Returns this process."""
    now = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
    command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])[:200]
    pid = os.getpid()
    return Process(
        host=socket.gethostname(),
        machine=find_machine_id(),
        boot=find_boot_id(),
        pid=pid,
        started=find_start(pid),
        since=now,
        command=command,
    )


def find_start(pid: int) -> str:
    """Returns when a process was started, in ticks since the machine was; empty if not known."""
    fields = _read_stat(pid)
    return fields[19] if fields else ""


def is_running(pid: int) -> bool:
    """Whether this machine has a process of this number that has not ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # of another user
    # A zombie has ended, and its parent has not asked how.
    return _read_stat(pid)[:1] not in (["Z"], ["X"])


def _read_stat(pid: int) -> list[str]:
    """Returns what the system tells of a process, from its state on; nothing where it does not."""
    with suppress(OSError):
        # The name of the command stands before it in parentheses, and may hold anything.
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    return []


@cache
def find_machine_id() -> str:
    """Returns the id that this machine got when it was installed; empty if it has none."""
    with suppress(OSError):
        return _MACHINE_ID.read_text().strip()
    return ""


@cache
def find_boot_id() -> str:
    """Returns the id that this machine got when it was started."""
    if _BOOT_ID.exists():
        return _BOOT_ID.read_text().strip()
    # Darwin has the same under another name.
    asked = ["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"]
    with suppress(OSError):
        found = subprocess.run(asked, capture_output=True, text=True, check=False)  # noqa: S603
        return found.stdout.strip() or socket.gethostname()
    return socket.gethostname()


def take_lease(file: Path) -> Process:
    """Takes a lease for this process, until it ends or releases it.

    Where the folder is read-only or the disk is full, the process is known by its number and start
    alone.
    """
    this = identify_process()
    if file in _held:
        return this
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        _held[file] = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
        # Those who ask for the lock hold it for a moment; nobody else has this file's name.
        fcntl.flock(_held[file], fcntl.LOCK_EX)
        os.pwrite(_held[file], this.to_text().encode(), 0)
    return this


def release_lease(file: Path) -> None:
    """Gives a lease back and deletes its file."""
    descriptor = _held.pop(file, None)
    if descriptor is not None:
        file.unlink(missing_ok=True)
        os.close(descriptor)


def is_alive(file: Path, process: Process) -> bool:
    """Whether the process that took a lease on this machine is alive."""
    # A folder that somebody emptied tells nothing of the processes that hold its files open.
    return is_locked(file) if file.exists() else process.is_running


def list_leases(folder: Path, prefix: str) -> dict[Path, tuple[Process, bool]]:
    """Returns the processes that took leases with a prefix, and whether each is alive."""
    found: dict[Path, tuple[Process, bool]] = {}
    for file in sorted(folder.glob(f"{prefix}*")):
        # Its text is written under the lock: a file without any is one that is being made. One that
        # was there just now may be gone.
        with suppress(FileNotFoundError):
            process = parse_process(file.read_text(errors="replace"))
            if process is not None:
                found[file] = process, is_locked(file)
    return found


def delete_dead_leases(folder: Path) -> None:
    """Deletes the files of leases whose processes have ended."""
    for file, (_, lives) in list_leases(folder, "").items():
        if not lives:
            file.unlink(missing_ok=True)
