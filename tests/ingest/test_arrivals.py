"""Everything in landing is landed, refused or reported as unclaimed."""

from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner
from support.worlds import land_all, write

from lakehouse.cli import commands
from lakehouse.definitions import definitions
from lakehouse.environment import Environment
from lakehouse.ingest.files.landing_zone import Landing
from lakehouse.observe import overview
from lakehouse.observe.landing_report import describe_unclaimed, report_landing

RATES = "Date,USD\n2010-12-01,1.31\n"


def tables(here: Environment, *arguments: str):
    return CliRunner().invoke(
        commands.cli, ["tables", *arguments], obj=commands.App(lambda: here, None, None)
    )


def states(here: Environment) -> dict[str, str]:
    return {state.table: state.state for state in overview.list_tables(here)}


def test_what_belongs_to_no_raw_table_is_named_with_the_next_step(here):
    root = Path(here.landing.root)
    write(here, "invoice_line", "sub/x.csv", "")
    (root / "stray.csv").write_text("")
    for passed_over in (".hidden", "_temporary", "x.tmp"):
        (root / passed_over).write_text("")
    (root / "empty").mkdir()
    write(here, "fx_rates", "fx.csv", RATES)
    assert describe_unclaimed(here) == (
        f"In {root} these belong to no raw table and are ignored: invoice_line/, stray.csv.\n"
        "Next: put files into the folder of their table (invoice_lines, fx_rates), or declare a raw table of that name."
    )
    assert "are ignored: invoice_line/, stray.csv.\n" in tables(here).stdout
    assert "are ignored" in tables(here, "--format", "json").stderr


def test_unclaimed_objects_in_a_bucket_are_reported_too(here):
    write(here, "invoice_line", "x.csv", "")
    write(here, "fx_rates", "fx.csv", RATES)
    (Path(here.landing.root) / "stray.csv").write_text("")
    assert Landing(f"file://{here.landing.root}").list_unclaimed(["fx_rates"]) == [
        "invoice_line/",
        "stray.csv",
    ]


def test_a_landing_zone_in_order_needs_no_word(here):
    write(here, "fx_rates", "fx.csv", RATES)
    assert report_landing(here).notes == ()


def test_a_run_warns_of_unclaimed_files(here, capfd):
    write(here, "invoice_line", "x.csv", "")
    write(here, "fx_rates", "fx.csv", RATES)
    defs = definitions(here)
    with dg.DagsterInstance.ephemeral() as instance:
        job = defs.resolve_implicit_global_asset_job_def()
        assert job.execute_in_process(
            asset_selection=[dg.AssetKey(["raw", "fx_rates"])], instance=instance
        ).success
    assert "are ignored: invoice_line/" in capfd.readouterr().err


def test_files_that_wait_show_before_their_table_exists(here):
    write(here, "fx_rates", "fx.csv", RATES)
    assert states(here) == {"raw/fx_rates": "1 file waits in landing"}
    assert tables(here).exit_code == 3


def test_files_that_wait_show_beside_dead_letters(here):
    write(here, "fx_rates", "bad.csv", b"\xff\xfe\x00")
    write(here, "fx_rates", "fx.csv", RATES)
    land_all(here)
    assert states(here)["raw/fx_rates"] == "1 dead letter; it is a refused file: bad.csv"
    write(here, "fx_rates", "more.csv", RATES.replace("31", "32"))
    (Path(here.landing.root) / "fx_rates" / "folder.csv").mkdir()
    assert states(here)["raw/fx_rates"] == (
        "1 file waits in landing; 1 entry in landing cannot be read: folder.csv; "
        "1 dead letter; it is a refused file: bad.csv"
    )


@pytest.mark.parametrize("kind", ["nowhere", "file"])
def test_a_missing_landing_zone_is_reported_beside_the_tables(here, tmp_path, kind):
    write(here, "fx_rates", "fx.csv", RATES)
    land_all(here)
    (tmp_path / "file").write_text("")
    lost = Environment(here.lake, Landing(str(tmp_path / kind)), here.catalog)
    shown = tables(lost).stdout
    assert "raw/fx_rates" in shown
    assert f"The landing folder {tmp_path / kind} " in shown
    assert shown.count("Next: ") == 1
