"""Orders that change: a raw table of events, folded as upserts and as histories, and the same by delta-rs alone."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
from deltalake import DeltaTable
from polars import LazyFrame, col

from lakehouse.audit import Audit
from lakehouse.contract import Contract, Field
from lakehouse.lake import Lake
from lakehouse.publish import publish
from lakehouse.rules import cast
from lakehouse.sheet import Sheet
from lakehouse.tables import ORIGIN, raw, staged

CHANGED, NEW = 0.01, 0.003
_NOW = datetime(2025, 1, 1, tzinfo=UTC)
_ROWS_AT_ONCE = 1_500_000


class Order(Contract):
    """What is known of one order, since a day."""

    order_id: pl.Int64
    changed_on: date
    status: str
    amount: float = Field(ge=0)
    remark: str

    class Table:
        key = ("order_id",)
        sequence = ("changed_on",)


raw_orders = raw("orders", "Changes of orders.", columns=("order_id", "changed_on", "status", "amount", "remark"))


def typed(raw_orders: LazyFrame) -> LazyFrame:
    """Changes with their types."""
    return cast(
        raw_orders,
        order_id=col("order_id").cast(pl.Int64, strict=False),
        changed_on=col("changed_on").str.to_date("%Y-%m-%d", strict=False),
        amount=col("amount").cast(pl.Float64, strict=False),
    )


@staged(Order, mode="upsert")
def orders(raw_orders: LazyFrame) -> LazyFrame:
    """The latest of each order."""
    return typed(raw_orders)


@staged(Order, mode="history")
def order_versions(raw_orders: LazyFrame) -> LazyFrame:
    """All versions of each order."""
    return typed(raw_orders)


def events(first: int, count: int, step: int, day: int) -> pl.LazyFrame:
    """Changes of every `step`-th order from `first` on, all of one day, as they are received."""
    number = first + pl.int_range(count, eager=True) * step
    text = pl.col("n") * 7919 % 1_000_003
    return pl.LazyFrame({"n": number}).select(
        pl.col("n").cast(pl.String).alias("order_id"),
        pl.lit(str(date(2024, 1, 1) + timedelta(days=day))).alias("changed_on"),
        (pl.lit("status ") + ((pl.col("n") + day) % 5).cast(pl.String)).alias("status"),
        (text / 100).cast(pl.String).alias("amount"),
        (pl.lit("carefully packed, order clerk ") + text.cast(pl.String)).alias("remark"),
        pl.lit(f"{day}-{first}.csv#{day}").alias("_source"),
        pl.int_range(1, pl.len() + 1).alias("_offset"),
        pl.lit(_NOW, dtype=ORIGIN["_modified_at"]).alias("_modified_at"),
        pl.lit("bench").alias("_batch_id"),
        pl.lit(_NOW, dtype=ORIGIN["_ingested_at"]).alias("_ingested_at"),
    )


def append(lake: Lake, rows: pl.LazyFrame) -> None:
    """Add raw rows, as landing would."""
    name = raw_orders.name
    publish(lake, Sheet(name, rows, "append"), lambda f: Audit(name, "append", read=f.rows, written=f.rows))


def fill(lake: Lake, rows: int) -> None:
    """A raw table with one event of each order."""
    for first in range(0, rows, _ROWS_AT_ONCE):
        append(lake, events(first, min(_ROWS_AT_ONCE, rows - first), 1, 0))


def increment(lake: Lake, rows: int, day: int) -> None:
    """One in a hundred orders changes, strewn over all of them, and some are new."""
    append(lake, events(day % 100, int(rows * CHANGED), int(1 / CHANGED), day))
    append(lake, events(rows + day * int(rows * NEW), int(rows * NEW), 1, day))


def merge(target: str, rows: int, day: int) -> None:
    """The same increment by delta-rs' own merge, unaudited."""
    changed = [events(day % 100, int(rows * CHANGED), int(1 / CHANGED), day)]
    changed.append(events(rows + day * int(rows * NEW), int(rows * NEW), 1, day))
    names = list(Order.to_schema().columns)
    source = typed(pl.concat(changed)).select(names).collect()
    table = DeltaTable(target)
    merging = table.merge(source, "t.order_id = s.order_id", source_alias="s", target_alias="t")
    merging.when_matched_update_all().when_not_matched_insert_all().execute()
