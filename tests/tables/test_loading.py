"""Declarations that cannot work are refused when they load, by name, with every problem at once."""

from datetime import timedelta
from typing import Annotated, Any

import polars as pl
import pytest
from support.worlds import bring_up_to_date, catalog_of, world, write

from lakehouse.errors import SetupError
from lakehouse.tables.contract import Contract
from lakehouse.tables.contract_checks import check_contract
from lakehouse.tables.declare import raw, sql_mart, staged


def refusal(contract: type[Contract]) -> str:
    with pytest.raises(SetupError) as refused:
        check_contract(contract)
    assert "no data was touched" in str(refused.value)
    return str(refused.value)


def declare(**columns: Any) -> type[Contract]:
    return type("Declared", (Contract,), {"__annotations__": columns, "__doc__": "A contract."})


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"sf_gsp": str, "SF_GSP": str}, "columns 'sf_gsp', 'SF_GSP' differ by case alone"),
        ({"Åre": str, "åre": int, "x": int}, "columns 'Åre', 'åre' differ by case alone"),
        ({"price": pl.Decimal}, "column 'price' is a Decimal without digits"),
        ({"ids": pl.List(pl.UInt8)}, "column 'ids.item' is UInt8, which Delta Lake cannot store"),
        ({"a": pl.List(pl.Decimal)}, "column 'a.item' is a Decimal without digits"),
        ({"a": pl.Struct({"b": pl.UInt32})}, "column 'a.b' is UInt32"),
        ({"a": pl.Struct({"b": pl.Int8, "B": pl.Int8})}, "fields that differ by case alone: b, B"),
        ({"a": pl.List(pl.Struct({"t": pl.Datetime("ms")}))}, "'a.item.t' is Datetime"),
        ({"a": pl.List(pl.List(pl.Time))}, "'a.item.item' is Time"),
        ({"a": pl.UInt64}, "column 'a' is UInt64"),
        ({"a": pl.Datetime("us")}, "declare times as Instant"),
    ],
)
def test_columns_that_cannot_be_stored_are_named(columns, told):
    assert told in refusal(declare(**columns))


def test_what_can_be_stored_is_not_refused():
    check_contract(
        declare(
            a=Annotated[pl.Decimal, 12, 2],
            b=pl.List(pl.Struct({"x": pl.Decimal(9, 1), "y": pl.List(pl.Date)})),
            c=Annotated[pl.Datetime, "us", "UTC"],
        )
    )


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("rules", [pl.col("id") > 0], "rules is list, it has to be a dict"),
        ("rules", {"x": True}, "rule 'x' is bool, it has to be an expression"),
        ("fresh_within", 3, "fresh_within is 3, it has to be a timedelta"),
        ("fresh_within", timedelta(0), "it has to be a timedelta above 0"),
        ("key", ("id", "id"), "which names a column twice"),
        ("key", "id", "it has to be a tuple of column names"),
        ("key", (1,), "it has to be a tuple of column names"),
        ("sequence", ("id", "id"), "which names a column twice"),
        ("event_time", ["id"], "event_time is ['id'], it has to be the name of a column"),
        ("date_column", ("id",), "date_column is ('id',), it has to be the name"),
        ("counts", 1, "counts is 1, it has to be the name"),
        ("physical", ["day"], "physical is ['day']"),
        ("max_quarantined", True, "max_quarantined is True"),
        ("max_quarantined", float("nan"), "max_quarantined is nan"),
    ],
)
def test_a_property_of_the_wrong_kind_is_named(name, value, told):
    inner = type("Table", (), {name: value})
    contract = type(
        "Declared",
        (Contract,),
        {"__annotations__": {"id": int}, "__doc__": "A contract.", "Table": inner},
    )
    assert told in refusal(contract)


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        (("a", "A"), "raw/visits: columns 'a', 'A' differ by case alone"),
        ({"t": pl.Datetime("us")}, "raw/visits: column 't' is Datetime"),
        ({"n": pl.UInt16()}, "raw/visits: column 'n' is UInt16"),
    ],
)
def test_columns_of_a_raw_table_that_no_file_can_fill_are_refused(columns, told):
    with pytest.raises(SetupError) as refused:
        catalog_of(visits=raw("visits", "Visits.", columns=columns))
    assert told in str(refused.value)


class Line(Contract):
    """A line of an order, with its place."""

    id: str
    place: pl.Struct({"x": pl.Int64, "name": pl.String})
    tags: pl.List(pl.Struct({"tag": pl.String}))
    lines: int

    class Table:
        counts = "lines"


class Order(Contract):
    """An order."""

    id: str


raw_orders = raw("orders", "Orders.", columns=("id",))


@staged(Order)
def orders(raw_orders):
    """Orders."""
    return raw_orders


def test_a_query_may_return_structs_and_lists_of_them(tmp_path):
    @sql_mart(Line, reads=("orders",))
    def places():
        """The places of orders."""
        return (
            "SELECT id, {'x': 1::BIGINT, 'name': id} AS place, [{'tag': id}] AS tags,"
            " count(*) AS lines FROM orders GROUP BY id"
        )

    here = world(tmp_path, catalog_of(raw_orders=raw_orders, orders=orders, places=places))
    write(here, "orders", "a.csv", "id\na\n")
    bring_up_to_date(here)
    assert here.lake.scan("marts/places").collect().to_dicts() == [
        {"id": "a", "place": {"x": 1, "name": "a"}, "tags": [{"tag": "a"}], "lines": 1}
    ]
