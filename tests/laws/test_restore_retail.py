"""Law 2 on the retail domain: any table rolled back to any version by any means, whatever else is lost."""

from shutil import copytree
from zipfile import ZipFile

import dagster as dg
import pytest
from support.sizes import full
from support.worlds import bring_up_to_date, contents, deliver, world, write
from test_cleaned_logs import clean_up

from lakehouse.definitions import definitions
from lakehouse.operations.restore import RestoreRequest, restore
from lakehouse.operations.restore_plan import plan_restore
from lakehouse.orchestration import sensors
from lakehouse.orchestration.heal_job import define_heal_job
from samples import generate

TABLES = ("raw/invoice_lines", "raw/fx_rates", "staged/invoice_lines", "staged/fx_rates")
TABLES += ("staged/products", "staged/customers")
TABLES += ("marts/daily_sales", "marts/product_months", "marts/customers", "marts/sales")
FEW = (("raw/invoice_lines", 0),)
OTHERS = ((table, version) for table in TABLES for version in (0, 1) if (table, version) not in FEW)
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """Six days of samples, dirt included, that came in three deliveries."""
    folder = tmp_path_factory.mktemp("retail")
    generate(folder / "files", days=6, rows=150, seed=11)
    here = world(folder / "grown")
    [rates] = (folder / "files" / "fx_rates").iterdir()
    files = sorted((folder / "files" / "invoice_lines").iterdir())
    for part in range(3):
        deliver(here, "invoice_lines", *files[part::3])
        write(here, "fx_rates", f"{part}.csv", "".join(first_lines(rates, 9 + part)))
        bring_up_to_date(here)
    return folder / "grown"


def first_lines(zipped, count):
    """The head of a file of rates: those of the latest days."""
    with ZipFile(zipped) as held:
        return held.read(held.namelist()[0]).decode().splitlines(keepends=True)[:count]


@pytest.fixture
def grown(template, tmp_path):
    """A copy of it."""
    return world(copytree(template, tmp_path / "grown"))


def state(here):
    """Contents, and where every raw row came from."""
    origins = {
        table: sorted(here.lake.scan(table).select("_source", "_offset").collect().rows())
        for table in ("raw/invoice_lines", "raw/fx_rates")
    }
    counts = {
        table: here.lake.scan(table).collect().height
        for table in here.lake.tables()
        if "quarantine/" in table
    }
    del counts["quarantine/deliveries"]
    return contents(here), origins, counts


def roll_back(here, table, version, *, plainly):
    if plainly:
        here.lake.open(table).restore(version)
    elif not (found := plan_restore(here, table, version)).is_noop:
        restore(here, found, RestoreRequest("somebody"))


def heal(here):
    """Does the nightly run in a Dagster without a history."""
    with dg.DagsterInstance.ephemeral() as nothing_is_left:
        resources = definitions(here).resources
        done = define_heal_job().execute_in_process(
            instance=nothing_is_left, resources=resources, run_config=QUIET
        )
    assert done.success


@pytest.mark.parametrize(("table", "version"), [*FEW, *(full(*other) for other in OTHERS)])
def test_a_table_rolled_back_to_any_version_ends_as_if_nothing_had_happened(grown, table, version):
    """Each table by delta-rs alone to one version and by `lakehouse restore` to the other; all pairs take a minute."""
    assert grown.lake.version(table) >= 2
    plainly = (TABLES.index(table) + version) % 2 == 0
    before = state(grown)
    roll_back(grown, table, version, plainly=plainly)
    bring_up_to_date(grown)
    assert (state(grown), grown.create_planner().find_stale_tables()) == (before, [])


@pytest.mark.parametrize("plainly", [True, full(False)], ids=["plainly", "by lakehouse restore"])
def test_everything_rolled_back_heals_though_dagsters_storage_and_the_logs_are_lost(grown, plainly):
    before = state(grown)
    for table in TABLES:
        roll_back(grown, table, 0, plainly=plainly)
    clean_up(grown, *grown.lake.tables())
    heal(grown)
    assert (state(grown), grown.create_planner().find_stale_tables()) == (before, [])


@pytest.mark.full
@pytest.mark.parametrize(
    ("table", "when"),
    [
        full("raw/invoice_lines", "before"),
        ("staged/invoice_lines", "after"),
        ("marts/daily_sales", "before"),
    ],
)
def test_a_compaction_and_a_vacuum_around_a_roll_back_change_nothing(grown, table, when):
    before = state(grown)
    if when == "before":
        grown.lake.open(table).optimize.compact()
    grown.lake.open(table).restore(1)
    if when == "after":
        grown.lake.open(table).optimize.compact()
    grown.lake.open(table).vacuum(0, enforce_retention_duration=False, dry_run=False)
    heal(grown)
    assert (state(grown), grown.create_planner().find_stale_tables()) == (before, [])


@pytest.mark.full
def test_delta_rs_own_clean_up_of_a_log_changes_nothing(grown):
    before = state(grown)
    grown.lake.open("staged/invoice_lines").restore(1)
    for table in TABLES:
        handle = grown.lake.open(table)
        handle.alter.set_table_properties({"delta.logRetentionDuration": "interval 0 days"})
        handle.create_checkpoint()
        handle.cleanup_metadata()
    heal(grown)
    assert (state(grown), grown.create_planner().find_stale_tables()) == (before, [])


@pytest.mark.parametrize("table", ["raw/invoice_lines", "staged/invoice_lines"])
def test_the_commit_sensor_with_its_old_cursor_sees_a_roll_back(grown, monkeypatch, table):
    monkeypatch.setattr(sensors, "_WATCH_SECONDS", 0)
    cursor = sensors._write_cursor(grown.list_revisions())
    restore(grown, plan_restore(grown, table, 0), RestoreRequest("somebody"))
    defs = definitions(grown)
    sensor = next(sensor for sensor in defs.sensors if sensor.name == "commit_sensor")
    with (
        dg.DagsterInstance.ephemeral() as instance,
        dg.build_sensor_context(instance=instance, cursor=cursor, definitions=defs) as context,
    ):
        asked = {
            "/".join(key.path)
            for one in sensor(context).run_requests
            for key in one.asset_selection
        }
    assert asked & {"staged/invoice_lines", "marts/daily_sales"}
