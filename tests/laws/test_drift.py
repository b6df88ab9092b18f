"""Schema drift under the laws: any order, killed anywhere, beside other writers, and in derived tables."""

import csv
import io
import json
import os
from datetime import date
from decimal import Decimal
from pathlib import Path
from random import Random
from shutil import copytree

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from support import children
from support.sizes import first
from support.worlds import NOW, bring_up_to_date, catalog_of, world, write

from lakehouse.calendar import Daily, Days
from lakehouse.environment import Environment
from lakehouse.errors import SetupError
from lakehouse.ingest.land import LandResult, land
from lakehouse.quarantine.dead_letters import DEAD_LETTERS
from lakehouse.system_columns import RESCUED
from lakehouse.tables.casting import cast
from lakehouse.tables.contract import Contract, Field
from lakehouse.tables.declare import raw, staged
from lakehouse.tables.table_types import Drift
from lakehouse.transform.make import make

SEEDS = int(os.environ.get("DRIFT_SEEDS", "4"))
DECLARED = {
    "id": pl.Int64(),
    "small": pl.Int8(),
    "count": pl.Int32(),
    "large": pl.Int64(),
    "share": pl.Float32(),
    "price": pl.Decimal(6, 2),
    "note": pl.String(),
}
OPTIONAL = tuple(name for name in DECLARED if name != "id")
NUMBERS = [0, 1, -7, 100, 300, 70_000, 2**40, 2**53, 2**53 + 1]
SERIES = {
    "whole": lambda dice: pl.Series(dice.choices(NUMBERS[: dice.randint(4, 9)], k=3)),
    "short": lambda dice: pl.Series(
        dice.choices(NUMBERS[:4], k=3), dtype=dice.choice([pl.Int8, pl.Int16, pl.Int32])
    ),
    "real": lambda dice: pl.Series(
        dice.choices([2.0, 0.5, None, 1e300, float("nan")][: dice.randint(1, 5)], k=3),
        dtype=pl.Float64,
    ),
    "single": lambda dice: pl.Series(dice.choices([0.1, 3.0], k=3), dtype=pl.Float32),
    "money": lambda dice: pl.Series(
        dice.choices([Decimal("1.50"), Decimal("123456.70")], k=3)
    ).cast(pl.Decimal(9, 2)),
    "days": lambda dice: pl.Series([date(2024, 1, n) for n in dice.choices(range(1, 29), k=3)]),
    "texts": lambda dice: pl.Series(dice.choices(["1", "2.5", "x", " 007", ".10", "", None], k=3)),
    "lists": lambda dice: pl.Series(dice.sample([[1.5, None], [], None], k=3)),
    "bytes": lambda dice: pl.Series(dice.sample([b"\xff", b"a", None], k=3)),
}


def trips(drift: Drift = "evolve"):
    """A raw table of typed columns, one of them under an alias."""
    return raw(
        "trips",
        "Trips.",
        columns=DECLARED,
        optional=OPTIONAL,
        drift=drift,
        aliases={"cnt": "count"},
    )


def some_file(dice: Random, number: int) -> tuple[str, bytes]:
    """A file with a few columns, declared and not, of types that may fit, in any format."""
    names = dice.sample([*OPTIONAL, "CNT", "extra", "other"], k=dice.randint(1, 3))
    numbers = list(SERIES)[:4]
    kinds = {name: dice.choice(numbers if dice.random() < 0.8 else list(SERIES)) for name in names}
    suffix = dice.choice(["csv", "jsonl", "parquet"])
    frame = pl.DataFrame({"id": [10 * number + n for n in range(3)]})
    frame = frame.with_columns(SERIES[kind](dice).alias(name) for name, kind in kinds.items())
    if suffix == "parquet":
        file = io.BytesIO()
        frame.write_parquet(file)
        return f"{number}.parquet", file.getvalue()
    texts = frame.select(pl.all().map_elements(str, return_dtype=pl.String, skip_nulls=True))
    if suffix == "csv":
        return f"{number}.csv", texts.write_csv().encode()
    return f"{number}.jsonl", "\n".join(
        json.dumps(row) for row in texts.iter_rows(named=True)
    ).encode()


def land_now(here: Environment) -> LandResult:
    return land(here.lake, here.landing, here.catalog["raw/trips"], now=NOW)


def landed(folder: Path, drift: Drift, batches: list[list[tuple[str, bytes]]]) -> Environment:
    """A lake into which files came in batches."""
    here = world(folder, catalog_of(trips=trips(drift)))
    for batch in batches:
        for name, content in batch:
            os.utime(write(here, "trips", name, content), (1, 1))
        land_now(here)
    return here


def told(here: Environment) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Returns rows and dead letters, without the columns that name a run or a moment."""
    moving = ("_batch_id", "_ingested_at", "_modified_at")
    dead = here.lake.version(DEAD_LETTERS) is not None
    letters = (
        here.lake.scan(DEAD_LETTERS).select("_source", "reason").collect()
        if dead
        else pl.DataFrame()
    )
    rows = here.lake.scan("raw/trips").collect().drop(moving).sort("_source", "_offset")
    return rows.select(sorted(rows.columns)), letters.sort(letters.columns)


def cut(dice: Random, files: list[tuple[str, bytes]]) -> list[list[tuple[str, bytes]]]:
    """The files in any order, in batches, one of them twice."""
    mixed = dice.sample(files, k=len(files))
    batches: list[list[tuple[str, bytes]]] = [[]]
    for file in [*mixed, mixed[0]]:
        if batches[-1] and dice.random() < 0.5:
            batches.append([])
        batches[-1].append(file)
    return batches


@pytest.mark.full
@pytest.mark.parametrize("seed", first(1, range(SEEDS)))
@pytest.mark.parametrize("drift", ["evolve", "freeze", "rescue"])
def test_files_of_any_types_end_in_the_same_table_in_any_order(tmp_path, drift, seed):
    dice = Random(seed)
    files = [some_file(dice, number) for number in range(10)]
    rows, letters = told(landed(tmp_path / "at_once", drift, [files]))
    others = told(landed(tmp_path / "in_batches", drift, cut(dice, files)))
    assert_frame_equal(others[0], rows)
    assert others[1].rows() == letters.rows()


@pytest.mark.parametrize("seed", first(2, range(SEEDS)))
def test_every_record_is_a_row_or_its_file_a_dead_letter(tmp_path, seed):
    dice = Random(100 + seed)
    here = landed(
        tmp_path,
        dice.choice(["evolve", "freeze", "rescue"]),
        [[some_file(dice, n) for n in range(12)]],
    )
    rows, letters = told(here)
    assert rows.height + 3 * letters.height == 36
    assert not rows.select("_source", "_offset").is_duplicated().any()


@pytest.mark.parametrize("seed", first(2, range(SEEDS)))
def test_a_rescuing_table_keeps_every_value_that_was_delivered(tmp_path, seed):
    dice = Random(200 + seed)
    files = [
        file for file in (some_file(dice, n) for n in range(12)) if not file[0].endswith("parquet")
    ]
    rows = landed(tmp_path, "rescue", [files]).lake.scan("raw/trips").collect()
    kept = [json.loads(text or "{}") for text in rows[RESCUED]]
    names = [name for name in rows.columns if name in DECLARED]
    values = sum(sum(row[name] is not None for name in names) for row in rows.iter_rows(named=True))
    delivered = [here.decode() for _, here in files]
    assert values + sum(map(len, kept)) == sum(map(values_in, delivered))


def values_in(content: str) -> int:
    """How many values a file of text holds."""
    if content.startswith("{"):
        return sum(
            value is not None
            for line in content.splitlines()
            for value in json.loads(line).values()
        )
    return sum(
        bool(value) for row in csv.DictReader(io.StringIO(content)) for value in row.values()
    )


# Killed anywhere


WHILE_UNCHANGED = ("publish: files written", "land: file read", "publish: before files")
WHEN_CHANGED = ("publish: committed", "land: published")


def land_trips(folder: Path) -> None:
    """Land what waits in a folder."""
    land_now(world(folder, catalog_of(trips=trips())))


def run(folder: Path, kill_at: str) -> int:
    """Land in a process of its own, which is killed; its return code."""
    return children.run(land_trips, folder, kill_at=kill_at)


def before_a_change(folder: Path, new: str) -> Environment:
    """Two rows have landed, and a file waits."""
    here = landed(folder, "evolve", [[("a.csv", b"id,count\n1,5\n2,7\n")]])
    write(here, "trips", "b.csv", new)
    return here


@pytest.mark.parametrize("point", [*first(1, WHILE_UNCHANGED), *first(1, WHEN_CHANGED)])
def test_a_widening_that_is_killed_ends_as_if_nothing_had_happened(tmp_path, point):
    here = before_a_change(tmp_path / "world", "id,count,extra\n3,1.5,x\n")
    undisturbed = world(copytree(tmp_path / "world", tmp_path / "other"), here.catalog)
    assert run(tmp_path / "world", point) == -9
    assert here.lake.scan("raw/trips", 0).collect()["count"].to_list() == [5, 7]
    assert len(here.lake.scan("raw/trips").collect()) == (3 if point in WHEN_CHANGED else 2)
    land_now(here)
    land_now(undisturbed)
    assert_frame_equal(told(here)[0], told(undisturbed)[0])
    assert here.lake.scan("raw/trips").collect().sort("id")["count"].to_list() == [5.0, 7.0, 1.5]
    assert here.lake.version("raw/trips") == 1


def test_columns_that_were_added_before_a_kill_are_filled_once_after_it(tmp_path):
    here = before_a_change(tmp_path, "id,count,extra\n3,9,x\n")
    assert run(tmp_path, "commit: columns added") == -9
    assert here.lake.scan("raw/trips").collect().select("id", "count", "extra").rows() == [
        (1, 5, None),
        (2, 7, None),
    ]
    land_now(here)
    found = here.lake.scan("raw/trips").sort("id").collect()
    assert found.select("id", "count", "extra").rows() == [(1, 5, None), (2, 7, None), (3, 9, "x")]


# Beside other writers


@pytest.mark.parametrize("other", ["4,8\n", "4,2.5\n"], ids=["same types", "wider too"])
def test_a_landing_in_the_middle_of_a_widening_keeps_the_rows_of_both(tmp_path, monkeypatch, other):
    here = before_a_change(tmp_path, "id,count\n3,1.5\n")
    waiting = [lambda: (write(here, "trips", "c.csv", f"id,count\n{other}"), land_now(here))]
    monkeypatch.setattr(
        "lakehouse.publish.publish.failpoint", lambda _: waiting.pop()() if waiting else None
    )
    land_now(here)
    found = here.lake.scan("raw/trips").sort("id").collect()
    assert found.select("id", "count").rows() == [
        (1, 5.0),
        (2, 7.0),
        (3, 1.5),
        (4, float(other.split(",")[1])),
    ]


@pytest.mark.parametrize(
    "new", ["id,count\n3,1.5\n", "id,count\n3,9\n"], ids=["widens", "does not"]
)
def test_a_widening_in_the_middle_of_a_landing_keeps_the_rows_of_both(tmp_path, monkeypatch, new):
    here = before_a_change(tmp_path, new)
    waiting = [lambda: (write(here, "trips", "c.csv", "id,count\n4,2.5\n"), land_now(here))]
    monkeypatch.setattr(
        "lakehouse.publish.publish.failpoint",
        lambda n: waiting.pop()() if waiting and "written" in n else None,
    )
    land_now(here)
    found = here.lake.scan("raw/trips").select("_source", "id", "count").sort("id").collect()
    assert found["id"].to_list() == [1, 2, 3, 4]
    assert found["count"].dtype == pl.Float64


# The tables made from it


class Trip(Contract):
    """A trip."""

    id: pl.Int64
    count: float

    class Table:
        max_quarantined = 0.5


@staged(Trip)
def all_trips(raw_trips: pl.LazyFrame) -> pl.LazyFrame:
    """Trips with their counts as real numbers."""
    return cast(raw_trips, count=pl.col("count").cast(pl.Float64))


class TripDay(Contract):
    """A trip and its day."""

    id: pl.Int64
    count: float = Field(ge=0)
    day: date

    class Table:
        date_column = "day"
        max_quarantined = 0.5


class Passed(Contract):
    """A trip as it was received."""

    id: pl.Int64
    count: pl.Int32


@staged(TripDay, partitions=Daily(date(2024, 1, 1)))
def trip_days(raw_trips: pl.LazyFrame) -> pl.LazyFrame:
    """Trips by day."""
    day = pl.col("note").str.to_date("%Y-%m-%d", strict=False)
    return raw_trips.drop("count").with_columns(
        pl.col("_received").struct.field("count").cast(pl.Float64), day=day
    )


@staged(Passed)
def passed_on(raw_trips: pl.LazyFrame) -> pl.LazyFrame:
    """Trips as they were received."""
    return raw_trips


@pytest.mark.parametrize("drift", ["evolve", "rescue"])
def test_a_table_built_from_a_drifting_one_is_rebuilt_and_stays_current(tmp_path, drift):
    here = world(tmp_path, catalog_of(trips=trips(drift), all_trips=all_trips))
    for name, content in {"a": "id,count\n1,5\n", "b": "id,count,extra\n2,1.5,x\n"}.items():
        write(here, "trips", f"{name}.csv", content)
        bring_up_to_date(here)
    made = here.lake.scan("staged/all_trips").sort("id").collect()
    assert made.select("id", "count").rows() == (
        [(1, 5.0), (2, 1.5)] if drift == "evolve" else [(1, 5.0)]
    )
    assert here.create_planner().find_stale_tables() == []


def test_a_widening_that_was_rolled_back_is_applied_again(tmp_path):
    here = before_a_change(tmp_path, "id,count\n3,1.5\n")
    land_now(here)
    before = told(here)[0]
    here.lake.open("raw/trips").restore(0)
    assert here.lake.scan("raw/trips").collect_schema()["count"] == pl.Int32
    land_now(here)
    assert_frame_equal(told(here)[0], before)


def test_rejected_rows_of_other_days_go_on_beside_those_of_a_wider_type(tmp_path):
    day = pl.col("note").str.to_date("%Y-%m-%d", strict=False)
    table = raw("trips", "Trips.", columns=DECLARED, optional=OPTIONAL, day=day)
    here = world(tmp_path, catalog_of(trips=table, trip_days=trip_days))
    header = "id,count,note\n"
    write(
        here,
        "trips",
        "a.csv",
        f"{header}1,5,2024-01-01\n2,-5,2024-01-01\n3,6,2024-01-02\n4,-6,2024-01-02\n",
    )
    bring_up_to_date(here)
    write(here, "trips", "b.csv", f"{header}5,1.5,2024-01-02\n6,-1.5,2024-01-02\n")
    land_now(here)
    make(
        here.lake,
        here.catalog,
        "staged/trip_days",
        Days(date(2024, 1, 2), date(2024, 1, 2)),
        now=NOW,
    )
    rejected = here.lake.scan("quarantine/staged_trip_days").sort("id").collect()
    assert rejected.select("id", "count").rows() == [(2, -5.0), (4, -6.0), (6, -1.5)]
    bring_up_to_date(here)
    assert here.lake.scan("quarantine/staged_trip_days").collect().height == 3
    assert here.create_planner().find_stale_tables() == []


def test_a_wider_column_that_a_transform_passes_on_is_refused_and_the_table_stays_as_it_was(
    tmp_path,
):
    here = world(tmp_path, catalog_of(trips=trips(), passed_on=passed_on))
    write(here, "trips", "a.csv", "id,count\n1,5\n")
    bring_up_to_date(here)
    write(here, "trips", "b.csv", "id,count\n2,1.5\n")
    land_now(here)
    with pytest.raises(
        SetupError,
        match=r"staged/passed_on: .*\n  - count is Float64, its contract says Int32\nNext: cast",
    ):
        make(here.lake, here.catalog, "staged/passed_on", now=NOW)
    assert here.lake.scan("staged/passed_on").collect().select("id", "count").rows() == [(1, 5)]
