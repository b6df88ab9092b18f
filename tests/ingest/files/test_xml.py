"""XML: the elements at a path are rows, whatever their spelling; what is damaged or unsafe is refused."""

import json
import subprocess
import sys
from xml.sax.saxutils import escape, quoteattr

import pytest
from hypothesis import strategies as st
from support.sizes import examples, full

from lakehouse.ingest.limits import IngestLimits
from lakehouse.tables.files import Files

SALES = Files(records="sales.sale")


def table(seen) -> list[dict[str, object]]:
    """The rows without nulls."""
    assert seen.delivery.refused is None, seen.delivery.refused
    return [
        {name: one for name, one in zip(seen.delivery.columns, row, strict=True) if one is not None}
        for row in seen.rows
    ]


def inner(read, content: str, **options):
    """Read the content of the root `sales`."""
    files = options.pop("files", SALES)
    return read(f"<sales>{content}</sales>".encode(), "a.xml", files=files, **options)


def refused(read, content: bytes | str, files: Files = SALES, **options) -> str:
    raw = content if isinstance(content, bytes) else content.encode()
    seen = read(raw, "a.xml", files=files, **options)
    assert seen.rows == []
    return seen.delivery.refused


# Any records, in any spelling

TEXT = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff"), max_size=6
) | st.sampled_from(["<", "&", "]]>", '"', "'", " a ", "&amp;", "\n", "\t", "<!-- -->"])
RECORDS = st.lists(
    st.dictionaries(st.sampled_from(["a", "b-c", "d.e", "Köln"]), TEXT, min_size=1), max_size=6
)


def spell(style: str, records: list[dict[str, str]]) -> str:
    def element(name: str, value: str, number: int) -> str:
        if style == "CDATA" or (style == "mixed" and number % 2):
            value = "<![CDATA[" + value.replace("]]>", "]]]]><![CDATA[>") + "]]>"
        elif style == "references":
            value = "".join(f"&#{ord(one)};" for one in value)
        else:
            value = escape(value)
        return f"<{name}>{value}</{name}>"

    def attribute(name: str, value: str) -> str:
        return f" {name}={quoteattr(value, {chr(10): '&#10;', chr(9): '&#9;', chr(13): '&#13;'})}"

    gap = "\r\n    " if style == "pretty" else "<!-- a & b --><?x y?>" if style == "mixed" else ""
    rows = []
    for record in records:
        if style == "attributes":
            rows.append(f"<sale{''.join(attribute(*pair) for pair in record.items())}/>")
        else:
            cells = [element(*pair, number) for number, pair in enumerate(record.items())]
            rows.append(f"<sale>{gap}{gap.join(cells)}{gap}</sale >")
    return f"<?xml version='1.0'?>\n<sales>{gap}{gap.join(rows)}{gap}</sales>\n"


@pytest.mark.parametrize(
    "style", ["attributes", "elements", "pretty", "CDATA", "references", "mixed"]
)
def test_records_give_the_same_rows_in_every_spelling(read, style):
    @examples(30, 500, records=RECORDS)
    def law(records):
        seen = read(spell(style, records).encode(), "a.xml", files=SALES)
        assert table(seen) == records
        assert seen.numbers == list(range(1, len(records) + 1))

    law(30)


# What an element is


@pytest.mark.parametrize(
    ("content", "row"),
    [
        ("<sale><a/><b></b></sale>", {"a": "", "b": ""}),
        ("<sale/>", {}),
        ("<sale>  x </sale>", {"text": "  x "}),
        ("<sale id='1'>\n </sale>", {"id": "1"}),
        ("<sale id='1'>x<b/></sale>", {"id": "1", "text": "x", "b": ""}),
        ("<sale text='1'>x</sale>", {"text": "1", "text_2": "x"}),
        ("<sale id='1'><id>2</id></sale>", {"id": "1", "id_2": "2"}),
        ("<sale><a>  </a></sale>", {"a": "  "}),
        ("<sale><a>1</a><a>2</a></sale>", {"a": '["1","2"]'}),
        ("<sale><a>1</a><b/><a/></sale>", {"a": '["1",""]', "b": ""}),
        ("<sale><p c='EUR'>5</p></sale>", {"p": '{"c":"EUR","text":"5"}'}),
        ("<sale><p>\n <x>1</x>\n <x>ä</x>\n</p></sale>", {"p": '{"x":["1","ä"]}'}),
        ("<sale><p x='1'><x>2</x></p></sale>", {"p": '{"x":"1","x_2":"2"}'}),
        ("<sale><p>a<b/>c</p></sale>", {"p": '{"b":"","text":"ac"}'}),
        ("<sale><a>x<!-- no --> <?y?>z</a></sale>", {"a": "x z"}),
        ("<sale><a>x&lt;&#228;<![CDATA[<&]]></a></sale>", {"a": "x<ä<&"}),
        ("<sale><_a>1</_a></sale>", {"source_a": "1"}),
    ],
)  # fmt: skip
def test_attributes_and_elements_are_columns(read, content, row):
    assert table(inner(read, content)) == [row]


def test_a_missing_element_and_nil_are_null_and_an_empty_one_is_an_empty_text(read):
    content = (
        b"<sales xmlns:i='http://www.w3.org/2001/XMLSchema-instance'>"
        b"<sale><a i:nil='true'/><b i:type='x'>1</b></sale><sale><a/></sale>"
        b"<sale><p><x i:nil='1'/><y/></p></sale></sales>"
    )
    seen = read(content, "a.xml", files=SALES)
    assert seen.delivery.columns == ("a", "b", "p")
    assert seen.rows == [(None, "1", None), ("", None, None), (None, None, '{"x":null,"y":""}')]


def test_namespaces_are_left_out_and_equal_names_of_two_are_numbered(read):
    content = (
        b"<o:sales xmlns:o='urn:o' xmlns:p='urn:p' xmlns='urn:q' xmlns:o2='urn:o'><o:sale>"
        b"<o:a>1</o:a><p:a>2</p:a><o2:c>3</o2:c></o:sale>"
        b"<o2:sale xmlns='urn:o'><p:a>4</p:a><a>5</a></o2:sale></o:sales>"
    )
    seen = read(content, "a.xml", files=SALES)
    assert table(seen) == [{"a": "1", "a_2": "2", "c": "3"}, {"a": "5", "a_2": "4"}]
    assert read(content, "a.xml", files=Files(records="o:sales/o:sale")).rows == seen.rows


@pytest.mark.parametrize("path", ["sales.sale", "sales.sale[]", "sales/sale", "sales[].sale[]"])
def test_brackets_say_nothing_in_a_path_of_xml(read, path):
    assert table(inner(read, "<sale a='1'/>", files=Files(records=path))) == [{"a": "1"}]


def test_names_with_dots_are_quoted_and_only_elements_on_the_path_are_records(read):
    content = (
        "<x><sale><a>0</a></sale></x><my.list><sale><a>1</a><sale><a>2</a></sale></sale></my.list>"
    )
    seen = inner(read, content, files=Files(records='sales."my.list".sale'))
    assert table(seen) == [{"a": "1", "sale": '{"a":"2"}'}]


@pytest.mark.parametrize(
    ("encoding", "declared"),
    [
        ("utf-8", ""),
        ("utf-8-sig", ""),
        ("utf-8", "UTF-8"),
        ("utf-8", "utf-16"),
        ("utf-16", "utf-16"),
        ("utf-16", "utf-8"),
        ("utf-16-le", ""),
        ("utf-16-be", "utf-16"),
        ("utf-32", "utf-32"),
        ("latin-1", "ISO-8859-1"),
        ("cp1252", "windows-1252"),
        ("cp1250", "Windows-1250"),
        ("shift_jis", "Shift_JIS"),
        ("gb18030", "GB18030"),
    ],
)
def test_the_file_tells_its_encoding(read, encoding, declared):
    value = {"shift_jis": "東京", "gb18030": "北京", "cp1250": "Łódź"}.get(encoding, "Köln")
    head = f'<?xml version="1.0" encoding="{declared}"?>' if declared else ""
    text = f"{head}\n<sales><sale><a>{value}</a></sale><sale><a>><x><y/></x></a></sale></sales>"
    seen = read(text.encode(encoding), "a.xml", files=SALES, limits=IngestLimits(nesting=2))
    assert table(seen) == [{"a": value}]
    # The bytes of a dead letter are those of its element.
    plain = {"utf-8-sig": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}
    payload = "<sale><a>><x><y/></x></a></sale>".encode(plain.get(encoding, encoding))
    assert seen.payloads == [payload]


def test_an_encoding_that_is_told_wrongly_is_declared(read):
    content = b"<?xml version='1.0' encoding='utf-8'?><sales><sale><a>K\xf6ln</a></sale></sales>"
    assert "invalid token" in refused(read, content)
    seen = read(content, "a.xml", files=Files(records="sales.sale", encoding="cp1252"))
    assert table(seen) == [{"a": "Köln"}]
    assert "unknown" in refused(read, content.replace(b"utf-8", b"klingon"))


def test_blanks_before_the_declaration_do_no_harm(read):
    content = b"\n\n <?xml version='1.0'?><sales>\n<sale><a><x><y/></x></a></sale></sales>"
    seen = read(content, "a.xml", files=SALES, limits=IngestLimits(nesting=1))
    assert [(one["place"], one["payload"]) for one in seen.letters] == [
        ("line 4", b"<sale><a><x><y/></x></a></sale>")
    ]


# Parents

LINES = Files(
    records="orders.order.line",
    parents={"order": "orders.order.id", "shop": "orders.shop.name", "day": "orders.day"},
)


def test_records_take_attributes_and_elements_of_what_they_lie_within(read):
    content = (
        b"<orders day='1'><shop><name>Ulm</name></shop>"
        b"<order id='7'><line><n>1</n></line><line><n>2</n></line></order>"
        b"<order><id>8</id><line order='x'><n>3</n></line></order><order><line/></order></orders>"
    )
    seen = read(content, "a.xml", files=LINES)
    both = {"shop": "Ulm", "day": "1"}
    assert table(seen) == [
        {"order": "7", "n": "1", **both},
        {"order": "7", "n": "2", **both},
        {"order": "8", "n": "3", "order_2": "x", **both},
        both,
    ]


def test_values_behind_the_records_are_taken_too(read):
    content = (
        b"<orders><order><line><n>1</n></line><line/><id>7</id></order>"
        b"<order><line><n>2</n></line></order><day>1</day></orders>"
    )
    seen = read(content, "a.xml", files=LINES)
    assert table(seen) == [
        {"order": "7", "n": "1", "day": "1"},
        {"order": "7", "day": "1"},
        {"n": "2", "day": "1"},
    ]
    assert seen.offsets == [1, 2, 3]
    assert any("shop: absent" in note for note in seen.delivery.notes)


def test_a_value_too_far_behind_the_records_refuses_the_file(read):
    content = "<orders><order>" + "<line><n>123456</n></line>" * 50 + "<id>7</id></order></orders>"
    reason = refused(read, content, LINES, limits=IngestLimits(record_bytes=500))
    assert reason.startswith("id, which records take (parents), stands behind more than 500 bytes")


# No records


@pytest.mark.parametrize("content", ["", "<!-- none -->", "<day>2024-01-31</day>", " \n "])
def test_a_place_without_records_is_a_delivery_of_no_rows(read, content):
    seen = inner(read, content)
    assert (seen.delivery.refused, seen.delivery.records) == (None, 0)
    assert seen.delivery.empty_because == "no element at sales.sale: no records"


@pytest.mark.parametrize(
    ("content", "there"),
    [
        ("<sales><Sale><a>1</a></Sale></sales>", "sales.Sale"),
        ("<sales><row/><row/><day/></sales>", "sales.row, sales.day"),
        ("<orders><sale/></orders>", "orders"),
    ],
)
def test_another_name_than_that_of_the_path_is_refused_with_what_is_there(read, content, there):
    assert refused(read, content).startswith(
        f"no sales.sale in the file (records); there is: {there}"
    )


def test_a_file_without_a_declared_path_is_refused_with_its_paths(read):
    content = "<a:l xmlns:a='u'><row.x><b/><b/></row.x><row.x/></a:l>"
    reason = refused(read, content, Files())
    assert 'l."row.x", l."row.x".b' in reason
    assert """files=Files(records='l."row.x"')""" in reason
    assert "there is: a, a.b" in refused(read, "<a><b/></a>", Files())


# Damaged and hostile files


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("<sales>\n<sale><a>1</b></sale></sales>", "mismatched tag at line 2, column 13"),
        ("<sales><sale a='1' a='2'/></sales>", "duplicate attribute at line 1"),
        ("<sales><sale>", "the file is cut off, or not well-formed XML"),
        ("<sales><sale/></sales><sales/>", "junk after document element at line 1, column 23"),
        ("<sales><sale>&nbsp;</sale></sales>", "undefined entity at line 1, column 14"),
        ("<sales><sale>\0</sale></sales>", "invalid token"),
        ("<sales><x:sale/></sales>", "unbound prefix"),
        ("  ", "no element found"),
        ("no xml", "syntax error at line 1, column 1"),
        (b"<sales><sale>\xff</sale></sales>", "invalid token"),
    ],
)
def test_what_is_not_well_formed_is_refused_with_line_and_column(read, content, reason):
    assert reason in refused(read, content)


DOCTYPE = "<!DOCTYPE sales [ {} ]>"


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (DOCTYPE.format('<!ENTITY x "y">'), "declares an entity (x)"),
        (DOCTYPE.format('<!ENTITY x SYSTEM "file:///etc/passwd">'), "declares an entity (x)"),
        (DOCTYPE.format('<!ENTITY % x SYSTEM "file:///etc/passwd"> %x;'), "declares an entity"),
        (DOCTYPE.format("%y;"), "does not declare its entity &x;"),
        ('<!DOCTYPE sales SYSTEM "sales.dtd">', "does not declare its entity &x;"),
        ('<!DOCTYPE sales PUBLIC "a" "sales.dtd">', "does not declare its entity &x;"),
        (DOCTYPE.format(f'<!ATTLIST sale b CDATA "{"z" * 2_000}">'), "defaults of attributes"),
    ],
)
@pytest.mark.parametrize("body", ["<sale>&x;</sale>", "<sale a='>&x;'/>", "<b a='&x;'/>"])
def test_no_entity_is_followed_and_none_is_left_out(read, head, body, reason):
    assert reason in refused(read, f"{head}<sales>{body}</sales>")


def test_a_document_type_without_entities_is_read(read):
    head = DOCTYPE.format("<!ELEMENT sales (sale*)><!ATTLIST sale b CDATA 'c'>")
    body = "<sales><sale a='&amp;&#228;'>&lt;<![CDATA[&x;]]></sale></sales>"
    assert table(read(f"{head}{body}".encode(), "a.xml", files=SALES)) == [
        {"a": "&ä", "text": "<&x;", "b": "c"}
    ]


@pytest.mark.parametrize("place", ["{}", "<sale>{}</sale>", "<b><sale/>{}</b>"])
def test_elements_nested_a_hundred_thousand_deep_are_refused(read, place):
    deep = "<x>" * 100_000 + "</x>" * 100_000
    assert "nested more than 10,000 deep" in refused(read, f"<sales>{place.format(deep)}</sales>")


# Limits


def test_a_record_over_a_limit_is_a_dead_letter_with_its_bytes(read):
    deep = "<sale>" + "<x>" * 5 + "</x>" * 5 + "</sale  >"
    long = "<sale n='1'><a>" + "x" * 300 + "</a></sale>"
    wide = "<sale>" + "".join(f"<c{n}/>" for n in range(9)) + "</sale>"
    empty = f"<sale a='/>{'y' * 300}'/>"
    content = f"\n<sale a='1'/>\n{deep}{long}\n{wide}{empty}<sale a='2'/>"
    seen = inner(read, content, limits=IngestLimits(nesting=4, record_bytes=200, columns=5))
    assert table(seen) == [{"a": "1"}, {"a": "2"}]
    assert seen.offsets == [1, 6]
    assert seen.reasons == [
        "nested more than 4 deep (nesting)",
        f"record too long: {len(long)} bytes; limit 200 (record_bytes)",
        "more than 5 columns, with: c0, c1, c2, c3, c4, c5, c6, c7, c8",
        f"record too long: {len(empty)} bytes; limit 200 (record_bytes)",
    ]
    assert seen.payloads == [
        deep.encode(),
        long[:200].encode(),
        wide.encode(),
        empty[:200].encode(),
    ]
    assert [one["place"] for one in seen.letters] == ["line 3", "line 3", "line 4", "line 4"]
    assert [one["payload_bytes"] for one in seen.letters] == [len(deep), len(long), len(wide), len(empty)]  # fmt: skip


def test_more_records_than_the_limit_refuse_the_file(read):
    content = "<sales>" + "<sale/>" * 9 + "</sales>"
    assert "more than 8 records" in refused(read, content, limits=IngestLimits(rows=8))


def test_a_record_of_many_chunks_is_dropped_while_it_is_read(read):
    long = "<sale>" + "<a>x</a>" * 200_000 + "</sale>"
    seen = inner(read, f"{long}<sale><a>1</a></sale>", limits=IngestLimits(record_bytes=1 << 17))
    assert (seen.rows, seen.offsets) == ([("1",)], [2])
    assert seen.letters[0]["payload_bytes"] == len(long)


def test_a_tag_or_comment_of_megabytes_is_refused(read):
    limits = IngestLimits(record_bytes=1 << 16)
    for body in (f"<!--{'x' * (3 << 20)}-->", f"<b c='{'x' * (3 << 20)}'/>"):
        assert "one tag or comment" in refused(read, f"<sales>{body}</sales>", limits=limits)
    assert inner(read, f"{' ' * (3 << 20)}<sale a='1'/>", limits=limits).rows == [("1",)]


def test_names_without_end_are_refused(read):
    content = "<sales>" + "".join(f"<n{n}/>" for n in range(2_000)) + "<sale/></sales>"
    limits = IngestLimits(columns=100)
    assert "more than 1,000 different names" in refused(read, content, limits=limits)


@pytest.mark.parametrize("size", [12, full(60)])
def test_a_large_file_takes_little_memory(tmp_path, size):
    path = tmp_path / "a.xml"
    record = b"<sale id='1'><note>" + b"x" * 4_000 + b"</note><tag>a</tag><tag>b</tag></sale>\n"
    with path.open("wb") as file:
        file.write(b"<sales>\n")
        for _ in range(size):
            file.write(record * ((1 << 20) // len(record)))
        file.write(b"</sales>\n")
    # A process of its own: what other tests took counts too.
    code = (
        "import resource, sys, tempfile, pathlib\n"
        "from lakehouse.ingest.files.delivery import read_delivery\n"
        "from lakehouse.ingest.files.read_options import ReadOptions\n"
        "from lakehouse.tables.files import Files\n"
        "file = open(sys.argv[1], 'rb')\n"
        "options = ReadOptions((), (), Files(records='sales.sale'))\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "with tempfile.TemporaryDirectory() as spool:\n"
        "    chunks = iter(lambda: file.read(1 << 20), b'')\n"
        "    d = read_delivery(chunks, name='a.xml', spool=pathlib.Path(spool), options=options)\n"
        "after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "print(json.dumps([d.rows_count, d.dead_count, (after - before) // 1024]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", "import json\n" + code, str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    rows_count, dead_count, grown = json.loads(done.stdout)
    assert (rows_count, dead_count) == (size * ((1 << 20) // len(record)), 0)
    assert grown < 300  # MiB, whatever the size of the file
