"""The whole product on S3 by settings alone: sensors, runs, quarantine, the command line; equal to a local folder."""

import json

import dagster as dg
import pytest
from click.testing import CliRunner
from support.buckets import put, put_all
from support.worlds import bring_up_to_date, contents, deliver, world

from campaign.buckets import KEY, REGION, SECRET, list_keys, make_bucket
from lakehouse.cli import commands
from lakehouse.definitions import definitions
from lakehouse.environment import Environment
from lakehouse.project.composition import load_environment

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")


@pytest.fixture(scope="module")
def settled(server, tmp_path_factory):
    """The settings of a lake in a bucket, with AWS's own variables beside them."""
    bucket = make_bucket(server, "by-settings")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("settled"))
        patch.setenv("LAKEHOUSE_LAKE", f"s3://{bucket}/lake")
        patch.setenv("LAKEHOUSE_LANDING", f"s3://{bucket}/landing")
        patch.setenv("AWS_ACCESS_KEY_ID", KEY)
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        patch.setenv("AWS_REGION", REGION)
        patch.setenv("AWS_ENDPOINT_URL", server)
        patch.setenv("AWS_ALLOW_HTTP", "true")
        yield load_environment()


@pytest.fixture(scope="module")
def instance():
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def tick(here: Environment, instance: dg.DagsterInstance, name: str):
    """Runs what a sensor requests; returns how many runs that was."""
    defs = definitions(here)
    sensor = next(sensor for sensor in defs.sensors or [] if sensor.name == name)
    with dg.build_sensor_context(instance=instance, definitions=defs) as context:
        asked = sensor(context)
    if isinstance(asked, dg.SkipReason):
        return 0
    for request in asked.run_requests or []:
        done = defs.resolve_job_def(request.job_name or sensor.job_name).execute_in_process(
            asset_selection=request.asset_selection,
            tags=request.tags,
            instance=instance,
            run_config={**QUIET, **request.run_config},
            partition_key=request.partition_key,
        )
        assert done.success
    return len(asked.run_requests or [])


@pytest.fixture(scope="module")
def made(settled, instance, days):
    """The lake after the sensors have run until they request nothing."""
    put_all(settled, days)
    put(settled, "invoice_lines", "broken.csv", "no header")
    assert tick(settled, instance, "landing_sensor") == 1
    while tick(settled, instance, "commit_sensor"):
        pass
    return settled


def test_the_tables_are_those_of_a_local_folder(made, days, tmp_path):
    local = world(tmp_path)
    for table in ("invoice_lines", "fx_rates"):
        deliver(local, table, *sorted((days / table).iterdir()))
    bring_up_to_date(local)
    assert contents(made) == contents(local)


def test_nothing_new_writes_nothing(made, server, instance):
    before = list_keys(server, "by-settings")
    assert tick(made, instance, "landing_sensor") == tick(made, instance, "commit_sensor") == 0
    assert list_keys(server, "by-settings") == before


def answer(here: Environment, *arguments: str) -> list[dict[str, object]]:
    app = commands.App(lambda: here, lambda: None, lambda _: [])
    done = CliRunner().invoke(
        commands.cli, [*arguments, "--format", "json"], obj=app, catch_exceptions=False
    )
    # 3 says that something needs attention, such as the broken file.
    assert done.exit_code in (0, 3), done.stderr
    return json.loads(done.stdout)


@pytest.mark.full
def test_the_command_line_reads_the_bucket(made):
    lines = made.lake.scan("staged/invoice_lines").collect().height
    assert answer(made, "sql", "select count(*) as n from staged.invoice_lines") == [{"n": lines}]
    assert {one["table"]: one["rows"] for one in answer(made, "tables")}[
        "staged/invoice_lines"
    ] == lines
    assert answer(made, "audit", "staged/invoice_lines")[-1]["rows_written"] == lines
    assert answer(made, "quarantine", "raw/invoice_lines")[0]["_source"].startswith("broken.csv#")


SCAN = "delta_scan('s3://by-settings/{}', version => 0)"


@pytest.mark.parametrize(
    "source",
    [
        "read_text('s3://by-settings/landing/invoice_lines/broken.csv')",
        "'s3://by-settings/landing/invoice_lines/broken.parquet'",
        SCAN.format("landing/invoice_lines"),
        SCAN.format("lake/staged/../../landing"),
        SCAN.format("lake"),
    ],
)
def test_sql_reaches_no_other_place_in_the_bucket(made, source):
    app = commands.App(lambda: made, lambda: None, lambda _: [])
    done = CliRunner().invoke(commands.cli, ["sql", f"select * from {source}"], obj=app)
    assert (done.exit_code, "reaches beyond the tables" in done.stderr) == (1, True)


def test_sql_reads_an_earlier_version_by_its_uri(made):
    query = f"select count(*) > 0 as some from {SCAN.format('lake/staged/fx_rates')}"
    assert answer(made, "sql", query) == [{"some": True}]
