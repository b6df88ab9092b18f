"""The `lakehouse` command: what it prints in each format, that it only reads, and how it reports errors."""

import csv
import io
import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import polars as pl
import pytest
from click.testing import CliRunner, Result
from support.sizes import full
from support.worlds import bring_up_to_date, copy_world, world, write

from lakehouse.cli import commands
from lakehouse.environment import Environment
from lakehouse.errors import DataError, SetupError
from lakehouse.observe import sql
from lakehouse.storage.lake import Lake

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
LINES = [
    f"5363{n:02},85123A,HEART [red]{n},{n},2010-12-01 08:26:00,2.55,178{n:02}.0,United Kingdom"
    for n in range(10, 40)
]
BAD_LINE = "536399,85123A,NOTHING,0,2010-12-01 08:26:00,-1,,United Kingdom"
FORMATS = ("table", "csv", "json")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """A lake with a day of 30 good lines, one rejected line, a dead letter and a refused file."""
    here = world(tmp_path_factory.mktemp("filled"))
    write(here, "fx_rates", "fx.csv", "Date,USD,GBP\n2010-12-01,1.31,0.84\n")
    write(here, "invoice_lines", "a.csv", "\n".join([HEADER, *LINES, BAD_LINE, "536398,85123A"]))
    write(here, "invoice_lines", "b.csv", b"\xff\xfe\x00")
    bring_up_to_date(here)
    return here


def run(here: Environment, *arguments: str, stdin: str | None = None) -> Result:
    app = commands.App(
        lambda: here, lambda: click.echo("demonstrated"), lambda days: [f"{days} files"]
    )
    return CliRunner().invoke(
        commands.cli, list(arguments), obj=app, input=stdin, catch_exceptions=False
    )


def printed(here: Environment, *arguments: str, stdin: str | None = None) -> str:
    result = run(here, *arguments, stdin=stdin)
    # `tables` says by 3 that something needs attention, as it does in a lake with rejects.
    assert result.exit_code in ((0, 3) if arguments[0] == "tables" else (0,))
    assert result.stderr == ""
    return result.stdout


def as_json(here: Environment, *arguments: str) -> list[dict[str, object]]:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(printed(here, *arguments, "--format", "json"), parse_constant=refuse)


def as_csv(here: Environment, *arguments: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(printed(here, *arguments, "--format", "csv"))))


def refused(here: Environment, *arguments: str, stdin: str | None = None) -> str:
    result = run(here, *arguments, stdin=stdin)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "Traceback" not in result.stderr
    return result.stderr


# sql


def test_sql_prints_a_table_for_people(filled):
    out = printed(
        filled,
        "sql",
        "SELECT invoice, quantity * 1000 AS many FROM staged.invoice_lines ORDER BY 1 LIMIT 1",
    )
    assert [line.split() for line in out.splitlines()] == [
        ["invoice", "many"],
        ["536310", "10000"],
    ]


def test_sql_prints_csv_for_programs(filled):
    rows = as_csv(
        filled,
        "sql",
        "SELECT 'a,\"b\nc' AS text, NULL AS missing, 1.5 AS number, DATE '2010-12-01' AS day",
    )
    assert rows == [["text", "missing", "number", "day"], ['a,"b\nc', "", "1.5", "2010-12-01"]]


def test_sql_prints_json_for_programs(filled):
    rows = as_json(filled, "sql", "SELECT 'ü\"' AS text, NULL AS missing, 2 AS number, TRUE AS yes")
    assert rows == [{"text": 'ü"', "missing": None, "number": 2, "yes": True}]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("'nan'::DOUBLE", None),
        ("'-inf'::DOUBLE", None),
        ("{'x': 'nan'::DOUBLE}", {"x": None}),
        ("MAP {DATE '2010-12-01': 1}", {"2010-12-01": 1}),
        ("[1, 2]", [1, 2]),
        ("[{'x': [1.5, 'nan'::DOUBLE]}]", [{"x": [1.5, None]}]),
        ("['a']::VARCHAR[1]", ["a"]),
        ("'\\xFF'::BLOB", "\\xff"),
        ("1.10::DECIMAL(9,2)", 1.1),
        ("12345678901234567.89::DECIMAL(19,2)", "12345678901234567.89"),
        ("170141183460469231731687303715884105727", 170141183460469231731687303715884105727),
    ],
)
def test_any_value_is_valid_json(filled, value, shown):
    assert as_json(filled, "sql", f"SELECT {value} AS x") == [{"x": shown}]


def test_columns_of_the_same_name_all_come_through_in_json(filled):
    assert as_json(filled, "sql", "SELECT 1 AS a, 2 AS a, 3 AS a") == [{"a": 1, "a_2": 2, "a_3": 3}]


@pytest.mark.parametrize(("form", "text"), [("table", "x\n"), ("csv", "x\n"), ("json", "[]\n")])
def test_no_rows_are_no_rows_in_every_format(filled, form, text):
    assert (
        printed(filled, "sql", "SELECT 1 AS x WHERE FALSE", "--format", form).replace(" ", "")
        == text
    )


def test_markup_in_the_data_is_printed_as_it_is(filled):
    assert "HEART [red]10" in printed(
        filled, "sql", "SELECT min(description) FROM staged.invoice_lines"
    )


def test_a_wide_value_is_printed_whole_where_there_is_no_screen(filled):
    assert "x" * 500 in printed(filled, "sql", "SELECT repeat('x', 500)")


def test_a_query_may_come_from_standard_input(filled):
    assert (
        printed(filled, "sql", "-", "--format", "csv", stdin="SELECT 1 AS x; -- no more\n")
        == "x\n1\n"
    )


def test_every_table_is_a_view_in_the_schema_of_its_layer(filled):
    rows = as_csv(filled, "sql", "SELECT DISTINCT schema FROM (SHOW ALL TABLES) ORDER BY 1")
    assert rows[1:] == [["marts"], ["quarantine"], ["raw"], ["staged"]]


@pytest.mark.parametrize(
    "query",
    [
        "FROM range(2)",
        "VALUES (1)",
        "WITH x AS (SELECT 1) FROM x",
        "DESCRIBE staged.fx_rates",
        "SUMMARIZE SELECT 1",
        "SHOW ALL TABLES",
        "EXPLAIN SELECT 1",
        "EXPLAIN ANALYZE SELECT 1",
        "EXPLAIN (SELECT 1)",
        "-- why\n/* and\nhow */ explain (FORMAT json) SELECT 1",
    ],
)
def test_whatever_only_reads_runs(filled, query):
    assert printed(filled, "sql", "-", stdin=query)


@pytest.mark.parametrize(
    "query",
    [
        "INSERT INTO staged.fx_rates VALUES (1)",
        "UPDATE staged.fx_rates SET rate = 0",
        "DELETE FROM staged.fx_rates",
        "CREATE TABLE x AS SELECT 1",
        "DROP VIEW staged.fx_rates",
        "COPY (SELECT 1) TO '{file}'",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{file}'",
        "EXPLAIN ANALYZE CREATE TABLE x AS SELECT 1",
        "EXPLAIN /* x */ ANALYZE COPY (SELECT 1) TO '{file}'",
        "-- x\nEXPLAIN (ANALYZE) COPY (SELECT 1) TO '{file}'",
        "ATTACH '{file}'",
        "EXPORT DATABASE '{file}'",
        "PRAGMA profiling_output='{file}'",
        "SET threads = 1",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SELECT 1; SELECT 2",
        "SELECT 1; COPY (SELECT 1) TO '{file}'",
        "",
        "-- nothing",
    ],
)
def test_whatever_could_write_is_refused(filled, tmp_path, query):
    file = tmp_path / "written"
    told = refused(filled, "sql", "-", stdin=query.format(file=file))
    assert (
        "`lakehouse sql` runs one read-only statement.\nNext: write a single SELECT." in told
        or ("The query cannot be parsed: " in told)
    )
    assert not file.exists()


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_csv('{file}')",
        "SELECT * FROM read_text('{file}')",
        "SELECT * FROM read_text('{lake}/../{name}')",
        "SELECT * FROM '{file}'",
        "SELECT * FROM glob('{folder}/*')",
        "SELECT * FROM delta_scan('{other}')",
    ],
)
def test_a_query_reads_nothing_but_the_lake(filled, tmp_path, query):
    (file := tmp_path / "secret.csv").write_text("hush\nhush\n")
    (filled_root := Path(filled.lake.root)).parent.joinpath("secret.csv").write_text("hush\nhush\n")
    pl.DataFrame({"x": ["hush"]}).write_delta(tmp_path / "other")
    places = {
        "file": file,
        "lake": filled_root,
        "name": "secret.csv",
        "folder": tmp_path,
        "other": tmp_path / "other",
    }
    told = refused(filled, "sql", query.format(**places))
    assert ("hush" not in told, "Next: " in told) == (True, True)


def test_a_lake_in_a_folder_behind_a_link_is_read(filled, tmp_path):
    (tmp_path / "a link").symlink_to(filled.lake.root)
    _, found = sql.run_query(Lake(str(tmp_path / "a link")), "SELECT count(*) FROM staged.fx_rates")
    assert list(found) == [(2,)]


def test_a_query_may_need_more_than_memory(filled):
    with sql.open_sql(filled.lake, []) as connection:
        assert Path(
            connection.execute("SELECT current_setting('temp_directory')").fetchone()[0]
        ).is_dir()
        assert connection.execute("SELECT current_setting('lock_configuration')").fetchone() == (
            True,
        )


def test_a_query_that_fails_says_what_and_what_to_do(filled):
    told = refused(filled, "sql", "SELECT * FROM staged.nothing")
    assert "The query fails: Catalog Error: Table with name nothing does not exist!" in told
    assert "Next: fix the query; `lakehouse tables` lists the tables." in told


@pytest.mark.parametrize("name", ["marts_sales", "marts_sales_all", "MARTS_Sales"])
def test_a_quarantine_that_nothing_was_put_into_yet_is_told_from_a_wrong_name(filled, name):
    told = refused(filled, "sql", f"SELECT * FROM quarantine.{name}")
    assert told.startswith("Nothing of marts/sales was rejected yet, so there is no table ")
    assert "Did you mean" not in told


def test_a_wrong_name_of_a_quarantine_fails_as_any_other(filled):
    assert "The query fails: " in refused(filled, "sql", "SELECT * FROM quarantine.marts_sale")


def test_dead_letters_that_do_not_exist_yet_are_told_as_such(here):
    write(here, "fx_rates", "fx.csv", "Date,USD\n2010-12-01,1.31\n")
    bring_up_to_date(here)
    told = refused(here, "sql", "FROM quarantine.dead_letters")
    assert told.startswith("Nothing of any raw table was rejected yet")


def test_a_query_that_cannot_be_parsed_says_where(filled):
    assert 'The query cannot be parsed: Parser Error: syntax error at or near "SELEC"' in refused(
        filled, "sql", "SELEC 1"
    )


def test_a_query_that_is_no_text_is_refused(filled):
    assert refused(filled, "sql", "SELECT '\udcff'").startswith(
        "The query holds bytes that are not UTF-8.\nNext: "
    )


def test_a_query_that_cannot_be_parsed_says_what_to_do(filled):
    assert "\nNext: write a single SELECT" in refused(filled, "sql", "SELEC 1")


def test_show_tables_gives_every_table_with_its_schema_and_all_rows_of_each_quarantine(filled):
    rows = as_csv(filled, "sql", "show tables;")
    found = {f"{schema}/{name}" for schema, name in rows[1:]}
    whole = {"quarantine/dead_letters_all", "quarantine/staged_invoice_lines_all"}
    assert (rows[0], found - whole, whole - found) == (
        ["schema", "name"],
        set(filled.lake.tables()),
        set(),
    )


def test_a_query_that_fails_after_many_rows_says_so(filled):
    query = "SELECT CASE WHEN range = 900000 THEN error('too late') ELSE range END AS x FROM range(1000000)"
    result = run(filled, "sql", query, "--format", "csv")
    assert (result.exit_code, "Traceback" in result.stderr) == (1, False)
    # DuckDB tells the reason, or that it interrupted its other threads: whichever comes first.
    assert re.match(
        r"The query fails: (Invalid Input Error: too late|INTERRUPT Error: .*)\nNext: ",
        result.stderr,
    )


def test_big_results_stream(filled):
    columns, rows = sql.run_query(filled.lake, "SELECT range AS x FROM range(1000000000000)")
    assert (columns, list(itertools.islice(rows, 3))) == (["x"], [(0,), (1,), (2,)])
    rows.close()


def test_a_reader_that_has_enough_ends_the_command_quietly(filled):
    script = (
        "from support.worlds import world; from pathlib import Path; from lakehouse.cli import commands;"
        f"commands.run_command_line(commands.App(lambda: world(Path({str(Path(filled.lake.root).parent)!r})), None, None))"
    )
    query = [sys.executable, "-c", script, "sql", "--format", "csv", "FROM range(1000000000000)"]
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": f"{root}:{root / 'tests'}"}
    with subprocess.Popen(
        query, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as command:
        assert command.stdout.read(8) == b"range\n0\n"
        command.stdout.close()
        assert b"Traceback" not in command.stderr.read()


def test_a_table_for_people_ends_after_a_thousand_rows_and_says_so(filled):
    result = run(filled, "sql", "FROM range(2000)")
    assert len(result.stdout.splitlines()) == 1001
    assert result.stderr == "Only the first 1,000 rows are shown; `--format csv` prints all.\n"


def test_csv_prints_all_rows(filled):
    assert len(as_csv(filled, "sql", "FROM range(25000)")) == 25001


def test_a_query_on_an_empty_lake_runs(here):
    assert printed(here, "sql", "SELECT 1 AS x", "--format", "csv") == "x\n1\n"


# tables


def test_tables_are_listed_layer_by_layer(filled):
    found = [row["table"] for row in as_json(filled, "tables")]
    assert found == [
        "raw/fx_rates",
        "raw/invoice_lines",
        "staged/customers",
        "staged/fx_rates",
        "staged/invoice_lines",
        "staged/products",
        "marts/customers",
        "marts/daily_sales",
        "marts/product_months",
        "marts/sales",
        "quarantine/dead_letters",
        "quarantine/deliveries",
        "quarantine/staged_invoice_lines",
    ]


def test_tables_tell_rows_and_state(filled):
    found = {row["table"]: (row["rows"], row["state"]) for row in as_json(filled, "tables")}
    told = "2 dead letters; 1 of them is a refused file: b.csv"
    assert found["raw/invoice_lines"] == (31, told)
    assert found["staged/invoice_lines"] == (30, "up to date")
    assert found["quarantine/staged_invoice_lines"] == (1, "1 open")
    assert found["quarantine/dead_letters"] == (2, "2 open")


@pytest.mark.parametrize("form", FORMATS)
def test_tables_of_every_format_name_each_column(filled, form):
    out = printed(filled, "tables", "--format", form)
    columns = ("table", "rows", "bytes", "files", "version", "newest", "freshness", "state")
    assert [name for name in columns if name not in out] == []


def test_what_is_older_than_promised_is_called_late(filled):
    found = {row["table"]: row["freshness"] for row in as_json(filled, "tables")}
    assert "LATE (promised " in found["staged/fx_rates"]


def test_an_empty_lake_says_what_to_do(here):
    assert printed(here, "tables").endswith("The lake is empty. Next: run `lakehouse demo`.\n")
    assert as_json(here, "tables") == []


# audit


def test_the_audit_of_a_raw_table_closes_its_books(filled):
    header, row = as_csv(filled, "audit", "raw/invoice_lines")
    told = dict(zip(header, row, strict=True))
    assert (told["read"], told["written"], told["dead_letters"], told["sum"]) == (
        "33",
        "31",
        "2",
        "33 = read",
    )


def test_the_audit_of_a_staged_table_is_a_table_for_people(filled):
    out = printed(filled, "audit", "staged/invoice_lines")
    assert out.split()[:4] == ["version", "audited_at", "mode", "days"]
    assert "31 = read" in out


def test_the_audit_as_json_holds_rules_and_provenance(filled):
    [audit] = as_json(filled, "audit", "staged/invoice_lines")
    assert (audit["read"], audit["quarantined"], audit["rules"]["quantity != 0"]) == (31, 1, 1)
    assert audit["provenance"]["inputs"]["raw/invoice_lines"].startswith("0@")


def test_an_audit_names_the_days_that_were_held_back_and_why(tmp_path):
    here = world(tmp_path)
    good, bad = LINES[0], BAD_LINE.replace("2010-12-01", "2010-12-02")
    write(here, "invoice_lines", "a.csv", f"{HEADER}\n{good}\n{bad}")
    bring_up_to_date(here)
    reason = "1 of 1 rows break the contract (100.0%; 5.0% are allowed)"
    assert f"version 0 held back 2010-12-02: {reason}\n" in printed(
        here, "audit", "staged/invoice_lines"
    )
    [audit] = as_json(here, "audit", "staged/invoice_lines")
    assert audit["held_back"] == {"2010-12-02": reason}


@pytest.mark.parametrize("limit", ["0", "20", "1"])
def test_an_audit_may_be_cut_to_the_latest_commits(filled, limit):
    assert len(as_json(filled, "audit", "staged/fx_rates", "--limit", limit)) == 1


@pytest.mark.parametrize("command", ["audit", "quarantine"])
def test_a_limit_below_zero_is_refused(filled, command):
    result = run(filled, command, "staged/invoice_lines", "--limit", "-1")
    assert (result.exit_code, "Invalid value for '--limit'" in result.stderr) == (2, True)


@pytest.mark.parametrize(
    ("table", "told"), [("nothing", "is not the name of"), ("staged/nothing", "no table 'staged/")]
)
def test_the_audit_of_an_unknown_table_is_refused(filled, table, told):
    assert told in (message := refused(filled, "audit", table))
    assert "Next: " in message


# quarantine


def test_the_quarantine_of_a_derived_table_shows_rows_and_reasons(filled):
    out = printed(filled, "quarantine", "staged/invoice_lines")
    assert out.startswith("1 open row in quarantine.staged_invoice_lines\n")
    assert "       1  quantity is 0  (rule: quantity != 0)\n" in out
    assert "       1  unit_price is below 0  (rule: unit_price >= 0)\n" in out
    assert "NOTHING" in out


def test_the_quarantine_of_a_raw_table_shows_its_dead_letters(filled):
    out = printed(filled, "quarantine", "raw/invoice_lines")
    assert out.startswith("2 open dead letters in quarantine.dead_letters\n")
    assert ("2 fields where the header has 8" in out, "536398,85123A" in out) == (True, True)


def test_the_quarantine_as_json_holds_whole_rows(filled):
    [row] = as_json(filled, "quarantine", "staged/invoice_lines")
    assert (row["_offset"], row["_source"][:6], row["Description"]) == (31, "a.csv#", "NOTHING")
    assert row["_rules"] == ["quantity != 0", "unit_price >= 0"]


def test_the_quarantine_as_csv_has_a_line_for_each_row(filled):
    assert len(as_csv(filled, "quarantine", "raw/invoice_lines")) == 3


@pytest.mark.parametrize("form", FORMATS)
def test_a_table_without_rejects_has_none_in_every_format(filled, form):
    assert printed(filled, "quarantine", "staged/fx_rates", "--format", form)


@pytest.mark.parametrize("table", ["staged/fx_rates", "marts/daily_sales"])
def test_a_table_of_which_nothing_was_rejected_says_so(filled, table):
    assert printed(filled, "quarantine", table) == f"{table}: nothing was rejected\n"


def test_a_line_feed_in_a_name_stays_in_its_line(here):
    write(here, "fx_rates", "a\nb.csv", b"\xff\xfe\x00")
    bring_up_to_date(here)
    out = printed(here, "quarantine", "raw/fx_rates")
    assert r"a\nb.csv#" in out
    assert len(out.splitlines()) == 4


def test_the_quarantine_of_an_unknown_table_is_refused(filled):
    assert "There is no table 'staged/nothing'" in refused(filled, "quarantine", "staged/nothing")


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("command", ["audit", "quarantine"])
def test_a_limit_of_zero_is_no_limit(filled, command, form):
    cut = run(filled, command, "raw/invoice_lines", "--limit", "0", "--format", form)
    assert (cut.exit_code, cut.stderr) == (0, "")
    assert cut.stdout == printed(filled, command, "raw/invoice_lines", "--format", form)


def test_only_a_table_for_people_is_cut_by_itself_and_says_so(here):
    dead = "\n".join(str(n) for n in range(30))
    write(here, "fx_rates", "a.csv", f"Date,USD,GBP\n{dead}\n")
    bring_up_to_date(here)
    assert len(as_csv(here, "quarantine", "raw/fx_rates")) == 31
    assert len(as_json(here, "quarantine", "raw/fx_rates")) == 30
    told = run(here, "quarantine", "raw/fx_rates").stderr
    assert told == "Only the first 20 of 30 rows are shown; `--limit 0` shows all.\n"


# replay and discard


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with two rejected lines and a dead letter."""
    folder = tmp_path_factory.mktemp("dirty")
    here = world(folder)
    write(here, "invoice_lines", "a.csv", "\n".join([HEADER, *LINES, BAD_LINE, "536398,85123A"]))
    bring_up_to_date(here)
    return folder


@pytest.fixture
def dirty(template: Path, tmp_path: Path) -> Environment:
    """A copy of it, whose files of landing were looked at: a copied file may be another one."""
    copied = copy_world(template, tmp_path)
    bring_up_to_date(copied)
    return copied


def test_a_discard_names_who_and_takes_the_rows_from_those_that_are_open(dirty):
    asked = ["--reason", "a test", "--rule", "quantity != 0", "--by", "ann"]
    assert (
        printed(dirty, "discard", "staged/invoice_lines", *asked)
        == "staged/invoice_lines: 1 row discarded by ann\n"
    )
    out = printed(dirty, "quarantine", "staged/invoice_lines")
    assert (
        out == "staged/invoice_lines: nothing is open\nalso 1 discarded; --state all shows them\n"
    )
    assert "a test" in printed(dirty, "quarantine", "staged/invoice_lines", "--state", "discarded")


DAMAGED = {
    "register": (["quarantine/deliveries"], ["tables"], "A damaged table"),
    "dead letters": (["quarantine/dead_letters"], ["tables"], "A damaged table"),
    "derived": (
        ["staged/invoice_lines", "quarantine/staged_invoice_lines"],
        ["sql", "FROM staged.invoice_lines"],
        "The query fails",
    ),
    "raw": (["raw/invoice_lines"], ["sql", "FROM raw.invoice_lines"], "The query fails"),
}


@pytest.mark.parametrize(
    ("tables", "command", "what"),
    [full(*one) if n else one for n, one in enumerate(DAMAGED.values())],
    ids=DAMAGED,
)
def test_a_damaged_table_is_named_with_what_to_do_and_is_made_anew(
    dirty, tables, command, what, tmp_path
):
    def opened_anew():
        return Environment(Lake(dirty.lake.root), dirty.landing, dirty.catalog)

    def told(here):
        letters = as_json(here, "quarantine", "raw/invoice_lines")
        states = {row["table"]: row["state"] for row in as_json(here, "tables")}
        lines = sorted(
            map(
                str,
                here.lake.scan("staged/invoice_lines").select(pl.exclude("^_.*$")).collect().rows(),
            )
        )
        return (
            states,
            [(row["_source"], row["_offset"], row["payload"], row["reason"]) for row in letters],
            lines,
        )

    before = told(dirty)
    for table in tables:
        for file in Path(dirty.lake.uri(table)).rglob("*.parquet"):
            if "_delta_log" not in file.parts:
                file.unlink()
    said = refused(opened_anew(), *command)
    assert tables[0] in said
    assert what in said
    assert "Traceback" not in said
    for table in tables:
        Path(dirty.lake.uri(table)).rename(tmp_path / table.replace("/", " "))
    bring_up_to_date(opened_anew())
    assert told(opened_anew()) == before


def test_a_file_that_is_no_tables_is_not_taken_for_one(here):
    def demonstrate():
        (Path(here.lake.root) / "no such file").read_text()

    result = CliRunner().invoke(
        commands.cli, ["demo"], obj=commands.App(lambda: here, demonstrate, lambda _: [])
    )
    assert isinstance(result.exception, FileNotFoundError)
    assert "A damaged table" not in result.output


def test_a_restore_by_somebody_without_a_name_asks_for_one(dirty, monkeypatch):
    def unknown(number):
        raise KeyError(f"getpwuid(): uid not found: {number}")

    monkeypatch.setattr("pwd.getpwuid", unknown)
    for name in ("USER", "LOGNAME", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    back = ("restore", "raw/invoice_lines", "--version", "0", "--yes")
    assert "add --by <name>" in run(dirty, *back).stderr
    assert "Traceback" not in run(dirty, *back, "--by", "ann").stderr


def test_discarded_dead_letters_are_not_told_of(dirty):
    printed(
        dirty,
        "discard",
        "raw/invoice_lines",
        "--reason",
        "cut off",
        "--source",
        "a.csv",
        "--by",
        "ann",
    )
    found = {row["table"]: row["state"] for row in as_json(dirty, "tables")}
    assert (found["raw/invoice_lines"], found["quarantine/dead_letters"]) == (
        "up to date",
        "1 discarded",
    )
    [row] = as_json(dirty, "quarantine", "raw/invoice_lines", "--state", "all")
    assert (row["_state"], row["_settled_by"], row["_discard_reason"]) == (
        "discarded",
        "ann",
        "cut off",
    )


@pytest.mark.parametrize(
    ("table", "choice", "told"),
    [
        ("staged/invoice_lines", ["--rule", "quantity != 1"], "no open row has 'quantity != 1'"),
        (
            "staged/invoice_lines",
            ["--rule", "quantity != 0", "--rule", "typo"],
            "no open row has 'typo'",
        ),
        ("staged/invoice_lines", ["--source", "b.csv"], "no open row has 'b.csv'"),
        ("staged/invoice_lines", ["--where", "_state = 'gone'"], "no open row meets every"),
        ("raw/invoice_lines", ["--rule", "typo"], "no open row has 'typo'"),
        ("staged/fx_rates", ["--all"], "nothing is open"),
    ],
)
def test_a_discard_of_what_is_not_there_says_so_and_gives_up_nothing(dirty, table, choice, told):
    result = run(dirty, "discard", table, "--reason", "a test", "--by", "ann", *choice)
    assert (result.exit_code, told in result.stderr) == (2, True), result.stderr
    assert "1 open row" in printed(dirty, "quarantine", "staged/invoice_lines")


def test_a_discard_that_names_no_rows_is_refused(dirty):
    assert "no condition says which rows to discard." in refused(
        dirty, "discard", "staged/invoice_lines", "--reason", "a test"
    )


@pytest.mark.parametrize(
    ("table", "kind"), [("staged/invoice_lines", "rows"), ("raw/invoice_lines", "dead letters")]
)
def test_a_replay_says_what_was_released_and_what_stays(dirty, table, kind):
    out = printed(dirty, "replay", table).splitlines()
    assert out[0] == f"{table}: 0 {kind} released, 1 still open"
    assert [line.split()[-2:] for line in out[2:4]] == [["0", "1"]] * (2 if kind == "rows" else 1)


def test_sql_shows_open_rows_and_the_others_under_a_name_of_their_own(dirty):
    printed(dirty, "discard", "staged/invoice_lines", "--reason", "a test", "--all", "--by", "ann")
    open_rows = "SELECT count(*) AS n FROM quarantine.staged_invoice_lines"
    assert [as_json(dirty, "sql", query) for query in (open_rows, f"{open_rows}_all")] == [
        [{"n": 0}],
        [{"n": 1}],
    ]


# all of them


def test_the_list_of_commands_is_not_cut_off(here):
    commands = printed(here, "--help").partition("Commands:\n")[2].splitlines()
    assert [
        line for line in commands if not line.endswith(".") or line.endswith(("...", "e.g."))
    ] == []


@pytest.mark.parametrize("command", ["audit", "quarantine"])
def test_the_help_says_how_much_a_table_shows(here, command):
    told = " ".join(printed(here, command, "--help").split())
    assert "By default 20 in a table, all in CSV and JSON." in told
    assert "[default: (20" not in told
    assert re.search(r"A table shows the (first|last) 20 (rows|commits)", told)


def test_every_command_has_a_help_text(here):
    for command in (
        "",
        "sql",
        "tables",
        "audit",
        "quarantine",
        "replay",
        "discard",
        "demo",
        "samples",
    ):
        assert "Usage: " in printed(here, *command.split(), "--help")


def test_the_demo_is_the_one_that_the_application_brings(here):
    assert printed(here, "demo") == "demonstrated\n"


def test_the_samples_are_those_that_the_application_brings(here):
    assert printed(here, "samples", "--days", "2").startswith("2 files\nNext: ")


@pytest.mark.parametrize("error", [SetupError, DataError])
def test_an_error_of_the_engine_is_a_message_and_a_failure(error):
    def fail() -> Environment:
        raise error("It is [bold]wrong[/bold].\nNext: mend it.")

    result = CliRunner().invoke(
        commands.cli, ["tables"], obj=commands.App(fail, lambda: None, list)
    )
    assert (result.exit_code, result.stderr) == (1, "It is [bold]wrong[/bold].\nNext: mend it.\n")


def test_looking_changes_nothing(filled):
    before = sorted(Path(filled.lake.root).rglob("*"))
    for command in (
        ["tables"],
        ["audit", "raw/fx_rates"],
        ["quarantine", "raw/fx_rates"],
        ["sql", "FROM raw.fx_rates"],
    ):
        printed(filled, *command)
    assert sorted(Path(filled.lake.root).rglob("*")) == before


def test_bytes_are_shown_short_and_without_control_signs_to_people():
    from lakehouse.cli.output import format_value  # noqa: PLC0415

    assert format_value(b"a\tb\x1b[2J") == r"a\tb\x1b[2J"
    assert format_value(b"x" * 500) == "x" * 100 + "…"
