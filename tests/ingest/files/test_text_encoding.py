"""Text in declared encodings: the values, the dead letters with their bytes, files in another encoding."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.errors import SetupError
from lakehouse.ingest.files.text import text_encoding
from lakehouse.tables.files import Files

ENCODINGS = ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig", "cp1252", "latin-1"]
EASTERN = {
    "shift_jis": "東京",
    "gb18030": "北京",
    "euc_kr": "서울",
    "cp1251": "Томск",
    "big5": "台北",
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_text_is_read_in_the_declared_encoding(read, encoding, name):
    text = "id,city\n1,Zürich\n" if name == "a.csv" else '{"id":"1","city":"Zürich"}\n'
    seen = read(text.encode(encoding), name, files=Files(encoding=encoding))
    assert (seen.delivery.columns, seen.rows) == (("id", "city"), [("1", "Zürich")])


@pytest.mark.parametrize(("encoding", "city"), EASTERN.items())
def test_encodings_of_other_scripts_are_read(read, encoding, city):
    seen = read(f"id,{city}\n1,{city}\n".encode(encoding), files=Files(encoding=encoding))
    assert (seen.delivery.columns, seen.rows) == (("id", city), [("1", city)])


@pytest.mark.parametrize("encoding", ["cp037", "cp500", "cp1140"])
@pytest.mark.parametrize("end", ["\n", "\x85", "\r\n"])
def test_text_of_mainframes_is_read_with_either_line_end(read, encoding, end):
    content = end.join(["id,city", "1,Köln", "2", ""]).encode(encoding)
    seen = read(content, files=Files(encoding=encoding))
    assert (seen.rows, seen.payloads) == ([("1", "Köln")], ["2".encode(encoding)])


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_is_read_in_the_order_of_its_bytes(read, encoding):
    assert read("a,b\n1,é\n".encode(encoding), files=Files(encoding="utf-16")).rows == [("1", "é")]


@pytest.mark.parametrize(
    ("encoding", "bad"),
    [
        ("cp1252", b"2,x\x81\x9dy"),
        ("ascii", b"2,\xe9"),
        ("shift_jis", b"2,\x81 z"),
        ("gb18030", b"2,\xff\x30"),
        ("utf-16-le", "2,x".encode("utf-16-le") + b"\x00\xd8" + "z".encode("utf-16-le")),
    ],
)
@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
def test_what_cannot_be_decoded_is_a_dead_letter_with_its_bytes(read, encoding, bad, chunk):
    good = "a,b\n1,u\n".encode(encoding)
    content = good + bad + "\n3,w\n4\n".encode(encoding)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_encoding, "_CHUNK", chunk)
        seen = read(content, files=Files(encoding=encoding))
    assert (seen.rows, seen.numbers) == ([("1", "u"), ("3", "w")], [1, 2, 3, 4])
    assert seen.payloads == [bad, "4".encode(encoding)]
    assert seen.reasons == [f"not valid {encoding}", "1 fields where the header has 2"]
    assert seen.letters[0]["payload_bytes"] == len(bad)


@given(
    text=st.text(st.characters(codec="cp1252"), max_size=20),
    bad=st.binary(max_size=6),
    encoding=st.sampled_from(["cp1252", "utf-16", "gb18030", "shift_jis"]),
)
@settings(max_examples=60, deadline=None)
def test_the_bytes_of_a_dead_letter_are_those_delivered_or_the_lake_keeps_the_file(
    read, text, bad, encoding
):
    text = text.replace("\r", "").replace("\n", "").replace('"', "").replace(",", "")
    mark = "\ufeff" if encoding == "utf-16" else ""
    codec = "utf-16-le" if encoding == "utf-16" else encoding
    line = f"x{text}".encode(codec, "ignore") + bad * 2
    content = f"{mark}a,b\n".encode(codec) + line + "\n1,2\n".encode(codec)
    delivery = read(content, files=Files(encoding=encoding))
    if delivery.payloads and not delivery.delivery.is_cut and len(delivery.payloads) == 1:
        assert delivery.payloads[0] in content


@pytest.mark.parametrize(
    ("content", "encoding", "remedy"),
    [
        ("a,b\n1,ü\n".encode(), "cp1252", 'encoding="utf-8"'),
        ("a,b\n1,ü\n".encode("utf-8-sig"), "latin-1", 'encoding="utf-8"'),
        ("a,b\n1,ü\n".encode("utf-16"), "latin-1", 'encoding="utf-16"'),
        (b"a,b\n1,2\n3,4\n", "utf-16", "or none if it is UTF-8"),
        ("a,b\n1,2\n".encode("utf-16-le"), "utf-8", 'encoding="utf-16"'),
    ],
)
def test_a_file_in_another_encoding_is_refused_with_the_remedy(read, content, encoding, remedy):
    assert remedy in read(content, files=Files(encoding=encoding)).delivery.refused


def test_ascii_is_fine_in_every_encoding_that_contains_it(read):
    for encoding in ("cp1252", "latin-1", "shift_jis", "gb18030", "ascii"):
        assert read(b"a,b\n1,2\n", files=Files(encoding=encoding)).rows == [("1", "2")]


@pytest.mark.parametrize("encoding", ["hex", "rot13", "nothing", "zip"])
def test_a_codec_that_is_no_encoding_of_text_is_no_declaration(encoding):
    with pytest.raises(SetupError, match="encoding"):
        Files(encoding=encoding)
