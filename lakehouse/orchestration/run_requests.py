"""Plans runs of Dagster for what is stale: which assets, which partitions, in which order.

The commit sensor and `catch_up` both plan their runs here, so that they cannot disagree.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import dagster as dg

from lakehouse.calendar import Daily, Days
from lakehouse.lineage.staleness import StaleTable
from lakehouse.orchestration import partitions
from lakehouse.orchestration.first_partitions import Begins
from lakehouse.orchestration.names import to_asset_key
from lakehouse.tables.catalog import Catalog

TRIGGER = "lakehouse/trigger"
"""Run tag that names who asked for a run."""


@dataclass(frozen=True)
class PlannedRun:
    """One run: some tables, for one span of days.

    Attributes:
        tables: what to make, in the order in which they read each other.
        days: the span of whole periods; None when none of the tables has partitions.
        calendar: whose periods these are.
        begin: the first day of Dagster's partitions; by default that of the calendar.
    """

    tables: tuple[str, ...]
    days: Days | None = None
    calendar: Daily | None = None
    begin: date | None = None

    @property
    def partition(self) -> dict[str, str]:
        """The run tags that name its partitions, and its days where no partition does."""
        if self.days is None or self.calendar is None:
            return {}
        return partitions.tag_days(self.calendar, self.days, self.begin)

    @property
    def shown_days(self) -> Days | None:
        """Its days as people know them: without those before the first row of all."""
        if self.days is None or self.begin is None:
            return self.days
        return Days(max(self.days.first, self.begin), max(self.days.last, self.begin))

    def request(self, catalog: Catalog, asked: Mapping[str, str]) -> dg.RunRequest:
        """Returns the run request; `asked` are the tags that tell who asks for what."""
        # Without a run key, which Dagster remembers for ever: the same days may become stale again,
        # and the request would be dropped without a word.
        tags = {**asked, **self.partition}
        # A single partition is a field of the request, from which Dagster makes the tag.
        key = tags.pop("dagster/partition", None)
        keys = [to_asset_key(table) for table in self.tables]
        job = name_jobs(catalog)[self.calendar]
        return dg.RunRequest(job_name=job, asset_selection=keys, tags=tags, partition_key=key)


def name_jobs(catalog: Catalog) -> dict[Daily | None, str]:
    """Returns the name of the job for each calendar; `whole_job` for tables without partitions.

    Dagster needs one job for each set of partitions.
    """
    names: dict[Daily | None, str] = {None: "whole_job"}
    for calendar in dict.fromkeys(
        table.partitions for table in catalog.derived_tables if table.partitions
    ):
        kind = type(calendar).__name__.lower()
        name = f"{kind}_job"
        # A second calendar of a kind is told apart by its first day and a number.
        names[calendar] = (
            name
            if name not in names.values()
            else f"{kind}_{calendar.first:%Y%m%d}_{len(names)}_job"
        )
    return names


def define_partition_jobs(catalog: Catalog) -> list[Any]:
    """Defines a job for each calendar; tables without partitions can run in each of them."""
    # Dagster allows one set of partitions in a job, and any number of assets without.
    return [
        dg.define_asset_job(
            name,
            selection=[
                to_asset_key(t.name)
                for t in catalog.derived_tables
                if t.partitions in (None, calendar)
            ],
            description="Makes derived tables for a span of days; sensors request runs of it.",
        )
        for calendar, name in name_jobs(catalog).items()
        if calendar or any(table.partitions is None for table in catalog.derived_tables)
    ]


def plan_runs(
    catalog: Catalog, stale: Iterable[StaleTable], begins: Begins | None = None
) -> list[PlannedRun]:
    """Returns the runs that can start now; tables with stale inputs wait until those are made.

    Dagster's partitions begin with `begins`, see `first_partitions.py`.

    A table joins the run of the table that it reads if both have the same periods, or if it has
    none. So a new row is in the mart after one run. Whatever else the change affects is stale after
    that run, and is planned then.
    """
    waiting = {part.table: part for part in stale}
    ready = [part for part in waiting.values() if not _reads(catalog, part.table) & set(waiting)]
    # Stale without naming a period: the tables without partitions.
    whole = [part.table for part in ready if not part.keys]
    found: list[PlannedRun] = []
    for calendar in dict.fromkeys(_calendar(catalog, part.table) for part in ready if part.keys):
        parts = [part for part in ready if part.keys and _calendar(catalog, part.table) == calendar]
        for tables, spans in _same_spans(parts).items():
            begin = (begins or {}).get(calendar) if calendar else None
            found += [PlannedRun(tables, days, calendar, begin) for days in spans]
    if not found:
        return [PlannedRun(_with_followers(catalog, whole, None))] if whole else []
    # Tables without partitions are in the first run alone, or each run would make them again.
    asked = [(*whole, *found[0].tables), *(run.tables for run in found[1:])]
    return [
        replace(run, tables=_with_followers(catalog, tables, run.calendar, whole=run is found[0]))
        for run, tables in zip(found, asked, strict=True)
    ]


def _same_spans(parts: list[StaleTable]) -> dict[tuple[str, ...], tuple[Days, ...]]:
    """Groups tables by their spans; tables with the same spans share their runs."""
    by_spans: dict[tuple[Days, ...], list[str]] = {}
    for part in parts:
        by_spans.setdefault(part.spans, []).append(part.table)
    return {tuple(tables): spans for spans, tables in by_spans.items()}


def _with_followers(
    catalog: Catalog, tables: Iterable[str], calendar: Daily | None, *, whole: bool = True
) -> tuple[str, ...]:
    """Returns tables with those that read them, as far as they fit into the same run."""
    # One pass finds readers of readers, as each table comes after those that it reads.
    chosen = set(tables)
    for table in catalog.derived_tables:
        fits = table.partitions == calendar if table.partitions else whole
        if fits and set(catalog.find_inputs(table).values()) & chosen:
            chosen.add(table.name)
    return tuple(table.name for table in catalog.derived_tables if table.name in chosen)


def _reads(catalog: Catalog, name: str) -> set[str]:
    return set(catalog.find_inputs(catalog[name]).values())


def _calendar(catalog: Catalog, name: str) -> Daily | None:
    return catalog[name].partitions
