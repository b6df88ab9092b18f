"""Kills processes of Dagster, starts the next one, and sees whether it goes on by itself.

A seed decides the moment. The commands (`demo`, `materialize`) are killed and called again. The
others are processes of a UI with its daemon: a file is delivered, a process is killed while its run
is under way, and the file has to come into the mart all the same.
"""

import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from random import Random

from campaign.projects import LONGEST, Project, kill, wait_until
from campaign.state import find_differences
from campaign.tally import Tally
from samples import generate

COMMANDS = ("demo", "materialize")
SERVICES = ("worker", "daemon", "code server", "everything")
WAYS = (*COMMANDS, *SERVICES)

_DAYS = 20
_STARTS_BY = 180.0
_LANDS_BY = 300.0  # on a machine that is busy; else some ten
_ENDS_BY = 10.0  # three by itself; a machine that is busy takes longer to start the last step
_NAMES = {
    "daemon": ("dagster-daemon", "dagster._daemon"),
    "code server": ("code-server start", "api grpc"),
}
_UNFINISHED = (
    "select run_id, status from runs where status not in ('SUCCESS', 'FAILURE', 'CANCELED')"
)


@dataclass
class Processes:
    """The part of a campaign that kills processes of Dagster.

    Attributes:
        folder: where its projects are made.
        tally: what it tried and found.
        slowest: seconds of the slowest next start, by way.
    """

    folder: Path
    tally: Tally
    slowest: dict[str, float] = field(default_factory=dict)

    @cached_property
    def _empty(self) -> Project:
        """A project with sample files that nobody has landed."""
        project = Project(self.folder / "empty").create()
        generate(project.folder / "landing", days=_DAYS)
        return project

    @cached_property
    def _undisturbed(self) -> tuple[Project, float]:
        """The same after a demonstration that nobody disturbed, and how long that took."""
        project, started = self._empty.copy(self.folder / "undisturbed"), time.monotonic()
        code = project.start("lakehouse", "demo").wait(LONGEST)
        if code:
            raise RuntimeError(project.read_log())
        return project, time.monotonic() - started

    def run(self, ways: Iterable[str], seeds: range) -> None:
        """Attacks each way with each seed."""
        for way in ways:
            if way in COMMANDS:
                for seed in seeds:
                    self._kill_command(way, seed)
            else:
                self._kill_services(way, seeds)

    def _kill_command(self, way: str, seed: int) -> None:
        random, (calm, seconds) = Random(f"processes {way} {seed}"), self._undisturbed
        project = self._empty.copy(self.folder / f"{way}-{seed}")
        turns = random.choice((1, 1, 2))
        for _ in range(turns):
            process = project.start(*_command(way))
            try:
                # The first seconds are imports, before anything could be claimed.
                process.wait(seconds * random.uniform(0.2, 1.0))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                self.tally.tried[f"{way} killed"] += 1
            else:
                self.tally.tried[f"{way} came to its end before it was killed"] += 1
        left = list_unfinished(project)
        said = len(project.read_log())
        code, taken = self._call_next(project)
        self._note(way, taken)
        wrong = (
            [] if code == 0 else [f"the next start ended with {code}: {project.read_log()[-3000:]}"]
        )
        fresh = project.read_log()[said:]
        wrong += [f"run {run} was freed without a word" for run, _ in left if run not in fresh]
        wrong += [f"run {run} is still {status}" for run, status in list_unfinished(project)]
        wrong += find_differences(calm.hash_tables(), project.hash_tables())
        self._judge(way, seed, project, wrong)

    def _call_next(self, project: Project) -> tuple[int, float]:
        started = time.monotonic()
        process = project.start("lakehouse", "demo")
        try:
            return process.wait(LONGEST), time.monotonic() - started
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait(), LONGEST

    def _kill_services(self, way: str, seeds: range) -> None:
        """Kills processes of one UI again and again; what was killed with it is started anew."""
        project = self._undisturbed[0].copy(self.folder / way.replace(" ", "-"))
        ui, wrong = self._start_ui(project), list[str]()
        for seed in seeds:
            random = Random(f"processes {way} {seed}")
            project.deliver(seed)
            wait_until(lambda: bool(project.find_workers()), _LANDS_BY)
            time.sleep(random.uniform(0, 1.5))
            killed = kill(*_choose(project, way), *([ui.pid] if way == "everything" else []))
            started = time.monotonic()
            self.tally.tried[f"{way} killed" if killed else f"{way} had ended"] += 1
            if way in ("daemon", "everything"):
                ui.wait(LONGEST)
                ui = self._start_ui(project)
            landed = wait_until(lambda: project.count_lines(seed) == 9, _LANDS_BY)  # noqa: B023
            if landed is None:
                wrong.append(f"seed {seed}: the file is not in the mart {_LANDS_BY:.0f} s later")
            self._note(way, time.monotonic() - started)
        wait_until(lambda: not list_unfinished(project), 60)
        wrong += [f"run {run} is still {status}" for run, status in list_unfinished(project)]
        wrong += self._end_ui(project, ui)
        calm = self._empty.copy(self.folder / f"calm-{way.replace(' ', '-')}")
        for seed in seeds:
            calm.deliver(seed)
        for one in (calm, project):
            if code := self._call_next(one)[0]:
                wrong.append(
                    f"a demonstration afterwards ended with {code}: {one.read_log()[-3000:]}"
                )
        wrong += find_differences(calm.hash_tables(), project.hash_tables())
        self._judge(way, seeds.start, project, wrong)
        if not wrong:
            shutil.rmtree(calm.folder)

    def _start_ui(self, project: Project) -> "subprocess.Popen[bytes]":
        """Starts the UI and waits until its sensors look."""
        said = len(project.read_log())
        ui = project.start_ui()
        if wait_until(lambda: "sensor" in project.read_log()[said:], _STARTS_BY) is None:
            raise RuntimeError(f"the UI does not start: {project.read_log()[said:]}")
        return ui

    def _end_ui(self, project: Project, ui: "subprocess.Popen[bytes]") -> list[str]:
        """Ends the UI as Ctrl-C does; returns what is wrong with its end."""
        ui.send_signal(signal.SIGINT)
        taken = wait_until(lambda: ui.poll() is not None, 60)
        self._note("end of the UI", taken or 60.0)
        wrong = [] if taken and taken <= _ENDS_BY else [f"the UI ended after {taken} s"]
        if left := project.find_processes():
            wrong.append(f"the processes {left} outlived the UI")
            kill(*left)
        return wrong

    def _note(self, what: str, seconds: float) -> None:
        self.slowest[what] = max(self.slowest.get(what, 0.0), seconds)

    def _judge(self, way: str, seed: int, project: Project, wrong: list[str]) -> None:
        if wrong:
            again = f"make campaign ONLY=processes SEED={seed} SEEDS=1 WAY='{way}'"
            self.tally.finding(f"{way}, seed {seed}: {'; '.join(wrong)} ({project.folder})", again)
        else:
            shutil.rmtree(project.folder)


def list_unfinished(project: Project) -> list[tuple[str, str]]:
    """Returns the runs that have not ended in Dagster's eyes, each with its status."""
    file = project.folder / "dagster" / "history" / "runs.db"
    if not file.exists():
        return []
    with sqlite3.connect(file, timeout=30) as connection:
        try:
            return list(connection.execute(_UNFINISHED))
        except sqlite3.OperationalError:
            return []  # killed before the table was made


def _command(way: str) -> tuple[str, ...]:
    if way == "demo":
        return ("lakehouse", "demo")
    raw = "raw/invoice_lines,raw/fx_rates"
    return ("dagster", "asset", "materialize", "-m", "lakehouse.definitions", "--select", raw)


def _choose(project: Project, way: str) -> list[int]:
    """Returns the processes to kill."""
    if way == "worker":
        return project.find_workers()
    if way == "daemon":  # and its run with it, as when a container ends
        return [*project.find_processes(*_NAMES[way]), *project.find_workers()]
    return project.find_processes(*_NAMES.get(way, ()))
