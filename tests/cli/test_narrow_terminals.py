"""Tables on terminals of some width: every number, name and date whole, long texts wrapped at spaces."""

import io
import re
import sys
from datetime import UTC, date, datetime

import pytest
from support.sizes import first
from support.worlds import bring_up_to_date, world, write

from lakehouse.cli import commands, demo_report, output
from lakehouse.cli.table_layout import ShownColumn, lay_out
from lakehouse.environment import Environment

WIDTHS = [80, 200, 40, 120]
COMMANDS = [
    ["tables"],
    ["audit", "staged/invoice_lines"],
    ["audit", "raw/invoice_lines"],
    ["quarantine", "staged/invoice_lines"],
    ["quarantine", "raw/invoice_lines"],
    ["sql", "SELECT * FROM marts.daily_sales"],
    ["sql", "SELECT * FROM marts.sales LIMIT 3"],
]
# A number, date or time, with no part of another value beside it.
NUMBER = re.compile(r"(?<![\w.,:+/-])-?\d[\d,.:+e-]*(?![\w/#])")
HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
LINES = [
    f"5363{n:02},85123A,HEART HOLDER,{n},2010-12-01 08:26:00,{n}999.123457,178{n:02}.0,Norway"
    for n in range(10, 40)
]
BAD_LINE = "536399,85123A,NOTHING,0,2010-12-01 08:26:00,-1,,United Kingdom"


class Screen(io.StringIO):
    """A terminal that keeps what is printed."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    here = world(tmp_path_factory.mktemp("filled"))
    write(here, "fx_rates", "fx.csv", "Date,USD,GBP\n2010-12-01,1.31,0.84\n")
    write(here, "invoice_lines", "a.csv", "\n".join([HEADER, *LINES, BAD_LINE, "536398,85123A"]))
    write(here, "invoice_lines", "b.csv", b"\xff\xfe\x00")
    bring_up_to_date(here)
    return here


@pytest.fixture
def show(monkeypatch):
    """Runs something on a terminal of some width and returns what it shows, without styles."""

    def run(width, call):
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setattr(sys, "stdout", screen := Screen())
        call()
        return re.sub(r"\x1b\[[\d;]*m", "", screen.getvalue())

    return run


def run_command(here: Environment, arguments: list[str]) -> None:
    app = commands.App(lambda: here, lambda: None, None)
    commands.cli.main(arguments, obj=app, standalone_mode=False)


@pytest.mark.parametrize("width", first(2, WIDTHS))
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_number_name_and_header_is_whole_at_any_width(filled, show, command, width):
    at_any_width = show(100_000, lambda: run_command(filled, command))
    shown = show(width, lambda: run_command(filled, command))
    header, *rows = at_any_width.splitlines()
    if command[0] == "quarantine":
        header, *rows = [line for line in [header, *rows] if "  _" in line or ".csv#" in line]
    names = [row.split()[0] for row in rows if row]
    # A line below the table names the columns that have no room.
    is_cut = "Left out on this narrow terminal: " in shown
    wanted = {*header.split(), *names, *([] if is_cut else NUMBER.findall("\n".join(rows)))}
    assert [one for one in wanted if one not in shown] == []
    assert "…" not in shown
    # Above the table, `quarantine` counts the reasons, each in one line.
    lines = [line for line in shown.splitlines() if not re.match(r" +\d+  \D", line)]
    assert max(map(len, lines)) <= max(width, 80)


def test_on_80_columns_each_table_has_one_line_and_what_has_no_room_is_named(filled, show):
    shown = show(80, lambda: run_command(filled, ["tables"])).splitlines()
    assert shown[0].split() == ["table", "rows", "freshness", "state"]
    rows = [line for line in shown if line.startswith("raw/")]
    assert [row.split()[0] for row in rows] == ["raw/fx_rates", "raw/invoice_lines"]
    assert "Left out on this narrow terminal: files, version, bytes, newest." in " ".join(shown)


def test_a_fate_is_left_out_only_where_no_row_had_it(filled, show):
    shown = show(80, lambda: run_command(filled, ["audit", "staged/invoice_lines"]))
    assert {"read", "written", "quarantined"} <= set(shown.splitlines()[0].split())
    assert "dead_letters" not in shown.splitlines()[0]


def test_a_time_that_is_a_text_is_not_wrapped(show):
    rows = [["a", "2010-12-01 08:26:00", "some words " * 9]]
    shown = show(50, lambda: output.print_rows("abc", rows, "table"))
    assert "2010-12-01 08:26:00" in shown


@pytest.mark.parametrize("width", WIDTHS)
def test_five_tables_of_similar_names_can_be_told_apart(show, width):
    names = [f"quarantine/staged_invoice_lines_{n}" for n in range(5)]
    rows = [[name, 31415, "a state " * 20] for name in names]
    shown = show(width, lambda: output.print_rows(["table", "rows", "state"], rows, "table"))
    assert [name for name in names if name not in shown] == []


def test_the_fates_of_the_demo_have_a_line_for_each_table_on_80_columns(filled, show):
    audits = dict.fromkeys(filled.catalog.tables)
    shown = show(80, lambda: demo_report.print_report(filled, audits, [], {}, None, "make ui"))
    header, *rows = shown.partition("What happened to every row\n")[2].splitlines()
    names = [row.split()[0] for row in rows[: rows.index("")]]
    assert (header.split()[0], len(names)) == ("table", len(set(names)))
    assert len(names) > 5


def laid_out(width, *columns):
    return [line.plain for line in lay_out(columns, width)]


NAMES = ShownColumn("table", ["raw/sales", "marts/sales"])
ROWS = ShownColumn("rows", ["12,345", "6"], is_number=True)
STATES = ShownColumn(
    "state", ["up to date", "3 files wait in landing and are read by the next run"], is_text=True
)


def test_a_table_that_fits_has_a_line_for_each_row():
    assert laid_out(75, NAMES, ROWS, STATES) == [
        "table          rows  state",
        "raw/sales    12,345  up to date",
        "marts/sales       6  3 files wait in landing and are read by the next run",
    ]


def test_long_texts_are_wrapped_at_spaces_within_their_column():
    assert laid_out(50, NAMES, ROWS, STATES) == [
        "table          rows  state",
        "raw/sales    12,345  up to date",
        "marts/sales       6  3 files wait in landing and",
        "                     are read by the next run",
    ]


def test_a_table_that_does_not_fit_has_a_block_for_each_row():
    assert laid_out(36, NAMES, ROWS, STATES) == [
        "table  raw/sales",
        "rows   12,345",
        "state  up to date",
        "",
        "table  marts/sales",
        "rows   6",
        "state  3 files wait in landing and",
        "       are read by the next run",
    ]


def test_a_name_a_number_and_a_time_are_whole_on_a_terminal_that_is_too_narrow_for_them():
    moment = ShownColumn("at", ["2010-12-01 08:26:00.123456+00:00"])
    name = ShownColumn("table", ["a name of many words, as a query may give it"], is_text=True)
    number = ShownColumn("n", ["1" * 40], is_number=True)
    assert laid_out(20, name, number, moment) == [
        f"table  {name.texts[0]}",
        f"n      {number.texts[0]}",
        f"at     {moment.texts[0]}",
    ]


def test_a_word_that_is_too_long_for_a_line_goes_on_in_the_next():
    assert laid_out(30, ROWS, ShownColumn("x", ["a" * 30, ""], is_text=True)) == [
        "rows  12,345",
        f"x     {'a' * 24}",
        f"      {'a' * 6}",
        "",
        "rows  6",
        "x",
    ]


def test_columns_without_rows_are_named():
    assert laid_out(10, ShownColumn("number_of_rows", []), ShownColumn("state", [])) == [
        "number_of_rows  state"
    ]


def test_what_a_value_is_decides_whether_it_may_be_wrapped(show):
    values = [datetime(2010, 12, 1, tzinfo=UTC), date(2010, 12, 1), 2.5, "some words " * 9]
    shown = show(50, lambda: output.print_rows("abcd", [values], "table"))
    assert "a  2010-12-01 00:00:00+00:00\nb  2010-12-01\nc  2.5\nd  some words" in shown


def test_a_terminal_that_is_wide_enough_shows_letters_of_east_asia_in_columns(show):
    shown = show(80, lambda: output.print_rows(["漢字", "b"], [["字", "x"], ["ab", "y"]], "table"))
    assert shown.splitlines() == ["漢字  b", "字    x", "ab    y"]
