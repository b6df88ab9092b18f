"""What each rule of a contract means, against plain Python: each rule, type and edge value."""

import math
import re
import struct
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from lakehouse.errors import SetupError
from lakehouse.system_columns import BROKEN
from lakehouse.tables.contract import Contract, Field, Instant, to_polars_schema
from lakehouse.tables.rules import compile_rules, list_broken_rules

INF, NAN = math.inf, math.nan
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def whole(bits: int) -> list[Any]:
    """The edges of a whole number of some bits."""
    return [None, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1, -1, 0, 1, 2, 3]


def single(value: float) -> float:
    """A number as 32 bits hold it."""
    return float(struct.unpack("f", struct.pack("f", value))[0])


REALS = [None, NAN, INF, -INF, -0.0, 0.0, 1.0, 2.0, 3.0, -1.0, 5e-324, 2.0**53]
SINGLES = [None, NAN, INF, -INF, -0.0, 0.0, 1.0, 2.0, 3.0, -1.0, single(0.1), single(3.4e38)]
TEXTS = [None, "", "a", "A", "ab", "abc", "b", "a\n", "\x00", "a\x00", "é", "😀", " a"]
DAYS = [None, date.min, date.max, date(2024, 2, 29), date(2024, 3, 1), date(1970, 1, 1)]
TIMES = [
    None,
    datetime.min.replace(tzinfo=UTC),
    datetime.max.replace(tzinfo=UTC),
    EPOCH,
    EPOCH - timedelta(microseconds=1),
    datetime(2024, 10, 27, 0, 30, tzinfo=UTC),
]
EDGES: dict[Any, list[Any]] = {
    pl.Int8: whole(8),
    pl.Int16: whole(16),
    pl.Int32: whole(32),
    pl.Int64: [*whole(64), 2**53, 2**53 + 1, -(2**53) - 1],
    pl.Float32: SINGLES,
    pl.Float64: [*REALS, 1.7976931348623157e308, 0.1],
    pl.String: TEXTS,
    pl.Date: DAYS,
    Instant: TIMES,
    pl.Boolean: [None, True, False],
}
BOUNDS: dict[Any, list[Any]] = {
    pl.Int8: [0, 1, 127, 300, -300, 0.5],
    pl.Int16: [1, 32767, 40000],
    pl.Int32: [1, 2**31 - 1, 2**31, 2**40],
    pl.Int64: [1, 2**53, 2**53 + 1, 2**63 - 1, 0.5, float(2**53)],
    pl.Float32: [0, 1, 0.5, single(0.1)],
    pl.Float64: [0, 1, 0.1, 5e-324, 2**53],
    pl.String: ["", "a", "b", "é", "\x00"],
    pl.Date: [date(2024, 2, 29), date.max],
    Instant: [EPOCH, datetime(2024, 10, 27, 0, 30, tzinfo=UTC)],
}
COMPARISONS: dict[str, Any] = {
    "eq": lambda value, bound: value == bound,
    "ne": lambda value, bound: value != bound,
    "gt": lambda value, bound: value > bound,
    "ge": lambda value, bound: value >= bound,
    "lt": lambda value, bound: value < bound,
    "le": lambda value, bound: value <= bound,
}


def is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def broken(dtype: Any, values: list[Any], **field: Any) -> list[list[str]]:
    """The rules that each value breaks."""
    declared = {"__annotations__": {"x": dtype}, "x": Field(**field), "__module__": __name__}
    contract = type("Declared", (Contract,), declared)
    frame = pl.DataFrame({"x": values}, schema=to_polars_schema(contract))
    return frame.with_columns(list_broken_rules(compile_rules(contract)))[BROKEN].to_list()


def name(dtype: Any) -> str:
    return "Instant" if dtype is Instant else str(dtype)


def broken_anyway(value: Any) -> list[str]:
    """The rules that a value breaks whatever else the contract says."""
    if value is None or is_nan(value):
        return ["x is present"]
    return ["x is finite"] if isinstance(value, float) and math.isinf(value) else []


def check(dtype: Any, holds: Any, **field: Any) -> None:
    """Asserts that a rule is broken by the values that break it in plain Python, and by no others."""
    values = EDGES[dtype]
    for value, found in zip(values, broken(dtype, values, **field), strict=True):
        own = [rule for rule in found if rule not in broken_anyway(value)]
        assert found == [*broken_anyway(value), *own], (value, field)
        is_missing = value is None or is_nan(value)
        assert bool(own) is not (is_missing or holds(value)), (value, field, found)


@pytest.mark.parametrize("rule", COMPARISONS)
@pytest.mark.parametrize("dtype", BOUNDS, ids=name)
def test_a_comparison_means_what_it_means_in_python(dtype, rule):
    for bound in BOUNDS[dtype]:
        check(dtype, lambda value, to=bound: COMPARISONS[rule](value, to), **{rule: bound})


@pytest.mark.parametrize("dtype", BOUNDS, ids=name)
def test_a_list_of_values_means_what_it_means_in_python(dtype):
    known = [bound for bound in BOUNDS[dtype] if bound in EDGES[dtype]]
    for some in (known, known[:1], []):
        check(dtype, lambda value, among=some: value in among, isin=some)
        check(dtype, lambda value, among=some: value not in among, notin=some)


def test_a_value_that_a_column_cannot_have_is_equal_to_none_of_it():
    check(pl.Int8, lambda value: value == 1, isin=[1, 0.5, 300, INF])
    check(pl.Int64, lambda value: value != 1, notin=[1.0, 0.5, 2**70])


@pytest.mark.parametrize("ends", [(True, True), (True, False), (False, True), (False, False)])
@pytest.mark.parametrize("dtype", BOUNDS, ids=name)
def test_a_range_includes_the_ends_that_it_says(dtype, ends):
    low, high = min(BOUNDS[dtype]), max(BOUNDS[dtype])
    span = {"min_value": low, "max_value": high, "include_min": ends[0], "include_max": ends[1]}
    check(
        dtype,
        lambda value: (
            low < value < high or (ends[0] and value == low) or (ends[1] and value == high)
        ),
        in_range=span,
    )


PATTERNS = [
    "a|b",
    "^a|b$",
    "a",
    "^a$",
    "",
    r"\w+",
    ".",
    ".*",
    "(?i)a",
    "(?s)a.",
    "a|ab",
    r"[^a]",
    re.compile("A", re.IGNORECASE),
    re.compile("a.", re.DOTALL),
    re.compile("^$", re.MULTILINE),
    re.compile("a b  # blanks", re.VERBOSE),
]


@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
def test_a_pattern_means_the_whole_value_and_keeps_its_flags(pattern):
    check(pl.String, lambda value: re.fullmatch(pattern, value) is not None, str_matches=pattern)


@pytest.mark.parametrize("pattern", [one for one in PATTERNS if "$" not in str(one)], ids=str)
def test_a_pattern_that_a_text_contains_may_begin_anywhere(pattern):
    check(pl.String, lambda value: re.search(pattern, value) is not None, str_contains=pattern)


@pytest.mark.filterwarnings("ignore:Possible:FutureWarning")  # Python's own, at the first time
@pytest.mark.parametrize(
    "pattern",
    [
        "[a-z&&b]",
        "[[:alpha:]]",
        "[a--b]",
        "a*+b",
        "a++",
        r"\<a",
        re.compile("a", re.ASCII),
        "(?=a)",
    ],
    ids=str,
)
def test_a_pattern_that_polars_reads_in_another_way_is_refused(pattern):
    with pytest.raises(SetupError, match=r"column 'x'|x matches"):
        broken(pl.String, [], str_matches=pattern)


def test_a_plus_that_is_a_character_is_not_refused():
    assert broken(pl.String, ["a+", "+", "b"], str_matches=r"a\+|[*+]+") == [
        [],
        [],
        [r"x matches a\+|[*+]+"],
    ]


@pytest.mark.parametrize("part", ["", "a", "\x00", "é"])
def test_a_beginning_and_an_end_mean_characters(part):
    check(pl.String, lambda value: value.startswith(part), str_startswith=part)
    check(pl.String, lambda value: value.endswith(part), str_endswith=part)


@pytest.mark.parametrize("low", [0, 1, 2])
@pytest.mark.parametrize("high", [0, 1, 2])
def test_a_length_counts_characters_and_not_bytes(low, high):
    check(pl.String, lambda value: len(value) == high, str_length={"exact_value": high})
    check(pl.String, lambda value: len(value) >= low, str_length={"min_value": low})
    if low <= high:
        span = {"min_value": low, "max_value": high}
        check(pl.String, lambda value: low <= len(value) <= high, str_length=span)


@pytest.mark.parametrize("dtype", EDGES, ids=name)
def test_every_value_of_a_type_that_is_present_and_finite_keeps_a_contract_without_rules(dtype):
    check(dtype, lambda _: True)


NULLABLE = {"nullable": True}
ALL = {"allow_inf": True, "allow_nan": True}


@pytest.mark.parametrize("dtype", [pl.Float32, pl.Float64], ids=name)
@pytest.mark.parametrize(
    ("field", "refused"),
    [
        ({}, {"None": "present", "nan": "present", "inf": "finite", "-inf": "finite"}),
        (NULLABLE, {"nan": "finite", "inf": "finite", "-inf": "finite"}),
        ({"allow_inf": True}, {"None": "present", "nan": "present"}),
        ({"allow_nan": True}, {"None": "present", "inf": "finite", "-inf": "finite"}),
        ({**NULLABLE, "allow_inf": True}, {"nan": "finite"}),
        (ALL, {"None": "present"}),
        ({**NULLABLE, **ALL}, {}),
    ],
)
def test_a_real_number_is_finite_unless_its_contract_says_otherwise(dtype, field, refused):
    found = broken(dtype, EDGES[dtype], **field)
    assert {str(v): rules for v, rules in zip(EDGES[dtype], found, strict=True) if rules} == {
        value: [f"x is {rule}"] for value, rule in refused.items()
    }


def test_a_number_that_is_allowed_to_be_nan_keeps_its_bounds_as_a_missing_one_does():
    values = [NAN, None, -1.0, 9.0, INF]
    assert broken(float, values, nullable=True, ge=0, le=5, allow_nan=True, allow_inf=True) == [
        [],
        [],
        ["x >= 0"],
        ["x <= 5"],
        ["x <= 5"],
    ]


@pytest.mark.parametrize(
    ("dtype", "bad", "good"),
    [
        (pl.List(pl.Float64()), [[1.0, INF], [NAN]], [[], [1.0, None], None]),
        (pl.List(pl.List(pl.Float32())), [[[1.0], [-INF]]], [[[]], [None], [[0.0]]]),
        (
            pl.Struct({"a": pl.Float64(), "b": pl.List(pl.Float64())}),
            [{"a": NAN, "b": None}, {"a": 0.0, "b": [INF]}],
            [{"a": None, "b": [1.0]}, None],
        ),
    ],
)
def test_numbers_within_nested_values_are_finite_too(dtype, bad, good):
    assert broken(dtype, bad, nullable=True) == [["x is finite"]] * len(bad)
    assert broken(dtype, good, nullable=True) == [[]] * len(good)
    assert broken(dtype, bad, nullable=True, **ALL) == [[]] * len(bad)


@pytest.mark.parametrize(
    ("dtype", "physical", "bad"),
    [
        (pl.Date, pl.Int32, [-(2**31), -719_163, 2_932_897, 2**31 - 1]),
        (
            Instant,
            pl.Int64,
            [-(2**63), -62_135_596_800_000_001, 253_402_300_800_000_000, 2**63 - 1],
        ),
    ],
    ids=["Date", "Instant"],
)
def test_a_time_that_python_and_sql_cannot_hold_breaks_its_contract(dtype, physical, bad):
    declared = {"__annotations__": {"x": dtype}, "x": Field(), "__module__": __name__}
    contract = type("Declared", (Contract,), declared)
    stored = to_polars_schema(contract)["x"]
    frame = pl.DataFrame({"x": pl.Series(bad, dtype=physical).cast(stored)})
    found = frame.select(list_broken_rules(compile_rules(contract)))[BROKEN].to_list()
    assert found == [["x lies in the years 1 to 9999"]] * len(bad)


@pytest.mark.parametrize("dtype", [int, str, pl.List(pl.Int64())])
def test_a_flag_for_real_numbers_is_refused_on_other_columns(dtype):
    with pytest.raises(SetupError, match="for which allow_inf means nothing"):
        broken(dtype, [], allow_inf=True)


@pytest.mark.parametrize("rule", ["eq", "ne", "gt", "ge", "lt", "le"])
@pytest.mark.parametrize("bound", ["1.00", "0.005", "-99999999.99"])
def test_a_bound_of_a_decimal_is_exact(rule, bound):
    values = [None, *map(Decimal, ["-99999999.99", "0.00", "0.01", "1.00", "99999999.99"])]
    found = broken(pl.Decimal(10, 2), values, nullable=True, **{rule: Decimal(bound)})
    assert [not rules for rules in found] == [
        value is None or COMPARISONS[rule](value, Decimal(bound)) for value in values
    ]
