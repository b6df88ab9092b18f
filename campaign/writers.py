"""Many writers at once: appends, replacements, compaction, vacuum, and writers that are killed.

At the end everything stops and one healing run follows. The lake must then hold what one writer
alone makes of the same files. Backfills of disjoint days also run at the same time, and none may
give up.
"""

import json
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random

from campaign import children, shop, state, steps
from campaign.tally import Tally

_RETENTION = {"delta.deletedFileRetentionDuration": "interval 2 minutes"}
_FILES = 400
_BACKFILLERS = 4


def stock(folder: Path) -> None:
    """In a child: makes every table; vacuum may delete what was removed two minutes ago."""
    here = shop.open_shop(folder)
    steps.bring_up_to_date(here)
    for table in here.lake.tables():
        handle = here.lake.open(table)
        assert handle is not None
        handle.alter.set_table_properties(_RETENTION)


def work(folder: Path, name: str, until: float) -> None:
    """In a child: changes the lake in one way after another, and notes each outcome."""
    here, random = shop.open_shop(folder), Random(f"writer {name}")
    waiting = iter(_list_deliveries(name))
    with (folder / f"did-{name}.jsonl").open("a", buffering=1) as notes:
        while time.time() < until:
            what, outcome = random.choice(list(steps.ACTIONS)), "done"
            if what == "append":
                next(waiting).put(folder)
            outcome = steps.try_action(lambda: steps.ACTIONS[what](here, random))  # noqa: B023
            notes.write(json.dumps([what, outcome]) + "\n")


def backfill(folder: Path, name: str, part: int, until: float) -> None:
    """In a child: makes the same days repeatedly; no other process makes them."""
    here, (days, *_) = (
        shop.open_shop(folder),
        list(steps.iterate_spans(shop.DAYS // _BACKFILLERS))[part:],
    )
    with (folder / f"did-{name}.jsonl").open("a", buffering=1) as notes:
        while time.time() < until:
            outcome = steps.try_action(lambda: steps.make_days(here, "staged/sales", days))
            notes.write(json.dumps(["backfill", outcome]) + "\n")


@dataclass
class Writers:
    """The part of a campaign in which many write.

    Attributes:
        folder: where its world is made.
        tally: what it tried and found.
        seed: decides what is delivered, done and killed.
        seconds: how long they write.
        processes: how many at once.
    """

    folder: Path
    tally: Tally
    seed: int
    seconds: float
    processes: int = 8

    def run(self) -> None:
        """Runs backfills of disjoint days, then all writers, then heals and compares."""
        world = self.folder / "writers"
        first = f"{self.seed}-0"
        for one in _list_deliveries(first):
            one.put(world)
        self._must(children.run(world, stock), world)
        self._backfill(world)
        names = self._write(world, Random(f"writers {self.seed}"))
        for what, count in _count_outcomes(world).items():
            self.tally.tried[what] += count
            if what == "backfill: busy":
                self._find(f"{count} backfills of disjoint days gave up", world)
        self._must(children.run(world, steps.heal), world)
        self._compare(world, [first, *names])

    def _backfill(self, world: Path) -> None:
        until = time.time() + self.seconds / 6
        started = [
            children.start(world, backfill, f"days{n}", n, until) for n in range(_BACKFILLERS)
        ]
        for process in started:
            process.join(self.seconds + 300)
            if process.exitcode:
                self._find(
                    f"a backfill of days that nobody else makes ended with {process.exitcode}",
                    world,
                )

    def _write(self, world: Path, random: Random) -> list[str]:
        """Keeps a number of writers at work and kills one at times; returns the names of all."""
        until = time.time() + self.seconds
        names = [f"{self.seed}-{n + 1}" for n in range(self.processes)]
        running = [children.start(world, work, name, until) for name in names]
        while time.time() < until:
            time.sleep(random.random() * 2)
            place = random.randrange(self.processes)
            self._end(running[place], world, is_kill=True)
            names.append(f"{self.seed}-{len(names) + 1}")
            running[place] = children.start(world, work, names[-1], until)
        for process in running:
            process.join(300)
            self._end(process, world, is_kill=False)
        return names

    def _end(self, process: BaseProcess, world: Path, *, is_kill: bool) -> None:
        if process.is_alive():
            process.kill()
            if is_kill:
                self.tally.tried["writer killed"] += 1
            else:
                self._find("a writer did not come to its end in five minutes", world)
        process.join()
        if process.exitcode not in (0, children.KILLED):
            self._find(
                f"a writer ended with {process.exitcode}: {children.read_output(world)[-3000:]}",
                world,
            )

    def _compare(self, world: Path, names: list[str]) -> None:
        """Compares with one writer alone on the same files."""
        alone = self.folder / "alone"
        shutil.copytree(world / "landing", alone / "landing")
        self._must(children.run(alone, steps.heal), alone)
        landed = {path.name for path in (world / "landing" / "sales").iterdir()}
        delivered = [one for name in names for one in _list_deliveries(name) if one.name in landed]
        self.tally.tried["files delivered"] += len(delivered)
        contents = {one.name: one.content for one in delivered}
        records = state.key_by_digest(
            (contents[name], count) for name, count in shop.count_records(delivered)
        )
        found = [self._describe(one, records) for one in (world, alone)]
        # A single writer lands all files in order, so it may never see what others see settled.
        wanted, stands = (state.select_unsettled(one["content"]) for one in reversed(found))
        for problem in (*found[0]["problems"], *state.find_differences(wanted, stands)):
            self._find(problem, world)

    def _describe(self, world: Path, records: dict[str, int | None]) -> dict[str, dict[str, str]]:
        self._must(children.run(world, state.describe, records), world)
        found: dict[str, dict[str, str]] = json.loads((world / "state.json").read_text())
        return found

    def _must(self, ended: children.Ended, world: Path) -> None:
        if ended.code:
            self._find(f"an undisturbed step ended with {ended.code}: {ended.errors}", world)

    def _find(self, what: str, world: Path) -> None:
        minutes = self.seconds / 60
        self.tally.finding(
            f"{what} (kept in {world})",
            f"make campaign ONLY=writers SEED={self.seed} MINUTES={minutes:g}",
        )


def _list_deliveries(name: str) -> list[shop.Delivery]:
    """Returns what a writer delivers; the first writer fills the lake."""
    return (
        shop.create_deliveries(name, 12)
        if name.endswith("-0")
        else shop.create_deliveries(name, _FILES, lines=10)
    )


def _count_outcomes(world: Path) -> Counter[str]:
    return Counter(
        f"{what}: {outcome}" for path in world.glob("did-*.jsonl") for what, outcome in _notes(path)
    )


def _notes(path: Path) -> Iterator[tuple[str, str]]:
    """Yields what a writer noted, without a line that a kill cut off."""
    for line in path.read_text().splitlines(keepends=True):
        if line.endswith("\n"):
            what, outcome = json.loads(line)
            yield what, outcome
