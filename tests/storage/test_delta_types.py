"""Polars types as Delta types, and schemas that grow."""

from typing import ClassVar

import polars as pl
import pytest
from deltalake import write_deltalake

from lakehouse.errors import BusyError, SetupError
from lakehouse.publish.request import ReplaceKeys
from lakehouse.publish.schema_evolution import add_columns, find_missing_columns
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


def grown(handle, wanted, required=None) -> None:
    """A table gets the columns that rows beside its own need."""
    request = ReplaceKeys(TABLE, pl.LazyFrame(), keys=pl.DataFrame(), required=required)
    if missing := find_missing_columns(handle, request, wanted):
        add_columns(handle, TABLE, missing)


def test_a_schema_that_is_the_same_makes_no_commit(lake):
    write_deltalake(lake.uri(TABLE), pl.DataFrame({"a": [1]}))
    grown(lake.open(TABLE), schema(a=pl.Int64()))
    assert lake.version(TABLE) == 0


def test_missing_columns_are_added_in_one_commit(lake):
    write_deltalake(lake.uri(TABLE), pl.DataFrame({"a": [1]}))
    handle = lake.open(TABLE)
    grown(handle, schema(b=pl.String(), a=pl.Int64(), c=pl.List(pl.Int64())))
    assert (handle.version(), lake.version(TABLE)) == (1, 1)
    assert lake.scan(TABLE).collect().rows() == [(1, None, None)]


def test_a_field_inside_a_struct_that_changes_is_refused(lake):
    write_deltalake(lake.uri(TABLE), pl.DataFrame({"a": [{"x": 1}]}))
    with pytest.raises(SetupError, match="a is struct in the table and struct in the new rows"):
        grown(lake.open(TABLE), schema(a=pl.Struct({"x": pl.String()})))


def test_every_changed_type_is_named_and_nothing_is_added(lake):
    write_deltalake(lake.uri(TABLE), pl.DataFrame({"a": [1], "b": ["x"]}))
    with pytest.raises(SetupError) as refusal:
        grown(lake.open(TABLE), schema(a=pl.Int32(), b=pl.Int64(), c=pl.Int64()))
    assert "a is long in the table and integer in the new rows" in str(refusal.value)
    assert "b is string in the table and long in the new rows" in str(refusal.value)
    assert lake.version(TABLE) == 0


def test_a_commit_while_columns_are_added_makes_a_writer_wait(lake):
    write_deltalake(lake.uri(TABLE), pl.DataFrame({"a": [1]}))
    handle = lake.open(TABLE)
    write_deltalake(lake.uri(TABLE), pl.DataFrame({"a": [1]}), mode="append")
    with pytest.raises(BusyError, match="another writer committed while columns were added"):
        grown(handle, schema(a=pl.Int64(), b=pl.Int64()))
