"""A world of price lists and sales: readers of a history and of latest prices, and an independent computation in plain Python."""

from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import cache
from random import Random

import polars as pl
from polars import LazyFrame, col
from support.worlds import NOW, catalog_of, land_all, write

from lakehouse.calendar import Daily, Days, Monthly
from lakehouse.environment import Environment
from lakehouse.tables.as_of_join import join_as_of
from lakehouse.tables.casting import cast
from lakehouse.tables.catalog import Catalog
from lakehouse.tables.contract import Contract, Field
from lakehouse.tables.declare import mart, raw, sql_mart, staged
from lakehouse.tables.table_types import AsOf
from lakehouse.transform.make import make

JUNE, MONTHS = Daily(date(2024, 6, 1)), Monthly(date(2024, 6, 1))
FACTS = {"key": ("sku",), "sequence": ("at",), "max_quarantined": 1.0}
BY_SKU = AsOf("valid_from", by="sku")
SKUS = "abc"
HOURS = [f"2024-06-{day:02} {hour:02}:00" for day in range(1, 13) for hour in (6, 18)]
READERS = ("valued", "in_spans", "three_days", "months", "queried", "latest_valued")
"""The marts: by key and without, looking back, by month, in SQL, and of the latest prices."""


WORTH = {"worth": col("price").fill_null(0).sum(), "lines": pl.len().cast(pl.Int64)}


def contract(
    name: str, columns: dict[str, object], facts: dict[str, object], **fields: object
) -> type[Contract]:
    body = {"__annotations__": columns, "__doc__": name, "__module__": __name__, **fields}
    return type(name, (Contract,), {**body, "Table": type("Table", (), facts)})


def valued(sales: LazyFrame, prices: LazyFrame) -> LazyFrame:
    """Sales at the price of their moment."""
    return join_as_of(sales, prices, on="sku", at="at", columns={"price": "price"})


def in_spans(sales: LazyFrame, prices: LazyFrame) -> LazyFrame:
    """The same, without declaring how prices are looked up."""
    return join_as_of(sales, prices, on="sku", at="at", columns={"price": "price"})


def three_days(sales: LazyFrame, prices: LazyFrame) -> LazyFrame:
    """The value of the sales of three days."""
    days = valued(sales, prices).group_by("sold_on").agg(**WORTH).sort("sold_on")
    return days.with_columns(worth=col("worth").rolling_sum_by("sold_on", "3d"))


def months(sales: LazyFrame, prices: LazyFrame) -> LazyFrame:
    """The value of the sales of a month."""
    return valued(sales, prices).group_by(col("sold_on").dt.month_start()).agg(**WORTH)


def queried() -> str:
    """The value of the sales of a day, by a query."""
    return """SELECT sold_on, CAST(coalesce(sum(price), 0) AS BIGINT) AS worth, count(*) AS lines
              FROM sales LEFT JOIN prices ON sales.sku = prices.sku AND sales."at" >= valid_from
                   AND (valid_to IS NULL OR sales."at" < valid_to)
              GROUP BY ALL"""


def latest_valued(sales: LazyFrame, latest: LazyFrame) -> LazyFrame:
    """Sales at the latest price of all, from the moment of that price."""
    priced = sales.join(latest.select("sku", since="at", price="price"), on="sku", how="left")
    return priced.with_columns(price=pl.when(col("since") <= col("at")).then("price")).drop("since")


@cache
def prices(
    moment: object = date,
    *,
    partial: bool = False,
    readers: tuple[str, ...] = READERS,
    zone: str = "UTC",
) -> Catalog:
    """Prices with their history by a kind of moment, sales, and the value of sales at the price of their moment."""
    june = replace(JUNE, timezone=zone)
    price = {"sku": str, "at": moment, "price": pl.Int64}
    sale = {"sku": str, "at": moment, "sold_on": date}
    by_day = {"date_column": "sold_on", "max_quarantined": 1.0}
    instant = col("at").str.to_datetime(
        "%Y-%m-%d %H:%M", strict=False, time_unit="us", time_zone="UTC"
    )
    at = instant.dt.date() if moment is date else instant
    day = instant.dt.convert_time_zone(zone).dt.date()

    def prices(raw_prices: LazyFrame) -> LazyFrame:
        """Prices."""
        return cast(raw_prices, at=at, price=col("price").cast(pl.Int64, strict=False))

    def latest(raw_prices: LazyFrame) -> LazyFrame:
        """Latest prices."""
        return cast(raw_prices, at=at, price=col("price").cast(pl.Int64, strict=False))

    def sales(raw_sales: LazyFrame) -> LazyFrame:
        """Sales."""
        return cast(raw_sales, at=at, sold_on=day)

    valued_sale = contract(
        "Valued", {**sale, "price": pl.Int64}, by_day, price=Field(nullable=True)
    )
    total = contract(
        "Total",
        {"sold_on": date, "worth": pl.Int64, "lines": pl.Int64},
        {**by_day, "counts": "lines"},
    )
    events = contract("Price", price, FACTS, price=Field(nullable=True))
    folded, by_key = {"deletes": col("op") == "d", "partial": partial}, {"prices": BY_SKU}
    marts = {
        "valued": mart(valued_sale, partitions=june, as_of=by_key)(valued),
        "in_spans": mart(valued_sale, partitions=june, as_of={"prices": "valid_from"})(in_spans),
        "three_days": mart(total, partitions=june, lookback=2, as_of=by_key)(three_days),
        "months": mart(total, partitions=MONTHS, as_of=by_key)(months),
        "queried": sql_mart(total, reads=("sales", "prices"), partitions=june, as_of=by_key)(
            queried
        ),
        "latest_valued": mart(valued_sale, partitions=june, as_of={"latest": AsOf("at", by="sku")})(
            latest_valued
        ),
    }
    return catalog_of(
        raw_prices=raw("prices", "Prices.", columns=("sku", "at", "price", "op")),
        raw_sales=raw("sales", "Sales.", columns=("sku", "at"), day=day),
        prices=staged(events, mode="history", **folded)(prices),
        latest=staged(events, mode="upsert", tombstone_retention=timedelta(days=1), **folded)(
            latest
        ),
        sales=staged(contract("Sale", sale, by_day), partitions=june)(sales),
        **{name: marts[name] for name in readers},
    )


@dataclass
class Deliveries:
    """The deliveries, in order, and the rows that are expected from them.

    Attributes:
        events: file by file, each event as `(sku, at, price, op)`.
        sold: file by file, each sale as `(sku, at)`.
        is_by_date: whether only the day of a moment counts.
        is_partial: whether an event without a price keeps the one from before.
    """

    is_by_date: bool = True
    is_partial: bool = False
    events: list[tuple[str, str, str, str]] = field(default_factory=list)
    sold: list[tuple[str, str]] = field(default_factory=list)
    files: int = 0

    def price(self, here: Environment, *events: tuple[str, str, str, str]) -> None:
        """Delivers a file of events."""
        self.events += events
        self._write(here, "prices", "sku,at,price,op\n", events)

    def sell(self, here: Environment, *sales: tuple[str, str]) -> None:
        """Delivers a file of sales."""
        self.sold += sales
        self._write(here, "sales", "sku,at\n", sales)

    def _write(
        self, here: Environment, table: str, header: str, rows: tuple[tuple[str, ...], ...]
    ) -> None:
        """Delivers a file; its name is its turn, and no two hold the same bytes."""
        self.files += 1
        no_sku = (
            ("", HOURS[0], f"{self.files}", "u") if table == "prices" else ("", f"{self.files}")
        )
        text = "".join(f"{','.join(row)}\n" for row in (*rows, no_sku))
        write(here, table, f"{self.files:03}.csv", header + text)

    def moment(self, at: str) -> str:
        """Returns a moment, or only its day if nothing else counts."""
        return at[:10] if self.is_by_date else at

    def known_at(self, sku: str, at: str | None = None) -> tuple[str, int | None] | None:
        """Returns the price of an article at a moment, the latest by default, and since when it is valid."""
        known: tuple[str, int | None] | None = None
        own = (event for event in self.events if event[0] == sku)
        for _, since, price, op in sorted(own, key=lambda event: self.moment(event[1])):
            if at is None or self.moment(since) <= self.moment(at):
                kept = known[1] if known and self.is_partial else None
                known = None if op == "d" else (since, int(price) if price else kept)
        return known

    def price_at(self, sku: str, at: str) -> int | None:
        """The price of an article at a moment."""
        known = self.known_at(sku, at)
        return known[1] if known else None

    def latest_at(self, sku: str, at: str) -> int | None:
        """The latest price of all, if it was known by then."""
        known = self.known_at(sku)
        return known[1] if known and self.moment(known[0]) <= self.moment(at) else None

    def worth(self, days: set[date]) -> tuple[int, int]:
        """The value of the sales of some days, and how many they are."""
        sold = [(sku, at) for sku, at in self.sold if day(at) in days]
        return sum(self.price_at(*sale) or 0 for sale in sold), len(sold)

    def expected(self) -> dict[str, list[tuple[object, ...]]]:
        """The expected rows of each mart."""
        valued = sorted(((sku, day(at), self.price_at(sku, at)) for sku, at in self.sold), key=str)
        latest = sorted(((sku, day(at), self.latest_at(sku, at)) for sku, at in self.sold), key=str)
        days = sorted({day(at) for _, at in self.sold})
        by_day = [(one, *self.worth({one})) for one in days]
        back = {one: {date.fromordinal(one.toordinal() - n) for n in range(3)} for one in days}
        three = [(one, self.worth(back[one])[0], self.worth({one})[1]) for one in days]
        month = [(JUNE.first, *self.worth(set(days)))] if days else []
        return {
            "valued": valued,
            "in_spans": valued,
            "three_days": three,
            "months": month,
            "queried": by_day,
            "latest_valued": latest,
        }

    def changed_since(self, earlier: "Deliveries") -> set[date]:
        """The days on which an article was sold whose price at some moment has changed."""
        moments = sorted({at for _, at, _, _ in self.events})
        return {
            on
            for sku, on in {(sku, day(at)) for sku, at in self.sold}
            for at in (f"{on} 00:00", *(at for at in moments if day(at) == on))
            if _price(self.known_at(sku, at)) != _price(earlier.known_at(sku, at))
        }


def _price(known: tuple[str, int | None] | None) -> tuple[int | None] | None:
    return (known[1],) if known else None


def day(at: str) -> date:
    return date.fromisoformat(at[:10])


def read_marts(here: Environment) -> dict[str, list[tuple[object, ...]]]:
    """The rows of each mart."""
    return {name: read_rows(here, name) for name in READERS}


def read_rows(here: Environment, name: str) -> list[tuple[object, ...]]:
    if here.lake.version(f"marts/{name}") is None:
        return []
    columns = (
        ("sku", "sold_on", "price")
        if name in ("valued", "in_spans", "latest_valued")
        else ("sold_on", "worth", "lines")
    )
    rows = here.lake.scan(f"marts/{name}").select(columns).collect().rows()
    return sorted(rows, key=str) if columns[0] == "sku" else sorted(rows)


def deliver_something(here: Environment, delivered: Deliveries, random: Random) -> None:
    """Delivers a file: events, late ones and deletes among them, or sales."""
    if random.random() < 0.4:
        delivered.sell(
            here,
            *((random.choice(SKUS), random.choice(HOURS)) for _ in range(random.randint(1, 4))),
        )
        return
    events = [
        (
            random.choice(SKUS),
            random.choice(HOURS),
            random.choice(["", "1", "2", "3"]),
            random.choice("uuuud"),
        )
        for _ in range(random.randint(1, 3))
    ]
    delivered.price(here, *events)


def make_some(here: Environment, random: Random, share: float = 1.0) -> None:
    """Lands what was delivered, and makes stale parts in any order: all of them, or at random fewer."""
    land_all(here)
    made: set[tuple[object, ...]] = set()
    while parts := [
        part
        for part in here.create_planner().find_stale_tables()
        if (part, *versions(here)) not in made
    ]:
        if random.random() > share:
            return
        part = random.choice(parts)
        made.add((part, *versions(here)))
        spans = part.spans or (None,)
        at_once = [Days(part.spans[0].first, part.spans[-1].last)] if part.spans else spans
        for days in random.choice([spans, at_once, at_once]):
            make(here.lake, here.catalog, part.table, days, now=NOW)


def versions(here: Environment) -> list[int | None]:
    """The version of each table."""
    return [here.lake.version(name) for name in here.catalog.tables]
