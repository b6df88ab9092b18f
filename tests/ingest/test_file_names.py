"""Days that only the name of a file holds, and the identity of the files that are named so."""

import hashlib
from datetime import date

import polars as pl
import pytest
from support.worlds import NOW, catalog_of, world, write

from lakehouse.errors import SetupError
from lakehouse.ingest.land import land, read_news
from lakehouse.lineage.commit_history import read_audit
from lakehouse.operations.replay import replay
from lakehouse.quarantine.dead_letters import DEAD_LETTERS
from lakehouse.system_columns import EVENT_DATE
from lakehouse.tables import file_name, raw

STOCK = "raw/stock"
DAY = file_name().str.extract(r"(\d{4}-?\d\d-?\d\d)").str.replace_all("-", "")
NAMED = DAY.str.to_date("%Y%m%d", strict=False)


def lake_of(folder, day=NAMED, **declared):
    table = raw("stock", "Stock.", columns=("id", "on_hand"), day=day, **declared)
    return world(folder, catalog_of(stock=table))


def land_now(here):
    return land(here.lake, here.landing, here.catalog[STOCK], now=NOW)


def days(here):
    return sorted(here.lake.scan(STOCK).collect()[EVENT_DATE].to_list(), key=str)


@pytest.mark.parametrize("is_apart", [True, False], ids=["later", "in one batch"])
def test_equal_bytes_of_two_days_in_the_names_are_two_deliveries(tmp_path, is_apart):
    here = lake_of(tmp_path)
    for name in ("stock_2024-03-01.csv", "2024-03-02/stock.csv", "stock_20240303.csv"):
        write(here, "stock", name, "id,on_hand\n7,1\n")
        if is_apart:
            assert land_now(here).repeated == ()
    land_now(here)
    assert days(here) == [date(2024, 3, day) for day in (1, 2, 3)]
    assert land_now(here).audits == ()
    assert read_news(here.lake, here.landing, here.catalog[STOCK]).ready == ()


def test_equal_bytes_of_one_day_in_the_names_are_one_delivery(tmp_path):
    here = lake_of(tmp_path)
    write(here, "stock", "stock_2024-03-01.csv", "id,on_hand\n7,1\n")
    write(here, "stock", "again_2024-03-01.csv", "id,on_hand\n7,1\n")
    assert len(land_now(here).repeated) == 1
    assert days(here) == [date(2024, 3, 1)]


def test_a_name_without_a_day_gives_rows_without_a_day(tmp_path):
    here = lake_of(tmp_path)
    write(here, "stock", "stock.csv", "id,on_hand\n7,1\n")
    land_now(here)
    assert days(here) == [None]


def test_a_day_may_need_the_name_and_a_column(tmp_path):
    month = file_name().str.extract(r"(\d{4}-\d\d)")
    day = pl.concat_str(month, pl.lit("-"), "id").str.to_date("%Y-%m-%d", strict=False)
    here = lake_of(tmp_path, day)
    for name in ("2024-03.csv", "2024-04.csv"):
        write(here, "stock", name, "id,on_hand\n07,1\n")
    land_now(here)
    assert days(here) == [date(2024, 3, 7), date(2024, 4, 7)]


def test_columns_that_folders_hold_can_be_read_from_the_name():
    rows = pl.LazyFrame({"_source": ["year=2024/month=01/part-0.csv#" + "0" * 64]})
    year = file_name().str.extract(r"year=(\d+)").alias("year")
    assert rows.select(year, file_name()).collect().rows() == [
        ("2024", "year=2024/month=01/part-0.csv")
    ]


def test_a_day_that_names_no_column_is_a_wrong_declaration(tmp_path):
    with pytest.raises(SetupError, match="`day` does not fit the columns"):
        lake_of(tmp_path, pl.col("no_such_column"))


def test_a_refused_file_of_a_day_in_its_name_can_be_replayed(tmp_path):
    here = lake_of(tmp_path, drift="freeze")
    write(here, "stock", "2024-03-01.csv", "id,on_hand,more\n7,1,2\n")
    land_now(here)
    assert here.lake.scan(DEAD_LETTERS).collect().height == 1
    columns = ("id", "on_hand", "more")
    table = raw("stock", "Stock.", columns=columns, day=NAMED, drift="freeze")
    here = world(tmp_path, catalog_of(stock=table))
    assert replay(here, STOCK).released.rows == 1
    assert days(here) == [date(2024, 3, 1)]


def test_a_row_names_its_file_with_the_whole_hash_of_its_bytes(tmp_path):
    here = lake_of(tmp_path, None)
    content = b"id,on_hand\n7,1\n"
    write(here, "stock", "stock.csv", content)
    land_now(here)
    [source] = here.lake.scan(STOCK).collect()["_source"]
    assert source == f"stock.csv#{hashlib.sha256(content).hexdigest()}"


def test_a_commit_says_how_its_files_were_read(tmp_path):
    here = lake_of(tmp_path)
    write(here, "stock", "2024-03-01.csv", "id,on_hand\n7,1\n")
    land_now(here)
    assumed = read_audit(here.lake.read_log(STOCK)[-1]).assumed
    assert "double quotes" in assumed["csv"]
    assert "cell_bytes 1048576, columns 10000" in assumed["limits"]


def test_rows_of_a_version_with_shorter_hashes_are_named_and_nothing_lands_beside_them(tmp_path):
    here = lake_of(tmp_path, None)
    write(here, "stock", "stock.csv", "id,on_hand\n7,1\n")
    land_now(here)
    table = here.lake.open(STOCK)
    table.update(updates={"_source": f"'stock.csv#{'0' * 16}'"})
    with pytest.raises(SetupError, match=r"before 0.2.0.*\nNext: rebuild the lake"):
        land_now(here)
    assert here.lake.scan(STOCK).collect().height == 1
