"""A contract, a transform or a query that cannot work is refused when it is declared, before any data is touched."""

import re
from datetime import date
from typing import Annotated

import polars as pl
import pytest
from support.worlds import catalog_of

from lakehouse.calendar import Daily
from lakehouse.errors import SetupError
from lakehouse.tables.casting import cast
from lakehouse.tables.contract import Contract, Field, Instant
from lakehouse.tables.contract_checks import check_contract
from lakehouse.tables.declare import mart, raw, sql_mart, staged
from lakehouse.tables.rules import compile_rules

lines = raw("lines", "Lines.", columns=("id", "day", "amount"))
DAILY = Daily(date(2024, 1, 1), "UTC")


class Line(Contract):
    id: str
    amount: pl.Int64

    class Table:
        key = ("id",)


class Event(Contract):
    id: str
    amount: pl.Int64

    class Table:
        key = ("id",)
        sequence = ("amount",)


class Total(Contract):
    id: str
    amount: pl.Int64
    lines: pl.Int64

    class Table:
        key = ("id",)
        counts = "lines"


def typed(raw_lines: pl.LazyFrame) -> pl.LazyFrame:
    return cast(raw_lines, amount=pl.col("amount").cast(pl.Int64, strict=False))


def refusal(*tables: object) -> str:
    """Returns how the catalogue refuses some tables next to the raw one; each is named by its position."""
    with pytest.raises(SetupError) as refused:
        catalog_of(raw_table=lines, **{f"t{number}": table for number, table in enumerate(tables)})
    told = str(refused.value)
    assert "Next: " in told
    return told


def contract(
    annotations: dict[str, object], facts: dict[str, object] | None = None, **fields: object
) -> type[Contract]:
    """A contract named `Broken`."""
    inner = {"Table": type("Table", (), facts)} if facts else {}
    return type(
        "Broken",
        (Contract,),
        {"__annotations__": annotations, "__module__": "checks.x", **fields, **inner},
    )


def refused(broken: type[Contract]) -> str:
    with pytest.raises(SetupError) as problem:
        compile_rules(broken)
    told = str(problem.value)
    assert ("Broken" in told, "checks.x" in told, "Next: " in told) == (True, True, True)
    return told


# Contracts


@pytest.mark.parametrize("fact", ["key", "sequence"])
def test_a_fact_that_names_an_unknown_column_is_refused(fact):
    told = refused(contract({"id": str}, {fact: ("id", "idd")}))
    assert f"{fact} names the column 'idd', which the contract does not have" in told


@pytest.mark.parametrize("fact", ["event_time", "date_column", "counts"])
def test_a_fact_that_names_an_unknown_single_column_is_refused(fact):
    assert f"{fact} names the column 'idd', which" in refused(contract({"id": str}, {fact: "idd"}))


def test_a_key_that_is_not_a_tuple_is_refused():
    assert "key is 'id', it has to be a tuple of column names" in refused(
        contract({"id": str}, {"key": "id"})
    )


def test_a_window_that_is_no_date_is_refused():
    told = refused(contract({"at": Instant}, {"date_column": "at"}))
    assert re.search(r"date_column 'at' is Datetime\(.*\), it has to be Date", told)


def test_counts_that_are_no_whole_number_are_refused():
    assert "counts 'lines' is String, it has to be a whole number" in refused(
        contract({"lines": str}, {"counts": "lines"})
    )


@pytest.mark.parametrize("share", [-0.1, 1.1, "5 %", None])
def test_a_share_that_is_none_is_refused(share):
    told = refused(contract({"id": str}, {"max_quarantined": share}))
    assert f"max_quarantined is {share!r}, it has to be a share between 0 and 1" in told


def test_a_physical_partitioning_that_does_not_exist_is_refused():
    assert "physical is 'week', it has to be one of day, month, year" in refused(
        contract({"id": str}, {"physical": "week"})
    )


def test_a_nullable_key_is_refused():
    told = refused(contract({"id": str}, {"key": ("id",)}, id=Field(nullable=True)))
    assert "key column 'id' is nullable" in told


def test_a_fact_that_does_not_exist_is_refused_where_it_is_written():
    with pytest.raises(
        SetupError,
        match=r"Contract Broken: .*\n  - primary_key\nNext: use one of counts, date_column, event_time",
    ):
        contract({"id": str}, {"primary_key": ("id",)})


@pytest.mark.parametrize(
    "dtype",
    [pl.UInt8, pl.Time, pl.Duration, pl.Categorical, pl.Object],
    ids=str,
)
def test_a_type_that_delta_lake_does_not_have_is_refused(dtype):
    assert "column 'x' is " in (told := refused(contract({"id": str, "x": dtype})))
    assert "which Delta Lake cannot store" in told


def test_a_time_without_a_zone_is_refused():
    told = refused(contract({"at": pl.Datetime}))
    assert "declare times as Instant (microseconds, UTC)" in told


def test_a_column_that_begins_with_an_underscore_is_refused():
    # Pandera does not take such names for columns; an alias makes one.
    told = refused(contract({"x": str}, x=Field(alias="_x")))
    assert "column '_x': names that begin with _ belong to the engine" in told


def test_a_regular_expression_that_does_not_compile_is_refused():
    with pytest.raises(SetupError) as refused:
        contract({"id": str, "x": str}, id=Field(str_matches="[a-z"), x=Field(gee=3))
    told = str(refused.value)
    assert told.startswith(
        "Contract Broken (checks.x) does not compile.\n  - column 'id': Field(str_matches='[a-z'): unter"
    )
    assert "\n  - column 'x': Field(gee=3): " in told


def test_a_regular_expression_that_only_python_knows_is_refused():
    assert "id matches " in refused(contract({"id": str}, id=Field(str_matches=r"(?<=a)b")))


@pytest.mark.parametrize(
    ("dtype", "check"),
    [
        (pl.Int64, {"str_matches": "a"}),
        (str, {"ge": 1}),
        (pl.Int64, {"isin": ["a"]}),
        (bool, {"str_length": 3}),
    ],
    ids=["pattern-of-a-number", "bound-of-a-text", "texts-for-a-number", "length-of-a-boolean"],
)
def test_a_check_that_does_not_fit_its_column_is_refused(dtype, check):
    assert "has rules that do not fit its columns.\n  - x " in refused(
        contract({"x": dtype}, x=Field(**check))
    )


def test_a_check_that_does_not_exist_is_refused():
    with pytest.raises(
        SetupError,
        match=r"column 'x': Field\(gee=1\): there is no check 'gee'; did you mean ge\?\nNext: ",
    ):
        contract({"x": pl.Int64}, x=Field(gee=1))


def test_a_type_that_does_not_exist_is_refused():
    assert "Number" in refused(contract({"x": "Number"}))


def test_a_table_rule_over_an_unknown_column_is_refused():
    told = refused(contract({"id": str}, {"rules": {"all fine": pl.col("idd").all()}}))
    assert "table rule all fine: " in told
    assert "idd" in told


def test_every_problem_of_a_contract_is_named_at_once():
    told = refused(
        contract(
            {"id": str, "t": pl.Time}, {"key": ("idd",), "date_column": "day", "max_quarantined": 2}
        )
    )
    assert told.count("\n  - ") == 4


def test_the_contract_of_a_table_is_proved_with_the_catalogue():
    broken = staged(contract({"id": str}, {"key": ("idd",)}))(typed)
    assert "staged/typed: Contract Broken (checks.x) does not compile" in refusal(broken)


def test_a_good_contract_is_proved():
    check_contract(Line)


# Transforms


def test_a_missing_column_is_refused():
    def short(raw_lines):
        return typed(raw_lines).drop("amount")

    assert "staged/short: the transform does not return 'amount'" in refusal(staged(Line)(short))


def test_a_column_of_another_type_is_refused():
    def untyped(raw_lines):
        return raw_lines

    assert "staged/untyped: 'amount' is String, its contract says Int64" in refusal(
        staged(Line)(untyped)
    )


def test_a_column_too_many_in_an_aggregate_is_refused():
    def wide(typed):
        return typed.group_by("id").agg(
            pl.col("amount").sum(), lines=pl.len().cast(pl.Int64), more=1
        )

    told = refusal(staged(Line)(typed), mart(Total)(wide))
    assert "marts/wide: the transform returns 'more', which its contract does not have" in told


def test_a_transform_that_drops_the_lineage_is_refused():
    def bare(raw_lines):
        return typed(raw_lines).select("id", "amount")

    told = refusal(staged(Line)(bare))
    assert (
        "staged/bare: the transform drops _source, _offset, _received; add columns with `cast` or `with_columns`"
        in told
    )


@pytest.mark.parametrize("result", [None, pl.DataFrame({"id": ["1"]}), "text"])
def test_a_transform_that_returns_no_lazyframe_is_refused(result):
    def strange(raw_lines):  # noqa: ARG001
        return result

    told = refusal(staged(Line)(strange))
    assert (
        f"staged/strange: the transform returns {type(result).__name__}, it has to return a LazyFrame"
        in told
    )


def test_a_transform_over_an_unknown_column_is_refused():
    def lost(raw_lines):
        return raw_lines.with_columns(pl.col("amuont"))

    told = refusal(staged(Line)(lost))
    assert "staged/lost: " in told
    assert "amuont" in told


def test_a_transform_that_raises_is_refused_with_its_place():
    def boom(raw_lines):
        return raw_lines.with_colums(x=1)

    told = refusal(staged(Line)(boom), staged(Line)(typed))
    assert (
        "staged/boom: the transform raises AttributeError: 'LazyFrame' object has no attribute 'with_colums'"
        in told
    )
    assert re.search(r"\(test_declarations\.py, line \d+\)", told)


def test_a_problem_among_others_is_one_line_and_its_details_stand_below_it():
    def lost(raw_lines):
        return typed(raw_lines).filter(pl.col("id") != "").with_columns(pl.col("amuont") + 1)

    wrong = contract({"id": str, "amount": pl.Int64}, {"key": ("idd",)})

    def clean(raw_lines):
        return typed(raw_lines)

    head, *problems, last = refusal(staged(Line)(lost), staged(wrong)(clean)).splitlines()
    assert head == "The declared tables do not fit together."
    assert [line[:24] for line in problems] == [
        "  - staged/lost: unable ",
        "  - staged/clean: Contra",
        "    - key names the colu",
    ]
    assert last == "Next: correct the declarations; no data was touched."


def test_an_unknown_input_is_refused_and_the_known_ones_are_named():
    def orders(raw_linse):
        return raw_linse

    told = refusal(staged(Line)(orders))
    assert (
        "staged/orders: its parameter 'raw_linse' names no table (tried raw/linse, staged/raw_linse"
        in told
    )
    assert "Next: name one of raw/lines, staged/orders" in told


def test_a_transform_without_an_input_is_refused():
    def nothing():
        return pl.LazyFrame()

    with pytest.raises(
        SetupError, match=r"staged/nothing .*: the transform reads no table.\nNext: name a table"
    ):
        staged(Line)(nothing)


def test_tables_that_read_each_other_are_refused():
    def hen(egg):
        return egg

    def egg(hen):
        return hen

    told = refusal(staged(Line)(hen), staged(Line)(egg))
    assert "Tables read each other in a circle: staged/hen, staged/egg" in told


def test_a_table_that_reads_itself_is_refused():
    def snake(snake):
        return snake

    assert "staged/snake: its parameter 'snake' names no table" in refusal(staged(Line)(snake))


def test_a_table_that_is_declared_twice_is_refused():
    assert "staged/typed is declared twice" in refusal(staged(Line)(typed), staged(Line)(typed))


def test_partitions_without_a_window_are_refused():
    told = refusal(staged(Line, partitions=DAILY)(typed))
    assert "staged/typed: it has partitions, but its contract names no `date_column`" in told


def test_an_optional_column_that_is_not_declared_is_refused():
    with pytest.raises(
        SetupError,
        match=r"raw/orders: `optional` names columns that are not declared: nmae.\nNext: add",
    ):
        raw("orders", "Orders.", columns=("name",), optional=("nmae",))


def test_a_way_to_meet_drift_that_does_not_exist_is_refused():
    with pytest.raises(
        SetupError,
        match="raw/orders: drift is 'ignore', it has to be one of evolve, freeze, rescue",
    ):
        catalog_of(orders=raw("orders", "Orders.", columns=("name",), drift="ignore"))


@pytest.mark.parametrize(
    ("aliases", "problem"),
    [
        ({"nmae": "nam"}, "aliases: 'nmae' stands for 'nam', which is no column of the table"),
        ({"NAME": "id"}, "aliases: 'NAME' is a column of the table itself"),
        ({"old": "name", "OLD": "id"}, "aliases: 'old' is named twice, in different case"),
        ({" old": "name"}, "aliases: no file can deliver a column named ' old'"),
        ({"": "name"}, "aliases: no file can deliver a column named ''"),
    ],
)
def test_an_alias_that_cannot_work_is_refused(aliases, problem):
    with pytest.raises(SetupError) as refused:
        catalog_of(orders=raw("orders", "Orders.", columns=("id", "name"), aliases=aliases))
    assert f"raw/orders: {problem}" in str(refused.value)


@pytest.mark.parametrize("drift", ["freeze", "rescue"])
def test_a_way_to_meet_drift_that_needs_columns_is_refused_without_any(drift):
    with pytest.raises(
        SetupError,
        match=f"raw/orders: drift is '{drift}', which needs declared columns to compare files with",
    ):
        catalog_of(orders=raw("orders", "Orders.", columns=(), drift=drift))


def test_a_transform_may_read_what_was_rescued():
    table = raw("orders", "Orders.", columns=("id",), drift="rescue")

    def clean(raw_orders):
        return raw_orders.with_columns(tip=pl.col("_rescued").str.json_path_match("$.tip"))

    assert (
        "staged/clean"
        in catalog_of(orders=table, clean=staged(contract({"id": str, "tip": str}))(clean)).tables
    )


def test_a_day_over_an_unknown_column_is_refused():
    table = raw(
        "orders",
        "Orders.",
        columns=("at",),
        day=pl.col("day").str.to_date("%Y-%m-%d", strict=False),
    )
    with pytest.raises(
        SetupError, match='raw/orders: `day` does not fit the columns: unable to find column "day"'
    ):
        catalog_of(orders=table)


def test_a_day_that_is_no_date_is_refused():
    with pytest.raises(SetupError, match="raw/orders: `day` is String, it has to be Date"):
        catalog_of(orders=raw("orders", "Orders.", columns=("at",), day=pl.col("at")))


INFERRED = "a format that is inferred from the first rows"


@pytest.mark.parametrize(
    "read", [pl.col("day").str.to_date(strict=False), pl.col("day").str.to_datetime().dt.date()]
)
def test_a_day_whose_format_is_inferred_is_refused(read):
    """One odd row would change how all rows next to it are read."""
    with pytest.raises(SetupError, match=rf"raw/orders: .*{INFERRED}(.|\n)*Next: "):
        catalog_of(orders=raw("orders", "Orders.", columns=("day",), day=read))


@pytest.mark.parametrize("adds", [cast, pl.LazyFrame.with_columns])
def test_a_transform_that_guesses_a_format_is_refused(adds):
    def dated(raw_lines: pl.LazyFrame) -> pl.LazyFrame:
        return adds(typed(raw_lines), on=pl.col("day").str.to_datetime(strict=False))

    assert f"staged/dated: it reads times by {INFERRED}" in refusal(staged(Line)(dated))


READ = pl.col("day").str.to_date(strict=False)


@pytest.mark.parametrize(
    "read",
    [READ.max().over("id"), pl.col("day").str.split(" ").list.eval(pl.element().str.to_date())],
)
def test_a_guess_within_an_expression_is_refused(read):
    def dated(raw_lines: pl.LazyFrame) -> pl.LazyFrame:
        return typed(raw_lines).with_columns(on=read)

    assert f"staged/dated: it reads times by {INFERRED}" in refusal(staged(Line)(dated))


def test_an_aggregate_that_guesses_a_format_is_refused():
    def totals(raw_lines: pl.LazyFrame) -> pl.LazyFrame:
        last = READ.max().cast(pl.Int64)
        return raw_lines.group_by("id").agg(amount=last, lines=pl.len().cast(pl.Int64))

    assert f"marts/totals: it reads times by {INFERRED}" in refusal(mart(Total)(totals))


def test_deletes_by_an_inferred_format_are_refused():
    def events(raw_lines: pl.LazyFrame) -> pl.LazyFrame:
        return typed(raw_lines)

    told = refusal(staged(Event, mode="upsert", deletes=READ.is_not_null())(events))
    assert f"staged/events: deletes reads times by {INFERRED}" in told


@pytest.mark.parametrize(
    "words", [pl.col("day"), pl.col("day").map_batches(lambda day: day, return_dtype=pl.String)]
)
def test_a_time_with_a_format_and_one_in_the_transform_itself_are_no_guess(words):
    def dated(raw_lines: pl.LazyFrame) -> pl.LazyFrame:
        day = pl.col("day").str.to_date("%Y-%m-%d", strict=False)
        late = (day > pl.lit("2024-01-01").str.to_date()) & (words != "strptime-infer")
        return typed(raw_lines).with_columns(on=day.max().over("id"), late=late)

    assert "staged/dated" in catalog_of(raw_lines=lines, dated=staged(Line)(dated)).tables


def test_a_rule_that_guesses_a_format_is_refused():
    leaves_out = staged(
        Line, leave_out={"old": pl.col("day").str.to_date(strict=False) < date(2020, 1, 1)}
    )
    assert f"staged/typed: it reads times by {INFERRED}" in refusal(leaves_out(typed))


def test_a_declaration_with_an_unknown_keyword_is_refused():
    with pytest.raises(
        SetupError,
        match=(
            r"staged/typed .*\n  - there is no keyword `partition`; did you mean `partitions`\?"
            r"\nNext: .* takes as_of, distinct, "
        ),
    ):
        staged(Line, partition=DAILY)(typed)


@pytest.mark.parametrize("name", ["Orders", "1st", "a-b", "a/b", ""])
def test_a_table_whose_name_cannot_be_one_is_refused(name):
    with pytest.raises(SetupError, match="is not the name of a table"):
        catalog_of(orders=raw(name, "Orders.", columns=("id",)))


def test_the_problems_of_several_tables_are_named_at_once():
    def one(raw_lines):
        return raw_lines

    def two(raw_lines):  # noqa: ARG001
        return None

    told = refusal(staged(Line)(one), staged(Line)(two))
    assert ("staged/one: " in told, "staged/two: " in told) == (True, True)


# SQL


def sql(query: str) -> str:
    def totals():
        return query

    def lines_clean(raw_lines):
        return typed(raw_lines)

    return refusal(staged(Line)(lines_clean), sql_mart(Total, reads=("lines_clean",))(totals))


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("SELEC 1", "does not run: "),
        ("SELECT nothing FROM lines_clean", "does not run: "),
        ("SELECT * FROM nowhere", "reaches beyond its inputs: nowhere is no table"),
        ("", "is not one SELECT"),
    ],
)
def test_a_query_that_does_not_run_is_refused(query, why):
    assert f"marts/totals: the query {why}" in sql(query)


def test_a_query_that_returns_other_columns_is_refused():
    told = sql("SELECT id, count(*) AS lines FROM lines_clean GROUP BY id")
    assert "marts/totals: the transform does not return 'amount'" in told


def test_a_query_that_returns_other_types_is_refused():
    told = sql(
        "SELECT id, CAST(1 AS DOUBLE) AS amount, count(*) AS lines FROM lines_clean GROUP BY id"
    )
    assert "marts/totals: 'amount' is Float64, its contract says Int64" in told


def test_a_query_with_a_type_that_no_contract_can_name_is_refused():
    told = sql("SELECT id, [sum(amount)] AS amount, count(*) AS lines FROM lines_clean GROUP BY id")
    assert "types that no contract has: amount is HUGEINT[]; cast them in the query" in told


def test_a_query_over_a_table_that_is_not_declared_is_refused():
    def totals():
        return "SELECT 1"

    assert "marts/totals: its parameter 'nowhere' names no table" in refusal(
        sql_mart(Total, reads=("nowhere",))(totals)
    )


def test_a_query_may_read_a_table_of_decimals_and_lists():
    class Rich(Contract):
        id: str
        price: Annotated[pl.Decimal, 18, 2]
        tags: Annotated[pl.List, pl.String()]

    def rich(raw_lines):
        return raw_lines.with_columns(
            price=pl.col("amount").cast(pl.Decimal(18, 2)), tags=pl.col("day").str.split(",")
        )

    def totals():
        return "SELECT id, CAST(sum(price) AS BIGINT) AS amount, count(*) AS lines FROM rich GROUP BY id"

    catalog_of(
        raw_table=lines, rich=staged(Rich)(rich), totals=sql_mart(Total, reads=("rich",))(totals)
    )
