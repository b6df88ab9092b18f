"""Columns that the name of a file holds: folders in Hive's way, and named groups of a pattern."""

import io

import polars as pl
import pytest

from lakehouse.errors import SetupError
from lakehouse.tables.files import Files

HIVE = Files(folders=True)
SALES = Files(name=r"(?P<region>[a-z]+)_(?P<day>\d{8})\.csv")


def rows(seen):
    return [dict(zip(seen.delivery.columns, row, strict=True)) for row in seen.rows]


def test_folders_are_columns_with_decoded_values_and_null(read):
    name = "year=2024/city=K%C3%B6ln%2FS%C3%BCd/week=__HIVE_DEFAULT_PARTITION__/part-0.csv"
    seen = read(b"id\n1\n2\n", name, files=HIVE, required=("id", "year"))
    said = {"year": "2024", "city": "Köln/Süd", "week": None}
    assert rows(seen) == [{"id": "1", **said}, {"id": "2", **said}]


def test_folders_are_no_columns_unless_declared(read):
    assert rows(read(b"id\n1\n", "year=2024/a.csv")) == [{"id": "1"}]
    assert rows(read(b"id\n1\n", "plain/a.csv", files=HIVE)) == [{"id": "1"}]


def test_a_required_column_that_neither_file_nor_name_has_refuses_the_file(read):
    seen = read(b"id\n1\n", "plain/a.csv", files=HIVE, required=("id", "year"))
    assert "year" in seen.delivery.refused


@pytest.mark.parametrize(
    "name",
    ["north_20240101.csv", "2024/north_20240101.csv", "north_20240101.csv.gz"],
)
def test_the_groups_of_a_pattern_are_columns(read, name):
    assert rows(read(b"id\n1\n", name, files=SALES)) == [
        {"id": "1", "region": "north", "day": "20240101"}
    ]


def test_a_pattern_may_name_folders(read):
    files = Files(name=r"(?P<shop>\w+)/.*")
    assert rows(read(b"id\n1\n", "south/a.csv", files=files)) == [{"id": "1", "shop": "south"}]


@pytest.mark.parametrize(
    "name", ["xnorth-20240101.csv", "north_20240101.csv.bak.csv", "2north_20240101.csv"]
)
def test_a_name_that_the_pattern_does_not_match_whole_is_refused(read, name):
    reason = read(b"id\n1\n", name, files=SALES).delivery.refused
    assert reason.startswith(f"its name {name!r} does not match ")
    assert SALES.name.replace("\\", "\\\\") in reason


def test_a_column_that_the_file_has_as_well_keeps_its_own_equal_values(read):
    frame = pl.DataFrame({"id": [1], "month": [1], "dt": ["2024-01-01"]})
    file = io.BytesIO()
    frame.with_columns(pl.col("dt").str.to_date()).write_parquet(file)
    seen = read(file.getvalue(), "month=01/dt=2024-01-01/a.parquet", files=HIVE)
    assert seen.delivery.columns == ("id", "month", "dt")
    assert seen.values("month") == [1]


def test_a_column_of_the_file_with_other_values_refuses_the_file(read):
    seen = read(b"id,Year\n1,2024\n2,2023\n", "year=2024/a.csv", files=HIVE)
    assert seen.delivery.refused == (
        "its name and its rows have other values for the same column: Year is '2024' in its name"
    )
    assert seen.payloads == [b"id,Year\n1,2024\n2,2023\n"]


def test_a_name_that_contradicts_itself_is_refused(read):
    reason = read(b"id\n1\n", "year=2024/Year=2025/a.csv", files=HIVE).delivery.refused
    assert reason == "its name gives the column 'Year' two values: '2024' and '2025'"


def test_groups_that_begin_like_columns_of_the_engine_are_refused_when_declared():
    with pytest.raises(SetupError, match="begin with `_`"):
        Files(name="(?P<_source>.*)")
