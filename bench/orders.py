"""Orders that change: events applied as upserts and as histories, and by delta-rs alone.

`python -m bench.orders <way> <home> [file …]` applies one of them in a folder; files are loaded
one after another.
"""

import argparse
import json
import time
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
from deltalake import DeltaTable
from polars import LazyFrame, col

from bench.stood import arrived_in
from lakehouse.publish.audit import Audit
from lakehouse.publish.publish import publish
from lakehouse.publish.request import Append
from lakehouse.storage.lake import Lake
from lakehouse.system_columns import ORIGIN
from lakehouse.tables.casting import cast
from lakehouse.tables.catalog import Catalog
from lakehouse.tables.contract import Contract, Field
from lakehouse.tables.declare import raw, staged
from lakehouse.transform.make import make

ROWS = 1_500_000
CHANGED, NEW = 0.01, 0.003
_NOW = datetime(2025, 1, 1, tzinfo=UTC)
_ROWS_AT_ONCE = ROWS


class Order(Contract):
    """The state of one order from a day on."""

    order_id: pl.Int64
    changed_on: date
    status: str
    amount: float = Field(ge=0)
    remark: str

    class Table:
        key = ("order_id",)
        sequence = ("changed_on",)


raw_orders = raw(
    "orders", "Changes of orders.", columns=("order_id", "changed_on", "status", "amount", "remark")
)


def cast_changes(raw_orders: LazyFrame) -> LazyFrame:
    """Returns changes with their types."""
    return cast(
        raw_orders,
        order_id=col("order_id").cast(pl.Int64, strict=False),
        changed_on=col("changed_on").str.to_date("%Y-%m-%d", strict=False),
        amount=col("amount").cast(pl.Float64, strict=False),
    )


@staged(Order, mode="upsert")
def orders(raw_orders: LazyFrame) -> LazyFrame:
    """The latest of each order."""
    return cast_changes(raw_orders)


@staged(Order, mode="history")
def order_versions(raw_orders: LazyFrame) -> LazyFrame:
    """All versions of each order."""
    return cast_changes(raw_orders)


TABLES = {"upsert": orders, "history": order_versions}
MERGE = "merge"
CATALOG = Catalog({table.name: table for table in (raw_orders, *TABLES.values())})


def events(first: int, count: int, step: int, day: int) -> pl.LazyFrame:
    """Returns changes of every `step`-th order from `first` on, all on one day, as text."""
    number = first + pl.int_range(count, eager=True) * step
    text = (pl.col("n") * 7919 + 31 * day) % 1_000_003
    return pl.LazyFrame({"n": number}).select(
        pl.col("n").cast(pl.String).alias("order_id"),
        pl.lit(str(date(2024, 1, 1) + timedelta(days=day))).alias("changed_on"),
        (pl.lit("status ") + ((pl.col("n") + day) % 5).cast(pl.String)).alias("status"),
        (text / 100).cast(pl.String).alias("amount"),
        (pl.lit("carefully packed, order clerk ") + text.cast(pl.String)).alias("remark"),
    )


def delivery(rows: int, day: int) -> pl.LazyFrame:
    """Returns the orders of a day: all on day 0, later changes of one in a hundred and new ones.

    Two days after another change the same orders, so that a history gets several versions of some.
    """
    if day == 0:
        return events(0, rows, 1, 0)
    new, step = int(rows * NEW), round(1 / CHANGED)
    changed = events((day + 1) // 2 % step, int(rows * CHANGED), step, day)
    return pl.concat([changed, events(rows + (day - 1) * new, new, 1, day)])


def write_delivery(folder: Path, rows: int, day: int) -> Path:
    """Returns the file that arrives on a day; writes it once."""
    file = folder / f"orders-{rows}" / f"{day}.parquet"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        delivery(rows, day).sink_parquet(file)
    return file


def arrive(lake: Lake, file: Path) -> None:
    """Adds the rows of a file to the raw table, as landing would."""
    name, called, arrived = raw_orders.name, file.resolve().name, pl.scan_parquet(file)
    for first in range(0, arrived.select(pl.len()).collect().item(), _ROWS_AT_ONCE):
        rows = arrived.slice(first, _ROWS_AT_ONCE).with_columns(
            pl.lit(f"{called}#{first}").alias("_source"),
            (first + pl.int_range(1, pl.len() + 1)).alias("_offset"),
            pl.lit(_NOW, dtype=ORIGIN["_modified_at"]).alias("_modified_at"),
            pl.lit("bench").alias("_batch_id"),
            pl.lit(_NOW, dtype=ORIGIN["_ingested_at"]).alias("_ingested_at"),
        )
        publish(
            lake,
            Append(name, rows),
            lambda f: Audit(name, "append", read=f.rows, written=f.rows),
        )


def merge(target: Path, file: Path) -> None:
    """Merges the rows of a file by delta-rs, unaudited; Polars writes them to a new table."""
    rows = cast_changes(pl.scan_parquet(file)).select(*Order.to_schema().columns)
    if not DeltaTable.is_deltatable(str(target)):
        rows.sink_delta(str(target))
        return
    merging = DeltaTable(str(target)).merge(
        rows.collect(), "t.order_id = s.order_id", source_alias="s", target_alias="t"
    )
    merging.when_matched_update_all().when_not_matched_insert_all().execute()


def take(way: str, home: Path, files: Sequence[Path]) -> None:
    """Loads files into the table of a way, one after another.

    Args:
        way: a name of `TABLES`, or `merge`.
        home: a folder for the lake, or for the table `plain`.
        files: the deliveries; by default the file that has arrived in the folder.
    """
    lake = Lake(str(home / "lake"))
    for file in files or [arrived_in(home)]:
        if way == MERGE:
            merge(home / "plain", file)
        else:
            arrive(lake, file)
            assert make(lake, CATALOG, TABLES[way].name) is not None


def main() -> None:
    """The command line; prints the seconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("way", choices=[*TABLES, MERGE])
    parser.add_argument("home", type=Path)
    parser.add_argument("files", type=Path, nargs="*")
    given = parser.parse_args()
    started = time.monotonic()
    take(given.way, given.home, given.files)
    print(json.dumps({"seconds": time.monotonic() - started}))


if __name__ == "__main__":
    main()
