"""What each way of publishing has left in its folder, so that only equal results are compared.

Belongs here: where the ways put their tables, and reading them. Does not belong here: the ways.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import duckdb
import polars as pl
from deltalake import DeltaTable

PLACES = {
    "ours": ("staged/lineitem", "quarantine/staged_lineitem"),
    "dlt arrow": ("public/lineitem", "public/lineitem_rejected"),
    "dlt rows": ("public/lineitem", "public/lineitem_rejected"),
    "dagster-polars": ("lineitem.delta", "lineitem_rejected.delta"),
    "dagster-deltalake-polars": ("public/lineitem", "public/lineitem_rejected"),
}
"""The Delta tables of the valid and of the rejected rows, by way."""
RULES = """
    l_orderkey > 0 and l_partkey > 0 and l_linenumber between 1 and 7 and l_quantity between 1 and 50
    and l_extendedprice < 104500 and l_discount between 0 and 0.1::double and l_tax >= 0
    and l_returnflag in ('A', 'N', 'R')
    and l_shipmode in ('AIR', 'FOB', 'MAIL', 'RAIL', 'REG AIR', 'SHIP', 'TRUCK')
    and l_suppkey is not null and l_linestatus is not null and l_shipdate is not null and l_commitdate is not null
    and l_receiptdate is not null and l_shipinstruct is not null and l_comment is not null
"""


class Published(NamedTuple):
    """Rows that hold and rows that do not; of those that hold the sums of the order keys and of the prices, cents."""

    valid: int
    rejected: int
    orderkeys: int
    cents: int


def published_from(csv: Path) -> Callable[[str, str, Path], Published]:
    """Tells what a way has published from a file.

    Ways without rules write every row. If they did, they are taken to agree with what DuckDB finds in the file, so that
    every other way has to.
    """
    asked = _asked(csv)

    def outcome(way: str, _step: str, folder: Path) -> Published:
        if way == "sink_delta":
            return _all_rows(asked, pl.scan_delta(str(folder / "delta")))
        if way.startswith("sink_parquet"):
            return _all_rows(asked, pl.scan_parquet(folder / "lineitem.parquet"))
        if way == "dbt-duckdb":
            return _by_dbt(folder)
        return _in_delta(*(folder / place for place in PLACES[way]))

    return outcome


def _asked(csv: Path) -> Published:
    return _by_duckdb(f"select *, coalesce({RULES}, false) as holds from read_csv('{csv}')")


def _by_dbt(folder: Path) -> Published:
    """What dbt wrote; a table without rows is a row of nulls, which is what its materialization makes of it."""
    valid = f"select *, true as holds from '{folder}/lineitem/*/*.parquet'"
    rejected = f"select *, false as holds from '{folder}/lineitem_rejected.parquet'"
    return _by_duckdb(f"{valid} union all by name {rejected} where l_shipdate is not null or l_orderkey is not null")


def _by_duckdb(query: str) -> Published:
    sums = "sum(l_orderkey)::bigint, sum(round(l_extendedprice * 100)::bigint)::bigint"
    found = duckdb.sql(f"with rows as ({query}) select count(*), {sums} from rows where holds").fetchone()
    rejected = duckdb.sql(f"select count(*) from ({query}) where not holds").fetchone()
    assert found is not None
    assert rejected is not None
    return Published(found[0], rejected[0], found[1], found[2])


def _in_delta(valid: Path, rejected: Path) -> Published:
    cents = (pl.col("l_extendedprice") * 100).round().cast(pl.Int64).sum()
    rows, keys, prices = (
        pl.scan_delta(str(valid)).select(pl.len(), pl.col("l_orderkey").sum(), cents).collect(engine="streaming").row(0)
    )
    refused = _count(pl.scan_delta(str(rejected))) if DeltaTable.is_deltatable(str(rejected)) else 0
    return Published(rows, refused, keys, prices)


def _all_rows(asked: Published, written: pl.LazyFrame) -> Published:
    count = _count(written)
    return asked if count == asked.valid + asked.rejected else Published(count, 0, 0, 0)


def _count(lf: pl.LazyFrame) -> int:
    return int(lf.select(pl.len()).collect().item())
