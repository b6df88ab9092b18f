"""Declared tables as software-defined assets.

Belongs here: the assets, and what every job tells Dagster after it landed or made a table.
"""

from collections.abc import Iterator
from typing import Any, cast

import dagster as dg

from lakehouse.calendar import Days
from lakehouse.environment import Environment
from lakehouse.errors import BusyError, DataError, LakehouseError, list_problems
from lakehouse.ingest.land import LandResult, land
from lakehouse.observe.landing_report import describe_unclaimed
from lakehouse.orchestration import metadata, partitions
from lakehouse.publish.audit import Audit, RefusedCommitError
from lakehouse.tables.table_types import DerivedTable, RawTable, Table
from lakehouse.transform.make import make
from lakehouse.wording import format_count

RESOURCE = "environment"
Events = Iterator[Any]


def to_asset_key(table: str) -> dg.AssetKey:
    """Returns the asset key of a table: its layer, then its name."""
    return dg.AssetKey(table.split("/"))


def name_pool(table: str) -> str:
    """Returns the pool of a table; Dagster runs one step of a pool at a time, so writers queue."""
    return table.replace("/", "_")


def build_assets(environment: Environment) -> list[dg.AssetsDefinition]:
    """Builds one asset for each declared table."""
    tables = environment.catalog.tables.values()
    return [
        _raw(environment, t) if isinstance(t, RawTable) else _derived(environment, t)
        for t in tables
    ]


def _common(environment: Environment, table: Table) -> dict[str, Any]:
    layer, name = table.name.split("/")
    return {
        "key": dg.AssetKey([layer, name]),
        "group_name": table.domain or "default",
        "description": table.description,
        "owners": [table.owner] if table.owner else None,
        "tags": {"layer": layer},
        "metadata": metadata.describe_table(table, environment.lake),
        "required_resource_keys": {RESOURCE},
        "pool": name_pool(table.name),
    }


def _check(table: Table, name: str, description: str, *, blocking: bool) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(
        name, asset=to_asset_key(table.name), description=description, blocking=blocking
    )


def _raw(environment: Environment, table: RawTable) -> dg.AssetsDefinition:
    readable = "Every delivered record could be parsed; the others are in quarantine.dead_letters."

    asset: Any = dg.asset(
        **_common(environment, table),
        kinds={"deltalake", "file"},
        check_specs=[_check(table, metadata.READABLE_CHECK, readable, blocking=False)],
    )

    def land_files(context: dg.AssetExecutionContext) -> Events:
        here: Environment = getattr(context.resources, RESOURCE)
        report = run_with_clear_failures(
            lambda: land(
                here.lake, here.landing, table, run_id=context.run.run_id, progress=here.progress
            )
        )
        if note := run_with_clear_failures(lambda: describe_unclaimed(here)):
            context.log.warning(note)
        log_landing(context, table, report)
        yield dg.MaterializeResult(
            asset_key=to_asset_key(table.name),
            metadata=describe_landing(report),
            check_results=[metadata.build_readable_result(table, report)],
        )

    return cast("dg.AssetsDefinition", asset(land_files))


def log_landing(context: Any, table: RawTable, report: LandResult) -> None:  # noqa: ANN401
    """Logs what happened to the files of a table: landed, repeated, refused or unfinished."""
    for line in (*report.repeated, *report.refused):
        context.log.warning(f"{table.name}: {line}")
    for name in report.unfinished:
        context.log.info(f"{table.name}: {name} may still be written; the next run reads it")
    if not report.audits:
        context.log.info(f"{table.name}: nothing new in landing")
    for audit in report.audits:
        context.log.info(_summarize(audit))


def describe_landing(report: LandResult) -> dict[str, Any]:
    """Returns the metadata of a landing: the last commit, with the rows of all its commits."""
    if not report.audits:
        return {"notes": "nothing new in landing", "dagster/row_count": 0, "read": 0}
    last = metadata.describe_audit(report.audits[-1])
    summed = {"dagster/row_count": sum(a.rows for a in report.audits)}
    summed |= {
        name: sum(getattr(a, name) for a in report.audits)
        for name in ("read", "written", "bytes", "files")
    }
    return {
        **last,
        **summed,
        "dead_letters": sum(a.dead_letters for a in report.audits),
        "commits": len(report.audits),
    }


def _derived(environment: Environment, table: DerivedTable) -> dg.AssetsDefinition:
    sources = environment.catalog.find_inputs(table).values()
    promise = (
        f"No more rows break {table.contract.__name__} than it allows, "
        "and every rule of the table holds."
    )
    calendar = table.partitions

    asset: Any = dg.asset(
        **_common(environment, table),
        kinds={"deltalake", "duckdb" if table.is_sql else "polars"},
        deps=[_build_dependency(environment, table, source) for source in sources],
        partitions_def=partitions.define_partitions(calendar) if calendar else None,
        backfill_policy=dg.BackfillPolicy.single_run() if calendar else None,
        code_version=table.code_version,
        check_specs=[_check(table, metadata.CONTRACT_CHECK, promise, blocking=True)],
    )

    def make_table(context: dg.AssetExecutionContext) -> Events:
        here: Environment = getattr(context.resources, RESOURCE)
        days = partitions.read_days(context, table)
        try:
            audit = run_with_clear_failures(
                lambda: make(here.lake, here.catalog, table.name, days, run_id=context.run.run_id)
            )
        except RefusedCommitError as refused:
            yield metadata.build_contract_result(table, refused.audit, str(refused))
            raise dg.Failure(str(refused), allow_retries=False) from refused
        context.log.info(
            _summarize(audit)
            if audit
            else f"{table.name}: its input holds no rows for it; nothing changed"
        )
        if audit and audit.held_back:
            yield from _report_held_back(context, table, audit)
        _log_periods(context, audit)
        yield build_result(table, audit)

    return cast("dg.AssetsDefinition", asset(make_table))


def _report_held_back(
    context: dg.AssetExecutionContext, table: DerivedTable, audit: Audit
) -> Events:
    """Reports each period that was published, then fails for those that were held back.

    Raises:
        dg.Failure: always; a success would mark every period of the range as materialized.
    """
    for event in list_materializations(table, audit):
        context.log_event(event)
    refusal = describe_held_back(audit)
    yield metadata.build_contract_result(table, audit, refusal)
    raise dg.Failure(refusal, allow_retries=False)


def list_materializations(table: DerivedTable, audit: Audit) -> list[dg.AssetMaterialization]:
    """Returns an event for each period that a commit made, with the counts of that period.

    A table without partitions has one event.
    """
    key, calendar = to_asset_key(table.name), table.partitions
    common = metadata.describe_audit(audit)
    if calendar is None:
        return [dg.AssetMaterialization(key, metadata=common)]
    return [
        dg.AssetMaterialization(
            key,
            partition=partitions.to_partition_key(period),
            metadata={**common, **metadata.describe_period(audit.by_period.get(period, {}))},
        )
        for period in calendar.period_keys(day for span in audit.materialized for day in span)
    ]


def make_within_job(
    context: Any,  # noqa: ANN401
    here: Environment,
    table: DerivedTable,
    days: Days | None,
) -> Events:
    """Makes part of a table in a run of another job, and reports each period to Dagster.

    Raises:
        LakehouseError: it could not be made. A `DataError` also says that periods were held back.
    """
    try:
        audit = make(here.lake, here.catalog, table.name, days, run_id=context.run_id)
    except RefusedCommitError as refused:
        yield metadata.to_evaluation(
            metadata.build_contract_result(table, refused.audit, str(refused))
        )
        raise
    if audit is None:
        context.log.info(
            f"{table.name}{f' [{days}]' if days else ''}: its input holds no rows for it"
        )
        return
    context.log.info(_summarize(audit))
    yield from list_materializations(table, audit)
    refusal = describe_held_back(audit) if audit.held_back else None
    yield metadata.to_evaluation(metadata.build_contract_result(table, audit, refusal))
    if refusal:
        raise DataError(refusal)


def defer_failed_checks(events: Events, failed: list[dg.AssetCheckEvaluation]) -> Events:
    """Yields events, and moves failed checks to a list to be reported last.

    Dagster shows the latest evaluation of a check. A later span that passes must not hide one that
    failed in the same run.
    """
    for event in events:
        if isinstance(event, dg.AssetCheckEvaluation) and not event.passed:
            failed.append(event)
        else:
            yield event


def describe_held_back(audit: Audit) -> str:
    """Returns the message about the periods of a commit that were held back."""
    periods = format_count(len(audit.held_back), "period")
    return list_problems(
        f"{audit.table} [{audit.days}]: {periods} held back and unchanged. "
        "The others are published.",
        (f"{period}: {reason}" for period, reason in audit.held_back.items()),
        "fix the source or the transform and run these days again; "
        "or change the contract on purpose.",
    )


def build_result(table: DerivedTable, audit: Audit | None) -> Any:  # noqa: ANN401
    """Returns the result of the step that made a table."""
    nothing: dict[str, Any] = {
        "notes": "the input holds no rows for these days; the table is unchanged",
        "dagster/row_count": 0,
    }
    return dg.MaterializeResult(
        asset_key=to_asset_key(table.name),
        metadata=metadata.describe_audit(audit) if audit else nothing,
        check_results=[metadata.build_contract_result(table, audit)],
    )


def _log_periods(context: dg.AssetExecutionContext, audit: Audit | None) -> None:
    """Adds the counts of each partition to the events of a range run."""
    if audit is None or not context.has_partition_key_range or len(audit.by_period) < 2:  # noqa: PLR2004
        return
    for period, fates in audit.by_period.items():
        context.add_asset_metadata(
            metadata.describe_period(fates), partition_key=partitions.to_partition_key(period)
        )


def _build_dependency(environment: Environment, table: DerivedTable, source: str) -> dg.AssetDep:
    upstream = environment.catalog[source]
    is_partitioned = upstream.partitions is not None
    return dg.AssetDep(
        to_asset_key(source), partition_mapping=partitions.map_partitions(table, is_partitioned)
    )


def _summarize(audit: Audit) -> str:
    fates = ", ".join(f"{count:,} {name}" for name, count in audit.count_fates().items())
    days = f" [{audit.days}]" if audit.days else ""
    outcome = f"version {audit.version}, {audit.seconds:.2f} s"
    return f"{audit.table}{days}: {audit.read:,} read = {fates}; {outcome}"


def run_with_clear_failures(work: Any) -> Any:  # noqa: ANN401
    """Returns what some work returns; turns the engine's errors into what Dagster understands.

    Raises:
        dg.RetryRequested: the table is busy, or the store does not answer.
        dg.Failure: any other error of the engine; Dagster shows its message first.
    """
    try:
        return work()
    except RefusedCommitError:
        raise
    except BusyError as error:
        raise dg.RetryRequested(max_retries=3, seconds_to_wait=5) from error
    except LakehouseError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
