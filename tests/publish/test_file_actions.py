"""File statistics in the Delta log: no reader prunes a row away, because bounds hold all values."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from lakehouse.publish.audit import Audit
from lakehouse.publish.publish import publish
from lakehouse.publish.request import Append, TableInfo
from lakehouse.storage.duckdb_connection import connect, quote_literal
from lakehouse.storage.lake import Lake

TABLE = "staged/values"
LONG = 256

TEXTS = st.text(st.characters(codec="utf-8"), max_size=6) | st.builds(
    lambda letter, over, end: letter * (LONG + over) + end,
    st.sampled_from(["a", "ß", "😀", "\U0010ffff", "\x00"]),
    st.integers(-2, 2),
    st.sampled_from(["", "z", "\x7f"]),
)
INSTANTS = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001
VALUES = {
    pl.Int8(): st.integers(-128, 127),
    pl.Int16(): st.integers(-(2**15), 2**15 - 1),
    pl.Int32(): st.integers(-(2**31), 2**31 - 1),
    pl.Int64(): st.integers(-(2**63), 2**63 - 1),
    pl.Float32(): st.floats(width=32),
    pl.Float64(): st.floats(),
    pl.Boolean(): st.booleans(),
    pl.String(): TEXTS,
    pl.Binary(): st.binary(max_size=4),
    pl.Date(): st.dates(),
    pl.Datetime("us", "UTC"): INSTANTS,
    pl.Decimal(10, 2): st.decimals(-9999, 9999, places=2),
}


def put(lake: Lake, df: pl.DataFrame, hidden: frozenset[str] = frozenset()) -> dict:
    """Publishes rows as one file; returns its statistics in the log."""
    publish(
        lake,
        Append(TABLE, df.lazy(), info=TableInfo(hidden=hidden)),
        lambda f: Audit(TABLE, "append", f.rows, f.rows),
    )
    (added,) = lake.read_log(TABLE)[-1].added
    return json.loads(added["stats"])


def one(lake: Lake, dtype: pl.DataType, values: list, **options) -> dict:
    return put(lake, pl.DataFrame({"x": values}, schema={"x": dtype}), **options)


def column(stats: dict) -> tuple:
    return stats["minValues"].get("x"), stats["maxValues"].get("x"), stats["nullCount"]["x"]


@pytest.fixture
def lake(tmp_path):
    return Lake(str(tmp_path / "lake"))


@pytest.mark.parametrize("dtype", VALUES, ids=str)
def test_every_value_is_found_by_polars_and_by_duckdb(tmp_path_factory, dtype):
    @settings(max_examples=2, deadline=None, phases=[Phase.generate])
    @given(st.lists(VALUES[dtype] | st.none(), min_size=6, max_size=10))
    def is_found(values):
        lake = Lake(str(tmp_path_factory.mktemp("lake")))
        put_apart(lake, dtype, values)
        for value in {value for value in values if value is not None and value == value}:  # noqa: PLR0124
            wanted = pl.lit(value, dtype=dtype)
            assert lake.scan(TABLE).filter(pl.col("x") == wanted).collect().height >= 1
            assert found_by_duckdb(lake, value) >= 1

    is_found()


def put_apart(lake: Lake, dtype: pl.DataType, values: list) -> list[dict]:
    """Publishes each value in a file of its own; returns their statistics."""
    df = pl.DataFrame({"n": range(len(values)), "x": values}, schema={"n": pl.Int64, "x": dtype})
    request = Append(TABLE, df.lazy(), split_by="n")
    publish(lake, request, lambda findings: Audit(TABLE, "append", findings.rows, findings.rows))
    stats = [json.loads(action["stats"]) for action in lake.read_log(TABLE)[-1].added]
    return sorted(stats, key=lambda one: one["minValues"]["n"])


def found_by_duckdb(lake: Lake, value: object) -> int:
    with connect() as connection:
        query = f"SELECT count(*) FROM delta_scan({quote_literal(lake.uri(TABLE))}) WHERE x = ?"
        return connection.execute(query, [value]).fetchone()[0]


@settings(max_examples=3, deadline=None)
@given(values=st.lists(INSTANTS, min_size=10, max_size=20))
def test_bounds_of_instants_are_milliseconds_that_hold_the_microseconds(tmp_path_factory, values):
    found = put_apart(Lake(str(tmp_path_factory.mktemp("lake"))), pl.Datetime("us", "UTC"), values)
    for value, stats in zip(values, found, strict=True):
        low, high = (
            datetime.fromisoformat(stats[bound]["x"]) for bound in ("minValues", "maxValues")
        )
        assert timedelta() <= value - low < timedelta(milliseconds=1)
        assert timedelta() <= high - value < timedelta(milliseconds=1)


@settings(max_examples=3, deadline=None)
@given(values=st.lists(TEXTS, min_size=10, max_size=20))
def test_bounds_of_text_hold_it_where_they_are_cut(tmp_path_factory, values):
    found = put_apart(Lake(str(tmp_path_factory.mktemp("lake"))), pl.String(), values)
    for value, stats in zip(values, found, strict=True):
        low, high = stats["minValues"].get("x", value), stats["maxValues"].get("x", value)
        assert low.encode() <= value.encode() <= high.encode()
        assert (
            max(len(bound.get("x", "")) for bound in (stats["minValues"], stats["maxValues"]))
            <= LONG
        )


@pytest.mark.parametrize(
    ("dtype", "values", "found"),
    [
        (pl.Int64(), [3, -7, None], (-7, 3, 1)),
        (pl.Int8(), [-128, 127], (-128, 127, 0)),
        (pl.Date(), [date(1969, 12, 31), date(2020, 2, 29)], ("1969-12-31", "2020-02-29", 0)),
        (pl.Date(), [date(1, 1, 1), date(9999, 12, 31)], ("0001-01-01", "9999-12-31", 0)),
        (pl.String(), ["ß", "", None, None], ("", "ß", 2)),
        (pl.Float64(), [1.0, float("nan")], (None, None, 0)),
        (pl.Decimal(10, 2), [Decimal("1.50")], (None, None, 0)),
        (pl.Boolean(), [True, None], (None, None, 1)),
        (pl.Int64(), [None, None], (None, None, 2)),
    ],
)
def test_only_what_can_prune_safely_has_bounds(lake, dtype, values, found):
    assert column(one(lake, dtype, values)) == found


@pytest.mark.parametrize("days", [[-800_000, 5], [5, 3_000_000], [-719_528, 5]])
def test_days_that_the_log_cannot_write_have_no_bounds_and_are_readable(lake, days):
    values = pl.Series("x", days, dtype=pl.Int32).cast(pl.Date)
    assert column(put(lake, values.to_frame()))[:2] == (None, None)
    assert lake.scan(TABLE).filter(pl.col("x") == date(1970, 1, 6)).collect().height == 1
    assert lake.version(TABLE) == 0


def test_instants_that_the_log_cannot_write_have_no_bounds(lake):
    values = pl.Series("x", [-(10**17), 0], dtype=pl.Int64).cast(pl.Datetime("us", "UTC"))
    assert column(put(lake, values.to_frame()))[:2] == (None, None)


def test_the_last_instant_of_all_can_be_published(lake):
    last = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    one(lake, pl.Datetime("us", "UTC"), [last])
    assert lake.scan(TABLE).filter(pl.col("x") == last).collect().height == 1


@pytest.mark.parametrize("text", ["𠮷野家", "\U00087edc", "😀", 'a "quoted" \\ line\n', "\x06"])
def test_text_beyond_the_first_plane_is_found_by_every_reader(lake, text):
    one(lake, pl.String(), [text])
    assert lake.scan(TABLE).filter(pl.col("x") == text).collect().height == 1
    assert found_by_duckdb(lake, text) == 1


def test_the_log_counts_the_rows_of_every_file(lake):
    assert one(lake, pl.Float64(), [1.0, 2.0])["numRecords"] == 2


def test_personal_data_leaves_no_bounds_in_the_log(lake):
    df = pl.DataFrame({"x": ["Ada Lovelace"], "y": ["London"]})
    stats = put(lake, df, hidden=frozenset({"x"}))
    assert stats["minValues"] == stats["maxValues"] == {"y": "London"}
    log = b"".join(
        path.read_bytes() for path in (lake_path(lake) / "_delta_log").iterdir() if path.is_file()
    )
    assert b"Lovelace" not in log
    assert b"London" in log


def lake_path(lake: Lake):
    from pathlib import Path  # noqa: PLC0415

    return Path(lake.uri(TABLE))


def test_nested_columns_are_published_without_bounds(lake):
    df = pl.DataFrame({"x": [1], "many": [[1, 2]], "whole": [{"x": 9, "b": "c"}]})
    assert put(lake, df)["maxValues"] == {"x": 1}
    assert lake.scan(TABLE).collect().equals(df)


def test_columns_with_odd_names_have_bounds(lake):
    df = pl.DataFrame({"Größe, (cm)": [1, 2], 'a "b".c': [3, 4], "x": [5, 6]})
    assert put(lake, df)["minValues"] == {"Größe, (cm)": 1, 'a "b".c': 3, "x": 5}


def test_bounds_hold_over_row_groups(lake):
    df = pl.DataFrame({"x": pl.Series(range(600_000, 0, -1))})
    assert column(put(lake, df)) == (1, 600_000, 0)
