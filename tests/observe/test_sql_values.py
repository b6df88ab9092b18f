"""What `lakehouse sql` shows of each type: what DuckDB shows, in every format."""

import csv
import io
import json

import duckdb
import pytest
from click.testing import CliRunner
from support.worlds import world

from lakehouse.cli import commands
from lakehouse.observe.sql import run_query

# Values that Python would show as others.
EXACT = {
    "INTERVAL 1 YEAR": "1 year",
    "INTERVAL '1 month 2 days 03:04:05.5'": "1 month 2 days 03:04:05.5",
    "INTERVAL '-1' DAY": "-1 day",
    "TIMESTAMP_NS '2024-01-01 00:00:00.123456789'": "2024-01-01 00:00:00.123456789",
    "TIME_NS '01:02:03.123456789'": "01:02:03.123456789",
    "'10000-01-01'::DATE": "10000-01-01",
    "'0044-03-15 (BC)'::DATE": "0044-03-15 (BC)",
    "'290000-01-01'::TIMESTAMP": "290000-01-01 00:00:00",
    "'290000-01-01'::TIMESTAMPTZ": "290000-01-01 00:00:00+00",
    **{
        f"'{sign}infinity'::{kind}": f"{sign}infinity"
        for kind in (
            "DATE",
            "TIMESTAMP",
            "TIMESTAMPTZ",
            "TIMESTAMP_S",
            "TIMESTAMP_MS",
            "TIMESTAMP_NS",
        )
        for sign in ("", "-")
    },
    "union_value(k := INTERVAL 1 YEAR)": "1 year",
    "(INTERVAL 1 YEAR)::VARIANT": "1 year",
    "row(1, DATE 'infinity')": "(1, infinity)",
    "MAP {[1]: DATE 'infinity'}": "{[1]=infinity}",
}
# Values that look as they always did.
ORDINARY = {
    "DATE '2024-02-29'": "2024-02-29",
    "'0001-01-01'::DATE": "0001-01-01",
    "DATE '9999-12-31'": "9999-12-31",
    "TIMESTAMP '2024-01-01 01:02:03'": "2024-01-01 01:02:03",
    "TIMESTAMP '2024-01-01 01:02:03.5'": "2024-01-01 01:02:03.500000",
    "TIMESTAMP '9999-12-31 23:59:59.999999'": "9999-12-31 23:59:59.999999",
    "TIMESTAMP_S '2024-01-01 01:02:03'": "2024-01-01 01:02:03",
    "TIMESTAMP_MS '2024-01-01 01:02:03.5'": "2024-01-01 01:02:03.500000",
    "TIMESTAMPTZ '2024-01-01 01:02:03.5+02'": "2023-12-31 23:02:03.500000+00:00",
    "TIMESTAMPTZ '0001-01-01 00:00:00+00'": "0001-01-01 00:00:00+00:00",
    "TIME '24:00:00'": "24:00:00",
    "TIME '01:02:03.5'": "01:02:03.500000",
    "TIMETZ '01:02:03+02'": "01:02:03+02:00",
}
# Values within others: as JSON, and as a table and CSV show them.
NESTED = {
    "[DATE '2024-01-01', 'infinity', NULL]": (
        ["2024-01-01", "infinity", None],
        "2024-01-01; infinity; None",
    ),
    "[INTERVAL 1 YEAR]": (["1 year"], "1 year"),
    "[[INTERVAL 1 MONTH]]": ([["1 month"]], '[["1 month"]]'),
    "[]::DATE[]": ([], ""),
    "array_value(INTERVAL 1 YEAR, NULL)": (["1 year", None], "1 year; None"),
    "{'a b': DATE 'infinity', 'select': 'x'::ENUM('it''s', 'x'), 'n': NULL, 'j': [1.5]::DECIMAL(9, 2)[]}": (
        {"a b": "infinity", "select": "x", "n": None, "j": [1.5]},
        '{"a b": "infinity", "select": "x", "n": null, "j": [1.5]}',
    ),
    "{'d': DATE '2024-01-01'}": ({"d": "2024-01-01"}, '{"d": "2024-01-01"}'),
    "MAP {DATE '-infinity': INTERVAL 1 YEAR}": (
        {"-infinity": "1 year"},
        '{"-infinity": "1 year"}',
    ),
    "MAP {'k': [TIMESTAMP 'infinity']}": ({"k": ["infinity"]}, '{"k": ["infinity"]}'),
    "{'d': NULL::DATE, 'u': {'i': INTERVAL 2 YEAR}}": (
        {"d": None, "u": {"i": "2 years"}},
        '{"d": null, "u": {"i": "2 years"}}',
    ),
}
SHOWN = {
    **{value: (text, text) for value, text in (EXACT | ORDINARY).items()},
    **NESTED,
    "NULL::INTERVAL": (None, ""),
    "NULL::DATE[]": (None, ""),
}


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory):
    here = world(tmp_path_factory.mktemp("values"))
    app = commands.App(lambda: here, lambda: None, None)

    def printed(query: str, form: str) -> str:
        result = CliRunner().invoke(commands.cli, ["sql", query, "--format", form], obj=app)
        assert result.exit_code == 0, result.output
        return result.stdout

    return printed


def test_each_kind_of_day_and_time_of_this_duckdb_is_in_the_table():
    asked = "SELECT DISTINCT logical_type FROM duckdb_types() WHERE type_category = 'DATETIME'"
    kinds = {kind for (kind,) in duckdb.sql(f"{asked} OR logical_type = 'INTERVAL'").fetchall()}
    select = f"SELECT {', '.join(EXACT | ORDINARY)}"
    assert {kind for kind in kinds if kind} - set(map(str, duckdb.sql(select).types)) == set()
    assert len(kinds) > 8


@pytest.fixture(scope="module")
def select() -> str:
    """One query for all values: each is a column, and all have the same name."""
    return f"SELECT {', '.join(f'{value} AS x' for value in SHOWN)}; -- the end"


def test_json_shows_each_value_as_duckdb_does(ask, select):
    (row,) = json.loads(ask(select, "json"))
    assert dict(zip(SHOWN, row.values(), strict=True)) == {
        v: seen for v, (seen, _) in SHOWN.items()
    }


def test_csv_shows_each_value_as_duckdb_does(ask, select):
    names, row = csv.reader(io.StringIO(ask(select, "csv")))
    assert set(names) == {"x"}
    assert dict(zip(SHOWN, row, strict=True)) == {value: seen for value, (_, seen) in SHOWN.items()}


def test_a_table_shows_each_value_as_duckdb_does(ask, select):
    line = ask(select, "table").splitlines()[1]
    assert line.split() == " ".join(seen for _, seen in SHOWN.values()).split()


def test_rows_keep_their_order_and_stream(ask):
    query = "SELECT range AS n, INTERVAL (range) DAY AS i FROM range(30000) ORDER BY n DESC"
    rows = list(csv.reader(io.StringIO(ask(query, "csv"))))[1:]
    assert [n for n, _ in rows] == [str(n) for n in reversed(range(30000))]
    assert rows[0][1] == "29999 days"
    endless = f"SELECT range AS n, DATE 'infinity' AS d FROM range({10**12})"
    assert ask(f"FROM ({endless}) LIMIT 1", "csv") == "n,d\n0,infinity\n"


def test_a_large_result_with_days_is_not_held_in_memory(tmp_path):
    lake = world(tmp_path).lake
    columns, rows = run_query(lake, f"SELECT range AS n, DATE 'infinity' AS d FROM range({10**12})")
    assert (columns, next(rows)) == (["n", "d"], (0, "infinity"))
    rows.close()
