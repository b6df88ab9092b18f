"""Runs of the assets in process: partitions, checks and metadata as Dagster records them."""

from pathlib import Path

import dagster as dg
import pytest
from support.worlds import bring_up_to_date, deliver, land_all, write

from lakehouse.definitions import definitions
from lakehouse.environment import Environment
from samples import Truth

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
LINES = dg.AssetKey(["staged", "invoice_lines"])


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def run(
    here: Environment, instance: dg.DagsterInstance, *tables: str, first: str = "", last: str = ""
):
    job = definitions(here).resolve_implicit_global_asset_job_def()
    tags = (
        {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
        if first
        else {}
    )
    keys = [dg.AssetKey(table.split("/")) for table in tables]
    return job.execute_in_process(
        asset_selection=keys, tags=tags, instance=instance, run_config=QUIET, raise_on_error=False
    )


def deliver_samples(here: Environment, samples: tuple[Path, Truth]) -> None:
    for table in ("invoice_lines", "fx_rates"):
        deliver(here, table, *(samples[0] / table).iterdir())


def test_a_range_is_one_run_with_an_event_and_counts_for_each_day(here, instance, samples):
    deliver_samples(here, samples)
    land_all(here)
    result = run(here, instance, "staged/invoice_lines", first="2010-12-01", last="2010-12-10")
    events = result.asset_materializations_for_node("staged__invoice_lines")
    assert [event.partition for event in events] == [f"2010-12-{day:02}" for day in range(1, 11)]
    assert len(here.lake.read_log("staged/invoice_lines") or []) == 1
    assert all(event.metadata["read"].value == events[0].metadata["read"].value for event in events)
    days = samples[1].invoice_lines.rows_by_day
    counted = {e.partition: e.metadata.get("dagster/partition_row_count") for e in events}
    assert {d: c.value for d, c in counted.items() if c and c.value} == {
        d: n for d, n in ((str(k), v) for k, v in days.items()) if d <= "2010-12-10"
    }


def test_a_refused_commit_fails_its_check_and_the_run_and_names_the_rules(here, instance):
    bad = "".join(f"53636{n},85123A,X,0,2010-12-01 08:26:00,1,1,France\n" for n in range(9))
    write(here, "invoice_lines", "a.csv", f"{HEADER}\n{bad}")
    land_all(here)
    result = run(here, instance, "staged/invoice_lines", first="2010-12-01", last="2010-12-01")
    assert not result.success
    [check] = result.get_asset_check_evaluations()
    assert not check.passed
    assert "quantity != 0" in (check.description or "")
    assert here.lake.open("staged/invoice_lines") is None


def test_poisoned_days_of_a_range_leave_the_others_made_and_themselves_not(here, instance):
    for day in (1, 2, 3):
        price = -1 if day == 2 else 1
        write(
            here,
            "invoice_lines",
            f"{day}.csv",
            f"{HEADER}\n53636{day},A,X,1,2010-12-0{day} 08:00:00,{price},1,France\n",
        )
    land_all(here)
    result = run(here, instance, "staged/invoice_lines", first="2010-12-01", last="2010-12-04")
    assert not result.success
    assert instance.get_materialized_partitions(LINES) == {"2010-12-01", "2010-12-03"}
    [check] = result.get_asset_check_evaluations()
    assert not check.passed
    assert "2010-12-02: 1 of 1 rows break the contract" in (check.description or "")
    assert here.lake.scan("staged/invoice_lines").collect()[
        "invoice_date"
    ].dt.day().sort().to_list() == [1, 3]


HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"


def test_days_without_rows_change_nothing_and_say_so(here, instance, samples):
    deliver_samples(here, samples)
    bring_up_to_date(here)
    before = here.lake.version("staged/invoice_lines")
    result = run(here, instance, "staged/invoice_lines", first="2020-01-01", last="2020-01-02")
    assert result.success
    assert here.lake.version("staged/invoice_lines") == before


def test_the_contract_check_counts_each_rule_zeros_included(here, instance, samples):
    deliver_samples(here, samples)
    land_all(here)
    result = run(here, instance, "staged/invoice_lines", first="2010-12-01", last="2011-01-28")
    [check] = result.get_asset_check_evaluations()
    rules = {row.data["rule"]: row.data["rows"] for row in check.metadata["rules"].records}
    assert (
        rules["unit_price >= 0"]
        == samples[1].invoice_lines.quarantined_by_reason["price_below_zero"]
    )
    assert rules["country is present"] == 0
