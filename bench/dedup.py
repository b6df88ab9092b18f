"""`make bench`: a year of readings, one in fifty repeated, deduplicated in one run."""

import argparse
import json
import time
from collections.abc import Hashable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import daily
from bench.beside import OUT, TARGET, Way, Work, module, pair_with_first, side_by_side
from bench.figures import Line
from bench.stood import clone, number_of
from lakehouse.storage.lake import Lake
from lakehouse.tables.collect import collect_tables
from lakehouse.transform.make import make

TABLE = "staged/distinct_readings"
_REPEATED = 50


def one(lake: Lake) -> None:
    """Makes the whole range once and prints its figures."""
    started = time.monotonic()
    assert make(lake, collect_tables([daily]), TABLE) is not None
    print(json.dumps({"seconds": time.monotonic() - started}))


def _step(rows: int) -> str:
    return f"{rows:,} rows"


def _home(folder: Path, step: str) -> Path:
    return folder / str(number_of(step))


def outcome(_way: str, step: str, folder: Path) -> Hashable:
    """Checks that the table holds each reading once.

    Raises:
        RuntimeError: a repeat is left, or a reading is missing.
    """
    audit = Lake(str(_home(folder, step))).read_remaining_log(TABLE)[-1].info["audit"]
    if (
        audit["superseded"] != audit["read"] // _REPEATED
        or audit["written"] != audit["read"] - audit["superseded"]
    ):
        raise RuntimeError(f"dedup, {step}: one in {_REPEATED} was to be superseded: {audit}")
    return audit["written"]


def work(filled: Path, sizes: Sequence[int]) -> Work:
    """Returns the bench on raw tables that are already filled."""
    ours = Way(
        "ours", {_step(rows): module("bench.dedup", "--lake", f"{TARGET}/{rows}") for rows in sizes}
    )
    title = f"distinct rows of {daily.DAYS} days, one in {_REPEATED} repeated"
    made, pairs = partial(_copy_filled, filled), pair_with_first([ours])
    return Work(
        "dedup",
        title,
        [ours],
        "ours",
        outcome,
        made,
        base_step=_step(min(sizes)),
        pairs=pairs,
        is_apart=True,
    )


def _copy_filled(filled: Path, _way: str, step: str, folder: Path) -> None:
    clone(_home(filled, step), _home(folder, step))


def compare(out: Path, sizes: Sequence[int], rounds: int) -> list[Line]:
    """Compares few with many rows."""
    with TemporaryDirectory(dir=out) as folder:
        for rows in sizes:
            a_day = rows // daily.DAYS // _REPEATED * _REPEATED
            daily.fill(Lake(str(_home(Path(folder), _step(rows)))), a_day, repeated=_REPEATED)
        return side_by_side(work(Path(folder), sizes), rounds)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lake")
    parser.add_argument("--rows", type=int, action="append")
    parser.add_argument("--rounds", type=int, default=9, help="a peak varies by some 20 MiB")
    given = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    if given.lake:
        one(Lake(given.lake))
    else:
        compare(OUT, given.rows or [1_500_000, 15_000_000], given.rounds)


if __name__ == "__main__":
    main()
