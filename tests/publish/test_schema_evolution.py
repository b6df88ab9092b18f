"""Schema evolution: missing columns are added, and changed ones are refused."""

import polars as pl
import pytest
from deltalake import write_deltalake

from lakehouse.errors import BusyError, SetupError
from lakehouse.publish.request import ReplaceKeys
from lakehouse.publish.schema_evolution import add_columns, find_missing_columns
from lakehouse.storage.delta_types import to_delta_schema
from lakehouse.storage.lake import Lake

TABLE = "staged/values"


@pytest.fixture
def lake(tmp_path):
    lake = Lake(str(tmp_path / "lake"))
    (tmp_path / "lake" / "staged" / "values").mkdir(parents=True)
    return lake


def schema(**columns: pl.DataType):
    return to_delta_schema(columns, {}, None)


def grow(handle, wanted, required=None) -> None:
    """Adds the columns that the new rows need."""
    request = ReplaceKeys(TABLE, pl.LazyFrame(), keys=pl.DataFrame(), required=required)
    if missing := find_missing_columns(handle, request, wanted):
        add_columns(handle, TABLE, missing)


def test_an_equal_schema_makes_no_commit(lake):
    write_deltalake(lake.uri(TABLE), pl.DataFrame({"a": [1]}))
    grow(lake.open(TABLE), schema(a=pl.Int64()))
    assert lake.version(TABLE) == 0


def test_missing_columns_are_added_in_one_commit(lake):
    write_deltalake(lake.uri(TABLE), pl.DataFrame({"a": [1]}))
    handle = lake.open(TABLE)
    grow(handle, schema(b=pl.String(), a=pl.Int64(), c=pl.List(pl.Int64())))
    assert (handle.version(), lake.version(TABLE)) == (1, 1)
    assert lake.scan(TABLE).collect().rows() == [(1, None, None)]


def test_a_field_inside_a_struct_that_changes_is_refused(lake):
    write_deltalake(lake.uri(TABLE), pl.DataFrame({"a": [{"x": 1}]}))
    with pytest.raises(SetupError, match="a is struct in the table and struct in the new rows"):
        grow(lake.open(TABLE), schema(a=pl.Struct({"x": pl.String()})))


def test_every_changed_type_is_named_and_nothing_is_added(lake):
    write_deltalake(lake.uri(TABLE), pl.DataFrame({"a": [1], "b": ["x"]}))
    with pytest.raises(SetupError) as refusal:
        grow(lake.open(TABLE), schema(a=pl.Int32(), b=pl.Int64(), c=pl.Int64()))
    assert "a is long in the table and integer in the new rows" in str(refusal.value)
    assert "b is string in the table and long in the new rows" in str(refusal.value)
    assert lake.version(TABLE) == 0


def test_a_commit_while_columns_are_added_makes_a_writer_busy(lake):
    write_deltalake(lake.uri(TABLE), pl.DataFrame({"a": [1]}))
    handle = lake.open(TABLE)
    write_deltalake(lake.uri(TABLE), pl.DataFrame({"a": [1]}), mode="append")
    with pytest.raises(BusyError, match="another writer committed while columns were added"):
        grow(handle, schema(a=pl.Int64(), b=pl.Int64()))
