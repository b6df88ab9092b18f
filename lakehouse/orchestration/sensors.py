"""Sensors: for files that have not landed, and for commits that made a table stale.

Each reads the landing zone or the tables, decides in plain functions, and emits run requests.
Cursors only save work: a sensor without its cursor looks at everything and asks for the same runs.

The landing sensor asks for an ingest run, which also makes what it made stale (`ingest_job.py`).
The commit sensor asks for the rest: what others committed, and what an ingest run left.
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dagster as dg

from lakehouse.environment import Environment
from lakehouse.errors import BusyError
from lakehouse.failpoints import failpoint
from lakehouse.orchestration.dead_runs import define_dead_runs_sensor, tell_freed
from lakehouse.orchestration.first_partitions import Begins
from lakehouse.orchestration.ingest_job import INGEST_JOB
from lakehouse.orchestration.landing_look import LANDING, look_at_landing
from lakehouse.orchestration.retries import has_lost_runs
from lakehouse.orchestration.run_requests import TRIGGER, plan_runs
from lakehouse.orchestration.settled_sensor import define_settled_sensor
from lakehouse.storage.revision import Revision, parse_revisions
from lakehouse.wording import escape_lines

# Every state in which a run may still land or make something. A run that is being cancelled is at
# work until its step has ended.
_RUNNING = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_AT_WORK = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
# Run tag with a hash of the tables' state for which a run was asked to make what is stale.
_ASKED = "lakehouse/asked"
_COMMIT = {TRIGGER: "commit"}
# A cursor of another version is ignored, which costs one look at everything.
_CURSOR_VERSION = 2
# Seconds: just under nine turns of the daemon's loop, and under the minute after which it gives up
# a tick.
_WATCH_SECONDS = 44.0
_LOOK_EVERY = 0.4  # seconds
_REST = 4  # times as long as a look took: on a large lake, looking takes at most a fifth of a core

Answer = dg.SensorResult | dg.SkipReason
Look = Callable[[dg.SensorEvaluationContext, str | None], Answer]
"""One look of a sensor, with the cursor that the previous look left."""


def define_landing_sensor(environment: Environment) -> dg.SensorDefinition:
    """Defines the sensor that asks for one ingest run when files in landing have not landed."""

    def look(context: dg.SensorEvaluationContext, cursor: str | None) -> Answer:
        # One at a time: files are news until they have landed, so a second run would find the same.
        instance, running = context.instance, dg.RunsFilter(tags=LANDING, statuses=_RUNNING)
        if waiting := _describe_work(instance, running):
            return dg.SkipReason(f"an ingest run is in progress: {waiting}")
        return look_at_landing(environment, instance, cursor, context.log.warning)

    description = "Requests an ingest run when landing has files that have not landed yet."
    return _sensor(environment, "landing_sensor", description, look, job_name=INGEST_JOB)


def define_commit_sensor(
    environment: Environment, jobs: Sequence[Any], begins: Begins | None = None
) -> dg.SensorDefinition:
    """Defines the sensor that asks for runs of exactly the periods that new commits made stale."""

    def look(context: dg.SensorEvaluationContext, cursor: str | None) -> Answer:
        instance = context.instance
        if waiting := _describe_work(instance, dg.RunsFilter(tags=_COMMIT, statuses=_RUNNING)):
            running = "a run that an earlier commit triggered is in progress"
            return dg.SkipReason(f"{running}: {waiting}")
        # One that is queued has landed nothing yet, so that other runs get a turn between two.
        ingesting = dg.RunsFilter(job_name=INGEST_JOB, statuses=_AT_WORK)
        if waiting := _describe_work(instance, ingesting):
            return dg.SkipReason(f"an ingest run makes what it lands: {waiting}")
        # Read before the logs are: a commit in between is planned now and looked at once more.
        since, seen = _read_cursor(cursor), environment.list_revisions()
        if since == seen:
            return dg.SkipReason("no new commits")
        stale = environment.create_planner(since).find_stale_tables()
        runs = plan_runs(environment.catalog, stale, begins)
        if not runs:
            return dg.SensorResult(
                skip_reason="new commits made nothing stale", cursor=_write_cursor(seen)
            )
        # The cursor moves when everything is made: until then the tables say what is left. If no
        # table has changed since the last request, its runs made nothing, and would not now.
        mark = _mark(seen)
        if _read_cursor(cursor, "asked") == seen and not has_lost_runs(instance, {_ASKED: mark}):
            return dg.SensorResult(
                skip_reason="the last runs left tables stale; the nightly schedule tries again",
                cursor=_write_cursor(seen),
            )
        return dg.SensorResult(
            run_requests=[
                run.request(environment.catalog, {**_COMMIT, _ASKED: mark}) for run in runs
            ],
            cursor=_write_cursor(since, asked=seen),
        )

    description = (
        "Reads from the Delta logs which days new commits touch, "
        "and requests runs of these days downstream."
    )
    return _sensor(environment, "commit_sensor", description, look, jobs=jobs)


def _sensor(
    environment: Environment,
    name: str,
    description: str,
    look: Look,
    **runs: Any,  # noqa: ANN401
) -> dg.SensorDefinition:
    """Defines a sensor that is on from the start; `runs` says which jobs it asks for."""

    @dg.sensor(
        name=name,
        minimum_interval_seconds=1,  # so that the daemon's own loop, 5 seconds, sets the pace
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=description,
        **runs,
    )
    def sense(context: dg.SensorEvaluationContext) -> Answer:
        try:
            found = _watch(environment, look, context)
        # Landing or the lake does not answer, which the next tick may find different. Any other
        # error fails the tick: a landing zone that is gone is not an empty one.
        except BusyError as error:
            return dg.SkipReason(escape_lines(str(error)))
        failpoint("sensor: looked")
        return found

    return sense


def _watch(environment: Environment, look: Look, context: dg.SensorEvaluationContext) -> Answer:
    """Looks several times within one tick, until there is something to ask for.

    Dagster's daemon starts ticks five seconds apart, and a file should not wait that long. In a
    bucket each look costs requests, so one look has to do.
    """
    deadline = time.monotonic() + (_WATCH_SECONDS if environment.lake.is_local else 0)
    cursor = context.cursor
    while True:
        started = time.monotonic()
        found = look(context, cursor)
        if isinstance(found, dg.SensorResult):
            cursor = found.cursor or cursor
            if found.run_requests:
                return found
        if time.monotonic() >= deadline:
            # A cursor that an earlier look moved is kept, although the last look has none.
            return (
                found
                if cursor == context.cursor
                else dg.SensorResult(skip_reason=_reason(found), cursor=cursor)
            )
        time.sleep(max(_LOOK_EVERY, _REST * (time.monotonic() - started)))


def _reason(found: Answer) -> dg.SkipReason | None:
    return found if isinstance(found, dg.SkipReason) else found.skip_reason


def _read_cursor(cursor: str | None, part: str = "done") -> dict[str, Revision]:
    """Reads the revisions in one part of a cursor; none from a cursor of another version."""
    stored = json.loads(cursor) if cursor else {}
    is_current = stored.get("cursor_version") == _CURSOR_VERSION
    return parse_revisions(stored.get(part) or {}) if is_current else {}


def _write_cursor(
    done: Mapping[str, Revision], *, asked: Mapping[str, Revision] | None = None
) -> str:
    parts = {
        part: {name: str(revision) for name, revision in revisions.items()}
        for part, revisions in {"done": done, "asked": asked or {}}.items()
    }
    return json.dumps({"cursor_version": _CURSOR_VERSION, **parts})


def _mark(revisions: Mapping[str, Revision]) -> str:
    """Returns a short hash of the state of all tables, by which the runs asked for it are found."""
    text = json.dumps({name: str(revisions[name]) for name in sorted(revisions)})
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _describe_work(instance: dg.DagsterInstance, wanted: dg.RunsFilter) -> str | None:
    """Returns which run is at work since when; None if there is none, or only dead ones."""
    found = instance.get_run_records(wanted, limit=1)
    if found and tell_freed(instance):
        found = instance.get_run_records(wanted, limit=1)
    if not found:
        return None
    [record] = found
    run, since = record.dagster_run, record.create_timestamp
    return f"run {run.run_id}, {run.status.value.lower()}, asked for at {since:%Y-%m-%d %H:%M:%S}"


def build_sensors(
    environment: Environment, making: Sequence[Any], begins: Begins | None = None
) -> list[dg.SensorDefinition]:
    """Builds every sensor; `making` are the jobs that make tables, for partitions from `begins`."""
    return [
        define_landing_sensor(environment),
        define_commit_sensor(environment, making, begins),
        define_dead_runs_sensor(),
        define_settled_sensor(environment),
    ]
