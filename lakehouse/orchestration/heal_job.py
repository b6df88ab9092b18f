"""The nightly job: lands every file that has not landed, and makes again every table that is stale.

It asks the tables, not the sensors, and so finds what a sensor missed. One run does everything, in
the order in which tables read each other, and reports each partition to Dagster.
"""

import dagster as dg

from lakehouse.environment import Environment
from lakehouse.errors import LakehouseError, list_problems
from lakehouse.ingest.land import land
from lakehouse.lineage.staleness import StaleTable
from lakehouse.orchestration import metadata
from lakehouse.orchestration.names import RESOURCE
from lakehouse.orchestration.run_events import (
    Events,
    build_landing_event,
    defer_failed_checks,
    make_within_job,
)
from lakehouse.orchestration.table_turns import take_turn
from lakehouse.tables.table_types import DerivedTable, RawTable
from lakehouse.wording import escape_lines


def define_heal_job() -> dg.JobDefinition:
    """Defines the job that brings every table up to date."""

    @dg.op(required_resource_keys={RESOURCE}, out=dg.Out(dg.Nothing))
    def heal(context: dg.OpExecutionContext) -> Events:
        """Lands what lies in landing, then makes again what is stale."""
        here: Environment = getattr(context.resources, RESOURCE)
        problems: list[str] = []
        # An outage of landing must not keep tables from being made of what has landed.
        for raw in here.catalog.raw_tables:
            yield from _land(context, here, raw, problems)
        # One part at a time, and asked again after each: making it may make its readers stale. They
        # come after it, so the first is always one whose inputs are done. What failed is tried
        # again only if an input has changed since, or the loop would never end.
        tried: set[tuple[object, ...]] = set()
        while parts := [
            part
            for part in here.create_planner().find_stale_tables()
            if _state(here, part) not in tried
        ]:
            tried.add(_state(here, parts[0]))
            yield from _make_again(context, here, parts[0], problems)
        # The run ends red even if only one file was refused.
        if problems:
            message = list_problems(
                "Some tables could not be brought up to date.",
                problems,
                "fix these problems and run again; everything else is up to date.",
            )
            raise dg.Failure(escape_lines(message), allow_retries=False)

    @dg.job(
        name="heal_job",
        description="Lands the files in landing and rebuilds whatever is stale.",
    )
    def job() -> None:
        heal()

    return job


def _state(here: Environment, part: StaleTable) -> tuple[object, ...]:
    """Returns a stale part with the revisions of its inputs; the same state is not tried twice."""
    table = here.catalog[part.table]
    inputs = here.catalog.find_inputs(table).values()
    return part.table, part.keys, tuple(here.lake.revision(name) for name in inputs)


def _land(
    context: dg.OpExecutionContext, here: Environment, raw: RawTable, problems: list[str]
) -> Events:
    """Lands the files of one table; an error is noted and stops nothing else."""
    try:
        with take_turn(context, here, raw.name):
            report = land(here.lake, here.landing, raw, run_id=context.run_id)
    except LakehouseError as error:
        context.log.error(escape_lines(str(error)))
        problems.append(str(error))
        return
    # Without news no event, or each night would look like a materialization of each raw table.
    if report.audits or report.refused:
        yield build_landing_event(here.lake, raw, report)
        yield metadata.to_evaluation(metadata.build_readable_result(here.lake, raw, report))
    problems += [f"{raw.name}: {line}" for line in report.refused]


def _make_again(
    context: dg.OpExecutionContext, here: Environment, part: StaleTable, problems: list[str]
) -> Events:
    """Makes the stale part of one table, span by span."""
    table = here.catalog[part.table]
    assert isinstance(table, DerivedTable)  # noqa: S101
    failed: list[dg.AssetCheckEvaluation] = []
    # No span stands for the whole of a table without partitions.
    for days in part.spans or (None,):
        try:
            yield from defer_failed_checks(make_within_job(context, here, table, days), failed)
        except LakehouseError as error:
            context.log.error(escape_lines(str(error)))
            problems.append(str(error))
    yield from failed


def define_nightly_schedule() -> dg.ScheduleDefinition:
    """Defines the schedule that runs the job every night at two, UTC."""
    return dg.ScheduleDefinition(
        name="heal_nightly_schedule",
        job=define_heal_job(),
        cron_schedule="0 2 * * *",  # without a time zone, Dagster takes UTC
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Lands and rebuilds whatever the sensors missed.",
    )
