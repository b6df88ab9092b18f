"""`make bench`: one in a hundred orders changes and some are new, folded into a small and into a large table.

Beside it delta-rs' own merge of the same rows, unaudited. Each way has a lake of its own, each round a new increment.
"""

import argparse
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory

OUT = Path(__file__).parent / "out"
WAYS = ("upsert", "history", "merge")
TABLES = {"upsert": "staged/orders", "history": "staged/order_versions"}


def one(way: str, lake_folder: Path, rows: int, day: int) -> None:
    """One increment, once; prints its figures."""
    from bench import orders  # noqa: PLC0415
    from lakehouse.catalog import collect  # noqa: PLC0415
    from lakehouse.lake import Lake  # noqa: PLC0415
    from lakehouse.make import make  # noqa: PLC0415

    lake = Lake(str(lake_folder))
    if way == "arrive":
        orders.increment(lake, rows, day)
        print(json.dumps({"seconds": 0}))
        return
    if way == "merge":
        started = time.monotonic()
        orders.merge(str(lake_folder / "plain"), rows, day)
        print(json.dumps({"seconds": time.monotonic() - started}))
        return
    started = time.monotonic()
    audit = make(lake, collect([orders]), TABLES[way])
    assert audit is not None
    print(json.dumps({"seconds": time.monotonic() - started, "read": audit.read, "written": audit.written}))


def prepare(way: str, lake_folder: Path, rows: int) -> None:
    """The table before the first increment."""
    from bench import orders  # noqa: PLC0415
    from bench.measure import run  # noqa: PLC0415
    from lakehouse.lake import Lake  # noqa: PLC0415

    lake = Lake(str(lake_folder))
    if way == "merge":
        orders.fill(lake, rows)
        names = list(orders.Order.to_schema().columns)
        orders.typed(lake.scan("raw/orders")).select(names).sink_delta(str(lake_folder / "plain"))
        return
    orders.fill(lake, rows)
    whole = run("bench.keyed", "--way", way, "--lake", str(lake_folder), "--rows", str(rows), "--day", "0")
    print(f"{way}, {rows:,} rows folded anew: {whole.seconds:.1f} s, {whole.peak_mib:,.0f} MiB", flush=True)


def compare(sizes: list[int], rounds: int) -> None:
    """All ways on all sizes; prints times and peaks."""
    from bench.measure import drop_written_pages, medians, run  # noqa: PLC0415

    peaks: dict[tuple[str, int], float] = {}
    for rows in sizes:
        costs: dict[str, list] = {}
        for way in WAYS:
            with TemporaryDirectory(dir=OUT) as folder:
                prepare(way, Path(folder), rows)
                drop_written_pages()
                for day in range(1, rounds + 1):
                    given = ("--lake", folder, "--rows", str(rows), "--day", str(day))
                    if way != "merge":
                        run("bench.keyed", "--way", "arrive", *given)
                    costs.setdefault(way, []).append(run("bench.keyed", "--way", way, *given))
        base = medians(costs["merge"])
        print(f"\n1 % changed, 0.3 % new, into {rows:,} rows, {rounds} rounds")
        print(f"{'way':<10}{'seconds':>9}{'spread':>9}{'x merge':>9}{'peak MiB':>10}{'x merge':>9}")
        for way, taken in costs.items():
            seconds, spread, peak = medians(taken)
            peaks[way, rows] = peak
            print(f"{way:<10}{seconds:>9.2f}{spread:>9.0%}{seconds / base[0]:>9.2f}{peak:>10.0f}{peak / base[2]:>9.2f}")
    low, high = min(sizes), max(sizes)
    for way in WAYS if low != high else ():
        print(f"{way}: peak memory of {high:,} rows against {low:,}: {peaks[way, high] / peaks[way, low]:.2f} x")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--way")
    parser.add_argument("--lake", type=Path)
    parser.add_argument("--rows", type=int, action="append")
    parser.add_argument("--day", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    sizes = given.rows or [1_500_000, 15_000_000]
    if given.way:
        one(given.way, given.lake, sizes[0], given.day)
    else:
        compare(sizes, given.rounds)


if __name__ == "__main__":
    main()
