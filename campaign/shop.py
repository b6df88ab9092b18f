"""A small shop: a table for every way in which rows land, and its deliveries, by seed.

Belongs here: the tables under attack (a new mode is a new table, and steps for it in `steps.py`),
and deliveries, whose records are counted when they are written. Does not belong here: the attacks.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from types import ModuleType

import polars as pl
from polars import LazyFrame, col

from campaign.children import SMALL_LIMITS
from lakehouse.calendar import Daily
from lakehouse.environment import Environment
from lakehouse.ingest.files.landing_zone import Landing
from lakehouse.lineage.staleness import Planner
from lakehouse.storage.lake import Lake
from lakehouse.tables.casting import cast
from lakehouse.tables.catalog import Catalog
from lakehouse.tables.collect import collect_tables
from lakehouse.tables.contract import Contract, Field
from lakehouse.tables.declare import mart, raw, staged

FIRST_DAY, DAYS = date(2024, 5, 25), 14
NOW = datetime(2024, 7, 1, 12, tzinfo=UTC)
"""The present of the campaign; its days run over the end of a month."""

HEADER = "id,sold_on,shop,amount"
_DAILY = Daily(FIRST_DAY)


class Sale(Contract):
    """One sale."""

    id: pl.Int64
    sold_on: date
    shop: str
    amount: float = Field(ge=0)

    class Table:
        date_column = "sold_on"
        max_quarantined = 1.0


class LastSale(Contract):
    """The latest version of a sale."""

    id: pl.Int64
    sold_on: date
    shop: str
    amount: float = Field(ge=0)

    class Table:
        key = ("id",)
        date_column = "sold_on"
        max_quarantined = 1.0


class Shelf(Contract):
    """The state of a shelf after its latest sale; some sales delete it."""

    shelf: str
    sold_on: date
    amount: float = Field(ge=0)

    class Table:
        key = ("shelf",)
        sequence = ("sold_on",)
        max_quarantined = 1.0


class ShopDay(Contract):
    """Sales of a shop on a day."""

    sold_on: date
    shop: str
    amount: float
    sales: pl.Int64

    class Table:
        key = ("sold_on", "shop")
        date_column = "sold_on"
        counts = "sales"
        max_quarantined = 0.0


class Shop(Contract):
    """All sales of a shop."""

    shop: str
    amount: float
    sales: pl.Int64

    class Table:
        key = ("shop",)
        counts = "sales"
        max_quarantined = 0.0


raw_sales = raw(
    "sales",
    "Sales as the till writes them.",
    columns=tuple(HEADER.split(",")),
    day=pl.col("sold_on").str.to_date("%Y-%m-%d", strict=False),
)


def _cast_types(raw_sales: LazyFrame) -> LazyFrame:
    return cast(
        raw_sales,
        id=col("id").cast(pl.Int64, strict=False),
        sold_on=col("sold_on").str.to_date("%Y-%m-%d", strict=False),
        amount=col("amount").cast(pl.Float64, strict=False),
    )


_IS_LAST = col("id") % 7 == 0


@staged(Sale, partitions=_DAILY, distinct=tuple(raw_sales.columns))
def sales(raw_sales: LazyFrame) -> LazyFrame:
    """Typed sales; a repeated line is superseded."""
    return _cast_types(raw_sales)


@staged(LastSale, partitions=_DAILY)
def last_sales(raw_sales: LazyFrame) -> LazyFrame:
    """Typed sales; for each day and number the latest delivery wins."""
    return _cast_types(raw_sales)


def _of_shelf(raw_sales: LazyFrame) -> LazyFrame:
    typed = _cast_types(raw_sales)
    return typed.with_columns(
        shelf=pl.concat_str("shop", (col("id") % 5).cast(pl.String), separator=" ")
    )


@staged(Shelf, mode="upsert", deletes=_IS_LAST, tombstone_retention=timedelta(days=1))
def shelves(raw_sales: LazyFrame) -> LazyFrame:
    """The current shelves."""
    return _of_shelf(raw_sales)


@staged(Shelf, mode="history", deletes=_IS_LAST)
def shelf_versions(raw_sales: LazyFrame) -> LazyFrame:
    """All versions of the shelves."""
    return _of_shelf(raw_sales)


@mart(ShopDay, partitions=_DAILY, lookback=1)
def shop_days(sales: LazyFrame) -> LazyFrame:
    """Sales by shop and day."""
    return sales.group_by("sold_on", "shop").agg(
        amount=col("amount").sum(), sales=pl.len().cast(pl.Int64)
    )


@mart(Shop)
def shops(sales: LazyFrame) -> LazyFrame:
    """Sales by shop."""
    return sales.group_by("shop").agg(amount=col("amount").sum(), sales=pl.len().cast(pl.Int64))


def build_catalog() -> Catalog:
    """Builds every table of the shop."""
    module, derived = (
        ModuleType("shop"),
        (sales, last_sales, shelves, shelf_versions, shop_days, shops),
    )
    vars(module).update(
        {"raw_sales": raw_sales, **{table.transform.__name__: table for table in derived}}
    )
    for table in derived:
        table.transform.__module__ = "shop"
    return collect_tables([module])


def open_shop(folder: Path) -> Environment:
    """Opens the shop with its lake and landing in a folder; files count as complete at once."""
    (folder / "landing" / "sales").mkdir(parents=True, exist_ok=True)
    return Environment(
        Lake(str(folder / "lake"), limits=SMALL_LIMITS),
        Landing(str(folder / "landing"), rest_seconds=0),
        build_catalog(),
    )


def create_planner(here: Environment) -> Planner:
    """Returns a planner of stale tables that uses the campaign's clock."""
    return replace(here.create_planner(), now=NOW)


@dataclass(frozen=True)
class Delivery:
    """A file that the shop delivers.

    Attributes:
        name: its name in landing.
        content: its bytes.
        records: how many records it has; None if it must be refused whole.
    """

    name: str
    content: bytes
    records: int | None

    def put(self, folder: Path) -> None:
        """Writes it into the landing zone of a world; it gets its name once it is complete."""
        target = folder / "landing" / "sales" / self.name
        target.parent.mkdir(parents=True, exist_ok=True)
        hidden = target.with_name(f".{self.name}")
        hidden.write_bytes(self.content)
        hidden.rename(target)


def create_deliveries(seed: str, count: int, *, lines: int = 20) -> list[Delivery]:
    """Creates files with repeats, rejects, unparseable records, late rows, copies, a new column."""
    random = Random(f"deliveries {seed}")
    made: list[Delivery] = []
    told: list[str] = []
    for number in range(count):
        if made and random.random() < 0.1:
            made.append(Delivery(f"{seed}-{number:03}-copy.csv", random.choice(made).content, 0))
            continue
        if random.random() < 0.05:
            made.append(
                Delivery(f"{seed}-{number:03}-wrong.csv", f"a,b\n{number},{seed}\n".encode(), None)
            )
            continue
        has_note = random.random() < 0.2
        body = [_line(random, number * 1000 + n, told) for n in range(random.randint(1, lines))]
        told += body
        header = f"{HEADER},note" if has_note else HEADER
        text = "".join(
            f"{line}{',said' if has_note and line.count(',') == 3 else ''}\n"
            for line in (header, *body)
        )
        text = text.replace("amount,said", "amount,note", 1) if has_note else text
        made.append(Delivery(f"{seed}-{number:03}.csv", text.encode(), len(body)))
    return made


def _line(random: Random, number: int, told: list[str]) -> str:
    """Returns a sale; at times a repeat, one that breaks the contract, or no sale at all."""
    kind = random.random()
    if told and kind < 0.15:
        return random.choice(told)
    if kind < 0.2:
        return f"{number},too,short"
    day = date.fromordinal(FIRST_DAY.toordinal() + random.randrange(DAYS))
    amount = random.choice(["-1", "x", ""]) if kind < 0.3 else f"{random.randrange(1, 5000) / 4}"
    when = random.choice(["never", "2019-01-01"]) if kind < 0.22 else str(day)
    return f"{number},{when},{random.choice(['north', 'south', 'east'])},{amount}"


def count_records(delivered: list[Delivery]) -> Iterator[tuple[str, int | None]]:
    """Counts the records of each file that is no copy; raw or dead letters hold each once."""
    seen: set[bytes] = set()
    for one in delivered:
        if one.content not in seen:
            yield one.name, one.records
        seen.add(one.content)
