"""Earthquakes of a polled feed: tables with keys over it, and an independent computation of their rows.

A poll is one GeoJSON document with every event of the last seven days. The engine reads records and no documents over
many lines, so a poll is delivered as a fetcher would write it, on one line: no value of JSON holds a line end.
"""

import gzip
import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from typing import Annotated, Any

import polars as pl
from polars import LazyFrame, col
from support.worlds import SHARED, catalog_of, write

from lakehouse.environment import Environment
from lakehouse.tables.casting import cast
from lakehouse.tables.catalog import Catalog
from lakehouse.tables.contract import Contract, Field, Instant
from lakehouse.tables.declare import mart, raw, staged
from lakehouse.tables.keyed_table import FullDumps

POLLS = tuple(
    SHARED / "usgs_earthquakes" / f"all_week_{at}.geojson.gz"
    for at in ("2021-07-20T142355Z", "2021-07-22T203944Z")
)
WEEK = timedelta(days=7)
Texts = Annotated[pl.List, pl.String()]

# What is declared


class Quake(Contract):
    """The state of an event from the time that its publisher reported it."""

    event_id: str = Field(
        str_length={"min_value": 3}, description="The name that its publisher prefers"
    )
    updated_at: Instant = Field(description="When this was said")
    happened_at: Instant = Field(description="When the ground shook")
    place: str = Field(str_length={"min_value": 1}, description="Where, in words")
    longitude: float = Field(ge=-180, le=180, unit="deg")
    latitude: float = Field(ge=-90, le=90, unit="deg")
    depth_km: float = Field(
        ge=-11, le=800, unit="km", description="Below the sea; negative inside a mountain"
    )
    magnitude: float = Field(
        ge=-3, le=10, description="Negative for the smallest that instruments feel"
    )
    magnitude_type: str = Field(description="How it was measured")
    kind: str = Field(
        isin=["earthquake", "quarry blast", "explosion", "ice quake", "experimental explosion"]
    )
    status: str = Field(
        isin=["automatic", "reviewed"], description="Whether a person has looked at it"
    )
    network: str = Field(str_matches=r"^[a-z]{2}$", description="Who publishes it")
    stations: pl.Int32 = Field(nullable=True, ge=0, description="How many located it")
    names: Texts = Field(description="All its names, those in other networks among them")

    class Table:
        key = ("event_id",)
        sequence = ("updated_at",)
        event_time = "happened_at"
        max_quarantined = 0.0


class FeltQuake(Quake):
    """The state of an event of some size."""

    magnitude: float = Field(ge=0)


FeltQuake.__properties__ = replace(Quake.__properties__, max_quarantined=0.05)


class Sighting(Contract):
    """An event as a poll showed it."""

    event_id: str
    polled_at: Instant
    happened_at: Instant
    names: Texts

    class Table:
        key = ("event_id",)
        sequence = ("polled_at",)
        max_quarantined = 0.0


class Poll(Contract):
    """One poll of the feed."""

    polled_at: Instant
    reaches_back_to: Instant = Field(description="What happened before is not in it")

    class Table:
        key = ("polled_at",)
        max_quarantined = 0.0


class Whereabouts(Contract):
    """What became of an event in the feed."""

    event_id: str
    happened_at: Instant
    seen_at: Instant = Field(description="The last poll that had it")
    missed_at: Instant = Field(
        nullable=True, description="The poll after that, which had it no more"
    )
    fate: str = Field(isin=["shown", "left the week", "withdrawn"])
    merged_into: str = Field(nullable=True, description="The event that goes by its name now")

    class Table:
        key = ("event_id",)
        max_quarantined = 0.0


COLUMNS = ("type", "metadata", "features", "bbox")
PROPERTIES = ("mag", "place", "time", "updated", "status", "net", "ids", "nst", "magType", "type")
FEATURE = pl.Struct(
    {
        "id": pl.String(),
        "properties": pl.Struct(dict.fromkeys(PROPERTIES, pl.String())),
        "geometry": pl.Struct({"coordinates": pl.List(pl.String())}),
    }
)


def instant(milliseconds: pl.Expr) -> pl.Expr:
    """Milliseconds since 1970 as an instant."""
    return (
        milliseconds.cast(pl.Int64, strict=False)
        .cast(pl.Datetime("ms", "UTC"))
        .dt.cast_time_unit("us")
    )


POLLED_AT = instant(col("metadata").str.json_path_match("$.generated"))


def features(polls: LazyFrame) -> LazyFrame:
    """One row for each event of a poll, as text, with the time of the poll and its origin."""
    listed = polls.with_columns(
        col("features").str.json_decode(pl.List(FEATURE)), polled_at=POLLED_AT
    )
    listed = listed.drop("type", "metadata", "bbox").explode("features")
    return listed.unnest("features").unnest("properties", "geometry")


def typed(events: LazyFrame) -> LazyFrame:
    """Events with their types."""
    numbers = {"magnitude": col("mag")}
    for place, name in enumerate(("longitude", "latitude", "depth_km")):
        numbers[name] = col("coordinates").list.get(place, null_on_oob=True)
    return cast(
        events,
        event_id=col("id"),
        updated_at=instant(col("updated")),
        happened_at=instant(col("time")),
        magnitude_type=col("magType"),
        kind=col("type"),
        network=col("net"),
        stations=col("nst").cast(pl.Int32, strict=False),
        names=col("ids").str.strip_chars(",").str.split(","),
        **{name: number.cast(pl.Float64, strict=False) for name, number in numbers.items()},
    )


@staged(Quake, mode="upsert", explode=features)
def quakes(raw_polls: LazyFrame) -> LazyFrame:
    """Every event, as it was described last."""
    return typed(raw_polls)


@staged(FeltQuake, mode="upsert", explode=features)
def felt_quakes(raw_polls: LazyFrame) -> LazyFrame:
    """Every event that was not too small for a contract, as it was described last."""
    return typed(raw_polls)


@staged(Quake, mode="history", explode=features)
def descriptions(raw_polls: LazyFrame) -> LazyFrame:
    """Every event, as it was described from when until when."""
    return typed(raw_polls)


@staged(Sighting, mode="upsert", explode=features)
def sightings(raw_polls: LazyFrame) -> LazyFrame:
    """Every event, as it was shown last."""
    return typed(raw_polls)


@staged(Sighting, mode="history", explode=features, full_dumps=FullDumps())
def showings(raw_dumps: LazyFrame) -> LazyFrame:
    """Every event, as it was shown from when until when: an event that a poll lacks is no longer shown."""
    return typed(raw_dumps)


@staged(Poll)
def polls(raw_polls: LazyFrame) -> LazyFrame:
    """Every poll, and how far back it reaches."""
    return cast(raw_polls, polled_at=POLLED_AT, reaches_back_to=POLLED_AT - WEEK)


@mart(Whereabouts)
def whereabouts(sightings: LazyFrame, polls: LazyFrame) -> LazyFrame:
    """What became of every event: the first poll that lacks it shows whether it left the week or was withdrawn."""
    after = polls.select("reaches_back_to", missed_at="polled_at").sort("missed_at")
    seen = sightings.sort("polled_at").join_asof(
        after,
        left_on="polled_at",
        right_on="missed_at",
        strategy="forward",
        allow_exact_matches=False,
    )
    is_shown, is_within = col("missed_at").is_null(), col("happened_at") >= col("reaches_back_to")
    named = (
        seen.filter(is_shown).select(event_id="names", merged_into="event_id").explode("event_id")
    )
    heirs = named.group_by("event_id").agg(col("merged_into").min())
    fate = pl.when(is_shown).then(pl.lit("shown")).when(is_within).then(pl.lit("withdrawn"))
    return seen.join(heirs, on="event_id", how="left").with_columns(
        seen_at="polled_at",
        fate=fate.otherwise(pl.lit("left the week")),
        merged_into=pl.when(~is_shown).then("merged_into"),
    )


def feed() -> Catalog:
    """The tables over the feed."""
    told = "The earthquakes of the last seven days, polled now and then."
    return catalog_of(
        raw_polls=raw("polls", told, columns=COLUMNS),
        raw_dumps=raw("dumps", told, columns=COLUMNS, full_dumps=True),
        quakes=quakes,
        felt_quakes=felt_quakes,
        descriptions=descriptions,
        sightings=sightings,
        showings=showings,
        polls=polls,
        whereabouts=whereabouts,
    )


# What is delivered


def poll(
    here: Environment, *numbers: int, to: tuple[str, ...] = ("polls", "dumps"), name: str = ""
) -> None:
    """Deliver some polls, each as if written when it was taken, by their own names or by another."""
    for number in numbers:
        taken = polled_at(number).timestamp()
        for table in to:
            path = write(
                here, table, f"{name or POLLS[number].name.split('.')[0]}.jsonl", _content(number)
            )
            os.utime(path, (taken, taken))


@cache
def _content(number: int) -> bytes:
    """A poll on one line."""
    return gzip.decompress(POLLS[number].read_bytes()).replace(b"\n", b"")


# The second opinion, in plain Python


@cache
def shown(number: int) -> dict[str, dict[str, Any]]:
    """The events of a poll by their id, as they are described in it."""
    return {feature["id"]: _described(feature) for feature in _document(number)["features"]}


def polled_at(number: int) -> datetime:
    """When a poll was taken."""
    return _at(_document(number)["metadata"]["generated"])


@cache
def _document(number: int) -> Any:
    return json.loads(_content(number))


def _at(milliseconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)


def _described(feature: dict[str, Any]) -> dict[str, Any]:
    said = feature["properties"]
    kept = ("place", "mag", "magType", "type", "status", "net", "nst")
    named = ("place", "magnitude", "magnitude_type", "kind", "status", "network", "stations")
    return {
        "event_id": feature["id"],
        "updated_at": _at(said["updated"]),
        "happened_at": _at(said["time"]),
        "names": said["ids"].strip(",").split(","),
        **dict(zip(named, (said[name] for name in kept), strict=True)),
        **dict(
            zip(
                ("longitude", "latitude", "depth_km"),
                feature["geometry"]["coordinates"],
                strict=True,
            )
        ),
    }


def described() -> dict[str, list[dict[str, Any]]]:
    """The descriptions of each event, by its id; of two with the same time, that of the later poll counts."""
    told: dict[str, dict[datetime, dict[str, Any]]] = {}
    for number in range(len(POLLS)):
        for event_id, event in shown(number).items():
            told.setdefault(event_id, {})[event["updated_at"]] = event
    return {
        event_id: [event for _, event in sorted(said.items())] for event_id, said in told.items()
    }


def versions() -> list[dict[str, Any]]:
    """Descriptions with the time in which each was valid; one that changes only its time does not count."""
    found = []
    for said in described().values():
        unlike = [
            said[0],
            *(after for before, after in pairwise(said) if _values(before) != _values(after)),
        ]
        ends = [*(event["updated_at"] for event in unlike[1:]), None]
        for event, end in zip(unlike, ends, strict=True):
            found.append(
                {
                    **event,
                    "valid_from": event["updated_at"],
                    "valid_to": end,
                    "is_current": end is None,
                }
            )
    return found


def _values(event: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name != "updated_at"}
