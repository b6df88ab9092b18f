"""`make campaign`: breaks the lakehouse in every known way, by seed, and reports what it found."""

import argparse
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from tempfile import mkdtemp

from campaign import processes, s3
from campaign.formats import Formats
from campaign.fuzz import Fuzz
from campaign.kill import Kills
from campaign.poison import Poison
from campaign.steps import WAYS
from campaign.tally import Tally
from campaign.worlds import Worlds
from campaign.writers import Writers
from resources.s3_server import run_server

PARTS = ("kill", "writers", "fuzz", "formats", "s3", "processes", "poison", "worlds")
Progress = Callable[[range, int], Iterable[range]]
_REAL = Path(__file__).resolve().parents[2] / "shared" / "data"


def main(arguments: list[str] | None = None) -> int:
    """Runs the campaign; returns 1 if anything was found."""
    asked = _parser().parse_args(arguments)
    if asked.out is not None:
        asked.out.mkdir(parents=True, exist_ok=True)
    folder = Path(mkdtemp(prefix="campaign-", dir=asked.out))
    say(f"campaign in {folder}, seed {asked.seed}")
    tallies = [_run(part, asked, folder) for part in asked.only or PARTS]
    say("\n".join(["", "tried and found", *(line for tally in tallies for line in tally.lines())]))
    found = [one for tally in tallies for one in tally.found]
    say("\n".join(["", f"{len(found)} findings", *found]))
    if not found:
        shutil.rmtree(folder)
    return 1 if found else 0


def say(line: str) -> None:
    """Prints a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _run(part: str, asked: argparse.Namespace, folder: Path) -> Tally:
    tally = Tally(part, say)
    say(f"{part} …")
    until = time.monotonic() + asked.minutes * 60 if asked.minutes else None
    progress = _progress(part, until)
    if part == "kill":
        kills = Kills(folder / part, tally)
        for seeds in progress(range(asked.seed, asked.seed + asked.seeds), 2):
            ways = [way for way in asked.way or WAYS if way in WAYS]
            kills.run([(seed, way) for seed in seeds for way in ways])
    elif part == "writers":
        Writers(folder / part, tally, asked.seed, (asked.minutes or 10) * 60).run()
    elif part == "processes":
        _processes(asked, folder / part, tally, progress)
    elif part in ("poison", "worlds"):
        tried = Poison(folder / part, tally) if part == "poison" else Worlds(folder / part, tally)
        count = asked.seeds if part == "poison" else asked.worlds
        for seeds in progress(range(asked.seed, asked.seed + count), 20):
            tried.run(seeds)
    elif part == "s3":
        _s3(asked, folder / part, tally, progress)
    else:
        real = _REAL if _REAL.is_dir() else None
        broken = (
            Formats(folder / part, tally, asked.seed)
            if part == "formats"
            else Fuzz(folder / part, tally, asked.seed, real)
        )
        for numbers in progress(range(asked.first, asked.first + asked.files), 1000):
            broken.run(numbers)
    return tally


def _s3(asked: argparse.Namespace, folder: Path, tally: Tally, progress: Progress) -> None:
    ways = tuple(way for way in asked.way or s3.WAYS if way in s3.WAYS)
    with run_server() as server:
        trials = s3.Trials(folder, tally, server)
        for seeds in progress(
            range(asked.seed, asked.seed + asked.seeds) if ways else range(0), 10
        ):
            trials.run(seeds, ways)


def _processes(asked: argparse.Namespace, folder: Path, tally: Tally, progress: Progress) -> None:
    ways = [way for way in asked.way or processes.WAYS if way in processes.WAYS]
    killing = processes.Processes(folder, tally)
    for seeds in progress(range(asked.seed, asked.seed + asked.seeds) if ways else range(0), 10):
        killing.run(ways, seeds)
    for what, seconds in killing.slowest.items():
        say(f"  slowest: {what}, {seconds:.1f} s")


def _progress(part: str, until: float | None) -> Progress:
    """Cuts a range into parts, prints which is next, and stops when the time is over."""

    def cut(whole: range, size: int) -> Iterator[range]:
        for start in range(0, len(whole), size):
            if until is not None and time.monotonic() > until:
                say(f"{part}: the time is over after {start} of {len(whole)}")
                return
            some = whole[start : start + size]
            say(f"{part}: {some[0]} to {some[-1]} of {whole[-1]}")
            yield some

    return cut


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make campaign", description=__doc__)
    parser.add_argument(
        "--seed", type=int, default=1, help="decides everything but the moments (%(default)s)"
    )
    parser.add_argument(
        "--minutes", type=float, help="how long each part may take; the writers take 10 by default"
    )
    parser.add_argument(
        "--only", choices=PARTS, action="append", help="these parts alone; all by default"
    )
    parser.add_argument(
        "--seeds",
        type=int,
        default=200,
        help="kill, s3, processes and poison: how many seeds (%(default)s)",
    )
    parser.add_argument(
        "--worlds", type=int, default=500, help="worlds: how many seeds (%(default)s)"
    )
    parser.add_argument(
        "--way",
        choices=[*WAYS, *processes.WAYS],
        action="append",
        help="kill, s3 and processes: these ways alone; all by default",
    )
    parser.add_argument(
        "--first",
        type=int,
        default=0,
        help="fuzz, formats: the number of the first file (%(default)s)",
    )
    parser.add_argument(
        "--files", type=int, default=10_000, help="fuzz, formats: how many files (%(default)s)"
    )
    parser.add_argument(
        "--out",
        type=Path,
        help="where worlds are made, and kept if anything is found; a temporary folder by default",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
