"""Casts of values within JSON texts, structs and lists: absent is null, unreadable is not."""

import polars as pl
import pytest
from support.worlds import NOW, catalog_of, land_all, world, write

from lakehouse.tables.casting import UNREAD, cast
from lakehouse.tables.contract import Contract, Field
from lakehouse.tables.declare import raw, staged
from lakehouse.tables.read_numbers import read_number
from lakehouse.tables.read_times import read_instant
from lakehouse.transform.make import make

AT = pl.col("doc").str.json_path_match("$.a.b")
TEXTS = {
    '{"a":{"b":7}}': (7, False),
    '{"a":{"b":null}}': (None, False),
    '{"a":{"b":""}}': (None, False),
    '{"a":{}}': (None, False),
    '{"a":[7]}': (None, False),
    "{}": (None, False),
    "null": (None, False),
    " ": (None, False),
    None: (None, False),
    '{"a":{"b":"x"}}': (None, True),
    '{"a":{"b":[7]}}': (None, True),
    '{"a":{"b":7}': (None, True),
    "seven": (None, True),
}


def read_all(expr: pl.Expr, frame: pl.DataFrame) -> list[tuple]:
    return cast(frame.lazy(), n=expr).select("n", f"{UNREAD}n").collect().rows()


@pytest.mark.parametrize(
    "expr", [AT.cast(pl.Int64, strict=False), read_number(AT, pl.Int64), read_number(AT) * 1]
)
def test_a_key_that_a_json_text_lacks_is_null_and_an_unreadable_value_is_not_read(expr):
    assert read_all(expr, pl.DataFrame({"doc": list(TEXTS)})) == list(TEXTS.values())


def test_a_path_within_a_path_tells_broken_texts_too():
    expr = pl.col("doc").str.json_path_match("$.a").str.json_path_match("$.b")
    texts = {text: found for text, found in TEXTS.items() if text != '{"a":{"b":7}'}
    frame = pl.DataFrame({"doc": list(texts)})
    assert read_all(expr.cast(pl.Int64, strict=False), frame) == list(texts.values())


def test_a_column_beside_a_path_counts_as_a_whole():
    expr = pl.col("k").cast(pl.Int64, strict=False) + AT.cast(pl.Int64, strict=False)
    frame = pl.DataFrame({"k": ["1", "x", None, "1"], "doc": ['{"a":{"b":7}}'] * 3 + ["{}"]})
    assert read_all(expr, frame) == [(8, False), (None, True), (None, False), (None, False)]


def test_fields_and_elements_that_are_null_are_absent():
    place = pl.Struct({"lat": pl.String, "tags": pl.List(pl.String)})
    values = [{"lat": "1", "tags": ["2"]}, {"lat": None, "tags": []}, {"lat": "x", "tags": ["y"]}]
    frame = pl.DataFrame({"at": [*values, None]}, schema={"at": place})
    field = pl.col("at").struct.field("lat").cast(pl.Int64, strict=False)
    element = pl.col("at").struct.field("tags").list.get(0, null_on_oob=True)
    assert read_all(field, frame) == [(1, False), (None, False), (None, True), (None, False)]
    assert [n for n, _ in read_all(element.cast(pl.Int64, strict=False), frame)] == [
        2,
        None,
        None,
        None,
    ]
    assert [
        is_unread for _, is_unread in read_all(element.cast(pl.Int64, strict=False), frame)
    ] == [*(False, False, True, False)]


def test_only_the_value_itself_tells_whether_a_time_is_odd():
    at = pl.col("doc").str.json_path_match("$.at")
    docs = ['{"at":"2024-01-01T10:00:00Z","by":"12:00:60"}', '{"at":"2016-12-31T23:59:60Z"}', "{}"]
    frame = pl.DataFrame({"doc": docs})
    times = read_all(read_instant(at, "%Y-%m-%dT%H:%M:%SZ"), frame)
    assert [(time is None, is_unread) for time, is_unread in times] == [
        (False, False),
        (True, True),
        (True, False),
    ]


class Event(Contract):
    """An event; only some have a size, and each has a name."""

    id: str
    size: int = Field(nullable=True)
    name: str

    class Table:
        key = ("id",)
        max_quarantined = 1.0


def test_the_contract_decides_about_an_absent_value(tmp_path):
    raw_events = raw("events", "Events.", columns=("id", "doc"))

    @staged(Event)
    def events(raw_events: pl.LazyFrame) -> pl.LazyFrame:
        def at(key: str) -> pl.Expr:
            return pl.col("doc").str.json_path_match(f"$.{key}")

        return cast(raw_events, size=at("size").cast(pl.Int64, strict=False), name=at("name"))

    catalog = catalog_of(raw_events=raw_events, events=events)
    here = world(tmp_path, catalog)
    docs = ['{"size":1,"name":"x"}', '{"name":"y"}', '{"size":"?","name":"z"}', '{"size":2}']
    lines = [f'{{"id":"{n}","doc":{doc}}}' for n, doc in enumerate(docs)]
    write(here, "events", "a.jsonl", "\n".join(lines))
    land_all(here)
    make(here.lake, catalog, "staged/events", now=NOW)
    rows = here.lake.scan("staged/events").select("id", "size", "name").collect().sort("id").rows()
    assert rows == [("0", 1, "x"), ("1", None, "y")]
    rejected = here.lake.scan("quarantine/staged_events").select("id", "_rules").collect()
    assert dict(rejected.rows()) == {"2": ["size can be read"], "3": ["name is present"]}
