"""The commands of the README, as a person types them, in a folder with a `.env` like that of `make`."""

import re
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from support.demos import copy_demo
from support.sizes import full

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
README = (ROOT / "README.md").read_text()


@pytest.fixture(scope="module")
def environment(demonstrated: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of commands that are called in a copy of a demonstrated lake."""
    data = tmp_path_factory.mktemp("data")
    return {**copy_demo(demonstrated, data), "HERE": str(data)}


def shell(command: str, environment: dict[str, str]) -> str:
    done = subprocess.run(
        ["bash", "-euc", command],
        env=environment,
        cwd=environment["HERE"],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    # `lakehouse tables` says by 3 that something needs attention: the samples have dead letters.
    codes = (0, 3) if command.startswith("lakehouse tables") else (0,)
    assert done.returncode in codes, done.stdout + done.stderr
    return done.stdout


def commands(first_word: str) -> list[str]:
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", README, re.DOTALL)).replace("\\\n", " ")
    return [
        line.partition("  #")[0].strip()
        for line in blocks.splitlines()
        if line.startswith(first_word)
    ]


COMMANDS = [one for one in commands("lakehouse") if one != "lakehouse samples"]
KINDS = {one.split()[1]: one for one in COMMANDS}


@pytest.mark.parametrize(
    "command", [one if one in KINDS.values() else full(one) for one in COMMANDS]
)
def test_each_lakehouse_command_of_the_readme_answers(command: str, environment: dict[str, str]):
    assert shell(command, environment).strip()


def test_the_make_targets_of_the_readme_exist():
    makefile = (ROOT / "Makefile").read_text()
    targets = {line.split()[1] for line in commands("make")}
    assert targets >= {"demo", "ui"}
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


@pytest.mark.full
def test_the_backfill_of_the_readme_is_one_run_that_the_ui_shows(
    environment: dict[str, str], monkeypatch
):
    [command] = commands("dagster asset materialize")
    shell(command, environment)
    monkeypatch.setenv("DAGSTER_HOME", environment["DAGSTER_HOME"])
    with dg.DagsterInstance.get() as instance:
        latest = instance.get_runs(limit=1)[0]
        filled = instance.get_materialized_partitions(dg.AssetKey(["staged", "invoice_lines"]))
    assert latest.status == dg.DagsterRunStatus.SUCCESS
    assert {"2010-12-01", "2011-01-28"} <= filled


@pytest.fixture(scope="module")
def dg_project(demonstrated: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of `dg` in a copy of a demonstrated lake, in a folder like a checkout."""
    data = tmp_path_factory.mktemp("dg")
    environment = {**copy_demo(demonstrated, data), "HERE": str(data)}
    for name in ("lakehouse", "pyproject.toml"):
        (data / name).symlink_to(ROOT / name)
    return environment


@pytest.mark.parametrize(
    "command", [one if "check" in one else full(one) for one in commands("dg ")]
)
def test_each_dg_command_of_the_readme_ends_well(command: str, dg_project: dict[str, str]):
    shell(command, dg_project)


def test_the_readme_names_the_commands_that_dagster_recommends():
    assert [one.split()[1] for one in commands("dg ")] == ["list", "check", "launch"]


def test_a_second_demo_writes_nothing_and_says_so(demonstrated: Path, tmp_path: Path):
    environment = {**copy_demo(demonstrated, tmp_path), "HERE": str(tmp_path)}
    logs = list_table_logs(tmp_path)
    assert "Nothing new" in shell("lakehouse demo", environment)
    assert logs == list_table_logs(tmp_path)


def list_table_logs(folder: Path) -> list[Path]:
    """Lists the log entries of all tables but the register, which notes that the files were copied."""
    logs = (folder / "lake").rglob("_delta_log/*.json")
    return sorted(log for log in logs if "deliveries" not in log.parts)


def demo(environment: dict[str, str], landing: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / "lakehouse", "demo"],
        env={**environment, "LAKEHOUSE_LANDING": str(landing)},
        cwd=environment["HERE"],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_demo_refuses_to_mix_samples_with_other_files(
    environment: dict[str, str], tmp_path: Path
):
    (tmp_path / "invoice_lines").mkdir()
    (tmp_path / "invoice_lines" / "mine.csv").write_text("InvoiceNo\n1\n")
    done = demo(environment, tmp_path)
    assert done.returncode == 1
    assert "never both" in done.stderr
    assert "your own: invoice_lines/mine.csv\n" in done.stderr
    assert "its name begins with `sample-`" in done.stderr
    assert "LANDING=<folder of your files> LAKEHOUSE_DATA=<new folder>" in done.stderr


@pytest.mark.full
def test_another_day_of_samples_is_landed_by_the_demo(environment: dict[str, str]):
    path = shell("lakehouse samples", environment).splitlines()[0]
    assert Path(path).name > "sample-2011-01-28.csv.gz"
    assert "raw/invoice_lines" in shell("lakehouse demo", environment)
    assert Path(path).name in shell(
        "lakehouse sql 'select max(_source) from raw.invoice_lines'", environment
    )
