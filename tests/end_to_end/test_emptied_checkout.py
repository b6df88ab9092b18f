"""A checkout without the retail domain and its samples, as the README suggests, is a working and empty lakehouse."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def emptied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout from which a user deleted the domain, to write another."""
    root = tmp_path_factory.mktemp("checkout")
    for package in ("lakehouse", "assets", "checks", "resources"):
        ignored = shutil.ignore_patterns("__pycache__", "retail", "retail.py")
        shutil.copytree(ROOT / package, root / package, ignore=ignored)
    (root / "data" / "landing").mkdir(parents=True)
    return root


def run(checkout: Path, *command: str | Path) -> subprocess.CompletedProcess[str]:
    known = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("LAKEHOUSE_", "DAGSTER_"))
    }
    return subprocess.run(
        list(map(str, command)),
        cwd=checkout,
        env={**known, "PYTHONPATH": str(checkout), "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_its_commands_are_those_of_any_project(emptied):
    done = run(emptied, BIN / "lakehouse", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "tables" in done.stdout
    assert "samples" not in done.stdout


def test_it_has_no_tables(emptied):
    done = run(emptied, BIN / "lakehouse", "tables")
    assert (done.returncode, done.stderr) == (0, "")
    assert "The lake is empty." in done.stdout


def test_its_demo_says_that_a_table_has_to_be_declared(emptied):
    done = run(emptied, BIN / "lakehouse", "demo")
    assert done.returncode == 1
    assert done.stderr.startswith("No raw table is declared")


def test_dagster_loads_its_definitions(emptied):
    done = run(emptied, BIN / "dagster", "definitions", "validate", "-m", "lakehouse.definitions")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All code locations passed validation" in done.stdout + done.stderr
