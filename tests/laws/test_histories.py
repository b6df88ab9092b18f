"""Readers of a history by date: what they join is what held, and every day on which that changed is made again."""

from datetime import date
from pathlib import Path
from random import Random

import polars as pl
import pytest
from polars import LazyFrame, col
from support.worlds import NOW, bring_up_to_date, catalog_of, world, write

from lakehouse.catalog import Catalog
from lakehouse.contract import Contract, Field, Instant
from lakehouse.environment import Environment
from lakehouse.history import join_as_of
from lakehouse.make import make
from lakehouse.rules import cast
from lakehouse.tables import mart, raw, staged
from lakehouse.windows import Daily

JUNE = Daily(date(2024, 6, 1))
FACTS = {"key": ("sku",), "sequence": ("at",), "max_quarantined": 1.0}


def prices(moment: object) -> Catalog:
    """Prices with their history by a kind of moment, sales, and sales at the price of their moment."""

    def contract(name: str, columns: dict[str, object], facts: dict[str, object], **fields: object) -> type[Contract]:
        body = {"__annotations__": columns, "__doc__": name, "__module__": __name__, **fields}
        return type(name, (Contract,), {**body, "Table": type("Table", (), facts)})

    price = {"sku": str, "at": moment, "price": pl.Int64}
    sale = {"sku": str, "at": moment, "sold_on": date}
    by_day = {"window": "sold_on", "max_quarantined": 1.0}
    instant = col("at").str.to_datetime("%Y-%m-%d %H:%M", strict=False, time_unit="us", time_zone="UTC")
    at = instant.dt.date() if moment is date else instant
    day = col("at").str.head(10).str.to_date(strict=False)

    def prices(raw_prices: LazyFrame) -> LazyFrame:
        """Prices."""
        return cast(raw_prices, at=at, price=col("price").cast(pl.Int64, strict=False))

    def sales(raw_sales: LazyFrame) -> LazyFrame:
        """Sales."""
        return cast(raw_sales, at=at, sold_on=day)

    def valued(sales: LazyFrame, prices: LazyFrame) -> LazyFrame:
        """Sales at the price of their moment."""
        return join_as_of(sales, prices, on="sku", at="at", take={"price": "price"})

    valued_sale = contract("Valued", {**sale, "price": pl.Int64}, by_day, price=Field(nullable=True))
    return catalog_of(
        raw_prices=raw("prices", "Prices.", columns=("sku", "at", "price")),
        raw_sales=raw("sales", "Sales.", columns=("sku", "at"), day=day),
        prices=staged(contract("Price", price, FACTS), mode="history")(prices),
        sales=staged(contract("Sale", sale, by_day), partitions=JUNE)(sales),
        valued=mart(valued_sale, partitions=JUNE, as_of={"prices": "valid_from"})(valued),
    )


def valued(here: Environment) -> list[tuple[object, ...]]:
    return sorted(here.lake.scan("marts/valued").select("sku", "at", "price").collect().rows())


@pytest.mark.parametrize("moment", [date, Instant], ids=["by date", "by instant"])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_changed_past_makes_its_days_again(tmp_path: Path, moment: object, seed: int):
    random, here = Random(seed), world(tmp_path, prices(moment))
    hours = [f"2024-06-{day:02} {hour:02}:00" for day in range(1, 10) for hour in (6, 18)]
    write(here, "sales", "all.csv", "sku,at\n" + "".join(f"{sku},{hour}\n" for sku in "ab" for hour in hours))
    for number in range(5):
        events = [(random.choice("ab"), random.choice(hours), random.randint(1, 3)) for _ in range(3)]
        text = "".join(f"{sku},{at},{price}\n" for sku, at, price in events)
        write(here, "prices", f"{number}.csv", f"sku,at,price\n{text}new{number},{hours[0]},1\n")
        bring_up_to_date(here)
    by_increments = valued(here)
    make(here.lake, here.catalog, "staged/prices", now=NOW)
    make(here.lake, here.catalog, "marts/valued", now=NOW)
    assert valued(here) == by_increments
    assert any(price for _, _, price in by_increments)
