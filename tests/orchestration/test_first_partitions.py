"""Dagster's partitions begin with the oldest row; the first one stands for the days of the calendar before it."""

from datetime import date

import dagster as dg
import pytest
from support.worlds import in_state, land_all, write

from assets.retail import DAILY, MONTHLY
from lakehouse.calendar import Days
from lakehouse.definitions import definitions
from lakehouse.environment import Environment
from lakehouse.orchestration.first_partitions import find_begins
from lakehouse.orchestration.partitions import DAYS
from lakehouse.orchestration.run_requests import PlannedRun, plan_runs

LINES = dg.AssetKey(["staged", "invoice_lines"])
HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def deliver(here: Environment, name: str, *days: str) -> None:
    rows = [f"{536300 + n},85123A,X,1,{day} 08:20:00,1,1,France" for n, day in enumerate(days)]
    write(here, "invoice_lines", name, "\n".join([HEADER, *rows]) + "\n")
    land_all(here)


def execute(here: Environment, instance: dg.DagsterInstance, begins, tags) -> None:
    job = definitions(here, begins).resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(
        asset_selection=[LINES], tags=tags, instance=instance, run_config=QUIET
    )
    assert result.success


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def filled(here) -> Environment:
    """Twenty rows of each of two days long after the calendar begins, and one without a day."""
    deliver(here, "a.csv", *["2024-06-03", "2024-06-05"] * 20, "2024-46-03")
    return here


def test_without_rows_the_partitions_begin_with_the_calendar(here):
    assert find_begins(here) == {}


def test_before_a_table_is_made_its_partitions_begin_with_the_rows_that_have_landed(filled):
    assert find_begins(filled) == {DAILY: date(2024, 6, 3), MONTHLY: date(2024, 6, 1)}


def test_a_day_outside_the_calendar_does_not_move_the_beginning(filled):
    deliver(filled, "b.csv", "1999-01-01")
    assert find_begins(filled)[DAILY] == date(2024, 6, 3)


def test_the_first_build_is_a_run_of_the_partitions_with_rows_and_judges_the_row_without_a_day(
    filled, instance
):
    begins = find_begins(filled)
    [run] = plan_runs(filled.catalog, filled.create_planner().find_stale_tables(), begins)
    assert run.days == Days(DAILY.first, date(2024, 6, 5))
    assert run.shown_days == Days(date(2024, 6, 3), date(2024, 6, 5))
    execute(filled, instance, begins, run.partition)
    assert instance.get_materialized_partitions(LINES) == {f"2024-06-0{n}" for n in (3, 4, 5)}
    assert in_state(filled, "staged/invoice_lines").height == 40
    assert in_state(filled, "quarantine/staged_invoice_lines").height == 1


def test_a_row_that_is_older_than_all_others_is_made_by_definitions_from_before_it(
    filled, instance
):
    begins = find_begins(filled)
    [run] = plan_runs(filled.catalog, filled.create_planner().find_stale_tables(), begins)
    execute(filled, instance, begins, run.partition)
    deliver(filled, "b.csv", "2024-05-20")
    stale = filled.create_planner().find_stale_tables()
    late = next(
        run
        for run in plan_runs(filled.catalog, stale, begins)
        if "staged/invoice_lines" in run.tables
    )
    assert late.partition == {"dagster/partition": "2024-06-03", DAYS: "2024-05-20"}
    execute(filled, instance, begins, late.partition)
    assert in_state(filled, "staged/invoice_lines").height == 41
    assert find_begins(filled)[DAILY] == date(2024, 5, 20)


def test_a_person_who_asks_for_the_first_partition_gets_the_days_before_it_too(filled, instance):
    tags = {"dagster/partition": "2024-06-03"}
    execute(filled, instance, find_begins(filled), tags)
    assert in_state(filled, "staged/invoice_lines").height == 20
    assert in_state(filled, "quarantine/staged_invoice_lines").height == 1


def test_a_run_within_the_partitions_needs_no_tag_of_days():
    days, begin = Days(date(2024, 6, 4), date(2024, 6, 5)), date(2024, 6, 3)
    run = PlannedRun(("staged/invoice_lines",), days, DAILY, begin)
    assert DAYS not in run.partition
    assert set(run.partition.values()) == {"2024-06-04", "2024-06-05"}
