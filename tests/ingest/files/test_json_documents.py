"""JSON documents: the same rows in every layout, records under a path, and what is damaged."""

import json
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.sizes import full

from lakehouse.errors import SetupError
from lakehouse.ingest.limits import IngestLimits
from lakehouse.tables.files import Files

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=6) | st.sampled_from(
    ['"', "\\", "{", "]", "},{", '\\"', "\n"]
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
RECORDS = st.lists(st.dictionaries(st.sampled_from("abc"), VALUES, min_size=1), max_size=6)
LAYOUTS = {
    "list": json.dumps,
    "pretty list": lambda records: json.dumps(records, indent=2),
    "list without blanks": lambda records: json.dumps(records, separators=(",", ":")),
    "list of lines": lambda records: "[\n" + ",\n".join(map(json.dumps, records)) + "\n]\n",
    "trailing comma": lambda records: "[" + "".join(json.dumps(r) + "," for r in records) + "]",
    "pretty objects": lambda records: "\r\n".join(json.dumps(r, indent=1) for r in records) + "\n",
    "concatenated": lambda records: "".join(map(json.dumps, records)) + " ",
    "commas": lambda records: ",\n".join(map(json.dumps, records)) + "\n",
    "lists on lines": lambda records: "".join(json.dumps([r]) + "\n" for r in records) + "[]\n",
    "lines": lambda records: "".join(json.dumps(r) + "\n" for r in records) + "\n",
}


def truth(records: list[dict[str, object]]) -> list[dict[str, object]]:
    def text(value: object) -> object:
        if value is None or isinstance(value, str):
            return value
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    return [{key: text(value) for key, value in record.items()} for record in records]


def rows(seen) -> list[dict[str, object]]:
    return [dict(zip(seen.delivery.columns, row, strict=True)) for row in seen.rows]


def same(seen, records: list[dict[str, object]]) -> bool:
    expected = [{name: row.get(name) for name in seen.delivery.columns} for row in truth(records)]
    assert rows(seen) == expected
    return (seen.delivery.dead_count, seen.offsets) == (0, list(range(1, len(records) + 1)))


@pytest.mark.parametrize("layout", LAYOUTS)
@given(records=RECORDS)
@settings(max_examples=40, deadline=None)
def test_records_are_the_same_rows_in_every_layout(read, layout, records):
    assert same(read(LAYOUTS[layout](records).encode(), "a.json"), records)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.ndjson"])
def test_two_records_are_read_whatever_the_suffix(read, layout, name):
    records = [{"id": 1, "city": "Köln"}, {"id": 2, "city": 'a "b", {c}'}]
    assert same(read(LAYOUTS[layout](records).encode(), name), records)


@given(records=RECORDS, indent=st.sampled_from([None, 0, 1]), is_last=st.booleans())
@settings(max_examples=60, deadline=None)
def test_wrapped_records_are_the_same_rows(read, records, indent, is_last):
    other = {"next": None, "records": "[", "b": [{"x": [1]}]}
    wrapped = {"data": {**other, "items": records}} if is_last else {"data": {"items": records}}
    content = json.dumps({**other, **wrapped}, indent=indent).encode()
    seen = read(content, "a.json", files=Files(format="json", records="data.items[]"))
    assert same(seen, records)


# Lists under a path


ORDERS = {
    "meta": {"run": 7},
    "orders": [
        {"id": "a", "lines": [{"sku": 1}, {"sku": 2, "id": "x"}], "to": {"city": "Bern"}},
        {"lines": [], "id": "b"},
        {"id": "c", "lines": None},
        {"lines": [{"sku": 3}]},
    ],
}


@pytest.mark.parametrize(
    "records", ["orders[].lines[]", "orders.lines", "orders/lines", "[].orders[].lines[]"]
)
@pytest.mark.parametrize("indent", [None, 2])
def test_lists_are_exploded_with_values_of_what_they_lie_within(read, records, indent):
    parents = {"order_id": "orders[].id", "city": "orders[].to.city", "run": "meta.run"}
    files = Files(format="json", records=records, parents=parents)
    seen = read(json.dumps(ORDERS, indent=indent).encode(), "a.json", files=files)
    assert rows(seen) == [
        {"order_id": "a", "city": "Bern", "run": "7", "sku": "1", "id": None},
        {"order_id": "a", "city": "Bern", "run": "7", "sku": "2", "id": "x"},
        {"order_id": None, "city": None, "run": "7", "sku": "3", "id": None},
    ] or rows(seen) == [{k: r[k] for k in seen.delivery.columns} for r in rows(seen)]
    assert (seen.values("order_id"), seen.values("sku")) == (["a", "a", None], ["1", "2", "3"])
    assert (seen.values("city"), seen.values("run")) == (["Bern", "Bern", None], ["7"] * 3)


def test_a_key_of_the_name_of_a_parent_is_numbered(read):
    files = Files(records="orders.lines", parents={"ID": "orders.id"})
    seen = read(json.dumps(ORDERS).encode(), "a.json", files=files)
    assert (seen.values("ID"), seen.values("id_2")) == (["a", "a", None], [None, "x", None])


def test_the_path_begins_at_each_object_on_a_line_or_in_a_list(read):
    files = Files(records="rows[]", parents={"page": "page"})
    pages = [
        {"page": 1, "rows": [{"a": 1}]},
        {"rows": [{"a": 2}], "page": 2},
        {"page": 3, "rows": []},
    ]
    for content in (LAYOUTS["lines"](pages), LAYOUTS["pretty list"](pages)):
        seen = read(content.encode(), "a.json", files=files)
        assert rows(seen) == [{"page": "1", "a": "1"}, {"page": "2", "a": "2"}]


def test_names_with_dots_are_written_in_quotes(read):
    seen = read(b'{"a.b":{"c/d":[{"x":1}]}}', "a.json", files=Files(records='"a.b"."c/d"[]'))
    assert seen.rows == [("1",)]


def test_lists_within_lists_are_gone_through_where_the_path_says_so(read):
    content = b'{"a":[[{"x":1}],[{"x":2},[3]]]}'
    assert read(content, "a.json", files=Files(records="a[][]")).rows == [("1",), ("2",)]
    assert len(read(content, "a.json", files=Files(records="a[]")).letters) == 2


def test_one_object_in_the_place_of_a_list_is_one_record(read):
    assert read(b'{"a":{"x":1}}', "a.json", files=Files(records="a[]")).rows == [("1",)]


@pytest.mark.parametrize(
    "content", [b'{"d":{"r":[]}}', b'{"d":{"r":null}}', b'{"d":null}', b'{"d":[]}']
)
def test_an_empty_list_or_null_at_the_path_holds_no_record(read, content):
    delivery = read(content, "a.json", files=Files(records="d.r[]")).delivery
    assert (delivery.refused, delivery.records) == (None, 0)
    assert delivery.empty_because == "an empty list or null at d.r: no records"


@pytest.mark.parametrize(
    ("content", "paths"),
    [
        (b'{"data":{"order":[{"x":1}],"n.x":1}}', 'data.order, data."n.x"'),
        (b'{"error":"x"}', "error"),
        (b"{}", "nothing"),
    ],
)
def test_a_file_without_the_path_is_refused_with_the_paths_that_exist(read, content, paths):
    refused = read(content, "a.json", files=Files(records="data.orders[]")).delivery.refused
    assert refused == f"no data.orders in the file (records); there is: {paths}"


def test_some_objects_without_the_path_are_told(read):
    content = b'{"r":[{"x":1}]}\n{"error":2}\n'
    seen = read(content, "a.json", files=Files(records="r[]"))
    assert (seen.rows, seen.delivery.notes) == ([("1",)], ("objects without r: 1",))


def test_a_required_parent_that_is_nowhere_refuses_the_file(read):
    files = Files(records="orders.lines", parents={"no": "orders.number"})
    content = json.dumps(ORDERS).encode()
    assert (
        "columns missing: no"
        in read(content, "a.json", files=files, required=["no"]).delivery.refused
    )
    assert read(content, "a.json", files=files).delivery.notes == (
        "parents: no: absent in the whole file",
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"records": ""},
        {"records": "a..b"},
        {"records": "a[0]"},
        {"records": 'a."b'},
        {"records": "a.b", "parents": {"x": "a"}},
        {"records": "a.b", "parents": {"x": "c[].d"}},
    ],
)
def test_a_path_that_cannot_be_is_refused_when_it_is_declared(wrong):
    with pytest.raises(SetupError, match="`records` or `parents`"):
        Files(**wrong)


# What is damaged


@pytest.mark.parametrize(
    ("element", "reason"),
    [
        (b'{"a":tru}', "invalid JSON: Expecting value at character 6"),
        (b'{"a":1} {"a":2}', "invalid JSON: Extra data at character 9"),
        (b'{"a":1,}', "invalid JSON"),
        (b"7", "not an object but a number"),
        (b'"x"', "not an object but a string"),
        (b"[1,2]", "not an object but a list"),
        (b"", "invalid JSON: Expecting value at character 1"),
        (b'{"a":1,"a":2}', "duplicate keys: a"),
        (b'{"a":"\xff"}', "not valid UTF-8"),
        (b'{"a":' + b"[" * 5_000 + b"]" * 5_000 + b"}", "nested"),
        (b'{"a":NaN}', "invalid JSON: NaN is not a number (Files: allow_nan)"),
    ],
)
@pytest.mark.parametrize("pad", [b"", b" \n "])
def test_a_record_that_is_balanced_but_no_record_is_a_dead_letter(read, element, reason, pad):
    content = b'[{"a":1},\n' + pad + element + pad + b',{"a":3}]'
    seen = read(content, "a.json")
    assert (seen.values("a"), seen.payloads, seen.numbers) == (["1", "3"], [element], [1, 2, 3])
    assert seen.reasons[0].startswith(reason)
    line, byte = 2 + pad.count(b"\n"), 11 + len(pad)
    if element:
        assert seen.letters[0]["place"] == f"line {line}, byte {byte} of the file"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'[{"a":1},\n{"a":2}', "the list that begins at line 1, byte 1 of the file does not end"),
        (b'[{"a":1},\n{"a":', "does not end"),
        (b'{"a":1,\n"b":{\n"c":[1,2}}', "} does not fit at line 3, byte 23 of the file"),
        (b'[{"a":"x},\n{"a":1}]', "the text that begins at line 2, byte 15 of the file does not end"),
        (b'[\n{"a":1}]\n]', "no JSON: an object or a list is expected at line 3, byte 12 of the file"),
        (b"<html>\n<p>\n", "no JSON"),
    ],
)  # fmt: skip
def test_a_document_that_is_cut_off_or_unbalanced_is_refused_with_the_place(read, content, reason):
    seen = read(content, "a.json")
    assert reason in str(seen.delivery.refused)
    assert seen.delivery.rows is None


@pytest.mark.parametrize(
    "content",
    [
        b'{"data":[{"x":1}',
        b'{"data":[{"x":1}]',
        b'{"data":[{"x":1}] "b":1}',
        b'{"data" [{"x":1}]}',
        b'{"data":,"b":1}',
        b'{"data":[{"x":1}}',
    ],
)
def test_a_damaged_wrapper_is_refused(read, content):
    assert " byte " in read(content, "a.json", files=Files(records="data")).delivery.refused


@given(cut=st.integers(1, 200), records=RECORDS.filter(len))
@settings(max_examples=150, deadline=None)
def test_a_list_that_is_cut_anywhere_is_never_read_as_a_shorter_one(read, cut, records):
    content = json.dumps(records, indent=1).encode()
    seen = read(content[: -min(cut, len(content) - 1)], "a.json")
    assert seen.delivery.refused or seen.rows == []


def test_a_record_over_the_limit_is_a_dead_letter_in_a_document(read):
    limits = IngestLimits(record_bytes=50, payload_bytes=5)
    content = b'[{"a":1},{"a":"' + b"x" * 99 + b'"},{"a":3}]'
    seen = read(content, "a.json", limits=limits)
    assert (seen.rows, seen.payloads) == ([("1",), ("3",)], [b'{"a":'])
    assert (seen.letters[0]["payload_bytes"], seen.numbers) == (107, [1, 2, 3])


# Encodings, and numbers that JSON does not have


@pytest.mark.parametrize(
    "encoding",
    ["cp1252", "latin-1", "utf-8-sig", "utf-16", "utf-16-be", "utf-32", "shift_jis", "gb18030"],
)
@pytest.mark.parametrize("layout", ["lines", "list", "pretty list"])
def test_files_in_other_encodings_are_read_as_declared(read, encoding, layout):
    records = [{"a": "表" if encoding in {"shift_jis", "gb18030"} else "Käse"}, {"a": 2}, 3]
    content = LAYOUTS[layout](records)
    text = json.dumps(records[0], ensure_ascii=False)
    content = content.replace(json.dumps(records[0]), text).replace(
        json.dumps(records[0], indent=2), text
    )
    if layout == "pretty list":
        content = json.dumps(records, indent=2, ensure_ascii=False)
    seen = read(content.encode(encoding), "a.json", files=Files(encoding=encoding))
    assert seen.rows == [(records[0]["a"],), ("2",)]
    assert (seen.reasons, seen.numbers) == (["not an object but a number"], [1, 2, 3])
    plain = {"utf-8-sig": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}
    assert seen.payloads == ["3".encode(plain.get(encoding, encoding))]


def test_what_cannot_be_decoded_is_a_dead_letter(read):
    seen = read(b'[{"a":"\x81"},{"a":"\xe4"}]', "a.json", files=Files(encoding="cp1252"))
    assert (seen.rows, seen.payloads) == ([("ä",)], [b'{"a":"\x81"}'])


def test_utf_16_without_a_declaration_is_refused_with_the_declaration(read):
    refused = read("[{}]".encode("utf-16"), "a.json").delivery.refused
    assert 'declare Files(encoding="utf-16")' in refused


def test_nan_and_infinity_are_numbers_if_that_is_declared(read):
    content = b'[{"a":NaN,"b":[-Infinity,1.50],"c":"NaN"}]'
    seen = read(content, "a.json", files=Files(allow_nan=True))
    assert seen.rows == [("NaN", '["-Infinity",1.50]', "NaN")]


# Size


@pytest.mark.parametrize("records", [full(None), "data.items[]"])
def test_a_document_on_one_line_takes_little_memory(tmp_path, records):
    path, record = (
        tmp_path / "a.json",
        b'{"id":1,"note":"' + b"x" * 4_000 + b'","tags":["a",{"b":2}]}',
    )
    with path.open("wb") as file:
        file.write(b"[" if records is None else b'{"data":{"items":[')
        for _ in range(20):
            file.write((record + b",") * 1_000)
        file.write(record + (b"]" if records is None else b'],"id":1}}'))
    parents = {} if records is None else {"id2": "data.id"}
    files = Files(records=records, parents=parents)
    # A process of its own: what other tests took counts too.
    code = (
        "import resource, sys, tempfile, pathlib\n"
        "from lakehouse.ingest.files.delivery import read_delivery\n"
        "from lakehouse.ingest.files.read_options import ReadOptions\n"
        "from lakehouse.tables.files import Files\n"
        "file = open(sys.argv[1], 'rb')\n"
        f"options = ReadOptions((), (), {files!r})\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "with tempfile.TemporaryDirectory() as spool:\n"
        "    chunks = iter(lambda: file.read(1 << 20), b'')\n"
        "    d = read_delivery(chunks, name='a.json', spool=pathlib.Path(spool), options=options)\n"
        "after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "print(d.rows_count, d.dead_count, d.refused, (after - before) // 1024)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    rows_count, dead_count, refused, grown = done.stdout.split()
    assert (rows_count, dead_count, refused) == ("20001", "0", "None")
    assert int(grown) < 300  # MiB; the file has 80, and its rows another 80
