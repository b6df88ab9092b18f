"""A shop of a few lines: small tables that law tests declare and attack, and the files that it delivers."""

import json
import sys
from collections.abc import Callable
from datetime import date
from functools import cache
from pathlib import Path

import polars as pl
from polars import LazyFrame, col
from polars.testing import assert_frame_equal
from support.worlds import NOW, catalog_of, in_state, world, write

from lakehouse.calendar import Daily, Days
from lakehouse.environment import Environment
from lakehouse.ingest.land import land
from lakehouse.operations.replay import replay
from lakehouse.tables.casting import cast
from lakehouse.tables.catalog import Catalog
from lakehouse.tables.contract import Contract, Field
from lakehouse.tables.declare import mart, raw, staged
from lakehouse.transform.make import make

JUNE = Daily(date(2024, 6, 1))
HEADER = "id,sold_on,shop,amount"


class Sale(Contract):
    """One sale."""

    id: pl.Int64
    sold_on: date
    shop: str
    amount: float = Field(ge=0)

    class Table:
        date_column = "sold_on"
        max_quarantined = 0.5


class ShopDay(Contract):
    """Sales of a shop on a day."""

    sold_on: date
    shop: str
    amount: float = Field(allow_inf=True)  # which the rule of the table refuses
    sales: pl.Int64

    class Table:
        key = ("sold_on", "shop")
        date_column = "sold_on"
        counts = "sales"
        max_quarantined = 0.0
        rules = {"amounts are finite": pl.col("amount").is_finite().all()}  # noqa: RUF012


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
raw_shops = raw("shops", "Shops and where they are.", columns=("shop", "town"))


def typed(raw_sales: LazyFrame) -> LazyFrame:
    """Sales with their types."""
    return cast(
        raw_sales,
        id=col("id").cast(pl.Int64, strict=False),
        sold_on=col("sold_on").str.to_date("%Y-%m-%d", strict=False),
        amount=col("amount").cast(pl.Float64, strict=False),
    )


def by_day(sales: LazyFrame) -> LazyFrame:
    """Sales by shop and day."""
    return sales.group_by("sold_on", "shop").agg(
        amount=col("amount").sum(), sales=pl.len().cast(pl.Int64)
    )


@staged(Sale, partitions=JUNE, distinct=tuple(raw_sales.columns))
def sales(raw_sales: LazyFrame) -> LazyFrame:
    """Typed sales; a repeated line is superseded."""
    return typed(raw_sales)


@mart(ShopDay, partitions=JUNE)
def shop_days(sales: LazyFrame) -> LazyFrame:
    """Sales by shop and day."""
    return by_day(sales)


@mart(Shop)
def shops(sales: LazyFrame) -> LazyFrame:
    """Sales by shop."""
    return sales.group_by("shop").agg(amount=col("amount").sum(), sales=pl.len().cast(pl.Int64))


@cache
def till() -> Catalog:
    """Sales, by day, and by shop."""
    return catalog_of(
        raw_sales=raw_sales, raw_shops=raw_shops, sales=sales, shop_days=shop_days, shops=shops
    )


def with_sales(transform: Callable[..., LazyFrame], **declared: object) -> Catalog:
    """The till with another way to the staged sales."""
    transform.__name__ = "sales"
    mutant = staged(Sale, **{"partitions": JUNE, **declared})(transform)
    return catalog_of(raw_sales=raw_sales, raw_shops=raw_shops, sales=mutant)


def with_days(
    transform: Callable[..., LazyFrame], contract: type[Contract] = ShopDay, **declared: object
) -> Catalog:
    """The till with another way to the sales by day."""
    transform.__name__ = "shop_days"
    mutant = mart(contract, **{"partitions": JUNE, **declared})(transform)
    return catalog_of(raw_sales=raw_sales, raw_shops=raw_shops, sales=sales, shop_days=mutant)


def june(day: int) -> date:
    """A day of June 2024."""
    return date(2024, 6, day)


def only(day: int, last: int | None = None) -> Days:
    """Some days of June 2024."""
    return Days(june(day), june(last or day))


def lines(day: int, *amounts: object, first: int = 1, shop: str = "north") -> str:
    """Lines of a day, one for each amount, numbered from `first`."""
    return "".join(f"{first + n},{june(day)},{shop},{amount}\n" for n, amount in enumerate(amounts))


def sell(here: Environment, name: str, *days: str) -> Path:
    """Deliver a file of lines."""
    return write(here, "sales", f"{name}.csv", f"{HEADER}\n{''.join(days)}")


def take(here: Environment, table: str = "raw/sales") -> None:
    """Land one table's files."""
    land(here.lake, here.landing, here.catalog[table], now=NOW)


def redo(here: Environment, name: str, days: Days | None = None, **asked: object) -> object:
    """Make a table by the tests' clock."""
    return make(here.lake, here.catalog, name, days, now=NOW, **asked)


def rows(here: Environment, table: str) -> list[tuple[object, ...]]:
    """A table's rows without the engine's columns, sorted; of a quarantine the open ones."""
    frame = in_state(here, table)
    return sorted(
        frame.select(name for name in frame.columns if not name.startswith("_")).rows(), key=str
    )


def same_tables(one: Environment, other: Environment) -> None:
    """Staged and mart tables hold the same rows; sums of floats may differ by the order in which they were added."""
    names = [name for name in one.lake.tables() if name.startswith(("staged/", "marts/"))]
    assert names == [name for name in other.lake.tables() if name.startswith(("staged/", "marts/"))]
    for name in names:
        assert_frame_equal(_sorted(one, name), _sorted(other, name), rel_tol=1e-9, abs_tol=1e-6)


def _sorted(here: Environment, name: str) -> pl.DataFrame:
    frame = here.lake.scan(name).select(pl.exclude("^_.*$")).collect()
    floats = [column for column, dtype in frame.schema.items() if dtype.is_float()]
    return frame.sort(
        [*(column for column in frame.columns if column not in floats), *floats], nulls_last=True
    )


def files_of(here: Environment, table: str) -> set[str]:
    """Every data file in a table's folder, committed or not."""
    folder = Path(here.lake.uri(table))
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*.parquet")
        if "_delta_log" not in path.parts
    }


def live_files(here: Environment, table: str) -> set[str]:
    """The data files that readers see."""
    handle = here.lake.open(table)
    return (
        set() if handle is None else set(pl.DataFrame(handle.get_add_actions(flatten=True))["path"])
    )


def main(folder: str, steps: str) -> None:
    """Runs some steps in a process of its own: a table to make, with two days for a part of it, or a replay."""
    here = world(Path(folder), till())
    for name, *days in json.loads(steps):
        if name.startswith("replay "):
            replay(here, name.removeprefix("replay "), now=NOW)
        elif name.startswith("raw/"):
            take(here, name)
        else:
            redo(here, name, only(*days) if days else None)


if __name__ == "__main__":
    main(*sys.argv[1:])
