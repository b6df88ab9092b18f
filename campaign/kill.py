"""Law 2 under fire: kill a process while a lake changes, at any fault point or moment; run again; compare.

A seed decides what is delivered, how far the lake had come, and where each way of changing it is killed: once, or again
while it heals.
"""

import json
import shutil
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from campaign import children, shop, state, steps
from campaign.tally import Tally

_STORIES = 10
_AT_ONCE = 2


@dataclass(frozen=True)
class Story:
    """A world before an attack, and what it ends in when nobody kills anything.

    Attributes:
        folder: the world, just before the step that is attacked.
        records: the records of its deliveries.
        content: what its tables hold in the end.
        trail: the fault points that the step reaches.
        seconds: how long the step takes.
    """

    folder: Path
    records: dict[str, int | None]
    content: dict[str, str]
    trail: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass
class Kills:
    """The part of a campaign that kills.

    Attributes:
        folder: where its worlds are made.
        tally: what it tried and found.
        stories: how many different worlds there are.
        files: how many files are delivered in each.
    """

    folder: Path
    tally: Tally
    stories: int = _STORIES
    files: int = 7
    _known: dict[tuple[int, str], Story] = field(default_factory=dict)
    _locks: dict[tuple[int, str], threading.Lock] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, cases: Iterable[tuple[int, str]]) -> None:
        """Attack ways, each with a seed."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(lambda case: self._attack(*case), cases))

    def _attack(self, seed: int, way: str) -> None:
        story, random = self._story(seed % self.stories, way), Random(f"kill {seed} {way}")
        world = Path(shutil.copytree(story.folder, self.folder / f"{way}-{seed}"))
        killed = [self._kill(world, story, way, random)]
        if random.random() < 0.3:
            killed.append(self._kill(world, story, "healing", random))
        healed = children.run(world, steps.heal)
        wrong = [f"healing ended with {healed.code}: {healed.said[-1500:]}"] if healed.code else _wrong(world, story)
        if wrong:
            again = f"make campaign ONLY=kill SEED={seed} SEEDS=1 WAY={way}"
            self.tally.finding(f"{way}, seed {seed}, killed {', then '.join(killed)}: {'; '.join(wrong)}", again)
        else:
            shutil.rmtree(world)

    def _kill(self, world: Path, story: Story, way: str, random: Random) -> str:
        """Start a way and kill it: at a fault point, or after a moment; says where."""
        if story.trail and random.random() < 0.7:
            number = random.randint(1, len(story.trail))
            ended = children.run(world, steps.attack, way, kill_at=f"#{number}")
            where = f"at {story.trail[number - 1]} ({way}, point {number})"
            what = f"{way} killed at {story.trail[number - 1].split(' of ')[0]}"
        else:
            moment = random.random() * story.seconds
            ended = children.run(world, steps.attack, way, kill_after=moment)
            where, what = f"after {moment:.3f} s of {way}", f"{way} killed at some moment"
        self.tally.tried[what if ended.code == children.KILLED else f"{way} came to its end before it was killed"] += 1
        if ended.is_hung or ended.code not in (0, children.KILLED):
            self.tally.finding(f"{way} {where}: ended with {ended.code}, {ended.said[-1500:]}", f"see {world}")
        return where

    def _story(self, number: int, way: str) -> Story:
        """A world before a way is attacked; made once."""
        end = self._once((number, ""), lambda: self._told(number))
        return self._once((number, way), lambda: self._led_to(way, number, end))

    def _once(self, name: tuple[int, str], make: Callable[[], Story]) -> Story:
        with self._lock:
            lock = self._locks.setdefault(name, threading.Lock())
        with lock:
            if name not in self._known:
                self._known[name] = make()
            return self._known[name]

    def _told(self, number: int) -> Story:
        """A world with all its deliveries, the first of them in its tables; and what one healing run makes of it."""
        folder = self.folder / f"story-{number}"
        delivered = shop.deliveries(str(number), self.files)
        first = delivered[: number % (self.files - 2)]
        for one in first:
            one.put(folder)
        _must(children.run(folder, steps.heal))
        for one in delivered[len(first) :]:
            one.put(folder)
        other = Path(shutil.copytree(folder, self.folder / f"undisturbed-{number}"))
        _must(children.run(other, steps.heal))
        contents = {one.name: one.content for one in delivered}
        records = state.by_digest((contents[name], count) for name, count in shop.records(delivered))
        _must(children.run(other, state.describe, records))
        found = json.loads((other / "state.json").read_text())
        if found["problems"]:
            self.tally.finding(f"story {number}, undisturbed: {'; '.join(found['problems'])}", f"see {other}")
        return Story(folder, records, found["content"])

    def _led_to(self, way: str, number: int, end: Story) -> Story:
        """The same world, just before a way; and what the way comes by when nobody kills it."""
        folder = Path(shutil.copytree(end.folder, self.folder / f"story-{number}-{way}"))
        _must(children.run(folder, steps.prepare, way))
        other = Path(shutil.copytree(folder, self.folder / f"tried-{number}-{way}"))
        attacked = _must(children.run(other, steps.attack, way, kill_at="#0"))
        trail = tuple(json.loads((other / "trail.json").read_text()))
        shutil.rmtree(other)
        return Story(folder, end.records, end.content, trail, attacked.seconds)


def _must(ended: children.Ended) -> children.Ended:
    if ended.code:
        raise RuntimeError(f"an undisturbed step ended with {ended.code}: {ended.said}")
    return ended


def _wrong(world: Path, story: Story) -> list[str]:
    """What is not as if nothing had happened."""
    ended = children.run(world, state.describe, story.records)
    if ended.code:
        return [f"looking at the lake ended with {ended.code}: {ended.said[-1500:]}"]
    found = json.loads((world / "state.json").read_text())
    return [*found["problems"], *state.differences(story.content, found["content"])]
