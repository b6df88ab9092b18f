"""Six green-taxi files through one raw table: three header generations, CSV to Parquet, a new column, wider types."""

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from support.sizes import first, full
from support.worlds import catalog_of, deliver, land_all, world

from lakehouse.environment import Environment
from lakehouse.ingest.land import LandResult
from lakehouse.observe.overview import list_audits
from lakehouse.quarantine.dead_letters import DEAD_LETTERS
from lakehouse.system_columns import RESCUED
from lakehouse.tables.declare import raw

pytestmark = pytest.mark.real_data

TRIPS = "raw/trips"
ROWS = {
    "2013-08": 7_623,
    "2020-04": 35_612,
    "2020-09": 87_987,
    "2023-12": 64_215,
    "2024-01": 56_551,
    "2025-01": 48_326,
}
TEXTS = ("lpep_pickup_datetime", "lpep_dropoff_datetime", "store_and_fwd_flag")
SMALL = ("VendorID", "PULocationID", "DOLocationID")
COUNTS = ("RatecodeID", "passenger_count", "payment_type", "trip_type")
AMOUNTS = (
    *(
        "trip_distance",
        "fare_amount",
        "extra",
        "mta_tax",
        "tip_amount",
        "tolls_amount",
        "ehail_fee",
    ),
    *("improvement_surcharge", "total_amount", "congestion_surcharge"),
)
OPTIONAL = ("PULocationID", "DOLocationID", "improvement_surcharge", "congestion_surcharge")
AS_PARQUET = {
    **dict.fromkeys(TEXTS, pl.String()),
    **dict.fromkeys(SMALL, pl.Int32()),
    **dict.fromkeys(COUNTS, pl.Int64()),
    **dict.fromkeys(AMOUNTS, pl.Float64()),
}
NARROW = {
    **AS_PARQUET,
    **dict.fromkeys((*COUNTS, "improvement_surcharge", "congestion_surcharge"), pl.Int32()),
}
TEXT = tuple(AS_PARQUET)
COORDINATES = ("Pickup_longitude", "Pickup_latitude", "Dropoff_longitude", "Dropoff_latitude")


def taxi(folder: Path, **declared: object) -> Environment:
    return world(
        folder,
        catalog_of(trips=raw("trips", "Green taxis.", **{"columns": AS_PARQUET, **declared})),
    )


def land_months(
    here: Environment, real: Path, *months: str, at_once: bool = False
) -> list[LandResult]:
    """Deliver some months, each landed before the next one comes."""
    reports = []
    for number, month in enumerate(months, 1):
        deliver(here, "trips", *(real / "nyc_green_taxi").glob(f"green_tripdata_{month}.*"))
        if not at_once or number == len(months):
            reports.append(land_all(here)[TRIPS])
    return reports


def by_month(here: Environment, rows: pl.Expr | None = None) -> dict[str, int]:
    month = pl.col("_source").str.extract(r"(\d{4}-\d\d)")
    found = here.lake.scan(TRIPS).filter(pl.lit(True) if rows is None else rows)
    return dict(found.group_by(month).len().sort("_source").collect().iter_rows())


def dead(here: Environment) -> dict[str, str]:
    if here.lake.version(DEAD_LETTERS) is None:
        return {}
    letters = here.lake.scan(DEAD_LETTERS).select(
        pl.col("_source").str.extract(r"(\d{4}-\d\d)"), "reason"
    )
    return dict(letters.sort("_source").collect().iter_rows())


@pytest.fixture(scope="module")
def landed(real, tmp_path_factory) -> Callable[..., Environment]:
    """Lakes of all six files, landed one after another under a way to meet drift; to be read only."""
    made: dict[str, Environment] = {}

    def under(drift: str, columns: object = AS_PARQUET) -> Environment:
        name = f"{drift}-{[AS_PARQUET, NARROW, TEXT].index(columns)}"
        if name not in made:
            made[name] = taxi(
                tmp_path_factory.mktemp(name), optional=OPTIONAL, drift=drift, columns=columns
            )
            land_months(made[name], real, *ROWS)
        return made[name]

    return under


@pytest.mark.parametrize(
    "columns", first(2, [AS_PARQUET, NARROW, TEXT]), ids=["typed", "narrow", "text"]
)
@pytest.mark.parametrize("drift", ["evolve", full("rescue")])
def test_every_row_of_every_file_lands(landed, drift, columns):
    here = landed(drift, columns)
    assert by_month(here) == ROWS
    assert here.lake.version(DEAD_LETTERS) is None


# Evolve


def test_an_evolving_table_gets_the_columns_of_every_generation(landed):
    here = landed("evolve")
    columns = here.lake.scan(TRIPS).collect_schema()
    assert [n for n in columns if n not in AS_PARQUET and n[0] != "_"] == [
        *COORDINATES,
        "cbd_congestion_fee",
    ]
    assert {name: columns[name] for name in AS_PARQUET} == AS_PARQUET
    assert by_month(here, pl.col("Pickup_longitude").is_not_null()) == {"2013-08": 7_623}
    assert by_month(here, pl.col("cbd_congestion_fee").is_not_null()) == {"2025-01": 46_490}
    assert by_month(here, pl.col("PULocationID").is_null()) == {"2013-08": 7_623}


def test_narrow_columns_widen_and_every_value_is_as_in_a_table_of_the_wide_types(landed):
    wide, grown = (
        landed("evolve", columns).lake.scan(TRIPS).collect() for columns in (AS_PARQUET, NARROW)
    )
    assert grown.schema == wide.schema
    moving = ("_batch_id", "_ingested_at")
    assert_frame_equal(*(frame.drop(moving).sort("_source", "_offset") for frame in (wide, grown)))


def test_each_version_of_a_widened_table_stays_readable(landed):
    here, seen = landed("evolve", NARROW), []
    for version in range(7):
        frame = (
            here.lake.scan(TRIPS, version)
            .select("passenger_count", "congestion_surcharge")
            .collect()
        )
        seen.append((frame.height, *(str(dtype) for dtype in frame.dtypes)))
    assert seen == [
        (7_623, "Int32", "Int32"),
        (43_235, "Int32", "Float64"),
        (131_222, "Int32", "Float64"),
        (195_437, "Int64", "Float64"),
        (251_988, "Int64", "Float64"),
        (251_988, "Int64", "Float64"),  # the new column, and then the rows that have it
        (300_314, "Int64", "Float64"),
    ]


def test_a_widening_reports_how_many_rows_were_rewritten(landed):
    here = landed("evolve", NARROW)
    assert [audit.carried for audit in list_audits(here, TRIPS)] == [0, 7_623, 0, 131_222, 0, 0]


# Freeze


def test_a_frozen_table_takes_the_files_of_its_own_generation_whatever_their_format(landed):
    here = landed("freeze")
    assert by_month(here) == {
        month: rows for month, rows in ROWS.items() if month not in ("2013-08", "2025-01")
    }
    frozen = "new columns, but raw/trips is frozen: "
    assert dead(here) == {
        "2013-08": frozen + ", ".join(COORDINATES),
        "2025-01": frozen + "cbd_congestion_fee",
    }
    assert here.lake.scan(TRIPS).select(*AS_PARQUET).collect_schema() == AS_PARQUET


@pytest.mark.full
def test_a_frozen_table_of_text_takes_no_file_of_types(landed):
    here = landed("freeze", TEXT)
    assert by_month(here) == {"2020-04": 35_612, "2020-09": 87_987}
    assert sorted(dead(here)) == ["2013-08", "2023-12", "2024-01", "2025-01"]
    assert "VendorID is Int32 in the file and String in raw/trips" in dead(here)["2023-12"]


@pytest.mark.full
def test_a_frozen_table_names_how_many_values_do_not_fit(landed):
    reason = dead(landed("freeze", NARROW))["2020-04"]
    assert reason == (
        "types differ: improvement_surcharge is String in the file and Int32 in raw/trips (35,378 of its values do "
        "not fit); congestion_surcharge is String in the file and Int32 in raw/trips (3,919 of its values do not fit)"
    )


# Rescue


def test_a_rescuing_table_keeps_what_its_columns_do_not_hold(landed):
    here = landed("rescue")
    assert by_month(here, pl.col(RESCUED).is_not_null()) == {"2013-08": 7_623, "2025-01": 46_490}
    assert here.lake.scan(TRIPS).select(*AS_PARQUET).collect_schema() == AS_PARQUET


@pytest.mark.parametrize(
    ("column", "counts"),
    [
        ("improvement_surcharge", [0, 35_378, 87_744, 46, 450, 188]),
        ("congestion_surcharge", [0, 3_919, 9_725, 16_169, 15_037, 14_429]),
        ("cbd_congestion_fee", [0, 0, 0, 0, 0, 46_490]),
        ("Pickup_longitude", [7_623, 0, 0, 0, 0, 0]),
        ("passenger_count", [0, 0, 0, 0, 0, 0]),
    ],
)
def test_values_that_narrow_columns_do_not_hold_are_rescued_one_by_one(landed, column, counts):
    found = by_month(
        landed("rescue", NARROW), pl.col(RESCUED).str.json_path_match(f"$.{column}").is_not_null()
    )
    assert [found.get(month, 0) for month in ROWS] == counts


def test_no_value_is_lost_between_a_column_and_what_was_rescued(landed):
    evolved, rescued = (landed(drift, NARROW).lake.scan(TRIPS) for drift in ("evolve", "rescue"))
    column = "congestion_surcharge"
    kept = pl.col(RESCUED).str.json_path_match(f"$.{column}").cast(pl.Float64)
    values = rescued.select(
        "_source", "_offset", pl.coalesce(pl.col(column).cast(pl.Float64), kept).alias(column)
    )
    assert_frame_equal(
        *(
            rows.select("_source", "_offset", column).sort("_source", "_offset").collect()
            for rows in (evolved, values)
        )
    )


def test_a_rescued_value_has_every_digit_that_was_delivered(landed):
    rows = (
        landed("rescue")
        .lake.scan(TRIPS)
        .filter(pl.col("_source").str.contains("2013-08"))
        .sort("_offset")
    )
    last = json.loads(rows.select(RESCUED).last().collect().item())
    assert last == {
        "Pickup_longitude": "-73.980033874511719",
        "Pickup_latitude": "40.676315307617187",
        "Dropoff_longitude": "-73.964218139648437",
        "Dropoff_latitude": "40.652080535888672",
    }


# Any order


ORDERS = {
    "newest first": tuple(ROWS)[::-1],
    "mixed": ("2024-01", "2013-08", "2025-01", "2020-09", "2023-12", "2020-04"),
}
FEW = [("evolve", "newest first"), ("rescue", "mixed")]
OTHERS = [("evolve", "mixed"), ("rescue", "newest first")]
OTHERS += [("freeze", order) for order in ORDERS]


@pytest.mark.full
@pytest.mark.parametrize(("drift", "order"), [*FEW, *(full(*other) for other in OTHERS)])
def test_the_files_in_another_order_end_in_the_same_table(landed, real, tmp_path, drift, order):
    here = taxi(tmp_path, optional=OPTIONAL, drift=drift, columns=NARROW)
    land_months(here, real, *ORDERS[order], at_once=order == "mixed")
    assert dead(here) == dead(landed(drift, NARROW))
    tables = [lake.scan(TRIPS).collect() for lake in (here.lake, landed(drift, NARROW).lake)]
    plain = [
        frame.drop("_batch_id", "_ingested_at", "_modified_at").sort("_source", "_offset")
        for frame in tables
    ]
    assert_frame_equal(*plain, check_column_order=False)


# Renames


def test_the_files_go_into_a_table_that_names_its_columns_otherwise(real, tmp_path):
    aliases = {"lpep_pickup_datetime": "picked_up", "VendorID": "vendor", "Total_amount": "total"}
    columns = {"picked_up": pl.String(), "vendor": pl.Int32(), "total": pl.Float64()}
    here = taxi(tmp_path, columns=columns, aliases=aliases, drift="rescue")
    land_months(here, real, "2013-08", "2024-01", at_once=True)
    assert by_month(here, pl.all_horizontal(pl.col(*columns).is_not_null())) == {
        "2013-08": 7_623,
        "2024-01": 56_551,
    }
