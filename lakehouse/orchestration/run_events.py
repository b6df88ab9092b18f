"""Reports to Dagster what was landed and made: events, logs and failures of every job."""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

import dagster as dg

from lakehouse.calendar import Days
from lakehouse.environment import Environment
from lakehouse.errors import BusyError, DataError, LakehouseError, list_problems
from lakehouse.ingest.land import LandResult, land
from lakehouse.observe.landing_report import describe_unclaimed
from lakehouse.observe.row_counts import RowCounts, count_rows
from lakehouse.orchestration import metadata, partitions
from lakehouse.orchestration.names import to_asset_key
from lakehouse.orchestration.table_turns import take_turn
from lakehouse.publish.audit import Audit, RefusedCommitError
from lakehouse.storage.lake import Lake
from lakehouse.tables.table_types import DerivedTable, RawTable, Table
from lakehouse.transform.make import make
from lakehouse.wording import escape_control_characters, escape_lines, format_count

Events = Iterator[Any]

_DATA_VERSION = "dagster/data_version"
"""The tag by which Dagster knows the data version of an event that no step of an asset yields."""


def land_files(context: Any, here: Environment, table: RawTable) -> LandResult:  # noqa: ANN401
    """Lands the files of a table in a step of a run, and logs what happened to them.

    Raises:
        LakehouseError: nothing was landed, or not all of it.
    """
    with take_turn(context, here, table.name):
        report = land(
            here.lake, here.landing, table, run_id=context.run.run_id, progress=here.progress
        )
    log_landing(context, table, report)
    # A misspelt folder would look like success: nothing of it lands, and nothing fails.
    try:
        note = describe_unclaimed(here)
    # The rows are committed by now. A step that failed for a note would hide them from its readers,
    # and its next try would find nothing to land.
    except LakehouseError as error:
        note = f"Entries of landing that belong to no table are not known: {error}"
    if note:
        context.log.warning(escape_lines(note))
    return report


def make_in_turn(
    context: Any,  # noqa: ANN401
    here: Environment,
    table: DerivedTable,
    days: Days | None,
) -> Audit | None:
    """Makes part of a table in a step of a run, when no other step writes it.

    Raises:
        LakehouseError: it could not be made.
    """
    with take_turn(context, here, table.name):
        return make(here.lake, here.catalog, table.name, days, run_id=context.run.run_id)


def log_landing(context: Any, table: RawTable, report: LandResult) -> None:  # noqa: ANN401
    """Logs what happened to the files of a table: landed, repeated, refused or unfinished."""
    for line in (*report.repeated, *report.refused):
        context.log.warning(f"{table.name}: {escape_control_characters(line)}")
    for line in report.empty:
        context.log.info(f"{table.name}: {escape_control_characters(line)}")
    for name in report.unfinished:
        shown = escape_control_characters(name)
        context.log.info(f"{table.name}: {shown} may not be complete yet; the next run reads it")
    if not report.audits:
        context.log.info(f"{table.name}: {_describe_no_commit(report)}")
    for audit in report.audits:
        context.log.info(summarize_audit(audit))


def _describe_no_commit(report: LandResult) -> str:
    """Returns why a landing published no row: which files it read all the same, or none."""
    found = {
        "without a record": report.empty,
        "with the bytes of another delivery": report.repeated,
        "not complete yet": report.unfinished,
    }
    files = [f"{format_count(len(names), 'file')} {what}" for what, names in found.items() if names]
    return f"no new rows: {', '.join(files)}" if files else "nothing new in landing"


def describe_landing(lake: Lake, table: RawTable, report: LandResult) -> dict[str, Any]:
    """Returns the metadata of a landing: its last commit, with the counts of all its commits."""
    version = report.audits[-1].version if report.audits else None
    rows = metadata.describe_rows(count_for_events(lake, table, version))
    if not report.audits:
        return {"notes": _describe_no_commit(report), "read": 0, **rows}
    # Many files are landed in several commits, and a step has one event for all of them.
    last = metadata.describe_audit(report.audits[-1])
    summed = {
        name: sum(getattr(a, name) for a in report.audits)
        for name in ("read", "written", "bytes", "files")
    }
    return {
        **last,
        **summed,
        **rows,
        "dead_letters": sum(a.dead_letters for a in report.audits),
        "commits": len(report.audits),
    }


def count_for_events(
    lake: Lake, table: Table, version: int | None, periods: Sequence[date] = ()
) -> RowCounts | None:
    """Counts the rows of a table for an event; None if the lake does not answer."""
    # The rows are published by now. A count that fails must not make the step look as if they were
    # not: a retry would find nothing to do, and readers would be skipped.
    try:
        return count_rows(lake, table, version, periods)
    except BusyError:
        return None


def build_landing_event(lake: Lake, table: RawTable, report: LandResult) -> dg.AssetMaterialization:
    """Returns the event of a landing in a run of another job."""
    return dg.AssetMaterialization(
        to_asset_key(table.name),
        metadata=describe_landing(lake, table, report),
        tags={_DATA_VERSION: metadata.name_data_version(lake, table)},
    )


def list_materializations(
    lake: Lake, table: DerivedTable, audit: Audit
) -> list[dg.AssetMaterialization]:
    """Returns an event for each period that a commit made, with the counts of that period.

    A table without partitions has one event.
    """
    # Only what was made: a period that was held back keeps the event of its last good version.
    key, calendar = to_asset_key(table.name), table.partitions
    common = metadata.describe_audit(audit)
    if calendar is None:
        rows = metadata.describe_rows(count_for_events(lake, table, audit.version))
        return [dg.AssetMaterialization(key, metadata={**common, **rows})]
    periods = calendar.period_keys(day for span in audit.materialized for day in span)
    counts = count_for_events(lake, table, audit.version, periods)
    return [
        dg.AssetMaterialization(
            key,
            partition=partitions.to_partition_key(period),
            metadata={
                **common,
                **metadata.describe_period(audit.by_period.get(period, {})),
                **metadata.describe_rows(counts, period),
            },
        )
        for period in periods
    ]


def make_within_job(
    context: Any,  # noqa: ANN401
    here: Environment,
    table: DerivedTable,
    days: Days | None,
) -> Events:
    """Makes part of a table in a run of another job, and reports each period to Dagster.

    Raises:
        LakehouseError: it could not be made. A `DataError` is also raised for periods that were
            held back; the others are published and reported by then.
    """
    try:
        audit = make_in_turn(context, here, table, days)
    except RefusedCommitError as refused:
        # Reported here, where the audit is at hand: callers see an error like any other.
        yield metadata.to_evaluation(
            metadata.build_contract_result(table, refused.audit, str(refused))
        )
        raise
    if audit is None:
        context.log.info(
            f"{table.name}{f' [{days}]' if days else ''}: its input has no rows for it"
        )
        return
    context.log.info(summarize_audit(audit))
    yield from list_materializations(here.lake, table, audit)
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
        "The others were published.",
        (f"{period}: {reason}" for period, reason in audit.held_back.items()),
        "fix the source or the transform and run these days again. "
        "If the rows are right, change the contract.",
    )


def summarize_audit(audit: Audit) -> str:
    """Returns what became of the rows that a commit read, in one line."""
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
    # Left to the caller, which reports the failed check with the audit that the error carries.
    except RefusedCommitError:
        raise
    # The engine has tried for ten minutes by then, or three times without an answer of the store.
    except BusyError as error:
        raise dg.RetryRequested(max_retries=3, seconds_to_wait=5) from error
    # A person has to fix something first; the tree in `errors.py` says what.
    except LakehouseError as error:
        raise dg.Failure(escape_lines(str(error)), allow_retries=False) from error
