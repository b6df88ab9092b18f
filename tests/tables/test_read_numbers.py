"""Numbers and booleans in texts: each reads as plain Python says, or not at all."""

import math
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import strategies as st

from lakehouse.errors import SetupError
from lakehouse.system_columns import ORIGIN
from lakehouse.tables import cast, read_boolean, read_number
from tests.support.sizes import examples

MARKS = {".": ".", ",": ",", "'": "'\u2019", " ": " \u00a0\u2009\u202f"}


def read_all(texts, *given, reader=read_number, **options):
    """What a reader makes of some texts."""
    rows = pl.DataFrame({"x": texts}, schema={"x": pl.String})
    return rows.select(reader("x", *given, **options))["x"].to_list()


@st.composite
def notations(draw):
    """A number, a text of it, and how the text is declared."""
    decimal = draw(st.sampled_from(".,"))
    thousands = draw(st.sampled_from([None, *(mark for mark in MARKS if mark != decimal)]))
    whole = draw(st.integers(0, 10**12))
    after = draw(st.text("0123456789", max_size=4))
    groups = f"{whole:,}".split(",")
    mark = "" if thousands is None else draw(st.sampled_from(MARKS[thousands]))
    text = (mark if draw(st.booleans()) else "").join(groups) + (
        f"{decimal}{after}" if after else ""
    )
    is_percent = draw(st.booleans())
    text += draw(st.sampled_from(["%", " %"])) if is_percent else ""
    sign = draw(st.sampled_from(["", "+", "-", "\u2212", "()", "after"]))
    money = draw(st.sampled_from(["", "€", "EUR", "kr"]))
    gap = draw(st.sampled_from(["", " ", "\u00a0"]))
    if money:
        text = draw(st.sampled_from([f"{money}{gap}{text}", f"{text}{gap}{money}"]))
    text = {"()": f"({text})", "after": f"{text}{gap}-"}.get(sign, f"{sign}{text}")
    value = Decimal(f"{whole}.{after or 0}") / (100 if is_percent else 1)
    is_negative = sign not in ("", "+")
    declared = {"decimal": decimal, "thousands": thousands, "currency": ("€", "EUR", "kr")}
    return -value if is_negative else value, f" {text}\u00a0", {**declared, "percent": True}


@examples(40, 600, given=notations())
def test_a_number_in_any_declared_notation_reads_as_its_value(given):
    value, text, declared = given
    assert read_all([text], pl.Decimal(30, 6), **declared) == [value]
    assert read_all([text], **declared) == [float(value)]


@examples(40, 600, text=st.text("0123456789.,' -+()%e\u00a0", max_size=9))
def test_a_text_that_plain_python_does_not_read_is_read_by_no_simple_declaration(text):
    bare = text.strip()
    try:
        expected = float(bare) if bare.isascii() else None
    except ValueError:
        expected = None
    expected = None if expected in (math.inf, -math.inf) else expected
    (found,) = read_all([text])
    # Beyond Python: a sign after the number, one in parentheses, and a gap after a sign.
    if expected is None and found is not None:
        inner = bare.strip("()-+ \u00a0")
        assert abs(found) == float(inner)
        assert sum(bare.count(sign) for sign in "(-+") - inner.count("-") - inner.count("+") == 1
    else:
        assert found == expected


@pytest.mark.parametrize(
    "text",
    ["1.29,99", "12.34", "1.2345", "12.34.567", "0.123", "1234.567", ".123", "1.234.", "1,2,3"],
)
def test_groups_of_other_than_three_digits_cannot_be_read(text):
    assert read_all([text], decimal=",", thousands=".") == [None]


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "-", "()", "--5", "-5-", "+-5", "(-5)", "(5", "5)", "5%", "€5", "5 EUR"),
        *("NaN", "inf", "1e999", "0x10", "1_000", "\u0661\u0662", "5 5", "1e", "e5", "."),
    ],
)
def test_what_is_no_number_cannot_be_read(text):
    assert read_all([text]) == [None]


def test_a_decimal_or_a_whole_number_is_never_rounded():
    texts = ["12.34", "12.345", "12.3400", "1e3", "99999999999.99", "0.1"]
    exact = [Decimal("12.34"), None, Decimal("12.34"), None, None, Decimal("0.1")]
    assert read_all(texts, pl.Decimal(10, 2)) == exact
    assert read_all(["12.00", "12.5", "9223372036854775808", "-7"], pl.Int64) == [
        12,
        None,
        None,
        -7,
    ]
    assert read_all(["300", "127"], pl.Int8()) == [None, 127]


def test_a_percent_sign_moves_the_point_without_rounding():
    read = read_all(["12,5 %", "0,07%", "(3 %)", "0,125"], decimal=",", percent=True)
    assert read == [0.125, 0.0007, -0.03, 0.125]


def test_any_currency_is_one_sign_or_one_code():
    texts = [
        "$5",
        "5 CHF",
        "US$5",
        "5 chf",
        "€5 EUR",
        "-£5",
        "£-5",
        "£5-",
        "(£5)",
        "£(5)",
        "CHF 5-",
    ]
    numbers = [5, 5, None, None, None, -5, -5, -5, -5, -5, -5]
    assert read_all(texts, currency=True) == numbers


def test_a_currency_with_a_point_is_no_part_of_the_number():
    assert read_all(["kr.500", "500 kr.", "kr 5"], currency=("kr", "kr.")) == [500, 500, 5]


def test_an_unread_number_is_remembered_by_cast():
    rows = pl.LazyFrame({"price": ["1.299,99", "12.34", None]}, schema={"price": pl.String})
    found = cast(rows, price=read_number("price", decimal=",", thousands=".")).collect()
    assert found["price"].to_list() == [1299.99, None, None]
    assert found["_unread_price"].to_list() == [False, True, False]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"decimal": ",", "thousands": ","}, "both"),
        ({"decimal": ""}, "one character"),
        ({"thousands": "-"}, "one character"),
        ({"currency": ("5",)}, "symbol"),
        ({"currency": ()}, "symbol"),
        ({"dtype": pl.Date}, "no type of numbers"),
    ],
)
def test_a_declaration_that_makes_no_sense_is_refused(options, problem):
    with pytest.raises(SetupError, match=problem):
        read_number("x", **options)


def test_booleans_are_the_declared_words():
    texts = ["Ja", " nein ", "J", "yes", "", None]
    read = read_all(texts, ("ja", "j"), ("nein", "n"), reader=read_boolean)
    assert read == [True, False, True, None, None, None]
    assert read_all(["true", "FALSE", "1"], reader=read_boolean) == [True, False, None]


@pytest.mark.parametrize("words", [{"true": ("x", "Y"), "false": "y"}, {"true": ()}])
def test_words_that_mean_both_or_nothing_are_refused(words):
    with pytest.raises(SetupError, match="read_boolean"):
        read_boolean("x", **words)


def test_a_column_of_numbers_is_refused_where_text_is_read():
    # A number of a typed source has no notation: as text it could read as another one.
    rows = pl.LazyFrame(schema={"x": pl.Float64(), **ORIGIN})
    with pytest.raises(pl.exceptions.PolarsError):
        rows.select(read_number("x", thousands=".", decimal=",")).collect()
