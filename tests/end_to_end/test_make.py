"""What `make` writes into a checkout: lines of `.env`, which people edit too, and the folders that it names."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from dotenv import dotenv_values

from lakehouse.project.data_locks import hold_for_demo

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what `make setup` works on."""
    root = tmp_path / "checkout"
    for package in ("lakehouse", "resources"):
        shutil.copytree(
            ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in ("Makefile", "dagster.yaml", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, root / name)
    return root


def make(checkout: Path, *arguments: str, **environment: str) -> str:
    """What make prints; the tools are those that run the tests."""
    known = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("LAKEHOUSE_", "MAKE"))
    }
    command = [
        "make",
        "--no-print-directory",
        "--assume-old",
        ".venv/.installed",
        f"BIN={BIN}",
        *arguments,
    ]
    done = subprocess.run(
        command,
        cwd=checkout,
        env={**known, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def told(checkout: Path) -> dict[str, str | None]:
    return dotenv_values(checkout / ".env")


def test_a_checkout_gets_what_dagster_needs_and_nothing_is_said(checkout):
    assert make(checkout, "setup") == ""
    assert told(checkout)["DAGSTER_HOME"] == str(checkout / "data" / "dagster")
    assert (checkout / "data" / "dagster" / "dagster.yaml").exists()
    assert (checkout / "data" / "landing").is_dir()


def test_the_lines_of_a_person_stay(checkout):
    (checkout / ".env").write_text("# mine\nLAKEHOUSE_REST_SECONDS=3\nOTHER='a b'")
    make(checkout, "setup")
    make(checkout, "setup", f"LAKEHOUSE_DATA={checkout}/other")
    assert (
        (checkout / ".env")
        .read_text()
        .startswith("# mine\nLAKEHOUSE_REST_SECONDS=3\nOTHER='a b'\n")
    )
    assert told(checkout)["LAKEHOUSE_DATA"] == f"{checkout}/other"


def test_a_place_that_was_asked_for_once_is_kept(checkout, tmp_path):
    asked = make(
        checkout, "setup", f"LANDING={tmp_path}/my files", f"LAKEHOUSE_DATA={tmp_path}/lake"
    )
    lines = told(checkout)
    assert make(checkout, "setup", DAGSTER_HOME="/nowhere/of/another/project") == asked
    assert told(checkout) == lines
    assert (lines["LAKEHOUSE_LANDING"], lines["DAGSTER_HOME"]) == (
        f"{tmp_path}/my files",
        f"{tmp_path}/lake/dagster",
    )
    assert f"lake {tmp_path}/lake/lake, landing {tmp_path}/my files" in asked
    assert not (checkout / "data").exists()


def test_the_way_back_that_is_told_leads_back(checkout, tmp_path):
    make(checkout, "setup", f"LANDING={tmp_path}/files", f"LAKEHOUSE_DATA={tmp_path}/lake")
    assert make(checkout, "setup", "LAKEHOUSE_DATA=data", "LANDING=data/landing") == ""
    assert told(checkout)["DAGSTER_HOME"] == str(checkout / "data" / "dagster")


def test_the_way_back_leads_back_from_a_lake_and_a_storage_of_their_own_too(checkout, tmp_path):
    lines = f"LAKEHOUSE_LAKE={tmp_path}/lake\nDAGSTER_HOME={tmp_path}/home\n"
    (checkout / ".env").write_text(lines)
    said = make(checkout, "setup")
    assert "delete the line DAGSTER_HOME in .env, then `make demo" in said
    (checkout / ".env").write_text(lines.splitlines()[0])
    way = said.partition("`make demo ")[2].partition("`")[0].split()
    assert make(checkout, "setup", *way) == ""


def test_a_place_in_the_environment_is_one_that_was_asked_for(checkout, tmp_path):
    make(checkout, "setup", LAKEHOUSE_DATA=f"{tmp_path}/lake")
    assert told(checkout)["LAKEHOUSE_DATA"] == f"{tmp_path}/lake"


def test_a_storage_of_dagster_that_a_person_named_stays(checkout, tmp_path):
    (checkout / ".env").write_text(f"DAGSTER_HOME={tmp_path}/mine\n")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "dagster.yaml").write_text("# mine\n")
    make(checkout, "setup", f"LAKEHOUSE_DATA={tmp_path}/lake")
    assert told(checkout)["DAGSTER_HOME"] == f"{tmp_path}/mine"
    assert (tmp_path / "mine" / "dagster.yaml").read_text() == "# mine\n"


def test_a_tilde_is_the_home_folder(checkout, tmp_path):
    make(checkout, "setup", "LANDING=~/files", "LAKEHOUSE_DATA=~/lake", HOME=str(tmp_path))
    assert told(checkout)["LAKEHOUSE_LANDING"] == f"{tmp_path}/files"
    assert told(checkout)["LAKEHOUSE_DATA"] == f"{tmp_path}/lake"


@pytest.mark.parametrize("target", ["test", "lint", "format", "bench"])
def test_what_works_on_the_code_leaves_the_settings_alone(checkout, target):
    assert "resources.checkout" not in make(checkout, "--dry-run", target)


def test_a_wrong_setting_is_told_before_anything_is_written(checkout):
    (checkout / ".env").write_text("LAKEHOUSE_LAEK=x\n")
    with pytest.raises(AssertionError, match="LAKEHOUSE_LAEK is not a setting"):
        make(checkout, "setup")
    assert (checkout / ".env").read_text() == "LAKEHOUSE_LAEK=x\n"


@pytest.fixture
def ui(checkout: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A program that stands for the UI of the checkout's data."""
    waiting = "import time; print('serving', flush=True); time.sleep(60)"
    command = [BIN / "python", "-m", "resources.ui", str(BIN / "python"), "-c", waiting]
    known = {name: value for name, value in os.environ.items() if not name.startswith("LAKEHOUSE_")}
    with subprocess.Popen(command, cwd=checkout, env=known, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"serving\n"
        yield process
        process.kill()


def test_data_that_a_ui_works_on_are_not_deleted(checkout, ui):
    with pytest.raises(
        AssertionError,
        match=f"A UI with its daemon is already using {checkout}/data .*\n +Next: .* stop it first",
    ):
        make(checkout, "clean-data")
    assert (checkout / "data").exists()
    ui.kill()
    ui.wait()
    make(checkout, "clean-data")
    assert not (checkout / "data").exists()
    make(checkout, "clean-data")


def test_a_second_ui_on_the_same_data_is_refused(checkout, ui):  # noqa: ARG001
    second = [BIN / "python", "-m", "resources.ui", "never"]
    done = subprocess.run(second, cwd=checkout, capture_output=True, text=True, check=False)
    assert (done.returncode, "Next: use that one" in done.stderr) == (1, True)


def test_a_second_demo_on_the_same_data_is_refused(tmp_path):
    environment = {**os.environ, "LAKEHOUSE_DATA": str(tmp_path)}
    with hold_for_demo(tmp_path):
        since = json.loads((tmp_path / "demo.lock").read_text())["since"]
        done = subprocess.run(
            [BIN / "lakehouse", "demo"],
            env=environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.stderr == (
        f"Another demo is already using {tmp_path} (`lakehouse demo`). "
        f"It is process {os.getpid()} on {socket.gethostname()}, since {since}.\n"
        "Next: wait until it ends, then run again.\n"
    )
