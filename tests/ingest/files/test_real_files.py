"""Each kind of real file, counted as `shared/data/README.md` counts it."""

import polars as pl
import pytest
from support.sizes import full

from lakehouse.ingest.files.delivery import scan_rows
from lakehouse.tables.casting import cast
from lakehouse.tables.files import Files
from lakehouse.tables.read_times import read_epoch

pytestmark = pytest.mark.real_data


@pytest.mark.parametrize(
    ("path", "rows", "columns"),
    [
        ("online_retail/by_day/2010-12-01.csv.gz", 3108, 8),
        ("nyc_green_taxi/green_tripdata_2013-08.csv.gz", 7623, 20),
        full("nyc_green_taxi/green_tripdata_2020-04.csv.gz", 35_612, 20),
        full("nyc_green_taxi/green_tripdata_2024-01.parquet", 56_551, 20),
        ("nyc_green_taxi/green_tripdata_2025-01.parquet", 48_326, 21),
        ("nyc_green_taxi/taxi_zone_lookup.csv", 265, 4),
        full("appliances_energy/energydata_complete.csv.gz", 19_735, 29),
        full("beijing_air_quality/PRSA_Data_Dongsi_20130301-20170228.csv.gz", 35_064, 18),
        full("pjm_hourly_load/DUQ_hourly.csv.gz", 119_068, 2),
        ("ecb_fx/eurofxref-hist_2024-12-29.zip", 6656, 42),
        ("github_events/2015-01-01-0.json.gz", 7702, 8),
        full("wikipedia_edits/2015-09-12_00-12.json.gz", 16_467, 20),
        ("northwind/employees.csv", 9, 18),
        full("ourairports/2025-01-01/runways.csv.gz", 46_500, 20),
    ],
)
def test_real_files_are_read_without_a_dead_letter(read, real, path, rows, columns):
    delivery = read(real / path).delivery
    assert (delivery.rows_count, delivery.dead_count, len(delivery.columns)) == (rows, 0, columns)


def test_a_blank_second_line_and_surplus_commas_are_tolerated(read, real):
    delivery = read(
        real / "nyc_green_taxi/green_tripdata_2013-08.csv.gz", required=["trip_type"]
    ).delivery
    assert (delivery.notes, delivery.columns[-1]) == (("blank lines skipped: 1",), "trip_type")


def test_times_of_parquet_read_like_those_of_csv(read, real):
    texts = read(real / "nyc_green_taxi/green_tripdata_2024-01.parquet").values(
        "lpep_pickup_datetime"
    )
    assert all(len(text) == len("2024-01-01 00:46:55") for text in texts)


def test_numbers_keep_their_padding(read, real):
    assert (
        read(real / "appliances_energy/energydata_complete.csv.gz").values("Appliances")[0]
        == "  60"
    )


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("usgs_earthquakes/all_week_2021-07-20T142355Z.geojson.gz", "unknown format"),
    ],
)
def test_real_files_that_look_damaged_are_refused(read, real, path, reason):
    assert reason in read(real / path).delivery.refused


def test_a_real_header_with_a_doubled_name_lands_both_columns(read, real):
    seen = read(real / "building_weather/weather0.csv.gz")
    assert (len(seen.rows), seen.delivery.dead_count) == (8_999, 0)
    assert seen.delivery.columns[14:] == ("DateUTC<br />", "timestamp_2")
    assert seen.delivery.notes == ("columns under other names: timestamp as timestamp_2",)


def test_a_real_file_with_nothing_but_a_header_holds_no_record(read, real):
    delivery = read(real / "northwind/customer_demographics.csv").delivery
    assert (delivery.refused, delivery.empty_because) == (None, "header only: no records")


def test_a_real_file_cut_off_is_refused_not_shortened(read, real):
    content = (real / "online_retail/by_day/2010-12-01.csv.gz").read_bytes()
    seen = read(content[:-100], "2010-12-01.csv.gz")
    assert seen.delivery.rows is None
    assert "ends early" in seen.delivery.refused


def test_real_values_are_those_that_polars_reads(read, real):
    path = real / "online_retail/by_day/2010-12-01.csv.gz"
    assert read(path).rows == pl.read_csv(path, infer_schema=False).rows()


def test_keys_that_only_some_real_events_have_are_cast(read, real):
    delivery = read(real / "github_events/2015-01-01-0.json.gz").delivery
    size = pl.col("payload").str.json_path_match("$.size").cast(pl.Int64, strict=False)
    rows = cast(scan_rows(delivery), size=size).select("type", "size", "_unread_size").collect()
    assert (rows.height, rows["_unread_size"].any()) == (7702, False)
    has_size = pl.col("size").is_not_null()
    assert rows.filter(has_size)["type"].value_counts().rows() == [("PushEvent", 4280)]
    assert rows.filter(~has_size, type="PushEvent").is_empty()


def test_milliseconds_within_real_geojson_are_cast(read, real):
    path = real / "usgs_earthquakes/all_week_2021-07-20T142355Z.geojson.gz"
    delivery = read(path, files=Files(format="json", records="features[]")).delivery
    at = read_epoch(pl.col("properties").str.json_path_match("$.time"), unit="ms")
    felt = pl.col("properties").str.json_path_match("$.felt").cast(pl.Int64, strict=False)
    rows = cast(scan_rows(delivery), at=at, felt=felt).collect()
    assert (rows.height, delivery.dead_count) == (3098, 0)
    assert not rows.select(pl.any_horizontal(pl.col("^_unread_.*$")).any()).item()
    assert {(time.year, time.month) for time in rows["at"]} == {(2021, 7)}
    assert 0 < rows["felt"].null_count() < rows.height
