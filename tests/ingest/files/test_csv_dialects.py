"""CSV in the dialects that people deliver: each declared dialect gives the rows that were meant."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.ingest.files.csv import records as csv_records
from lakehouse.ingest.limits import IngestLimits
from lakehouse.tables.files import Files

PIECES = st.one_of(
    st.sampled_from(["", " ", "x", "é", "1,5", "NA", "\t", "#", "#n", "'", '"', '""', ";", "|"]),
    st.sampled_from(["\\", "\\\\", "\\N", "\\t", "\\d", "\x02", '"\\N"', '"a\\"b"', "\\\n"]),
    st.sampled_from(["'a;b'", '"a,b"', '"NA"', '" q "', "'it''s'", '"\n#"']),
)
CELLS = st.lists(PIECES, max_size=3).map("".join)
PLAIN_CELLS = st.sampled_from(
    ["", "x", " x ", "é", "NA", '"NA"', '""', '"q"', ' "q" ', "\\t", "\\N"]
)
DIALECTS = st.builds(
    Files,
    separator=st.sampled_from([",", ";", "\t", "|"]),
    quote=st.sampled_from(['"', "'", None]),
    escape=st.sampled_from([None, None, "\\"]),
    trim=st.booleans(),
    empty_text=st.booleans(),
    comment=st.sampled_from([None, "#"]),
    nulls=st.sampled_from([(), ("NA",), ("NA", "\\N", "x")]),
    header=st.booleans(),
    names=st.just(("a", "b")),
    skip_lines=st.sampled_from([0, 0, 1]),
    skip_last_lines=st.sampled_from([0, 0, 1, 2]),
)


def write_lines(separator, rows, end, last):
    return (
        "a" + separator + "b" + end + end.join(separator.join(row) for row in rows) + last
    ).encode()


ROWS = st.lists(
    st.one_of(st.tuples(PLAIN_CELLS, PLAIN_CELLS), st.lists(CELLS, min_size=1, max_size=3)),
    min_size=1,
    max_size=6,
)


def told(seen):
    return seen.rows, seen.offsets, seen.letters, seen.delivery.notes, seen.delivery.refused


@given(
    files=DIALECTS,
    rows=ROWS,
    end=st.sampled_from(["\n", "\r\n"]),
    last=st.sampled_from(["", "\n", "\r\n"]),
)
@settings(max_examples=100, deadline=None)
def test_both_paths_read_the_same_in_every_dialect(read, files, rows, end, last):
    content = write_lines(files.separator, rows, end, last)
    fast = read(content, files=files)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_records, "parse_plain_block", lambda *_: None)
        exact = read(content, files=files)
    assert told(fast) == told(exact)
    assert fast.delivery.refused or fast.numbers == list(range(1, fast.delivery.records + 1))


@given(files=DIALECTS, rows=ROWS, block=st.sampled_from([3, 20]))
@settings(max_examples=40, deadline=None)
def test_the_size_of_blocks_changes_nothing_in_any_dialect(read, files, rows, block):
    content = write_lines(files.separator, rows, "\n", "\n")
    small = read(content, files=files, limits=IngestLimits(block_bytes=block))
    assert told(small) == told(read(content, files=files))


@given(
    rows=st.lists(st.tuples(CELLS, CELLS.map(lambda cell: f"x{cell}")), min_size=1, max_size=8),
    files=st.builds(
        Files,
        separator=st.sampled_from([",", ";", "\t", "|"]),
        quote=st.sampled_from(['"', "'"]),
        escape=st.sampled_from([None, "\\"]),
        empty_text=st.booleans(),
    ),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
)
@settings(max_examples=40, deadline=None)
def test_what_the_csv_module_writes_in_a_dialect_is_read_back(read, rows, files, quoting):
    # Without quotes the module escapes what ours would read as a letter of MySQL.
    quoting = csv.QUOTE_ALL if files.escape else quoting
    file = io.StringIO(newline="")
    writer = csv.writer(
        file,
        delimiter=files.separator,
        quotechar=files.quote,
        escapechar=files.escape,
        doublequote=files.escape is None,
        quoting=quoting,
    )
    writer.writerows([("a", "b"), *rows])
    is_text = files.empty_text and quoting == csv.QUOTE_ALL
    wanted = [tuple(cell if cell or is_text else None for cell in row) for row in rows]
    assert read(file.getvalue().encode(), files=files).rows == wanted


@pytest.mark.parametrize(
    ("content", "files", "rows"),
    [
        (b"a;b\n1;2,50\n", Files(separator=";"), [("1", "2,50")]),
        (b"a|b\n1|x,y\n", Files(separator="|"), [("1", "x,y")]),
        (b"a;b\n'x;y';'it''s'\n", Files(separator=";", quote="'"), [("x;y", "it's")]),
        (b'a,b\n1,say "x\n', Files(quote=None), [("1", 'say "x')]),
        (b'a,b\n"1","x"\n', Files(quote=None, names=("a", "b")), [('"1"', '"x"')]),
        (b'a,b\n"x \\"y\\"","c:\\\\d\\\\"\n', Files(escape="\\"), [('x "y"', "c:\\d\\")]),
        (b'a,b\n"c:\\dir","x\\ny"\n', Files(escape="\\"), [("c:\\dir", "x\\ny")]),
        (b"a\tb\n1\tx\\ty\\nz\\\\\n", Files(separator="\t", escape="\\"), [("1", "x\ty\nz\\")]),
        (b"a\tb\n\\N\tx\\\ty\n", Files(separator="\t", escape="\\"), [(None, "x\ty")]),
        (b"a|b\nx\\|y|z\\\nw\n", Files(separator="|", quote=None, escape="\\"), [("x|y", "z\nw")]),
        (b'a,b\nNA,"NA"\n', Files(nulls=("NA",)), [(None, "NA")]),
        (b'a,b\n,""\n', Files(empty_text=True), [(None, "")]),
        (b'"a", "b"\n 1 , " x " \n', Files(trim=True), [("1", " x ")]),
    ],
)
def test_a_declared_dialect_gives_the_values_that_were_meant(read, content, files, rows):
    seen = read(content, files=files)
    assert (seen.delivery.refused, seen.rows, seen.letters) == (None, rows, [])


def test_lines_before_the_header_are_skipped_and_told(read):
    content = b'Statement "of\n2030\n\na;b\n1;2\n'
    seen = read(content, files=Files(separator=";", skip_lines=2))
    assert (seen.rows, seen.offsets) == ([("1", "2")], [1])
    assert "lines skipped at the beginning: 2" in seen.delivery.notes


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("block", [3, 1 << 20])
def test_lines_behind_the_records_are_skipped_and_told(read, end, last, block):
    content = end.join([b"a,b", b"1,2", b'3,"x', b'y"', b"Total: 2", b'"open']) + (
        end if last else b""
    )
    seen = read(content, files=Files(skip_last_lines=2), limits=IngestLimits(block_bytes=block))
    assert seen.rows == [("1", "2"), ("3", f"x{end.decode()}y")]
    assert (seen.letters, seen.numbers) == ([], [1, 2])
    assert "lines skipped at the end: 2" in seen.delivery.notes


def test_a_file_with_fewer_lines_than_are_skipped_is_refused_as_empty(read):
    for files in (Files(skip_lines=3), Files(skip_last_lines=3)):
        assert "no line is left" in read(b"a,b\n1,2\n", files=files).delivery.empty_because


def test_comments_are_no_records_and_their_number_is_told(read):
    content = b'#top\na,b\n# x\n1,2\n#,\n3,"x\n#y"\n'
    seen = read(content, files=Files(comment="#"))
    assert (seen.rows, seen.letters) == ([("1", "2"), ("3", "x\n#y")], [])
    assert "comments skipped: 3, first at line 1" in seen.delivery.notes
    assert read(b"a,b\n#F00,red\n").rows == [("#F00", "red")]


def test_names_or_declared_columns_name_a_file_without_a_header(read):
    for given_by in ({"files": Files(header=False, names=("a", "b"))}, {"columns": ("a", "b")}):
        options = {"files": Files(header=False)} | given_by
        assert read(b"1,2\n3,4\n", **options).rows == [("1", "2"), ("3", "4")]
    assert "nothing names its columns" in read(b"1,2\n", files=Files(header=False)).delivery.refused


def test_a_header_in_a_file_that_should_have_none_is_no_row(read):
    seen = read(b"a,b\n1,2\n", files=Files(header=False, names=("a", "b")))
    assert (seen.rows, len(seen.delivery.notes)) == ([("1", "2")], 1)


def test_names_take_the_place_of_those_in_the_header(read):
    seen = read(b"x,x\n1,2\n", files=Files(names=("a", "b")))
    assert (seen.delivery.columns, seen.rows) == (("a", "b"), [("1", "2")])
    refused = read(b"x,y\n1,2\n", files=Files(names=("a",))).delivery.refused
    assert refused == "the header has 2 columns where `names` declares 1"


def test_the_separator_line_of_excel_is_followed(read):
    seen = read(b"sep=;\r\na;b\r\n1;2\r\n")
    assert (seen.rows, seen.delivery.notes) == (
        [("1", "2")],
        ("the first line names the separator: ';'",),
    )
    assert "is declared" in read(b"sep=;\na;b\n", files=Files(separator="|")).delivery.refused


@pytest.mark.parametrize(
    ("content", "files", "remedy"),
    [
        (b"a;b\n1;2\n", Files(), "separator=';'"),
        (b"a;b\n", Files(), "separator=';'"),
        (b"a\tb\n1\t2\n", Files(), "separator='\\t'"),
        (b"a|b\n1|2,3\n", Files(), "separator='|'"),
        (b"a;b, EUR\n1;2,5\n", Files(), "separator=';'"),
        (b"a,b\n1,2\n", Files(separator=";"), "separator=','"),
        (b"'a','b'\n'1','2'\n", Files(), "quote="),
        (b'"a","b"\n"1","2"\n', Files(quote=None), "quote="),
        (b'"a", "b"\n"1", "2"\n', Files(), "trim=True"),
        (b"# by x\na,b\n1,2\n3,4\n", Files(), "comment="),
        (b"1;2\n3;4\n", Files(header=False, names=("a", "b")), "separator"),
        (b"1,2,3\n", Files(header=False, names=("a", "b", "c", "d")), "names"),
    ],
)
def test_a_file_in_another_dialect_is_refused_with_the_remedy(read, content, files, remedy):
    delivery = read(content, files=files).delivery
    assert delivery.refused is not None
    assert remedy in delivery.refused


@pytest.mark.parametrize(
    "content", [b"a\nx;y\nz\n", b"a;b\nx\ny\n", b"a,b\n1;2,3\n", b"a,b;c\n1,2;3\n4,5\n"]
)
def test_other_separators_in_values_or_in_a_name_are_no_other_dialect(read, content):
    assert read(content).delivery.refused is None


@pytest.mark.parametrize("trim", [True, False])
@pytest.mark.parametrize("block", [7, 1 << 20])
def test_a_long_cell_with_escaped_quotes_is_one_dead_letter(read, trim, block):
    record = b'1;"' + b'say \\"x\\"; y\n' * 20 + b'\\\\"'
    seen = read(
        b"a;b\n0;y\n" + record + b"\n3;z\nfooter;\n",
        files=Files(separator=";", escape="\\", trim=trim, skip_last_lines=1),
        limits=IngestLimits(block_bytes=block, cell_bytes=60),
    )
    assert (seen.rows, seen.payloads) == ([("0", "y"), ("3", "z")], [record])
    assert seen.reasons == ["quoted cell too long; limit 60 bytes (cell_bytes)"]


@pytest.mark.parametrize(
    ("content", "remedy"),
    [
        (b"Account:,DE12\nFrom:,2030\n\na,b\n1,2\n", "2 lines before one that names all of them"),
        (b"1,2\n3,4\n", "header=False"),
    ],
)
def test_a_file_whose_first_line_is_no_header_is_refused_with_the_remedy(read, content, remedy):
    refused = read(content, required=["a", "b"]).delivery.refused
    assert "the first line names none of them" in refused
    assert remedy in refused
