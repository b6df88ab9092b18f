"""`make bench`: five questions in SQL to a table of the lake, beside DuckDB and Polars on the same rows
in one Parquet file.

Cold is a process that opens the lake, or the file, and asks each question once; warm is the same questions again.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from bench.beside import OUT, Way, Work, module, side_by_side
from bench.lineitem import ours
from bench.publish import generated
from lakehouse.lake import Lake
from lakehouse.sql import opened

_AGAIN = 5
QUESTIONS = (
    """
    SELECT l_returnflag, l_linestatus, sum(l_quantity), avg(l_discount), count(*) FROM lineitem
    WHERE l_shipdate <= DATE '1998-09-02' GROUP BY ALL ORDER BY ALL
    """,
    """
    SELECT sum(l_extendedprice * l_discount) FROM lineitem WHERE l_shipdate >= DATE '1994-01-01'
    AND l_shipdate < DATE '1995-01-01' AND l_discount BETWEEN 0.05 AND 0.07 AND l_quantity < 24
    """,
    """
    SELECT date_trunc('month', l_shipdate) AS month, sum(l_extendedprice) FROM lineitem GROUP BY ALL ORDER BY month
    """,
    """
    SELECT l_partkey, sum(l_quantity) AS units FROM lineitem GROUP BY ALL ORDER BY units DESC, l_partkey LIMIT 10
    """,
    """
    SELECT count(*), sum(l_extendedprice) FROM lineitem WHERE l_shipdate = DATE '1996-03-13' AND l_shipmode = 'RAIL'
    """,
)
"""Over TPC-H line items: two of its own queries, a report by month, the top parts, and a day."""

Ask = Callable[[str], Iterable[Any]]


def lake_of(scale: float) -> Path:
    """A lake with the line items of a scale factor, and beside it the same rows as one Parquet file; made once.

    There are two such files: one compressed as Polars does by default, and one compressed as those of the lake are.
    """
    folder = OUT / f"query-{scale:g}"
    if not (folder / "snappy.parquet").exists():
        ours(generated(scale), folder / "lake")
        lines = Lake(str(folder / "lake")).scan("staged/lineitem").select(pl.exclude("^_.*$"))
        lines.sink_parquet(folder / "lineitem.parquet")
        lines.sink_parquet(folder / "snappy.parquet", compression="snappy")
    return folder


def ask_lake(folder: Path, stack: ExitStack) -> Ask:
    """By `lakehouse sql`'s own views."""
    connection = stack.enter_context(opened(Lake(str(folder / "lake"))))
    connection.execute("SET search_path = 'staged'")
    return lambda question: connection.execute(question).fetchall()


def ask_duckdb(folder: Path, stack: ExitStack, file: str = "lineitem.parquet") -> Ask:
    """By DuckDB on a file."""
    connection = stack.enter_context(duckdb.connect())
    connection.execute(f"CREATE VIEW lineitem AS SELECT * FROM '{folder / file}'")
    return lambda question: connection.execute(question).fetchall()


def ask_polars(folder: Path, _: ExitStack) -> Ask:
    """By Polars' SQL on the file."""
    context = pl.SQLContext(lineitem=pl.scan_parquet(folder / "lineitem.parquet"))
    return lambda question: context.execute(question).collect(engine="streaming").rows()


WAYS = {
    "ours": ask_lake,
    "duckdb on parquet": ask_duckdb,
    "duckdb on parquet, snappy": partial(ask_duckdb, file="snappy.parquet"),
    "polars on parquet": ask_polars,
}


def one(way: str, folder: Path, *, is_warm: bool) -> None:
    """All questions, once cold or some times warm; prints the figures."""
    with ExitStack() as stack:
        started = time.monotonic()
        ask = WAYS[way](folder, stack)
        answers = [list(ask(question)) for question in QUESTIONS]
        seconds = time.monotonic() - started
        if is_warm:
            started = time.monotonic()
            for _ in range(_AGAIN):
                answers = [list(ask(question)) for question in QUESTIONS]
            seconds = (time.monotonic() - started) / _AGAIN
    print(json.dumps({"seconds": seconds, "rows": sum(map(len, answers))}))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--way", choices=list(WAYS))
    parser.add_argument("--warm", action="store_true")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    if given.way:
        one(given.way, lake_of(given.scale), is_warm=given.warm)
        return
    lake_of(given.scale)
    side_by_side(work(given.scale), given.rounds)


def work(scale: float) -> Work:
    """Each way cold and warm."""
    asked = {way: ("--way", way, "--scale", f"{scale:g}") for way in WAYS}
    ways = [
        Way(way, {"cold": module("bench.query", *given), "warm": module("bench.query", *given, "--warm")})
        for way, given in asked.items()
    ]
    return Work(
        "query", f"five questions in SQL to TPC-H line items, scale factor {scale:g}", ways, "duckdb on parquet"
    )


if __name__ == "__main__":
    main()
