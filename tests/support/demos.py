"""Folders as `make demo` leaves them: a lake of samples with Dagster's storage next to it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from bench.dagster_settings import settings
from samples import generate
from support.projects import ROOT, link_project

BIN = Path(sys.executable).parent


def run_demo(folder: Path) -> None:
    """Makes a project of an empty folder and runs the demo there, on samples that no clock dates."""
    link_project(folder)
    generate(folder / "landing")
    (folder / "dagster").mkdir()
    known, own = settle(folder), folder / "dagster" / "dagster.yaml"
    own.write_text(settings(is_batched=True))  # it leaves the same files as the default, sooner
    subprocess.run(
        [BIN / "lakehouse", "demo"], env=known, cwd=folder, check=True, capture_output=True
    )
    shutil.copy(ROOT / "dagster.yaml", own)


def copy_demo(template: Path, folder: Path) -> dict[str, str]:
    """Makes a folder a copy of such a one; returns the environment of commands that are called there."""
    shutil.copytree(template, folder, symlinks=True, dirs_exist_ok=True)
    return settle(folder)


def settle(folder: Path) -> dict[str, str]:
    """Writes the lines of `.env` that `make setup` writes; returns the environment of commands."""
    home = folder / "dagster"
    (folder / ".env").write_text(f"DAGSTER_HOME={home}\nLAKEHOUSE_DATA={folder}\n")
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "DAGSTER_HOME": str(home), "PATH": path, "PYTHONWARNINGS": "ignore"}
