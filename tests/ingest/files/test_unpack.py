"""Packed deliveries: packings are undone by their bytes, and damage refuses the whole file."""

import bz2
import gzip
import io
import lzma
import random
import zipfile

import polars as pl
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.ingest.files.packed.unpack import Received, unpack
from lakehouse.ingest.files.record_ledger import RefusedError
from lakehouse.ingest.limits import IngestLimits
from lakehouse.tables.files import Files

CSV = b"a,b\n" + b"".join(b"%d,%d\n" % (n, n * n) for n in range(2000))
NOISE = b"a\n" + random.Random(3).randbytes(3000).hex().encode() + b"\n"


def zipped(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("_", "."), content)
    return file.getvalue()


def parquet_of(**columns: list[object]) -> bytes:
    file = io.BytesIO()
    pl.DataFrame(columns).write_parquet(file)
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


def test_a_file_whose_name_alone_says_gzip_is_read_as_it_is_and_noted(read):
    seen = read(CSV, "a.csv.gz")
    assert seen.delivery.rows_count == 2000
    assert "its name tells a packing, its bytes are not packed" in seen.delivery.notes
    assert read(parquet_of(a=[1]), "a.parquet.gz").rows == [(1,)]


def test_a_file_that_is_neither_text_nor_gzip_is_refused_as_gzip(read):
    for content in (b"a\n\x01\n", b"\x1e" + gzip.compress(CSV)[1:]):
        assert "gzip stream is damaged" in read(content, "a.csv.gz").delivery.refused


def test_a_zip_without_its_beginning_is_refused_though_it_begins_with_text(read):
    content = zipped_by(zipfile.ZIP_STORED, CSV)
    reason = read(content[content.index(b"a,b") :], "a.zip").delivery.refused
    assert "zip file is damaged or cut off" in reason


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


COMPRESSIONS = {
    ".gz": (gzip.compress, "gzip"),
    ".bz2": (bz2.compress, "bzip2"),
    ".xz": (lzma.compress, "xz"),
    ".lzma": (lambda plain: lzma.compress(plain, lzma.FORMAT_ALONE), "xz"),
    ".zst": (zstandard.ZstdCompressor(write_checksum=True).compress, "zstd"),
}


def pack(content: bytes, suffix: str) -> bytes:
    return COMPRESSIONS[suffix][0](content)


@pytest.mark.parametrize("suffix", COMPRESSIONS)
def test_each_compression_is_undone_also_of_several_frames(read, suffix):
    assert read(pack(CSV, suffix), f"a.csv{suffix}").rows == read(CSV, "a.csv").rows
    if suffix == ".lzma":
        return  # has no mark at which a second frame begins
    content = pack(b"a\n1\n", suffix) + pack(b"", suffix) + pack(b"2\n", suffix)
    assert read(content, f"a.csv{suffix}").rows == [("1",), ("2",)]


@pytest.mark.parametrize("suffix", COMPRESSIONS)
@pytest.mark.parametrize("cut", [20, 200, -8, -1])
def test_a_cut_off_stream_is_refused(read, suffix, cut):
    reason = read(pack(NOISE, suffix)[:cut], f"a.csv{suffix}").delivery.refused
    assert f"{COMPRESSIONS[suffix][1]} stream ends early after" in reason


@pytest.mark.parametrize("suffix", COMPRESSIONS)
def test_a_damaged_stream_is_refused(read, suffix):
    content = bytearray(pack(NOISE, suffix))
    content[len(content) // 2] ^= 0x10
    reason = read(bytes(content), f"a.csv{suffix}").delivery.refused
    # Bytes of plain LZMA have no checksum, so only what is read of them can tell.
    assert suffix == ".lzma" or f"{COMPRESSIONS[suffix][1]} stream is damaged" in reason


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zst"])
@given(place=st.integers(0, 10_000), value=st.integers(1, 255))
@settings(max_examples=40, deadline=None)
def test_a_flipped_byte_of_any_compression_is_refused_or_does_no_harm(read, suffix, place, value):
    content = bytearray(pack(CSV[:600], suffix))
    content[place % len(content)] ^= value
    seen = read(bytes(content), f"a.csv{suffix}")
    assert seen.delivery.refused or seen.rows == read(CSV[:600], "a.csv").rows


@pytest.mark.parametrize("suffix", COMPRESSIONS)
def test_a_bomb_of_any_compression_is_refused(read, suffix):
    packed = pack(b"a\n" + b"1\n" * (1 << 20), suffix)
    by_ratio = IngestLimits(ratio=20, ratio_from=1 << 10)
    reason = read(packed, f"a.csv{suffix}", limits=by_ratio).delivery.refused
    assert "limit 20 to one (ratio)" in reason


def test_a_header_that_asks_for_all_memory_is_refused(read):
    window = zstandard.ZstdCompressionParameters(window_log=31, write_content_size=False)
    coder = zstandard.ZstdCompressor(compression_params=window).compressobj()
    content = coder.compress(CSV) + coder.flush()
    assert "zstd stream is damaged" in read(content, "a.csv.zst").delivery.refused
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 30}]
    content = lzma.compress(CSV[:10], filters=filters)
    content = content[:14] + b"\x25" + content[15:]
    assert "xz stream is damaged" in read(content, "a.csv.xz").delivery.refused


def test_without_its_package_zstd_is_refused_with_the_extra_to_install(read, monkeypatch):
    def import_none(name: str):
        raise ImportError(name)

    monkeypatch.setattr("importlib.import_module", import_none)
    reason = read(pack(CSV, ".zst"), "a.csv.zst").delivery.refused
    assert reason.endswith("pip install 'lakehouse[zstd]'")


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (CSV, "d.csv.1"),
        (CSV, "noext"),
        (CSV, "odd.txt"),
        (CSV, "plain.csv.gz"),
        (CSV, "plain.zip"),
        (gzip.compress(CSV), "noext"),
        (gzip.compress(CSV), "a.csv"),
        (gzip.compress(CSV), "a.csv.zst"),
        (gzip.compress(gzip.compress(CSV)), "a.csv.gz"),
        (bz2.compress(CSV), "d.csv.bz2.1"),
        (zipped(a_csv=CSV), "zipped.csv"),
        (zipped(noext=CSV), "a.zip"),
        (zipped(a_csv_gz=gzip.compress(CSV)), "a.zip"),
    ],
)
def test_a_declared_format_is_read_whatever_the_name_says_and_its_packing_by_its_bytes(
    read, content, name
):
    assert read(content, name, files=Files(format="csv")).rows == read(CSV, "a.csv").rows


def test_a_packing_that_the_name_does_not_tell_is_undone_without_a_declaration(read):
    for content in (gzip.compress(CSV), zipped(a_csv=CSV), zipped(a_csv_gz=gzip.compress(CSV))):
        assert read(content, "a.csv").rows == read(CSV, "a.csv").rows


def test_an_unknown_format_says_what_to_declare(read):
    reason = read(CSV, "d.csv.1").delivery.refused
    assert reason.startswith("unknown format: 'd.csv.1' ends with none of .csv, ")
    assert 'declare it: raw(…, files=Files(format="csv"))' in reason


def test_a_packing_that_is_not_read_is_named(read):
    for mark, kind in ((b"7z\xbc\xaf\x27\x1c", "7z"), (b"Rar!\x1a\x07", "rar")):
        reason = read(mark + b"...", "a.csv").delivery.refused
        assert reason.startswith(f"packed as {kind}, which is not read; deliver it plain")


def test_packings_without_end_are_refused(read):
    content = CSV
    for _ in range(6):
        content = gzip.compress(content)
    assert "packed more than 4 times" in read(content, "a.csv.gz").delivery.refused


def test_a_format_that_is_a_zip_itself_is_not_unpacked(read):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("[Content_Types].xml", b"<Types/>")
    content = file.getvalue()
    assert "holds" not in str(read(content, "book.csv").delivery.refused)


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
            plain = unpack(received, "a.zip", tmp_path / "plain")
        except RefusedError:
            continue
        assert plain.path.read_bytes() == content


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


def test_a_zip_without_its_beginning_is_refused_and_stops_nothing(read):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.csv", "id\n1\n")
        archive.writestr("b.csv", "id\n2\n")
    assert "beginning" in read(packed.getvalue()[20:], "a.zip").delivery.refused
