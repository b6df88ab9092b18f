"""Law 2 under fire: kills a process at any failpoint or moment, runs again, and compares.

A seed decides what is delivered, how far the lake has come, and where each kind of change is
killed: once, or again during healing.
"""

import json
import shutil
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random

from campaign import children, state, steps
from campaign.stories import Stories, Story
from campaign.tally import Tally

_STORIES = 10
_AT_ONCE = 2


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

    def __post_init__(self) -> None:
        self._stories = Stories(self.folder, self.tally, self.stories, self.files)

    def run(self, cases: Iterable[tuple[int, str]]) -> None:
        """Attacks ways, each with a seed."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(lambda case: self._attack(*case), cases))

    def _attack(self, seed: int, way: str) -> None:
        story, random = self._stories.of(seed, way), Random(f"kill {seed} {way}")
        world = Path(shutil.copytree(story.folder, self.folder / f"{way}-{seed}"))
        killed = [self._kill(world, story, way, random)]
        if random.random() < 0.3:
            killed.append(self._kill_again(world, story, random))
        if wrong := _wrong(world, story):
            again = f"make campaign ONLY=kill SEED={seed} SEEDS=1 WAY={way}"
            self.tally.finding(
                f"{way}, seed {seed}, killed {', then '.join(killed)}: {'; '.join(wrong)}", again
            )
        else:
            shutil.rmtree(world)

    def _kill(self, world: Path, story: Story, way: str, random: Random) -> str:
        """Starts a way and kills it at a failpoint or after a moment; returns where."""
        if story.trail and random.random() < 0.7:
            number = random.randint(1, len(story.trail))
            ended = children.run(world, steps.attack, way, kill_at=f"#{number}")
            self._count(ended, world, way, f"at {story.trail[number - 1].split(' of ')[0]}")
            return f"at {story.trail[number - 1]} ({way}, point {number})"
        moment = random.random() * story.seconds
        self._count(
            children.run(world, steps.attack, way, kill_after=moment), world, way, "at some moment"
        )
        return f"after {moment:.3f} s of {way}"

    def _kill_again(self, world: Path, story: Story, random: Random) -> str:
        """Kills the healing run as well; its failpoints depend on where the first kill was."""
        number = random.randint(1, max(8, len(story.trail)))
        self._count(
            children.run(world, steps.heal, kill_at=f"#{number}"),
            world,
            "healing",
            "again, at some point",
        )
        return f"at point {number} of healing"

    def _count(self, ended: children.Ended, world: Path, way: str, where: str) -> None:
        is_killed = ended.code == children.KILLED
        self.tally.tried[
            f"{way} killed {where}" if is_killed else f"{way} came to its end before it was killed"
        ] += 1
        if ended.is_hung or ended.code not in (0, children.KILLED):
            self.tally.finding(
                f"{way} {where}: ended with {ended.code}, {ended.errors[-1500:]}", f"see {world}"
            )


def settle(folder: Path, records: Mapping[str, int | None]) -> None:
    """In a child: does one healing run, and describes the lake after it."""
    steps.heal(folder)
    state.describe(folder, records)


def _wrong(world: Path, story: Story) -> list[str]:
    """Returns what differs from an undisturbed lake after a healing run."""
    ended = children.run(world, settle, story.records)
    if ended.code:
        return [f"healing, or looking at the lake, ended with {ended.code}: {ended.errors[-1500:]}"]
    found = json.loads((world / "state.json").read_text())
    return [*found["problems"], *state.find_differences(story.content, found["content"])]
