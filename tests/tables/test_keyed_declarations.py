"""Tables with keys that cannot work are refused with the reason, before any data is touched."""

from datetime import date, timedelta

import polars as pl
import pytest
from polars import LazyFrame, col
from support.worlds import catalog_of

from lakehouse.calendar import Daily
from lakehouse.errors import SetupError
from lakehouse.tables.as_of_join import join_as_of
from lakehouse.tables.casting import cast
from lakehouse.tables.contract import Contract, Field
from lakehouse.tables.declare import mart, raw, staged
from lakehouse.tables.keyed_table import FullDumps
from lakehouse.tables.table_types import AsOf

raw_things = raw("things", "Things.", columns=("id", "on", "name"))
DAILY = Daily(date(2024, 1, 1))
DAY = timedelta(days=1)


class Thing(Contract):
    """A thing from a day on."""

    id: str
    on: date
    name: str = Field(nullable=True)

    class Table:
        key = ("id",)
        sequence = ("on",)


class Required(Contract):
    """A thing with a name."""

    id: str
    on: date
    name: str

    class Table:
        key = ("id",)
        sequence = ("on",)


class Unordered(Contract):
    """A thing without a time."""

    id: str
    name: str = Field(nullable=True)

    class Table:
        key = ("id",)


class Numbered(Contract):
    """A thing from a number on."""

    id: str
    number: pl.Int64

    class Table:
        key = ("id",)
        sequence = ("number",)


class Lettered(Contract):
    """A thing from a letter on."""

    id: str
    name: str

    class Table:
        key = ("id",)
        sequence = ("name",)


def typed(raw_things: LazyFrame) -> LazyFrame:
    """Things with their types."""
    numbered = raw_things.with_columns(number=col("id").cast(pl.Int64, strict=False))
    return cast(numbered, on=col("on").str.to_date("%Y-%m-%d", strict=False))


def things(contract: type[Contract] = Thing, **declared: object) -> object:
    """A table of things."""

    def things(raw_things: LazyFrame) -> LazyFrame:
        """Things."""
        return typed(raw_things)

    return staged(contract, **declared)(things)


def forgetful(contract: type[Contract] = Thing, **declared: object) -> object:
    """A table of things whose tombstones are removed."""
    how = {"mode": "upsert", "deletes": col("name") == "x", "tombstone_retention": DAY}
    return things(contract, **{**how, **declared})


@pytest.mark.parametrize(
    ("table", "told"),
    [
        (lambda: things(mode="merge"), "mode is 'merge'"),
        (lambda: things(deletes=col("name") == "x"), "`deletes` is for tables with keys"),
        (lambda: things(Unordered, mode="upsert"), "its contract names no `sequence`"),
        (lambda: things(Required, mode="upsert", partial=True), "'name' is not nullable"),
        (
            lambda: things(mode="history", deletes=col("name")),
            "deletes is String, it has to be true or false",
        ),
        (lambda: things(mode="history", deletes=col("nam") == "x"), "deletes: "),
        (
            lambda: things(mode="upsert", partitions=DAILY),
            "a table with keys has no partitions",
        ),
        (
            lambda: things(mode="upsert", distinct=("id",)),
            "`distinct` does not fit here: in a table with keys an event that repeats another",
        ),
        (
            lambda: things(mode="upsert", full_dumps=FullDumps()),
            "has to be declared with full_dumps=True",
        ),
        (
            lambda: things(tombstone_retention=DAY),
            "`tombstone_retention` is for tables with keys",
        ),
        (
            lambda: things(mode="upsert", tombstone_retention=DAY),
            'tombstone_retention is for mode="upsert" with deletes',
        ),
        (
            lambda: forgetful(mode="history"),
            'tombstone_retention is for mode="upsert" with deletes',
        ),
        (
            lambda: forgetful(tombstone_retention=3),
            "tombstone_retention is 3: 'on' is Date, so give a timedelta, 0 or more",
        ),
        (
            lambda: forgetful(tombstone_retention=-DAY),
            "'on' is Date, so give a timedelta, 0 or more",
        ),
        (lambda: forgetful(Numbered), "'number' is Int64, so give a whole number, 0 or more"),
        (
            lambda: forgetful(Lettered),
            "'name' is String, it has to be a Date, an Instant or a whole number",
        ),
    ],
)
def test_what_keeps_events_from_being_applied_is_named(table, told):
    with pytest.raises(SetupError, match=r"Next: ") as refused:
        catalog_of(raw_things=raw_things, things=table())
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("as_of", "told"),
    [
        ({"things": "valid_form"}, "as_of: staged/things has no column 'valid_form'"),
        ({"thing": "valid_from"}, "as_of names 'thing', which it does not read"),
        ({"things": "name"}, "it has to be a Date or an Instant"),
    ],
)
def test_a_reader_by_date_that_names_no_date_is_refused(as_of, told):
    def counts(raw_things: LazyFrame, things: LazyFrame) -> LazyFrame:
        """Things."""
        return typed(raw_things).join(things.select("id").unique(), on="id", how="semi")

    tables = {
        "raw_things": raw_things,
        "things": things(mode="history"),
        "counts": mart(Thing, as_of=as_of)(counts),
    }
    with pytest.raises(SetupError, match=r"Next: ") as refused:
        catalog_of(**tables)
    assert told in str(refused.value)


class Visit(Contract):
    """A visit to a thing."""

    id: str
    number: int
    on: date

    class Table:
        date_column = "on"


def visits(raw_visits: LazyFrame) -> LazyFrame:
    """Visits."""
    return cast(
        raw_visits,
        number=col("number").cast(pl.Int64, strict=False),
        on=col("on").str.to_date("%Y-%m-%d", strict=False),
    )


def seen(visits: LazyFrame, things: LazyFrame) -> LazyFrame:
    """Visits to things that were there."""
    return visits.join(things.select("id").unique(), on="id", how="semi")


@pytest.mark.parametrize(
    ("as_of", "mode", "told"),
    [
        (
            {"things": AsOf("valid_from", by="ident")},
            "history",
            "`by` names 'ident', which staged/visits does not have",
        ),
        (
            {"things": AsOf("valid_from", by="number")},
            "history",
            "'number' is Int64 in staged/visits, 'id' of staged/things is String",
        ),
        (
            {"things": AsOf("valid_from", by=("id", "on"))},
            "history",
            "`by` names id, on, but the key of staged/things is id; name a column of staged/visits for each",
        ),
        (
            {"things": AsOf("valid_from", by=("id", "id"))},
            "history",
            "`by` names id, id, but the key",
        ),
        ({"things": AsOf("on", by="id")}, "replace", "`by` is for tables with keys"),
        ({"visits": AsOf("on", by="id")}, "history", "staged/visits is the first input"),
        ({"things": AsOf("name", by="id")}, "history", "it has to be a Date or an Instant"),
    ],
)
def test_a_lookup_by_what_is_no_key_is_refused(as_of, mode, told):
    tables = {
        "raw_things": raw_things,
        "raw_visits": raw(
            "visits",
            "Visits.",
            columns=("id", "number", "on"),
            day=col("on").str.to_date("%Y-%m-%d", strict=False),
        ),
        "things": things(mode=mode),
        "visits": staged(Visit, partitions=DAILY)(visits),
        "seen": mart(Visit, partitions=DAILY, as_of=as_of)(seen),
    }
    with pytest.raises(SetupError, match=r"Next: ") as refused:
        catalog_of(**tables)
    assert told in str(refused.value)


@pytest.mark.parametrize("name", ["valid_from", "valid_to", "is_current", "_source"])
def test_when_a_version_began_and_where_it_came_from_are_not_returned(name):
    rows = pl.LazyFrame(schema={"id": pl.String, "on": pl.Date})
    with pytest.raises(SetupError, match=f"cannot return {name}:"):
        join_as_of(rows, rows, on="id", at="on", columns={name: "since"})


class Since(Contract):
    """A visit to a thing, with the start of the version that was valid then."""

    id: str
    on: date
    since: date = Field(nullable=True)

    class Table:
        date_column = "on"


def since(visits: LazyFrame, things: LazyFrame) -> LazyFrame:
    """Visits to things, with the start of the versions that were valid then."""
    return join_as_of(visits, things, on="id", at="on", columns={"on": "since"})


@pytest.mark.parametrize("as_of", ["valid_from", AsOf("valid_from", by="id")])
def test_a_reader_by_date_does_not_take_over_what_orders_the_events_of_a_key(as_of):
    with pytest.raises(
        SetupError, match="marts/since: it reads 'on' of staged/things, which changes without"
    ):
        catalog_of(
            raw_things=raw_things,
            raw_visits=raw(
                "visits",
                "Visits.",
                columns=("id", "number", "on"),
                day=col("on").str.to_date("%Y-%m-%d", strict=False),
            ),
            things=things(mode="history"),
            visits=staged(Visit, partitions=DAILY)(visits),
            since=mart(Since, partitions=DAILY, as_of={"things": as_of})(since),
        )
