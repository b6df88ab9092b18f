"""The declaration that is proposed for a file of which nothing is known."""

import bz2
import gzip
import io
import zipfile

import pytest

from lakehouse.ingest.files.recognize.declaration_text import write_files
from lakehouse.ingest.files.recognize.recognizer import recognize
from lakehouse.tables.files import Files

BODY = "no;town;day\n1;Ulm;2024-05-01\n2;Graz;2024-05-02\n3;Linz;2024-05-03\n"


@pytest.fixture
def look(tmp_path):
    def found(content: bytes | str, name: str = "a.csv", expected=()):
        path = tmp_path / "file"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return recognize(path, name, expected)

    return found


@pytest.mark.parametrize("separator", [";", "\t", "|", "\x01", "~", "^"])
def test_the_separator_is_found(look, separator):
    assert look(BODY.replace(";", separator)).files == Files(separator=separator)


def test_a_plain_file_needs_no_declaration(look):
    found = look(BODY.replace(";", ","))
    assert (found.files, found.columns) == (Files(), ("no", "town", "day"))


def test_a_decimal_comma_does_not_separate(look):
    assert look("no;price\n1;2,50\n2;3,75\n3;10,00\n").files == Files(separator=";")


def test_a_list_within_a_cell_does_not_separate(look):
    assert look("no,tags,n\n1,a;b;c,5\n2,d;e;f,6\n3,x;y;z,7\n").files == Files()


@pytest.mark.parametrize(
    ("encoding", "declared"),
    [
        ("utf-8-sig", "utf-8"),
        ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16-le"),
        ("utf-16-be", "utf-16-be"),
        ("cp1252", "cp1252"),
        ("iso-8859-15", "iso-8859-15"),
    ],
)
def test_the_encoding_is_found(look, encoding, declared):
    text = "no;town;price\n" + "1;Köln;5 €\n2;Orléans;6 €\n3;Málaga;7 €\n" * 3
    assert look(text.encode(encoding)).files.encoding == declared


@pytest.mark.parametrize(
    ("encoding", "town"),
    [("cp1251", "Москва"), ("cp850", "Köln"), ("mac_roman", "Köln"), ("cp1250", "Łódź")],
)
def test_no_encoding_is_better_than_a_wrong_one(look, encoding, town):
    found = look(f"no;town\n1;{town}\n2;{town}\n".encode(encoding))
    assert found is None


def test_utf8_with_a_broken_value_stays_utf8(look):
    content = "no,town\n1,Köln\n2,Málaga\n3,Łódź\n".encode() + b"4,K\xf6ln\n"
    assert look(content).files == Files()


def test_lines_above_the_header_are_counted(look):
    found = look(f"Statement\nFrom: 2024-05-01\n\n{BODY}")
    assert (found.files, found.columns) == (
        Files(separator=";", skip_lines=3),
        ("no", "town", "day"),
    )


def test_labels_above_the_header_with_as_many_cells_are_no_header(look):
    found = look("Account:,DE12\nFrom:,2024-05-01\n\nno,town\n1,Ulm\n2,Graz\n")
    assert found.files == Files(skip_lines=3)


def test_a_blank_line_within_the_records_skips_nothing(look):
    assert look("no,town\n1,Ulm\n\n2,Graz\n3,Linz\n").files == Files()


def test_a_repeated_header_skips_nothing(look):
    assert look("no,town\n1,Ulm\nno,town\n2,Graz\n").files == Files()


def test_a_total_below_the_records_is_left_out(look):
    found = look(BODY + "Total: 3 rows\n")
    assert found.files == Files(separator=";", skip_last_lines=1)


def test_a_record_that_was_cut_off_is_not_left_out(look):
    assert look(BODY + "4;Wi").files == Files(separator=";")


def test_comments_are_told_from_values(look):
    assert look("# made by a program\nno,town\n1,Ulm\n2,Graz\n").files == Files(comment="#")
    assert look("code,colour\n#FF0000,red\n#00FF00,green\n").files == Files()


def test_a_file_without_a_header(look):
    found = look("1,Ulm,2024-05-01\n2,Graz,2024-05-02\n")
    assert (found.files, found.columns, found.width) == (Files(header=False), (), 3)


def test_years_may_be_names(look):
    found = look("town,2021,2022,2023\nUlm,5,7,9\nGraz,6,8,10\n")
    assert found.columns == ("town", "2021", "2022", "2023")


def test_a_header_of_texts_alone_is_doubted(look):
    assert look("Ulm,north\nGraz,south\n").doubts


def test_declared_names_decide_what_the_header_is(look):
    found = look("x,y\na,b\nc,d\n", expected=("x", "y"))
    assert (found.columns, found.doubts) == (("x", "y"), ())


def test_backslashes_before_quotes_are_an_escape(look):
    found = look('no,said\n1,"he said \\"yes\\", twice"\n2,"no"\n3,"\\"so, what\\""\n')
    assert found.files == Files(escape="\\")


def test_a_dump_of_a_database_has_escapes_and_no_quotes(look):
    found = look("no\tt\n1\ta\\tb\n2\t\\N\n3\tone\\ntwo\n", "a.tsv")
    assert found.files == Files(quote=None, escape="\\", nulls=("\\N",))


def test_inches_are_no_quotes(look):
    found = look('no,size\n1,"5 wide\n2,"7 wide\n3,"9 wide\n')
    assert found.files == Files(quote=None)


def test_a_blank_before_a_quote_is_trimmed(look):
    found = look('"no", "name", "n"\n"1", "Grey, Ann", "5"\n"2", "Li", "6"\n')
    assert found.files == Files(trim=True)


def test_a_mark_for_null_among_numbers_is_declared_and_among_texts_is_not(look):
    assert look("no,n\n1,5\n2,NA\n3,7\n").files == Files(nulls=("NA",))
    found = look("no,country\n1,DE\n2,NA\n3,FR\n")
    assert found.files == Files()
    assert "NA (1 times)" in found.notes[0]


def test_fixed_widths_end_where_the_values_end(look):
    lines = [
        "id   town      amount",
        " 1   Ulm        12.50",
        " 2   Graz      112.00",
        "13   Linz        1.75",
    ]
    found = look("\n".join(lines) + "\n", "a.txt")
    assert found.files.format == "fixed"
    assert found.columns == ("id", "town", "amount")
    assert sum(found.files.widths.values()) == len(lines[0])


@pytest.mark.parametrize(
    ("content", "files"),
    [
        ('[{"id": 1}, {"id": 2}]', Files()),
        ('{"id": 1}\n{"id": 2}\n', Files()),
        (
            '{"data": {"orders": [{"id": 1, "lines": [{"n": 1}]}, {"id": 2}]}}',
            Files(records="data.orders[]"),
        ),
        ('{"id": 1, "x": NaN}\n', Files(allow_nan=True)),
    ],
)
def test_the_layout_of_json_is_found(look, content, files):
    found = look(content, "a.json")
    assert found.files == files
    assert found.columns[0] == "id"


def test_json_whose_end_is_not_in_the_sample_is_recognised(look):
    content = '{"meta": 1, "rows": [' + ",".join(f'{{"id": {n}}}' for n in range(60_000)) + "]}"
    assert look(content, "a.json").files == Files(records="rows[]")


def test_json_by_another_suffix_is_declared(look):
    assert look('{"id": 1}\n{"id": 2}\n', "a.csv").files == Files(format="jsonl")


def test_the_path_of_xml_records_is_found(look):
    found = look(
        "<?xml version='1.0'?><list><row n='1'><town>Ulm</town></row><row n='2'/></list>", "a.xml"
    )
    assert found.files.records == "list.row"
    assert found.columns == ("n", "town")


def test_a_name_with_a_dot_is_quoted_in_the_path_of_xml_records(look):
    assert look("<l><r.x a='1'/><r.x/></l>", "a.xml").files.records == 'l."r.x"'


def test_a_file_of_blanks_is_looked_at_in_a_moment(look):
    assert look("a b" + " " * 250_000 + "c", "a.csv").files.separator == " "


def test_what_is_packed_is_unpacked(look):
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("__MACOSX/._a.csv", b"\0\0")
        archive.writestr("a.csv", BODY)
    packed = [
        (gzip.compress(BODY.encode()), "a.csv.gz"),
        (bz2.compress(BODY.encode()), "a.csv.bz2"),
        (zipped.getvalue(), "a.zip"),
    ]
    assert [look(*one).files for one in packed] == [Files(separator=";")] * 3


def test_what_cannot_be_told_is_not_guessed(look):
    assert look(bytes(range(256)) * 40) is None
    assert look("") is None


def test_a_declaration_is_written_as_source():
    files = Files(separator="\t", nulls=("\\N",), quote=None, parents={"a": "b"}, records="x[]")
    text = write_files(files)
    assert (
        text
        == 'Files(separator="\\t", quote=None, nulls=("\\\\N",), records="x[]", parents={"a": "b"})'
    )
    assert eval(text) == files


def test_a_refusal_names_the_declaration_that_reads_the_file(read):
    seen = read(BODY.encode(), "a.csv", required=("no", "town", "day"))
    assert seen.delivery.refused.endswith('; it looks like files=Files(separator=";")')
    undeclared = read(b"1,Ulm\n2,Graz\n", "a.csv", required=("no", "town"))
    assert "it looks like files=Files(header=False)" in undeclared.delivery.refused


def test_a_refusal_says_nothing_of_another_table(read):
    seen = read(b"x;y\n1;2\n3;4\n", "a.csv", required=("no", "town"))
    assert "it looks like" not in seen.delivery.refused


def test_a_file_that_would_land_as_one_column_is_told_its_separator(read):
    refused = read(BODY.encode(), "a.csv").delivery.refused
    assert refused.endswith('it looks like files=Files(separator=";")')


def test_a_first_record_with_an_empty_end_is_not_skipped(look):
    found = look("1,Ulm,2024-05-01,\n2,Graz,2024-05-02,x\n3,Linz,2024-05-03,y\n")
    assert found.files == Files(header=False)


def test_single_quotes_are_told_by_what_they_guard(look):
    assert look("no,t\n1,'a, b'\n2,c\n3,'d, e'\n").files == Files(quote="'")
    unsure = look("no,t\n1,'a'\n2,c\n3,d\n4,e\n")
    assert (unsure.files, unsure.doubts) == (Files(), ("`'` around cells may be a quote",))


def test_text_of_fixed_width_with_separators_in_a_note_is_of_fixed_width(look):
    lines = [
        f"{n:<6}{'2024-05-01':<12}{note:<10}"
        for n, note in enumerate(["a; b", "c; d", "plain", "e; f", "x", "y", "z"])
    ]
    assert look("\n".join(lines) + "\n", "a.txt").files.format == "fixed"


@pytest.mark.parametrize(
    ("content", "doubt"),
    [
        (b'id,name\n1,"so"\n2,x\n3,y\n4,z\n', '`"` around some cells may be part of them'),
        (b'id,name\n1,"a, b"\n2,x\n3,"y"\n4,z\n', None),
        (b'id,name\n1,"so"\n2,"x"\n3,"y"\n', None),
        (b"id,n\n1,N/A\n2,\n3,7\n", "N/A may be a value: few numbers stand beside it"),
        (b"id,n\n1,N/A\n2,5\n3,7\n4,8\n5,9\n6,10\n", None),
    ],
)
def test_quotes_and_marks_that_may_be_values_are_doubted(tmp_path, content, doubt):
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    found = recognize(path, "a.csv")
    assert list(found.doubts) == ([doubt] if doubt else [])


def test_no_first_line_is_skipped_for_a_header_that_one_record_tells(look):
    found = look("id,x\nk0,a\nk1,5\n")
    assert (found.columns, found.files.skip_lines) == (("id", "x"), 0)
