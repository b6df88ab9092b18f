"""`make bench`: changes applied to ten times the orders, as upserts and as histories.

The base is delta-rs' bare merge of the same rows, unaudited. Tables are filled once; each round
works on a copy of them.
"""

import argparse
from collections.abc import Hashable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import orders
from bench.beside import OUT, TARGET, Way, Work, module, pair_with_first, side_by_side
from bench.figures import Line
from bench.measure import run_command
from bench.stood import ORDER, clone, hand_on, in_delta, number_of

WAYS = (*orders.TABLES, orders.MERGE)


def _step(rows: int) -> str:
    return f"{rows:,} rows"


def fill(way: str, home: Path, files: Path, rows: int) -> None:
    """Fills the table before the changes; prints the cost of loading all rows."""
    home.mkdir(parents=True)
    hand_on(orders.write_delivery(files, rows, 0), home)
    whole = run_command(module("bench.orders", way, str(home)))
    print(
        f"{way}, {rows:,} rows anew: {whole.seconds:.1f} s, {whole.peak_mib:,.0f} MiB", flush=True
    )


def prepare(filled: Path, files: Path, way: str, step: str, folder: Path) -> None:
    """Copies a filled table and adds the changes."""
    rows = number_of(step)
    home = folder / str(rows)
    clone(filled / f"{way}-{rows}", home)
    hand_on(orders.write_delivery(files, rows, 1), home)


def outcome(way: str, step: str, folder: Path) -> Hashable:
    """Returns the current orders; for a history, those of its current versions."""
    home = folder / str(number_of(step))
    if way == orders.MERGE:
        return in_delta(home / "plain", ORDER)
    is_history = way == "history"
    return in_delta(
        home / "lake" / orders.TABLES[way].name, ORDER, "is_current" if is_history else "true"
    )


def work(filled: Path, files: Path, sizes: Sequence[int]) -> Work:
    """Returns the bench on tables that are already filled."""
    ways = [
        Way(way, {_step(rows): module("bench.orders", way, f"{TARGET}/{rows}") for rows in sizes})
        for way in WAYS
    ]
    title = "1 % of the orders changed and 0.3 % new, into few and into many"
    made = partial(prepare, filled, files)
    return Work(
        "keyed",
        title,
        ways,
        orders.MERGE,
        outcome,
        made,
        pairs=pair_with_first(ways),
        is_apart=True,
    )


def compare(out: Path, sizes: Sequence[int], rounds: int) -> list[Line]:
    """Compares all ways on all sizes."""
    with TemporaryDirectory(dir=out) as folder:
        for way in WAYS:
            for rows in sizes:
                fill(way, Path(folder) / f"{way}-{rows}", out, rows)
        return side_by_side(work(Path(folder), out, sizes), rounds)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, action="append")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    compare(OUT, given.rows or [orders.ROWS, 10 * orders.ROWS], given.rounds)


if __name__ == "__main__":
    main()
