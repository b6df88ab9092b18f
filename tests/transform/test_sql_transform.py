"""Marts in SQL: their types, the revisions that they read, missing inputs, and broken queries."""

from datetime import UTC, date, datetime
from decimal import Decimal

import polars as pl
import pytest
from deltalake import write_deltalake
from support.worlds import NOW, catalog_of, land_all, world, write

from lakehouse.calendar import Daily, Days
from lakehouse.errors import DataError, SetupError
from lakehouse.storage.duckdb_connection import quote_literal
from lakehouse.storage.lake import Lake
from lakehouse.tables.casting import cast
from lakehouse.tables.contract import Contract, Field
from lakehouse.tables.declare import raw, sql_mart, staged
from lakehouse.tables.sql_types import infer_query_schema
from lakehouse.transform.inputs import define_views, open_inputs
from lakehouse.transform.make import make
from lakehouse.transform.plan import MakeRequest, plan_make
from lakehouse.transform.sql_transform import run_sql_transform

FIRST = date(2024, 1, 1)
DAY = pl.col("day").str.to_date("%Y-%m-%d", strict=False)
raw_orders = raw("orders", "Orders.", columns=("day", "n"), day=DAY)


class Order(Contract):
    """An order."""

    day: date
    n: int

    class Table:
        date_column = "day"


class Note(Contract):
    """A note."""

    day: date
    text: str = Field(nullable=True)


class DayTotal(Contract):
    """A day."""

    on_day: date
    n: int
    notes: int
    lines: int

    class Table:
        date_column = "on_day"
        counts = "lines"


@staged(Order, partitions=Daily(FIRST))
def orders(raw_orders):
    return cast(raw_orders, n=pl.col("n").cast(pl.Int64, strict=False), day=DAY)


raw_notes = raw("notes", "Notes.", columns=("day", "text"))


@staged(Note)
def notes(raw_notes):
    return cast(raw_notes, day=DAY)


@sql_mart(DayTotal, reads=("orders", "notes"), partitions=Daily(FIRST), lookback=1)
def day_totals():
    return """
        SELECT day AS on_day, sum(n) AS n, (SELECT count(*) FROM notes) AS notes, count(*) AS lines
        FROM orders GROUP BY day -- the end
    """


CATALOG = catalog_of(
    raw_orders=raw_orders, raw_notes=raw_notes, orders=orders, notes=notes, day_totals=day_totals
)
EVERY = {
    "text": pl.String(),
    "raw": pl.Binary(),
    "flag": pl.Boolean(),
    "day": pl.Date(),
    "small": pl.Float32(),
    "large": pl.Float64(),
    "i8": pl.Int8(),
    "i16": pl.Int16(),
    "i32": pl.Int32(),
    "i64": pl.Int64(),
    "at": pl.Datetime("us", "UTC"),
    "money": pl.Decimal(10, 2),
    "many": pl.List(pl.Int64()),
}
VALUES = {
    "text": "ä",
    "raw": b"\xff",
    "flag": True,
    "day": date(2024, 2, 29),
    "small": 1.5,
    "large": 2.5,
    "i8": -1,
    "i16": 2,
    "i32": 3,
    "i64": 2**62,
    "at": datetime(2024, 1, 1, 12, 0, 0, 123456, tzinfo=UTC),
    "money": Decimal("1.50"),
    "many": [1, 2],
}


@pytest.fixture
def here(tmp_path):
    here = world(tmp_path, CATALOG)
    write(
        here, "orders", "a.csv", "day,n\n2024-01-01,1\n2024-01-02,2\n2024-01-02,3\n2024-01-03,4\n"
    )
    land_all(here)
    make(here.lake, CATALOG, "staged/orders", now=NOW)
    return here


def totals(here) -> list[tuple]:
    return (
        here.lake.scan("marts/day_totals")
        .select("on_day", "n", "notes")
        .sort("on_day")
        .collect()
        .rows()
    )


def test_the_columns_of_a_query_are_known_without_rows():
    found = infer_query_schema(
        "SELECT a, count(*) AS n FROM t GROUP BY a", {"t": pl.Schema({"a": pl.String()})}
    )
    assert found == {"a": pl.String(), "n": pl.Int64()}


def test_every_type_goes_through_a_query_as_it_is(tmp_path):
    lake = Lake(str(tmp_path))
    pl.DataFrame([VALUES], schema=EVERY).pipe(lambda df: write_deltalake(lake.uri("staged/t"), df))
    view = f"SELECT * FROM delta_scan({quote_literal(lake.uri('staged/t'))})"
    df = run_sql_transform(lake, "SELECT * FROM t", {"t": view}, tmp_path, where="t").collect()
    assert df.schema == EVERY == infer_query_schema("SELECT * FROM t", {"t": pl.Schema(EVERY)})
    assert df.row(0, named=True) == VALUES


@pytest.mark.parametrize("number", [2**127 - 1, -(2**127), 2**63, 0, None])
def test_a_sum_is_handed_on_in_128_bits(tmp_path, number):
    sql = 'SELECT b AS "b 1", sum(a::HUGEINT) AS "the ""n""" FROM t GROUP BY b -- the end'
    text = "NULL" if number is None else f"'{number}'"
    behind = {"t": f"SELECT {text}::HUGEINT AS a, 1::BIGINT AS b"}
    df = run_sql_transform(Lake(str(tmp_path)), sql, behind, tmp_path, where="t").collect()
    assert df.schema == {"b 1": pl.Int64, 'the "n"': pl.Int128}
    assert df.row(0) == (1, number)


@pytest.mark.parametrize(
    "expression",
    [
        "[i::HUGEINT]",
        "i::UHUGEINT",
        "i::UINTEGER",
        "TIME '12:00'",
        "now()::TIMESTAMP",
        "INTERVAL 1 DAY",
    ],
)
def test_a_type_that_no_contract_can_name_is_refused_by_its_column(expression):
    with pytest.raises(SetupError, match=r"types that no contract has: odd is"):
        infer_query_schema(
            f"SELECT {expression} AS odd FROM t GROUP BY ALL", {"t": pl.Schema({"i": pl.Int64()})}
        )


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("SELEC 1", "the query does not run"),
        ("SELECT x FROM t", "the query does not run"),
        (
            "SELECT * FROM nowhere",
            r"beyond its inputs: nowhere is no table here; read only .*\(t\)",
        ),
        ("SELECT * FROM read_text('/etc/hostname')", "it reads from the function read_text"),
        ("SELECT write_blob('/tmp/x', a::BLOB) FROM t", "it calls the function write_blob"),
        ("SELECT 1) TO '/tmp/x'; SELECT (1", "the query does not run"),
        ("COPY t TO '/tmp/x'", "not one SELECT"),
        ("SELECT 1; SELECT 2", "not one SELECT"),
        ("", "not one SELECT"),
    ],
)
def test_a_broken_query_is_refused_before_any_data(sql, reason):
    with pytest.raises(SetupError, match=reason):
        infer_query_schema(sql, {"t": pl.Schema({"a": pl.String()})})


def test_a_query_that_fails_on_the_rows_is_an_error_of_the_data(tmp_path):
    with pytest.raises(DataError, match=r"(?s)marts/t: the query fails on the data: .*Next: "):
        run_sql_transform(
            Lake(str(tmp_path)),
            "SELECT CAST(a AS INTEGER) FROM t",
            {"t": "SELECT 'x' AS a"},
            tmp_path,
            where="marts/t",
        )


def test_a_query_opens_no_file_outside_of_the_lake(tmp_path):
    (tmp_path / "lake").mkdir()
    (tmp_path / "spool").mkdir()
    (tmp_path / "secret.csv").write_text("hush\n")
    behind = {"t": f"SELECT * FROM read_csv('{tmp_path}/secret.csv')"}
    with pytest.raises(DataError, match="Permission Error"):
        run_sql_transform(
            Lake(str(tmp_path / "lake")), "SELECT * FROM t", behind, tmp_path / "spool", where="t"
        )


def test_views_and_columns_may_have_any_name(tmp_path):
    behind = {'a "table"': 'SELECT 1::BIGINT AS "the ""n"""'}
    df = run_sql_transform(
        Lake(str(tmp_path)), 'SELECT * FROM "a ""table"""', behind, tmp_path, where="t"
    ).collect()
    assert df.rows(named=True) == [{'the "n"': 1}]


def test_a_mart_in_sql_is_made_from_its_inputs(here):
    audit = make(here.lake, CATALOG, "marts/day_totals", now=NOW)
    assert totals(here) == [
        (date(2024, 1, 1), 1, 0),
        (date(2024, 1, 2), 5, 0),
        (date(2024, 1, 3), 4, 0),
    ]
    assert (audit.read, audit.written, audit.rows) == (4, 4, 3)


def test_an_input_that_does_not_exist_yet_is_empty(here):
    audit = make(here.lake, CATALOG, "marts/day_totals", now=NOW)
    orders = here.lake.revision("staged/orders")
    assert audit.provenance.inputs == {"staged/orders": orders, "staged/notes": None}


def views(here, days: Days | None = None) -> dict[str, str]:
    """The queries behind the views of the mart, as they are planned now."""
    plan = plan_make(here.lake, CATALOG, MakeRequest(CATALOG["marts/day_totals"], days, now=NOW))
    return define_views(here.lake, open_inputs(here.lake, plan.inputs, plan.scope))


def test_a_query_sees_the_days_of_its_scope_and_those_that_it_looks_back_on(here):
    day = Days(date(2024, 1, 3), date(2024, 1, 3))
    assert "BETWEEN DATE '2024-01-02' AND DATE '2024-01-03'" in views(here, day)["orders"]
    audit = make(here.lake, CATALOG, "marts/day_totals", day, now=NOW)
    assert (audit.read, totals(here)) == (1, [(date(2024, 1, 3), 4, 0)])


def test_a_query_reads_the_versions_that_were_pinned(here, tmp_path):
    pinned = views(here)
    here.lake.open("staged/orders").delete()
    df = run_sql_transform(here.lake, "SELECT n FROM orders", pinned, tmp_path, where="t").collect()
    assert sorted(df["n"]) == [1, 2, 3, 4]


def test_a_second_input_is_read_whole(here):
    write(here, "notes", "a.csv", "day,text\n2020-01-01,x\n2024-01-01,y\n")
    land_all(here)
    make(here.lake, CATALOG, "staged/notes", now=NOW)
    make(here.lake, CATALOG, "marts/day_totals", Days(date(2024, 1, 1), date(2024, 1, 1)), now=NOW)
    assert totals(here) == [(date(2024, 1, 1), 1, 2)]


def test_a_query_over_an_undeclared_table_does_not_compile():
    @sql_mart(DayTotal, reads=("nothing",))
    def lost():
        return "SELECT 1"

    with pytest.raises(SetupError, match="its parameter 'nothing' names no table"):
        catalog_of(lost=lost).inputs(lost)


def test_a_day_whose_sum_has_no_room_holds_no_other_day_back(here):
    most = 2**63 - 1
    write(here, "orders", "b.csv", f"day,n\n2024-01-03,{most}\n2024-01-04,{most}\n")
    land_all(here)
    make(here.lake, CATALOG, "staged/orders", now=NOW)
    audit = make(here.lake, CATALOG, "marts/day_totals", now=NOW)
    assert list(audit.held_back) == [date(2024, 1, 3)]
    assert [(day.day, n) for day, n, _ in totals(here)] == [(1, 1), (2, 5), (4, most)]
