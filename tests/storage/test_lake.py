"""Where tables are: their names, opening them, listing them, and what their logs still hold."""

from pathlib import Path

import polars as pl
import pytest
from deltalake import write_deltalake
from obstore.store import LocalStore

from lakehouse.errors import SetupError
from lakehouse.storage.lake import Lake, list_data_files

ROWS = pl.DataFrame({"a": [1, 2]})


@pytest.fixture
def lake(tmp_path):
    return Lake(str(tmp_path / "lake"))


def commit(lake: Lake, table: str, times: int = 1) -> None:
    Path(lake.uri(table)).mkdir(parents=True, exist_ok=True)
    for _ in range(times):
        write_deltalake(lake.uri(table), ROWS, mode="append")


def entry(lake: Lake, table: str, version: int) -> Path:
    return Path(lake.uri(table)) / "_delta_log" / f"{version:020}.json"


@pytest.mark.parametrize("layer", ["raw", "staged", "marts", "quarantine"])
def test_a_table_stands_below_its_layer(layer):
    assert Lake("/data/lake").uri(f"{layer}/orders_2024") == f"/data/lake/{layer}/orders_2024"


@pytest.mark.parametrize("root", ["s3://bucket/lake", "s3://bucket/lake/"])
def test_a_lake_in_a_bucket_has_uris(root):
    assert Lake(root).uri("raw/orders") == "s3://bucket/lake/raw/orders"
    assert not Lake(root).is_local


@pytest.mark.parametrize(
    "name",
    [
        "",
        "orders",
        "raw/",
        "raw/Orders",
        "raw/1st",
        "raw/a/b",
        "raw/../x",
        "bronze/orders",
        "/raw/a",
        "raw/a ",
        "raw/ä",
        "raw/a\n",
    ],
)
def test_what_is_no_name_of_a_table_is_refused(lake, name):
    with pytest.raises(SetupError, match="is not the name of a table"):
        lake.uri(name)


def test_options_are_never_shown():
    assert "secret" not in repr(Lake("s3://bucket", {"aws_secret_access_key": "secret"}))


def test_a_table_that_does_not_exist_has_no_version(lake):
    assert (
        lake.open("raw/orders"),
        lake.version("raw/orders"),
        lake.read_log("raw/orders"),
        lake.tables(),
    ) == (
        None,
        None,
        [],
        [],
    )


def test_a_folder_without_a_log_is_no_table(lake):
    Path(lake.uri("raw/orders")).mkdir(parents=True)
    assert lake.open("raw/orders") is None


def test_a_scan_of_an_unknown_table_names_those_that_exist(lake):
    commit(lake, "raw/orders")
    with pytest.raises(SetupError, match=r"no table raw/lines[\s\S]*The tables are: raw/orders"):
        lake.scan("raw/lines")


def test_an_older_version_can_be_scanned(lake):
    commit(lake, "raw/orders", 2)
    assert lake.scan("raw/orders", 0).collect().height == 2
    assert lake.scan("raw/orders").collect().height == 4


def test_tables_are_listed_layer_by_layer_and_nothing_else_is(lake):
    for table in ("marts/b", "marts/a", "raw/z", "quarantine/raw_z"):
        commit(lake, table)
    for folder in (
        "raw/empty",
        "raw/.hidden",
        "raw/Upper",
        "scratch/x",
        "raw/files/deeper",
        "quarantine/_files/z",
    ):
        (Path(lake.root) / folder).mkdir(parents=True)
        (Path(lake.root) / folder / "file.txt").write_text("x")
    (Path(lake.root) / "raw" / "note").write_text("x")
    assert lake.tables() == ["raw/z", "marts/a", "marts/b", "quarantine/raw_z"]


def test_the_files_of_a_table_come_with_their_statistics(lake):
    commit(lake, "raw/orders")
    (file,) = list_data_files(lake.open("raw/orders")).iter_rows(named=True)
    assert (file["num_records"], file["min.a"], file["max.a"], file["null_count.a"]) == (2, 1, 2, 0)


def test_an_empty_table_has_no_files(lake):
    Path(lake.uri("raw/orders")).mkdir(parents=True)
    write_deltalake(lake.uri("raw/orders"), ROWS.head(0))
    assert list_data_files(lake.open("raw/orders")).is_empty()


@pytest.mark.parametrize(
    ("after", "versions"), [(-1, [0, 1, 2]), (0, [1, 2]), (1, [2]), (2, []), (9, [])]
)
def test_the_log_begins_after_a_version(lake, after, versions):
    commit(lake, "raw/orders", 3)
    assert [commit.version for commit in lake.read_log("raw/orders", after=after)] == versions


def test_a_log_entry_tells_what_was_added_and_removed(lake):
    commit(lake, "raw/orders")
    lake.open("raw/orders").delete()
    first, second = lake.read_log("raw/orders")
    assert (first.info["operation"], len(first.added), len(first.removed)) == ("WRITE", 1, 0)
    assert (second.info["operation"], len(second.added), len(second.removed)) == ("DELETE", 0, 1)


@pytest.mark.parametrize("gone", [0, 1])
def test_a_log_with_a_gap_is_no_log(lake, gone):
    commit(lake, "raw/orders", 3)
    lake.open("raw/orders").create_checkpoint()
    entry(lake, "raw/orders", gone).unlink()
    assert lake.read_log("raw/orders") is None
    assert [commit.version for commit in lake.read_remaining_log("raw/orders")] == [
        n for n in range(3) if n != gone
    ]


def test_a_gap_before_the_version_does_not_matter(lake):
    commit(lake, "raw/orders", 3)
    lake.open("raw/orders").create_checkpoint()
    entry(lake, "raw/orders", 0).unlink()
    assert [commit.version for commit in lake.read_log("raw/orders", after=0)] == [1, 2]


def test_a_checkpoint_is_no_log_entry(lake):
    commit(lake, "raw/orders", 2)
    lake.open("raw/orders").create_checkpoint()
    assert [commit.version for commit in lake.read_log("raw/orders")] == [0, 1]


class Earlier(Lake):
    """A lake whose latest version was read just before somebody committed."""

    def version(self, table: str) -> int | None:
        return (super().version(table) or 0) - 1


def test_a_commit_while_the_log_is_read_is_for_the_next_look(lake):
    commit(lake, "raw/orders", 3)
    assert [commit.version for commit in Earlier(lake.root).read_log("raw/orders")] == [0, 1]


def test_the_log_of_one_table_is_not_that_of_another_with_a_longer_name(lake):
    commit(lake, "raw/orders", 2)
    commit(lake, "raw/orders_old", 3)
    assert len(lake.read_log("raw/orders")) == 2


def test_the_store_of_a_folder_is_the_folder(lake):
    assert isinstance(lake.store, LocalStore)
    assert Path(lake.root).is_dir()
