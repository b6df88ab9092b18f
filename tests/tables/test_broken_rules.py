"""The words for a broken rule say what is wrong with the row, for each kind of rule that there is."""

import polars as pl
import pytest

from lakehouse.tables.broken_rules import (
    describe_broken_rule,
    describe_broken_rules,
    select_distinct_rules,
)
from lakehouse.tables.contract import Contract, Field
from lakehouse.tables.rules import compile_rules


class Thing(Contract):
    """A contract with a rule of each kind."""

    a: pl.Int32 = Field(ge=0, le=9, gt=-1, lt=10, ne=5, eq=3)
    b: str = Field(isin=["x"], notin=["y"], str_matches="^x$", str_contains="x")
    c: str = Field(str_startswith="x", str_endswith="y", str_length={"min_value": 1})
    d: float = Field(in_range={"min_value": 0, "max_value": 1})
    e: str = Field(str_length={"min_value": 1, "max_value": 3})


WORDS = {
    "a is present": "a is missing",
    "a >= 0": "a is below 0",
    "a <= 9": "a is above 9",
    "a > -1": "a is not above -1",
    "a < 10": "a is not below 10",
    "a != 5": "a is 5",
    "a = 3": "a is not 3",
    "b is a known value": "b is no known value",
    "b is not a forbidden value": "b is a forbidden value",
    "b matches ^x$": "b does not match ^x$",
    "b contains x": "b does not contain x",
    "c starts with x": "c does not start with x",
    "c ends with y": "c does not end with y",
    "c has at least 1 character": "c has fewer than 1 character",
    "d is finite": "d is not finite",
    "d between 0 and 1": "d is not between 0 and 1",
    "e has 1 to 3 characters": "e has not 1 to 3 characters",
    "a can be read": "a cannot be read",
    "end is not before start": "breaks the rule: end is not before start",
}


@pytest.mark.parametrize("name", WORDS)
def test_a_broken_rule_reads_as_what_is_wrong(name):
    assert describe_broken_rule(name) == WORDS[name]


def test_no_rule_that_a_field_declares_is_left_without_words():
    names = {rule.name for rule in compile_rules(Thing)}
    assert {name for name in names if describe_broken_rule(name).startswith("breaks")} == set()
    assert names - WORDS.keys() == {f"{name} is present" for name in "bcde"}


def test_a_value_that_cannot_be_read_is_not_called_missing_as_well():
    names = ["a can be read", "a is present", "b is present"]
    assert describe_broken_rules(names) == "a cannot be read; b is missing"
    rows = pl.LazyFrame({"rules": [names, ["b is present"]]})
    kept = rows.select(select_distinct_rules(pl.col("rules")).list.sort()).collect().to_series()
    assert kept.to_list() == [["a can be read", "b is present"], ["b is present"]]
