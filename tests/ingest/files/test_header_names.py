"""Names of columns, rule by rule: no name costs a file or a record, and no value changes its column."""

import io
import json

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.ingest.files.header_names import land_names
from lakehouse.ingest.limits import IngestLimits

KEYS = st.sampled_from(["a", "A", " a", "_a", "source_a", "a_2", "*", "^a$", "", "a\0", "\ta\n"])


@pytest.mark.parametrize(
    ("delivered", "landed"),
    [
        (["_id", "id"], ["source_id", "id"]),
        (["__index_level_0__"], ["source__index_level_0__"]),
        (["_"], ["source_"]),
        (["_id", "source_id"], ["source_id_2", "source_id"]),
        (["_id", "_ID", "_Id"], ["source_id", "source_ID_2", "source_Id_3"]),
        (["t", "t"], ["t", "t_2"]),
        (["t", "T", "t_2", "t"], ["t", "T_3", "t_2", "t_4"]),
        (["", "a", ""], ["column_1", "a", "column_3"]),
        (["", "column_1"], ["column_1_2", "column_1"]),
        (["*", "^a.*$", "^a", "a*"], ["source_*", "source_^a.*$", "^a", "a*"]),
        (["a\r\nb", "a\0b", "a b"], ["a b_2", "a b_3", "a b"]),
        (["\x07", " \u2028 "], ["column_1", "column_2"]),
        (["select", "a.b", "a,b", "a[0]", "größe"], ["select", "a.b", "a,b", "a[0]", "größe"]),
    ],
)
def test_names_land_under_one_rule(delivered, landed):
    assert land_names(delivered).names == landed


@given(delivered=st.lists(KEYS | st.text(max_size=3), max_size=8))
@settings(max_examples=300, deadline=None)
def test_landed_names_differ_in_more_than_case_and_good_ones_stay(delivered):
    names = land_names(delivered).names
    assert len({name.casefold() for name in names}) == len(delivered)
    assert not [name for name in names if name.startswith("_") or "\0" in name or not name.strip()]
    assert land_names(names).names == names


def test_ten_thousand_equal_names_are_numbered_at_once():
    names = land_names(["x"] * 10_000).names
    assert (names[0], names[1], names[-1]) == ("x", "x_2", "x_10000")


def test_a_header_tells_each_change(read):
    seen = read(b",_id,t,T,a\n0,1,2,3,4\n")
    assert seen.delivery.columns == ("column_1", "source_id", "t", "T_2", "a")
    assert seen.rows == [("0", "1", "2", "3", "4")]
    assert seen.delivery.notes == (
        "columns under other names: (blank) as column_1, _id as source_id, T as T_2",
    )
    assert seen.delivery.delivered == {"source_id": "_id"}


@pytest.mark.parametrize("name", ["*", "^a$", "_a", "a\nb", "A", "__index_level_0__"])
def test_parquet_has_the_same_names_as_csv(read, name):
    frame, file = pl.DataFrame({"a": ["1"], name: ["x"], "b": ["y"]}), io.BytesIO()
    frame.write_parquet(file)
    typed = read(file.getvalue(), "a.parquet")
    text = read(frame.write_csv().encode(), "a.csv")
    assert typed.rows == text.rows == [("1", "x", "y")]
    assert typed.delivery.columns == text.delivery.columns
    assert typed.delivery.delivered == text.delivery.delivered


def lines(*records: dict[str, object]) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def as_dicts(seen) -> list[dict[str, str]]:
    named = (zip(seen.delivery.columns, row, strict=True) for row in seen.rows)
    return [{name: value for name, value in row if value is not None} for row in named]


def test_keys_that_begin_with_an_underscore_land(read):
    seen = read(lines({"_id": {"$oid": "5"}, "n": 1}, {"_id": "x"}), "a.jsonl")
    assert as_dicts(seen) == [{"source_id": '{"$oid":"5"}', "n": "1"}, {"source_id": "x"}]


def test_keys_of_one_record_that_differ_by_case_are_two_columns_in_every_record(read):
    records = [{"ID": 0}, {"ID": 1, "id": 2}, {"id": 3, "ID": 4}, {"id": 5}]
    expected = [{"ID_2": "0"}, {"id": "2", "ID_2": "1"}, {"id": "3", "ID_2": "4"}, {"id": "5"}]
    assert as_dicts(read(lines(*records), "a.jsonl")) == expected


def test_a_key_that_is_changed_gives_way_to_a_real_one_of_a_later_record(read):
    records = [{"_id": 1}, {"source_id": 2}, {"_id": 3, "source_id": 4}]
    seen = read(lines(*records), "a.jsonl")
    assert as_dicts(seen) == [
        {"source_id_2": "1"},
        {"source_id": "2"},
        {"source_id_2": "3", "source_id": "4"},
    ]
    assert seen.delivery.delivered == {"source_id_2": "_id"}


def test_the_declared_spelling_keeps_its_name(read):
    seen = read(lines({"id": 1, "ID": 2}), "a.jsonl", required=["ID"])
    assert as_dicts(seen) == [{"id_2": "1", "ID": "2"}]


def test_a_key_of_half_a_surrogate_pair_costs_no_record(read):
    seen = read(b'{"\\ud800":1,"a":2}\n', "a.jsonl")
    assert as_dicts(seen) == [{"\ufffd": "1", "a": "2"}]


def test_a_reason_may_name_half_a_surrogate_pair(read):
    assert read(b'{"\\ud800":1,"\\ud800":2}\n', "a.jsonl").reasons == ["duplicate keys: \ufffd"]


@pytest.mark.parametrize("parts", [False, True])
@given(records=st.lists(st.dictionaries(KEYS, st.integers(0, 9), max_size=5), min_size=1))
@settings(max_examples=100, deadline=None)
def test_no_value_of_any_key_is_lost(read, parts, records):
    limits = IngestLimits(pending_records=1, part_bytes=1) if parts else IngestLimits()
    seen = read(lines(*records), "a.jsonl", limits=limits)
    assert seen.delivery.dead_count == 0
    assert [sorted(row.values()) for row in as_dicts(seen)] == [
        sorted(str(value) for value in record.values()) for record in records
    ]
