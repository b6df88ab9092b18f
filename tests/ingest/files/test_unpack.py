"""Compressed deliveries: gzip and zip are unpacked, and damage refuses the whole file."""

import gzip
import io
import random
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.ingest.files.record_ledger import RefusedError
from lakehouse.ingest.files.unpack import Received, unpack
from lakehouse.ingest.limits import IngestLimits

CSV = b"a,b\n" + b"".join(b"%d,%d\n" % (n, n * n) for n in range(2000))
NOISE = b"a\n" + random.Random(3).randbytes(3000).hex().encode() + b"\n"


def zipped(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("_", "."), content)
    return file.getvalue()


def test_gzip_is_undone(read):
    seen = read(gzip.compress(CSV), "a.csv.gz")
    assert (seen.delivery.rows_count, seen.rows[-1]) == (2000, ("1999", str(1999**2)))


def test_gzip_of_several_members_and_padding_is_one_file(read):
    content = gzip.compress(b"a\n1\n") + gzip.compress(b"2\n") + b"\0" * 100
    assert read(content, "a.csv.gz").rows == [("1",), ("2",)]


def test_a_gzip_that_unpacks_to_nothing_is_refused(read):
    assert read(gzip.compress(b""), "a.csv.gz").delivery.refused == "empty file: 0 bytes"


@pytest.mark.parametrize("cut", [1, 5, 12, 1000, -8, -1])
def test_a_cut_off_gzip_is_refused(read, cut):
    assert (
        "gzip stream ends early after"
        in read(gzip.compress(NOISE)[:cut], "a.csv.gz").delivery.refused
    )


def test_a_wrong_checksum_is_refused(read):
    content = gzip.compress(NOISE)
    damaged = content[:-8] + bytes([content[-8] ^ 1]) + content[-7:]
    assert "gzip stream is damaged" in read(damaged, "a.csv.gz").delivery.refused


def test_bytes_behind_a_gzip_stream_are_refused(read):
    assert (
        "gzip stream is damaged"
        in read(gzip.compress(NOISE) + b"more", "a.csv.gz").delivery.refused
    )


def test_a_file_that_only_claims_to_be_gzip_is_refused(read):
    assert "gzip stream is damaged" in read(CSV, "a.csv.gz").delivery.refused


def test_the_name_of_the_zip_member_decides_the_format(read):
    assert read(zipped(rates_csv=b"a\n1\n"), "foo.zip").rows == [("1",)]
    assert read(zipped(rates_jsonl=b'{"a": 1}'), "foo.csv.zip").rows == [("1",)]


def test_a_zip_of_two_files_is_refused(read):
    assert (
        "holds 2 files" in read(zipped(a_csv=b"a\n1\n", b_csv=b"a\n1\n"), "a.zip").delivery.refused
    )


def test_a_zip_of_no_file_is_refused(read):
    assert "holds 0 files" in read(zipped(), "a.zip").delivery.refused


def test_a_zip_of_an_unknown_format_is_refused(read):
    assert "unknown format: 'a.txt'" in read(zipped(a_txt=b"a\n1\n"), "a.zip").delivery.refused


@pytest.mark.parametrize("cut", [3, 500, -30, -1])
def test_a_cut_off_zip_is_refused(read, cut):
    assert "zip file is damaged" in read(zipped(a_csv=NOISE)[:cut], "a.zip").delivery.refused


def test_a_zip_with_a_wrong_checksum_is_refused(read):
    content = zipped(a_csv=NOISE)
    place = content.index(b"PK\x01\x02") + 16
    damaged = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
    assert "zip file is damaged" in read(damaged, "a.zip").delivery.refused


def test_a_zip_whose_directory_points_outside_is_refused(read):
    content = bytearray(zipped(a_csv=NOISE))
    content[-6:-2] = (1 << 20).to_bytes(4, "little")
    assert "zip file is damaged" in read(bytes(content), "a.zip").delivery.refused


@pytest.mark.parametrize("name", ["a.csv.gz", "a.zip"])
@given(place=st.integers(0, 10_000), value=st.integers(1, 255))
@settings(max_examples=60, deadline=None)
def test_a_flipped_byte_is_refused_or_does_no_harm(read, name, place, value):
    whole = gzip.compress(CSV[:600]) if name.endswith(".gz") else zipped(a_csv=CSV[:600])
    content = bytearray(whole)
    content[place % len(content)] ^= value
    seen = read(bytes(content), name)
    assert seen.delivery.refused or seen.rows == read(whole, name).rows


METHODS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]


def zipped_by(method: int, content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("a.csv", content)
    return file.getvalue()


@pytest.mark.parametrize("method", METHODS)
def test_a_flipped_bit_anywhere_in_a_zip_refuses_it_or_does_no_harm(tmp_path, method):
    content = CSV[:400]
    whole = zipped_by(method, content)
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        (tmp_path / "a.zip").write_bytes(damaged)
        received = Received(tmp_path / "a.zip", "", len(damaged))
        try:
            unpack(received, "a.zip", tmp_path / "plain")
        except RefusedError:
            continue
        assert (tmp_path / "plain").read_bytes() == content


@pytest.mark.parametrize("method", METHODS)
def test_damage_in_a_zip_names_its_member(read, method):
    content = bytearray(zipped_by(method, NOISE))
    content[len(content) // 2] ^= 0x10
    reason = read(bytes(content), "a.zip").delivery.refused
    assert reason.startswith("zip file is damaged or cut off: its member 'a.csv': ")


@pytest.mark.parametrize("name", ["a.csv.gz", "a.zip"])
def test_a_file_that_unpacks_to_too_much_is_refused_before_it_fills_the_disk(read, name):
    bomb = b"a\n" + b"1\n" * (1 << 20)
    packed = gzip.compress(bomb) if name.endswith(".gz") else zipped(a_csv=bomb)
    by_ratio = IngestLimits(ratio=100, ratio_from=1 << 10)
    assert "limit 100 to one (ratio)" in read(packed, name, limits=by_ratio).delivery.refused
    by_size = IngestLimits(plain_bytes=1 << 20)
    assert "limit 1,048,576 (plain_bytes)" in read(packed, name, limits=by_size).delivery.refused
    assert read(packed, name).delivery.rows_count == 1 << 20


def test_a_plain_file_over_the_limit_is_refused(read):
    seen = read(CSV, "a.csv", limits=IngestLimits(plain_bytes=100))
    assert seen.delivery.refused == f"too large: {len(CSV):,} bytes; limit 100 (plain_bytes)"


def test_more_records_than_the_limit_are_refused(read):
    for content, name in (
        (CSV, "a.csv"),
        (b'{"a":1}\n' * 2000, "a.jsonl"),
        (b"a,b\n" + b"1\n" * 2000, "a.csv"),
    ):
        seen = read(content, name, limits=IngestLimits(rows=1999))
        assert seen.delivery.refused == "more than 1,999 records (rows)"
