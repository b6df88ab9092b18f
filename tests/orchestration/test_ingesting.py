"""The ingest job: one run lands files and rebuilds what they make stale."""

from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from support.worlds import bring_up_to_date, copy_world, land_all, world, write

from lakehouse.definitions import definitions
from lakehouse.environment import Environment
from lakehouse.errors import BusyError, SetupError
from lakehouse.observe import overview
from lakehouse.orchestration import ingest_job
from lakehouse.orchestration.ingest_job import build_run_config
from lakehouse.transform.make import make

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
LINES, RATES = "raw/invoice_lines", "raw/fx_rates"


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def versions(here: Environment) -> dict[str, int]:
    found = {name: here.lake.version(name) for name in here.catalog.tables}
    return {name: version for name, version in found.items() if version is not None}


def ingest(
    here: Environment,
    instance: dg.DagsterInstance,
    *tables: str,
    since: dict[str, str] | None = None,
):
    job = definitions(here).resolve_job_def("ingest_job")
    config = build_run_config(
        here.catalog, list(tables), here.list_revisions() if since is None else since
    )
    return job.execute_in_process(
        instance=instance, run_config={**QUIET, **config}, raise_on_error=False
    )


def lines(*days: str, first: int = 0, price: int = 1) -> str:
    rows = [
        f"5363{first + n:02},85123A,X,1,{day} 08:20:00,{price},1,France"
        for n, day in enumerate(days)
    ]
    return "\n".join([HEADER, *rows]) + "\n"


def steps(result, kind: dg.DagsterEventType) -> set[str]:
    return {event.step_key for event in result.all_events if event.event_type == kind}


def made_since(here: Environment, table: str, before: dict[str, int]) -> set[date]:
    audits = [
        one
        for one in overview.list_audits(here, table)
        if (one.version or 0) > before.get(table, -1)
    ]
    return {day for one in audits for span in one.materialized for day in span}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake of three days that is in order."""
    folder = tmp_path_factory.mktemp("template")
    here = world(folder)
    write(here, "invoice_lines", "a.csv", lines("2010-12-01", "2010-12-03", "2010-12-09"))
    bring_up_to_date(here)
    return folder


@pytest.fixture
def grown(template: Path, tmp_path: Path) -> Environment:
    """A copy of it."""
    return copy_world(template, tmp_path)


def test_one_run_lands_a_late_file_and_makes_its_days_in_every_table(grown, instance):
    before = versions(grown)
    write(grown, "invoice_lines", "late.csv", lines("2010-12-01", first=10))
    assert ingest(grown, instance, LINES).success
    assert grown.create_planner().find_stale_tables() == []
    assert made_since(grown, "staged/invoice_lines", before) == {date(2010, 12, 1)}
    held = {date(2010, 12, 1), date(2010, 12, 3), date(2010, 12, 9)}
    assert made_since(grown, "marts/daily_sales", before) & held == {
        date(2010, 12, 1),
        date(2010, 12, 3),
    }
    sold = (
        grown.lake.scan("marts/daily_sales")
        .filter(pl.col("sales_date") == date(2010, 12, 1))
        .collect()
    )
    assert sold["lines"].to_list() == [2]


@pytest.mark.full
@pytest.mark.parametrize("error", [BusyError, SetupError])
def test_readers_are_made_although_landing_cannot_be_listed_after_the_commit(
    grown, instance, monkeypatch, error
):
    def fail(_: Environment) -> None:
        raise error("Landing does not answer.")

    monkeypatch.setattr("lakehouse.orchestration.run_events.describe_unclaimed", fail)
    write(grown, "invoice_lines", "late.csv", lines("2010-12-01", first=10))
    assert ingest(grown, instance, LINES).success
    assert grown.create_planner().find_stale_tables() == []


def test_dagster_is_told_of_each_period_with_its_counts_and_its_check(grown, instance):
    write(grown, "invoice_lines", "late.csv", lines("2010-12-01", first=10))
    result = ingest(grown, instance, LINES)
    key = dg.AssetKey(["marts", "daily_sales"])
    told = {
        r.partition_key: r.asset_materialization
        for r in instance.fetch_materializations(key, limit=10).records
    }
    assert {"2010-12-01", "2010-12-03"} <= set(told)
    assert told["2010-12-01"].metadata["partition_read"].value == 2
    assert {check.asset_key for check in result.get_asset_check_evaluations() if check.passed} >= {
        key,
        dg.AssetKey(["raw", "invoice_lines"]),
        dg.AssetKey(["staged", "invoice_lines"]),
    }


def test_tables_whose_inputs_did_not_change_are_skipped(grown, instance):
    write(grown, "fx_rates", "b.csv", "Date,USD\n2010-12-01,1.3\n")
    result = ingest(grown, instance, RATES)
    assert {"make_staged_invoice_lines", "make_staged_customers", "make_marts_sales"} <= steps(
        result, dg.DagsterEventType.STEP_SKIPPED
    )
    assert "make_marts_daily_sales" in steps(result, dg.DagsterEventType.STEP_SUCCESS)


def test_only_the_tables_that_were_asked_for_are_landed(grown, instance):
    write(grown, "invoice_lines", "late.csv", lines("2010-12-01", first=10))
    write(grown, "fx_rates", "b.csv", "Date,USD\n2010-12-01,1.3\n")
    before = versions(grown)
    assert ingest(grown, instance, RATES).success
    assert grown.lake.version(LINES) == before[LINES]
    assert grown.lake.version(RATES) is not None


@pytest.mark.full
def test_what_others_made_stale_before_is_left_to_the_commit_sensor(grown, instance):
    write(grown, "invoice_lines", "theirs.csv", lines("2010-12-09", first=10))
    land_all(grown)
    before = versions(grown)
    write(grown, "invoice_lines", "late.csv", lines("2010-12-03", first=20))
    assert ingest(grown, instance, LINES).success
    assert made_since(grown, "staged/invoice_lines", before) == {date(2010, 12, 3)}
    assert {part.table: part.keys for part in grown.create_planner().find_stale_tables()}[
        "staged/invoice_lines"
    ] == (date(2010, 12, 9),)


def test_a_run_by_hand_lands_everything_and_makes_whatever_is_stale(here, instance):
    write(here, "invoice_lines", "a.csv", lines("2010-12-01", "2010-12-03"))
    write(here, "fx_rates", "b.csv", "Date,USD\n2010-12-01,1.3\n")
    job = definitions(here).resolve_job_def("ingest_job")
    assert job.execute_in_process(instance=instance, run_config=QUIET).success
    assert here.create_planner().find_stale_tables() == []


def test_a_poisoned_day_fails_its_step_and_its_check_while_the_other_days_are_published(
    grown, instance
):
    days = (("2010-12-01", 1), ("2010-12-03", -1))
    for number, (day, price) in enumerate(days):
        write(
            grown,
            "invoice_lines",
            f"{number}.csv",
            lines(*[day] * 9, first=10 + 10 * number, price=price),
        )
    result = ingest(grown, instance, LINES)
    assert not result.success
    assert "make_staged_invoice_lines" in steps(result, dg.DagsterEventType.STEP_FAILURE)
    assert "make_staged_customers" in steps(result, dg.DagsterEventType.STEP_SUCCESS)
    [failed] = [check for check in result.get_asset_check_evaluations() if not check.passed]
    assert "2010-12-03: 9 of 10 rows break the contract" in (failed.description or "")
    rows = (
        grown.lake.scan("staged/invoice_lines")
        .collect()
        .group_by("invoice_date")
        .len()
        .sort("invoice_date")
    )
    assert rows["len"].to_list() == [10, 1, 1]


@pytest.mark.full
def test_what_is_much_is_left_to_runs_of_its_own(grown, instance, monkeypatch):
    monkeypatch.setattr(ingest_job, "_AT_ONCE", 1)
    write(grown, "invoice_lines", "late.csv", lines("2010-12-01", "2010-12-03", first=10))
    assert ingest(grown, instance, LINES).success
    left = {part.table: part.keys for part in grown.create_planner().find_stale_tables()}
    assert left["staged/invoice_lines"] == (date(2010, 12, 1), date(2010, 12, 3))


def verdicts(result, table: str) -> list[bool]:
    """Returns the results of a table's check in a run, in order; Dagster shows the last."""
    told = result.get_asset_check_evaluations()
    return [one.passed for one in told if one.asset_key.path == table.split("/")]


def test_a_check_stays_red_when_a_later_span_of_the_run_is_well(grown, instance):
    write(grown, "invoice_lines", "poisoned.csv", lines("2010-12-01", first=10, price=-1))
    write(grown, "invoice_lines", "good.csv", lines("2010-12-09", first=20))
    assert verdicts(ingest(grown, instance, LINES), "staged/invoice_lines") == [True, False]


def test_a_day_that_is_held_back_is_told_although_the_table_was_busy_afterwards(
    grown, instance, monkeypatch
):
    busy = ["Others were faster."]

    def busy_later(*args: Any, **named: Any) -> Any:
        if args[2] == "staged/invoice_lines" and args[3].first == date(2010, 12, 9) and busy:
            raise BusyError(busy.pop())
        return make(*args, **named)

    monkeypatch.setattr("lakehouse.orchestration.run_events.make", busy_later)
    for number, (day, price) in enumerate(
        [("2010-12-01", 1), ("2010-12-02", -1), ("2010-12-09", 1)]
    ):
        write(
            grown,
            "invoice_lines",
            f"{number}.csv",
            lines(*[day] * 9, first=10 + 10 * number, price=price),
        )
    result = ingest(grown, instance, LINES)
    assert "make_staged_invoice_lines" in steps(result, dg.DagsterEventType.STEP_FAILURE)
    assert verdicts(result, "staged/invoice_lines") == [False]
