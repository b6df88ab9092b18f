"""Tables with keys for law tests, in every way in which events can be applied."""

import os
from collections.abc import Iterable
from datetime import timedelta
from functools import cache
from typing import NamedTuple

import polars as pl
from polars import LazyFrame, col
from support.worlds import NOW, catalog_of, world, write

from lakehouse.environment import Environment
from lakehouse.ingest.land import land
from lakehouse.tables.casting import cast
from lakehouse.tables.catalog import Catalog
from lakehouse.tables.contract import Contract, Field
from lakehouse.tables.declare import raw, staged
from lakehouse.transform.limits import MakeLimits
from lakehouse.transform.make import make

HEADER = "sku,at,name,price,op"


class Item(Contract):
    """The state of one article."""

    sku: str
    at: pl.Int64 = Field(ge=0)
    name: str = Field(nullable=True)
    price: pl.Int64 = Field(nullable=True, ge=0)

    class Table:
        key = ("sku",)
        sequence = ("at",)
        max_quarantined = 1.0


class Version(Contract):
    """The state of one article from a day on."""

    sku: str
    at: pl.Date
    name: str = Field(nullable=True)
    price: pl.Int64 = Field(nullable=True, ge=0)

    class Table:
        key = ("sku",)
        sequence = ("at",)
        max_quarantined = 1.0


raw_items = raw("items", "Changes of articles.", columns=tuple(HEADER.split(",")))


def typed(raw_items: LazyFrame) -> LazyFrame:
    """Changes with their types."""
    return cast(
        raw_items,
        sku=col("sku").replace("", None),
        at=col("at").cast(pl.Int64, strict=False),
        name=col("name").replace("", None),
        price=col("price").cast(pl.Int64, strict=False),
    )


def dated(raw_items: LazyFrame) -> LazyFrame:
    """Changes with their types, each on a day."""
    return typed(raw_items).with_columns(at=pl.date(2024, 1, 1) + pl.duration(days=col("at")))


def _declared(name: str, transform: object, contract: type[Contract], **how: object) -> object:
    def items(raw_items: LazyFrame) -> LazyFrame:
        """Articles."""
        return transform(raw_items)  # type: ignore[operator]

    items.__name__ = name
    return staged(contract, deletes=col("op") == "d", **how)(items)


@cache
def stock() -> Catalog:
    """One raw table, and tables that apply its events in every way."""
    return catalog_of(
        raw_items=raw_items,
        latest=_declared("latest", typed, Item, mode="upsert"),
        merged=_declared("merged", typed, Item, mode="upsert", partial=True),
        forgetful=_declared("forgetful", typed, Item, mode="upsert", tombstone_retention=0),
        merged_forgetful=_declared(
            "merged_forgetful",
            dated,
            Version,
            mode="upsert",
            partial=True,
            tombstone_retention=timedelta(days=2),
        ),
        versions=_declared("versions", dated, Version, mode="history"),
        merged_versions=_declared("merged_versions", dated, Version, mode="history", partial=True),
    )


KEYED_TABLES = (
    "staged/latest",
    "staged/merged",
    "staged/forgetful",
    "staged/merged_forgetful",
    "staged/versions",
    "staged/merged_versions",
)


class Event(NamedTuple):
    """One line of a file."""

    sku: str
    at: int
    name: str
    price: str
    op: str = "u"

    @property
    def line(self) -> str:
        """As it is delivered."""
        return ",".join(str(value) for value in self)


def deliver_events(
    here: Environment, name: str, events: Iterable[Event], at: float | None = None
) -> None:
    """Delivers a file of events with a modification time, and lands it."""
    path = write(
        here, "items", f"{name}.csv", "\n".join([HEADER, *(event.line for event in events)]) + "\n"
    )
    if at is not None:
        os.utime(path, (at, at))
    land(here.lake, here.landing, here.catalog["raw/items"], now=NOW)


def make_tables(here: Environment, *names: str, limits: MakeLimits | None = None) -> None:
    """Makes some tables, all with keys by default."""
    for name in names or KEYED_TABLES:
        make(here.lake, here.catalog, name, now=NOW, limits=limits)


def create_lake(folder: object) -> Environment:
    """A lake without articles."""
    return world(folder, stock())  # type: ignore[arg-type]


def read_rows(here: Environment, name: str) -> list[tuple[object, ...]]:
    """What a reader sees, sorted."""
    shown = here.lake.scan(name).select(pl.exclude("^_.*$")).collect()
    return sorted(shown.rows(), key=str)
