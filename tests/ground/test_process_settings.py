"""Settings of a process: made where a process starts, before Polars is loaded, and nowhere else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.sizes import first

from lakehouse.project import process_settings

ROOT = Path(__file__).resolve().parents[2]
POLARS = {
    "_RJEM_MALLOC_CONF": "narenas:",
    "POLARS_ROW_GROUP_PREFETCH_KBYTES_BUDGET": str(2_048 * (os.cpu_count() or 1)),
}
WATCH_POLARS = """
import os, sys

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "polars":
            print(*map(os.environ.get, sys.argv[2:]), flush=True)

sys.meta_path.insert(0, Watch())
__import__(sys.argv[1])
"""
ENGINE = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted((ROOT / "lakehouse").rglob("*.py"))
    if path.name not in ("composition.py", "definitions.py", "command.py")
]


def run(code: str, *arguments: str) -> str:
    known = {name: value for name, value in os.environ.items() if name not in POLARS}
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, *arguments],
        cwd=ROOT,
        env={**known, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


@pytest.mark.parametrize(
    "start",
    first(2, ["lakehouse.definitions", "lakehouse.command", "bench.lineitem", "campaign.kill"]),
)
def test_a_process_sets_up_polars_before_it_loads_polars(start):
    told, *_ = run(WATCH_POLARS, start, *POLARS).splitlines()
    found = zip(told.split(), POLARS.values(), strict=True)
    assert all(value.startswith(expected) for value, expected in found)


def test_what_the_user_exported_stays(monkeypatch):
    names = [*POLARS, process_settings.EVENT_BATCH_SIZE]
    for name in names:
        monkeypatch.setenv(name, "mine")
    process_settings.configure_polars()
    process_settings.batch_events()
    assert [os.environ[name] for name in names] == ["mine"] * len(names)


def test_importing_the_engine_changes_neither_the_environment_nor_the_collector():
    code = (
        "import gc, importlib, os, sys, polars\n"  # Polars has defaults of its own
        "before = dict(os.environ)\n"
        "for name in sys.argv[1:]: importlib.import_module(name)\n"
        "print(before == dict(os.environ), gc.isenabled(), gc.get_freeze_count())"
    )
    assert run(code, *ENGINE) == "True True 0\n"


def test_what_dagster_loads_is_collected_no_more_and_the_collector_is_on():
    code = (
        "import gc, lakehouse.definitions\nprint(gc.isenabled(), gc.get_freeze_count() > 100_000)"
    )
    assert run(code) == "True True\n"
