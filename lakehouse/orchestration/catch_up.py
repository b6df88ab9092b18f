"""Brings every table up to date in this process, by the runs that the sensors would ask for.

`lakehouse demo` uses it, and so may any program without a daemon. It prints nothing; the caller
announces runs.
"""

import os
import time
from collections.abc import Callable, Collection
from pathlib import Path
from uuid import uuid4

import dagster as dg

from lakehouse.environment import Environment
from lakehouse.errors import indent_problem
from lakehouse.ingest.land import read_news
from lakehouse.lineage.staleness import StaleTable
from lakehouse.orchestration.dead_runs import free_dead_runs, has_died
from lakehouse.orchestration.first_partitions import Begins, find_begins
from lakehouse.orchestration.names import to_asset_key
from lakehouse.orchestration.run_leases import lease_run
from lakehouse.orchestration.run_requests import TRIGGER, PlannedRun, plan_runs
from lakehouse.project.data_locks import wait_to_set_up
from lakehouse.tables.table_types import RawTable

# Dagster would print each step to the screen of a person who reads the report of the lakehouse.
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
_POLL_SECONDS = 0.2


def catch_up(
    here: Environment,
    define: Callable[[Environment, Begins], dg.Definitions],
    dagster_home: Path,
    announce: Callable[[PlannedRun], None],
    *,
    skipped_domains: Collection[str] = (),
) -> list[str]:
    """Lands what waits in landing, then makes whatever is stale until nothing is.

    Args:
        here: where to run.
        define: returns Dagster's definitions for an environment, with partitions that begin with
            some days.
        dagster_home: Dagster's folder, used unless `DAGSTER_HOME` is set.
        announce: called with each run that makes tables, before it starts.
        skipped_domains: domains whose tables are left alone.

    Returns:
        Why runs failed, one text for each failed step; empty if all succeeded.
    """
    # Dagster finds its folder by this variable alone; one that the user exported is kept.
    os.environ.setdefault("DAGSTER_HOME", str(dagster_home))
    with open_instance(Path(os.environ["DAGSTER_HOME"])) as instance:
        for line in free_dead_runs(instance):
            here.tell(line)
        job = define(here, {}).resolve_implicit_global_asset_job_def()
        _wait_for_fresh_files(here)
        # By their text: a table that stays stale may fail once more, for the same reason.
        problems = _land(here, job, instance, skipped_domains)
        # Defined anew, because the partitions begin with the data that have landed now.
        begins = find_begins(here)
        job = define(here, begins).resolve_implicit_global_asset_job_def()
        done: list[PlannedRun] = []
        # Planned anew after each round, because a run makes its readers stale. A run that failed
        # leaves its tables stale; it is not tried again, or this would never end.
        while runs := [
            run
            for run in plan_runs(here.catalog, _find_stale(here, skipped_domains), begins)
            if run not in done
        ]:
            for run in runs:
                announce(run)
                problems = _execute(job, run, instance) | problems
            done += runs
    return [f"{problem}\n    run {run_id}" for problem, run_id in problems.items()]


def open_instance(dagster_home: Path) -> dg.DagsterInstance:
    """Opens Dagster's instance in the folder that `DAGSTER_HOME` names."""
    with wait_to_set_up(dagster_home):
        return dg.DagsterInstance.get()


def _land(
    here: Environment,
    job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    skipped_domains: Collection[str],
) -> dict[str, str]:
    """Lands files in one run of the raw tables that have news; returns why that failed."""
    tables = tuple(
        raw.name
        for raw in here.catalog.raw_tables
        if raw.domain not in skipped_domains and _has_news(here, raw)
    )
    return _execute(job, PlannedRun(tables), instance) if tables else {}


def _find_stale(here: Environment, skipped_domains: Collection[str]) -> list[StaleTable]:
    return [
        part
        for part in here.create_planner().find_stale_tables()
        if here.catalog[part.table].domain not in skipped_domains
    ]


def _wait_for_fresh_files(here: Environment) -> None:
    """Waits until files that were written just now, such as the samples, may be read.

    A file that is written for longer than three rest periods is left to the next call.
    """
    deadline = time.monotonic() + 3 * here.landing.rest_seconds
    while time.monotonic() < deadline and any(
        read_news(here.lake, here.landing, raw).unfinished for raw in here.catalog.raw_tables
    ):
        time.sleep(_POLL_SECONDS)


def _has_news(here: Environment, raw: RawTable) -> bool:
    found = read_news(here.lake, here.landing, raw)
    # An unreadable file is news as well: landing it makes it a dead letter with a reason. So is a
    # refused file that was taken away: landing settles its dead letter.
    return bool(found.ready or found.unreadable or found.settled)


def _execute(
    job: dg.JobDefinition, run: PlannedRun, instance: dg.DagsterInstance
) -> dict[str, str]:
    """Executes one run in this process; returns why its steps failed, each with the run."""
    # In this process, as a process for each run would take seconds to start.
    run_id = str(uuid4())
    with lease_run(instance, run_id) as tags:
        result = job.execute_in_process(
            asset_selection=[to_asset_key(table) for table in run.tables],
            tags={TRIGGER: "demo", **run.partition, **tags},
            instance=instance,
            run_config=_QUIET,
            raise_on_error=False,
            run_id=run_id,
        )
    ended = instance.get_run_by_id(run_id)
    # Dagster notes Ctrl-C or SIGTERM as the failure of this run, and goes on.
    if ended is not None and has_died(ended):
        raise KeyboardInterrupt
    return {
        indent_problem(_read_reason(event), keeps_next_step=True): result.run_id
        for event in result.all_events
        if event.is_step_failure
    }


def _read_reason(event: dg.DagsterEvent) -> str:
    """Returns the message of a failed step: the engine's own if there is one."""
    # `dg.Failure` carries the engine's message as its description; other errors bring a traceback.
    failure = event.step_failure_data
    error = failure.user_failure_data
    if error and error.description:
        return str(error.description)
    return str(failure.error_display_string)
