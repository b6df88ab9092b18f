"""Does the same work in several ways in turn, each in its own processes, and checks the results."""

import statistics
import sys
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from operator import attrgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from bench.figures import Line, Pair, keep, show
from bench.measure import ROOT, Cost, flush_written_pages, run_command
from bench.venvs import python_of, versions_of_peers

OUT = ROOT / "bench" / "out"
TARGET = "{target}"
"""Stands for the folder of a run in the commands of a way."""

T = TypeVar("T")


@dataclass(frozen=True)
class Way:
    """One way to do the work.

    Attributes:
        name: what it is called in tables and plots.
        steps: a command for each step of the work, by the name of the step; all steps share
            one folder.
    """

    name: str
    steps: Mapping[str, Sequence[str]]


Run = tuple[str, str]
"""A step and the way in which it is done."""


@dataclass(frozen=True)
class Work:
    """The work that each way does.

    Attributes:
        name: the name of the bench, in lower case.
        title: what is done to what, in one line.
        ways: the ways; the first is ours.
        base: the name of the way to which the others are compared.
        outcome: reads what a way has made in its folder after a step; all ways must make the
            same. None: it is not checked.
        prepare: prepares a way's folder before a step; not measured.
        whole: whether the seconds of the whole process count, imports included.
        base_step: the step of the base to which all steps are compared; None compares each to the
            same step.
        pairs: further runs to compare, the first of each pair to the second.
        is_apart: whether the steps are independent, so that each may take the first turn.
    """

    name: str
    title: str
    ways: Sequence[Way]
    base: str
    outcome: Callable[[str, str, Path], Hashable] | None = None
    prepare: Callable[[str, str, Path], None] | None = None
    whole: bool = False
    base_step: str | None = None
    pairs: Sequence[tuple[Run, Run]] = ()
    is_apart: bool = False


@dataclass(frozen=True)
class Taken:
    """The cost of one run of a step, and the data files and log entries that it added."""

    cost: Cost
    seconds: float
    files: int
    commits: int


def module(name: str, *arguments: str) -> list[str]:
    """Returns the command that runs a module of this project."""
    return [sys.executable, "-W", "ignore", "-m", name, *arguments]


def peer_module(peer: str, script: str, *arguments: str) -> list[str]:
    """Returns the command that runs a script of a peer in the peer's environment.

    Raises:
        RuntimeError: it cannot be installed.
    """
    return [str(python_of(peer)), "-W", "ignore", "-m", f"bench.peers.{peer}.{script}", *arguments]


def list_installable(peers: Mapping[str, Callable[[], Way]]) -> list[Way]:
    """Returns the ways of the peers that can be installed; prints the names of the others."""
    found = []
    for name, way in peers.items():
        try:
            found.append(way())
        except RuntimeError as error:
            print(f"goes on without {name}: {error}", flush=True)
    return found


def pair_with_first(ways: Sequence[Way]) -> list[tuple[Run, Run]]:
    """Returns the pairs that compare each later step of a way with its first."""
    return [
        ((step, way.name), (next(iter(way.steps)), way.name))
        for way in ways
        for step in list(way.steps)[1:]
    ]


def side_by_side(work: Work, rounds: int) -> list[Line]:
    """Does the work in every way, prints a table and keeps it in `bench/out/results`.

    Raises:
        RuntimeError: a way failed, or its result differs from ours.
    """
    OUT.mkdir(parents=True, exist_ok=True)
    taken: dict[Run, list[Taken]] = {}
    outcomes: dict[str, dict[str, Hashable]] = {}
    for turn in range(rounds):
        for way in _in_turn(work.ways, turn):
            steps = list(way.steps)
            for step, found in _round(
                work, way, _in_turn(steps, turn) if work.is_apart else steps, outcomes
            ):
                taken.setdefault((step, way.name), []).append(found)
            _agree(work, outcomes)
    lines = [_line(work, (step, way.name), taken) for way in work.ways for step in way.steps]
    pairs = [
        _pair(taken, one, other) for one, other in work.pairs if one in taken and other in taken
    ]
    show(work.title, work.base, lines, pairs, rounds)
    _keep(work, lines, pairs, rounds)
    return lines


def _in_turn(things: Sequence[T], turn: int) -> Sequence[T]:
    return things if turn % 2 == 0 else things[::-1]


def _round(
    work: Work, way: Way, steps: Sequence[str], outcomes: dict[str, dict[str, Hashable]]
) -> Iterator[tuple[str, Taken]]:
    with TemporaryDirectory(dir=OUT, prefix="run-") as folder:
        for step in steps:
            if work.prepare is not None:
                work.prepare(way.name, step, Path(folder))
            flush_written_pages()
            before = count_files(Path(folder))
            cost = run_command([part.replace(TARGET, folder) for part in way.steps[step]])
            files, commits = (
                now - then for now, then in zip(count_files(Path(folder)), before, strict=True)
            )
            if work.outcome is not None:
                outcomes.setdefault(step, {})[way.name] = work.outcome(way.name, step, Path(folder))
            yield (
                step,
                Taken(cost, cost.wall_seconds if work.whole else cost.seconds, files, commits),
            )


def _agree(work: Work, outcomes: Mapping[str, Mapping[str, Hashable]]) -> None:
    for step, by_way in outcomes.items():
        if len(set(by_way.values())) > 1:
            raise RuntimeError(f"{work.name}, {step}: not all ways made the same: {dict(by_way)}")


def count_files(folder: Path) -> tuple[int, int]:
    """Counts the data files and log entries below a folder, without the input files."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    commits = [
        path for path in files if path.parent.name == "_delta_log" and path.suffix == ".json"
    ]
    data = [
        path
        for path in files
        if path.suffix in (".parquet", ".duckdb") and path.parent.name != "_delta_log"
    ]
    return len(data), len(commits)


def _line(work: Work, run: Run, taken: Mapping[Run, Sequence[Taken]]) -> Line:
    middle, these = statistics.median, taken[run]
    ratios = _ratios(these, taken[work.base_step or run[0], work.base], "seconds")
    seconds = [one.seconds for one in these]
    return Line(
        *run,
        *(middle(seconds), min(seconds), max(seconds)),
        *(middle(ratios), min(ratios), max(ratios)),
        middle(one.cost.cpu_seconds for one in these),
        middle(one.cost.peak_mib for one in these),
        middle(one.cost.written_mib for one in these),
        round(middle(one.files for one in these)),
        round(middle(one.commits for one in these)),
    )


def _pair(taken: Mapping[Run, Sequence[Taken]], one: Run, other: Run) -> Pair:
    names = ("seconds", "cost.cpu_seconds", "cost.peak_mib")
    seconds, cpu, peak = (_ratios(taken[one], taken[other], name) for name in names)
    middle = statistics.median
    return Pair(
        _name_run(one),
        _name_run(other),
        middle(seconds),
        min(seconds),
        max(seconds),
        middle(cpu),
        middle(peak),
    )


def _name_run(run: Run) -> str:
    """Returns the name of a run as the table shows it."""
    step, way = run
    return f"{way}, {step}"


def _ratios(these: Sequence[Taken], others: Sequence[Taken], figure: str) -> list[float]:
    """Returns the ratio of each round."""
    of = attrgetter(figure)
    return [of(one) / of(other) for one, other in zip(these, others, strict=True)]


def _keep(work: Work, lines: Sequence[Line], pairs: Sequence[Pair], rounds: int) -> None:
    parts = " ".join(
        part for way in work.ways for command in way.steps.values() for part in command
    )
    found = {
        "title": work.title,
        "base": work.base,
        "rounds": rounds,
        "peers": versions_of_peers(parts),
        "lines": [asdict(line) for line in lines],
        "pairs": [asdict(pair) for pair in pairs],
    }
    keep(work.name, found)
