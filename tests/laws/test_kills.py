"""Law 2: kill the process at any point, run again, and everything is as if nothing had happened."""

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shutil import copytree

import pytest
import tills
from support.worlds import bring_up_to_date, contents, world, write
from tills import HEADER, lines, sell, till

import lakehouse
from lakehouse.faults import KILL_AT

STEPS = json.dumps([["raw/sales"], ["staged/sales"], ["marts/shop_days"], ["marts/shops"]])
ROOT = Path(lakehouse.__file__).parents[1]
FIRST, AGAIN = "first", "again"
CASES = [
    (FIRST, "land: file read"),
    (FIRST, "land: file read#2"),
    (FIRST, "land: files read"),
    (FIRST, "publish: before files"),
    (FIRST, "publish: files written"),
    (FIRST, "publish: files written#2"),
    (FIRST, "publish: files written#3"),
    (FIRST, "publish: quarantine committed"),
    (FIRST, "publish: quarantine committed#3"),
    (FIRST, "publish: committed"),
    (FIRST, "publish: committed#2"),
    (FIRST, "publish: committed#3"),
    (FIRST, "land: published"),
    (AGAIN, "land: files read"),
    (AGAIN, "publish: before files#3"),
    (AGAIN, "publish: files written#3"),
    (AGAIN, "publish: files written#4"),
    (AGAIN, "publish: quarantine committed"),
    (AGAIN, "publish: quarantine committed#3"),
    (AGAIN, "draft: columns added"),
    (AGAIN, "land: published"),
    (AGAIN, "publish: committed"),
    (AGAIN, "publish: committed#4"),
]


def stocked(folder: Path):
    """A till with two files: repeats, a reject, and a record that cannot be parsed."""
    here = world(folder, till())
    sell(here, "a", lines(3, 1, 2), lines(4, 3, -1, first=3), "7,too,short\n", lines(3, 1))
    sell(here, "b", lines(5, 4, first=8), lines(3, 5, first=9))
    return here


def stocked_again(folder: Path):
    """The same after it was made, with days to be replaced, more dirt, and a column that is new."""
    here = stocked(folder)
    bring_up_to_date(here)
    sell(here, "c", lines(3, 6, first=20), lines(4, -2, 2, first=21), "24,too,short\n", lines(9, 7, first=25))
    write(here, "sales", "d.csv", f"{HEADER},note\n30,2024-06-05,south,8,new\n")
    return here


@pytest.fixture(scope="module")
def templates(tmp_path_factory):
    """Both worlds, before the run that will be killed."""
    made = {name: tmp_path_factory.mktemp(name) for name in (FIRST, AGAIN)}
    stocked(made[FIRST])
    stocked_again(made[AGAIN])
    return made


def run(folder: Path, kill_at: str | None) -> int:
    """Land and make everything in a process of its own; its return code."""
    asked = {} if kill_at is None else {KILL_AT: kill_at}
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", **asked}
    return subprocess.run([sys.executable, tills.__file__, folder, STEPS], env=environment, check=False).returncode


@pytest.fixture(scope="module")
def undisturbed(templates, tmp_path_factory):
    """What both worlds end in when nobody kills anything."""
    ended = {}
    for name, folder in templates.items():
        here = world(copytree(folder, tmp_path_factory.mktemp("undisturbed") / name), till())
        bring_up_to_date(here)
        ended[name] = state(here)
    return ended


@pytest.fixture(scope="module")
def killed(templates, tmp_path_factory):
    """Each case after the kill: its folder and return code. Two processes run at a time."""
    folders = [copytree(templates[name], tmp_path_factory.mktemp("killed") / "world") for name, _ in CASES]
    with ThreadPoolExecutor(2) as pool:
        codes = list(pool.map(run, folders, [point for _, point in CASES]))
    return dict(zip(CASES, zip(folders, codes, strict=True), strict=True))


def state(here):
    """Every row of every table, without the columns that name a run or a moment."""
    moving = ("_batch_id", "_ingested_at", "_run_id", "_rejected_at", "_modified_at")
    tables = [name for name in here.lake.tables() if name.startswith(("raw/", "quarantine/"))]
    frames = {name: here.lake.scan(name).collect() for name in tables}
    plain = {name: frame.drop(*moving, strict=False) for name, frame in frames.items()}
    rows = {name: sorted(frame.select(sorted(frame.columns)).rows(), key=str) for name, frame in plain.items()}
    return rows, contents(here)


@pytest.mark.parametrize("case", CASES, ids=": ".join)
def test_a_run_after_a_kill_ends_as_if_nothing_had_happened(killed, undisturbed, case):
    folder, code = killed[case]
    assert code == -9
    here = world(folder, till())
    bring_up_to_date(here)
    rows, content = state(here)
    assert (rows, content) == undisturbed[case[0]]
    origins = here.lake.scan("raw/sales").select("_source", "_offset").collect()
    assert not origins.is_duplicated().any()


def test_a_process_killed_twice_ends_as_if_nothing_had_happened(templates, undisturbed, tmp_path):
    folder = copytree(templates[AGAIN], tmp_path / "world")
    codes = [run(folder, point) for point in ("publish: quarantine committed", "publish: quarantine committed", None)]
    here = world(folder, till())
    bring_up_to_date(here)
    assert (codes, state(here)) == ([-9, -9, 0], undisturbed[AGAIN])


def test_every_fault_point_of_the_engine_is_killed_at():
    sources = (ROOT / "lakehouse").rglob("*.py")
    named = {point for path in sources for point in re.findall(r"reached\(\"([^\"]+)\"\)", path.read_text())}
    assert named == {point.partition("#")[0] for _, point in CASES}
