"""The optional storage that writes events in batches behaves as Dagster's own, and Dagster has not moved its parts.

It uses private parts of Dagster 1.13, and is off by default. Its gain: a backfill of 365 daily partitions
of 30,000 rows in one run takes 3.4 times as long without it (6.9 s and 23.1 s, medians of six rounds in turns on a busy
machine of two cores; 1.8 times the CPU time). See docs/decisions/0005-batched-event-storage.md.
"""

import inspect
import multiprocessing
import os
import sqlite3
import threading
import time
import warnings
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable
from dagster._core.storage.event_log.sqlite import sqlite_event_log
from dagster._serdes import deserialize_value
from support import children
from support.sizes import first, full

from bench.dagster_settings import settings
from lakehouse.orchestration.catch_up import open_instance
from lakehouse.orchestration.storage import BatchedEventLog
from lakehouse.project.process_settings import EVENT_BATCH_SIZE

RANGE = {
    "dagster/asset_partition_range_start": "2024-01-01",
    "dagster/asset_partition_range_end": "2024-01-20",
}
KEYS = [dg.AssetKey("readings"), dg.AssetKey("totals")]


def test_the_storage_is_off_until_somebody_switches_it_on(tmp_path, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    for is_batched in (False, True):
        (tmp_path / "dagster.yaml").write_text(settings(is_batched=is_batched))
        with dg.DagsterInstance.get() as instance:
            assert isinstance(instance.event_log_storage, BatchedEventLog) == is_batched
            assert instance.run_coordinator.inst_data.class_name == "QueuedRunCoordinator"


PRIVATE = {
    "_event_to_row": ["self", "event"],
    "_initdb": ["self", "engine", "for_index_shard"],
    "_store_asset_event_tags": ["self", "conn", "events", "event_ids"],
    "_store_asset_event": ["self", "conn", "event", "event_id"],
    "_store_asset_check_evaluation_planned": ["self", "event", "event_id"],
    "index_transaction": ["self"],
    "index_connection": ["self"],
    "run_connection": ["self", "run_id"],
}
"""What the optional storage uses or replaces of Dagster's event log, none of it public, with its parameters."""


@pytest.mark.parametrize("name", PRIVATE)
def test_dagster_has_not_moved_what_the_storage_is_built_of(name):
    """If this fails, a minor version of Dagster moved them: fix the storage, or drop it with its switch and this file."""
    method = getattr(sqlite_event_log.SqliteEventLogStorage, name)
    assert list(inspect.signature(method).parameters) == PRIVATE[name]


def test_the_storage_was_tried_with_this_minor_version_of_dagster():
    """Raise the number once this file passes with the new version and the gain has been measured again."""
    assert dg.__version__.split(".")[:2] == ["1", "13"]


def declared() -> dg.Definitions:
    """An asset with a check and counts for each partition, and one that reads it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        days = {
            "partitions_def": dg.DailyPartitionsDefinition("2024-01-01", end_date="2024-02-01"),
            "backfill_policy": dg.BackfillPolicy.single_run(),
        }

        @dg.asset(check_specs=[dg.AssetCheckSpec("holds", asset="readings")], **days)
        def readings(context):
            for key in context.partition_keys:
                context.add_asset_metadata({"rows": int(key[-2:])}, partition_key=key)
            return dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=True)])

        @dg.asset(deps=[readings], **days)
        def totals():
            return dg.MaterializeResult(tags={"kind": "total"})

    return dg.Definitions([readings, totals])


def backfill(instance: dg.DagsterInstance) -> str:
    job = declared().resolve_implicit_global_asset_job_def()
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    result = job.execute_in_process(tags=RANGE, instance=instance, run_config=quiet)
    assert result.success
    return result.run_id


def told(instance: dg.DagsterInstance, run_id: str) -> dict[str, object]:
    """Returns what the storage can be asked for."""
    events = [
        entry.get_dagster_event() for entry in instance.all_logs(run_id) if entry.is_dagster_event
    ]
    shown: dict[str, object] = {
        "run": [(e.event_type_value, str(e.asset_key), e.partition) for e in events]
    }
    for key in KEYS:
        found = instance.fetch_materializations(key, limit=100, ascending=True).records
        shown[f"{key} made"] = [
            (r.partition_key, dict(r.asset_materialization.metadata)) for r in found
        ]
        planned = dg.EventRecordsFilter(
            dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED, asset_key=key
        )
        shown[f"{key} planned"] = [
            r.partition_key
            for r in instance.event_log_storage.get_event_records(planned, ascending=True)
        ]
        shown[f"{key} partitions"] = instance.get_materialized_partitions(key)
        latest = instance.get_latest_materialization_event(key)
        shown[f"{key} latest"] = latest.dagster_event.partition
        [record] = instance.get_asset_records([key])
        shown[f"{key} run"] = record.asset_entry.last_run_id == run_id
        shown[f"{key} tags"] = len(instance.get_event_tags_for_asset(key))
    return shown


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A DAGSTER_HOME with the settings of this repository, and the optional storage switched on."""
    (tmp_path / "dagster.yaml").write_text(settings(is_batched=True))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.full
@pytest.mark.parametrize("size", first(1, ["1000", "7", "0"]))
def test_a_backfill_is_told_as_by_dagsters_own_storage(home, monkeypatch, size):
    (home / "own").mkdir()
    with dg.DagsterInstance.local_temp(str(home / "own")) as own:
        expected = told(own, backfill(own))
    monkeypatch.setenv(EVENT_BATCH_SIZE, size)
    with dg.DagsterInstance.get() as ours:
        assert isinstance(ours.event_log_storage, BatchedEventLog)
        assert told(ours, backfill(ours)) == expected
    assert expected["AssetKey(['readings']) partitions"] == {
        f"2024-01-{day:02}" for day in range(1, 21)
    }


@pytest.mark.full
def test_the_files_are_those_of_dagsters_own_storage(home, monkeypatch):
    monkeypatch.setenv(EVENT_BATCH_SIZE, "1000")
    with dg.DagsterInstance.get() as ours:
        run_id = backfill(ours)
        expected = told(ours, run_id)
    (home / "dagster.yaml").unlink()
    with dg.DagsterInstance.get() as own:
        assert not isinstance(own.event_log_storage, BatchedEventLog)
        assert told(own, run_id) == expected


def checks(instance: dg.DagsterInstance, run_id: str) -> list[tuple[object, ...]]:
    """Returns the index of each partition's check, without what differs from run to run."""
    table = AssetCheckExecutionsTable.c
    columns = [
        table.asset_key,
        table.check_name,
        table.partition,
        table.execution_status,
        table.evaluation_event,
    ]
    with instance.event_log_storage.index_connection() as connection:
        rows = connection.execute(sqlalchemy.select(*columns).where(table.run_id == run_id)).all()
    events = [
        deserialize_value(row[-1], dg.EventLogEntry).get_dagster_event().event_type_value
        for row in rows
    ]
    return [(*row[:-1], event) for row, event in zip(rows, events, strict=True)]


def plan(instance: dg.DagsterInstance) -> str:
    job = declared().resolve_implicit_global_asset_job_def()
    return instance.create_run_for_job(job, tags=RANGE).run_id


@pytest.mark.full
@pytest.mark.parametrize("run", first(1, [backfill, plan]))
def test_a_check_of_many_partitions_stands_as_in_dagsters_own_storage(home, monkeypatch, run):
    (home / "own").mkdir()
    with dg.DagsterInstance.local_temp(str(home / "own")) as own:
        expected = checks(own, run(own))
    monkeypatch.setenv(EVENT_BATCH_SIZE, "1000")
    with dg.DagsterInstance.get() as ours:
        assert checks(ours, run(ours)) == expected
    assert [row[2] for row in expected if row[2]] == [f"2024-01-{day:02}" for day in range(1, 21)]


def open_often(folder: str, rounds: int, together: Barrier, failed: SimpleQueue) -> None:
    """Opens Dagster's instance in fresh folders, each at the same time as others do."""
    for number in range(rounds):
        home = Path(folder) / str(number)
        os.environ["DAGSTER_HOME"] = str(home)
        together.wait()
        try:
            with open_instance(home) as instance:
                instance.event_log_storage.get_event_records(
                    dg.EventRecordsFilter(dg.DagsterEventType.RUN_SUCCESS), limit=1
                )
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told
            failed.put(f"{type(error).__name__}: {error}")


@pytest.mark.full
@pytest.mark.parametrize("rounds", [2, full(10)])
@pytest.mark.parametrize(
    "left", first(1, ['["history/runs.db"]', None, ""]), ids=["emptied", "fresh", "old"]
)
def test_processes_that_start_at_once_set_a_folder_up_that_is_fresh_or_was_emptied(
    tmp_path, rounds, left
):
    for number in range(rounds):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "dagster.yaml").write_text(settings())
        if left is not None:  # `rm -rf data/dagster/*` leaves the hidden files
            (tmp_path / str(number) / ".set_up").write_text(left)
    many = multiprocessing.get_context("forkserver")
    failed, together = many.SimpleQueue(), many.Barrier(3)
    starters = [
        children.start(open_often, str(tmp_path), rounds, together, failed) for _ in range(3)
    ]
    assert [children.code_of(starter) for starter in starters] == [0, 0, 0]
    assert failed.empty(), failed.get()
    databases = [*tmp_path.glob("*/history/runs/index.db"), *tmp_path.glob("*/history/runs.db")]
    assert len(databases) == 2 * rounds
    for file in databases:
        with sqlite3.connect(file) as connection:
            assert connection.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)


def open_once(home: Path) -> None:
    os.environ["DAGSTER_HOME"] = str(home)
    with open_instance(home):
        pass


@pytest.mark.parametrize("moment", [0.05, full(0.1), 0.2, full(0.3), full(0.4), full(0.6)])
def test_a_folder_whose_set_up_was_killed_is_set_up_by_the_next_process(tmp_path, moment):
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text(settings())
    process = children.start(open_once, home)
    time.sleep(moment)
    process.kill()
    assert children.code_of(process) in (0, -9)
    assert children.run(open_once, home) == 0
    for file in (*home.glob("history/runs/index.db"), *home.glob("history/runs.db")):
        with sqlite3.connect(file) as connection:
            assert connection.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)


@pytest.mark.full
def test_a_file_that_is_locked_for_long_is_asked_for_again(tmp_path, monkeypatch):
    storage = BatchedEventLog(str(tmp_path))
    monkeypatch.setattr(sqlite_event_log, "SQLITE_BUSY_TIMEOUT_SECONDS", 0.2)
    other = sqlite3.connect(tmp_path / "run.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    letting_go = threading.Timer(1, other.execute, ["COMMIT"])
    letting_go.start()
    with storage.run_connection("run") as connection:
        assert connection.execute(sqlalchemy.text("SELECT count(*) FROM event_logs")).scalar() == 0
    letting_go.join()
    other.close()


@pytest.mark.full
@pytest.mark.usefixtures("home")
def test_events_are_stored_one_by_one_when_the_index_refuses_a_batch(monkeypatch, capsys):
    monkeypatch.setenv(EVENT_BATCH_SIZE, "1000")
    with dg.DagsterInstance.get() as ours:
        monkeypatch.setattr(
            BatchedEventLog, "_store_asset_event_tags", _refuse_batches(ours.event_log_storage)
        )
        shown = told(ours, backfill(ours))
    assert "Falling back" in capsys.readouterr().err
    assert len(shown["AssetKey(['readings']) made"]) == 20
    assert [kind for kind, *_ in shown["run"]].count("ASSET_MATERIALIZATION") == 40


def _refuse_batches(storage):
    original = type(storage)._store_asset_event_tags

    def store(self, connection, events, numbers):
        if len(events) > 1:
            raise OSError("the disk is full")
        original(self, connection, events, numbers)

    return store
