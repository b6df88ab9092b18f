"""The compiled rules against Pandera's own verdicts, row by row; custom checks, casts and the names of broken rules.

Where the engine differs from Pandera on purpose (infinity, NaN, patterns), `test_rule_semantics.py` says how.
"""

import re
from math import isnan
from typing import Any

import pandera.polars as pa
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandera.errors import SchemaErrors

from lakehouse.errors import SetupError
from lakehouse.publish.audit import Provenance
from lakehouse.system_columns import BROKEN
from lakehouse.tables.casting import cast
from lakehouse.tables.contract import Contract, Field, to_polars_schema
from lakehouse.tables.contract_checks import check_contract
from lakehouse.tables.declare import staged
from lakehouse.tables.rules import (
    Rule,
    compile_rules,
    keeps_all_rules,
    list_broken_rules,
    list_unread_rules,
    precompute_interpreted,
)
from lakehouse.transform.row_verdicts import judge

FLOATS = st.one_of(
    st.sampled_from([-1.0, 0.0, 1.0, 2.0, 3.0, float("nan"), float("inf"), -float("inf")]),
    st.floats(),
)
INTS = st.integers(-4, 4) | st.integers(-(2**62), 2**62)
TEXTS = st.sampled_from(
    ["", "a", "ab", "abc", "ba", "Ä", "ß€", "😀", "a\nb", "A.B", " "]
) | st.text(max_size=5)
VALUES = {float: FLOATS, int: INTS, str: TEXTS}

NUMBER_CHECKS = [
    {"eq": 1},
    {"ne": 1},
    {"gt": 1},
    {"ge": 1},
    {"lt": 1},
    {"le": 1},
    {"in_range": {"min_value": -1, "max_value": 2}},
    {"in_range": {"min_value": -1, "max_value": 2, "include_min": False}},
    {"in_range": {"min_value": -1, "max_value": 2, "include_max": False}},
    {"in_range": {"min_value": -1, "max_value": 2, "include_min": False, "include_max": False}},
    {"isin": [0, 1, 2]},
    {"notin": [0, 1, 2]},
    {"ge": 0, "ignore_na": False},
    {},
]
TEXT_CHECKS = [
    {"eq": "a"},
    {"ne": "a"},
    {"gt": "a"},
    {"le": "b"},
    {"isin": ["a", "Ä", ""]},
    {"notin": ["a", "Ä"]},
    # Pandera asks for a match at the beginning, the engine for one of the whole value.
    {"str_matches": r"a[\s\S]*"},
    {"str_matches": r"^[a-c]{2}$"},
    {"str_contains": "b"},
    {"str_contains": r"^\w$"},
    {"str_startswith": "a"},
    {"str_startswith": ""},
    {"str_endswith": "b"},
    {"str_length": {"min_value": 1}},
    {"str_length": {"max_value": 1}},
    {"str_length": {"min_value": 1, "max_value": 2}},
    {"str_length": {"exact_value": 1}},
    {"str_length": {"exact_value": 0}},
    {"str_startswith": "a", "ignore_na": False},
    {},
]


def contract_of(dtype: Any, **field: Any) -> type[Contract]:
    """A contract with one column `x`."""
    return type(
        "Declared",
        (Contract,),
        {"__annotations__": {"x": dtype}, "x": Field(**field), "__module__": __name__},
    )


def broken_by_pandera(contract: type[Contract], df: pl.DataFrame) -> set[int]:
    """Returns the rows that Pandera's own validation rejects."""
    try:
        contract.to_schema().validate(df, lazy=True)
    except SchemaErrors as errors:
        return set(errors.failure_cases["index"].to_list())
    return set()


def broken_by_engine(rules: tuple[Rule, ...], df: pl.DataFrame) -> set[int]:
    """The rows that break a compiled rule."""
    return set(df.with_row_index().filter(~keeps_all_rules(rules))["index"].to_list())


@pytest.mark.parametrize("nullable", [True, False])
@pytest.mark.parametrize(
    ("dtype", "check"),
    [(float, c) for c in NUMBER_CHECKS if not {"isin", "notin"} & set(c)]
    + [(float, {"isin": [0.0, 1.0]}), (float, {"notin": [0.0, 2.0]})]
    + [(int, c) for c in NUMBER_CHECKS]
    + [(str, c) for c in TEXT_CHECKS],
)
def test_a_compiled_rule_agrees_with_pandera_on_every_row(dtype, check, nullable):
    # Where NaN may stand, it is a missing value for the engine, and a large number for Pandera.
    allowed = {"allow_inf": True} if dtype is float else {}
    contract = contract_of(dtype, nullable=nullable, **check, **allowed)
    rules = compile_rules(contract)
    values = VALUES[dtype].filter(
        lambda value: not (nullable and isinstance(value, float) and isnan(value))
    )

    @settings(max_examples=12, deadline=None)
    @given(st.lists(values | st.none(), min_size=1, max_size=8))
    def agrees(values):
        df = pl.DataFrame({"x": values}, schema=to_polars_schema(contract))
        assert broken_by_engine(rules, df) == broken_by_pandera(contract, df)

    agrees()
    assert all(rule.compiled for rule in rules)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(FLOATS | st.none(), TEXTS | st.none(), INTS | st.none()), min_size=1, max_size=20
    )
)
def test_a_contract_of_many_rules_agrees_with_pandera_on_every_row(rows):
    class Many(Contract):
        a: float = Field(ge=0, ne=2, allow_inf=True)
        b: str = Field(nullable=True, str_length={"min_value": 1}, notin=["Ä"])
        c: int = Field(nullable=True, in_range={"min_value": -3, "max_value": 3})

    df = pl.DataFrame(rows, schema=to_polars_schema(Many), orient="row")
    assert broken_by_engine(compile_rules(Many), df) == broken_by_pandera(Many, df)


class Custom(Contract):
    """Checks that only Pandera can run."""

    a: int = Field(nullable=True)
    b: int = Field(nullable=True)

    @pa.check("a")
    def is_even(self, data):
        return data.lazyframe.select(pl.col(data.key) % 2 == 0)

    @pa.check("a", element_wise=True)
    def is_small(self, value):
        return abs(value) < 100

    @pa.check("a")
    def is_not_above_b(self, data):
        return data.lazyframe.select(pl.col("a") <= pl.col("b"))

    @pa.dataframe_check
    def sum_is_small(self, data):
        return data.lazyframe.select(pl.col("a") + pl.col("b") < 1000)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(INTS | st.none(), INTS | st.none()), min_size=1, max_size=10))
def test_custom_checks_run_as_pandera_runs_them(rows):
    df = pl.DataFrame(rows, schema=to_polars_schema(Custom), orient="row")
    rules = compile_rules(Custom)
    assert broken_by_engine(rules, df) == broken_by_pandera(Custom, df)
    assert [rule.name for rule in rules if not rule.compiled] == [
        "a: is_even",
        "a: is_small",
        "a: is_not_above_b",
        "sum_is_small",
    ]


def test_custom_checks_hold_on_no_rows():
    assert (
        broken_by_engine(compile_rules(Custom), pl.DataFrame(schema=to_polars_schema(Custom)))
        == set()
    )


class OneVerdict(Contract):
    """A check with a single verdict for the whole column, and one that compares rows with each other."""

    a: int

    @pa.check("a")
    def begins_small(self, data):
        return bool(
            data.lazyframe.select((pl.col("a").min() < 10).fill_null(True)).collect().item()
        )

    @pa.check("a")
    def is_near_the_others(self, data):
        return data.lazyframe.select(pl.col("a") <= 2 * pl.col("a").mean())


@pytest.mark.parametrize(
    ("values", "bad"), [([1, 20], {1} - {1}), ([20, 30], {0, 1}), ([], set()), ([5], set())]
)
def test_a_verdict_on_a_whole_column_falls_on_each_of_its_rows(values, bad):
    rules = tuple(rule for rule in compile_rules(OneVerdict) if "small" in rule.name)
    assert broken_by_engine(rules, pl.DataFrame({"a": values}, schema={"a": pl.Int64})) == bad


def test_a_rejected_row_names_the_check_that_it_broke_among_all_rows():
    @staged(OneVerdict)
    def numbers(raw_numbers):
        return raw_numbers

    origin = {
        "_source": "f",
        "_offset": pl.int_range(1, 5),
        "_modified_at": None,
        "_received": pl.struct("a"),
    }
    rows = pl.LazyFrame({"a": [1, 1, 1, 90]}).with_columns(
        **{n: v if n != "_source" else pl.lit(v) for n, v in origin.items()}
    )
    found = judge(numbers, compile_rules(OneVerdict), rows, Provenance())
    assert found.rejected.collect()[BROKEN].to_list() == [["a: is_near_the_others"]]
    assert found.valid.collect()["a"].to_list() == [1, 1, 1]
    assert found.questions["judged"].collect()["broke"].item() == 1


def test_a_check_of_the_users_own_may_carry_the_name_of_a_known_one():
    class Named(Contract):
        a: int

        @pa.check("a")
        def greater_than(self, data):
            return data.lazyframe.select(pl.col(data.key) > 5)

    assert broken_by_engine(compile_rules(Named), pl.DataFrame({"a": [5, 6]})) == {0}


def test_a_missing_value_keeps_every_rule_but_presence():
    rules = compile_rules(contract_of(str, str_length={"min_value": 1}, isin=["a"]))
    df = pl.DataFrame({"x": [None]}, schema={"x": pl.String})
    assert df.select(list_broken_rules(rules))[BROKEN].to_list() == [["x is present"]]


def test_with_ignore_na_off_a_missing_value_breaks_the_check():
    rules = compile_rules(contract_of(float, nullable=True, gt=0, ignore_na=False))
    df = pl.DataFrame({"x": [None, 1.0, -1.0]}, schema={"x": pl.Float64})
    assert df.select(list_broken_rules(rules))[BROKEN].to_list() == [["x > 0"], [], ["x > 0"]]


def test_not_a_number_is_no_value():
    rules = compile_rules(contract_of(float, ge=0))
    df = pl.DataFrame({"x": [float("nan"), 0.0]})
    assert df.select(list_broken_rules(rules))[BROKEN].to_list() == [["x is present"], []]


def test_a_broken_row_names_every_rule_that_it_broke():
    rules = compile_rules(contract_of(int, gt=0, ne=-2, isin=[1, 2]))
    df = pl.DataFrame({"x": [-2, 1, 7, None]}, schema={"x": pl.Int64})
    assert df.select(list_broken_rules(rules))[BROKEN].to_list() == [
        ["x != -2", "x > 0", "x is a known value"],
        [],
        ["x is a known value"],
        ["x is present"],
    ]


def test_a_contract_without_rules_breaks_nothing():
    df = pl.DataFrame({"x": [1, None]})
    assert (
        df.with_columns(keeps_all_rules(()).alias("ok"), list_broken_rules(()))
        .select("ok", BROKEN)
        .rows()
        == [(True, [])] * 2
    )


@pytest.mark.parametrize("order", [1, -1])
def test_settled_rules_give_the_same_verdicts(order):
    rules = compile_rules(Custom)[::order]
    df = pl.DataFrame({"a": [2, 3, 200, None], "b": [1, 5, 900, 0]})
    read, verdicts = precompute_interpreted(rules)
    assert (
        df.with_columns(verdicts).select(list_broken_rules(read))[BROKEN].to_list()
        == df.select(list_broken_rules(rules))[BROKEN].to_list()
    )


@pytest.mark.parametrize(
    ("dtype", "field"),
    [
        (int, {"ge": "a"}),
        (int, {"isin": ["a"]}),
        (int, {"str_matches": "a"}),
        (str, {"gt": 1}),
        (str, {"str_matches": "(?=a)"}),
    ],
)
def test_a_rule_that_does_not_fit_its_column_is_refused_before_any_data(dtype, field):
    with pytest.raises(
        SetupError, match=r"rules that do not fit[\s\S]*x .*[\s\S]*no data was touched"
    ):
        compile_rules(contract_of(dtype, **field))


@pytest.mark.parametrize(
    "rule", [pl.col("x") > 0, pl.col("x").sum(), pl.col("y").all(), pl.col("x").str.to_date().all()]
)
def test_a_table_rule_that_gives_no_verdict_is_refused_before_any_data(rule):
    class Table:
        rules = {"the rule": rule}  # noqa: RUF012

    declared = type(
        "Declared", (Contract,), {"__annotations__": {"x": int}, "x": Field(), "Table": Table}
    )
    with pytest.raises(SetupError, match="table rule the rule"):
        compile_rules(declared)


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ({"unique": True}, "name it in `key`"),
        ({"gt": 0, "raise_warning": True}, "greater_than only warns"),
        ({"coerce": True}, "asks for coerce"),
        ({"default": 1}, "asks for default"),
    ],
)
def test_a_promise_that_the_row_pass_cannot_hold_is_refused(field, said):
    with pytest.raises(SetupError, match=re.escape(said)):
        check_contract(contract_of(int, **field))


def test_a_model_that_is_unique_as_a_whole_is_refused():
    class Whole(Contract):
        a: int

        class Config:
            unique = ["a"]  # noqa: RUF012

    with pytest.raises(SetupError, match="'a' is declared unique"):
        check_contract(Whole)


def number(name: str = "text") -> pl.Expr:
    return pl.col(name).cast(pl.Int64, strict=False)


@pytest.mark.parametrize(
    ("text", "value", "rules"),
    [
        ("7", 7, []),
        ("x", None, ["n can be read"]),
        ("", None, []),
        (" \t\n", None, []),
        (None, None, []),
        ("1.5", None, ["n can be read"]),
    ],
)
def test_a_cast_remembers_what_it_could_not_read(text, value, rules):
    lf = cast(pl.LazyFrame({"text": [text]}, schema={"text": pl.String}), n=number())
    df = lf.select("n", list_broken_rules(list_unread_rules(lf.collect_schema()))).collect()
    assert df.rows() == [(value, rules)]


def test_an_unreadable_value_breaks_its_rule_in_a_nullable_column_too():
    lf = cast(pl.LazyFrame({"text": ["x", None]}), x=number())
    rules = (
        *list_unread_rules(lf.collect_schema()),
        *compile_rules(contract_of(int, nullable=True)),
    )
    assert lf.select(list_broken_rules(rules)).collect()[BROKEN].to_list() == [
        ["x can be read"],
        [],
    ]


def test_a_mark_for_a_missing_value_that_is_null_before_the_cast_breaks_no_rule():
    lf = pl.LazyFrame({"text": ["NA", "x", "3"]}).with_columns(pl.col("text").replace("NA", None))
    lf = cast(lf, x=pl.col("text").cast(pl.Int64, strict=False))
    rules = (
        *list_unread_rules(lf.collect_schema()),
        *compile_rules(contract_of(int, nullable=True)),
    )
    assert lf.select(list_broken_rules(rules)).collect()[BROKEN].to_list() == [
        [],
        ["x can be read"],
        [],
    ]


def test_a_cast_reads_columns_that_are_not_text():
    schema = {"day": pl.Date, "raw": pl.Binary, "many": pl.List(pl.Int64)}
    lf = pl.LazyFrame({"day": [None], "raw": [b"\xff"], "many": [[1]]}, schema=schema)
    df = cast(
        lf,
        d=pl.col("day"),
        r=pl.col("raw").bin.size().replace(1, None),
        m=pl.col("many").list.first(),
    ).collect()
    assert df.select(r"^_unread_.*$").rows() == [(False, True, False)]


def test_a_cast_of_a_constant_is_always_read():
    df = cast(
        pl.LazyFrame({"text": ["x"]}), shop=pl.lit("London"), none=pl.lit(None, dtype=pl.String)
    ).collect()
    assert df.select("shop", "none", r"^_unread_.*$").rows() == [("London", None, False, False)]


def test_a_cast_upon_a_cast_forgets_nothing():
    lf = cast(cast(pl.LazyFrame({"text": ["x", "3"]}), n=number()), n=pl.col("n") * 2)
    rules = list_unread_rules(lf.collect_schema())
    assert lf.select("n", list_broken_rules(rules)).collect().rows() == [
        (None, ["n can be read"]),
        (6, []),
    ]


def test_a_cast_over_two_columns_is_unread_only_where_both_were_given():
    lf = pl.LazyFrame({"text": ["x", "x"], "other": ["y", " "]})
    df = cast(lf, n=(pl.col("text") + pl.col("other")).cast(pl.Int64, strict=False)).collect()
    assert df["_unread_n"].to_list() == [True, False]
