"""`make bench`: publish TPC-H line items with the audit, beside Polars' bare writes, in one run.

Every way reads the same CSV in a process of its own; the order alternates; medians and ratios are printed.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

OUT = Path(__file__).parent / "out"


def generated(scale: float) -> Path:
    """The line items of a scale factor, made once by `tpchgen-cli`."""
    folder = OUT / f"tpch-{scale:g}"
    if not (folder / "lineitem.csv").exists():
        tool = Path(sys.executable).parent / "tpchgen-cli"
        command = [str(tool), "csv", "-s", f"{scale:g}", "--tables=lineitem", f"--output-dir={folder}"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder / "lineitem.csv"


def one(way: str, csv: Path) -> None:
    """One way, once; prints its figures."""
    from bench.lineitem import WAYS  # noqa: PLC0415

    with TemporaryDirectory(dir=OUT) as target:
        started = time.monotonic()
        said = WAYS[way](csv, Path(target))
        print(json.dumps({"seconds": time.monotonic() - started, **said}))


def compare(scales: list[float], rounds: int) -> None:
    """All ways on all scales; prints a table with ratios to `sink_delta`."""
    from bench.measure import drop_written_pages, medians, run  # noqa: PLC0415

    peaks: dict[float, float] = {}
    for scale in scales:
        generated(scale)
        costs: dict[str, list] = {"ours": [], "sink_delta": [], "sink_parquet": []}
        for turn in range(rounds):
            for way in list(costs) if turn % 2 == 0 else list(reversed(costs)):
                costs[way].append(run("bench.publish", "--way", way, "--scale", f"{scale:g}"))
                drop_written_pages()
        base_seconds, _, base_peak = medians(costs["sink_delta"])
        print(f"\npublish, TPC-H lineitem, scale factor {scale:g}, {rounds} rounds")
        print(f"{'way':<14}{'seconds':>9}{'spread':>9}{'x delta':>9}{'cpu s':>9}{'peak MiB':>10}{'x delta':>9}")
        for way, taken in costs.items():
            seconds, spread, peak = medians(taken)
            cpu = sorted(cost.cpu_seconds for cost in taken)[len(taken) // 2]
            ratio, memory = seconds / base_seconds, peak / base_peak
            print(f"{way:<14}{seconds:>9.2f}{spread:>9.0%}{ratio:>9.2f}{cpu:>9.1f}{peak:>10.0f}{memory:>9.2f}")
        print(f"ours: {dict(costs['ours'][0].said)}")
        peaks[scale] = medians(costs["ours"])[2]
    if len(peaks) > 1:
        low, high = min(peaks), max(peaks)
        print(f"\npeak memory of ours, scale factor {high:g} against {low:g}: {peaks[high] / peaks[low]:.2f} x")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--way")
    parser.add_argument("--scale", type=float, action="append")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    scales = given.scale or [1, 3]
    if given.way:
        one(given.way, generated(scales[0]))
    else:
        compare(scales, given.rounds)


if __name__ == "__main__":
    main()
