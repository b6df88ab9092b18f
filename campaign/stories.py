"""The worlds that are attacked: a lake just before a change, and its undisturbed outcome.

Each is built once and copied for every attack. Its number decides what is delivered, and how far
the lake has come.
"""

import json
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from campaign import children, shop, state, steps
from campaign.tally import Tally


@dataclass(frozen=True)
class Story:
    """A world before an attack, and its end state if nothing disturbs it.

    Attributes:
        folder: the world, just before the step that is attacked.
        records: the records of its deliveries.
        content: what its tables hold in the end.
        trail: the failpoints that the step passes.
        seconds: how long the step takes.
    """

    folder: Path
    records: dict[str, int | None]
    content: dict[str, str]
    trail: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass
class Stories:
    """The worlds of a part of the campaign; safe for several threads.

    Attributes:
        folder: where they are made.
        tally: what is wrong with an undisturbed world.
        count: how many different ones there are.
        files: how many files are delivered in each.
    """

    folder: Path
    tally: Tally
    count: int
    files: int
    _known: dict[tuple[int, object], Story] = field(default_factory=dict)
    _locks: dict[tuple[int, object], threading.Lock] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, seed: int, way: str) -> Story:
        """Returns the world in which a seed attacks a way; built once."""
        number = seed % self.count
        return self._once((number, way), lambda: self._try_way(way, number))

    def _once(self, name: tuple[int, object], make: Callable[[], Story]) -> Story:
        with self._lock:
            lock = self._locks.setdefault(name, threading.Lock())
        with lock:
            if name not in self._known:
                self._known[name] = make()
            return self._known[name]

    def _build_world(self, number: int) -> Story:
        """Returns a world with all deliveries, the first in its tables, and its healed state."""
        folder = self.folder / f"story-{number}"
        delivered = shop.create_deliveries(str(number), self.files)
        first = delivered[: number % (self.files - 2)]
        for one in first:
            one.put(folder)
        must(children.run(folder, steps.heal))
        for one in delivered[len(first) :]:
            one.put(folder)
        other = Path(shutil.copytree(folder, self.folder / f"undisturbed-{number}"))
        must(children.run(other, steps.heal))
        contents = {one.name: one.content for one in delivered}
        records = state.key_by_digest(
            (contents[name], count) for name, count in shop.count_records(delivered)
        )
        must(children.run(other, state.describe, records))
        found = json.loads((other / "state.json").read_text())
        if found["problems"]:
            self.tally.finding(
                f"story {number}, undisturbed: {'; '.join(found['problems'])}", f"see {other}"
            )
        return Story(folder, records, found["content"])

    def _lead_to(self, way: str, number: int, taken: int) -> Story:
        """Returns the world after some steps towards a way; ways with equal steps share it."""
        if not taken:
            return self._once((number, ()), lambda: self._build_world(number))
        before = self._lead_to(way, number, taken - 1)

        def make() -> Story:
            folder = Path(
                shutil.copytree(before.folder, self.folder / f"story-{number}-{way}-{taken}")
            )
            must(children.run(folder, steps.prepare, way, taken - 1))
            return replace(before, folder=folder)

        return self._once((number, steps.WAYS[way][0][:taken]), make)

    def _try_way(self, way: str, number: int) -> Story:
        """Returns the world just before a way, with the failpoints of the undisturbed way."""
        before = self._lead_to(way, number, len(steps.WAYS[way][0]))
        other = Path(shutil.copytree(before.folder, self.folder / f"tried-{number}-{way}"))
        attacked = must(children.run(other, steps.attack, way, kill_at="#0"))
        trail = tuple(json.loads((other / "trail.json").read_text()))
        shutil.rmtree(other)
        return replace(before, trail=trail, seconds=attacked.seconds)


def must(ended: children.Ended) -> children.Ended:
    """Returns how an undisturbed step ended; fails the campaign if it failed."""
    if ended.code:
        raise RuntimeError(f"an undisturbed step ended with {ended.code}: {ended.errors}")
    return ended
