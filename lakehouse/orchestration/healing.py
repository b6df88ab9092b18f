"""The nightly schedule that heals: what is not landed is landed, what is staler than its inputs is made again.

It asks the tables, not the sensors, and so finds what a sensor missed. One run does it all, in the order in which
tables read each other, and tells Dagster of each partition that it made.
"""

from typing import Any

import dagster as dg

from lakehouse.environment import Environment
from lakehouse.errors import DataError, LakehouseError, listed
from lakehouse.land import land
from lakehouse.make import make
from lakehouse.orchestration import metadata, partitions
from lakehouse.orchestration.assets import RESOURCE, asset_key
from lakehouse.staleness import Stale
from lakehouse.tables import DerivedTable


def heal_job() -> dg.JobDefinition:
    """A job that brings every table up to date."""

    @dg.op(required_resource_keys={RESOURCE}, out=dg.Out(dg.Nothing))
    def heal(context: dg.OpExecutionContext) -> None:
        """Land what lies in landing, then make again what is staler than its inputs."""
        here: Environment = getattr(context.resources, RESOURCE)
        problems: list[str] = []
        for raw in here.catalog.raw():
            report = land(here.lake, here.landing, raw, run_id=context.run_id)
            for audit in report.audits:
                context.log_event(dg.AssetMaterialization(asset_key(raw.name), metadata=metadata.of_audit(audit)))
            problems += [f"{raw.name}: {line}" for line in report.refused]
        failed: set[str] = set()
        while parts := [part for part in here.planner().stale() if part.table not in failed]:
            failed |= _make_again(context, here, parts[0], problems)
        if failed:
            raise dg.Failure(
                listed("Some tables could not be made again.", problems, "mend what is named."), allow_retries=False
            )

    @dg.job(
        name="heal_job", description="Lands what lies in landing, and makes again whatever is staler than its inputs."
    )
    def job() -> None:
        heal()

    return job


def _make_again(context: dg.OpExecutionContext, here: Environment, part: Stale, problems: list[str]) -> set[str]:
    """Make the stale part of one table; gives its name when that fails."""
    table = here.catalog[part.table]
    assert isinstance(table, DerivedTable)  # noqa: S101
    for days in part.spans or (None,):
        try:
            audit = make(here.lake, here.catalog, part.table, days, run_id=context.run_id)
        except (DataError, LakehouseError) as error:
            context.log.error(str(error))
            problems.append(str(error))
            return {part.table}
        keys: list[Any] = (
            [key for span in audit.made for key in table.partitions.keys(span)]
            if audit and table.partitions
            else [None]
        )
        for key in keys if audit else ():
            context.log_event(
                dg.AssetMaterialization(
                    asset_key(part.table),
                    partition=partitions.key(key) if key else None,
                    metadata=metadata.of_audit(audit) if audit else {},
                )
            )
        if audit is None:
            return {part.table}
    return set()


def nightly_schedule() -> dg.ScheduleDefinition:
    """Heals every night at two."""
    return dg.ScheduleDefinition(
        name="heal_nightly_schedule",
        job=heal_job(),
        cron_schedule="0 2 * * *",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Makes again whatever is staler than its inputs, whichever sensor missed it.",
    )
