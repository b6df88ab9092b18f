"""JSON text in columns of lists and structs: rows where it fits exactly, and nothing lost where it does not."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal

import polars as pl
import pytest
from support.worlds import catalog_of, in_state, land_all, world, write

from lakehouse.tables import Files, raw
from lakehouse.tables.nested_text import parse_nested

TAGS = pl.List(pl.String())
PLACE = pl.Struct({"lat": pl.Float64, "lon": pl.Float64})
COLUMNS = {"id": pl.String(), "tags": TAGS, "pos": PLACE}


def parsed(text, dtype):
    return pl.DataFrame({"t": [text]}).select(parse_nested(pl.col("t"), dtype)).item(0, 0)


FITS = [
    ('["x"]', TAGS, ["x"]),
    ("[]", TAGS, []),
    ('[null,"",1,true,1.50]', TAGS, [None, "", "1", "true", "1.50"]),
    ('{"lat":1,"lon":2.5}', PLACE, {"lat": 1.0, "lon": 2.5}),
    ('{"lat":1}', PLACE, {"lat": 1.0, "lon": None}),
    ("[1, 2.0, -9223372036854775808]", pl.List(pl.Int64()), [1, 2, -(2**63)]),
    ('[["a"],[]]', pl.List(TAGS), [["a"], []]),
    ('[{"lat":0,"lon":-0.0}]', pl.List(PLACE), [{"lat": 0.0, "lon": -0.0}]),
    ("[1.50]", pl.List(pl.Decimal(5, 2)), [Decimal("1.50")]),
    ("[true,false]", pl.List(pl.Boolean()), [True, False]),
    ('["2024-02-29"]', pl.List(pl.Date()), [date(2024, 2, 29)]),
    (
        '["2024-02-29T23:30:00-05:00"]',
        pl.List(pl.Datetime("us", "UTC")),
        [datetime(2024, 3, 1, 4, 30, tzinfo=UTC)],
    ),
]
MISFITS = [
    ("x", TAGS),
    ('{"a":1}', TAGS),
    ("[[1]]", TAGS),
    ("1", PLACE),
    ('{"lat":1,"lon":2,"alt":3}', PLACE),
    ('{"lat":"1","lon":2}', PLACE),
    ("[1.5]", pl.List(pl.Int64())),
    ("[9223372036854775808]", pl.List(pl.Int64())),
    ("[128]", pl.List(pl.Int8())),
    ("[1e999]", pl.List(pl.Float64())),
    ("[NaN]", pl.List(pl.Float64())),
    ("[1.005]", pl.List(pl.Decimal(5, 2))),
    ("[12345]", pl.List(pl.Decimal(5, 2))),
    ("[1]", pl.List(pl.Boolean())),
    ('["2024-02-30"]', pl.List(pl.Date())),
    ('["24-02-01"]', pl.List(pl.Date())),
    ('["2024-02-29T00:00:00"]', pl.List(pl.Datetime("us", "UTC"))),
    ('["9999-12-31T23:59:59-05:00"]', pl.List(pl.Datetime("us", "UTC"))),
    ("[" * 100_000, TAGS),
]


@pytest.mark.parametrize(("text", "dtype", "value"), FITS, ids=[text for text, *_ in FITS])
def test_json_that_fits_is_read_exactly(text, dtype, value):
    found = parsed(text, dtype)
    assert (found.to_list() if isinstance(found, pl.Series) else found) == value


@pytest.mark.parametrize(("text", "dtype"), MISFITS, ids=[text[:30] for text, _ in MISFITS])
def test_json_that_does_not_fit_is_null_as_a_whole(text, dtype):
    assert parsed(text, dtype) is None


def landed(folder, drift, *lines, name="b.jsonl"):
    here = world(folder, catalog_of(r=raw("places", "Places.", columns=COLUMNS, drift=drift)))
    write(here, "places", name, "\n".join(lines) + "\n")
    land_all(here)
    return here


GOOD = '{"id":"4","tags":["x"],"pos":{"lat":1,"lon":2}}'
BAD = '{"id":"5","tags":"x","pos":null}'


@pytest.mark.parametrize("drift", ["evolve", "freeze", "rescue"])
def test_json_lines_land_in_nested_columns(tmp_path, drift):
    here = landed(tmp_path, drift, GOOD, '{"id":"6","tags":null,"pos":null}')
    rows = here.lake.scan("raw/places").collect().sort("id").select("id", "tags", "pos").rows()
    assert rows == [("4", ["x"], {"lat": 1.0, "lon": 2.0}), ("6", None, None)]


def test_a_cell_of_csv_is_read_as_json(tmp_path):
    row = '4,"[""x""]","{""lat"":1,""lon"":2}"'
    here = landed(tmp_path, "evolve", "id,tags,pos", row, name="a.csv")
    assert here.lake.scan("raw/places").collect()["tags"].to_list() == [["x"]]


def test_a_value_that_does_not_fit_is_rescued_or_its_file_refused(tmp_path):
    here = landed(tmp_path / "rescue", "rescue", GOOD, BAD)
    rows = here.lake.scan("raw/places").collect().sort("id")
    assert rows["tags"].to_list() == [["x"], None]
    assert json.loads(rows["_rescued"][1]) == {"tags": "x"}
    refused = landed(tmp_path / "evolve", "evolve", GOOD, BAD)
    (reason,) = in_state(refused, "quarantine/dead_letters")["reason"]
    assert "tags is String in the file and List(String) in raw/places (1 of its values" in reason


@pytest.mark.parametrize("layout", ["lines", "array", "records"])
def test_nested_columns_land_from_documents_of_any_layout(tmp_path, layout):
    records = [GOOD, BAD, '{"id":"6","tags":[],"pos":{"lat":NaN,"lon":null}}', '{"id":"7"}']
    listed = f"[{','.join(records)}]"
    name = "b.jsonl" if layout == "lines" else "b.json"
    text = {"lines": "\n".join(records), "array": listed, "records": f'{{"d":{{"r":{listed}}}}}'}
    files = Files(records="d.r[]" if layout == "records" else None, allow_nan=True)
    table = raw(
        "places", "Places.", columns=COLUMNS, optional=("tags", "pos"), drift="rescue", files=files
    )
    here = world(tmp_path, catalog_of(r=table))
    write(here, "places", name, text[layout])
    land_all(here)
    rows = here.lake.scan("raw/places").sort("id").collect()
    assert rows.select("id", "tags", "pos").rows() == [
        ("4", ["x"], {"lat": 1.0, "lon": 2.0}),
        ("5", None, None),
        ("6", [], None),
        ("7", None, None),
    ]
    kept = [text and json.loads(text) for text in rows["_rescued"]]
    assert kept == [None, {"tags": "x"}, {"pos": '{"lat":"NaN","lon":null}'}, None]
