"""Errors of Polars and DuckDB name the problem and its place, and quote no value."""

import duckdb
import polars as pl
import pytest
from support.worlds import NOW, catalog_of, land_all, world, write

from lakehouse.errors import DataError
from lakehouse.redaction import redact
from lakehouse.tables.casting import cast
from lakehouse.tables.contract import Contract, Field
from lakehouse.tables.declare import raw, sql_mart, staged
from lakehouse.transform.make import make

NAMES = ["Jane Doe", 'O\'Brien Jane "Doe"', "Jane\n\nLINE 1: Doe]", "Jane [Doe] `i64` 'Doe'"]
NAME = pl.col("name")
STRICT = {
    "cast": NAME.cast(pl.Int64),
    "date": NAME.str.to_date("%Y"),
    "time": NAME.str.strptime(pl.Time, "%H"),
    "decimal": NAME.str.json_decode(pl.Int64),
    "enum": NAME.cast(pl.Enum(["a"])),
}
QUERIES = [
    "SELECT CAST(name AS INTEGER) FROM t",
    "SELECT strptime(name, '%Y') FROM t",
    "SELECT CAST(name AS DATE) FROM t",
    "SELECT error('no ' || name) FROM t",
    "SELECT json_extract(name, '$') FROM t",
]


def of_polars(values: list[object], expression: pl.Expr) -> str:
    with pytest.raises(pl.exceptions.PolarsError) as raised:
        pl.LazyFrame({"name": values}).select(expression).collect()
    return redact(raised.value)


def of_duckdb(query: str, value: object) -> str:
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE t AS SELECT ? AS name", [value])
        with pytest.raises(duckdb.Error) as raised:
            connection.execute(query)
    return redact(raised.value)


@pytest.mark.parametrize("expression", STRICT.values(), ids=STRICT)
@pytest.mark.parametrize("name", NAMES)
def test_polars_quotes_no_text(expression, name):
    said = of_polars([name], expression)
    assert not [word for word in ("Jane", "Doe", "Brien") if word in said]


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("name", NAMES)
def test_duckdb_quotes_no_text(query, name):
    said = of_duckdb(query, name)
    assert not [word for word in ("Jane", "Doe", "Brien") if word in said]


def test_numbers_are_values_too():
    assert "17850" not in of_polars([17850], NAME.cast(pl.Int8))
    assert "17850" not in of_duckdb("SELECT CAST(name AS TINYINT) FROM t", 17850)
    assert "17850" not in of_duckdb("SELECT name * 99999 * 99999 * name::INTEGER FROM t", 17850)


def test_what_is_left_tells_what_to_mend():
    assert of_polars(["Jane"], NAME.cast(pl.Int64)) == (
        "InvalidOperationError: conversion from `str` to `i64` failed in column 'name' for 1 out of 1 values: …, "
        'in col("name").strict_cast(Int64)'
    )
    assert of_duckdb(QUERIES[0], "Jane") == "Conversion Error: Could not convert string … INT32"
    assert 'unable to find column "nme"; valid columns: ["name"]' in of_polars(
        ["Jane"], pl.col("nme")
    )


class Person(Contract):
    """A person."""

    number: pl.Int64 = Field(nullable=True)


class Total(Contract):
    """All of them."""

    number: pl.Int64
    lines: pl.Int64

    class Table:
        counts = "lines"


@pytest.fixture
def people(tmp_path):
    raw_people = raw("people", "People.", columns=("name",))

    @staged(Person)
    def people(raw_people):
        return cast(raw_people, number=NAME.cast(pl.Int64))

    @sql_mart(Total, reads=("raw_people",))
    def totals():
        return "SELECT CAST(sum(CAST(name AS INTEGER)) AS BIGINT) AS number, count(*) AS lines FROM raw_people"

    here = world(tmp_path, catalog_of(raw_people=raw_people, people=people, totals=totals))
    write(here, "people", "a.csv", "name\nJane Doe\n")
    land_all(here)
    return here


@pytest.mark.parametrize("table", ["staged/people", "marts/totals"])
def test_no_value_is_in_the_error_of_a_table_nor_in_those_that_it_came_from(people, table):
    with pytest.raises(DataError, match="fails on the data") as raised:
        make(people.lake, people.catalog, table, now=NOW)
    assert "Jane" not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


def test_no_value_is_in_the_error_of_a_day_that_cannot_be_told(tmp_path):
    people = raw("people", "People.", columns=("name",), day=NAME.str.to_date("%Y"))
    here = world(tmp_path, catalog_of(people=people))
    write(here, "people", "a.csv", "name\nJane Doe\n")
    with pytest.raises(DataError, match="`day` fails on the data") as raised:
        land_all(here)
    assert "Jane" not in str(raised.value)
    assert here.lake.version("raw/people") is None
