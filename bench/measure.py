"""Run a piece of work in a process of its own, and say what it took.

Peak memory is that of the whole process tree: anonymous memory, because mapped files can be dropped at any time.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

_LOOK_EVERY = 0.02


@dataclass(frozen=True)
class Cost:
    """What one run took.

    Attributes:
        seconds: as the work itself measured them, imports not counted.
        cpu_seconds: user and system time of the tree.
        peak_mib: the highest sum of anonymous memory, MiB.
        said: what the work returned.
    """

    seconds: float
    cpu_seconds: float
    peak_mib: float
    said: Mapping[str, float]


def run(module: str, *arguments: str) -> Cost:
    """Run `python -m module arguments`, which prints one line of JSON with `seconds` in it.

    Raises:
        RuntimeError: the process failed.
    """
    command = [sys.executable, "-W", "ignore", "-m", module, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent.parent) as process:
        tree, peak, cpu = psutil.Process(process.pid), 0, 0.0
        while process.poll() is None:
            peak, cpu = max(peak, _anonymous(tree)), max(cpu, _cpu(tree))
            time.sleep(_LOOK_EVERY)
        printed = process.stdout.read() if process.stdout else ""
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    said = json.loads(printed.strip().splitlines()[-1])
    return Cost(said.pop("seconds"), cpu, peak / 2**20, said)


def _anonymous(tree: psutil.Process) -> int:
    total = 0
    try:
        for process in (tree, *tree.children(recursive=True)):
            status = Path(f"/proc/{process.pid}/status")
            if not status.exists():
                total += process.memory_info().rss
                continue
            total += next(
                (int(x.split()[1]) * 1024 for x in status.read_text().splitlines() if x.startswith("RssAnon")), 0
            )
    except (psutil.Error, OSError):
        return total
    return total


def _cpu(tree: psutil.Process) -> float:
    try:
        times = tree.cpu_times()
    except psutil.Error:
        return 0.0
    return times.user + times.system + times.children_user + times.children_system


def medians(costs: Sequence[Cost]) -> tuple[float, float, float]:
    """Median seconds, their spread as (max - min) / median, and median peak in MiB."""
    seconds = [cost.seconds for cost in costs]
    middle = statistics.median(seconds)
    return middle, (max(seconds) - min(seconds)) / middle, statistics.median(cost.peak_mib for cost in costs)


def drop_written_pages() -> None:
    """Flush what a run left in the page cache, so that the next one does not pay for it."""
    os.sync()
