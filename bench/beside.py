"""The same work done in several ways, side by side: in turns, each in processes of its own, its result looked at."""

import json
import platform
import statistics
import sys
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from bench.measure import ROOT, Cost, drop_written_pages, run_command
from bench.venvs import python_of

OUT = ROOT / "bench" / "out"
RESULTS = OUT / "results"
TARGET = "{target}"
"""Stands for the folder of a run in the commands of a way."""


@dataclass(frozen=True)
class Way:
    """One way to do the work.

    Attributes:
        name: what it is called in tables and plots.
        steps: a command for each step of the work, by the name of the step; all see the same folder.
    """

    name: str
    steps: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Work:
    """What is done by each way.

    Attributes:
        name: the name of the bench, in small letters.
        title: what is done to what, in one line.
        ways: the ways; the first is ours.
        base: the name of the way to which the others are compared.
        outcome: what a way has made in its folder after a step; all ways have to make the same. None: not looked at.
        prepare: what is done to a way's folder before a step, unmeasured.
        whole: whether the seconds of whole processes count, imports among them.
        base_step: the step of the base to which all steps are compared; None compares each to the same step.
    """

    name: str
    title: str
    ways: Sequence[Way]
    base: str
    outcome: Callable[[str, str, Path], Hashable] | None = None
    prepare: Callable[[str, str, Path], None] | None = None
    whole: bool = False
    base_step: str | None = None


@dataclass(frozen=True)
class Line:
    """What a way took for a step: medians over the rounds.

    Attributes:
        step: the step.
        way: the way.
        seconds: the time.
        least: the shortest time of a round, s.
        most: the longest, s.
        ratio: the time by that of the base in the same round, so that a machine that becomes slower counts for both.
        cpu_seconds: user and system time.
        peak_mib: anonymous memory of the process tree at its highest, MiB.
        written_mib: what the folder has grown by, MiB.
        files: the data files that came.
        commits: the log entries that came.
        rounds: the time of each round, s.
    """

    step: str
    way: str
    seconds: float
    least: float
    most: float
    ratio: float
    cpu_seconds: float
    peak_mib: float
    written_mib: float
    files: int
    commits: int
    rounds: Sequence[float]


def module(name: str, *arguments: str) -> list[str]:
    """The command that runs a module of this project."""
    return [sys.executable, "-W", "ignore", "-m", name, *arguments]


def peer_module(peer: str, script: str, *arguments: str) -> list[str]:
    """The command that runs a script of a peer in the peer's environment.

    Raises:
        RuntimeError: it cannot be installed.
    """
    return [str(python_of(peer)), "-W", "ignore", "-m", f"bench.peers.{peer}.{script}", *arguments]


def installed(peers: Mapping[str, Callable[[], Way]]) -> list[Way]:
    """The ways of the peers that can be installed; the others are named."""
    found = []
    for name, way in peers.items():
        try:
            found.append(way())
        except RuntimeError as error:
            print(f"goes on without {name}: {error}", flush=True)
    return found


def side_by_side(work: Work, rounds: int) -> list[Line]:
    """Do the work in every way, print a table and keep it in `bench/out/results`.

    Raises:
        RuntimeError: a way failed, or made something else than ours.
    """
    OUT.mkdir(parents=True, exist_ok=True)
    costs: dict[tuple[str, str], list[tuple[Cost, tuple[float, int, int]]]] = {}
    outcomes: dict[str, dict[str, Hashable]] = {}
    for turn in range(rounds):
        for way in work.ways if turn % 2 == 0 else reversed(work.ways):
            for step, taken in _round(work, way, outcomes):
                costs.setdefault((step, way.name), []).append(taken)
            _agree(work, outcomes)
    lines = _lines(work, costs)
    show(work.title, work.base, lines, rounds)
    _keep(work, lines, rounds)
    return lines


def _round(
    work: Work, way: Way, outcomes: dict[str, dict[str, Hashable]]
) -> list[tuple[str, tuple[Cost, tuple[float, int, int]]]]:
    found = []
    with TemporaryDirectory(dir=OUT, prefix="run-") as folder:
        for step, command in way.steps.items():
            if work.prepare is not None:
                work.prepare(way.name, step, Path(folder))
            drop_written_pages()
            before = _size(Path(folder))
            cost = run_command([part.replace(TARGET, folder) for part in command])
            after = _size(Path(folder))
            found.append((step, (cost, (after[0] - before[0], after[1] - before[1], after[2] - before[2]))))
            if work.outcome is not None:
                outcomes.setdefault(step, {})[way.name] = work.outcome(way.name, step, Path(folder))
    return found


def _agree(work: Work, outcomes: Mapping[str, Mapping[str, Hashable]]) -> None:
    for step, by_way in outcomes.items():
        if len(set(by_way.values())) > 1:
            raise RuntimeError(f"{work.name}, {step}: not all ways made the same: {dict(by_way)}")


def _size(folder: Path) -> tuple[float, int, int]:
    """MiB, data files and log entries below a folder, without what is only handed in."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    commits = [path for path in files if path.parent.name == "_delta_log" and path.suffix == ".json"]
    data = [path for path in files if path.suffix in (".parquet", ".duckdb") and path.parent.name != "_delta_log"]
    return sum(path.stat().st_size for path in files) / 2**20, len(data), len(commits)


def _lines(work: Work, costs: Mapping[tuple[str, str], list[tuple[Cost, tuple[float, int, int]]]]) -> list[Line]:
    middle = statistics.median
    times = {
        key: [cost.wall_seconds if work.whole else cost.seconds for cost, _ in taken] for key, taken in costs.items()
    }
    return [
        Line(
            step,
            way,
            middle(times[step, way]),
            min(times[step, way]),
            max(times[step, way]),
            _times_as_long(times[step, way], times[work.base_step or step, work.base]),
            middle(cost.cpu_seconds for cost, _ in taken),
            middle(cost.peak_mib for cost, _ in taken),
            *(middle(size[n] for _, size in taken) for n in range(3)),
            times[step, way],
        )
        for (step, way), taken in costs.items()
    ]


def _times_as_long(these: Sequence[float], others: Sequence[float]) -> float:
    """The ratio of each round, in the middle."""
    return statistics.median(one / other for one, other in zip(these, others, strict=True))


def growth(lines: Sequence[Line], few: str, many: str) -> None:
    """Print how time and peak memory of each way grow from one step to another."""
    print(f"\n{'many against few':<48}{'x seconds':>12}{'x cpu s':>12}{'x peak':>12}")
    for first in (line for line in lines if line.step == few):
        for last in (line for line in lines if (line.step, line.way) == (many, first.way)):
            seconds, cpu = _times_as_long(last.rounds, first.rounds), last.cpu_seconds / first.cpu_seconds
            name = f"{first.way}: {many} against {few}"
            print(f"{name:<48}{seconds:>12.2f}{cpu:>12.2f}{last.peak_mib / first.peak_mib:>12.2f}")


def show(title: str, base: str, lines: Sequence[Line], rounds: int) -> None:
    """Print a table of what the ways took."""
    print(f"\n{title}; {rounds} rounds, ratios to {base}")
    names = ("seconds", "least", "most", "ratio", "cpu s", "peak MiB", "written MiB", "files", "commits")
    print(f"{'step':<16}{'way':<26}" + "".join(f"{name:>12}" for name in names))
    for line in lines:
        floats = (line.seconds, line.least, line.most, line.ratio, line.cpu_seconds)
        sizes = (line.peak_mib, line.written_mib, line.files, line.commits)
        figures = "".join(f"{value:>12.2f}" for value in floats) + "".join(f"{value:>12,.0f}" for value in sizes)
        print(f"{line.step:<16}{line.way:<26}{figures}")


def _keep(work: Work, lines: Sequence[Line], rounds: int) -> None:
    RESULTS.mkdir(parents=True, exist_ok=True)
    libraries = ("polars", "deltalake", "duckdb", "pandera", "dagster")
    kept = {
        "name": work.name,
        "title": work.title,
        "base": work.base,
        "rounds": rounds,
        "day": str(datetime.now(UTC).date()),
        "machine": f"{psutil.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GiB, {platform.system()}",
        "versions": {name: version(name) for name in libraries} | {"python": platform.python_version()},
        "lines": [asdict(line) for line in lines],
    }
    (RESULTS / f"{work.name}.json").write_text(json.dumps(kept, indent=1))
