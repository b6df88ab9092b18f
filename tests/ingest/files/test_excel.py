"""Workbooks: values as texts that lose nothing, one sheet, its header, and what is refused."""

import io
import zipfile
from datetime import date, datetime, time, timedelta

import openpyxl
import pytest
import xlsxwriter

from lakehouse.ingest.files.typed import contained
from lakehouse.ingest.limits import IngestLimits
from lakehouse.tables.files import Files

NAME = "a.xlsx"
DAY, MOMENT, CLOCK, SPAN = "yyyy-mm-dd", "yyyy-mm-dd hh:mm:ss.000", "hh:mm:ss", "[h]:mm:ss"


def workbook(*sheets, **options) -> bytes:
    """A workbook; each sheet is rows of values, or of pairs of a value and its number format."""
    file = io.BytesIO()
    with xlsxwriter.Workbook(file, {"in_memory": True, **options}) as book:
        for rows in sheets:
            sheet = book.add_worksheet()
            for row, cells in enumerate(rows):
                for column, cell in enumerate(cells):
                    value, form = cell if isinstance(cell, tuple) else (cell, None)
                    style = book.add_format({"num_format": form}) if form else None
                    if isinstance(value, str) and value.startswith("#"):
                        sheet.write_formula(row, column, "=1", style, value)
                    elif isinstance(value, str):
                        sheet.write_string(row, column, value, style)
                    elif value is not None:
                        sheet.write(row, column, value, style)
    return file.getvalue()


def spelled(read, *values, files=None, **options) -> list[str | None]:
    """The texts of values, each in a column of its own."""
    header = [f"c{number}" for number in range(len(values))]
    content = workbook([header, list(values)], **options)
    (row,) = read(content, NAME, files=files or Files()).rows
    return list(row)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (7, "7"),
        (0.1, "0.1"),
        (-0.5, "-0.5"),
        (123456789012345, "123456789012345"),
        (1.5e-7, "0.00000015"),
        (1e22, "1e+22"),
        ((0.125, "0.00%"), "0.125"),
        ((42, "00000"), "42"),
        ((1299.9, '#,##0.00 "€"'), "1299.9"),
        ("00123", "00123"),
        ("1.0", "1.0"),
        (" x ", " x "),
        ("two\nlines", "two\nlines"),
        (True, "true"),
        ((date(2024, 1, 31), DAY), "2024-01-31"),
        ((datetime(2024, 1, 31, 23, 59, 59, 500000), MOMENT), "2024-01-31 23:59:59.5"),  # noqa: DTZ001
        ((time(8, 30), CLOCK), "08:30:00"),
        ((timedelta(days=1, hours=12), SPAN), "P1DT12H"),
        ((timedelta(seconds=61.5), SPAN), "PT1M1.5S"),
        ((-0.25, SPAN), "-PT6H"),
        ((61, DAY), "1900-03-01"),
        ((1, DAY), "1900-01-01"),
        ((2958465, DAY), "9999-12-31"),
        ((2958466, DAY), "2958466"),
        *[(error, error) for error in ("#N/A", "#DIV/0!", "#REF!", "#VALUE!", "#NAME?", "#NUM!")],
    ],
)
def test_a_value_is_text_that_loses_nothing(read, value, text):
    assert spelled(read, "beside", value) == ["beside", text]


def test_digits_beyond_the_fifteenth_are_those_that_the_file_holds(read):
    content = workbook([["n"], [7]])
    with zipfile.ZipFile(io.BytesIO(content)) as old:
        parts = {name: old.read(name) for name in old.namelist()}
    changed = io.BytesIO()
    with zipfile.ZipFile(changed, "w") as new:
        for name, part in parts.items():
            new.writestr(name, part.replace(b"<v>7</v>", b"<v>9007199254740991</v>"))
    assert read(changed.getvalue(), NAME).rows == [("9007199254740991",)]


def test_a_column_of_mixed_types_loses_nothing(read):
    content = workbook([["v"], [1], ["00x"], [True], [(45322, DAY)], [2.5], ["#N/A"]])
    assert read(content, NAME).values("v") == ["1", "00x", "true", "2024-01-31", "2.5", "#N/A"]


def test_a_day_among_times_of_day_is_a_midnight(read):
    content = workbook([["at"], [(45322.5, MOMENT)], [(45323, MOMENT)]])
    assert read(content, NAME).values("at") == ["2024-01-31 12:00:00", "2024-02-01 00:00:00"]


def test_days_of_the_system_of_1904_count_from_there(read):
    assert spelled(read, (59, DAY), (45322, DAY), date_1904=True) == ["1904-02-29", "2028-02-01"]


@pytest.mark.parametrize("number", [59, 60, 60.5, -1])
def test_a_day_that_cannot_be_told_for_certain_is_a_dead_letter(read, number):
    seen = read(workbook([["id", "d"], ["x", (number, DAY)], ["y", (45322, DAY)]]), NAME)
    assert [row[0] for row in seen.rows] == ["y"]
    assert seen.letters[0]["place"] == "sheet Sheet1, row 2"
    assert "write it as text" in seen.reasons[0]
    assert seen.numbers == [1, 2]


def test_times_are_instants_where_a_zone_is_declared(read):
    rows = [
        ["at"],
        *(
            [(text, MOMENT)]
            for text in (
                datetime(2024, 7, 1, 12),  # noqa: DTZ001
                datetime(2024, 10, 27, 2, 30),  # noqa: DTZ001
                datetime(2024, 3, 31, 2, 30),  # noqa: DTZ001
            )
        ),
    ]
    seen = read(workbook(rows), NAME, files=Files(format="excel", time_zone="Europe/Berlin"))
    assert seen.values("at") == [
        "2024-07-01T10:00:00+00:00",
        "2024-10-27T00:30:00+00:00",
        "2024-03-31T01:30:00+00:00",
    ]
    assert seen.delivery.notes == (
        "times that Europe/Berlin has twice, taken for the earlier instant: 1",
        "times that Europe/Berlin skips, moved forward: 1",
    )


def test_empty_rows_are_no_records_and_places_are_those_of_the_sheet(read):
    content = workbook([[], [None, "a", "b"], [], [None, 1, 2], [], [], [None, 3, None, "far"]])
    seen = read(content, NAME)
    assert (seen.rows, seen.offsets) == ([("1", "2")], [1])
    assert seen.letters[0]["place"] == "sheet Sheet1, row 7"
    assert seen.payloads == [b'["3", null, "far"]']
    assert seen.delivery.notes == ("empty rows skipped: 3",)


def test_rows_around_the_table_are_left_out_as_declared(read):
    rows = [["Report"], [], ["id", "n"], ["1", "NA"], ["2", "5"], [], ["Sum", 7]]
    files = Files(format="excel", skip_lines=2, skip_last_lines=1, nulls=("NA",))
    assert read(workbook(rows), NAME, files=files).rows == [("1", None), ("2", "5")]


def test_a_sheet_without_a_header_takes_names_or_declared_columns(read):
    content = workbook([["1", "x"], ["2", "y"]])
    named = read(content, NAME, files=Files(header=False, names=("id", "t")))
    declared = read(content, NAME, files=Files(header=False), columns=("id", "t"))
    assert named.rows == declared.rows == [("1", "x"), ("2", "y")]
    assert named.delivery.columns == ("id", "t")
    refused = read(content, NAME, files=Files(header=False)).delivery.refused
    assert "neither `names` nor columns declared" in refused
    renamed = read(content, NAME, files=Files(names=("a", "b")))
    assert (renamed.delivery.columns, renamed.rows) == (("a", "b"), [("2", "y")])


def test_a_merged_header_names_what_lies_below_it(read):
    book = openpyxl.Workbook()
    sheet = book.active
    for row in (["id", "Address", None], [None, "street", "city"], [1, "A", "B"]):
        sheet.append(row)
    sheet.merge_cells("A1:A2")
    sheet.merge_cells("B1:C1")
    file = io.BytesIO()
    book.save(file)
    seen = read(file.getvalue(), NAME, files=Files(skip_lines=1))
    assert (seen.delivery.columns, seen.rows) == (("id", "street", "city"), [("1", "A", "B")])


def test_equal_names_of_a_header_are_numbered(read):
    seen = read(workbook([["n", None, "n", None, None], [1, 2, 3]]), NAME)
    assert seen.delivery.columns == ("n", "column_2", "n_2")
    assert seen.rows == [("1", "2", "3")]


def test_the_only_visible_sheet_is_read(read):
    book = openpyxl.Workbook()
    book.active.append(["a"])
    book.active.append([1])
    book.create_sheet("Secret").sheet_state = "hidden"
    file = io.BytesIO()
    book.save(file)
    assert read(file.getvalue(), NAME).rows == [("1",)]
    assert "has no row" in read(file.getvalue(), NAME, files=Files(sheet="secret")).delivery.refused


def test_of_several_sheets_one_has_to_be_declared(read):
    content = workbook([["a"], [1]], [["b", "c"], [2, 3]])
    assert read(content, NAME).delivery.refused == (
        "2 sheets, and none is declared: 'Sheet1', 'Sheet2'. "
        'Next: declare one, such as files=Files(sheet="Sheet2")'
    )
    assert read(content, NAME, files=Files(sheet=2)).rows == [("2", "3")]
    assert read(content, NAME, files=Files(sheet="Sheet1")).rows == [("1",)]
    for wrong in (3, 0, "Data"):
        refused = read(content, NAME, files=Files(sheet=wrong)).delivery.refused
        assert refused == f"there is no sheet {wrong!r}; the file has: 'Sheet1', 'Sheet2'"


def test_a_header_alone_is_a_delivery_without_records(read):
    delivery = read(workbook([["a", "b"]]), NAME).delivery
    assert (delivery.refused, delivery.records) == (None, 0)
    assert delivery.empty_because == "no rows: sheet Sheet1 has a header alone"


def test_a_cell_at_the_end_of_the_sheet_refuses_its_file_and_ends_nothing(read):
    file = io.BytesIO()
    with xlsxwriter.Workbook(file) as book:
        sheet = book.add_worksheet()
        sheet.write("A1", "a")
        sheet.write("XFD1048576", 1)
    refused = read(file.getvalue(), NAME).delivery.refused
    assert "of memory (reader_bytes" in refused
    assert "deliver it as CSV" in refused


def test_a_bomb_of_xml_is_refused_before_it_is_parsed(read):
    file = io.BytesIO(workbook([["a"], [1]]))
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as book:
        book.writestr("xl/bomb.xml", bytes(5 << 20))
    limits = IngestLimits(ratio_from=1 << 20)
    refused = read(file.getvalue(), NAME, limits=limits).delivery.refused
    assert refused.startswith("too large: more than")


@pytest.mark.parametrize("kept", [0.3, 0.7, 0.99])
def test_a_workbook_that_was_cut_off_is_refused(read, kept):
    content = workbook([["a"], *([number] for number in range(500))])
    assert read(content[: int(len(content) * kept)], NAME).delivery.refused


def test_a_workbook_with_a_password_is_told_as_such(read):
    # An encrypted workbook is a compound file with a stream of this name.
    content = (
        bytes.fromhex("d0cf11e0a1b11ae1") + bytes(504) + "EncryptedPackage".encode("utf-16-le")
    )
    assert "has a password" in read(content, "a.xlsx").delivery.refused


def test_what_is_no_workbook_is_refused(read):
    assert "no file of this format" in read(b"a,b\n1,2\n", NAME).delivery.refused


def test_a_reading_that_takes_too_long_is_refused(read):
    content = workbook([["a"], [1]])
    slow = read(content, NAME, limits=IngestLimits(reader_seconds=0)).delivery.refused
    assert "(reader_seconds)" in slow


def test_packages_that_are_missing_are_named_with_their_extra(read, monkeypatch):
    monkeypatch.setattr(contained, "_is_installed", lambda module: module != "fastexcel")
    assert read(workbook([["a"], [1]]), NAME).delivery.refused == (
        "packages that read this format are missing: fastexcel; run: pip install 'lakehouse[excel]'"
    )


CONTENT = """<office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"
 xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"
 xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"><office:body><office:spreadsheet>
<table:table table:name="T"><table:table-row>{header}</table:table-row><table:table-row>
<table:table-cell office:value-type="float" office:value="7"><text:p>7</text:p></table:table-cell>
<table:table-cell office:value-type="date" office:date-value="2024-01-31"/>
<table:table-cell office:value-type="boolean" office:boolean-value="true"/>
<table:table-cell office:value-type="string"><text:p>007</text:p></table:table-cell>
</table:table-row></table:table></office:spreadsheet></office:body></office:document-content>"""


def test_an_opendocument_sheet_is_read_too(read):
    cell = '<table:table-cell office:value-type="string"><text:p>{}</text:p></table:table-cell>'
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as book:
        book.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        book.writestr("META-INF/manifest.xml", "<manifest/>")
        content = CONTENT.replace("\n<", "<").format(header="".join(map(cell.format, "abcd")))
        book.writestr("content.xml", content)
    assert read(file.getvalue(), "a.ods").rows == [("7", "2024-01-31", "true", "007")]
