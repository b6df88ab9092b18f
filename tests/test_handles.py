"""Open tables are shared as long as they are the latest, and never longer."""

import shutil
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake

from lakehouse.audit import Audit
from lakehouse.lake import Lake, files
from lakehouse.publish import publish
from lakehouse.sheet import Sheet

TABLE = "raw/things"


def put(lake: Lake, number: int) -> None:
    rows = pl.LazyFrame({"n": [number]})
    publish(lake, Sheet(TABLE, rows, "append"), lambda f: Audit(TABLE, "append", read=f.rows, written=f.rows))


def numbers(lake: Lake) -> list[int]:
    return sorted(lake.scan(TABLE).collect()["n"])


@pytest.fixture
def lake(tmp_path) -> Lake:
    lake = Lake(str(tmp_path / "lake"))
    put(lake, 0)
    return lake


def test_a_table_that_nobody_changed_is_opened_once(lake):
    assert lake.open(TABLE) is lake.open(TABLE) is lake.open(TABLE, 0)


def test_a_commit_of_somebody_else_is_seen(lake):
    assert numbers(lake) == [0]
    write_deltalake(lake.uri(TABLE), pl.DataFrame({"n": [1]}), mode="append")
    assert numbers(lake) == [0, 1]


def test_what_was_opened_stands_where_it_was_whoever_commits_through_it(lake):
    before = lake.open(TABLE)
    put(lake, 1)
    assert (before.version(), files(before).height) == (0, 1)
    assert lake.version(TABLE) == 1


def test_a_table_that_was_built_again_under_its_name_is_not_the_old_one(lake):
    old = lake.open(TABLE).metadata().id
    shutil.rmtree(lake.uri(TABLE))
    assert lake.open(TABLE) is None
    put(lake, 7)
    assert lake.open(TABLE).metadata().id != old
    assert numbers(lake) == [7]


def test_a_table_whose_old_log_entries_are_cleaned_up_is_opened_anew(lake):
    assert numbers(lake) == [0]
    other = Lake(lake.root)
    for number in range(1, 12):
        put(other, number)
    DeltaTable(lake.uri(TABLE)).create_checkpoint()
    for version in range(11):
        (Path(lake.uri(TABLE)) / "_delta_log" / f"{version:020}.json").unlink()
    assert numbers(lake) == list(range(12))


def test_a_new_column_does_not_move_what_others_have_opened(lake):
    before = lake.open(TABLE)
    rows = pl.LazyFrame({"n": [1], "more": ["x"]})
    publish(lake, Sheet(TABLE, rows, "append"), lambda f: Audit(TABLE, "append", read=f.rows, written=f.rows))
    assert before.version() == 0
    assert [field.name for field in before.schema().fields] == ["n"]
    assert lake.open(TABLE, 0).version() == 0


def test_a_table_is_checkpointed_every_ten_commits(lake):
    for number in range(1, 12):
        put(lake, number)
    names = [path.name for path in (Path(lake.uri(TABLE)) / "_delta_log").iterdir()]
    assert len([name for name in names if name.endswith(".checkpoint.parquet")]) == 1
