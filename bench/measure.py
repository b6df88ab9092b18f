"""Runs work in a process of its own and measures what it cost.

Peak memory is that of the whole process tree: anonymous memory, because mapped files can be dropped
at any time.
"""

import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).parent.parent
_LOOK_EVERY, _LOOK_AT_TREE_EVERY = 0.02, 0.5


@dataclass(frozen=True)
class Cost:
    """The cost of one run.

    Attributes:
        seconds: as the work itself measured them, without imports; those of the whole process if
            it measured none.
        wall_seconds: from the start of the process to its end.
        cpu_seconds: user and system time of the tree, including processes that ended early.
        peak_mib: the highest sum of anonymous memory, MiB.
        written_mib: what all processes wrote to files, deleted ones included, MiB; NaN except on
            Linux.
        said: the JSON that the work printed.
    """

    seconds: float
    wall_seconds: float
    cpu_seconds: float
    peak_mib: float
    written_mib: float
    said: Mapping[str, float]


def run(module: str, *arguments: str) -> Cost:
    """Runs `python -m module arguments`, which prints one line of JSON with `seconds` in it.

    Raises:
        RuntimeError: the process failed.
    """
    return run_command([sys.executable, "-W", "ignore", "-m", module, *arguments])


def run_command(command: Sequence[str], folder: Path = ROOT) -> Cost:
    """Runs a command in a folder; its last printed line may be JSON.

    Raises:
        RuntimeError: the process failed.
    """
    started, reaped, written = time.monotonic(), _sum_reaped(), written_bytes()
    with (
        tempfile.TemporaryFile("w+") as printed,
        subprocess.Popen(command, stdout=printed, stderr=subprocess.STDOUT, cwd=folder) as process,
    ):
        tree, peak, used = psutil.Process(process.pid), 0, dict[int, float]()
        while process.poll() is None:
            living = _list_living(tree)
            peak, used = max(peak, _anonymous(living)), used | _read_used(living)
            time.sleep(_LOOK_EVERY)
        wall = time.monotonic() - started
        printed.seek(0)
        lines = printed.read().strip().splitlines()
    if process.returncode:
        raise RuntimeError(
            f"{' '.join(command)} ended with {process.returncode}:\n" + "\n".join(lines[-30:])
        )
    said = json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {}
    # The system adds up a process tree exactly, except for processes that nobody waits for; those
    # are measured while they live.
    cpu = max(_sum_reaped() - reaped, sum(used.values()))
    return Cost(
        said.pop("seconds", wall),
        wall,
        cpu,
        peak / 2**20,
        (written_bytes() - written) / 2**20,
        said,
    )


class Tree:
    """A running process and its descendants, sampled from time to time.

    Attributes:
        peak_mib: the highest sum of anonymous memory in a sample, MiB.
    """

    def __init__(self, process: int) -> None:
        """Starts without a sample."""
        self._root, self._next, self.peak_mib = psutil.Process(process), 0.0, 0.0

    def look(self) -> None:
        """Samples the memory, unless the last sample is recent."""
        if time.monotonic() >= self._next:
            self.peak_mib = max(self.peak_mib, _anonymous(_list_living(self._root)) / 2**20)
            self._next = time.monotonic() + _LOOK_AT_TREE_EVERY

    def totals(self) -> tuple[float, float]:
        """Returns CPU seconds and MiB written so far, including processes that have ended."""
        cpu = written = 0.0
        for process in _list_living(self._root):
            try:
                times, wrote = process.cpu_times(), written_bytes(str(process.pid))
            except (psutil.Error, OSError):
                continue  # it ended meanwhile: who waited for it tells what it took
            cpu += times.user + times.system + times.children_user + times.children_system
            written += wrote
        return cpu, written / 2**20


def _sum_reaped() -> float:
    """Returns user and system time of all processes that this one or a descendant waited for."""
    times = resource.getrusage(resource.RUSAGE_CHILDREN)
    return times.ru_utime + times.ru_stime


def written_bytes(process: str = "self") -> float:
    """Returns the bytes that a process and the descendants it waited for wrote to files."""
    told = Path(f"/proc/{process}/io")
    if not told.exists():
        return math.nan
    return next(
        float(line.split()[1])
        for line in told.read_text().splitlines()
        if line.startswith("write_bytes")
    )


def _list_living(tree: psutil.Process) -> list[psutil.Process]:
    try:
        return [tree, *tree.children(recursive=True)]
    except psutil.Error:
        return []


def _anonymous(living: Iterable[psutil.Process]) -> int:
    total = 0
    for process in living:
        try:
            status = Path(f"/proc/{process.pid}/status")
            if not status.exists():
                total += process.memory_info().rss
                continue
            total += next(
                (
                    int(x.split()[1]) * 1024
                    for x in status.read_text().splitlines()
                    if x.startswith("RssAnon")
                ),
                0,
            )
        except (psutil.Error, OSError):
            continue
    return total


def _read_used(living: Iterable[psutil.Process]) -> dict[int, float]:
    """Returns user and system time of each process alone."""
    found = {}
    for process in living:
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        found[process.pid] = times.user + times.system
    return found


def flush_written_pages() -> None:
    """Flushes what a run left in the page cache, so that the next run does not pay for it."""
    os.sync()
