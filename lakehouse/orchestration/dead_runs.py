"""Finds runs whose process is dead, and frees what they hold: their status, their slots in pools.

Dagster asks nobody whether a run's process is alive when it starts it by its default launcher, or
in the process of a command. A dead run would keep its place in the queue for ever, and the sensors
would wait for it. So whoever comes next looks here: the demonstration, each run, each sensor.

A run is dead if its process holds no lease any more (`run_leases.py`). A run on another machine is
dead if it has given no sign of life for a while, measured by the clock that never jumps.
"""

import fcntl
import json
import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from lakehouse.project.leases import (
    Process,
    delete_dead_leases,
    is_alive,
    is_running,
    list_leases,
    parse_process,
)
from lakehouse.storage.locks import is_locked

PROCESS = "lakehouse/process"
"""Run tag that names the process that executes a run."""

# Every state in which a run needs a process. One that is queued needs none yet.
_EXECUTING = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_SILENT_MACHINE = 90.0  # seconds without one of the signs of life, which come every 20
_SILENT_SERVER = 15.0  # seconds; a worker needs some five to import Dagster
# Dagster's own tags: the code server to which a run was given, and why a run failed.
_SERVER = ".dagster/grpc_info"
_REASON = "dagster/failure_reason"
_OWN_REASONS = {"STEP_FAILURE", "RUN_EXCEPTION", "JOB_INITIALIZATION_FAILURE"}
_SERVERS = ("api grpc", "code-server", "dagster-daemon", "dagster dev")

_log = logging.getLogger(__name__)

_silent: dict[str, tuple[str, float]] = {}
"""Runs for which this process saw no sign of life, with the last sign and since when."""


def find_leases(dagster_home: Path) -> Path:
    """Returns the folder of the leases beside Dagster's storage."""
    return dagster_home / "leases"


def find_lease(instance: dg.DagsterInstance, run_id: str) -> Path:
    """Returns the file of a run's lease."""
    return find_leases(Path(instance.root_directory)) / f"run-{run_id}"


def name_beat(process: Process) -> str:
    """Returns the key in Dagster's storage under which a process shows that it is alive."""
    return f"lakehouse/beat/{process.host}/{process.pid}"


def has_died(run: dg.DagsterRun) -> bool:
    """Whether a run failed because its process ended, and not for a reason of its own."""
    return run.status == dg.DagsterRunStatus.FAILURE and run.tags.get(_REASON) not in _OWN_REASONS


def free_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Marks runs of dead processes as failed, and gives back the slots that they claimed.

    Returns:
        What was freed and why, one line each.
    """
    runs = instance.get_runs(dg.RunsFilter(statuses=_EXECUTING))
    holders = _list_slot_holders(instance)
    if not runs and not holders:
        return []
    with _take_turn(find_leases(Path(instance.root_directory))) as is_ours:
        # Somebody else is just freeing them, and says so.
        if not is_ours:
            return []
        freed = [line for run in runs if (line := _free_if_dead(instance, run))]
        for run_id in holders:
            freed += _free_slots_if_finished(instance, run_id)
        delete_dead_leases(find_leases(Path(instance.root_directory)))
    return freed


def tell_freed(instance: dg.DagsterInstance) -> list[str]:
    """Frees the runs of dead processes and logs each; returns the lines."""
    freed = free_dead_runs(instance)
    for line in freed:
        _log.warning(line)
    return freed


def define_dead_runs_sensor() -> dg.SensorDefinition:
    """Defines the sensor that frees the runs of dead processes.

    The other sensors do so at once when such a run is in their way. This one does it for runs that
    a person started, of which four would fill the queue.
    """

    @dg.sensor(
        name="dead_runs_sensor",
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Marks runs whose process was killed as failed, and frees what they held.",
    )
    def sense(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        return dg.SkipReason("\n".join(tell_freed(context.instance)) or "no run is dead")

    return sense


@contextmanager
def _take_turn(folder: Path) -> Iterator[bool]:
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / "freeing", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(descriptor)


def _free_if_dead(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str | None:
    reason = _find_death(instance, run)
    # Asked again: it may have come to its end between the two looks.
    latest = instance.get_run_by_id(run.run_id) if reason else None
    if reason is None or latest is None or latest.status not in _EXECUTING:
        return None
    status = latest.status.value.lower().replace("_", " ")
    line = f"Freed run {run.run_id} of {run.job_name} ({status}): {reason}."
    message = f"{line} The tables say what it left to do; the next run does it."
    if latest.status == dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceled(latest, message)
    else:
        instance.report_run_failed(latest, message)
    _free_slots(instance, run.run_id)
    find_lease(instance, run.run_id).unlink(missing_ok=True)
    _silent.pop(run.run_id, None)
    return line


def _list_slot_holders(instance: dg.DagsterInstance) -> set[str]:
    storage = instance.event_log_storage
    return (
        storage.get_concurrency_run_ids() if storage.supports_global_concurrency_limits else set()
    )


def _free_slots(instance: dg.DagsterInstance, run_id: str) -> None:
    if instance.event_log_storage.supports_global_concurrency_limits:
        instance.event_log_storage.free_concurrency_slots_for_run(run_id)


def _free_slots_if_finished(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    """Gives back what a run claimed that has ended otherwise; Dagster leaves that to a person."""
    run = instance.get_run_by_id(run_id)
    # One that was marked as ended by a person may still be at work.
    if (run and not run.is_finished) or is_locked(find_lease(instance, run_id)):
        return []
    _free_slots(instance, run_id)
    return [f"Freed the pool slots of run {run_id}, which has ended."]


def _find_death(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str | None:
    """Returns why a run is dead; None if it is alive, or may be."""
    lease = find_lease(instance, run.run_id)
    process = parse_process(run.tags.get(PROCESS, ""))
    if process is None:
        return None if is_locked(lease) else _find_death_before_lease(instance, run)
    if process.is_here:
        return None if is_alive(lease, process) else f"{process} has ended"
    if is_locked(lease):
        return None  # a shared folder that passes locks on
    if process.is_of_an_earlier_start:
        return f"{process} ended before the machine was started again"
    key = name_beat(process)
    sign = instance.daemon_cursor_storage.get_cursor_values({key}).get(key, "")
    why = f"{process} has given no sign of life for {_SILENT_MACHINE:.0f} s"
    return why if _is_silent(run.run_id, sign, _SILENT_MACHINE) else None


def _find_death_before_lease(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str | None:
    """Returns why a run is dead that has no lease: its process ended early, or was an old one."""
    is_remote = run.remote_job_origin is not None
    if run.status == dg.DagsterRunStatus.NOT_STARTED:
        # The daemon goes on with what it created, and the UI's server is about to. Of the others,
        # the log does not exist yet, and must not be made by two processes at once.
        return None if is_remote else _find_creator_death(instance, run)
    if pids := _list_pids(instance, run):
        if any(map(is_running, pids)):
            return None
        return f"process {', '.join(map(str, pids))} has ended"
    if not is_remote:
        return _find_creator_death(instance, run)
    if _answers(run.tags.get(_SERVER)):
        return None  # it says itself if the process that it starts fails
    is_silent = _is_silent(run.run_id, run.status.value, _SILENT_SERVER)
    return "the code server that was to execute it has ended" if is_silent else None


def _find_creator_death(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str | None:
    """Returns why nobody executes a run that a command created for itself, such as `asset`."""
    found = list_leases(find_leases(Path(instance.root_directory)), "process-").values()
    # Servers create runs as well, and leave it to others to execute them.
    commands = [
        (process, lives)
        for process, lives in found
        if process.pid != os.getpid() and not any(name in process.command for name in _SERVERS)
    ]
    if any(lives for _, lives in commands):
        return None
    # A command that comes to its end takes its lease away.
    if commands:
        return f"{commands[0][0]}, `{commands[0][0].command}`, was killed"
    is_silent = _is_silent(run.run_id, run.status.value, _SILENT_SERVER)
    return "no process on this machine executes it" if is_silent else None


def _list_pids(instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[int]:
    """Returns the processes that Dagster's log names as those of a run."""
    entries = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
    told = (entry.dagster_event.engine_event_data for entry in entries if entry.dagster_event)
    texts = (str(data.metadata["pid"].value) for data in told if "pid" in data.metadata)
    return [int(text) for text in dict.fromkeys(texts) if text.isdigit()]


def _answers(server: str | None) -> bool:
    """Whether somebody listens where a code server was, by Dagster's tag."""
    place = json.loads(server) if server else {}
    try:
        if place.get("socket"):
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(1)
                client.connect(place["socket"])
        elif place.get("port"):
            socket.create_connection((place.get("host"), place["port"]), timeout=1).close()
        else:
            return False
    except OSError:
        return False
    return True


def _is_silent(run_id: str, sign: str, seconds: float) -> bool:
    """Whether the same sign has been the last one for some seconds, as this process sees it."""
    now = time.monotonic()
    last, since = _silent.setdefault(run_id, (sign, now))
    if last != sign:
        _silent[run_id] = sign, now
        return False
    return now - since >= seconds
