"""Polars types as Delta types."""

from typing import ClassVar

import polars as pl
import pytest
from deltalake import write_deltalake

from lakehouse.errors import SetupError
from lakehouse.storage.delta_types import to_delta_schema, to_delta_type
from lakehouse.storage.lake import Lake

TABLE = "staged/values"


class Types:
    """Every type that a table may have, with a value."""

    values: ClassVar = {
        "text": pl.Series(["a"]),
        "raw": pl.Series([b"a"]),
        "flag": pl.Series([True]),
        "day": pl.Series([0], dtype=pl.Int32).cast(pl.Date),
        "at": pl.Series([0]).cast(pl.Datetime("us", "UTC")),
        "small": pl.Series([1.5], dtype=pl.Float32),
        "large": pl.Series([1.5]),
        "i8": pl.Series([1], dtype=pl.Int8),
        "i16": pl.Series([1], dtype=pl.Int16),
        "i32": pl.Series([1], dtype=pl.Int32),
        "i64": pl.Series([1], dtype=pl.Int64),
        "money": pl.Series(["1.50"]).cast(pl.Decimal(10, 2)),
        "many": pl.Series([["a", None]]),
        "whole": pl.Series([{"a": 1, "b": ["c"]}]),
    }


@pytest.fixture
def lake(tmp_path):
    lake = Lake(str(tmp_path / "lake"))
    (tmp_path / "lake" / "staged" / "values").mkdir(parents=True)
    return lake


def schema(**columns: pl.DataType):
    return to_delta_schema(columns, {}, None)


@pytest.mark.parametrize("name", Types.values)
def test_a_type_is_the_one_that_delta_rs_writes_for_it(lake, name):
    write_deltalake(lake.uri(TABLE), Types.values[name].alias("x").to_frame())
    assert lake.open(TABLE).schema().fields[0].type == to_delta_type(Types.values[name].dtype)


@pytest.mark.parametrize(
    "dtype",
    [
        pl.UInt8(),
        pl.Duration("us"),
        pl.Time(),
        pl.Datetime("ns", "UTC"),
        pl.Datetime("us"),
        pl.Null(),
        pl.Categorical(),
        pl.Int128(),
    ],
)
def test_a_type_that_delta_does_not_have_is_refused(dtype):
    with pytest.raises(SetupError, match="Delta Lake has no type for"):
        to_delta_type(dtype)


def test_a_type_inside_a_list_is_refused_too():
    with pytest.raises(SetupError, match="Duration"):
        to_delta_type(pl.List(pl.Duration("us")))


def test_comments_stand_at_their_columns_and_the_partition_comes_last():
    fields = to_delta_schema(
        {"a": pl.Int64(), "b": pl.String()}, {"b": "Words", "c": "Nothing"}, "_month"
    ).fields
    assert [(f.name, f.metadata) for f in fields] == [
        ("a", {}),
        ("b", {"comment": "Words"}),
        ("_month", {}),
    ]
