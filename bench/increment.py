"""`make bench`: one new file, from landing into ten years of daily partitions.

It runs after few and after many commits.

All lakes hold the same 3,650 days: one received them in ten deliveries, others in thousands. The
time is that of what the sensors and their runs do: find the file, land it, find the stale day, make
that day. The second way does the same, but files leave landing once they have landed. The third has
no sensor cursor, as after the loss of Dagster's storage, so every log entry is read. The last is
dlt, which recognises new files by their modification time.
"""

import argparse
import json
import shutil
import time
from collections.abc import Hashable, Sequence
from contextlib import nullcontext
from datetime import timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import decade
from bench.backfill import READING
from bench.beside import (
    OUT,
    TARGET,
    Way,
    Work,
    list_installable,
    module,
    pair_with_first,
    peer_module,
    side_by_side,
)
from bench.decade import DAYS, FIRST
from bench.figures import Line
from bench.measure import run_command
from bench.stood import clone, in_delta, number_of
from lakehouse.environment import Environment
from lakehouse.ingest.files.landing_zone import Landing
from lakehouse.ingest.land import land
from lakehouse.storage.lake import Lake
from lakehouse.tables.collect import collect_tables
from lakehouse.transform.make import make

OURS, CLEARED, WITHOUT, DLT = "ours", "ours, landing emptied", "ours, no cursor", "dlt"
_ROWS_A_DAY = 24


def here(home: Path) -> Environment:
    """Opens a lake and its landing zone in a folder."""
    landing = Landing(str(home / "landing"), rest_seconds=0)
    return Environment(Lake(str(home / "lake")), landing, collect_tables([decade]))


def deliver(landing: Path, number: int, days: range) -> None:
    """Writes a file of readings; the power differs by day, so no two files are equal."""
    lines = (
        f"{hour},{number}.5,{FIRST + timedelta(days=day)} {hour:02}:00:00"
        for day in days
        for hour in range(_ROWS_A_DAY)
    )
    folder = landing / "readings"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{number:06}.csv").write_text("\n".join(["meter,power,read_at", *lines]) + "\n")


def bring(at: Environment, since: dict[str, str] | None = None) -> int:
    """Lands the files, makes what is stale, and returns how many days were made."""
    made = 0
    assert land(at.lake, at.landing, decade.raw_readings).audits
    for stale in at.create_planner(since).find_stale_tables():
        for span in stale.spans:
            make(at.lake, at.catalog, stale.table, span)
        made += len(stale.keys)
    return made


def deliveries(commits: int) -> list[range]:
    """Returns the days of each delivery, ten years in all; the first has nearly all days."""
    last = DAYS - commits + 1
    later = [
        (last + number - 1) % DAYS if last > 0 else number % DAYS for number in range(1, commits)
    ]
    return [range(max(last, 1)), *(range(day, day + 1) for day in later)]


def fill(home: Path, commits: int) -> None:
    """Lands and makes each delivery before the next one arrives."""
    at = here(home)
    for number, days in enumerate(deliveries(commits)):
        deliver(home / "landing", number, days)
        bring(at, at.list_revisions() if number else None)
    assert at.lake.version("raw/readings") == commits - 1


def fill_dlt(home: Path, commits: int) -> None:
    """Lets dlt load each delivery before the next one arrives."""
    for number, days in enumerate(deliveries(commits)):
        deliver(home / "arriving", number, days)
    run_command(peer_module("dlt", "increment", str(home)))


def one(home: Path, *, has_cursor: bool) -> None:
    """Runs one increment and prints its figures."""
    at = here(home)
    since = at.list_revisions() if has_cursor else None
    started = time.monotonic()
    assert bring(at, since) == 1
    print(json.dumps({"seconds": time.monotonic() - started}))


def ensure_filled(keep: Path, way: str, commits: int) -> Path:
    """Returns the folder of a way after a number of commits; fills it if it is incomplete."""
    kind, by = (DLT, fill_dlt) if way == DLT else (OURS, fill)
    home = keep / f"{kind}-{commits}"
    if not (home / "filled").exists():
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        started = time.monotonic()
        by(home, commits)
        each = (time.monotonic() - started) / commits
        print(f"{kind}: {commits:,} deliveries brought in, {1000 * each:.0f} ms each", flush=True)
        (home / "filled").touch()
    return home


def _step(commits: int) -> str:
    return f"{commits:,} commits"


def prepare(keep: Path, way: str, step: str, folder: Path) -> None:
    """Copies a filled folder, lets its files be known, and puts one more file into landing."""
    commits = number_of(step)
    clone(ensure_filled(keep, way, commits), folder / str(commits))
    if way == CLEARED:
        shutil.rmtree(folder / str(commits) / "landing")
    elif way != DLT:
        # Copies have other change times, so each is read once more to see that it is the same.
        at = here(folder / str(commits))
        land(at.lake, at.landing, decade.raw_readings)
    deliver(folder / str(commits) / "landing", commits, range(commits % DAYS, commits % DAYS + 1))


def outcome(way: str, step: str, folder: Path) -> Hashable:
    """Returns the readings as a way has written them."""
    home = folder / str(number_of(step))
    return in_delta(home / ("public/readings" if way == DLT else "lake/staged/readings"), READING)


def of_this_project(sizes: Sequence[int]) -> list[Way]:
    """Returns our ways: with and without a sensor cursor, and with landing emptied."""
    given = {OURS: "cursor", CLEARED: "cursor", WITHOUT: "none"}
    return [
        Way(
            name,
            {
                _step(size): module(
                    "bench.increment", "--one", cursor, "--home", f"{TARGET}/{size}"
                )
                for size in sizes
            },
        )
        for name, cursor in given.items()
    ]


def of_peers(sizes: Sequence[int]) -> list[Way]:
    """Returns the peer, if it can be installed."""
    return list_installable(
        {
            DLT: lambda: Way(
                DLT,
                {
                    _step(size): peer_module("dlt", "increment", f"{TARGET}/{size}")
                    for size in sizes
                },
            )
        }
    )


def work(keep: Path, sizes: Sequence[int], ways: list[Way]) -> Work:
    """Returns the bench after some numbers of commits."""
    title = f"one file into {DAYS:,} days, after few and after many commits"
    made, few = partial(prepare, keep), _step(min(sizes))
    return Work(
        "increment",
        title,
        ways,
        OURS,
        outcome,
        made,
        base_step=few,
        pairs=pair_with_first(ways),
        is_apart=True,
    )


def compare(keep: Path, sizes: Sequence[int], peer_sizes: Sequence[int], rounds: int) -> list[Line]:
    """Compares all ways after few and after many commits."""
    ways = [*of_this_project(sizes), *(of_peers(peer_sizes) if peer_sizes else ())]
    return side_by_side(work(keep, sizes, ways), rounds)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", choices=("cursor", "none"))
    parser.add_argument("--home", type=Path)
    parser.add_argument(
        "--commits", type=int, action="append", help="10, 1,000 and 5,000 if nobody says"
    )
    parser.add_argument(
        "--dlt-most", type=int, default=5_000, help="the most commits after which dlt is looked at"
    )
    parser.add_argument(
        "--keep",
        type=Path,
        help="a folder where filled lakes stay and are found; of this code only",
    )
    parser.add_argument(
        "--rounds", type=int, default=15, help="a call takes a tenth of a second, more or less"
    )
    given = parser.parse_args()
    if given.one:
        one(given.home, has_cursor=given.one == "cursor")
        return
    OUT.mkdir(parents=True, exist_ok=True)
    sizes = sorted(given.commits or [10, 1_000, 5_000])
    with nullcontext(given.keep) if given.keep else TemporaryDirectory(dir=OUT) as keep:
        compare(Path(keep), sizes, [size for size in sizes if size <= given.dlt_most], given.rounds)


if __name__ == "__main__":
    main()
