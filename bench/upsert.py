"""`make bench`: one in a hundred orders changes and some are new, against delta-rs, dlt and dbt.

Every way first loads all orders and then applies the changes, in a process each, from the same text
files. Ours lands them in a raw table first, and that time counts.
"""

import argparse
from collections.abc import Hashable
from functools import partial
from pathlib import Path

from bench import orders
from bench.beside import OUT, TARGET, Way, Work, list_installable, module, peer_module, side_by_side
from bench.figures import Line
from bench.stood import ORDER, hand_on, in_delta, in_duckdb

STEPS = ("first load", "changes")
OURS, MERGE, DLT, DBT = "ours", "delta-rs merge", "dlt", "dbt-duckdb"


def prepare(rows: int, files: Path, _way: str, step: str, folder: Path) -> None:
    """Makes a delivery arrive."""
    hand_on(orders.write_delivery(files, rows, STEPS.index(step)), folder)


def outcome(way: str, _step: str, folder: Path) -> Hashable:
    """Returns the orders as a way has written them."""
    if way == DBT:
        return in_duckdb(folder / "orders.duckdb", "orders", ORDER)
    places = {OURS: "lake/staged/orders", MERGE: "plain", DLT: "public/orders"}
    return in_delta(folder / places[way], ORDER)


def of_this_project() -> list[Way]:
    """Returns our way and the bare merge."""
    commands = {
        OURS: module("bench.orders", "upsert", TARGET),
        MERGE: module("bench.orders", "merge", TARGET),
    }
    return [Way(name, dict.fromkeys(STEPS, command)) for name, command in commands.items()]


def of_peers() -> list[Way]:
    """Returns the peers that can be installed."""

    def by(name: str, peer: str, script: str, *arguments: str) -> Way:
        return Way(name, dict.fromkeys(STEPS, peer_module(peer, script, *arguments, TARGET)))

    return list_installable(
        {DLT: partial(by, DLT, "dlt", "upsert"), DBT: partial(by, DBT, "dbt", "orders", "run")}
    )


def work(rows: int, files: Path, ways: list[Way]) -> Work:
    """Returns the bench on a number of orders."""
    title = f"{rows:,} orders loaded; then 1 % of them changed and 0.3 % new"
    name = "upsert" if rows == orders.ROWS else f"upsert-{rows}"
    return Work(name, title, ways, MERGE, outcome, partial(prepare, rows, files))


def compare(rows: int, rounds: int) -> list[Line]:
    """Compares all ways."""
    return side_by_side(work(rows, OUT, [*of_this_project(), *of_peers()]), rounds)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=orders.ROWS)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    compare(given.rows, given.rounds)


if __name__ == "__main__":
    main()
