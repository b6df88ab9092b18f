"""`lakehouse restore`: what it prints before it restores, when it asks, and how it refuses."""

import getpass
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from support.worlds import bring_up_to_date, copy_world, world
from tills import lines, rows, sell, till

from lakehouse.cli import commands


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A till after two deliveries."""
    folder = tmp_path_factory.mktemp("template")
    shop = world(folder, till())
    for name, *days in (("a", lines(3, 1, 2)), ("b", lines(4, 3, first=3), "4,too,short\n")):
        sell(shop, name, *days)
        bring_up_to_date(shop)
    return folder


@pytest.fixture
def here(template, tmp_path):
    """A copy of it."""
    return copy_world(template, tmp_path, till())


def run(here, *arguments, command="restore"):
    app = commands.App(lambda: here, lambda: click.echo(""), lambda _: [])
    return CliRunner().invoke(commands.cli, [command, *arguments], obj=app, catch_exceptions=False)


def test_it_tells_what_it_undoes_and_does_it_with_yes(here):
    done = run(here, "raw/sales", "--version", "0", "--yes", "--reason", "b was wrong")
    assert done.exit_code == 0
    assert "undoes 1 commit:" in done.stdout
    assert "read 2, written 1, quarantined 0, superseded 0, dead letters 1" in done.stdout
    assert "rows of the table: 3 now, 2 afterwards" in done.stdout
    assert (
        "quarantine/dead_letters is restored with it: 1 row of this table now, 0 afterwards"
        in done.stdout
    )
    assert "the next run lands again: 1 (b.csv)" in done.stdout
    assert (
        "affected, because they are made from it: staged/sales, marts/shop_days, marts/shops"
        in done.stdout
    )
    assert "raw/sales is now at version 2, with the content of version 0." in done.stdout
    assert len(rows(here, "raw/sales")) == 2


def test_without_yes_and_with_nobody_to_ask_nothing_is_restored(here):
    done = run(here, "raw/sales", "--version", "0")
    assert (done.exit_code, here.lake.version("raw/sales")) == (1, 1)
    assert "undoes 1 commit:" in done.stdout
    assert "Next: add --yes." in done.stderr


def test_a_time_is_as_good_as_a_version(here):
    log = Path(here.lake.uri("raw/sales")) / "_delta_log"
    text = (log / f"{1:020}.json").read_text()
    stamp = here.lake.read_log("raw/sales")[1].info["timestamp"]
    (log / f"{1:020}.json").write_text(text.replace(str(stamp), str(stamp + 60_000)))
    moment = datetime.fromtimestamp(stamp / 1000, UTC)
    assert (
        "Restoring version 0 of raw/sales"
        in run(here, "raw/sales", "--time", f"{moment:%Y-%m-%dT%H:%M:%S}", "--yes").stdout
    )


def test_a_version_that_holds_the_same_is_nothing_to_do(here):
    done = run(here, "raw/sales", "--version", "1")
    assert (done.exit_code, done.stdout) == (
        0,
        "raw/sales already has the content of version 1: nothing to restore.\n",
    )


@pytest.mark.parametrize("arguments", [[], ["--version", "0", "--time", "2024-06-01"]])
def test_one_of_version_and_time_is_needed(here, arguments):
    assert (
        "give one of --version <number>, --time <UTC time> and --before-file <name>"
        in run(here, "raw/sales", *arguments).stderr
    )


def test_a_table_that_nobody_declares_is_refused(here):
    assert "There is no table 'raw/nothing'" in run(here, "raw/nothing", "--version", "0").stderr


def test_a_table_of_quarantine_goes_back_with_its_own(here):
    assert (
        "is restored together with the table"
        in run(here, "quarantine/dead_letters", "--version", "0").stderr
    )


def test_the_audits_of_a_table_tell_of_its_restores(here):
    run(here, "raw/sales", "--version", "0", "--yes", "--reason", "b was wrong")
    here.lake.open("raw/sales").restore(1)
    told = run(here, "raw/sales", command="audit").stdout.splitlines()[-2:]
    assert told[0].endswith(
        "version 2 restored version 0, by root: b was wrong".replace("root", getpass.getuser())
    )
    assert told[1] == "version 3 restored version 1, by another program"
