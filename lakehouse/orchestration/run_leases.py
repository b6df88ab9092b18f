"""The process of a run: it takes a lease, so that others can tell whether it is alive.

A run of Dagster is `STARTED` until somebody says that it has ended, and a process that was killed
says nothing. So each process that executes a run locks a file, and writes its name into the tags of
the run. `dead_runs.py` reads both.
"""

import atexit
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import dagster as dg

from lakehouse.orchestration.dead_runs import (
    PROCESS,
    find_lease,
    find_leases,
    free_dead_runs,
    name_beat,
)
from lakehouse.project.leases import identify_process, release_lease, take_lease

_BEAT_EVERY = 20.0  # seconds; most runs have ended by then


class LeasedExecutor(dg.Executor):
    """Dagster's executor in this process, for runs with a lease."""

    def __init__(self, inner: dg.Executor) -> None:
        self._inner = inner

    @property
    def retries(self) -> Any:  # noqa: ANN401
        """How steps are retried."""
        return self._inner.retries

    @property
    def step_dependency_config(self) -> Any:  # noqa: ANN401
        """When a step may begin."""
        return self._inner.step_dependency_config

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[Any]:  # noqa: ANN401
        """Executes the steps of a run, after those of dead processes were freed."""
        instance: dg.DagsterInstance = plan_context.instance
        # Not released: the run counts as executing until Dagster has stored its end, which it does
        # after this. The process ends soon after that.
        process = take_lease(find_lease(instance, plan_context.run_id))
        instance.add_run_tags(plan_context.run_id, {PROCESS: process.to_text()})
        for freed in free_dead_runs(instance):
            plan_context.log.warning(freed)
        with beat(instance):
            yield from self._inner.execute(plan_context, execution_plan)


def define_leased_executor() -> dg.ExecutorDefinition:
    """Defines Dagster's executor in this process, for runs whose process takes a lease."""
    plain = dg.in_process_executor
    create = plain.executor_creation_fn
    assert create is not None  # noqa: S101
    return dg.ExecutorDefinition(
        name=plain.name,
        config_schema=cast("Any", plain.config_schema),
        requirements=plain.get_requirements,
        executor_creation_fn=lambda init: LeasedExecutor(create(init)),
        description=plain.description,
    )


@contextmanager
def lease_run(instance: dg.DagsterInstance, run_id: str) -> Iterator[dict[str, str]]:
    """Holds the lease of a run that this process is about to create and to execute.

    Yields:
        The tags that the run needs.
    """
    file = find_lease(instance, run_id)
    process = take_lease(file)
    try:
        with beat(instance):
            yield {PROCESS: process.to_text()}
    finally:
        release_lease(file)


def register_process(dagster_home: Path) -> None:
    """Takes a lease for a process that may create runs and execute them itself.

    Between a run's creation and its own lease, this is the only sign that somebody is at work.
    """
    process = identify_process()
    file = find_leases(dagster_home) / f"process-{process.pid}-{process.started}"
    take_lease(file)
    # A lease that nobody holds is one of a process that was killed.
    atexit.register(release_lease, file)


@contextmanager
def beat(instance: dg.DagsterInstance) -> Iterator[None]:
    """Counts up in Dagster's storage now and then, for machines that cannot see the lock."""
    # Imported here: it costs a tenth of the start of a process, and only a run needs it.
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    ended = threading.Event()
    key = name_beat(identify_process())

    def count() -> None:
        beats = 0
        while not ended.wait(_BEAT_EVERY):
            beats += 1
            try:
                instance.daemon_cursor_storage.set_cursor_values({key: str(beats)})
            except (SQLAlchemyError, dg.DagsterError, OSError):
                continue  # the next one may get through; several may be missing

    thread = threading.Thread(target=count, name="lakehouse-lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
