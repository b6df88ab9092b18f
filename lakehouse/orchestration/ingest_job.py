"""The job that lands files and makes what they made stale, in one run instead of three.

Each table is a step, after the tables that it reads. The step of a raw table lands files. The step
of a derived table makes exactly the periods that commits since the run was requested made stale;
it is skipped if none of its inputs changed. What a run leaves, after a failure or because it is too
much, is still stale by the logs: the commit sensor asks for it.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg
from pydantic import Field

from lakehouse.environment import Environment
from lakehouse.errors import BusyError, LakehouseError
from lakehouse.lineage.staleness import StaleTable
from lakehouse.orchestration import metadata
from lakehouse.orchestration.names import RESOURCE
from lakehouse.orchestration.run_events import (
    Events,
    build_landing_event,
    defer_failed_checks,
    land_files,
    make_within_job,
    run_with_clear_failures,
)
from lakehouse.storage.revision import Revision, parse_revisions
from lakehouse.tables.catalog import Catalog
from lakehouse.tables.table_types import DerivedTable, RawTable
from lakehouse.wording import escape_lines

INGEST_JOB = "ingest_job"

_AT_ONCE = 100
"""Most periods of a table that one step makes.

Each period is an event of some 20 ms here. A run of its own starts a process, which takes some two
seconds, and writes its events in one batch.
"""


class LandConfig(dg.Config):
    """The config of a step that lands files."""

    asked: bool = Field(default=True, description="Whether to land files in this table.")


class MakeConfig(dg.Config):
    """The config of a step that makes a table."""

    since: dict[str, str] = Field(
        default_factory=dict,
        description="Revisions of the table and its inputs. The run makes what later commits made "
        "stale; if this is empty, it makes whatever is stale.",
    )


def define_ingest_job(catalog: Catalog) -> dg.JobDefinition:
    """Defines the job that lands files and brings the tables that read them up to date."""
    steps = {raw.name: _landing(raw) for raw in catalog.raw_tables} | {
        t.name: _making(t) for t in catalog.derived_tables
    }

    @dg.job(
        name=INGEST_JOB,
        description="Lands the files in landing and rebuilds what they make stale.",
    )
    def job() -> None:
        # Inputs first: the order of `derived_tables` has each table after those that it reads.
        done = {raw.name: steps[raw.name]() for raw in catalog.raw_tables}
        for table in catalog.derived_tables:
            # A table may read an input under two names, and depends on its step once.
            read = dict.fromkeys(catalog.find_inputs(table).values())
            done[table.name] = steps[table.name]([done[name] for name in read])

    return job


def build_run_config(
    catalog: Catalog, tables: list[str], since: Mapping[str, Revision]
) -> dict[str, Any]:
    """Returns the run config of an ingest run.

    Args:
        catalog: the declared tables.
        tables: the raw tables in which it lands files.
        since: the revisions of the tables; the run makes what later commits made stale.
    """
    # A step gets the revisions of its table and inputs, which is all that its planner asks for.
    ops: dict[str, Any] = {
        _step(raw.name): {"config": {"asked": raw.name in tables}} for raw in catalog.raw_tables
    }
    for table in catalog.derived_tables:
        known = (table.name, *dict.fromkeys(catalog.find_inputs(table).values()))
        ops[_step(table.name)] = {
            # As text, because config is JSON. A table that does not exist yet has no revision.
            "config": {"since": {name: str(since[name]) for name in known if name in since}}
        }
    return {"ops": ops}


def _step(table: str) -> str:
    """Returns the name of a table's step, which must differ from that of its asset's own step."""
    return f"{'land' if table.startswith('raw/') else 'make'}_{table.replace('/', '_')}"


# Without an output Dagster skips the steps that read this table, unless another input has changed.
_CHANGED: dict[str, Any] = {
    "out": dg.Out(dg.Nothing, is_required=False),
    "required_resource_keys": {RESOURCE},
}


def _landing(raw: RawTable) -> dg.OpDefinition:
    @dg.op(name=_step(raw.name), description=raw.description, **_CHANGED)
    def step(context: dg.OpExecutionContext, config: LandConfig) -> Events:
        if not config.asked:
            return
        here: Environment = getattr(context.resources, RESOURCE)
        report = run_with_clear_failures(lambda: land_files(context, here, raw))
        # Without news no event: it would look as if the table had been made again.
        if report.audits or report.refused:
            yield build_landing_event(here.lake, raw, report)
        yield metadata.to_evaluation(metadata.build_readable_result(here.lake, raw, report))
        # Only a commit is news for the readers; without an output they are skipped.
        if report.audits:
            yield dg.Output(None)

    return step


def _making(table: DerivedTable) -> dg.OpDefinition:
    inputs = {"inputs": dg.In(dg.Nothing)}

    @dg.op(
        name=_step(table.name),
        description=table.description,
        ins=inputs,
        **_CHANGED,
    )
    def step(context: dg.OpExecutionContext, config: MakeConfig) -> Events:
        here: Environment = getattr(context.resources, RESOURCE)
        part = run_with_clear_failures(lambda: _stale(here, table, config.since))
        # No output in the first two cases: the table has not changed for its readers.
        if part is None:
            context.log.info(f"{table.name}: nothing is stale")
        elif len(part.keys) > _AT_ONCE:
            context.log.info(
                f"{table.name}: {len(part.keys):,} stale periods are left to separate runs"
            )
        else:
            yield from _made(context, here, table, part)
            yield dg.Output(None)

    return step


def _stale(here: Environment, table: DerivedTable, since: Mapping[str, str]) -> StaleTable | None:
    planner = here.create_planner(parse_revisions(since))
    with planner.lake.translate_errors():
        return planner.find_stale_part(table)


def _made(
    context: dg.OpExecutionContext, here: Environment, table: DerivedTable, part: StaleTable
) -> Events:
    """Makes the stale part of a table, span by span, then fails for what was refused or held back.

    Raises:
        dg.Failure: not all of it could be published.
        dg.RetryRequested: the table was busy or the store did not answer, and nothing else went
            wrong.
    """
    problems: list[str] = []
    failed: list[dg.AssetCheckEvaluation] = []
    for days in part.spans or (None,):
        try:
            yield from defer_failed_checks(make_within_job(context, here, table, days), failed)
        except BusyError as error:
            # `make` has tried for ten minutes by now, or three times without an answer. The spans
            # that were made are no longer stale, so the next try makes only the rest.
            if not problems:
                raise dg.RetryRequested(max_retries=3, seconds_to_wait=5) from error
            # Not retried beside another problem: a period that was held back is not stale any more,
            # so a retry would not see it, and would end green.
            problems.append(str(error))
            break
        except LakehouseError as error:
            problems.append(str(error))
    yield from failed
    if problems:
        raise dg.Failure(escape_lines("\n".join(problems)), allow_retries=False)
