"""`make bench`: the time from a file in landing to its rows in the mart, with Dagster's daemon.

Each file holds lines of a day some weeks back, so its day and the week after it are rebuilt. CPU
seconds, MiB written, files and commits are for each file and cover all processes of `dagster dev`,
sensors included.
"""

import argparse
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import psutil

from bench.beside import OUT, count_files
from bench.figures import Line, keep, show
from bench.measure import ROOT, Tree
from lakehouse.storage.lake import Lake

_FIRST = date(2010, 12, 6)
_HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
_LINES = 9
_LONGEST, _LONGEST_END = 120.0, 20.0


@contextmanager
def daemon(home: Path) -> Iterator[tuple[Path, Tree]]:
    """Starts `dagster dev` on a lake of samples, yields its log and processes, and ends them."""
    dagster = home / "dagster"
    dagster.mkdir()
    (dagster / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())
    (home / ".env").write_text(f"DAGSTER_HOME={dagster}\nLAKEHOUSE_DATA={home}\n")
    known = {
        **os.environ,
        "DAGSTER_HOME": str(dagster),
        "LAKEHOUSE_DATA": str(home),
        "PYTHONWARNINGS": "ignore",
        "PYTHONPATH": str(ROOT),  # the project's tables; the process starts in another folder
    }
    tools = Path(sys.executable).parent
    subprocess.run(
        [tools / "lakehouse", "demo"], env=known, cwd=home, check=True, capture_output=True
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        tools / "dagster",
        "dev",
        "-m",
        "lakehouse.definitions",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    with (home / "dev.log").open("wb") as log:
        process = subprocess.Popen(
            command, env=known, cwd=home, stdout=log, stderr=log, start_new_session=True
        )
        try:
            yield home / "dev.log", Tree(process.pid)
        finally:
            end(process)


def end(leader: subprocess.Popen[bytes]) -> None:
    """Ends a process and its descendants, which share a group, so that none keeps writing."""
    living = [psutil.Process(leader.pid), *psutil.Process(leader.pid).children(recursive=True)]
    for how in (signal.SIGTERM, signal.SIGKILL):
        os.killpg(leader.pid, how)
        until = time.monotonic() + _LONGEST_END
        while any(map(_goes_on, living)) and time.monotonic() < until:
            time.sleep(0.1)
        if not any(map(_goes_on, living)):
            break
    leader.wait(_LONGEST_END)


def _goes_on(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until(for_: Callable[[], bool], meanwhile: Callable[[], None]) -> float:
    """Returns the seconds until a condition is true; calls a function in the meantime.

    Raises:
        TimeoutError: it did not become true.
    """
    started = time.monotonic()
    while not for_():
        if time.monotonic() - started > _LONGEST:
            raise TimeoutError("it did not happen in time; see dev.log")
        meanwhile()
        time.sleep(0.05)
    return time.monotonic() - started


def lines_of(lake: Lake, day: date) -> int:
    """Counts the invoice lines behind the rows of a day in the mart."""
    mart = lake.scan("marts/daily_sales").filter(pl.col("sales_date") == day)
    return int(mart.select(pl.col("lines").sum()).collect().item())


def drop(home: Path, number: int, tree: Tree) -> float:
    """Delivers one late file and returns the seconds until it is visible in the mart."""
    lake, day = Lake(str(home / "lake")), _FIRST + timedelta(days=number)
    before = lines_of(lake, day)
    rows = [
        f"6{number:04}{n},85123A,THING,{n + 1},{day} 10:0{n}:00,2.5,,France" for n in range(_LINES)
    ]
    target = home / "landing" / "invoice_lines" / f"sample-late-{number:03}.csv"
    target.write_text("\n".join([_HEADER, *rows]) + "\n")
    return wait_until(lambda: lines_of(lake, day) == before + _LINES, tree.look)


def measure(files: int, pause: float) -> tuple[list[float], Line]:
    """Returns the seconds of each late file, with pauses in between, and the cost of one."""
    with TemporaryDirectory(dir=OUT) as folder, daemon(Path(folder)) as (log, tree):
        lake, taken = Path(folder) / "lake", list[float]()
        wait_until(
            lambda: all(name in log.read_bytes() for name in (b"commit_sensor", b"landing_sensor")),
            tree.look,
        )
        before = (*tree.totals(), *count_files(lake))
        for number in range(files):
            taken.append(drop(Path(folder), number, tree))
            print(f"file {number + 1}: {taken[-1]:.1f} s", flush=True)
            time.sleep(pause)
        cpu, written, data, commits = (
            (now - then) / files
            for now, then in zip((*tree.totals(), *count_files(lake)), before, strict=True)
        )
    times = (statistics.median(taken), min(taken), max(taken))
    return taken, Line(
        "a file", "ours", *times, 1, 1, 1, cpu, tree.peak_mib, written, round(data), round(commits)
    )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=20)
    parser.add_argument("--pause", type=float, default=5.0, help="seconds between two files")
    given = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    taken, line = measure(given.files, given.pause)
    title = "a file of a late day, from landing until its rows are in the mart"
    show(title, "ours", [line], [], given.files)
    p95 = sorted(taken)[max(0, round(0.95 * len(taken)) - 1)]
    note = f"{given.files} files: p50 {line.seconds:.1f} s, p95 {p95:.1f} s."
    print(note)
    found = {
        "title": title,
        "base": "ours",
        "rounds": given.files,
        "lines": [asdict(line)],
        "note": note,
    }
    keep("late", {**found, "seconds": taken, "p50": line.seconds, "p95": p95})


if __name__ == "__main__":
    main()
