"""Declared tables as software-defined assets."""

from typing import Any, cast

import dagster as dg

from lakehouse.environment import Environment
from lakehouse.orchestration import metadata, partitions
from lakehouse.orchestration.names import RESOURCE, to_asset_key
from lakehouse.orchestration.run_events import (
    Events,
    describe_held_back,
    describe_landing,
    land_files,
    list_materializations,
    make_in_turn,
    run_with_clear_failures,
    summarize_audit,
)
from lakehouse.publish.audit import Audit, RefusedCommitError
from lakehouse.tables.table_types import DerivedTable, RawTable, Table


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
    }


def _check(table: Table, name: str, description: str, *, blocking: bool) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(
        name, asset=to_asset_key(table.name), description=description, blocking=blocking
    )


def _raw(environment: Environment, table: RawTable) -> dg.AssetsDefinition:
    readable = "Every delivered record can be parsed; the rest go to quarantine.dead_letters."

    asset: Any = dg.asset(
        **_common(environment, table),
        kinds={"deltalake", "file"},
        # Not blocking: a dead letter takes nothing from the records that could be parsed.
        check_specs=[_check(table, metadata.READABLE_CHECK, readable, blocking=False)],
    )

    def land_table(context: dg.AssetExecutionContext) -> Events:
        here: Environment = getattr(context.resources, RESOURCE)
        report = run_with_clear_failures(lambda: land_files(context, here, table))
        yield dg.MaterializeResult(
            asset_key=to_asset_key(table.name),
            metadata=describe_landing(report),
            check_results=[metadata.build_readable_result(table, report)],
        )

    return cast("dg.AssetsDefinition", asset(land_table))


def _derived(environment: Environment, table: DerivedTable) -> dg.AssetsDefinition:
    sources = environment.catalog.find_inputs(table).values()
    promise = (
        f"No more rows break {table.contract.__name__} than it allows, and every table rule holds."
    )
    calendar = table.partitions

    asset: Any = dg.asset(
        **_common(environment, table),
        kinds={"deltalake", "duckdb" if table.is_sql else "polars"},
        deps=[_build_dependency(environment, table, source) for source in sources],
        partitions_def=partitions.define_partitions(calendar) if calendar else None,
        # One run for a range, however long: a process takes seconds to start, a partition costs
        # milliseconds of events.
        backfill_policy=dg.BackfillPolicy.single_run() if calendar else None,
        code_version=table.code_version,
        # Blocking: in the same run, no reader is made from a table that was refused.
        check_specs=[_check(table, metadata.CONTRACT_CHECK, promise, blocking=True)],
    )

    def make_table(context: dg.AssetExecutionContext) -> Events:
        here: Environment = getattr(context.resources, RESOURCE)
        days = partitions.read_days(context, table)
        try:
            audit = run_with_clear_failures(lambda: make_in_turn(context, here, table, days))
        except RefusedCommitError as refused:
            # The check goes first: a step that has raised reports nothing more. No retry, as the
            # same rows would be refused again.
            yield metadata.build_contract_result(table, refused.audit, str(refused))
            raise dg.Failure(str(refused), allow_retries=False) from refused
        context.log.info(
            summarize_audit(audit)
            if audit
            else f"{table.name}: its input has no rows for it; nothing changed"
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


def build_result(table: DerivedTable, audit: Audit | None) -> Any:  # noqa: ANN401
    """Returns the result of the step that made a table; None for an input without rows."""
    nothing: dict[str, Any] = {
        "notes": "the input has no rows for these days; the table is unchanged",
        "dagster/row_count": 0,
    }
    return dg.MaterializeResult(
        asset_key=to_asset_key(table.name),
        metadata=metadata.describe_audit(audit) if audit else nothing,
        check_results=[metadata.build_contract_result(table, audit)],
    )


def _log_periods(context: dg.AssetExecutionContext, audit: Audit | None) -> None:
    """Adds the counts of each partition to the events of a range run."""
    # The counts of a single partition are those of the whole step, which its event has anyway.
    if audit is None or not context.has_partition_key_range or len(audit.by_period) < 2:  # noqa: PLR2004
        return
    for period, fates in audit.by_period.items():
        context.add_asset_metadata(
            metadata.describe_period(fates), partition_key=partitions.to_partition_key(period)
        )


def _build_dependency(environment: Environment, table: DerivedTable, source: str) -> dg.AssetDep:
    # Raw tables have no partitions in Dagster: a file may hold rows of any day.
    upstream = environment.catalog[source]
    is_partitioned = upstream.partitions is not None
    return dg.AssetDep(
        to_asset_key(source), partition_mapping=partitions.map_partitions(table, is_partitioned)
    )
