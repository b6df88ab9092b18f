"""JSON lines, rule by rule: every value is text as the file spells it; other lines are dead letters."""

import json

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.ingest.limits import IngestLimits

NAME = "a.jsonl"
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(st.characters(exclude_categories=("Cs",)), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=3)
    ),
    max_leaves=8,
)


def test_strings_stay_as_they_are(read):
    assert read(b'{"a":" x\\n\\u00e9 ","b":""}', NAME).rows == [(" x\né ", "")]


def test_numbers_keep_their_spelling(read):
    assert read(b'{"a":1.50,"b":1E400,"c":12345678901234567890123,"d":-0}', NAME).rows == [
        ("1.50", "1E400", "12345678901234567890123", "-0")
    ]


def test_truth_is_text_and_null_is_null(read):
    assert read(b'{"a":true,"b":false,"c":null}', NAME).rows == [("true", "false", None)]


def test_nested_values_become_compact_json(read):
    line = '{"a": {"x": [1.50, null, true], "y": "é\\""}, "b": []}'.encode()
    assert read(line, NAME).rows == [('{"x":[1.50,null,true],"y":"é\\""}', "[]")]


def test_the_columns_are_the_union_over_the_file(read):
    seen = read(b'{"a":1}\n{"b":2}\n{"c":3,"a":4}\n', NAME)
    assert seen.delivery.columns == ("a", "b", "c")
    assert seen.rows == [("1", None, None), (None, "2", None), ("4", None, "3")]


def test_parts_written_before_a_column_was_seen_hold_null_in_it(read):
    limits = IngestLimits(pending_records=1, part_bytes=1)
    seen = read(b'{"a":1}\n{"b":2}\n{"c":3}\n', NAME, limits=limits)
    assert seen.rows == [("1", None, None), (None, "2", None), (None, None, "3")]
    assert len(list(seen.delivery.rows.iterdir())) == 3


def test_keys_that_differ_by_case_from_line_to_line_are_one_column(read):
    seen = read(b'{"Id":1}\n{"ID":2}\n', NAME)
    assert (seen.delivery.columns, seen.rows) == (("Id",), [("1",), ("2",)])


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"7", "not an object but a number"),
        (b"null", "not an object but null"),
        (b'{"a":', "invalid JSON: Expecting value at character 6"),
        (b'{"a":1} x', "invalid JSON: Extra data at character 9"),
        (b'{"a":NaN}', "invalid JSON: NaN is not a number (Files: allow_nan)"),
        (b'{"a":[-Infinity]}', "invalid JSON: -Infinity is not a number (Files: allow_nan)"),
        (b'{"a":1,"a":2}', "duplicate keys: a"),
        (b'{"b":{"a":1,"a":2}}', "duplicate keys: a"),
        (b'{"a":"\xff"}', "not valid UTF-8: invalid start byte at byte 7"),
        (b'{"a":"\\ud800"}', "an escape is half of a surrogate pair, which no text can hold"),
        (b'{"a":' + b"[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_record_is_a_dead_letter(read, line, reason):
    seen = read(b'{"a":1}\n' + line + b'\n{"a":2}\n', NAME)
    assert (seen.rows, seen.reasons, seen.payloads) == ([("1",), ("2",)], [reason], [line])
    assert (seen.letters[0]["place"], seen.letters[0]["_offset"]) == ("line 2", 2)


def test_a_line_over_the_limit_is_a_dead_letter(read):
    seen = read(
        b'{"a":1}\n{"a":"' + b"x" * 99 + b'"}\n',
        NAME,
        limits=IngestLimits(record_bytes=50, payload_bytes=5),
    )
    assert (seen.rows, seen.payloads, seen.letters[0]["payload_bytes"]) == (
        [("1",)],
        [b'{"a":'],
        107,
    )


def test_keys_beyond_the_limit_are_dead_letters(read):
    seen = read(b'{"a":1}\n{"b":1}\n{"c":1}\n', NAME, limits=IngestLimits(columns=2))
    assert (len(seen.rows), seen.reasons) == (2, ["more than 2 columns, with: c"])


def test_a_required_key_takes_the_required_spelling(read):
    assert read(b'{"ID":1}\n{}\n', NAME, required=["id"]).delivery.columns == ("id",)


def test_a_required_key_in_no_record_refuses_the_file(read):
    assert (
        read(b'{"a":1}\n', NAME, required=["b"]).delivery.refused
        == "columns missing: b; the file has: a"
    )


def test_a_byte_order_mark_and_blank_lines_are_tolerated(read):
    seen = read(b'\xef\xbb\xbf\r\n{"a":1}\r\n  \r\n', NAME)
    assert (seen.rows, seen.delivery.notes) == (
        [("1",)],
        ("byte order mark removed", "blank lines skipped: 2"),
    )


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"\n \n", "blank lines only: no records"),
        (b"[]", "an empty list: no records"),
        (b"\xef\xbb\xbf [\r\n ]\n", "an empty list: no records"),
    ],
)
def test_a_sound_file_without_a_record_holds_none(read, content, why):
    delivery = read(content, NAME).delivery
    assert (delivery.refused, delivery.records, delivery.empty_because) == (None, 0, why)


def test_a_line_may_be_a_list_of_records(read):
    seen = read(b'{"a":1}\n[{"a":2},3]\n[]\n[{"a":4}]\n', NAME)
    assert (seen.rows, seen.offsets) == ([("1",), ("2",), ("4",)], [1, 2, 4])
    assert (seen.payloads, seen.reasons) == ([b"3"], ["not an object but a number"])


def test_values_nested_deeper_than_the_limit_are_dead_letters(read):
    limits = IngestLimits(nesting=3)
    deep = [b"[" * n + b"1" + b"]" * n for n in (3, 4)]
    keys = [b'{"k":' * n + b"1" + b"}" * n for n in (3, 4)]
    seen = read(b"".join(b'{"a":%b}\n' % value for value in (*deep, *keys)), NAME, limits=limits)
    assert (len(seen.rows), seen.reasons) == (2, ["nested more than 3 deep (nesting)"] * 2)


@pytest.mark.parametrize("name", ["a.json", "a.ndjson", "a.jsonl"])
def test_records_without_a_key_are_rows(read, name):
    seen = read(b"{}\n{}\n", name)
    assert (seen.offsets, seen.delivery.columns) == ([1, 2], ())
    assert pl.read_parquet(seen.delivery.rows).columns == ["_offset"]


@given(record=st.dictionaries(st.sampled_from("abc"), JSON, min_size=1))
@settings(max_examples=80, deadline=None)
def test_any_value_survives_the_round_trip(read, record):
    seen = read(json.dumps(record).encode(), NAME)
    texts = dict(zip(seen.delivery.columns, seen.rows[0], strict=True))
    assert {
        key: value if isinstance(record[key], str) else json.loads(value or "null")
        for key, value in texts.items()
    } == record
