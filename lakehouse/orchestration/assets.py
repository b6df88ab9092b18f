"""Declared tables as software-defined assets."""

from datetime import date
from typing import Any, cast

import dagster as dg

from lakehouse.environment import Environment
from lakehouse.orchestration import metadata, partitions
from lakehouse.orchestration.first_partitions import Begins
from lakehouse.orchestration.names import RESOURCE, to_asset_key
from lakehouse.orchestration.run_events import (
    Events,
    count_for_events,
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
from lakehouse.wording import escape_lines


def build_assets(
    environment: Environment, begins: Begins | None = None
) -> list[dg.AssetsDefinition]:
    """Builds one asset for each declared table; its partitions begin with `begins`."""
    tables = environment.catalog.tables.values()
    return [
        _raw(environment, t)
        if isinstance(t, RawTable)
        else _derived(environment, t, (begins or {}).get(t.partitions) if t.partitions else None)
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
            metadata=describe_landing(here.lake, table, report),
            check_results=[metadata.build_readable_result(here.lake, table, report)],
            data_version=dg.DataVersion(metadata.name_data_version(here.lake, table)),
        )

    return cast("dg.AssetsDefinition", asset(land_table))


def _derived(
    environment: Environment, table: DerivedTable, begin: date | None
) -> dg.AssetsDefinition:
    sources = environment.catalog.find_inputs(table).values()
    promise = (
        f"No more rows break {table.contract.__name__} than it allows, and every table rule holds."
    )
    calendar = table.partitions

    asset: Any = dg.asset(
        **_common(environment, table),
        kinds={"deltalake", "duckdb" if table.is_sql else "polars"},
        deps=[_build_dependency(environment, table, source) for source in sources],
        partitions_def=partitions.define_partitions(calendar, begin) if calendar else None,
        # One run for a range, however long: a process takes seconds to start, a partition costs
        # milliseconds of events.
        backfill_policy=dg.BackfillPolicy.single_run() if calendar else None,
        code_version=table.code_version,
        # Blocking: in the same run, no reader is made from a table that was refused.
        check_specs=[_check(table, metadata.CONTRACT_CHECK, promise, blocking=True)],
    )

    def make_table(context: dg.AssetExecutionContext) -> Events:
        here: Environment = getattr(context.resources, RESOURCE)
        days = partitions.read_days(context, table, begin)
        try:
            audit = run_with_clear_failures(lambda: make_in_turn(context, here, table, days))
        except RefusedCommitError as refused:
            # The check goes first: a step that has raised reports nothing more. No retry, as the
            # same rows would be refused again.
            yield metadata.build_contract_result(table, refused.audit, str(refused))
            raise dg.Failure(escape_lines(str(refused)), allow_retries=False) from refused
        context.log.info(
            summarize_audit(audit)
            if audit
            else f"{table.name}: its input has no rows for it; nothing changed"
        )
        if audit and audit.held_back:
            yield from _report_held_back(context, here, table, audit)
        yield build_result(table, audit, _count_partitions(context, here, table, audit))

    return cast("dg.AssetsDefinition", asset(make_table))


def _report_held_back(
    context: dg.AssetExecutionContext, here: Environment, table: DerivedTable, audit: Audit
) -> Events:
    """Reports each period that was published, then fails for those that were held back.

    Raises:
        dg.Failure: always; a success would mark every period of the range as materialized.
    """
    for event in list_materializations(here.lake, table, audit):
        context.log_event(event)
    refusal = describe_held_back(audit)
    yield metadata.build_contract_result(table, audit, refusal)
    raise dg.Failure(escape_lines(refusal), allow_retries=False)


def build_result(table: DerivedTable, audit: Audit | None, rows: dict[str, Any]) -> Any:  # noqa: ANN401
    """Returns the result of the step that made a table.

    Args:
        table: the table.
        audit: the audit of the commit; None for an input without rows.
        rows: the counts of the table's rows, as metadata.
    """
    nothing = {"notes": "the input has no rows for these days; the table is unchanged"}
    return dg.MaterializeResult(
        asset_key=to_asset_key(table.name),
        metadata={**(metadata.describe_audit(audit) if audit else nothing), **rows},
        check_results=[metadata.build_contract_result(table, audit)],
    )


def _count_partitions(
    context: dg.AssetExecutionContext, here: Environment, table: DerivedTable, audit: Audit | None
) -> dict[str, Any]:
    """Returns the counts of a table's rows; adds those of each partition to its event."""
    periods = partitions.read_periods(context, table)
    counts = count_for_events(here.lake, table, audit.version if audit else None, periods)
    fates = audit.by_period if audit else {}
    # The fates of a single partition are those of the whole step, which its event has anyway.
    if len(periods) == 1:
        return metadata.describe_rows(counts, periods[0])
    for period in periods:
        told = metadata.describe_rows(counts, period)
        if period in fates:
            told |= metadata.describe_period(fates[period])
        context.add_asset_metadata(told, partition_key=partitions.to_partition_key(period))
    return metadata.describe_rows(counts)


def _build_dependency(environment: Environment, table: DerivedTable, source: str) -> dg.AssetDep:
    # Raw tables have no partitions in Dagster: a file may hold rows of any day.
    upstream = environment.catalog[source]
    is_partitioned = upstream.partitions is not None
    return dg.AssetDep(
        to_asset_key(source), partition_mapping=partitions.map_partitions(table, is_partitioned)
    )
