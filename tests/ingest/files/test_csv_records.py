"""CSV, rule by rule: line ends, the header, fields, quotes, bytes that are not text, endless lines."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.sizes import full

from lakehouse.ingest.limits import IngestLimits
from lakehouse.tables.files import Files

TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), max_size=8)


def refusal(seen):
    return seen.delivery.refused


def test_columns_are_text_and_empty_is_null(read):
    assert read(b'a,b,c\n007,,""\n').rows == [("007", None, None)]


def test_blanks_inside_values_stay(read):
    assert read(b'a,b\n x ,"  60"\n').rows == [(" x ", "  60")]


def test_tabs_separate_a_tsv(read):
    assert read(b'a\tb\n1,5\t"x\ty"\n', "a.tsv").rows == [("1,5", "x\ty")]


def test_a_byte_order_mark_is_removed(read):
    seen = read(b"\xef\xbb\xbfa\n1\n")
    assert (seen.delivery.columns, seen.delivery.notes) == (("a",), ("byte order mark removed",))


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_each_line_end_ends_a_record(read, end):
    seen = read(end.join([b"a,b", b"1,2", b"3,4", b""]))
    assert seen.rows == [("1", "2"), ("3", "4")]
    assert seen.delivery.notes == (("lines end with CR only",) if end == b"\r" else ())


def test_mixed_line_ends_are_noted(read):
    seen = read(b"a\n1\r\n2\r3\n4")
    assert seen.rows == [("1",), ("2",), ("3",), ("4",)]
    assert seen.delivery.notes == ("mixed line endings: LF, CR, CRLF",)


def test_a_last_line_without_an_end_is_a_record(read):
    assert read(b"a,b\n1,2\n3,4").rows == [("1", "2"), ("3", "4")]


def test_blank_lines_are_no_records(read):
    seen = read(b"\na\n\n1\n\n\n2\n\n")
    assert (seen.rows, seen.offsets) == ([("1",), ("2",)], [1, 2])
    assert seen.delivery.notes == ("blank lines skipped: 5",)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-16-le"])
def test_utf_16_is_refused(read, encoding):
    assert "UTF-16" in refusal(read("a,b\n1,2\n".encode(encoding)))


def test_a_header_in_another_encoding_is_refused(read):
    refused = refusal(read("größe\n1\n".encode("latin-1")))
    assert refused.startswith("the header is not valid UTF-8")
    assert "encoding=" in refused


def test_names_are_stripped_and_blank_ones_numbered(read):
    assert read(b' a ,,"b "\n1,2,3\n').delivery.columns == ("a", "column_2", "b")


def test_a_value_under_a_blank_name_at_the_end_of_the_header_is_a_column(read):
    seen = read(b"Date,USD, ,,\n2024-01-01,1.1,,\n2024-01-02,1.2,,x\n2024-01-03,1.3\n")
    assert seen.delivery.columns == ("Date", "USD", "column_3", "column_4")
    assert seen.rows == [
        ("2024-01-01", "1.1", None, None),
        ("2024-01-02", "1.2", None, "x"),
        ("2024-01-03", "1.3", None, None),
    ]
    note = "columns that the header leaves blank, with values: column_3, column_4"
    assert note in seen.delivery.notes


def test_separators_at_the_end_of_every_line_are_no_column(read):
    seen = read(b"Date,USD,\n2024-01-01,1.1,\n2024-01-02,1.2,\n")
    assert (seen.delivery.columns, seen.delivery.notes) == (("Date", "USD"), ())
    assert seen.rows == [("2024-01-01", "1.1"), ("2024-01-02", "1.2")]


def test_a_value_behind_the_last_cell_of_the_header_is_a_dead_letter(read):
    seen = read(b"a,b,\n1,2,\n1,2,3,4\n1\n")
    assert (seen.delivery.columns, seen.rows) == (("a", "b"), [("1", "2")])
    assert seen.reasons == [
        "4 fields where the header has 3, and the surplus is not empty",
        "1 fields where the header has 2",
    ]


def test_a_blank_name_takes_no_name_and_may_be_declared(read):
    seen = read(b"a,column_4,,\n1,2,,3\n")
    assert seen.delivery.columns == ("a", "column_4", "column_3", "column_4_2")
    declared = read(b"a,b,\n1,2,\n", required=["a", "COLUMN_3"])
    assert (declared.delivery.columns, declared.rows) == (
        ("a", "b", "COLUMN_3"),
        [("1", "2", None)],
    )
    named = read(b"a,b,,\n1,2,3,4\n", files=Files(names=("x", "y", "z")))
    assert (named.delivery.columns, named.rows) == (("x", "y", "z", "column_4"), [tuple("1234")])


@pytest.mark.parametrize("part_bytes", [1, 1 << 20])
def test_a_late_value_under_a_blank_name_widens_the_rows_before_it(read, part_bytes):
    limits = IngestLimits(block_bytes=64, part_bytes=part_bytes, pending_records=3)
    lines = [f"{n},x,," for n in range(50)] + ["50,x,,late"] + [f"{n},x" for n in range(51, 100)]
    seen = read("\n".join(["id,b,,", *lines, ""]).encode(), limits=limits)
    assert seen.delivery.dead_count == 0
    assert seen.rows == [(str(n), "x", None, "late" if n == 50 else None) for n in range(100)]


def test_a_header_without_a_name_is_refused(read):
    assert refusal(read(b",,\n1,2,3\n")) == "no column has a name"


def test_required_columns_are_found_by_any_case_and_take_the_required_spelling(read):
    assert read(b"TRIP_TYPE ,b\n1,2\n", required=["Trip_type"]).delivery.columns == (
        "Trip_type",
        "b",
    )


def test_missing_columns_are_named_with_the_header_found(read):
    assert (
        refusal(read(b"a,b\n1,2\n", required=["b", "c", "d"]))
        == "columns missing: c, d; the file has: a, b"
    )


@pytest.mark.parametrize("content", [b"a,b\n", b"a,b", b"a,b\n\n\n", b"a,b\na,b\n"])
def test_a_header_alone_holds_no_record(read, content):
    delivery = read(content, required=["a"]).delivery
    assert (delivery.refused, delivery.records) == (None, 0)
    assert delivery.empty_because == "header only: no records"


def test_the_wrong_header_alone_is_refused(read):
    assert refusal(read(b"a,b\n", required=["c"])).startswith("columns missing: c")


def test_blank_lines_alone_are_refused(read):
    assert "nothing but blank lines" in refusal(read(b"\n\r\n\n"))


def test_a_header_with_an_open_quote_is_refused(read):
    assert "a quote is never closed" in refusal(read(b'"a,b\n1,2\n'))


def test_too_few_fields_are_a_dead_letter(read):
    seen = read(b"a,b,c\n1,2\n1,2,3\n")
    assert (seen.rows, seen.reasons) == ([("1", "2", "3")], ["2 fields where the header has 3"])
    assert (seen.payloads, seen.letters[0]["place"]) == ([b"1,2"], "line 2")


@pytest.mark.parametrize("odd", [b"", b"\n"])
def test_surplus_fields_are_fine_while_they_are_empty(read, odd):
    assert read(b"a,b\n" + odd + b'1,2,,\n3,4\n5,6,""\n').rows == [
        ("1", "2"),
        ("3", "4"),
        ("5", "6"),
    ]


def test_bytes_that_are_not_utf_8_are_a_dead_letter_byte_for_byte(read):
    seen = read(b"a,b\n1,2\n3,\xe9\xff\n5,6\n")
    assert (seen.rows, seen.payloads) == ([("1", "2"), ("5", "6")], [b"3,\xe9\xff"])
    assert (seen.reasons, seen.letters[0]["place"]) == (["not valid UTF-8"], "line 3")


def test_nul_bytes_in_a_record_are_kept(read):
    assert read(b"a,b\n1,x\0y\n").rows == [("1", "x\0y")]


def test_quoted_fields_hold_separators_and_quotes(read):
    assert read(b'a,b\n"x, ""y""","z"\n').rows == [('x, "y"', "z")]


def test_quoted_fields_hold_line_ends_as_they_are(read):
    seen = read(b'a,b\n1,"x\r\n\ny\rz"\n2,w\n')
    assert (seen.rows, seen.delivery.notes) == ([("1", "x\r\n\ny\rz"), ("2", "w")], ())


def test_a_quote_inside_an_unquoted_field_is_literal(read):
    assert read(b'a,b\n6" PLATE,2""\n').rows == [('6" PLATE', '2""')]


def test_text_after_a_closing_quote_is_a_dead_letter(read):
    seen = read(b'a,b\n"x" y,1\n2,3\n')
    assert (seen.rows, seen.reasons) == (
        [("2", "3")],
        ["broken quoting: text after a closing quote"],
    )


def test_an_unclosed_quote_costs_its_line_only(read):
    seen = read(b'a,b\n1,"x\n2,y\n3,z\n')
    assert (seen.rows, seen.payloads) == ([("2", "y"), ("3", "z")], [b'1,"x'])
    assert (seen.offsets, seen.reasons) == ([2, 3], ["broken quoting: a quote is never closed"])


@pytest.mark.parametrize("text", [b"2,y\n", b"dear, sir, or madam\r\n", b'""\n', b"\n", b"\r"])
@pytest.mark.parametrize(("block", "times"), [(7, 500), (1 << 20, 5000), full(7, 5000)])
def test_a_cell_of_any_number_of_lines_is_one_cell(read, text, block, times):
    seen = read(b'a,b\n1,"' + text * times + b'"\n3,z\n', limits=IngestLimits(block_bytes=block))
    cell = (text * times).decode().replace('""', '"')
    assert (seen.rows, seen.letters) == ([("1", cell), ("3", "z")], [])


LONG = [b"2,y\n", b"dear, sir, or madam\r\n", b'""\n', b"\n", b"x" * 99 + b"\n"]


@pytest.mark.parametrize("text", LONG)
@pytest.mark.parametrize("block", [7, 1 << 20])
@pytest.mark.parametrize("rest", [b'"', b'",', b'","1\n2"', b'",,"'])
def test_a_cell_over_the_limit_is_one_dead_letter_with_its_whole_record(read, text, block, rest):
    rest = rest.replace(b',,"', b',,""')
    limits = IngestLimits(block_bytes=block, cell_bytes=60, payload_bytes=9)
    record = b'1,"' + text * 90 + rest
    seen = read(b"a,b\n0,y\n" + record + b"\r\n3,z\n4,w", limits=limits)
    assert seen.rows == [("0", "y"), ("3", "z"), ("4", "w")]
    assert seen.reasons == ["quoted cell too long; limit 60 bytes (cell_bytes)"]
    assert seen.numbers == [1, 2, 3, 4]
    last = 3 + 90 + rest.count(b"\n")
    assert seen.letters[0]["place"] == f"lines 3 to {last}"
    assert (seen.payloads, seen.letters[0]["payload_bytes"]) == ([record[:9]], len(record))
    assert seen.delivery.is_cut


def test_a_long_cell_at_the_end_of_a_file_is_one_dead_letter(read):
    seen = read(b'a,b\n1,"' + b"2,y\n" * 90 + b'"', limits=IngestLimits(cell_bytes=60))
    assert (seen.rows, seen.letters[0]["place"]) == ([], "lines 2 to 92")


@pytest.mark.parametrize("end", [b"", b'7,"x" y\n'])
@pytest.mark.parametrize("block", [7, 1 << 20])
def test_a_quote_that_is_never_closed_costs_its_line_however_far_the_file_goes_on(read, end, block):
    limits = IngestLimits(block_bytes=block, cell_bytes=60)
    seen = read(b'a,b\n1,"x\n' + b"2,y\n" * 300 + end, limits=limits)
    assert (len(seen.rows), seen.payloads[0]) == (300, b'1,"x')
    assert seen.reasons[0] == "broken quoting: a quote is never closed"


def test_the_lines_of_a_cell_are_no_rows_where_its_record_has_another_width(read):
    cell = b"dear sir, it is\n2,y\nyours, truly, n\n"
    seen = read(b'a,b\n1,"' + cell + b'",x\n3,z\n')
    assert (seen.rows, len(seen.letters)) == ([("3", "z")], 1)
    assert seen.letters[0]["place"] == "lines 2 to 5"


def test_a_header_may_go_on_in_further_blocks(read):
    content = b'a,"' + b"b\n" * 50 + b'"\n1,2\n'
    small, large = read(content, limits=IngestLimits(block_bytes=7)), read(content)
    assert small.delivery.columns == large.delivery.columns == ("a", ("b " * 50).strip())
    assert small.rows == large.rows == [("1", "2")]


REPEATED = [
    b"1,x\na,b,\n2,y\n",
    b'1,x\n"a","b"\n2,y\n',
    b"1,x\r\na,b\r\n2,y\r\n",
    b"1,x\n\xef\xbb\xbfa,b\n2,y\n",
    b"a,b\n1,x\na,b\n2,y\na,b\n",
]


@pytest.mark.parametrize("body", REPEATED)
@pytest.mark.parametrize("block", [7, 1 << 20])
def test_a_record_that_equals_the_header_is_noted_and_is_no_row(read, body, block):
    seen = read(b"a,b\n" + body, limits=IngestLimits(block_bytes=block))
    assert (seen.rows, seen.letters, seen.offsets) == ([("1", "x"), ("2", "y")], [], [1, 2])
    [note] = [note for note in seen.delivery.notes if "header" in note]
    count, line = body.count(b"b"), 2 if body.startswith(b"a") else 3
    assert note == f"header repeated and skipped: {count}, the first at line {line}"


@pytest.mark.parametrize("content", [b"word\nbook\nword\n", b"a,b\na,c\n", b"a,b\nA,B\n"])
def test_a_record_that_does_not_equal_the_header_or_has_one_value_is_a_row(read, content):
    assert len(read(content).rows) == content.count(b"\n") - 1


def test_two_unmatched_quotes_do_not_swallow_the_lines_between_them(read):
    seen = read(b'a,b\n1,"x\n2,y\n3,",z"\n')
    assert seen.rows == [("2", "y"), ("3", ",z")]
    assert "a quote opens a record of 3 lines with 3 fields" in seen.reasons[0]


def test_a_bad_record_over_several_lines_is_kept_completely(read):
    seen = read(b'a,b\n1,"x\r\n\xff"\n2,y\n')
    assert (seen.payloads, seen.letters[0]["place"]) == ([b'1,"x\r\n\xff"'], "lines 2 to 3")


@pytest.mark.parametrize("block", [5, 64, 1 << 20])
def test_a_line_over_the_limit_is_a_dead_letter_of_its_beginning(read, block):
    limits = IngestLimits(payload_bytes=4, record_bytes=50, block_bytes=block)
    seen = read(b"a,b\n1,2\n" + b"x" * 999 + b"\r\n3,4\n", limits=limits)
    assert (seen.rows, seen.payloads) == ([("1", "2"), ("3", "4")], [b"xxxx"])
    assert (seen.letters[0]["payload_bytes"], seen.letters[0]["place"]) == (999, "line 3")
    assert seen.delivery.is_cut


@pytest.mark.parametrize("block", [5, 1 << 20])
def test_a_header_over_the_limit_is_refused(read, block):
    limits = IngestLimits(record_bytes=50, block_bytes=block)
    assert (
        refusal(read(b"x" * 999 + b"\n1\n", limits=limits))
        == "header too long: 999 bytes; limit 50"
    )


def test_too_many_columns_are_refused(read):
    assert (
        refusal(read(b"a,b,c\n1,2,3\n", limits=IngestLimits(columns=2)))
        == "3 columns; limit 2 (columns)"
    )


@given(
    rows=st.lists(st.tuples(TEXT, TEXT, TEXT.map(lambda text: f"x{text}")), min_size=1, max_size=12)
)
@settings(max_examples=60, deadline=None)
def test_what_the_csv_module_writes_is_read_back(read, rows):
    file = io.StringIO(newline="")
    csv.writer(file, quoting=csv.QUOTE_ALL).writerows([("a", "b", "c"), *rows])
    assert read(file.getvalue().encode()).rows == [
        tuple(value or None for value in row) for row in rows
    ]


@given(
    parts=st.lists(
        st.sampled_from([b"1,2", b'"', b"\xff", b"x", b"\r", b"\n", b",", b"\r\n"]), max_size=30
    )
)
@settings(max_examples=100, deadline=None)
def test_the_size_of_blocks_does_not_change_what_is_read(read, parts):
    content = b"a,b\n" + b"".join(parts)
    small, large = read(content, limits=IngestLimits(block_bytes=3)), read(content)
    assert (small.rows, small.letters, small.offsets) == (large.rows, large.letters, large.offsets)
    assert small.delivery.notes == large.delivery.notes


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_blank_lines_above_the_header_count_for_the_ends_of_lines(read, end):
    seen = read(end + b"a\n1\n")
    assert any("mixed line endings" in note for note in seen.delivery.notes) == (end != b"\n")
    assert "blank lines skipped: 1" in seen.delivery.notes
