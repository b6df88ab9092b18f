"""What Dagster shows of the declared tables."""

import dagster as dg
import pytest
from support.worlds import retail, world

from lakehouse import definitions
from lakehouse.environment import Environment

ASSETS = {
    "raw/invoice_lines",
    "raw/fx_rates",
    "staged/invoice_lines",
    "staged/fx_rates",
    "marts/daily_sales",
    "marts/product_months",
    "marts/customers",
    "marts/sales",
    "staged/customers",
    "staged/products",
}


@pytest.fixture(scope="module")
def defs(tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    return definitions.definitions(world(tmp_path_factory.mktemp("defs"), retail()))


def specs(defs: dg.Definitions) -> dict[str, dg.AssetSpec]:
    return {"/".join(spec.key.path): spec for spec in defs.resolve_all_asset_specs()}


def test_the_definitions_of_the_repository_load(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # the checkout may have a `.env`
    dg.Definitions.validate_loadable(definitions.defs())


def test_every_declared_table_is_an_asset(defs: dg.Definitions):
    assert set(specs(defs)) == ASSETS


def test_assets_say_who_owns_them_what_they_are_and_what_columns_they_have(defs: dg.Definitions):
    spec = specs(defs)["staged/invoice_lines"]
    assert spec.group_name == "retail"
    assert spec.owners == ["retail@example.com"]
    assert {"polars", "deltalake"} <= spec.kinds
    assert "superseded" in (spec.description or "")
    columns = spec.metadata["dagster/column_schema"].columns
    assert next(c for c in columns if c.name == "customer_id").tags == {"pii": ""}


def test_each_derived_asset_has_a_blocking_contract_check(defs: dg.Definitions):
    checks = defs.resolve_asset_graph().asset_check_keys
    assert {"/".join(k.asset_key.path) for k in checks if k.name == "rows_keep_the_contract"} == {
        name for name in ASSETS if not name.startswith("raw/")
    }


def test_a_mart_that_looks_back_needs_the_six_days_before(defs: dg.Definitions):
    graph = defs.resolve_asset_graph()
    mart = graph.get(dg.AssetKey(["marts", "daily_sales"]))
    mapping = mart.partition_mappings[dg.AssetKey(["staged", "invoice_lines"])]
    assert mapping.start_offset == -6


def test_sensors_and_the_nightly_schedule_are_on_by_default(defs: dg.Definitions):
    assert {sensor.name for sensor in defs.sensors or []} == {
        *("landing_sensor", "commit_sensor", "dead_runs_sensor", "settled_sensor"),
    }
    assert all(
        sensor.default_status == dg.DefaultSensorStatus.RUNNING for sensor in defs.sensors or []
    )
    assert all(
        schedule.default_status == dg.DefaultScheduleStatus.RUNNING
        for schedule in defs.schedules or []
    )


def test_no_secret_is_in_what_dagster_shows(tmp_path):
    here = world(tmp_path)
    lake = type(here.lake)(here.lake.root, {"aws_secret_access_key": "hunter2"})
    defs = definitions.definitions(Environment(lake, here.landing, here.catalog))
    assert "hunter2" not in str([spec.metadata for spec in defs.resolve_all_asset_specs()])
    assert "hunter2" not in repr(lake)
