"""The laws on S3 while requests fail: a proxy disturbs a run; then it runs again and compares.

A seed decides how the lake changes, in which world, and which requests meet which fault.
"""

import json
import shutil
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random

import polars as pl

from campaign import buckets, children, shop, state, steps
from campaign.proxy import (
    AFTER,
    BEFORE,
    Plan,
    Proxy,
    plan_fault_of_commit,
    plan_fault_of_request,
    plan_no_fault,
    plan_outage,
    plan_random_faults,
    run_proxy,
)
from campaign.stories import Stories, Story, must
from campaign.tally import Tally
from lakehouse.errors import LakehouseError

WAYS = tuple(way for way in steps.WAYS if way not in ("compaction", "sensors"))
"""The ways that need no folder of this machine beside the lake."""

_STORIES = 3
_AT_ONCE = 2
_SILENCE = 1.5
_PATIENCE = "1s"
_numbers = count()


@dataclass(frozen=True)
class RequestCounts:
    """How far an undisturbed run goes.

    Attributes:
        requests: how many it sends.
        commits: how many of them are commits.
    """

    requests: int
    commits: int


def plan_faults(seed: int, way: str, reach: RequestCounts) -> tuple[str, Plan]:
    """Returns the faults of a seed, in words and as a plan."""
    dice = Random(f"s3 {seed} {way}")
    kind = dice.choice(("commit", "request", "share", "outage"))
    if kind == "commit":
        turn, fault = dice.randrange(reach.commits), dice.choice(AFTER)
        return f"commit {turn}: {fault}", plan_fault_of_commit(turn, fault)
    if kind == "request":
        turn, fault = dice.randrange(reach.requests), dice.choice(BEFORE + AFTER)
        return f"request {turn}: {fault}", plan_fault_of_request(turn, fault)
    if kind == "share":
        share = dice.choice((0.02, 0.1))
        return f"{share:.0%} of all requests", plan_random_faults(seed, share)
    after, fault = dice.randrange(reach.requests), dice.choice(("500", "reset", "lost"))
    return f"from request {after} on: {fault}", plan_outage(after, fault)


@dataclass
class Trials:
    """The part of a campaign in which a store fails.

    Attributes:
        folder: where its worlds are made.
        tally: what it tried and found.
        server: the URL of an S3 API server.
        stories: how many different worlds there are.
        files: how many files are delivered in each.
    """

    folder: Path
    tally: Tally
    server: str
    stories: int = _STORIES
    files: int = 5
    _reaches: dict[tuple[Path, str], RequestCounts] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._stories = Stories(self.folder, self.tally, self.stories, self.files)

    def run(self, seeds: Iterable[int], ways: tuple[str, ...] = WAYS) -> None:
        """Makes a trial for each seed, with the ways in turn."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(lambda seed: self._try(seed, ways[seed % len(ways)]), seeds))

    def _try(self, seed: int, way: str) -> None:
        """Does a disturbed run, then an undisturbed one, and checks what must hold after it."""
        story = self._stories.of(
            seed // len(WAYS), way
        )  # seeds that follow each other differ in their ways first
        words, plan = plan_faults(seed, way, self._reach(story, way))
        world, bucket = self.folder / f"{way}-{seed}", self._bucket(story)
        ended, proxy = self._disturb(world, bucket, way, plan)
        wrong = _find_break(ended, "the disturbed run") or self._wrong(world, bucket, story)
        self._count(way, proxy, (world / "failed.txt").exists())
        if wrong:
            buckets.download(self.server, bucket, world / "bucket")
            again = f"make campaign ONLY=s3 SEED={seed} SEEDS=1 WAY={way}"
            self.tally.finding(
                f"{way}, seed {seed}, {words}: {'; '.join(wrong)} (kept in {world})", again
            )
        else:
            shutil.rmtree(world)
        buckets.empty_bucket(self.server, bucket)

    def _disturb(
        self, world: Path, bucket: str, way: str, plan: Plan
    ) -> tuple[children.Ended, Proxy]:
        """Takes the step of a way; the proxy runs here, as a child may block its own threads."""
        with run_proxy(self.server) as proxy:
            proxy.silence, proxy.plan = _SILENCE, plan
            return children.run(world, attack, proxy.url, bucket, way), proxy

    def _reach(self, story: Story, way: str) -> RequestCounts:
        """Counts the requests of a way when nothing fails."""
        with self._lock:
            if (story.folder, way) not in self._reaches:
                world, bucket = (
                    story.folder.with_name(f"{story.folder.name}-{way}-sound"),
                    self._bucket(story),
                )
                ended, proxy = self._disturb(world, bucket, way, plan_no_fault)
                must(ended)
                self._reaches[story.folder, way] = RequestCounts(
                    max(1, proxy.seen.total()), max(1, proxy.seen["PUT log"])
                )
                buckets.empty_bucket(self.server, bucket)
            return self._reaches[story.folder, way]

    def _bucket(self, story: Story) -> str:
        """Fills a bucket with the world of a story, without landed files, which would look new."""
        bucket = buckets.make_bucket(self.server, f"campaign-{next(_numbers)}")
        landed = _list_landed(story.folder)
        found = {name: story.folder / name for name in ("lake", "landing")}
        for name, folder in found.items():
            files = [
                path
                for path in sorted(folder.rglob("*"))
                if path.is_file() and path.name not in landed
            ]
            buckets.upload(self.server, bucket, name, folder, files)
        return bucket

    def _wrong(self, world: Path, bucket: str, story: Story) -> list[str]:
        """Returns what differs from an undisturbed lake after an undisturbed run."""
        with run_proxy(
            self.server
        ) as proxy:  # it keeps connections open, which moto's server does not
            ended = children.run(world, settle, proxy.url, bucket, story.records)
        if broken := _find_break(ended, "the run after it"):
            return broken
        found = json.loads((world / "state.json").read_text())
        return [*found["problems"], *state.find_differences(story.content, found["content"])]

    def _count(self, way: str, proxy: Proxy, is_failed: bool) -> None:  # noqa: FBT001
        met = proxy.met.total()
        self.tally.tried[
            f"{way}: "
            f"{'no request' if not met else 'a request' if met == 1 else 'requests'} met a fault"
        ] += 1
        for fault, times in proxy.met.items():
            self.tally.tried[f"requests that met: {fault}"] += times
        self.tally.tried[
            "disturbed runs that " + ("ended with an error" if is_failed else "went through")
        ] += 1


def attack(folder: Path, url: str, bucket: str, way: str) -> None:
    """In a child: takes the step of a way; writes its error, which must name the next step."""
    here = buckets.open_environment(url, bucket, shop.build_catalog(), timeout=_PATIENCE)
    try:
        steps.WAYS[way][1](here)
    except LakehouseError as error:
        if "Next: " not in str(error):
            raise
        (folder / "failed.txt").write_text(str(error))


def settle(folder: Path, server: str, bucket: str, records: dict[str, int | None]) -> None:
    """In a child: does one healing run without a fault, and describes the bucket after it."""
    here = buckets.open_environment(server, bucket, shop.build_catalog())
    steps.bring_up_to_date(here)
    state.write_state(folder, here, records)


def _list_landed(folder: Path) -> set[str]:
    here = shop.open_shop(folder)
    if here.lake.open("quarantine/deliveries") is None:
        return set()
    sources = (
        here.lake.scan("quarantine/deliveries").select(pl.col("_source")).collect().to_series()
    )
    return {source.rpartition("#")[0] for source in sources}


def _find_break(ended: children.Ended, what: str) -> list[str]:
    if ended.is_hung:
        return [f"{what} hung"]
    return [f"{what} ended with {ended.code}: {ended.errors[-1500:]}"] if ended.code else []
