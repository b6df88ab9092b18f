"""`make bench`: all versions of the orders over ten deliveries.

It runs against a dbt snapshot, and against hand-written SQL for DuckDB.

The first delivery holds all orders; each of the nine others changes one in a hundred, some of them
twice, and adds some new ones. They are loaded one after another: one process loads the first,
another the rest.
"""

import argparse
import json
import time
from collections.abc import Hashable
from pathlib import Path

import duckdb

from bench import orders
from bench.beside import OUT, TARGET, Way, Work, list_installable, module, peer_module, side_by_side
from bench.figures import Line
from bench.stood import VERSION, in_delta, in_duckdb

STEPS = ("first load", "nine deliveries")
DAYS = (range(1), range(1, 10))
OURS, SQL, DBT = "ours", "duckdb by hand", "dbt-duckdb snapshot"
_TABLE = """
    CREATE TABLE IF NOT EXISTS order_versions (
        order_id BIGINT, changed_on DATE, status VARCHAR, amount DOUBLE, remark VARCHAR,
        valid_from DATE, valid_to DATE, is_current BOOLEAN
    )
"""
_ENDED = """
    UPDATE order_versions AS v SET valid_to = d.changed_on, is_current = false FROM delivered AS d
    WHERE v.order_id = d.order_id AND v.is_current
    AND (v.status, v.amount, v.remark) IS DISTINCT FROM (d.status, d.amount, d.remark)
"""
_BEGUN = """
    INSERT INTO order_versions SELECT d.*, d.changed_on, NULL, true
    FROM delivered AS d ANTI JOIN (FROM order_versions WHERE is_current) AS v USING (order_id)
"""


def by_hand(home: Path, files: list[Path]) -> None:
    """Applies deliveries by hand-written SQL, one transaction for each."""
    for file in files:
        with duckdb.connect(str(home / "orders.duckdb")) as connection:
            connection.begin()
            connection.execute(_TABLE)
            connection.execute(f"""
                CREATE TEMP TABLE delivered AS
                SELECT order_id::BIGINT AS order_id, changed_on::DATE AS changed_on,
                status, amount::DOUBLE AS amount, remark FROM '{file}'
            """)
            connection.execute(_ENDED)
            connection.execute(_BEGUN)
            connection.commit()


def outcome(way: str, _step: str, folder: Path) -> Hashable:
    """Returns the versions as a way has written them."""
    if way == OURS:
        return in_delta(folder / "lake/staged/order_versions", VERSION)
    if way == SQL:
        return in_duckdb(folder / "orders.duckdb", "order_versions", VERSION)
    names = (
        "*, dbt_valid_from AS valid_from, dbt_valid_to AS valid_to, "
        "dbt_valid_to IS NULL AS is_current"
    )
    return in_duckdb(folder / "orders.duckdb", f"(SELECT {names} FROM order_versions)", VERSION)


def _steps(rows: int, files: Path, command: list[str]) -> dict[str, list[str]]:
    """Returns a command with the files of each step; writes files that are missing."""
    days = {
        step: [str(orders.write_delivery(files, rows, day).resolve()) for day in days]
        for step, days in zip(STEPS, DAYS, strict=True)
    }
    return {step: [*command, *given] for step, given in days.items()}


def of_this_project(rows: int, files: Path) -> list[Way]:
    """Returns our way and the hand-written SQL."""
    commands = {
        OURS: module("bench.orders", "history", TARGET),
        SQL: module("bench.history", "--by-hand", TARGET),
    }
    return [Way(name, _steps(rows, files, command)) for name, command in commands.items()]


def of_peers(rows: int, files: Path) -> list[Way]:
    """Returns the peer, if it can be installed."""
    return list_installable(
        {
            DBT: lambda: Way(
                DBT, _steps(rows, files, peer_module("dbt", "orders", "snapshot", TARGET))
            )
        }
    )


def work(rows: int, ways: list[Way]) -> Work:
    """Returns the bench on a number of orders; the base is the peer, or else hand-written SQL."""
    title = f"all versions of {rows:,} orders; then nine deliveries of 1 % changed and 0.3 % new"
    base = DBT if any(way.name == DBT for way in ways) else SQL
    return Work("history" if rows == orders.ROWS else f"history-{rows}", title, ways, base, outcome)


def compare(rows: int, rounds: int) -> list[Line]:
    """Compares all ways."""
    return side_by_side(work(rows, [*of_this_project(rows, OUT), *of_peers(rows, OUT)]), rounds)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=orders.ROWS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--by-hand",
        type=Path,
        help="the folder of one run by hand; the files of the deliveries follow",
    )
    parser.add_argument("files", type=Path, nargs="*")
    given = parser.parse_args()
    if given.by_hand:
        started = time.monotonic()
        by_hand(given.by_hand, given.files)
        print(json.dumps({"seconds": time.monotonic() - started}))
    else:
        compare(given.rows, given.rounds)


if __name__ == "__main__":
    main()
