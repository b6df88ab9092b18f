"""Runs of dead processes are freed by whoever comes next, and those of living ones are not."""

import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest
from support import children
from support.sizes import first, full
from support.worlds import contents, land_all, world, write

from lakehouse.definitions import definitions
from lakehouse.environment import Environment
from lakehouse.errors import BusyError
from lakehouse.orchestration import dead_runs, retries, sensors, table_turns
from lakehouse.orchestration.catch_up import catch_up, open_instance
from lakehouse.orchestration.dead_runs import PROCESS, find_lease, free_dead_runs
from lakehouse.orchestration.run_leases import lease_run, register_process
from lakehouse.project.leases import Process, identify_process
from lakehouse.storage.locks import wait_for_lock

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
RUN = "5a3f0c1e-0000-4000-8000-000000000001"
UNFINISHED = {"NOT_STARTED", "STARTING", "STARTED", "CANCELING"}


def lines(day: str, count: int = 5, first: int = 0) -> str:
    rows = "".join(
        f"53{first + n:04},85123A,X,{n + 1},{day} 08:2{n}:00,1,1,France\n" for n in range(count)
    )
    return f"{HEADER}\n{rows}"


def deliver(folder: Path) -> Environment:
    here = world(folder)
    for day in (1, 2, 3):
        write(here, "invoice_lines", f"{day}.csv", lines(f"2010-12-0{day}", first=10 * day))
    return here


def demo(folder: Path, machine: str = "dagster") -> None:
    """What `lakehouse demo` does, in a child; what it tells is kept."""
    os.environ["DAGSTER_HOME"] = str(folder / machine)
    with (folder / "told.txt").open("a", buffering=1) as told:
        here = replace(world(folder), tell=lambda line: print(line, file=told))
        problems = catch_up(here, definitions, folder / machine, lambda _: None)
        assert problems == []


def wait_for(folder: Path, name: str) -> None:
    """Waits for a file by which a child says that it has come so far."""
    deadline = time.monotonic() + 60
    while not list(folder.glob(name)):
        assert time.monotonic() < deadline, f"no {name}"
        time.sleep(0.01)


def read_runs(folder: Path) -> dict[str, str]:
    with sqlite3.connect(folder / "dagster/history/runs.db") as connection:
        return dict(connection.execute("select run_id, status from runs"))


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Dagster's storage without any run; it takes a second to be made, and is copied."""
    home = tmp_path_factory.mktemp("storage") / "dagster"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\nnux:\n  enabled: false\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(home))
        with open_instance(home):
            return home


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, storage: Path) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("undisturbed")
    here = deliver(folder)
    shutil.copytree(storage, folder / "dagster")
    assert children.run(demo, folder) == 0
    return contents(here)


@pytest.mark.parametrize("kill_at", first(1, ["publish: committed#4", "publish: files written#2"]))
def test_a_demo_after_a_killed_one_says_what_it_freed_and_ends_as_if_nothing_had_happened(
    tmp_path, undisturbed, storage, kill_at
):
    here = deliver(tmp_path)
    shutil.copytree(storage, tmp_path / "dagster")
    assert children.run(demo, tmp_path, kill_at=kill_at) == -signal.SIGKILL
    [dead] = [run for run, status in read_runs(tmp_path).items() if status in UNFINISHED]
    assert children.run(demo, tmp_path) == 0
    assert f"Freed run {dead} of " in (tmp_path / "told.txt").read_text()
    assert read_runs(tmp_path)[dead] == "FAILURE"
    assert UNFINISHED.isdisjoint(read_runs(tmp_path).values())
    assert contents(here) == undisturbed


@pytest.mark.full
def test_a_demo_that_was_killed_on_another_machine_left_nothing_that_is_waited_for(
    tmp_path, undisturbed, storage
):
    here = deliver(tmp_path)
    for machine in ("other", "dagster"):
        shutil.copytree(storage, tmp_path / machine)
    assert children.run(demo, tmp_path, "other", kill_at="publish: committed#3") == -signal.SIGKILL
    assert children.run(demo, tmp_path) == 0
    assert (tmp_path / "told.txt").read_text() == ""
    assert contents(here) == undisturbed


@pytest.mark.full
@pytest.mark.parametrize("number", [signal.SIGTERM, full(signal.SIGINT)])
def test_a_demo_that_waits_for_a_table_says_so_and_ends_at_a_signal(tmp_path, storage, number):
    here = deliver(tmp_path)
    shutil.copytree(storage, tmp_path / "dagster")
    (tmp_path / "dagster/turns").mkdir()
    with wait_for_lock(tmp_path / "dagster/turns/raw_invoice_lines", "it is held"):
        process = children.start(demo, tmp_path)
        wait_for(tmp_path, "told.txt")
        deadline = time.monotonic() + 60
        while "waiting for it" not in (tmp_path / "told.txt").read_text():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        os.kill(process.pid, number)
        assert children.code_of(process) != 0
    assert UNFINISHED.isdisjoint(read_runs(tmp_path).values())
    assert contents(here) == {}


# What is dead


@pytest.fixture
def instance(storage, tmp_path, monkeypatch) -> Iterator[dg.DagsterInstance]:
    """An instance with its storage in files, which other processes can open."""
    shutil.copytree(storage, tmp_path / "dagster")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    monkeypatch.setattr(dead_runs, "_silent", {})
    with open_instance(tmp_path / "dagster") as opened:
        yield opened


def work(folder: Path, run_id: str) -> None:
    """Executes a run, in a child, until it is killed."""
    os.environ["DAGSTER_HOME"] = str(folder / "dagster")
    with dg.DagsterInstance.get() as instance, lease_run(instance, run_id) as tags:
        add_run(instance, run_id=run_id, tags=tags)
        (folder / "working").touch()
        time.sleep(60)


@dg.job
def nothing() -> None:
    pass


def add_run(instance: dg.DagsterInstance, status: str = "STARTED", **given) -> dg.DagsterRun:
    run = instance.create_run_for_job(nothing, status=dg.DagsterRunStatus(status), **given)
    return instance.get_run_by_id(run.run_id) or run


@pytest.fixture
def worker(tmp_path, instance):  # noqa: ARG001, its storage
    """A process that executes the run `RUN`."""
    process = children.start(work, tmp_path, RUN)
    wait_for(tmp_path, "working")
    yield process
    process.kill()
    process.join()


def test_a_run_is_freed_when_its_process_is_killed_and_not_before(instance, worker):
    assert free_dead_runs(instance) == []
    worker.kill()
    worker.join()
    [line] = free_dead_runs(instance)
    assert line.startswith(f"Freed run {RUN} of nothing (started): process ")
    assert line.endswith(" has ended.")
    assert instance.get_run_by_id(RUN).status == dg.DagsterRunStatus.FAILURE
    assert free_dead_runs(instance) == []
    assert not find_lease(instance, RUN).exists()


def test_a_run_whose_process_is_stopped_is_not_freed_whatever_the_clock_says(
    instance, worker, monkeypatch
):
    os.kill(worker.pid, signal.SIGSTOP)
    monkeypatch.setattr(time, "time", lambda: 9e9)
    assert free_dead_runs(instance) == []
    # Nor if somebody empties the folder of the leases: its number and start tell.
    find_lease(instance, RUN).unlink()
    assert free_dead_runs(instance) == []
    worker.kill()
    worker.join()
    assert len(free_dead_runs(instance)) == 1


def test_a_number_that_is_used_again_does_not_keep_a_run_alive(instance):
    here = identify_process()
    add_run(instance, tags={PROCESS: replace(here, started="1").to_text()})
    assert len(free_dead_runs(instance)) == 1


def test_a_run_from_before_a_power_cut_is_freed_at_once(instance):
    before = replace(identify_process(), machine="m", boot="another")
    add_run(instance, tags={PROCESS: before.to_text()})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lakehouse.project.leases.find_machine_id", lambda: "m")
        [line] = free_dead_runs(instance)
    assert "ended before the machine was started again" in line


def test_a_run_of_another_machine_is_freed_only_when_its_signs_of_life_end(instance, monkeypatch):
    other = Process("elsewhere", "", "another boot", 7, "1", "2026-12-01", "demo")
    add_run(instance, tags={PROCESS: other.to_text()})
    now = [1000.0]
    monkeypatch.setattr(
        "lakehouse.orchestration.dead_runs.time", SimpleNamespace(monotonic=lambda: now[0])
    )
    for beat in range(5):
        key = dead_runs.name_beat(other)
        instance.daemon_cursor_storage.set_cursor_values({key: str(beat)})
        assert free_dead_runs(instance) == []
        now[0] += 80
    now[0] += 91
    [line] = free_dead_runs(instance)
    assert "process 7 on elsewhere has given no sign of life for 90 s" in line


def test_a_run_that_is_being_cancelled_by_a_dead_process_is_cancelled(instance):
    run = add_run(
        instance, "CANCELING", tags={PROCESS: replace(identify_process(), started="1").to_text()}
    )
    free_dead_runs(instance)
    assert instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.CANCELED


def test_slots_of_pools_that_dead_and_finished_runs_claimed_are_given_back(instance):
    storage = instance.event_log_storage
    storage.set_concurrency_slots("orders", 1)
    for status, tags in (
        ("STARTED", {PROCESS: replace(identify_process(), started="1").to_text()}),
        ("FAILURE", {}),
    ):
        run = add_run(instance, status, tags=tags)
        assert storage.claim_concurrency_slot("orders", run.run_id, "step").is_claimed
        assert run.run_id in free_dead_runs(instance)[0]
        assert storage.get_concurrency_info("orders").active_slot_count == 0


def test_a_run_that_a_killed_command_created_and_did_not_begin_is_freed(instance, tmp_path):
    assert children.run(begin_command, tmp_path) == -signal.SIGKILL
    add_run(instance, "NOT_STARTED")
    [line] = free_dead_runs(instance)
    assert "was killed" in line


def test_a_run_is_left_alone_while_the_command_that_may_have_created_it_is_alive(
    instance, tmp_path, monkeypatch
):
    process = children.start(begin_command, tmp_path, 60.0)
    wait_for(tmp_path / "dagster/leases", "process-*")
    add_run(instance, "NOT_STARTED")
    monkeypatch.setattr(dead_runs, "_SILENT_SERVER", 0.0)
    assert free_dead_runs(instance) == []
    process.kill()
    process.join()
    assert len(free_dead_runs(instance)) == 1


def begin_command(folder: Path, seconds: float = 0.0) -> None:
    """A command that was killed some seconds after it had loaded its definitions."""
    register_process(folder / "dagster")
    time.sleep(seconds)
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_run_without_any_trace_is_freed_after_a_while(instance, monkeypatch):
    add_run(instance, "STARTED")
    assert free_dead_runs(instance) == []
    monkeypatch.setattr(dead_runs, "_SILENT_SERVER", 0.0)
    assert len(free_dead_runs(instance)) == 1


def test_what_two_find_at_once_is_freed_and_told_by_one(instance, tmp_path):
    add_run(instance, tags={PROCESS: replace(identify_process(), started="1").to_text()})
    process = children.start(hold_turn, tmp_path / "dagster/leases")
    wait_for(tmp_path / "dagster/leases", "held")
    assert free_dead_runs(instance) == []
    process.kill()
    process.join()
    assert len(free_dead_runs(instance)) == 1


def hold_turn(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with dead_runs._take_turn(folder):
        (folder / "held").touch()
        time.sleep(60)


# Sensors


@pytest.fixture(autouse=True)
def one_look(monkeypatch):
    monkeypatch.setattr(sensors, "_WATCH_SECONDS", 0)


def tick(here: Environment, instance: dg.DagsterInstance, name: str, cursor: str | None = None):
    defs = definitions(here)
    sensor = next(sensor for sensor in defs.sensors or [] if sensor.name == name)
    with dg.build_sensor_context(instance=instance, cursor=cursor, definitions=defs) as context:
        return sensor(context)


def start_asked(here: Environment, instance: dg.DagsterInstance, asked: dg.SensorResult) -> None:
    """Begins the runs that a sensor asked for in a process that is dead by now."""
    for request in asked.run_requests or []:
        job = definitions(here).resolve_job_def(request.job_name or "ingest_job")
        tags = {**request.tags, PROCESS: replace(identify_process(), started="1").to_text()}
        instance.create_run_for_job(job, tags=tags, status=dg.DagsterRunStatus.STARTED)


@pytest.mark.parametrize("name", ["landing_sensor", "commit_sensor"])
def test_a_sensor_asks_again_for_runs_whose_process_was_killed_however_often(
    here, instance, name, monkeypatch
):
    write(here, "invoice_lines", "a.csv", lines("2010-12-01"))
    if name == "commit_sensor":
        land_all(here)
    asked = tick(here, instance, name)
    assert asked.run_requests
    monkeypatch.setattr(retries, "_LONGEST_REST", 0.0)
    for _ in range(3):
        start_asked(here, instance, asked)
        asked = tick(here, instance, name, cursor=asked.cursor)
        assert asked.run_requests


@pytest.mark.parametrize(("deaths", "seconds"), [(1, 1), (2, 2), (4, 8), (30, 600)])
def test_each_death_makes_the_next_try_rarer(deaths, seconds):
    def has_rested(since: float) -> bool:
        died = SimpleNamespace(end_time=time.time() - since)
        return retries._has_rested([died] * deaths)

    assert (has_rested(0.9 * seconds), has_rested(1.1 * seconds)) == (False, True)
    assert has_rested(-1e6)  # the clock went back


def test_a_sensor_says_for_which_run_it_waits_and_since_when(here, instance, worker):  # noqa: ARG001
    instance.add_run_tags(RUN, {"lakehouse/trigger": "landing"})
    found = tick(here, instance, "landing_sensor")
    assert f"run {RUN}, started, asked for at 20" in found.skip_message


def test_the_sensor_of_dead_runs_tells_what_it_freed(here, instance):
    add_run(instance, tags={PROCESS: replace(identify_process(), started="1").to_text()})
    assert tick(here, instance, "dead_runs_sensor").skip_message.startswith("Freed run ")
    assert tick(here, instance, "dead_runs_sensor").skip_message == "no run is dead"


# Turns


def test_two_steps_of_a_table_take_turns_and_the_second_is_told(here, instance, monkeypatch):
    monkeypatch.setattr("lakehouse.storage.locks._FIRST_TELL", 0.0)
    told: list[str] = []
    log = SimpleNamespace(warning=told.append)
    context = SimpleNamespace(instance=instance, log=log)
    monkeypatch.setattr("lakehouse.storage.locks.LONGEST_WAIT", 0.3)
    with table_turns.take_turn(context, here, "staged/orders"):
        with table_turns.take_turn(context, here, "raw/orders"):
            pass  # another table has its own turn
        second = table_turns.take_turn(context, here, "staged/orders")
        with pytest.raises(BusyError, match="staged/orders is made by process"), second:
            pass
    assert "waiting for it" in told[0]
