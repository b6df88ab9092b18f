"""Replacements of days and keys: other rows stay, and files without a replaced row are not read."""

import json
from datetime import date, timedelta

import polars as pl
import pytest
from deltalake import CommitProperties, write_deltalake
from deltalake.transaction import AddAction
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from lakehouse.errors import LawError
from lakehouse.publish.audit import Audit
from lakehouse.publish.publish import publish
from lakehouse.publish.replacement import Replacement, plan_replacement, scan_files
from lakehouse.publish.request import (
    Append,
    Partitioning,
    ReplaceAll,
    ReplaceDays,
    ReplaceKeys,
    Request,
)
from lakehouse.storage.lake import Lake, list_data_files
from lakehouse.storage.limits import WriteLimits

TABLE = "staged/visits"
FIRST = date(2024, 1, 25)
SCHEMA = {"day": pl.Date, "text": pl.String}


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def visits(numbers, text: str) -> pl.DataFrame:
    return pl.DataFrame({"day": [day(n) for n in numbers], "text": text}, schema=SCHEMA)


def replace_days(rows: pl.DataFrame, days, physical="month") -> ReplaceDays:
    return ReplaceDays(TABLE, rows.lazy(), day_column="day", days=days, physical=physical)


def replace_all(rows: pl.DataFrame, physical="month") -> ReplaceAll:
    partitioning = None if physical is None else Partitioning("day", physical)
    return ReplaceAll(TABLE, rows.lazy(), partitioning=partitioning)


def publish_rows(lake: Lake, request: Request) -> Audit:
    return publish(lake, request, lambda found: Audit(TABLE, "replace", found.rows, found.rows))


def put(lake: Lake, rows: pl.DataFrame, days=None, physical="month") -> Audit:
    """Publishes rows in the place of some days, or of everything."""
    is_whole = days is None
    return publish_rows(
        lake, replace_all(rows, physical) if is_whole else replace_days(rows, days, physical)
    )


def put_keys(lake: Lake, rows: pl.DataFrame, replaced: pl.DataFrame) -> Audit:
    """Publishes rows in the place of some keys."""
    return publish_rows(lake, ReplaceKeys(TABLE, rows.lazy(), keys=replaced))


def plan(lake: Lake, request: Request) -> Replacement:
    found = plan_replacement(lake, request, lake.open(TABLE), request.rows.collect_schema())
    assert found is not None
    return found


def read_visits(lake: Lake) -> pl.DataFrame:
    return lake.scan(TABLE).select("day", "text").collect().sort("day", "text")


def touch(lake: Lake, numbers) -> list[str]:
    """The paths of the files that a replacement of some days removes."""
    request = replace_days(visits([], ""), [day(n) for n in numbers])
    return sorted(plan(lake, request).removed["path"])


@pytest.fixture
def lake(tmp_path):
    return Lake(str(tmp_path / "lake"))


@pytest.mark.parametrize("physical", ["day", "month", "year", None])
def test_replaced_days_are_replaced_and_no_other_row_changes(tmp_path_factory, physical):
    numbers = st.lists(st.integers(0, 60), min_size=1, max_size=12)

    @settings(max_examples=3, deadline=None, phases=[Phase.generate])
    @given(
        numbers,
        st.lists(
            st.tuples(st.sets(st.integers(0, 60), min_size=1, max_size=8), st.data()), max_size=2
        ),
    )
    def holds(first, replacements):
        lake = Lake(str(tmp_path_factory.mktemp("lake")))
        put(lake, visits(first, "0"), physical=physical)
        expected = visits(first, "0")
        for turn, (replaced, data) in enumerate(replacements, 1):
            fresh = visits(
                data.draw(st.lists(st.sampled_from(sorted(replaced)), max_size=5)), str(turn)
            )
            put(lake, fresh, [day(n) for n in replaced], physical=physical)
            expected = pl.concat(
                [expected.filter(~pl.col("day").is_in([day(n) for n in replaced])), fresh]
            )
            assert read_visits(lake).equals(expected.sort("day", "text"))

    holds()


@settings(max_examples=5, deadline=None, phases=[Phase.generate])
@given(
    held=st.lists(st.integers(0, 90), min_size=1, max_size=15),
    replaced=st.sets(st.integers(0, 90), min_size=1, max_size=6),
)
def test_files_are_removed_only_where_their_bounds_hold_a_replaced_day(
    tmp_path_factory, held, replaced
):
    lake = Lake(str(tmp_path_factory.mktemp("lake")))
    put(lake, visits(held, "0"))
    live = list_data_files(lake.open(TABLE))
    reached = live.filter(
        pl.any_horizontal(
            (pl.col("min.day") <= day(n)) & (pl.col("max.day") >= day(n)) for n in replaced
        )
    )
    assert touch(lake, replaced) == sorted(reached["path"])


def test_files_without_a_replaced_day_stay(lake):
    put(lake, visits(range(70), "0"))
    before = set(list_data_files(lake.open(TABLE))["path"])
    put(lake, visits([0], "1"), [day(0)])
    gone = before - set(list_data_files(lake.open(TABLE))["path"])
    assert [path.split("/")[0] for path in gone] == ["_month=2024-01-01"]


def test_a_gap_between_replaced_days_touches_no_file_in_it(lake):
    put(lake, visits([0, 20, 45, 80], "0"))
    assert [path.split("/")[0] for path in touch(lake, [0, 80])] == [
        "_month=2024-01-01",
        "_month=2024-04-01",
    ]


def test_a_file_of_wanted_days_alone_is_not_read(lake):
    put(lake, visits(range(10, 20), "0"))
    request = replace_days(visits([], ""), [day(n) for n in range(8, 22)])
    assert plan(lake, request).kept == ()


def test_rows_that_stay_are_counted(lake):
    put(lake, visits([7, 8, 8, 9, 10], "0"))
    found = plan(lake, replace_days(visits([], ""), [day(8)]))
    assert (found.total, [rows.collect().height for rows in found.kept]) == (5, [3])


def keys(*texts: str, number: int | None = None) -> pl.DataFrame:
    days = {} if number is None else {"day": pl.Series([day(number)], dtype=pl.Date)}
    return pl.DataFrame({**days, "text": list(texts)})


def grown(lake: Lake) -> Lake:
    """A table of three files."""
    for text in ("a", "b", "c"):
        publish(
            lake,
            Append(TABLE, visits(range(3), text).lazy()),
            lambda f: Audit(TABLE, "append", f.rows, f.rows),
        )
    return lake


def test_a_file_without_a_replaced_key_stays_as_it_is(tmp_path):
    lake = Lake(str(tmp_path / "lake"), limits=WriteLimits(small_file_rows=3))
    before = set(list_data_files(grown(lake).open(TABLE))["path"])
    put_keys(lake, visits([7], "b"), keys("b"))
    assert len(before & set(list_data_files(lake.open(TABLE))["path"])) == 2
    assert read_visits(lake)["text"].to_list() == [*"acacac", "b"]


def test_small_files_are_joined_where_keys_are_replaced(lake):
    put_keys(grown(lake), visits([7], "b"), keys("b"))
    assert list_data_files(lake.open(TABLE))["num_records"].sort().to_list() == [1, 6]


def test_no_replaced_key_touches_nothing(lake):
    before = set(list_data_files(grown(lake).open(TABLE))["path"])
    put_keys(lake, visits([], ""), keys())
    assert set(list_data_files(lake.open(TABLE))["path"]) == before


def test_rows_beside_a_replaced_key_stay_in_a_folder_of_any_name(tmp_path):
    lake = grown(Lake(str(tmp_path / "lake (1)")))
    put_keys(lake, visits([7], "b"), keys("b"))
    assert read_visits(lake)["text"].to_list() == [*"acacac", "b"]


def test_rows_that_are_lost_beside_a_replaced_key_stop_the_commit(lake, monkeypatch):
    def blind(*args, **kwargs):
        return scan_files(*args, **kwargs).clear()

    before = read_visits(grown(lake))
    monkeypatch.setattr("lakehouse.publish.replacement.scan_files", blind)
    with pytest.raises(LawError, match="were carried over"):
        put_keys(lake, visits([7], "b"), keys("b"))
    assert read_visits(lake).equals(before)


def test_a_key_may_have_several_columns(lake):
    put_keys(grown(lake), visits([1], "new"), keys("b", number=1))
    assert read_visits(lake)["text"].to_list() == ["a", "b", "c", "a", "c", "new", "a", "b", "c"]


def test_no_replaced_day_touches_nothing(lake):
    put(lake, visits([0], "0"))
    assert touch(lake, []) == []


def test_a_replacement_of_everything_removes_every_file(lake):
    put(lake, visits(range(70), "0"))
    assert plan(lake, replace_all(visits([], ""))).removed.height == 4
    put(lake, visits([1], "1"))
    assert read_visits(lake)["text"].to_list() == ["1"]


def test_replaced_days_without_new_rows_are_empty(lake):
    put(lake, visits([7, 8, 9], "0"))
    put(lake, visits([], "1"), [day(8)])
    assert read_visits(lake)["day"].to_list() == [day(7), day(9)]


def test_rows_that_move_keep_later_columns_and_their_nulls(lake):
    put(lake, visits([7, 8], "0"))
    wider = visits([8], "1").with_columns(more=pl.lit(5))
    put(lake, wider, [day(8)])
    put(lake, wider.with_columns(day=pl.lit(day(9))), [day(9)])
    assert lake.scan(TABLE).select("day", "more").collect().sort("day").rows() == [
        (day(7), None),
        (day(8), 5),
        (day(9), 5),
    ]


def foreign(lake: Lake, rows: pl.DataFrame, stats: str | None) -> None:
    """Adds a file as another writer does, with any statistics."""
    path = "_month=2024-02-01/foreign.parquet"
    rows.write_parquet(f"{lake.uri(TABLE)}/{path}")
    handle = lake.open(TABLE)
    add = AddAction(path, 1000, {"_month": "2024-02-01"}, 0, True, stats)
    handle.create_write_transaction(
        [add], "append", handle.schema(), ["_month"], commit_properties=CommitProperties()
    )


PARTLY = json.dumps(
    {
        "numRecords": 3,
        "minValues": {"text": "f"},
        "maxValues": {"text": "f"},
        "nullCount": {"text": 0},
    }
)
ONE_BOUND = json.dumps(
    {"numRecords": 3, "minValues": {"day": "2024-02-03"}, "maxValues": {}, "nullCount": {"day": 0}}
)


@pytest.mark.parametrize("stats", [None, "{}", PARTLY, ONE_BOUND, json.dumps({"numRecords": 3})])
def test_a_file_without_statistics_is_read(lake, stats):
    put(lake, visits([10, 40], "0"))
    foreign(lake, visits([9, 10, 11], "f"), stats)
    put(lake, visits([10], "1"), [day(10)])
    assert read_visits(lake).rows() == [
        (day(9), "f"),
        (day(10), "1"),
        (day(11), "f"),
        (day(40), "0"),
    ]


def test_rows_of_a_foreign_file_without_a_day_stay(lake):
    put(lake, visits([10], "0"))
    foreign(
        lake,
        visits([10], "f").vstack(pl.DataFrame({"day": [None], "text": ["f"]}, schema=SCHEMA)),
        None,
    )
    put(lake, visits([10], "1"), [day(10)])
    assert sorted(read_visits(lake).rows(), key=str) == [(None, "f"), (day(10), "1")]


def test_a_table_without_any_statistics_is_replaced_correctly(lake):
    rows = visits([10, 11], "0").with_columns(_month=pl.lit(date(2024, 2, 1)))
    properties = {"delta.dataSkippingNumIndexedCols": "0"}
    write_deltalake(lake.uri(TABLE), rows, partition_by=["_month"], configuration=properties)
    assert "min.day" not in list_data_files(lake.open(TABLE)).columns
    put(lake, visits([11], "1"), [day(11)])
    assert read_visits(lake).rows() == [(day(10), "0"), (day(11), "1")]


def test_a_compacted_table_is_replaced_correctly(lake):
    for number in range(7, 12):
        put(lake, visits([number], "0"), [day(number)])
    lake.open(TABLE).optimize.compact()
    assert list_data_files(lake.open(TABLE)).height == 1
    put(lake, visits([9], "1"), [day(9)])
    assert read_visits(lake)["text"].to_list() == ["0", "0", "1", "0", "0"]


def test_a_z_ordered_table_is_replaced_correctly(lake):
    put(lake, visits([7, 8, 9], "0"))
    lake.open(TABLE).optimize.z_order(["text"])
    put(lake, visits([8], "1"), [day(8)])
    assert read_visits(lake)["text"].to_list() == ["0", "1", "0"]


def test_a_file_of_replaced_days_is_read_where_its_bounds_hide_rows_without_a_day(lake):
    undated = pl.DataFrame({"day": [None], "text": ["undated"]}, schema=SCHEMA)
    put(lake, visits([10], "0").vstack(undated), physical=None)
    put(lake, visits([10], "1"), [day(10)], physical=None)
    assert sorted(read_visits(lake).rows(), key=str) == [(None, "undated"), (day(10), "1")]


def test_rows_without_a_day_are_replaced_on_request(lake):
    undated = pl.DataFrame({"day": [None], "text": ["undated"]}, schema=SCHEMA)
    put(lake, visits([10, 20], "0").vstack(undated), physical=None)
    put(lake, visits([30], "0").vstack(undated), [day(30)], physical=None)
    rows = visits([20], "1").lazy()
    request = ReplaceDays(TABLE, rows, day_column="day", days=[day(20)], has_undated=True)
    publish_rows(lake, request)
    assert read_visits(lake).rows() == [(day(10), "0"), (day(20), "1"), (day(30), "0")]
