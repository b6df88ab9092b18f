"""`make bench`: one new file, from landing into ten years of daily partitions, after few and after many commits.

Both lakes hold the same 3,650 days; one has got there by ten deliveries, the other by thousands. What is timed is what
the sensors and their runs do: find the file, land it, find the stale day, make that day. The third way is the same
without the cursor of a sensor, as after the loss of Dagster's storage: every log entry is read.
"""

import argparse
import json
import time
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import decade
from bench.decade import DAYS, FIRST
from bench.measure import drop_written_pages, medians, run
from lakehouse.catalog import collect
from lakehouse.environment import Environment
from lakehouse.lake import Lake
from lakehouse.land import land
from lakehouse.make import make
from lakehouse.sources.landing import Landing

OUT = Path(__file__).parent / "out"
_ROWS_A_DAY = 24


def here(home: Path) -> Environment:
    """A lake and its landing zone in a folder."""
    landing = Landing(str(home / "landing"), rest_seconds=0)
    return Environment(Lake(str(home / "lake")), landing, collect([decade]))


def deliver(home: Path, number: int, days: range) -> None:
    """A file of readings, a day after another; each has a power of its own, so that no two files are the same."""
    lines = (
        f"{hour},{number}.5,{FIRST + timedelta(days=day)} {hour:02}:00:00"
        for day in days
        for hour in range(_ROWS_A_DAY)
    )
    folder = home / "landing" / "readings"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{number:06}.csv").write_text("\n".join(["meter,power,read_at", *lines]) + "\n")


def bring(at: Environment, since: dict[str, int] | None = None) -> int:
    """Land what is there and make what is stale; gives how many days were made."""
    made = 0
    assert land(at.lake, at.landing, decade.raw_readings).audits
    for stale in at.planner(since).stale():
        for span in stale.spans:
            make(at.lake, at.catalog, stale.table, span)
        made += len(stale.keys)
    return made


def fill(home: Path, commits: int) -> None:
    """Ten years of days, in so many deliveries, each landed and made before the next; the first holds nearly all."""
    at, last = here(home), DAYS - commits + 1
    deliver(home, 0, range(max(last, 1)))
    bring(at)
    for number in range(1, commits):
        day = (last + number - 1) % DAYS if last > 0 else number % DAYS
        deliver(home, number, range(day, day + 1))
        since = versions(at)
        assert bring(at, since) == 1
    assert at.lake.version("raw/readings") == commits - 1


def versions(at: Environment) -> dict[str, int]:
    """What the cursor of a sensor knows: up to where everything is in order."""
    return {name: version for name in at.lake.tables() if (version := at.lake.version(name)) is not None}


def one(home: Path, number: int, *, has_cursor: bool) -> None:
    """One increment, once; prints its figures."""
    at = here(home)
    deliver(home, number, range(number % DAYS, number % DAYS + 1))
    since = versions(at) if has_cursor else None
    started = time.monotonic()
    assert bring(at, since) == 1
    print(json.dumps({"seconds": time.monotonic() - started}))


def compare(sizes: list[int], rounds: int) -> None:
    """Increments after few and after many commits, in turns; prints times, peaks and ratios."""
    with TemporaryDirectory(dir=OUT) as folder:
        homes = {commits: Path(folder) / str(commits) for commits in sizes}
        for commits, home in homes.items():
            started = time.monotonic()
            fill(home, commits)
            each = (time.monotonic() - started) / commits
            print(f"{commits:,} deliveries brought in, {1000 * each:.0f} ms each", flush=True)
        drop_written_pages()
        costs: dict[tuple[int, str], list] = {}
        for turn in range(rounds):
            for commits in sizes if turn % 2 == 0 else reversed(sizes):
                for nth, way in enumerate(("cursor", "none")):
                    number = commits + 2 * turn + nth
                    given = ("--one", way, "--home", str(homes[commits]), "--commits", str(number))
                    costs.setdefault((commits, way), []).append(run("bench.increment", *given))
    print(f"\none file into {DAYS:,} days, {rounds} rounds")
    print(f"{'commits':>8}{'cursor':>8}{'seconds':>9}{'spread':>9}{'x first':>9}{'peak MiB':>10}{'x first':>9}")
    for (commits, way), taken in sorted(costs.items()):
        (seconds, spread, peak), base = medians(taken), medians(costs[min(sizes), way])
        times = f"{seconds:>9.3f}{spread:>9.0%}{seconds / base[0]:>9.2f}"
        print(f"{commits:>8,}{way:>8}{times}{peak:>10.0f}{peak / base[2]:>9.2f}")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", choices=("cursor", "none"))
    parser.add_argument("--home", type=Path)
    parser.add_argument("--commits", type=int, action="append")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    sizes = given.commits or [10, 5_000]
    if given.one:
        one(given.home, sizes[0], has_cursor=given.one == "cursor")
    else:
        compare(sizes, given.rounds)


if __name__ == "__main__":
    main()
