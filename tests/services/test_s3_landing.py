"""A landing zone in a bucket: names of any kind, folder markers of consoles, and objects of no table."""

import pytest
from support.buckets import bucket_world, put
from support.worlds import catalog_of, land_all

from assets.retail import raw

NAMES = [
    "my file.csv",
    "ä ö.csv",
    "a+b.csv",
    "a#b.csv",
    "a%20b.csv",
    "q?.csv",
    "2024/x.csv",
    "[x].csv",
    "a*b.csv",
]


@pytest.fixture
def here(server, bucket):
    return bucket_world(server, bucket, catalog_of(rates=raw.fx_rates))


def test_a_file_of_any_name_is_landed_once(here):
    for number, name in enumerate(NAMES):
        put(here, "fx_rates", name, f"Date,USD\n2010-12-01,{number}\n")
    assert [
        land_all(here)["raw/fx_rates"].audits[0].rows,
        *land_all(here)["raw/fx_rates"].audits,
    ] == [len(NAMES)]
    sources = here.lake.scan("raw/fx_rates").select("_source").collect().to_series()
    assert sorted(source.rpartition("#")[0] for source in sources) == sorted(NAMES)


def test_the_markers_of_folders_are_no_files(here):
    put(here, "fx_rates", "2024/x.csv", "Date,USD\n2010-12-01,1\n")
    put(here, "fx_rates", "2024/", "")
    put(here, "fx_rates", "", "")
    assert [entry.name for entry in here.landing.list_entries("fx_rates")] == ["2024/x.csv"]


def test_what_belongs_to_no_table_is_told(here):
    put(here, "prices", "x.csv", "a\n")
    assert here.landing.list_unclaimed(["fx_rates"]) == ["prices/"]


def test_an_object_that_was_replaced_within_its_second_is_read_again(here):
    for number in range(1, 4):
        put(here, "fx_rates", "x.csv", f"Date,USD\n2010-12-01,{number}\n")
        assert [audit.rows for audit in land_all(here)["raw/fx_rates"].audits] == [1]
    assert land_all(here)["raw/fx_rates"].audits == ()
    assert sorted(here.lake.scan("raw/fx_rates").collect()["USD"]) == ["1", "2", "3"]
