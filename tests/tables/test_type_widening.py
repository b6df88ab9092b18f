"""Stored rows and new ones of another type: a common type in which no value becomes another one."""

import polars as pl
import pytest

from lakehouse.tables.type_widening import (
    align_types,
    cast_losslessly,
    find_common_type,
    find_exact_type,
)

LARGE = 2**53 + 1
WHOLE = {pl.Int8(): 127, pl.Int16(): 2**15 - 1, pl.Int32(): 2**31 - 1, pl.Int64(): LARGE}
REAL = {pl.Float32(): 0.5, pl.Float64(): 0.1}
VALUES = {**WHOLE, **REAL}


@pytest.mark.parametrize("stored", VALUES, ids=str)
@pytest.mark.parametrize("new", VALUES, ids=str)
def test_aligned_rows_hold_each_number_exactly(stored, new):
    rows, widened = align_types(
        pl.LazyFrame({"x": [VALUES[new]]}, schema={"x": new}), {"x": stored}, find_exact_type
    )
    common = widened.get("x", stored)
    assert rows.collect_schema()["x"] == common
    before = pl.Series([VALUES[stored]], dtype=stored).cast(common)
    for value, kept in ((VALUES[new], rows.collect()["x"][0]), (VALUES[stored], before[0])):
        assert type(value)(kept) == value


def test_what_became_text_stays_text():
    rows, widened = align_types(pl.LazyFrame({"x": [1]}), {"x": pl.String()}, find_exact_type)
    assert (rows.collect()["x"].to_list(), widened) == (["1"], {})


@pytest.mark.parametrize("text", ["24-05-01", "20240-05-01", "-001-05-01", "+2024-05-01"])
def test_a_day_of_a_year_without_four_digits_does_not_fit(text):
    rows = pl.DataFrame({"t": [text, "2024-05-01"]})
    found = rows.select(
        d=cast_losslessly(pl.col("t"), pl.String(), pl.Date()),
        at=cast_losslessly(pl.col("t") + "T00:00:00Z", pl.String(), pl.Datetime("us", "UTC")),
    )
    assert found["d"].is_null().to_list() == [True, False]
    assert found["at"].is_null().to_list() == [True, False]


def test_no_common_type_is_found_for_text_and_numbers():
    assert find_common_type(pl.String(), pl.Int64()) is None
