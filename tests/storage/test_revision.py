"""Revisions and their text form."""

import shutil

import polars as pl
import pytest
from deltalake import write_deltalake

from lakehouse.storage.lake import Lake
from lakehouse.storage.revision import Revision, log_position, parse_revision, parse_revisions

TABLE = "raw/orders"


@pytest.fixture
def lake(tmp_path) -> Lake:
    lake = Lake(str(tmp_path))
    append(lake)
    return lake


def append(lake: Lake) -> None:
    write_deltalake(lake.uri(TABLE), pl.DataFrame({"n": [1]}), mode="append")


def test_a_revision_comes_back_from_its_text(lake):
    revision = lake.revision(TABLE)
    assert revision is not None
    assert parse_revision(str(revision)) == revision


@pytest.mark.parametrize("text", ["", "0", "@", "x@y", "-1@y", "1@", None, 7, {"version": 1}])
def test_what_is_not_the_text_of_a_revision_is_none(text):
    assert parse_revision(text) is None


def test_what_is_not_a_revision_is_left_out_of_several():
    assert parse_revisions({"a": "3@x", "b": "soon", "c": None}) == {"a": Revision(3, "x")}


def test_a_table_that_does_not_exist_has_no_revision(lake):
    assert lake.revision("raw/none") is None


def test_an_earlier_revision_is_in_the_history_of_a_table_and_a_later_one_is_not(lake):
    earlier = lake.revision(TABLE)
    append(lake)
    later = lake.revision(TABLE)
    assert (earlier.is_in(later), later.is_in(earlier), later.is_in(later)) == (True, False, True)


def test_a_revision_is_not_in_the_history_of_a_table_that_was_built_again(lake):
    before = lake.revision(TABLE)
    shutil.rmtree(lake.uri(TABLE))
    assert not before.is_in(lake.revision(TABLE))
    append(lake)
    append(lake)
    assert not before.is_in(lake.revision(TABLE))


def test_the_log_after_a_revision_begins_with_the_next_commit(lake):
    first = lake.revision(TABLE)
    append(lake)
    assert [c.version for c in lake.read_log(TABLE, after=log_position(first))] == [1]
    assert [c.version for c in lake.read_log(TABLE, after=log_position(None))] == [0, 1]
