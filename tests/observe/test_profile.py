"""The profile of a file: types that fit, keys, times, suspected personal data."""

import pytest
from click.testing import CliRunner

from lakehouse.cli.profile_commands import profile as profile_command
from lakehouse.observe.profile.personal_data import is_card, is_iban, suspect_personal_data
from lakehouse.observe.profile.profile_file import profile_file
from lakehouse.tables.files import Files


@pytest.fixture
def profiled(tmp_path):
    def profile(content: str, name: str = "a.csv"):
        (tmp_path / name).write_text(content)
        return profile_file(tmp_path / name)

    return profile


@pytest.mark.parametrize(
    ("values", "kind", "words"),
    [
        (("1", "-20", "300"), "whole", "whole number"),
        (("1.5", "2", "3e4"), "real", "real number"),
        (("2024-05-01", "2024-05-31"), "day", "day, %Y-%m-%d"),
        (("01.05.2024", "31.05.2024"), "day", "day, %d.%m.%Y"),
        (("05/31/2024", "05/01/2024"), "day", "day, %m/%d/%Y"),
        (("2024-05-01T09:00:00Z",), "instant", "instant, %Y-%m-%dT%H:%M:%S%z"),
        (("2024-05-01T09:00:00+02:00",), "instant", "instant, %Y-%m-%dT%H:%M:%S%z"),
        (("2024-05-01 09:00:00",), "local time", "local time, %Y-%m-%d %H:%M:%S"),
        (("Yes", "no"), "yes or no", "yes or no"),
        (("007", "012"), "text", "text"),
        (("12 %", "7.5 %"), "real", "real number, %"),
        (("a", "5"), "text", "text"),
    ],
)
def test_the_type_of_a_column_is_found(profiled, values, kind, words):
    column = profiled("id,x\n" + "".join(f"k{n},{v}\n" for n, v in enumerate(values))).columns[1]
    assert column.reading is not None
    assert (column.reading.kind, column.type) == (kind, words)


def test_a_day_that_may_be_a_month_is_not_decided(profiled):
    column = profiled("id,x\na,01/02/2024\nb,03/04/2024\n").columns[1]
    assert column.doubt == "day and month cannot be told apart"
    assert column.reading.kind == "text"


def test_counts_nulls_marks_and_values_of_another_type(profiled):
    rows = "".join(f"k{n},{n}\n" for n in range(60))
    column = profiled(f"id,x\n{rows}y,\nz,-\nw,oops\n").columns[1]
    assert (column.nulls, column.marks, column.unread) == (1, {"-": 1}, 1)


def test_a_pair_of_columns_may_be_the_key(profiled):
    assert profiled("order,line\n1,1\n1,2\n2,1\n").keys == (("order", "line"),)


def test_doubled_rows_are_counted(profiled):
    assert profiled("a,b\nx,1\nx,1\ny,2\n").doubled == 1


def test_a_file_that_is_refused_says_why(profiled):
    assert profiled("", "a.csv").refused == "empty file: 0 bytes"


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("contact", ["ann@example.com", "bo@example.org"], "e-mail"),
        ("account", ["DE89 3704 0044 0532 0130 00"], "IBAN"),
        ("account", ["DE88 3704 0044 0532 0130 00"], None),
        ("paid_with", ["4111 1111 1111 1111"], "card"),
        ("host", ["10.0.0.1", "fe80::1"], "IP address"),
        ("called", ["+49 89 1234567"], "phone"),
        ("first_name", ["Ann", "Bo", "Cy", "Di"], "name of a person, by its name"),
        ("ship_address", ["Elm St 1", "Elm St 2", "Elm St 3"], None),
    ],
)
def test_personal_data_is_suspected(name, values, kind):
    assert suspect_personal_data(name, values) == kind


def test_checksums_are_checked():
    assert is_iban("GB82WEST12345698765432")
    assert not is_iban("GB83WEST12345698765432")
    assert is_card("5555555555554444")
    assert not is_card("5555555555554445")


def test_the_declaration_is_part_of_the_profile(profiled):
    assert profiled('{"a": 1}\n{"a": 2}\n', "a.jsonl").files == Files()


def test_values_that_seem_personal_are_hidden_unless_asked_for(tmp_path):
    (tmp_path / "a.csv").write_text(
        "id,mail\n" + "".join(f"{n},p{n}@example.com\n" for n in (1, 2, 3))
    )
    hidden = CliRunner().invoke(profile_command, [str(tmp_path / "a.csv")])
    assert "example.com" not in hidden.output
    assert "3 records" in hidden.output
    asked = CliRunner().invoke(profile_command, [str(tmp_path / "a.csv"), "--show-personal"])
    assert "p1@example.com" in asked.output
    assert (
        "example.com"
        not in CliRunner().invoke(profile_command, [str(tmp_path / "a.csv"), "--json"]).output
    )


def test_a_footer_is_no_record_with_too_few_cells(profiled):
    rows = "".join(f"{n};{n},50;x\n" for n in range(20))
    found = profiled(f"id;n;t\n{rows}Total: 20\n")
    assert found.files.skip_last_lines == 1
    assert not any("cells" in note for note in found.notes)


def test_lists_of_objects_are_offered_as_a_table_of_their_own(profiled):
    bikes = ", ".join(
        f'{{"id": "b{n}", "rides": [{{"km": {n}}}], "owner": {{"m": "p{n}@example.com"}}}}'
        for n in range(9)
    )
    found = profiled(f'{{"data": {{"bikes": [{bikes}]}}}}', "a.json")
    assert found.files.records == "data.bikes[]"
    declared = 'records="data.bikes[].rides[]", parents={"bikes_id": "data.bikes[].id"}'
    assert any(declared in note for note in found.notes), found.notes
    assert {one.name: one.personal for one in found.columns}["owner"] == "e-mail"
