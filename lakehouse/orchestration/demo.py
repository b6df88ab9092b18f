"""`make demo`: bring everything up to date through Dagster, then say what happened to every row and what comes next."""

import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import dagster as dg
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from lakehouse.cli.output import format_table
from lakehouse.environment import Environment
from lakehouse.errors import DataError, LakehouseError, SetupError, indent_problem, list_problems
from lakehouse.ingest.land import read_news
from lakehouse.lineage.staleness import StaleTable
from lakehouse.observe import overview, sql
from lakehouse.observe.domain_files import list_domain_files
from lakehouse.observe.landing_report import describe_unclaimed
from lakehouse.observe.remarks import read_notes
from lakehouse.orchestration.assets import to_asset_key
from lakehouse.orchestration.run_requests import TRIGGER, PlannedRun, plan_runs
from lakehouse.publish.audit import Audit
from lakehouse.tables.table_types import RawTable
from lakehouse.wording import escape_control_characters, format_count

Prepare = Callable[[Environment], Mapping[str, LakehouseError]]
"""Gets landing ready before anything runs; returns the domains to leave alone, each with the refusal to show."""

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def run(
    here: Environment,
    define: Callable[[Environment], dg.Definitions],
    prepare: Prepare,
    home: Path,
    first_answer: str,
) -> None:
    """Run the demonstration.

    Args:
        here: where to run it.
        define: gives Dagster's definitions for an environment.
        prepare: makes sample files where that is wanted, and names the domains that must not be touched.
        home: Dagster's folder, used unless `DAGSTER_HOME` is set.
        first_answer: the query whose rows are shown at the end.

    Raises:
        SetupError: every domain is refused, or there is nothing to land.
        DataError: a run failed.
    """
    refused = prepare(here)
    _refuse_idle(here, refused)
    before = {name: here.lake.version(name) for name in here.catalog.tables}
    os.environ.setdefault("DAGSTER_HOME", str(home))
    Path(os.environ["DAGSTER_HOME"]).mkdir(parents=True, exist_ok=True)
    with _bar() as progress, dg.DagsterInstance.get() as instance:
        problems = _bring_up_to_date(
            replace(here, progress=progress), define, instance, apart=refused
        )
    fresh = _commits_since(here, before)
    if fresh:
        _tell(here, fresh)
    elif not problems:
        click.echo(
            "Nothing new: every file in landing is landed, no table is older than its inputs. Nothing was written."
        )
    _tell_remarks(here)
    if note := describe_unclaimed(here):
        click.echo(f"\n{note}")
    _show_answer(here, first_answer)
    _refuse(
        [*problems, *(str(error).splitlines()[0] for error in refused.values())] if problems else []
    )
    for error in refused.values():
        raise error
    _tell_next(here)


def _refuse(problems: Sequence[str]) -> None:
    if problems:
        next_step = "mend what is named and run again; everything else is up to date."
        raise DataError(list_problems("Not everything could be made.", problems, next_step))


def _refuse_idle(here: Environment, refused: Mapping[str, LakehouseError]) -> None:
    """Raises if there is nothing to work on.

    Raises:
        SetupError: there is nothing to land, or every domain with files is refused.
    """
    busy = [domain for domain, files in list_domain_files(here).items() if files.all]
    if not busy:
        folders = ", ".join(raw.landing for raw in here.catalog.raw_tables)
        next_step = describe_unclaimed(here) or f"Next: put them into its folders {folders}."
        raise SetupError(f"There are no files for a table in {here.landing.root}.\n{next_step}")
    if len(refused) == len(busy):
        raise refused[busy[0]]


def _bring_up_to_date(
    here: Environment,
    define: Callable[[Environment], dg.Definitions],
    instance: dg.DagsterInstance,
    *,
    apart: Collection[str] = (),
) -> list[str]:
    """Run what the sensors would ask for, but in the domains `apart`; gives what went wrong on the way."""
    job = define(here).resolve_implicit_global_asset_job_def()
    _let_rest(here)
    fresh = tuple(
        raw.name
        for raw in here.catalog.raw_tables
        if raw.domain not in apart and _has_news(here, raw)
    )
    problems = _execute(job, PlannedRun(fresh), instance) if fresh else []
    asked: list[PlannedRun] = []
    while runs := [one for one in plan_runs(here.catalog, _stale(here, apart)) if one not in asked]:
        for one in runs:
            click.echo(f"  making {', '.join(one.tables)}{f'  {one.days}' if one.days else ''}")
            problems += _execute(job, one, instance)
        asked += runs
    return problems


def _stale(here: Environment, apart: Collection[str]) -> list[StaleTable]:
    return [
        part
        for part in here.create_planner().find_stale_tables()
        if here.catalog[part.table].domain not in apart
    ]


def _let_rest(here: Environment) -> None:
    """Wait for files that were written just now, such as the samples; whoever writes for longer has to call again."""
    deadline = time.monotonic() + 3 * here.landing.rest_seconds
    while time.monotonic() < deadline and any(
        read_news(here.lake, here.landing, raw).unfinished for raw in here.catalog.raw_tables
    ):
        time.sleep(0.2)


def _has_news(here: Environment, raw: RawTable) -> bool:
    found = read_news(here.lake, here.landing, raw)
    return bool(found.ready or found.unreadable)


def _execute(job: dg.JobDefinition, one: PlannedRun, instance: dg.DagsterInstance) -> list[str]:
    """One run; gives why it failed, empty when it did not."""
    keys = [to_asset_key(table) for table in one.tables]
    tags = {TRIGGER: "demo", **one.partition}
    result = job.execute_in_process(
        asset_selection=keys, tags=tags, instance=instance, run_config=_QUIET, raise_on_error=False
    )
    return [
        f"{indent_problem(_reason(event))}\n    run {result.run_id}"
        for event in result.all_events
        if event.is_step_failure
    ]


def _reason(event: dg.DagsterEvent) -> str:
    error = event.step_failure_data.user_failure_data
    return (
        str(error.description)
        if error and error.description
        else str(event.step_failure_data.error_display_string)
    )


@contextmanager
def _bar() -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar that appears when there is something to wait for."""
    columns = (
        TextColumn("  landing {task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        tasks: dict[str, Any] = {}

        def tell(table: str, done: int, whole: int) -> None:
            task = tasks.setdefault(table, None)
            if task is None:
                task = tasks[table] = progress.add_task(table, total=whole)
            progress.update(task, completed=done)

        yield tell


def _commits_since(here: Environment, before: Mapping[str, int | None]) -> list[Audit]:
    """The audits of the commits that were made since some versions."""
    known = {name: -1 if version is None else version for name, version in before.items()}
    return [
        a
        for name in here.catalog.tables
        for a in _audits(here, name)
        if (a.version or 0) > known[name]
    ]


def _tell(here: Environment, fresh: Sequence[Audit]) -> None:
    """Each commit by fate, and the rejected rows with their reasons."""
    columns = (
        "table",
        "days",
        "read",
        "written",
        "quarantined",
        "superseded",
        "filtered",
        "dead",
        "rows",
        "version",
        "s",
    )
    rows = [_row(audit) for audit in fresh]
    click.echo(f"\nWhat happened to every row\n{format_table(columns, rows)}")
    for audit in fresh:
        for note in audit.notes:
            click.echo(f"  {audit.table}: {note}")
    _tell_rejects(here)


def _tell_remarks(here: Environment) -> None:
    """Periods that were held back, or made by code that has changed since, with the command that makes them again."""
    for table in here.catalog.derived_tables:
        found = read_notes(here.lake, table)
        for period, reason in found.held.items():
            click.echo(f"  {table.name} [{period}]: held back, as it was before: {reason}")
        if found.other:
            periods = [period for period in found.other if period is not None]
            span = f" --partition-range {min(periods)}...{max(periods)}" if periods else ""
            click.echo(
                f"  {table.name}: {found}. To make it again: dagster asset materialize -m lakehouse.definitions "
                f"--select {table.name}{span}"
            )


def _audits(here: Environment, name: str) -> list[Audit]:
    return overview.list_audits(here, name) if here.lake.open_shared(name) is not None else []


def _row(audit: Audit) -> Sequence[Any]:
    filtered = ", ".join(f"{count:,} {name}" for name, count in audit.filtered.items()) or 0
    fates = (
        audit.read,
        audit.written,
        audit.quarantined,
        audit.superseded,
        filtered,
        audit.dead_letters,
    )
    return (audit.table, str(audit.days or "all"), *fates, audit.rows, audit.version, audit.seconds)


def _tell_rejects(here: Environment) -> None:
    for name in here.catalog.tables:
        found = overview.read_rejects(here, name, 3)
        if found.total:
            click.echo(
                f"\n{format_count(found.total, 'rejected row')} of {name}, whole in {found.table.replace('/', '.')}:"
            )
        for reason, count in found.reasons.items():
            click.echo(f"  {count:>6,}  {escape_control_characters(reason)}")
        for row in found.rows.iter_rows(named=True):
            click.echo(f"          e.g. {escape_control_characters(row['_source'])}, {_place(row)}")


def _place(row: dict[str, Any]) -> str:
    return f"record {row['_offset']}" if row["_offset"] is not None else "the whole file"


def _show_answer(here: Environment, query: str) -> None:
    try:
        columns, rows = sql.run_query(here.lake, query)
    except LakehouseError:
        return  # the mart does not exist yet: nothing was landed that reaches it
    click.echo(
        f'\nA first answer:  lakehouse sql "{" ".join(query.split())}"\n{format_table(columns, list(rows))}'
    )


def _tell_next(here: Environment) -> None:
    made = [
        table
        for table in here.catalog.derived_tables
        if table.partitions and _audits(here, table.name)
    ]
    example = next(iter(made), here.catalog.derived_tables[0])
    spans = [span for audit in _audits(here, example.name) for span in audit.materialized]
    span = f"{min(s.first for s in spans)}...{max(s.last for s in spans)}" if spans else "A...B"
    click.echo(
        "Try next\n"
        "  make ui                      Dagster's UI on http://127.0.0.1:3000, sensors on\n"
        "  . .venv/bin/activate         then\n"
        "  lakehouse tables             rows, bytes, freshness, and what is behind\n"
        f"  lakehouse audit {example.name}\n"
        "                               the fate of every row, commit by commit\n"
        f"  lakehouse quarantine {example.name}\n"
        "                               rejected rows, and why\n"
        f"  dagster asset materialize -m lakehouse.definitions --select {example.name} --partition-range {span}\n"
        "                               a backfill in one run"
    )
