"""`make bench`: five SQL questions to a staged table and to a mart of the lake.

It runs against DuckDB and Polars on the same rows, one Parquet file for each table.

Cold is a process that opens the lake, or the files, and asks each question once. Warm asks the same
questions again. All ways must return the same answers.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from datetime import date
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import polars as pl

from bench import lineitem
from bench.beside import OUT, TARGET, Way, Work, module, side_by_side
from bench.publish import generate_line_items
from lakehouse.observe.sql import open_sql
from lakehouse.storage.lake import Lake
from lakehouse.tables.catalog import Catalog
from lakehouse.tables.contract import Contract, Field
from lakehouse.tables.declare import mart, raw
from lakehouse.transform.make import make

_AGAIN = 5
QUESTIONS = (
    """
    SELECT l_returnflag, l_linestatus, sum(l_quantity), avg(l_discount), count(*) FROM lineitem
    WHERE l_shipdate <= DATE '1998-09-02' GROUP BY ALL ORDER BY ALL
    """,
    """
    SELECT l_partkey, sum(l_quantity) AS units FROM lineitem
    GROUP BY ALL ORDER BY units DESC, l_partkey LIMIT 10
    """,
    """
    SELECT count(*), sum(l_extendedprice) FROM lineitem
    WHERE l_shipdate = DATE '1996-03-13' AND l_shipmode = 'RAIL'
    """,
    """
    SELECT month, sum(revenue) FROM shipped_months GROUP BY ALL ORDER BY month
    """,
    """
    SELECT l_returnflag, sum(quantity), sum(revenue), sum(lines) FROM shipped_months
    WHERE month >= DATE '1994-01-01' AND month < DATE '1995-01-01'
    GROUP BY ALL ORDER BY l_returnflag
    """,
)
"""Of TPC-H line items: query 1, the top parts, a day; of their mart: all months, and a year."""
TABLES = {"lineitem": "staged/lineitem", "shipped_months": "marts/shipped_months"}
"""What the questions are put to, and its name in the lake."""

Ask = Callable[[str], Iterable[Any]]


class ShippedMonth(Contract):
    """What was shipped in a month, by return flag."""

    month: date = Field()
    l_returnflag: str = Field()
    quantity: float = Field(gt=0)
    revenue: float = Field(gt=0)
    lines: pl.Int64 = Field(ge=1)

    class Table:
        key = ("month", "l_returnflag")
        event_time = "month"
        counts = "lines"


raw_lineitem = raw("lineitem", "The generated file.", columns=tuple(lineitem.SCHEMA))


@mart(ShippedMonth)
def shipped_months(lineitem: pl.LazyFrame) -> pl.LazyFrame:
    """Quantity and revenue by month and return flag."""
    return lineitem.group_by(
        month=pl.col("l_shipdate").dt.truncate("1mo"), l_returnflag="l_returnflag"
    ).agg(
        quantity=pl.col("l_quantity").sum(),
        revenue=pl.col("l_extendedprice").sum(),
        lines=pl.len().cast(pl.Int64),
    )


def fill(folder: Path, scale: float) -> None:
    """Fills a lake with line items and their mart, and writes the same rows as Parquet files.

    There are two files for each table: one with the default compression of Polars, one with that of
    the lake.
    """
    lake, staged = Lake(str(folder / "lake")), lineitem.table()
    lineitem.ours(generate_line_items(scale), Path(lake.root))
    make(
        lake,
        Catalog({table.name: table for table in (raw_lineitem, staged, shipped_months)}),
        shipped_months.name,
    )
    for compression in ("zstd", "snappy"):
        (folder / compression).mkdir()
        for name, table in TABLES.items():
            rows = lake.scan(table).select(pl.exclude("^_.*$"))
            rows.sink_parquet(folder / compression / f"{name}.parquet", compression=compression)


def ask_lake(folder: Path, stack: ExitStack) -> Ask:
    """Opens the views of `lakehouse sql`."""
    connection = stack.enter_context(open_sql(Lake(str(folder / "lake"))))
    connection.execute("SET search_path = 'staged,marts'")
    return lambda question: connection.execute(question).fetchall()


def ask_duckdb(folder: Path, stack: ExitStack, compression: str = "zstd") -> Ask:
    """Opens DuckDB on the files."""
    connection = stack.enter_context(duckdb.connect())
    for name in TABLES:
        connection.execute(
            f"CREATE VIEW {name} AS SELECT * FROM '{folder / compression / name}.parquet'"
        )
    return lambda question: connection.execute(question).fetchall()


def ask_polars(folder: Path, _: ExitStack) -> Ask:
    """Opens Polars' SQL on the files."""
    context = pl.SQLContext(
        {name: pl.scan_parquet(folder / "zstd" / f"{name}.parquet") for name in TABLES}
    )
    return lambda question: context.execute(question).collect(engine="streaming").rows()


WAYS = {
    "ours": ask_lake,
    "duckdb on parquet": ask_duckdb,
    "duckdb on parquet, snappy": partial(ask_duckdb, compression="snappy"),
    "polars on parquet": ask_polars,
}


def one(way: str, folder: Path, target: Path, *, is_warm: bool) -> None:
    """Asks all questions, once cold or several times warm; prints seconds and keeps answers."""
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
    (target / "answers.json").write_text(
        json.dumps([[list(map(_plain, row)) for row in rows] for rows in answers])
    )
    print(json.dumps({"seconds": seconds}))


def _plain(value: object) -> object:
    """Returns a value in a common form: cents, means in millionths, days as text."""
    return (
        round(value, 2 if abs(value) >= 1 else 6) if isinstance(value, int | float) else str(value)
    )


def outcome(_way: str, _step: str, folder: Path) -> str:
    """Returns all columns of all answers, each in the row order of its question."""
    return (folder / "answers.json").read_text()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--way", choices=list(WAYS))
    parser.add_argument("--home", type=Path)
    parser.add_argument("--target", type=Path)
    parser.add_argument("--warm", action="store_true")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    if given.way:
        one(given.way, given.home, given.target, is_warm=given.warm)
        return
    OUT.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=OUT, prefix="query-") as home:
        fill(Path(home), given.scale)
        side_by_side(work(Path(home), given.scale), given.rounds)


def work(home: Path, scale: float) -> Work:
    """Returns the bench of each way, cold and warm."""
    asked = {way: ("--way", way, "--home", str(home), "--target", TARGET) for way in WAYS}
    ways = [
        Way(
            way,
            {
                "cold": module("bench.query", *given),
                "warm": module("bench.query", *given, "--warm"),
            },
        )
        for way, given in asked.items()
    ]
    title = f"five questions in SQL to TPC-H line items and a mart of them, scale factor {scale:g}"
    pairs = [((step, "ours"), (step, "duckdb on parquet, snappy")) for step in ("cold", "warm")]
    return Work("query", title, ways, "duckdb on parquet", outcome, pairs=pairs, is_apart=True)


if __name__ == "__main__":
    main()
