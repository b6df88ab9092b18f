"""Rows with columns from names: their types, their identity, and their day."""

from pathlib import Path

import polars as pl
from support.worlds import catalog_of, write
from support.worlds import world as make_world

from lakehouse.environment import Environment
from lakehouse.ingest.land import LandResult, land
from lakehouse.tables.declare import raw
from lakehouse.tables.files import Files

TABLE = "raw/visits"


def lake_of(folder: Path, files: Files, **options: object) -> Environment:
    table = raw("visits", "Visits.", **{"columns": ("id", "day"), "files": files, **options})
    return make_world(folder, catalog_of(visits=table))


def land_now(here: Environment) -> LandResult:
    return land(here.lake, here.landing, here.catalog[TABLE])


def rows(here: Environment) -> list[tuple]:
    lf = here.lake.scan(TABLE)
    names = [name for name in lf.collect_schema().names() if not name.startswith("_")]
    return sorted(lf.select(names).collect().rows())


def test_equal_bytes_under_names_that_say_something_else_are_two_deliveries(tmp_path):
    here = lake_of(tmp_path, Files(folders=True))
    write(here, "visits", "day=2024-01-01/a.csv", "id\n1\n")
    write(here, "visits", "day=2024-01-02/a.csv", "id\n1\n")
    write(here, "visits", "day=2024-01-02/copy.csv", "id\n1\n")
    report = land_now(here)
    assert rows(here) == [("1", "2024-01-01"), ("1", "2024-01-02")]
    assert len(report.repeated) == 1
    assert not land_now(here).audits


def test_columns_from_names_have_their_declared_types_in_every_format(tmp_path):
    files = Files(folders=True)
    columns = {"id": pl.Int64(), "day": pl.Date()}
    here = lake_of(tmp_path, files, columns=columns, day=pl.col("day"))
    write(here, "visits", "day=2024-01-01/a.csv", "id\n1\n")
    target = Path(here.landing.root) / "visits/day=2024-01-02/part-0.snappy.parquet"
    target.parent.mkdir()
    pl.DataFrame({"id": [2]}).write_parquet(target)
    (target.parent / "_SUCCESS").write_bytes(b"")
    (target.parent / ".part-0.snappy.parquet.crc").write_bytes(b"crc\0")
    report = land_now(here)
    assert not report.refused
    dated = here.lake.scan(TABLE).select(
        "id", pl.col("day").cast(str), pl.col("_event_date").cast(str)
    )
    assert sorted(dated.collect().rows()) == [
        (1, "2024-01-01", "2024-01-01"),
        (2, "2024-01-02", "2024-01-02"),
    ]


def test_a_wrongly_named_file_is_refused_and_lands_under_its_right_name(tmp_path):
    here = lake_of(tmp_path, Files(name=r"visits_(?P<day>\d+)\.csv"))
    write(here, "visits", "visits_20240101.csv", "id\n1\n")
    write(here, "visits", "visits-20240101.csv", "id\n1\n")
    write(here, "visits", "vsits_20240102.csv", "id\n2\n")
    assert len(land_now(here).refused) == 2
    folder = Path(here.landing.root) / "visits"
    (folder / "vsits_20240102.csv").rename(folder / "visits_20240102.csv")
    assert not land_now(here).refused
    assert rows(here) == [("1", "20240101"), ("2", "20240102")]


def test_large_files_have_their_columns_from_names_as_well(tmp_path):
    here = lake_of(tmp_path, Files(folders=True))
    write(here, "visits", "day=x/a.csv", "id\n" + "1234567890\n" * 600_000)
    land_now(here)
    assert here.lake.scan(TABLE).select(pl.col("day").unique(), pl.len()).collect().rows() == [
        ("x", 600_000)
    ]
