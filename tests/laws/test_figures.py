"""What is shown is so: pages, the list of tables and SQL count what plain Python counts in the files."""

import random
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import polars as pl
import pytest
from deltalake import DeltaTable
from support.sizes import first
from support.worlds import catalog_of, world, write

from lakehouse.calendar import Daily
from lakehouse.definitions import definitions
from lakehouse.environment import Environment
from lakehouse.errors import LakehouseError
from lakehouse.observe import overview, sql
from lakehouse.operations.replay import replay
from lakehouse.operations.restore import RestoreRequest, restore
from lakehouse.operations.restore_plan import plan_restore
from lakehouse.orchestration.run_requests import plan_runs
from lakehouse.quarantine.discard import Choice, discard
from lakehouse.tables import Contract, Field, Instant, cast, mart, raw, staged

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
FIRST = date(2026, 1, 1)
DAY = pl.col("day").str.to_date("%Y-%m-%d", strict=False)
RAW = "raw/visits"


class Visit(Contract):
    """A visit."""

    id: str
    day: date
    door: int = Field(ge=0)

    class Table:
        key = ("id",)
        date_column = "day"
        max_quarantined = 0.4


class DoorDay(Contract):
    """Visits by day and door."""

    day: date
    door: int
    visits: int

    class Table:
        key = ("day", "door")
        date_column = "day"
        counts = "visits"


class Last(Contract):
    """The last visit of somebody."""

    id: str
    at: Instant

    class Table:
        key = ("id",)
        sequence = ("at",)
        max_quarantined = 0.9


raw_visits = raw("visits", "Visits.", columns=("id", "day", "door", "gone"), day=DAY)


@staged(Visit, partitions=Daily(FIRST))
def visits(raw_visits):
    """Visits."""
    return cast(raw_visits, day=DAY, door=pl.col("door").cast(pl.Int64, strict=False))


@mart(DoorDay, partitions=Daily(FIRST))
def door_days(visits):
    """Visits by day and door."""
    return visits.group_by("day", "door").agg(visits=pl.len().cast(pl.Int64))


@staged(Last, mode="upsert", deletes=pl.col("gone") == "1")
def last_visits(raw_visits):
    """The last visit of each person."""
    at = pl.col("day").str.to_datetime("%Y-%m-%d", time_unit="us", time_zone="UTC", strict=False)
    return cast(raw_visits, at=at)


CATALOG = catalog_of(
    raw_visits=raw_visits, visits=visits, door_days=door_days, last_visits=last_visits
)


class History:
    """A random history of one lake, told to a Dagster instance of its own."""

    def __init__(self, folder: Path, seed: int, instance: dg.DagsterInstance) -> None:
        self.random = random.Random(seed)
        self.here = world(folder, CATALOG)
        self.instance = instance
        self.job = definitions(self.here).resolve_implicit_global_asset_job_def()
        self.number = 0

    def run(self) -> None:
        """Lands and makes what is stale, and then once more what is not."""
        self._execute([RAW], {})
        done: list[Any] = []
        while runs := [
            one
            for one in plan_runs(CATALOG, self.here.create_planner().find_stale_tables())
            if one not in done
        ]:
            for one in runs:
                self._execute(list(one.tables), one.partition)
            done += runs

    def _execute(self, tables: list[str], tags: dict[str, str]) -> None:
        self.job.execute_in_process(
            asset_selection=[dg.AssetKey(table.split("/")) for table in tables],
            tags=tags,
            instance=self.instance,
            run_config=QUIET,
            raise_on_error=False,
        )

    def deliver(self) -> None:
        self.number += 1
        lines = ["id,day,door,gone"]
        for _ in range(self.random.randint(0, 6)):
            person, day = self.random.randint(0, 9), FIRST + timedelta(self.random.randint(0, 3))
            door = self.random.choice(["0", "1", "2", "-1", "x"])
            gone = self.random.choice(["", "", "", "1"])
            lines.append(f"p{person},{day},{door},{gone}")
        if self.random.random() < 0.3:
            lines.append("cut off")
        write(self.here, "visits", f"{self.number}.csv", "\n".join(lines) + "\n")

    def touch_nothing(self) -> None:
        """A run without news."""

    def replay(self) -> None:
        for table in (RAW, "staged/visits"):
            replay(self.here, table)

    def discard(self) -> None:
        for table in (RAW, "staged/visits"):
            discard(self.here.lake, CATALOG, table, Choice(is_all=True), reason="a test", who="ann")

    def restore(self) -> None:
        table = self.random.choice([RAW, "staged/visits", "marts/door_days", "staged/last_visits"])
        if latest := self.here.lake.version(table):
            plan = plan_restore(self.here, table, self.random.randint(0, latest - 1))
            if not plan.is_noop:
                restore(self.here, plan, RestoreRequest("ann", "a test"))

    def go(self, steps: int) -> None:
        others = (self.replay, self.discard, self.restore)
        self.deliver()
        self.run()
        for _ in range(steps):
            step = self.random.choice((self.deliver, self.deliver, self.touch_nothing, *others))
            try:
                step()
            except LakehouseError:
                continue  # such as a version that cannot be restored any more
            self.run()


def read_files(here: Environment, table: str) -> Iterator[dict[str, Any]]:
    """The rows of a table by a bare DuckDB, file by file as its log names them, without tombstones."""
    for path in DeltaTable(here.lake.uri(table)).file_uris():
        # The partition column stands in the folder's name alone, and no figure needs it.
        found = duckdb.sql(f"SELECT * FROM read_parquet('{path}', hive_partitioning = false)")
        for values in found.fetchall():
            row = dict(zip(found.columns, values, strict=True))
            if not row.get("_deleted"):
                yield row


def newest_event(instance: dg.DagsterInstance, table: str, partition: str | None = None) -> Any:
    asked = dg.AssetRecordsFilter(
        asset_key=dg.AssetKey(table.split("/")),
        asset_partitions=[partition] if partition else None,
    )
    records = instance.fetch_materializations(asked, limit=1).records
    return records[0].asset_materialization if records else None


def check_figures(history: History) -> None:
    here, instance = history.here, history.instance
    listed = {state.table: state for state in overview.list_tables(here)}
    for table in CATALOG.tables:
        if here.lake.version(table) is None:
            continue
        rows = list(read_files(here, table))
        _, answer = sql.run_query(here.lake, f"SELECT count(*) FROM {table.replace('/', '.')}")
        assert [row[0] for row in answer] == [len(rows)], table
        assert listed[table].rows == len(rows), table
        shown = newest_event(instance, table).metadata["dagster/row_count"].value
        assert shown == len(rows), table
        column = CATALOG[table].day_column
        if CATALOG[table].partitions is not None and column is not None:
            by_day = Counter(str(row[column]) for row in rows)
            for key in instance.get_materialized_partitions(dg.AssetKey(table.split("/"))):
                event = newest_event(instance, table, key)
                assert event.metadata["dagster/partition_row_count"].value == by_day[key], key
    check_letters(history)


def check_letters(history: History) -> None:
    """The check on dead letters speaks of all that are open in the files."""
    table = "quarantine/dead_letters"
    exists = history.here.lake.version(table) is not None
    rows = read_files(history.here, table) if exists else ()
    still_open = sum(row["_state"] == "open" for row in rows)
    key = dg.AssetCheckKey(dg.AssetKey(["raw", "visits"]), "every_record_is_readable")
    storage = history.instance.event_log_storage
    [record] = storage.get_latest_asset_check_execution_by_key([key]).values()
    told = record.event.dagster_event.event_specific_data
    assert (told.metadata["dead_letters"].value, told.passed) == (still_open, still_open == 0)


@pytest.mark.parametrize("seed", first(1, range(12)))
def test_every_figure_is_that_of_an_independent_count(tmp_path, seed):
    with dg.DagsterInstance.ephemeral() as instance:
        history = History(tmp_path, seed, instance)
        history.go(steps=5)
        check_figures(history)
