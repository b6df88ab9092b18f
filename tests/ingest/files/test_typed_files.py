"""Arrow, Avro, ORC and Parquet by other writers: types, local times, and what is refused."""

import io
import random
import re
from datetime import UTC, date, datetime, time
from decimal import Decimal

import fastavro
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import orc
from pyarrow import parquet as pq

from lakehouse.ingest.files.typed import contained
from lakehouse.ingest.limits import IngestLimits
from lakehouse.tables.files import Files

AT = datetime(2024, 1, 31, 23, 59, 59, 500000)  # noqa: DTZ001


def avro(fields: dict, *records, codec: str = "null") -> bytes:
    file = io.BytesIO()
    named = [{"name": name, "type": kind} for name, kind in fields.items()]
    fastavro.writer(file, {"type": "record", "name": "r", "fields": named}, records, codec=codec)
    return file.getvalue()


def arrow(frame: pl.DataFrame, *, stream: bool = False) -> bytes:
    file = io.BytesIO()
    (frame.write_ipc_stream if stream else frame.write_ipc)(file)
    return file.getvalue()


def orc_file(**columns) -> bytes:
    file = io.BytesIO()
    orc.write_table(pa.table(columns), file)
    return file.getvalue()


def parquet(frame: pl.DataFrame) -> bytes:
    file = io.BytesIO()
    frame.write_parquet(file)
    return file.getvalue()


def dtype_of(seen, column):
    return pl.read_parquet_schema(next(seen.delivery.rows.iterdir()))[column]


def logical(kind: str, name: str, **more) -> dict:
    return {"type": kind, "logicalType": name, **more}


INSTANT = pl.Datetime("us", "UTC")
CODECS = ("deflate", "zstandard", "bzip2", "xz")
AVRO = {
    "int": ("int", 7, 7, pl.Int32()),
    "nullable": (["null", "long"], 2**60, 2**60, pl.Int64()),
    "text": ("string", "007", "007", pl.String()),
    "bytes": ("bytes", b"\xff", b"\xff", pl.Binary()),
    "day": (logical("int", "date"), date(2024, 1, 31), date(2024, 1, 31), pl.Date()),
    "time": (logical("long", "time-micros"), time(8, 30), "08:30:00", pl.String()),
    "instant": (
        logical("long", "timestamp-micros"),
        AT.replace(tzinfo=UTC),
        AT.replace(tzinfo=UTC),
        INSTANT,
    ),
    "local": (
        logical("long", "local-timestamp-micros"),
        AT,
        "2024-01-31 23:59:59.500",
        pl.String(),
    ),
    "decimal": (
        logical("bytes", "decimal", precision=10, scale=2),
        Decimal("-1.50"),
        Decimal("-1.50"),
        pl.Decimal(10, 2),
    ),
    "long decimal": (
        logical("bytes", "decimal", precision=60, scale=2),
        Decimal("1" * 50 + ".25"),
        "1" * 50 + ".25",
        pl.String(),
    ),
    "enum": ({"type": "enum", "name": "e", "symbols": ["A", "B"]}, "B", "B", pl.String()),
    "list": (
        {"type": "array", "items": ["null", "int"]},
        [1, None],
        [1, None],
        pl.List(pl.Int32()),
    ),
    "map": (
        {"type": "map", "values": "int"},
        {"x": 1},
        [{"key": "x", "value": 1}],
        pl.List(pl.Struct({"key": pl.String(), "value": pl.Int32()})),
    ),
    "record": (
        {"type": "record", "name": "inner", "fields": [{"name": "x", "type": ["null", "string"]}]},
        {"x": "y"},
        {"x": "y"},
        pl.Struct({"x": pl.String()}),
    ),
    "number of a union": (["null", "long", "string"], 7, "7", pl.String()),
    "text of a union": (["null", "long", "string"], "7", '"7"', pl.String()),
}


def test_avro_values_keep_their_types_as_in_parquet(read):
    fields = {case.replace(" ", "_"): kind for case, (kind, *_) in AVRO.items()}
    record = dict(zip(fields, (value for _, value, *_ in AVRO.values()), strict=True))
    seen = read(avro(fields, record, record), "a.avro")
    for name, (_, _, expected, dtype) in zip(fields, AVRO.values(), strict=True):
        assert (name, seen.values(name)) == (name, [expected] * 2)
        assert (name, dtype_of(seen, name)) == (name, dtype)
    assert seen.offsets == [1, 2]


@pytest.mark.parametrize(
    "codec",
    ["snappy", *(pytest.param(one, marks=pytest.mark.full) for one in CODECS)],
)
def test_each_codec_of_avro_is_read(read, codec):
    content = avro({"a": "int"}, *({"a": n} for n in range(50_000)), codec=codec)
    seen = read(content, "a.avro")
    assert seen.values("a") == list(range(50_000))
    assert seen.offsets == list(range(1, 50_001))


def test_an_avro_type_that_holds_itself_refuses_its_file(read):
    assert (
        "the type r holds itself"
        in read(avro({"a": ["null", "r"]}, {"a": None}), "a.avro").delivery.refused
    )


def test_an_avro_file_without_records_is_a_delivery_of_none(read):
    delivery = read(avro({"a": "int"}), "a.avro").delivery
    assert (delivery.refused, delivery.records) == (None, 0)
    assert delivery.empty_because == "no rows: an Avro file with 1 columns"


FRAME = pl.DataFrame(
    {
        "n": pl.Series([1, None], dtype=pl.UInt32),
        "t": ["x", ""],
        "at": [AT, None],
        "c": pl.Series(["k", "k"], dtype=pl.Categorical),
        "l": [[1], []],
    }
)


@pytest.mark.parametrize(
    ("stream", "name"), [(False, "a.arrow"), (True, "a.ipc"), (False, "a.feather")]
)
def test_arrow_files_and_streams_have_the_types_of_parquet(read, stream, name):
    seen = read(arrow(FRAME, stream=stream), name)
    assert seen.rows == [(1, "x", "2024-01-31 23:59:59.500", "k", [1]), (None, "", None, "k", [])]
    assert seen.rows == read(parquet(FRAME), "a.parquet").rows


def test_orc_has_the_types_of_parquet(read):
    content = orc_file(
        n=pa.array([1, None], pa.int64()),
        d=pa.array([Decimal("1.50"), None], pa.decimal128(10, 2)),
        day=pa.array([date(2024, 1, 31), None]),
        at=pa.array([AT, None], pa.timestamp("us")),
        s=pa.array([{"x": 1}, None]),
    )
    seen = read(content, "a.orc")
    assert seen.rows == [
        (1, Decimal("1.50"), date(2024, 1, 31), "2024-01-31 23:59:59.500", {"x": 1}),
        (None, None, None, None, None),
    ]


LOCAL = pl.Series(
    [datetime(2024, 7, 1, 12), datetime(2024, 10, 27, 2, 30), datetime(2024, 3, 31, 2, 30), None]  # noqa: DTZ001
)
INSTANTS = [
    datetime(2024, 7, 1, 10, tzinfo=UTC),
    datetime(2024, 10, 27, 0, 30, tzinfo=UTC),
    datetime(2024, 3, 31, 1, 30, tzinfo=UTC),
    None,
]
WRITERS = {
    "a.parquet": lambda times: parquet(pl.DataFrame({"at": times})),
    "a.arrow": lambda times: arrow(pl.DataFrame({"at": times})),
    "a.orc": lambda times: orc_file(at=pa.array(times.to_list(), pa.timestamp("us"))),
    "a.avro": lambda times: avro(
        {"at": ["null", logical("long", "local-timestamp-micros")]}, *({"at": t} for t in times)
    ),
}


@pytest.mark.parametrize("name", WRITERS)
def test_local_times_are_instants_where_their_zone_is_declared(read, name):
    seen = read(WRITERS[name](LOCAL), name, files=Files(time_zone="Europe/Berlin"))
    assert (seen.values("at"), dtype_of(seen, "at")) == (INSTANTS, INSTANT)
    assert seen.delivery.notes == (
        "times that Europe/Berlin has twice, taken for the earlier instant: 1",
        "times that Europe/Berlin skips, moved forward: 1",
    )


def test_a_skipped_time_moves_by_as_much_as_the_clock(read):
    odd = pl.Series([datetime(2024, 10, 6, 2, 15), datetime(2011, 12, 30, 12)])  # noqa: DTZ001
    for zone, expected in (
        ("Australia/Lord_Howe", datetime(2024, 10, 5, 15, 45, tzinfo=UTC)),
        ("Pacific/Apia", datetime(2011, 12, 30, 22, tzinfo=UTC)),
    ):
        seen = read(WRITERS["a.parquet"](odd), "a.parquet", files=Files(time_zone=zone))
        assert expected in seen.values("at")


@pytest.mark.parametrize("name", ["a.arrow", "a.avro", "a.orc"])
@pytest.mark.parametrize("content", [b"ARROW1\0\0" + bytes(40)])
def test_what_is_no_file_of_its_format_is_refused(read, name, content):
    assert read(content, name).delivery.refused


@pytest.mark.parametrize(
    "seed", [1, *(pytest.param(n, marks=pytest.mark.full) for n in range(2, 120))]
)
@pytest.mark.parametrize("name", WRITERS)
def test_damaged_files_end_nothing_and_lose_no_row(read, name, seed):
    chance = random.Random(seed)
    content = WRITERS[name](pl.concat([LOCAL] * 50))
    for _ in range(2):
        broken = bytearray(content)
        for _ in range(chance.choice([1, 8])):
            broken[chance.randrange(len(broken))] ^= 1 << chance.randrange(8)
        broken = broken[: chance.choice([len(broken), chance.randrange(len(broken))])]
        seen = read(bytes(broken), name, limits=IngestLimits(reader_seconds=20))
        assert seen.delivery.refused or len(seen.rows) == 200


@pytest.mark.parametrize(("name", "module"), [("a.avro", "fastavro"), ("a.orc", "pyarrow")])
def test_packages_that_are_missing_are_named_with_their_extra(read, monkeypatch, name, module):
    monkeypatch.setattr(contained, "_is_installed", lambda asked: asked != module)
    refused = read(WRITERS[name](LOCAL), name).delivery.refused
    assert refused.endswith(f"{module}; run: pip install 'lakehouse[{name[2:]}]'")


@pytest.mark.parametrize("suffix", ["parquet", "arrow", "orc"])
def test_a_file_that_has_a_name_exactly_twice_is_refused_with_the_cause(read, suffix):
    table = pa.Table.from_arrays([pa.array([1]), pa.array(["x"]), pa.array([3])], names=[*"aab"])
    file = io.BytesIO()
    if suffix == "arrow":
        with pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
    else:
        {"parquet": pq.write_table, "orc": orc.write_table}[suffix](table, file)
    seen = read(file.getvalue(), f"a.{suffix}")
    assert "Next: deliver the file with names that differ" in seen.delivery.refused
    assert re.search("same name|more than one occurrence", seen.delivery.refused)
