"""The hash of a period's content: equal for the same rows in any order, different if any row differs."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.calendar import Daily, Monthly
from lakehouse.lineage.content_hash import HASH_SUMS, describe_method, hash_rows

VALUES: dict[str, tuple[pl.DataType, list[object]]] = {
    "whole": (pl.Int64(), [0, 1, -1, 2**62, None]),
    "text": (pl.String(), ["", "a", "b", "ab", "NULL", None]),
    "real": (pl.Float64(), [0.0, -0.0, 1.0, float("nan"), float("inf"), None]),
    "small": (pl.Float32(), [0.0, -0.0, 1.0, None]),
    "exact": (pl.Decimal(20, 4), [Decimal("1.1"), Decimal("1.1001"), Decimal(0), None]),
    "is_so": (pl.Boolean(), [True, False, None]),
    "day": (pl.Date(), [date(1, 1, 1), date(2024, 1, 1), date(9999, 12, 31), None]),
    "at": (pl.Datetime("us", "UTC"), [datetime(2024, 1, 1, tzinfo=UTC), None]),
    "bytes": (pl.Binary(), [b"", b"\0", b"\0\0", None]),
    "numbers": (pl.List(pl.Int64()), [[], [1, 2], [2, 1], [1], [None], None]),
    "reals": (pl.List(pl.Float64()), [[], [0.0], [-0.0], [0.0, -0.0], [None], None]),
    "lists": (pl.List(pl.List(pl.Int64())), [[[1], [2]], [[1, 2]], [[1, 2], []], [None], None]),
    "pair": (
        pl.Struct({"x": pl.Int64(), "y": pl.String()}),
        [{"x": 1, "y": None}, {"x": None, "y": "1"}, {"x": None, "y": None}, None],
    ),
    "place": (
        pl.Struct({"x": pl.Float64()}),
        [{"x": 0.0}, {"x": -0.0}, {"x": None}, None],
    ),
}


@dataclass(frozen=True)
class Columns:
    """What the hash needs of a table: its columns and its periods."""

    schema: pl.Schema
    partitions: Daily | None = None


def table_of(schema: dict[str, pl.DataType], partitions: Daily | None = None) -> Columns:
    return Columns(pl.Schema(schema), partitions)


def digest(rows: pl.DataFrame) -> tuple[int, int]:
    hashed = hash_rows(table_of(dict(rows.schema)), rows.lazy())
    return hashed.select(**HASH_SUMS).collect().row(0)


def column(name: str) -> pl.Series:
    dtype, values = VALUES[name]
    return pl.Series(name, values, dtype=dtype)


@pytest.mark.parametrize("name", VALUES)
def test_each_value_of_a_type_has_a_hash_of_its_own(name):
    values = column(name)
    found = {digest(values.slice(place, 1).to_frame()) for place in range(len(values))}
    assert len(found) == len(values)


@pytest.mark.parametrize("name", VALUES)
def test_the_order_of_rows_does_not_matter_and_a_repeated_row_does(name):
    rows = column(name).to_frame()
    assert digest(rows.reverse()) == digest(rows)
    assert digest(pl.concat([rows, rows.head(1)])) != digest(rows)


ROWS = st.lists(
    st.tuples(*(st.sampled_from(VALUES[name][1]) for name in ("whole", "text", "real"))), max_size=6
)


def framed(rows: list[tuple[object, ...]]) -> pl.DataFrame:
    schema = {name: VALUES[name][0] for name in ("whole", "text", "real")}
    return pl.DataFrame(rows, schema=schema, orient="row")


@settings(deadline=None)
@given(one=ROWS, other=ROWS)
def test_two_frames_have_the_same_hash_exactly_if_they_hold_the_same_rows(one, other):
    is_same = sorted(map(repr, one)) == sorted(map(repr, other))
    assert (digest(framed(one)) == digest(framed(other))) is is_same


def test_values_that_swap_places_between_rows_change_the_hash():
    assert digest(framed([(0, "a", 1.0), (1, "b", 1.0)])) != digest(
        framed([(0, "b", 1.0), (1, "a", 1.0)])
    )


def test_values_that_swap_places_between_columns_change_the_hash():
    one, other = pl.DataFrame({"a": [0], "b": [1]}), pl.DataFrame({"a": [1], "b": [0]})
    assert digest(one) != digest(other)


def test_a_frame_without_rows_has_the_hash_of_nothing():
    assert digest(framed([])) == (0, 0)


@pytest.mark.parametrize(
    "other",
    [
        table_of({"a": pl.Int64()}, partitions=Daily(date(2024, 1, 1))),
        table_of({"b": pl.Int64()}),
        table_of({"a": pl.Int32()}),
        table_of({"a": pl.Int64(), "b": pl.Int64()}),
    ],
    ids=["periods", "name", "type", "columns"],
)
def test_a_hash_of_other_columns_or_periods_is_of_another_method(other):
    assert describe_method(other) != describe_method(table_of({"a": pl.Int64()}))


def test_days_and_months_are_not_compared():
    first = date(2024, 1, 1)
    of_days, of_months = (
        table_of({"a": pl.Int64()}, partitions=calendar(first)) for calendar in (Daily, Monthly)
    )
    assert describe_method(of_days) != describe_method(of_months)
