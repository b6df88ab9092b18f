"""A code version changes when the code does, wherever it is written, and is the same in every process."""

import os
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from support.worlds import retail

from lakehouse.tables.versions import compute_code_version

PRICE = pl.col("price") * 2
MARKS = {"a", "b", "c"}


def doubled(rows: pl.LazyFrame) -> pl.LazyFrame:
    """A transform that names an expression, a set and a function outside of itself."""
    return helped(rows.with_columns(price=PRICE).filter(pl.col("mark").is_in(MARKS)))


def helped(rows: pl.LazyFrame) -> pl.LazyFrame:
    """What it calls."""
    return rows.with_columns(more=PRICE)


def long_list(last: int) -> pl.Expr:
    """An expression whose text leaves out its middle."""
    return pl.col("a").is_in([*range(50), last, *range(50)])


def now() -> str:
    return compute_code_version([doubled], ())


@pytest.mark.parametrize(
    ("name", "other"), [("PRICE", pl.col("price") * 3), ("MARKS", {"a"}), ("helped", long_list)]
)
def test_what_a_transform_names_outside_of_itself_is_part_of_it(monkeypatch, name, other):
    before = now()
    monkeypatch.setitem(doubled.__globals__, name, other)
    assert now() != before


def scaled(by: object):
    """A transform that names something of the function around it."""

    def transform(rows: pl.LazyFrame) -> pl.LazyFrame:
        return rows.select(pl.col("price") * by if not callable(by) else by(rows))

    return transform


def longer() -> int:
    """Another function."""
    return 1


@pytest.mark.parametrize(
    "pair", [(2, 3), (pl.col("a"), pl.col("b")), ((1, 2), (1, 3)), (long_list, longer)]
)
def test_what_it_names_of_the_function_around_it_is_part_of_it(pair):
    one, same, other = (
        compute_code_version([scaled(by)], ()) for by in (pair[0], pair[0], pair[1])
    )
    assert one == same != other


def test_what_it_does_not_name_is_not(monkeypatch):
    before = now()
    monkeypatch.setitem(doubled.__globals__, "retail", None)
    assert now() == before


def test_a_value_in_the_middle_of_a_long_list_counts(monkeypatch):
    assert str(long_list(1)) == str(long_list(2))
    monkeypatch.setitem(doubled.__globals__, "PRICE", long_list(1))
    before = now()
    monkeypatch.setitem(doubled.__globals__, "PRICE", long_list(2))
    assert now() != before


@pytest.mark.full
@pytest.mark.parametrize("seed", ["1", "2"])
def test_versions_are_the_same_in_every_process(seed):
    script = "from support.worlds import retail; print(*(table.code_version for table in retail().derived_tables))"
    root = Path(__file__).parents[2]
    environment = {
        **os.environ,
        "PYTHONHASHSEED": seed,
        "PYTHONPATH": f"{root}{os.pathsep}{root / 'tests'}",
    }
    told = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment
    )
    assert told.stdout.split() == [table.code_version for table in retail().derived_tables]


KINDS = """
import re, sys
from datetime import datetime
from decimal import Decimal
from functools import partial
from types import ModuleType
import polars as pl
WORDS = {"alpha", "beta", "gamma", "delta"}
IN_SET = pl.col("a").is_in(WORDS)
WHEN = pl.when(pl.col("b").is_in({"x", "y", "z"})).then(1).otherwise(pl.col("a") - pl.col("b"))
BY_NAME = {"one": pl.col("a") * 2, "two": [pl.col("b"), {"p", "q", "r"}]}
PAIRS = {("a", 1), ("b", 2), ("c", 3)}
PATTERN = re.compile("a|b")
AMOUNT, MOMENT = Decimal("1.10"), datetime(2024, 1, 1)
class Plain:
    pass
THING = Plain()
def double(x, by=IN_SET):
    return x
STEPS = [double, partial(double, by=WORDS)]
def transform(rows, names=WORDS):
    return rows.filter(IN_SET, WHEN, **BY_NAME).pipe(STEPS[0]), PAIRS, PATTERN, AMOUNT, MOMENT, THING
"""


@pytest.mark.full
@pytest.mark.parametrize("seed", ["1", "2", "3"])
def test_whatever_a_transform_names_gives_one_version_in_every_process(tmp_path, seed):
    (tmp_path / "kinds.py").write_text(KINDS)
    script = (
        "import kinds; from lakehouse.tables.versions import compute_code_version;"
        "print(compute_code_version([kinds.transform], ()))"
    )
    told = set()
    for one in ("0", seed):
        known = {"PYTHONHASHSEED": one, "PYTHONPATH": f"{Path(__file__).parents[2]}:{tmp_path}"}
        done = subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, **known},
        )
        told.add(done.stdout)
    assert len(told) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (pl.col("a").is_in({"x", "y"}), pl.col("a").is_in({"x", "z"})),
        (pl.col("a").is_in(["x"]) - pl.col("b"), pl.col("b") - pl.col("a").is_in(["x"])),
        ({"x": pl.col("a")}, {"x": pl.col("b")}),
        ([pl.col("a")], [pl.col("a") * 2]),
        (re.compile("a"), re.compile("a", re.IGNORECASE)),
        (Decimal("1.1"), Decimal("1.2")),
        ({"x": {"y": [pl.col("a").is_in({1, 2})]}}, {"x": {"y": [pl.col("a").is_in({1, 3})]}}),
        ([long_list], [longer]),
    ],
)
def test_a_change_within_what_it_names_is_another_version(one, other):
    def named(value):
        def transform(rows: pl.LazyFrame) -> object:
            return rows, value

        return compute_code_version([transform], ())

    assert named(one) == named(one) != named(other)


def test_a_transform_may_name_an_expression_that_calls_python():
    total = pl.fold(0, lambda one, other: one + other, [pl.col("a"), pl.col("b")])
    assert compute_code_version([scaled(total)], ()) == compute_code_version([scaled(total)], ())
