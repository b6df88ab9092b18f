"""`make bench`: how long it takes from a file in landing until its rows are in the mart, with Dagster's daemon running.

Each file holds lines of a day some weeks back, so that its day and the week after it are made again.
"""

import argparse
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from bench.beside import OUT, RESULTS
from bench.measure import ROOT
from lakehouse.lake import Lake

_FIRST = date(2010, 12, 6)
_HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
_LINES = 9
_LONGEST = 120.0


@contextmanager
def daemon(home: Path) -> Iterator[Path]:
    """A lake of samples with `dagster dev` on it; gives the log, ends what it started."""
    dagster = home / "dagster"
    dagster.mkdir()
    (dagster / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())
    (home / ".env").write_text(f"DAGSTER_HOME={dagster}\nLAKEHOUSE_DATA={home}\n")
    known = {**os.environ, "DAGSTER_HOME": str(dagster), "LAKEHOUSE_DATA": str(home), "PYTHONWARNINGS": "ignore"}
    tools = Path(sys.executable).parent
    subprocess.run([tools / "lakehouse", "demo"], env=known, cwd=home, check=True, capture_output=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [tools / "dagster", "dev", "-m", "lakehouse.definitions", "--host", "127.0.0.1", "--port", str(port)]
    with (home / "dev.log").open("wb") as log:
        process = subprocess.Popen(command, env=known, cwd=home, stdout=log, stderr=log, start_new_session=True)
        try:
            yield home / "dev.log"
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(20)


def waited(for_: Callable[[], bool]) -> float:
    """How long it took until something became true, s.

    Raises:
        TimeoutError: it did not.
    """
    started = time.monotonic()
    while not for_():
        if time.monotonic() - started > _LONGEST:
            raise TimeoutError("it did not happen in time; see dev.log")
        time.sleep(0.05)
    return time.monotonic() - started


def lines_of(lake: Lake, day: date) -> int:
    """The invoice lines behind the rows of a day in the mart."""
    mart = lake.scan("marts/daily_sales").filter(pl.col("sales_date") == day)
    return int(mart.select(pl.col("lines").sum()).collect().item())


def drop(home: Path, number: int) -> float:
    """Deliver one late file; gives the seconds until it is visible in the mart."""
    lake, day = Lake(str(home / "lake")), _FIRST + timedelta(days=number)
    before = lines_of(lake, day)
    rows = [f"6{number:04}{n},85123A,THING,{n + 1},{day} 10:0{n}:00,2.5,,France" for n in range(_LINES)]
    target = home / "landing" / "invoice_lines" / f"sample-late-{number:03}.csv"
    target.write_text("\n".join([_HEADER, *rows]) + "\n")
    return waited(lambda: lines_of(lake, day) == before + _LINES)


def measure(files: int, pause: float) -> list[float]:
    """The seconds for each of some late files, one after another with pauses between."""
    with TemporaryDirectory(dir=OUT) as folder, daemon(Path(folder)) as log:
        waited(lambda: all(name in log.read_bytes() for name in (b"commit_sensor", b"landing_sensor")))
        taken = []
        for number in range(files):
            taken.append(drop(Path(folder), number))
            print(f"file {number + 1}: {taken[-1]:.1f} s", flush=True)
            time.sleep(pause)
        return taken


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=20)
    parser.add_argument("--pause", type=float, default=5.0, help="seconds between two files")
    given = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    taken = sorted(measure(given.files, given.pause))
    p50, p95 = statistics.median(taken), taken[max(0, round(0.95 * len(taken)) - 1)]
    print(f"late file, drop to visible in the mart, {given.files} files: p50 {p50:.1f} s, p95 {p95:.1f} s")
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "late.json").write_text(json.dumps({"name": "late", "p50": p50, "p95": p95, "seconds": taken}))


if __name__ == "__main__":
    main()
