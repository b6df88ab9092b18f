"""`make bench`: TPC-H line items from CSV into a table by month, checked by nine rules.

It runs against peers and bare writes.

Every way reads the same CSV in a process of its own. All ways that check rules must publish the
same rows.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from bench.beside import TARGET, Way, Work, list_installable, peer_module, side_by_side
from bench.figures import Line
from bench.published import build_reader

OUT = Path(__file__).parent / "out"
ROWS_SCALE = 0.05
"""The scale factor for dlt's path of rows, which takes a minute or more for each million rows."""
PEERS = {
    "dlt arrow": ("dlt", "arrow"),
    "dagster-polars": ("dagster_polars",),
    "dagster-deltalake-polars": ("dagster_deltalake",),
    "dbt-duckdb": ("dbt",),
}
_FILES = ("sink_parquet", "sink_parquet, snappy")
_BESIDE_FILES = [(("publish", "ours"), ("publish", file)) for file in _FILES]
BY_ROWS = {"dlt arrow": ("dlt", "arrow"), "dlt rows": ("dlt", "rows")}


def generate_line_items(scale: float) -> Path:
    """Returns the line items of a scale factor; `tpchgen-cli` generates them once."""
    folder = OUT / f"tpch-{scale:g}"
    if not (folder / "lineitem.csv").exists():
        tool = Path(sys.executable).parent / "tpchgen-cli"
        command = [
            str(tool),
            "csv",
            "-s",
            f"{scale:g}",
            "--tables=lineitem",
            f"--output-dir={folder}",
        ]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder / "lineitem.csv"


def one(way: str, csv: Path, target: Path) -> None:
    """Runs one way of this project once and prints its figures."""
    from bench.lineitem import WAYS  # noqa: PLC0415

    started = time.monotonic()
    said = WAYS[way](csv, target)
    print(json.dumps({"seconds": time.monotonic() - started, **said}))


def of_this_project(csv: Path, *names: str) -> list[Way]:
    """Returns the ways that need no peer."""
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "bench.publish",
        "--csv",
        str(csv),
        "--target",
        TARGET,
        "--way",
    ]
    return [Way(name, {"publish": [*command, name]}) for name in names]


def of_peers(csv: Path, peers: Mapping[str, tuple[str, ...]]) -> list[Way]:
    """Returns the ways of the peers that can be installed; prints the names of the others."""

    def by(name: str, peer: str, *arguments: str) -> Way:
        return Way(name, {"publish": peer_module(peer, "publish", *arguments, str(csv), TARGET)})

    return list_installable({name: partial(by, name, *peer) for name, peer in peers.items()})


def work(name: str, csv: Path, ways: list[Way], base: str) -> Work:
    """Returns the bench that publishes the rows of a file."""
    size = csv.stat().st_size / 2**20
    title = f"{name}: TPC-H line items, {size:,.0f} MiB of CSV, nine rules, rejects kept, by month"
    return Work(name, title, ways, base, build_reader(csv), pairs=_BESIDE_FILES)


def at_scale(scale: float, rounds: int) -> list[Line]:
    """Runs ours, the peers and the bare writes, which check nothing and are the limit."""
    csv = generate_line_items(scale)
    bare = of_this_project(csv, "sink_delta", *_FILES)
    ways = [*of_this_project(csv, "ours"), *of_peers(csv, PEERS), *bare]
    return side_by_side(work(f"publish-{scale:g}", csv, ways, "sink_delta"), rounds)


def by_rows(rounds: int) -> None:
    """Runs ours against both paths of dlt on few rows, as a bench of its own."""
    csv = generate_line_items(ROWS_SCALE)
    if peers := of_peers(csv, BY_ROWS):
        side_by_side(
            work("publish-rows", csv, [*of_this_project(csv, "ours"), *peers], "ours"), rounds
        )


def compare(scales: list[float], rounds: int) -> None:
    """Compares all ways on all scales."""
    peaks = {scale: at_scale(scale, rounds)[0].peak_mib for scale in scales}
    if len(peaks) > 1:
        low, high = min(peaks), max(peaks)
        print(
            f"\npeak memory of ours, scale factor {high:g} against {low:g}: "
            f"{peaks[high] / peaks[low]:.2f} x"
        )
    by_rows(rounds)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, action="append")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--way", help="one way of this project, once; with --csv and --target")
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--target", type=Path)
    given = parser.parse_args()
    if given.way:
        one(given.way, given.csv, given.target)
    else:
        compare(given.scale or [1, 3], given.rounds)


if __name__ == "__main__":
    main()
