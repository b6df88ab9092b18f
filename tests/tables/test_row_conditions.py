"""Conditions over one row, and those that look at others."""

from datetime import date

import polars as pl
import pytest
from polars import col

from lakehouse.tables.row_conditions import find_other_rows

ROW = {
    "two columns": col("a") > col("b"),
    "a day": col("d") >= date(2024, 1, 1),
    "a list": col("a").is_in([1, 2, 3]),
    "a part of a text": col("t").str.slice(0, 3) == "abc",
    "a length": col("t").str.len_chars() < 5,
    "a sorted list": col("l").list.sort().list.first() == 1,
    "a sum in a list": col("l").list.sum() < 9,
    "a part of a list": col("l").list.slice(0, 2).list.len() == 2,
    "a list without nulls": col("l").list.drop_nulls().list.len() > 0,
    "several": pl.any_horizontal(col("a") > 1, col("b").is_null()),
    "the largest of a row": pl.max_horizontal("a", "b") < 9,
    "a choice": pl.when(col("a") > 1).then(col("b") > 2).otherwise(True),
    "a time": (col("d") - col("e")).dt.total_days().abs() < 3,
    "a field": col("s").struct.field("x") > col("a"),
    "a filled value": col("a").fill_null(0) <= col("b"),
}
OTHER_ROWS = {
    "an aggregate": col("a") < col("a").mean(),
    "a count": col("a") < pl.len(),
    "the first": col("a") == col("a").first(),
    "a window": (col("a") > 1).over("b"),
    "a row before": col("a") > col("a").shift(1),
    "a difference": col("a").diff() > 0,
    "a running sum": col("a").cum_sum() > 0,
    "a rank": col("a").rank() > 1,
    "a repeat": col("a").is_duplicated(),
    "an order": col("a").sort() == col("a"),
    "a number of the row": pl.int_range(pl.len()) < col("a"),
    "a value of the row before": col("a").fill_null(strategy="forward") > 1,
    "a rolling mean": col("a").rolling_mean(2) > 1,
    "chance": col("a").shuffle() > 1,
    "all": col("c").all() & (col("a") > 1),
    "a filter": col("a").filter(col("b") > 1) > 1,
    "within a choice": pl.when(col("a") > 1).then(col("b") > col("b").max()),
    "within an argument": col("a").clip(0, col("b").max()) > 1,
    "Python": col("a").map_batches(lambda values: values > 1, return_dtype=pl.Boolean),
    "nothing": pl.lit(value=True),
}


@pytest.mark.parametrize("condition", ROW.values(), ids=ROW)
def test_a_condition_over_one_row_is_taken(condition):
    assert find_other_rows(condition) is None


@pytest.mark.parametrize("condition", OTHER_ROWS.values(), ids=OTHER_ROWS)
def test_a_condition_that_looks_at_other_rows_is_found(condition):
    assert find_other_rows(condition) is not None
