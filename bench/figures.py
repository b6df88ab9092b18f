"""The measured figures of each way: printed, and kept for the report.

Belongs here: the content of a line and of a pair, how they look in a terminal, and what is kept of
them and of the machine. Does not belong here: doing the work (`beside.py`), pages and plots
(`report.py`).
"""

import json
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

import psutil

from bench.measure import ROOT

RESULTS = ROOT / "bench" / "out" / "results"


@dataclass(frozen=True)
class Line:
    """The figures of one way for one step: medians over the rounds.

    Attributes:
        step: the step.
        way: the way.
        seconds: the time.
        least: the shortest time of a round, s.
        most: the longest time, s.
        ratio: the time divided by that of the base in the same round, so that a slower machine
            affects both.
        ratio_least: the lowest ratio of a round.
        ratio_most: the highest.
        cpu_seconds: user and system time.
        peak_mib: anonymous memory of the process tree at its highest, MiB.
        written_mib: what its processes wrote to files, deleted ones included, MiB.
        files: the data files that it added.
        commits: the log entries that it added.
    """

    step: str
    way: str
    seconds: float
    least: float
    most: float
    ratio: float
    ratio_least: float
    ratio_most: float
    cpu_seconds: float
    peak_mib: float
    written_mib: float
    files: int
    commits: int


@dataclass(frozen=True)
class Pair:
    """How one run compares to another: medians of the ratios of each round.

    Attributes:
        one: what is compared.
        other: what it is compared to.
        seconds: the ratio of the times.
        least: the lowest ratio of a round.
        most: the highest.
        cpu_seconds: the ratio of user and system time.
        peak_mib: the ratio of the highest memory.
    """

    one: str
    other: str
    seconds: float
    least: float
    most: float
    cpu_seconds: float
    peak_mib: float


def show(title: str, base: str, lines: Sequence[Line], pairs: Sequence[Pair], rounds: int) -> None:
    """Prints a table of the ways, and a table of the further comparisons."""
    print(f"\n{title}; {rounds} rounds, ratios to {base}")
    names = (
        "seconds",
        "least",
        "most",
        "ratio",
        "least",
        "most",
        "cpu s",
        "peak MiB",
        "written MiB",
        "files",
        "commits",
    )
    print(f"{'step':<16}{'way':<26}" + "".join(f"{name:>12}" for name in names))
    for line in lines:
        times = (
            line.seconds,
            line.least,
            line.most,
            line.ratio,
            line.ratio_least,
            line.ratio_most,
            line.cpu_seconds,
        )
        sizes = (line.peak_mib, line.written_mib, line.files, line.commits)
        figures = "".join(f"{value:>12.2f}" for value in times) + "".join(
            f"{value:>12,.0f}" for value in sizes
        )
        print(f"{line.step:<16}{line.way:<26}{figures}")
    if pairs:
        print(
            f"\n{'beside each other':<76}"
            + "".join(f"{n:>12}" for n in ("x seconds", "least", "most", "x cpu", "x peak"))
        )
    for pair in pairs:
        figures = (pair.seconds, pair.least, pair.most, pair.cpu_seconds, pair.peak_mib)
        print(
            f"{f'{pair.one} / {pair.other}':<76}" + "".join(f"{value:>12.2f}" for value in figures),
            flush=True,
        )


def about() -> dict[str, object]:
    """Returns the time, the machine and the versions of a measurement."""
    libraries = ("polars", "deltalake", "duckdb", "pandera", "dagster")
    told = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    return {
        "day": str(datetime.now(UTC).date()),
        "machine": f"{psutil.cpu_count()} cores, "
        f"{psutil.virtual_memory().total / 2**30:.0f} GiB, {platform.system()}",
        "versions": {name: version(name) for name in libraries}
        | {"python": platform.python_version()},
        "commit": told.stdout.strip(),
    }


def keep(name: str, found: Mapping[str, object]) -> None:
    """Keeps the result of a bench for the report."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps({"name": name, **about(), **found}, indent=1))
