"""The job that gives quarantined rows another try: `lakehouse replay` for Dagster's UI.

Its config names the table. It reports each partition that it made to Dagster, and its log and
metadata say by rule how many rows left quarantine and how many are still open.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg
from pydantic import Field

from lakehouse.environment import Environment
from lakehouse.errors import LakehouseError, list_problems
from lakehouse.ingest.land import LandResult
from lakehouse.operations.replay import ReplayCounts, ReplayReport, replay
from lakehouse.orchestration import metadata
from lakehouse.orchestration.names import RESOURCE, to_asset_key
from lakehouse.orchestration.run_events import (
    Events,
    build_landing_event,
    describe_held_back,
    list_materializations,
)
from lakehouse.tables.table_types import DerivedTable, RawTable
from lakehouse.wording import escape_control_characters, escape_lines, format_count


class ReplayConfig(dg.Config):
    """The config of a replay."""

    table: str = Field(
        description="The table whose rejected rows are replayed, such as staged/orders or raw/…"
    )


def define_replay_job() -> dg.JobDefinition:
    """Defines the job that makes again exactly the periods of a table that hold open rows."""

    @dg.op(required_resource_keys={RESOURCE}, out=dg.Out(dg.Nothing))
    def replay_table(context: dg.OpExecutionContext, config: ReplayConfig) -> Events:
        """Gives the open rows of a table's quarantine another try."""
        here: Environment = getattr(context.resources, RESOURCE)
        try:
            done = replay(here, config.table, run_id=context.run_id)
        except LakehouseError as error:
            raise dg.Failure(escape_lines(str(error)), allow_retries=False) from error
        context.log.info(f"{config.table}: {_sentence(done)}")
        for note in done.notes:
            context.log.warning(escape_lines(note))
        # Before the failure: what was released is published, whatever could not be made.
        yield from _events(here, done)
        if done.problems:
            message = list_problems(
                f"{config.table}: {_sentence(done)}.",
                done.problems,
                "fix these problems and replay again.",
            )
            # No retry: the next step is a fix, and then another replay.
            raise dg.Failure(escape_lines(message), metadata=_figures(done), allow_retries=False)

    @dg.job(
        name="replay_job", description="Gives the open rows in quarantine of one table another try."
    )
    def job() -> None:
        replay_table()

    return job


def _events(here: Environment, done: ReplayReport) -> Iterator[Any]:
    """Yields the events for Dagster: each partition that was made, and the result of the replay."""
    table = here.catalog[done.table]
    for audit in done.audits:
        if not isinstance(table, DerivedTable):
            yield build_landing_event(here.lake, table, LandResult((audit,)))
            continue
        yield from list_materializations(here.lake, table, audit)
        yield metadata.to_evaluation(
            metadata.build_contract_result(
                table, audit, describe_held_back(audit) if audit.held_back else None
            )
        )
    if isinstance(table, RawTable):
        yield metadata.to_evaluation(metadata.build_readable_result(here.lake, table))
    # An observation, because a replay has a result even where it made nothing.
    yield dg.AssetObservation(to_asset_key(done.table), metadata=_figures(done))


def _figures(done: ReplayReport) -> dict[str, Any]:
    """Returns how many rows were released and are still open, by rule."""
    rules = sorted({*done.released.rules, *done.remaining.rules})
    columns = [
        dg.TableColumn("rule"),
        dg.TableColumn("released", "int"),
        dg.TableColumn("open", "int"),
    ]
    records = [
        dg.TableRecord(
            {
                "rule": str(escape_control_characters(rule)),
                "released": _of(done.released, rule),
                "open": _of(done.remaining, rule),
            }
        )
        for rule in rules
    ]
    return {
        "released": done.released.rows,
        "open": done.remaining.rows,
        "rules": dg.MetadataValue.table(records, schema=dg.TableSchema(columns)),
    }


def _of(settled: ReplayCounts, rule: str) -> int:
    return settled.rules.get(rule, 0)


def _sentence(done: ReplayReport) -> str:
    return f"{format_count(done.released.rows, 'row')} released, {done.remaining.rows:,} still open"
