"""`make bench`: a year of readings, one in fifty repeated, made distinct in one range, of few and of many rows."""

import argparse
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import daily
from bench.measure import drop_written_pages, medians, run
from lakehouse.catalog import collect
from lakehouse.lake import Lake
from lakehouse.make import make

OUT = Path(__file__).parent / "out"
_REPEATED = 50


def one(lake: Lake) -> None:
    """The range, once; prints its figures."""
    started = time.monotonic()
    audit = make(lake, collect([daily]), "staged/distinct_readings")
    assert audit is not None
    assert audit.superseded == audit.read // _REPEATED, audit
    print(json.dumps({"seconds": time.monotonic() - started, "read": audit.read}))


def compare(sizes: list[int], rounds: int) -> None:
    """Few and many rows, in turns; prints times, peaks and their ratio."""
    with TemporaryDirectory(dir=OUT) as folder:
        lakes = {rows: f"{folder}/{rows}" for rows in sizes}
        for rows, lake in lakes.items():
            daily.fill(Lake(lake), rows // daily.DAYS // _REPEATED * _REPEATED, repeated=_REPEATED)
        drop_written_pages()
        costs: dict[int, list] = {rows: [] for rows in sizes}
        for turn in range(rounds):
            for rows in sizes if turn % 2 == 0 else reversed(sizes):
                costs[rows].append(run("bench.dedup", "--lake", lakes[rows]))
    least = medians(costs[min(sizes)])
    print(f"\ndistinct rows of {daily.DAYS} days, one in {_REPEATED} repeated, {rounds} rounds")
    print(f"{'rows':>12}{'seconds':>9}{'spread':>9}{'x least':>9}{'peak MiB':>10}{'x least':>9}")
    for rows, taken in costs.items():
        seconds, spread, peak = medians(taken)
        print(f"{rows:>12,}{seconds:>9.2f}{spread:>9.0%}{seconds / least[0]:>9.2f}{peak:>10.0f}{peak / least[2]:>9.2f}")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lake")
    parser.add_argument("--rows", type=int, action="append")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    if given.lake:
        one(Lake(given.lake))
    else:
        compare(given.rows or [1_500_000, 15_000_000], given.rounds)


if __name__ == "__main__":
    main()
