"""What holds for every delivery: its identity, its limits, refusal as a whole, and that no record vanishes."""

import hashlib

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lakehouse.errors import OutageError
from lakehouse.ingest.files.delivery import read_delivery
from lakehouse.ingest.limits import IngestLimits

SMALL = IngestLimits(payload_bytes=16, record_bytes=40, cell_bytes=30, columns=6, block_bytes=7)
CSV_BYTES = st.lists(
    st.sampled_from(
        [b"a", b"1", b" ", b'"', b'""', b",", b"\n", b"\r\n", b"\r", b"\xff", b"\0", "é".encode()]
    )
).map(b"".join)


def test_a_delivery_is_known_by_the_hash_of_its_bytes(read):
    delivery = read(b"a,b\n1,2\n").delivery
    assert delivery.digest == hashlib.sha256(b"a,b\n1,2\n").hexdigest()
    assert (delivery.size, delivery.name) == (8, "a.csv")


def test_records_are_numbered_through_rows_and_dead_letters(read):
    seen = read(b"a,b\n1,2\n3\n4,5\n")
    assert seen.offsets == [1, 3]
    assert seen.letters[0]["_offset"] == 2
    assert (seen.delivery.records, seen.delivery.rows_count, seen.delivery.dead_count) == (3, 2, 1)


def test_an_unknown_suffix_is_refused(read):
    assert read(b"x", "a.geojson").delivery.refused.startswith("unknown format: 'a.geojson'")


def test_a_suffix_in_capitals_is_known(read):
    assert read(b"a\n1\n", "A.CSV").rows == [("1",)]


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet", "a.csv.gz", "a.zip"])
def test_zero_bytes_are_refused_and_are_not_an_empty_table(read, name):
    assert read(b"", name).delivery.refused == "empty file: 0 bytes"


def test_a_refused_file_is_one_dead_letter_with_its_bytes(read):
    seen = read(b"a,A\n1,2\n", required=["a", "b"])
    reason = "columns missing: b; the file has: a, A_2"
    expected = {"_offset": None, "reason": reason, "place": "whole file"}
    assert seen.letters == [{**expected, "payload": b"a,A\n1,2\n", "payload_bytes": 8}]
    assert (seen.delivery.rows, seen.delivery.records, seen.delivery.dead_count) == (None, 0, 1)


def test_a_refused_file_keeps_its_true_size_beyond_the_kept_payload(read):
    seen = read(b"a,A\n" + b"1,2\n" * 100, required=["b"], limits=SMALL)
    assert (seen.payloads, seen.letters[0]["payload_bytes"]) == ([b"a,A\n1,2\n1,2\n1,2\n"], 404)
    assert seen.delivery.is_cut


def test_a_file_that_was_read_can_still_be_refused(read):
    delivery = read(b"a\n1\n").delivery.refuse("types differ")
    assert (delivery.refused, delivery.rows, delivery.rows_count, delivery.records) == (
        "types differ",
        None,
        0,
        0,
    )
    assert pl.read_parquet(delivery.dead)["payload"].to_list() == [b"a\n1\n"]


def test_a_source_that_fails_midway_is_no_refusal(tmp_path):
    def chunks():
        yield b"a\n1\n"
        raise OSError("connection reset")

    with pytest.raises(OSError, match="connection reset"):
        read_delivery(chunks(), name="a.csv", spool=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_spool_keeps_no_copy_of_the_file(tmp_path):
    read_delivery([b"a\n" + b"1\n" * 1000], name="a.csv", spool=tmp_path, limits=SMALL)
    assert all(
        path.stat().st_size <= 16 for path in tmp_path.rglob("*") if path.name in ("head", "plain")
    )
    assert not list(tmp_path.rglob("plain"))


def test_two_deliveries_of_one_name_share_a_spool(tmp_path):
    first, second = (read_delivery([b"a\n%d\n" % n], name="a.csv", spool=tmp_path) for n in (1, 2))
    assert pl.read_parquet(first.rows)["a"].to_list() == ["1"]
    assert pl.read_parquet(second.rows)["a"].to_list() == ["2"]


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.parquet", "a.csv.gz", "a.zip"])
@given(content=st.binary(max_size=80))
@settings(max_examples=40, deadline=None)
def test_any_bytes_are_read_or_refused(read, name, content):
    _assert_conserved(read(content, name))


@given(content=CSV_BYTES)
@settings(max_examples=150, deadline=None)
@example(content=b'a\n"1\n\n')
def test_any_csv_is_accounted_for_under_small_limits(read, content):
    _assert_conserved(read(b"a,b\n" + content, limits=SMALL))


@given(
    lines=st.lists(
        st.sampled_from(
            [b'{"a":1}', b'{"a":"x","b":[1]}', b"{}", b'{"_a":1}', b"[", b"", b'{"c":null}', b"7"]
        )
    )
)
@settings(max_examples=60, deadline=None)
def test_any_json_lines_are_accounted_for(read, lines):
    _assert_conserved(read(b"\n".join(lines), "a.jsonl", limits=SMALL))


def _assert_conserved(seen):
    delivery = seen.delivery
    if delivery.refused:
        assert (delivery.rows, [letter["_offset"] for letter in seen.letters]) == (None, [None])
    else:
        assert seen.numbers == list(range(1, delivery.records + 1))
        assert (len(seen.rows), len(seen.letters)) == (delivery.rows_count, delivery.dead_count)


@pytest.mark.parametrize("error", [OSError, OutageError, KeyboardInterrupt])
def test_what_was_spooled_of_a_file_goes_whatever_ends_its_reading(tmp_path, error):
    def chunks():
        yield b"a\n1\n"
        raise error("no answer")

    with pytest.raises(error):
        read_delivery(chunks(), name="a.csv", spool=tmp_path)
    assert list(tmp_path.iterdir()) == []
