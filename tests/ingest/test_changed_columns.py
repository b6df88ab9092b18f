"""Files whose columns or types change: what `evolve`, `freeze` and `rescue` make of them and report."""

import json
import os
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from support.worlds import NOW, catalog_of, world, write

from lakehouse.environment import Environment
from lakehouse.ingest.land import LandResult, land
from lakehouse.quarantine.dead_letters import DEAD_LETTERS
from lakehouse.system_columns import RESCUED
from lakehouse.tables.declare import raw

TRIPS = "raw/trips"
Build = Callable[..., Environment]


@pytest.fixture
def lake_of(tmp_path: Path) -> Build:
    """A lake for one table of trips, declared as the test says; again for the same lake, declared otherwise."""

    def build(columns: object = ("id", "fare"), **declared: object) -> Environment:
        return world(
            tmp_path, catalog_of(trips=raw("trips", "Trips.", columns=columns, **declared))
        )

    return build


def typed(dtype: pl.DataType) -> dict[str, pl.DataType]:
    return {"id": pl.Int64(), "fare": dtype}


def parquet(here: Environment, name: str, **columns: object) -> None:
    pl.DataFrame(columns).write_parquet(write(here, "trips", name, b""))


def land_now(here: Environment) -> LandResult:
    return land(here.lake, here.landing, here.catalog[TRIPS], now=NOW)


def notes(report: LandResult) -> list[str]:
    return [note for audit in report.audits for note in audit.notes]


def fares(here: Environment, version: int | None = None) -> list[object]:
    return here.lake.scan(TRIPS, version).sort("id").collect()["fare"].to_list()


def dtype(here: Environment, version: int | None = None) -> pl.DataType:
    return here.lake.scan(TRIPS, version).collect_schema()["fare"]


def rescued(here: Environment) -> list[dict[str, str] | None]:
    found = here.lake.scan(TRIPS).sort("id").collect()[RESCUED]
    return [None if text is None else json.loads(text) for text in found]


def i32(*values: int | None) -> pl.Series:
    return pl.Series(values, dtype=pl.Int32)


# Evolve


@pytest.mark.parametrize(
    ("declared", "delivered", "becomes"),
    [
        (pl.Int8(), pl.Series([200, None], dtype=pl.Int16), pl.Int16()),
        (pl.Int32(), pl.Series([2**40, None]), pl.Int64()),
        (pl.Int32(), pl.Series([1.5, None]), pl.Float64()),
        (pl.Float32(), pl.Series([0.1, None]), pl.Float64()),
        (pl.Float64(), pl.Series([2**53, None]), pl.Float64()),
        (
            pl.Decimal(4, 2),
            pl.Series([Decimal("12345.60"), None]).cast(pl.Decimal(12, 2)),
            pl.Decimal(12, 2),
        ),
        (
            pl.Decimal(4, 2),
            pl.Series([Decimal("123.4"), None]).cast(pl.Decimal(4, 1)),
            pl.Decimal(5, 2),
        ),
    ],
    ids=str,
)
def test_a_wider_type_widens_the_column_and_every_value_is_exact(
    lake_of, declared, delivered, becomes
):
    here = lake_of(typed(declared))
    parquet(here, "a.parquet", id=[1], fare=pl.Series([1]).cast(declared))
    land_now(here)
    parquet(here, "b.parquet", id=[2, 3], fare=delivered)
    land_now(here)
    assert (dtype(here), fares(here)) == (becomes, [1, *delivered])


@pytest.mark.parametrize(
    ("declared", "delivered"),
    [
        (pl.Int64(), pl.Series([1.5])),
        (pl.Int32(), pl.Series([2**53 + 1])),
        (pl.Float64(), pl.Series([2**53 + 1])),
        (pl.Int32(), pl.Series([True])),
        (pl.Date(), pl.Series([datetime(2024, 1, 1, tzinfo=UTC)])),
        (pl.Datetime("us", "UTC"), pl.Series([date(2024, 1, 1)])),
        (pl.Int32(), pl.Series(["7"])),
        (pl.Decimal(4, 2), pl.Series([Decimal("1.234")])),
        (pl.Decimal(4, 2), pl.Series([1.5])),
    ],
    ids=str,
)
def test_what_no_wider_type_holds_exactly_refuses_the_file_whole(lake_of, declared, delivered):
    here = lake_of(typed(declared))
    parquet(here, "a.parquet", id=[1], fare=delivered)
    [refused] = land_now(here).refused
    assert refused.startswith(
        f"a.parquet: types differ: fare is {delivered.dtype} in the file and {declared} in raw/"
    )
    assert here.lake.scan(DEAD_LETTERS).collect()["reason"].to_list() == [
        refused.removeprefix("a.parquet: ")
    ]
    assert (fares(here), dtype(here)) == ([], declared)


@pytest.mark.parametrize(
    ("declared", "text", "becomes", "value"),
    [
        (pl.Int32(), " 60", pl.Int32(), 60),
        (pl.Int32(), "5000000000", pl.Int64(), 5_000_000_000),
        (pl.Int32(), ".5", pl.Float64(), 0.5),
        (pl.Int64(), "9007199254740993", pl.Int64(), 2**53 + 1),
        (pl.Float64(), "1e3", pl.Float64(), 1000.0),
        (pl.Float64(), "9007199254740992", pl.Float64(), 2.0**53),
        (pl.Boolean(), "TRUE", pl.Boolean(), True),
        (pl.Date(), "2024-01-31", pl.Date(), date(2024, 1, 31)),
        (
            pl.Datetime("us", "UTC"),
            "2024-01-31T02:00:00.5+02:00",
            None,
            datetime(2024, 1, 31, 0, 0, 0, 500_000, UTC),
        ),
        (pl.Decimal(6, 2), "12.3400", pl.Decimal(6, 2), Decimal("12.34")),
    ],
)
def test_text_of_a_format_without_types_is_read_as_the_declared_type(
    lake_of, declared, text, becomes, value
):
    here = lake_of(typed(declared))
    write(here, "trips", "a.csv", f"id,fare\n1,{text}\n2,\n")
    land_now(here)
    assert (dtype(here), fares(here)) == (becomes or declared, [value, None])


@pytest.mark.parametrize(
    ("declared", "text"),
    [
        (pl.Int32(), "x"),
        (pl.Int64(), "1.5"),
        (pl.Int32(), "9007199254740993"),
        (pl.Float64(), "9007199254740993"),
        (pl.Float64(), "1e999"),
        (pl.Float64(), "NaN"),
        (pl.Boolean(), "1"),
        (pl.Date(), "31.01.2024"),
        (pl.Datetime("us", "UTC"), "2024-01-31T02:00:00"),
        (pl.Datetime("us", "UTC"), "2024-01-31T02:00:00.1234567Z"),
        (pl.Decimal(6, 2), "1.234"),
        (pl.Binary(), "x"),
    ],
)
def test_text_that_is_no_value_of_the_declared_type_refuses_the_file_and_is_counted(
    lake_of, declared, text
):
    here = lake_of(typed(declared))
    write(here, "trips", "a.csv", f"id,fare\n1,{text}\n2,\n")
    counted = "" if declared == pl.Binary else " (1 of its values do not fit)"
    problem = (
        f"a.csv: types differ: fare is String in the file and {declared} in raw/trips{counted}"
    )
    assert land_now(here).refused == (problem,)


def test_a_widening_is_one_commit_and_every_version_before_it_stays_readable(lake_of):
    here = lake_of(typed(pl.Int32()))
    parquet(here, "a.parquet", id=[1], fare=i32(7))
    land_now(here)
    parquet(here, "b.parquet", id=[2], fare=[1.5], tip=["x"])
    land_now(here)
    assert here.lake.version(TRIPS) == 1
    assert [(dtype(here, v), fares(here, v)) for v in (0, 1)] == [
        (pl.Int32(), [7]),
        (pl.Float64(), [7.0, 1.5]),
    ]


def test_the_audit_of_a_widening_names_it_and_the_rows_that_were_written_again(lake_of):
    here = lake_of(typed(pl.Int32()))
    parquet(here, "a.parquet", id=[1, 2], fare=i32(7, 8))
    land_now(here)
    parquet(here, "b.parquet", id=[3], fare=[2**40])
    [audit] = land_now(here).audits
    assert audit.notes == (
        "wider columns: fare (Int32 to Int64); the existing rows of the table were rewritten",
    )
    assert (audit.read, audit.written, audit.carried, audit.files) == (1, 1, 2, 2)


def test_whole_doubles_go_into_a_column_of_64_bits(lake_of):
    here = lake_of(typed(pl.Int64()))
    parquet(here, "a.parquet", id=[1, 2], fare=[1.0, None])
    land_now(here)
    assert (dtype(here), fares(here)) == (pl.Int64(), [1, None])


def test_a_column_that_is_declared_wider_widens_with_the_next_file(lake_of):
    here = lake_of(typed(pl.Int32()))
    parquet(here, "a.parquet", id=[1], fare=i32(7))
    land_now(here)
    here = lake_of(typed(pl.Int64()))
    parquet(here, "b.parquet", id=[2], fare=[8])
    land_now(here)
    assert (dtype(here), fares(here)) == (pl.Int64(), [7, 8])


def test_a_stored_text_column_stays_text_whatever_is_declared(lake_of):
    write(lake_of(("id",)), "trips", "a.csv", "id,fare\n1,x\n")
    land_now(lake_of(("id",)))
    here = lake_of({"id": pl.String(), "fare": pl.Float64()})
    parquet(here, "b.parquet", id=["2"], fare=[1.5])
    land_now(here)
    assert fares(here) == ["x", "1.5"]


def test_undeclared_nested_values_and_bytes_become_text(lake_of):
    here = lake_of(("id",))
    parquet(here, "a.parquet", id=["1"], fare=[{"x": float("nan"), "y": [1]}], raw=[b"\xff"])
    land_now(here)
    assert here.lake.scan(TRIPS).select("fare", "raw").collect().rows() == [
        ('{"x":"NaN","y":[1]}', "/w==")
    ]


def test_bytes_within_an_undeclared_value_refuse_the_file(lake_of):
    here = lake_of(("id",))
    parquet(here, "a.parquet", id=["1"], fare=[{"x": b"\xff"}])
    problem = "a.parquet: types differ: fare is Struct({'x': Binary}), which cannot be stored as text; declare its type"
    assert land_now(here).refused == (problem,)


def test_two_files_of_one_batch_that_ask_for_different_types_meet_in_the_wider(lake_of):
    here = lake_of(typed(pl.Int8()))
    parquet(here, "a.parquet", id=[1], fare=[2**40])
    parquet(here, "b.parquet", id=[2], fare=[1.5])
    [audit] = land_now(here).audits
    assert (dtype(here), fares(here), audit.notes) == (pl.Float64(), [2.0**40, 1.5], ())


def test_corrected_origins_and_a_wider_type_are_one_commit(lake_of):
    here = lake_of(typed(pl.Int32()))
    parquet(here, "b.parquet", id=[1], fare=i32(7))
    land_now(here)
    copied = Path(here.landing.root) / "trips" / "a.parquet"
    copied.write_bytes(copied.with_name("b.parquet").read_bytes())
    os.utime(copied, (1, 1))
    parquet(here, "c.parquet", id=[2], fare=[1.5])
    land_now(here)
    found = (
        here.lake.scan(TRIPS)
        .select(pl.col("_source").str.head(9), "fare")
        .sort("fare")
        .collect()
        .rows()
    )
    assert (found, here.lake.version(TRIPS)) == ([("c.parquet", 1.5), ("a.parquet", 7.0)], 1)


# Freeze


LARGER = "types differ: fare is Int64 in the file and Int32 in raw/trips"


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        (
            {"id": [1], "fare": i32(1), "tip": [1]},
            "new columns, but raw/trips is frozen: tip",
        ),
        ({"id": [1], "fare": [1]}, LARGER),
        (
            {"id": [1], "fare": ["1"]},
            "types differ: fare is String in the file and Int32 in raw/trips",
        ),
        ({"id": [1], "cost": i32(1)}, "columns missing: fare; the file has: id, cost"),
        (
            {"id": [1], "fare": [1], "tip": [1], "toll": [1]},
            f"new columns, but raw/trips is frozen: tip, toll; {LARGER}",
        ),
    ],
)
def test_a_frozen_table_refuses_a_change_whole_and_the_other_files_land(lake_of, columns, reason):
    here = lake_of(typed(pl.Int32()), drift="freeze")
    parquet(here, "a.parquet", **columns)
    parquet(here, "b.parquet", id=[2], fare=i32(7))
    schema = {**typed(pl.Int32())}
    assert land_now(here).refused == (f"a.parquet: {reason}",)
    assert dict(list(here.lake.scan(TRIPS).collect_schema().items())[:2]) == schema
    assert (fares(here), here.lake.scan(DEAD_LETTERS).collect()["reason"].to_list()) == (
        [7],
        [reason],
    )


def test_a_frozen_table_reads_text_as_its_types_and_lets_optional_columns_be_absent(lake_of):
    here = lake_of(typed(pl.Int32()), drift="freeze", optional=("fare",))
    write(here, "trips", "a.csv", "id,fare\n1,5\n")
    write(here, "trips", "b.csv", "fare,id\nx,2\n")
    write(here, "trips", "c.csv", "id\n3\n")
    assert [name.partition(":")[0] for name in land_now(here).refused] == ["b.csv"]
    assert fares(here) == [5, None]


def test_a_table_that_is_frozen_later_keeps_the_columns_that_it_has(lake_of):
    here = lake_of()
    write(here, "trips", "a.csv", "id,fare,tip\n1,5,1\n")
    land_now(here)
    here = lake_of(drift="freeze")
    write(here, "trips", "b.csv", "id,fare,tip\n2,6,1\n")
    write(here, "trips", "c.csv", "id,fare,tip,toll\n3,7,1,1\n")
    land_now(here)
    assert fares(here) == ["5", "6"]


# Rescue


def test_what_does_not_fit_is_kept_as_it_was_delivered_and_the_rows_go_on_typed(lake_of):
    here = lake_of(typed(pl.Int32()), drift="rescue", optional=("fare",))
    write(here, "trips", "a.csv", 'id,fare,tip\n1,5,\n2,"1 ""x"",\n",.50\n3,,0\n')
    land_now(here)
    assert fares(here) == [5, None, None]
    assert rescued(here) == [None, {"fare": '1 "x",\n', "tip": ".50"}, {"tip": "0"}]


@pytest.mark.parametrize(
    ("values", "fitting", "kept"),
    [
        ([2**40, 7], [None, 7], [{"fare": "1099511627776"}, None]),
        ([1.5, 2.0], [None, 2], [{"fare": "1.5"}, None]),
        ([float("nan"), None], [None, None], [{"fare": "NaN"}, None]),
        (["5", "x"], [None, None], [{"fare": "5"}, {"fare": "x"}]),
        ([[1, 2], []], [None, None], [{"fare": "[1,2]"}, {"fare": "[]"}]),
        ([b"\xff", None], [None, None], [{"fare": "/w=="}, None]),
    ],
    ids=str,
)
def test_typed_values_that_do_not_fit_are_rescued_value_by_value(lake_of, values, fitting, kept):
    here = lake_of(typed(pl.Int32()), drift="rescue")
    parquet(here, "a.parquet", id=[1, 2], fare=values)
    land_now(here)
    assert (fares(here), rescued(here)) == (fitting, kept)


def test_the_schema_of_a_rescuing_table_never_changes(lake_of):
    here = lake_of(drift="rescue")
    write(here, "trips", "a.csv", "id,fare\n1,5\n")
    land_now(here)
    before = here.lake.scan(TRIPS).collect_schema()
    write(here, "trips", "b.csv", "id,fare,tip\n2,6,1\n")
    land_now(here)
    assert (here.lake.scan(TRIPS).collect_schema(), rescued(here)) == (before, [None, {"tip": "1"}])


def test_what_was_rescued_is_counted_by_column_in_the_audit(lake_of):
    here = lake_of(typed(pl.Int32()), drift="rescue")
    write(here, "trips", "a.csv", "id,fare,tip,toll\n1,x,1,\n2,x,,\n3,4,,\n")
    assert notes(land_now(here)) == ["a.csv: rescued from 2 rows: fare in 2, tip in 1"]


def test_a_column_that_is_called_rows_can_be_rescued(lake_of):
    here = lake_of(drift="rescue")
    write(here, "trips", "a.csv", 'id,fare,rows,"a ""b"""\n1,2,3,4\n')
    land_now(here)
    assert rescued(here) == [{"rows": "3", 'a "b"': "4"}]


def test_bytes_within_a_value_that_does_not_fit_refuse_the_file(lake_of):
    here = lake_of(drift="rescue")
    parquet(here, "a.parquet", id=["1"], fare=["1"], tip=[{"x": b"\xff"}])
    assert (
        "tip is Struct({'x': Binary}), which cannot be stored as text" in land_now(here).refused[0]
    )


def test_a_table_that_rescues_from_now_on_goes_on_and_back(lake_of):
    here = lake_of(typed(pl.Int32()))
    parquet(here, "a.parquet", id=[1], fare=i32(1))
    land_now(here)
    here = lake_of(typed(pl.Int32()), drift="rescue")
    parquet(here, "b.parquet", id=[2], fare=[2.5])
    land_now(here)
    here = lake_of(typed(pl.Int32()))
    parquet(here, "c.parquet", id=[3], fare=[3.5])
    land_now(here)
    assert (fares(here), rescued(here)) == ([1.0, None, 3.5], [None, {"fare": "2.5"}, None])


# Aliases


@pytest.mark.parametrize("drift", ["evolve", "freeze", "rescue"])
@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_renamed_column_goes_into_the_declared_one(lake_of, drift, suffix):
    here = lake_of(aliases={"Price": "fare", "trip": "id"}, drift=drift)
    old, new = ({"id": "1", "fare": "5"}, {"TRIP": "2", "price": "6"})
    for name, row in {"a": old, "b": new}.items():
        frame = pl.DataFrame([row])
        write(
            here,
            "trips",
            f"{name}.{suffix}",
            frame.write_csv() if suffix == "csv" else json.dumps(row),
        )
    assert (land_now(here).refused, fares(here)) == ((), ["5", "6"])


def test_a_file_with_neither_the_column_nor_an_alias_is_refused(lake_of):
    here = lake_of(aliases={"price": "fare"})
    write(here, "trips", "a.csv", "id,cost\n1,5\n")
    assert land_now(here).refused == ("a.csv: columns missing, also under their aliases: fare",)


def test_a_rename_in_the_middle_of_a_file_goes_into_one_column(lake_of):
    here = lake_of(aliases={"price": "fare"})
    write(here, "trips", "a.jsonl", '{"id": 1, "price": 5}\n{"id": 2, "fare": 6}\n')
    land_now(here)
    assert fares(here) == ["5", "6"]


@pytest.mark.parametrize("drift", ["evolve", "freeze"])
def test_two_values_under_two_names_refuse_the_file(lake_of, drift):
    here = lake_of(aliases={"price": "fare"}, drift=drift)
    write(here, "trips", "a.csv", "id,price,fare\n1,5,6\n")
    problem = (
        "a.csv: columns that got two values in one row, under different names: fare (fare, price)"
    )
    assert land_now(here).refused == (problem,)


def test_of_two_values_under_two_names_the_second_is_rescued(lake_of):
    here = lake_of(aliases={"price": "fare"}, drift="rescue")
    write(here, "trips", "a.csv", "id,price,fare\n1,5,6\n2,7,\n")
    land_now(here)
    assert (fares(here), rescued(here)) == (["6", "7"], [{"price": "5"}, None])


def test_rows_delivered_under_a_name_before_it_became_an_alias_stay_in_their_column(lake_of):
    write(lake_of(("id",)), "trips", "a.csv", "id,price\n1,5\n")
    land_now(lake_of(("id",)))
    here = lake_of(aliases={"price": "fare"})
    write(here, "trips", "b.csv", "id,price\n2,6\n")
    land_now(here)
    assert here.lake.scan(TRIPS).select("id", "price", "fare").sort("id").collect().rows() == [
        ("1", "5", None),
        ("2", None, "6"),
    ]


@pytest.mark.parametrize("drift", ["rescue", "evolve", "freeze"])
@pytest.mark.parametrize("content", ["{}\n", "{}\n{}\n"])
def test_objects_without_a_key_are_rows_without_a_value(lake_of, drift, content):
    here = lake_of(drift=drift, optional=("id", "fare"))
    write(here, "trips", "a.jsonl", content)
    land_now(here)
    assert fares(here) == [None] * content.count("{")


def test_files_that_differ_in_the_order_of_their_columns_land_together(lake_of):
    here = lake_of(typed(pl.Int32()))
    for name, text in (("a", "id,fare\n1,2\n"), ("b", "fare,id\n4,3\n")):
        write(here, "trips", f"{name}.csv", text)
    land_now(here)
    assert fares(here) == [2, 4]


@pytest.mark.parametrize("drift", ["evolve", "freeze"])
@pytest.mark.parametrize(
    "declared",
    [pl.Int64(), pl.String(), pl.Decimal(10, 2), pl.Date(), pl.List(pl.Int64())],
    ids=str,
)
def test_a_column_of_nulls_without_a_type_takes_the_declared_one(lake_of, declared, drift):
    here = lake_of(typed(declared), drift=drift)
    nulls = pl.Series([None, None], dtype=pl.Null)
    parquet(here, "a.parquet", id=[1, 2], fare=nulls)
    audit = land_now(here)
    assert (fares(here), dtype(here), notes(audit)) == ([None, None], declared, [])


def test_a_new_column_of_nulls_without_a_type_is_one_of_text(lake_of):
    here = lake_of(typed(pl.Int64()), drift="evolve")
    parquet(here, "a.parquet", id=[1], fare=[2], tip=pl.Series([None], dtype=pl.Null))
    parquet(here, "b.parquet", id=[2], fare=[3], tip=["x"])
    land_now(here)
    assert here.lake.scan(TRIPS).sort("id").collect()["tip"].to_list() == [None, "x"]
