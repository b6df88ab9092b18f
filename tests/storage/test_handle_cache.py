"""Open tables are shared while they are the latest version, and no longer."""

import shutil
from pathlib import Path

import obstore
import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake

from lakehouse.publish.audit import Audit
from lakehouse.publish.publish import publish
from lakehouse.publish.request import Append
from lakehouse.storage.lake import Lake, list_data_files
from lakehouse.storage.revision import read_revision

TABLE = "raw/things"


def put(lake: Lake, number: int) -> None:
    rows = pl.LazyFrame({"n": [number]})
    publish(
        lake,
        Append(TABLE, rows),
        lambda f: Audit(TABLE, "append", read=f.rows, written=f.rows),
    )


def numbers(lake: Lake) -> list[int]:
    return sorted(lake.scan(TABLE).collect()["n"])


@pytest.fixture
def lake(tmp_path) -> Lake:
    lake = Lake(str(tmp_path / "lake"))
    put(lake, 0)
    return lake


def test_a_table_that_nobody_changed_is_opened_once(lake):
    assert lake.open_shared(TABLE) is lake.open_shared(TABLE) is lake.open_shared(TABLE, 0)


def test_a_commit_of_somebody_else_is_seen(lake):
    assert numbers(lake) == [0]
    write_deltalake(lake.uri(TABLE), pl.DataFrame({"n": [1]}), mode="append")
    assert numbers(lake) == [0, 1]


def test_what_was_opened_stands_where_it_was_whoever_commits_through_it(lake):
    before = lake.open_shared(TABLE)
    put(lake, 1)
    assert (before.version(), list_data_files(before).height) == (0, 1)
    assert lake.version(TABLE) == 1


def test_a_table_that_was_built_again_under_its_name_is_not_the_old_one(lake):
    old = lake.open_shared(TABLE).metadata().id
    shutil.rmtree(lake.uri(TABLE))
    assert lake.open_shared(TABLE) is None
    put(lake, 7)
    assert lake.open_shared(TABLE).metadata().id != old
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


def test_a_handle_that_a_user_moves_is_nobody_elses(lake):
    put(lake, 1)
    own, shared = lake.open(TABLE), lake.open_shared(TABLE)
    own.restore(0)
    assert (own.version(), shared.version(), lake.open_shared(TABLE).version()) == (2, 1, 2)


def test_a_handle_is_given_up_when_its_log_entries_may_go(lake):
    put(lake, 1)
    shared = lake.open_shared(TABLE)
    lake.open(TABLE).create_checkpoint()
    (Path(lake.uri(TABLE)) / "_delta_log" / f"{0:020}.json").unlink()
    assert lake.open_shared(TABLE) is not shared
    assert lake.open_shared(TABLE).transaction_version("nobody") is None


def test_looking_for_a_lake_that_is_not_there_makes_no_folder(tmp_path):
    assert Lake(str(tmp_path / "nowhere")).open_shared(TABLE) is None
    assert list(tmp_path.iterdir()) == []


def test_a_new_column_does_not_move_what_others_have_opened(lake):
    before = lake.open_shared(TABLE)
    rows = pl.LazyFrame({"n": [1], "more": ["x"]})
    publish(
        lake,
        Append(TABLE, rows),
        lambda f: Audit(TABLE, "append", read=f.rows, written=f.rows),
    )
    assert before.version() == 0
    assert [field.name for field in before.schema().fields] == ["n"]
    assert lake.open_shared(TABLE, 0).version() == 0


def test_a_table_is_checkpointed_every_ten_commits(lake):
    for number in range(1, 12):
        put(lake, number)
    names = [path.name for path in (Path(lake.uri(TABLE)) / "_delta_log").iterdir()]
    assert len([name for name in names if name.endswith(".checkpoint.parquet")]) == 1


def test_a_revision_that_is_open_is_had_without_a_question_to_the_store(lake, monkeypatch):
    handle = lake.open_shared(TABLE)
    monkeypatch.setattr(obstore, "head", None)
    assert lake.open_shared(TABLE, read_revision(handle)) is handle


def test_an_older_revision_is_opened_and_not_kept(lake):
    first = lake.revision(TABLE)
    put(lake, 1)
    assert lake.open_shared(TABLE, first).version() == 0
    assert numbers(lake) == [0, 1]


def test_a_revision_is_no_version_of_a_table_that_was_built_again(lake):
    first = lake.revision(TABLE)
    shutil.rmtree(lake.uri(TABLE))
    put(lake, 7)
    other = Lake(lake.root)
    assert other.open_shared(TABLE, first) is None
    assert other.open_shared(TABLE, 0) is not None
