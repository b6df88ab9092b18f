"""What each way has published into its folder, so that only equal results are compared.

Belongs here: where the ways put their tables, and how they are read. Does not belong here: the
ways.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import duckdb
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
    l_orderkey > 0 and l_partkey > 0 and l_linenumber between 1 and 7
    and l_quantity between 1 and 50
    and l_extendedprice < 104500 and l_discount between 0 and 0.1::double and l_tax >= 0
    and l_returnflag in ('A', 'N', 'R')
    and l_shipmode in ('AIR', 'FOB', 'MAIL', 'RAIL', 'REG AIR', 'SHIP', 'TRUCK')
    and l_suppkey is not null and l_linestatus is not null and l_shipdate is not null
    and l_commitdate is not null
    and l_receiptdate is not null and l_shipinstruct is not null and l_comment is not null
"""
COLUMNS = """
    l_orderkey::bigint, l_partkey::bigint, l_suppkey::bigint, l_linenumber::bigint,
    round(l_quantity * 100)::bigint,
    round(l_extendedprice * 100)::bigint, round(l_discount * 100)::bigint,
    round(l_tax * 100)::bigint,
    l_returnflag::varchar, l_linestatus::varchar, l_shipdate::date, l_commitdate::date,
    l_receiptdate::date,
    l_shipinstruct::varchar, l_shipmode::varchar, l_comment::varchar
"""
"""All columns of a line item as types that are the same by every way; numbers are hundredths."""


class Rows(NamedTuple):
    """The number of rows, and the order-free sum of the hashes of all their columns."""

    count: int
    hashes: int


class Published(NamedTuple):
    """The valid rows, and the rejected rows as received."""

    valid: Rows
    rejected: Rows


def build_reader(csv: Path) -> Callable[[str, str, Path], Published]:
    """Returns a function that reads what a way has published from a file.

    Ways without rules write every row. If they did, their result counts as what DuckDB finds in the
    file, so that every other way must match it.
    """
    lines = f"read_csv('{csv}')"
    asked = Published(
        _rows(f"{lines} where coalesce({RULES}, false)"),
        _rows(f"{lines} where not coalesce({RULES}, false)"),
    )

    def outcome(way: str, _step: str, folder: Path) -> Published:
        if way == "sink_delta":
            return _count_unjudged(asked, _in_delta(folder / "delta"))
        if way.startswith("sink_parquet"):
            return _count_unjudged(asked, _rows(f"'{folder}/lineitem.parquet'"))
        if way == "dbt-duckdb":
            return _by_dbt(folder)
        valid, rejected = (_in_delta(folder / place) for place in PLACES[way])
        return Published(valid, rejected)

    return outcome


def _by_dbt(folder: Path) -> Published:
    """Reads what dbt wrote; its materialization writes one row of nulls for an empty table."""
    rejected = (
        f"'{folder}/lineitem_rejected.parquet' "
        "where l_shipdate is not null or l_orderkey is not null"
    )
    return Published(_rows(f"'{folder}/lineitem/*/*.parquet'"), _rows(rejected))


def _count_unjudged(asked: Published, written: Rows) -> Published:
    """Returns the expected result if every row was written, valid or not."""
    every = Rows(
        asked.valid.count + asked.rejected.count, asked.valid.hashes + asked.rejected.hashes
    )
    return asked if written == every else Published(written, Rows(0, 0))


def _in_delta(table: Path) -> Rows:
    """Counts and hashes the rows of a Delta table; none if it has no file or does not exist."""
    files = DeltaTable(str(table)).file_uris() if DeltaTable.is_deltatable(str(table)) else []
    return _rows(f"read_parquet({files})") if files else Rows(0, 0)


def _rows(source: str) -> Rows:
    with duckdb.connect() as connection:
        asked = f"select count(*), coalesce(sum(hash({COLUMNS})::hugeint), 0) from {source}"
        found = connection.execute(asked).fetchone()
    assert found is not None
    return Rows(*found)
