"""The wheel contains only the engine, and serves another project as docs/use-as-a-dependency.md says."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

from lakehouse.storage.lake import Lake

ROOT = Path(__file__).resolve().parents[2]
DOCS = (ROOT / "docs" / "use-as-a-dependency.md").read_text()
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "lakehouse", "assets", "checks", "resources", "samples")  # fmt: skip

pytestmark = pytest.mark.skipif(
    int(version("setuptools").split(".")[0]) < 77, reason="the build needs setuptools 77"
)


def run(*command: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a command without anything of this checkout on its path."""
    known = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("LAKEHOUSE_", "DAGSTER_", "PYTHONPATH"))
    }
    return subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env={**known, "PYTHONWARNINGS": "ignore", **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def answer(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Returns what a command prints; it must succeed."""
    done = run(*command, cwd=cwd, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the sources without a network."""
    source = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            shutil.copy(ROOT / name, source / name)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    offline = ("--no-deps", "--no-index", "--no-build-isolation")
    answer(*pip, "wheel", *offline, "--wheel-dir", "dist", ".", cwd=source)
    [built] = (source / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def tools(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a new environment: the wheel is installed, its dependencies are those of this one."""
    home = tmp_path_factory.mktemp("venv")
    answer(sys.executable, "-m", "venv", "--without-pip", home, cwd=home)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", home)
    answer(*pip, "install", "--no-deps", "--no-index", wheel, cwd=home)
    [packages] = home.glob("lib/python*/site-packages")
    known = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "dependencies.pth").write_text("\n".join(known))
    return home / "bin"


def block(after: str) -> str:
    """The first block of code behind some words of the documentation."""
    found = re.search(r"```\w+\n(.*?)```", DOCS[DOCS.index(after) :], re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture(scope="module")
def project(tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of its own, made and run as the documentation says."""
    root = tmp_path_factory.mktemp("project")
    for name in ("checks/shop.py", "assets/shop/tables.py", "workspace.yaml"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(block(f"`{name}` "))
    shutil.copy(ROOT / "dagster.yaml", root)
    dagster = 'dagster() { python -m dagster "$@"; }\n'  # the program is in the other environment
    script = dagster + block("Dagster needs a folder") + block("## 4. Run it")
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    (root / "printed.txt").write_text(answer("bash", "-euc", script, cwd=root, PATH=path))
    return root


def test_the_wheel_holds_the_engine_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].removesuffix(".dist-info") for name in names} == {
        "lakehouse",
        wheel.name.partition("-py3")[0],
    }
    assert "lakehouse/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)


@pytest.mark.full
def test_a_project_of_its_own_runs_a_table(project):
    lake = Lake(str(project / "data" / "lake"))
    rows = lake.scan("staged/orders").select("order_id", "amount").collect().rows()
    assert sorted(rows) == [("1", 9.5), ("3", 20.0)]
    assert lake.scan("quarantine/staged_orders").collect()["id"].to_list() == ["2"]
    assert "1 file waits in landing" in (project / "printed.txt").read_text()


@pytest.mark.full
def test_a_project_without_samples_has_no_command_for_them(project, tools):
    said = answer(tools / "lakehouse", "--help", cwd=project)
    assert "quarantine" in said
    assert "samples" not in said
    assert "No such command 'samples'" in run(tools / "lakehouse", "samples", cwd=project).stderr


@pytest.mark.full
def test_the_demo_works_on_a_project_of_its_own(project, tools):
    (project / "data" / "landing" / "orders" / "2024-03-02.csv").write_text("id,amount\n4,1.25\n")
    said = answer(tools / "lakehouse", "demo", cwd=project)
    assert "What happened to every row" in said
    assert "staged/orders" in said
    shown = answer(tools / "lakehouse", "sql", "from staged.orders", "--format=json", cwd=project)
    assert sorted(row["order_id"] for row in json.loads(shown)) == ["1", "3", "4"]


def test_a_folder_without_tables_is_told_where_to_go(tools, tmp_path):
    done = run(tools / "lakehouse", "tables", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"There is no folder `assets` in {tmp_path}")
    assert "Next: run this in the folder of your project" in done.stderr
