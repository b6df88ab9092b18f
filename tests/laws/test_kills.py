"""Law 2: kill the process at any point, run again, and everything is as if nothing had happened."""

import io
import json
import re
import zipfile
from pathlib import Path
from shutil import copytree

import pytest
import tills
from support import children
from support.sizes import full
from support.worlds import bring_up_to_date, contents, world, write
from tills import HEADER, lines, sell, take, till

import lakehouse
from lakehouse.observe.overview import list_audits

STEPS = json.dumps([["raw/sales"], ["staged/sales"], ["marts/shop_days"], ["marts/shops"]])
ROOT = Path(lakehouse.__file__).parents[1]
FIRST, AGAIN = "first", "again"
RESTORE = (
    "restore: rejects restored",
    "restore: table restored",
)  # killed at in test_going_back.py
ARCHIVE = (
    "archive: entries written",
    "archive: log shortened",
)  # killed at in test_archived_logs.py
FEW = [
    (FIRST, "land: file read"),
    (FIRST, "land: files read"),
    (FIRST, "publish: before files"),
    (FIRST, "publish: files written"),
    (FIRST, "files: file begun#4"),
    (FIRST, "commit: before commit#2"),
    (FIRST, "publish: quarantine committed"),
    (FIRST, "publish: committed"),
    (FIRST, "land: published"),
    (AGAIN, "land: member read"),
    (AGAIN, "publish: files written#3"),
    (AGAIN, "publish: quarantine committed#3"),
    (AGAIN, "commit: columns added"),
    (AGAIN, "publish: committed#4"),
]
"""Each point once, in the first run or in one that replaces."""

OTHERS = [
    (FIRST, "land: file read#2"),
    (FIRST, "publish: files written#2"),
    (FIRST, "publish: files written#3"),
    (FIRST, "publish: quarantine committed#3"),
    (FIRST, "publish: committed#2"),
    (FIRST, "publish: committed#3"),
    (AGAIN, "land: files read"),
    (AGAIN, "publish: before files#3"),
    (AGAIN, "publish: files written#4"),
    (AGAIN, "publish: quarantine committed"),
    (AGAIN, "commit: before commit#3"),
    (AGAIN, "files: file begun#6"),
    (AGAIN, "land: published"),
    (AGAIN, "publish: committed"),
]


def stocked(folder: Path):
    """A till with two files: repeats, a reject, and a record that cannot be parsed."""
    here = world(folder, till())
    sell(here, "a", lines(3, 1, 2), lines(4, 3, -1, first=3), "7,too,short\n", lines(3, 1))
    sell(here, "b", lines(5, 4, first=8), lines(3, 5, first=9))
    return here


def stocked_again(folder: Path):
    """The same till after it was made, with days to replace, more dirt, and a new column."""
    here = stocked(folder)
    bring_up_to_date(here)
    sell(
        here,
        "c",
        lines(3, 6, first=20),
        lines(4, -2, 2, first=21),
        "24,too,short\n",
        lines(9, 7, first=25),
    )
    write(here, "sales", "d.csv", f"{HEADER},note\n30,2024-06-05,south,8,new\n")
    write(here, "sales", "e.zip", archive())
    return here


def archive() -> bytes:
    """An archive of a file with rows, one with a bad record, one that is refused, and one of the rest."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as members:
        members.writestr("a.csv", f"{HEADER}\n31,2024-06-06,south,8\n")
        members.writestr("b.csv", f"{HEADER}\n32,2024-06-07,south,8\n33,too,short\n")
        members.writestr("c.csv", "no,header\n1,2\n")
        members.writestr("d.csv", f"{HEADER}\n34,2024-06-08,south,8\n")
    return file.getvalue()


@pytest.fixture(scope="module")
def templates(tmp_path_factory):
    """Both worlds, before the run that will be killed."""
    made = {name: tmp_path_factory.mktemp(name) for name in (FIRST, AGAIN)}
    stocked(made[FIRST])
    stocked_again(made[AGAIN])
    return made


def run(folder: Path, kill_at: str | None, steps: str = STEPS) -> int:
    """Land and make everything in a process of its own; its return code."""
    return children.run(tills.main, str(folder), steps, kill_at=kill_at)


@pytest.fixture(scope="module")
def undisturbed(templates, tmp_path_factory):
    """The content of both worlds when nothing is killed."""
    ended = {}
    for name, folder in templates.items():
        here = world(copytree(folder, tmp_path_factory.mktemp("undisturbed") / name), till())
        bring_up_to_date(here)
        ended[name] = state(here)
    return ended


def state(here):
    """Every row of every table, without the columns that name a run or a moment."""
    moving = (
        "_batch_id",
        "_ingested_at",
        "_run_id",
        "_first_seen_at",
        "_last_seen_at",
        "_modified_at",
        "etag",
    )
    tables = [name for name in here.lake.tables() if name.startswith(("raw/", "quarantine/"))]
    frames = {name: here.lake.scan(name).collect() for name in tables}
    plain = {name: frame.drop(*moving, strict=False) for name, frame in frames.items()}
    # The files of a copied world have other tags: they are read, and registered, once more.
    plain["quarantine/deliveries"] = plain["quarantine/deliveries"].unique()
    rows = {
        name: sorted(frame.select(sorted(frame.columns)).rows(), key=str)
        for name, frame in plain.items()
    }
    return rows, contents(here)


@pytest.mark.parametrize(("which", "point"), [*FEW, *(full(*other) for other in OTHERS)])
def test_a_run_after_a_kill_ends_as_if_nothing_had_happened(
    templates, undisturbed, tmp_path, which, point
):
    folder = copytree(templates[which], tmp_path / "world")
    assert run(folder, point) == -9
    here = world(folder, till())
    bring_up_to_date(here)
    rows, content = state(here)
    assert (rows, content) == undisturbed[which]
    origins = here.lake.scan("raw/sales").select("_source", "_offset").collect()
    assert not origins.is_duplicated().any()


def test_a_process_killed_twice_ends_as_if_nothing_had_happened(templates, undisturbed, tmp_path):
    folder = copytree(templates[AGAIN], tmp_path / "world")
    codes = [
        run(folder, point)
        for point in ("publish: quarantine committed", "publish: quarantine committed", None)
    ]
    here = world(folder, till())
    bring_up_to_date(here)
    assert (codes, state(here)) == ([-9, -9, 0], undisturbed[AGAIN])


LANDING = (
    "publish: files written",
    "publish: quarantine committed",
    "publish: committed",
    "land: published",
)


@pytest.mark.parametrize(
    ("point", "is_taken_away"),
    [
        (LANDING[0], False),
        (LANDING[0], True),
        (LANDING[1], False),
        *(full(point, False) for point in LANDING[2:]),
        *(full(point, True) for point in LANDING[1:]),
    ],
)
def test_every_record_is_counted_in_one_audit_whatever_is_killed_when(
    tmp_path, point, is_taken_away
):
    here = world(tmp_path, till())
    files = [
        sell(here, "dead", "1,too,short\n", "2,too,short\n"),
        sell(here, "part", lines(3, 1), "3,too,short\n"),
    ]
    files.append(write(here, "sales", "refused.csv", ""))
    (Path(here.landing.root) / "sales" / "folder.csv").mkdir()
    assert run(tmp_path, point, json.dumps([["raw/sales"]])) == -9
    if is_taken_away:
        for file in files:
            file.unlink()
    sell(here, "next", lines(4, 2, first=9))
    for _ in range(2):
        take(here)
    found = list_audits(here, "raw/sales")
    letters = here.lake.scan("quarantine/dead_letters").collect().height
    assert sum(audit.written for audit in found) == here.lake.scan("raw/sales").collect().height
    assert (
        sum(audit.dead_letters for audit in found)
        == letters
        == (1 if is_taken_away and point == LANDING[0] else 5)
    )


def test_dead_letters_of_a_file_that_comes_back_under_another_name_are_not_doubled(tmp_path):
    here = world(tmp_path, till())
    file = sell(here, "a", lines(3, 1), "3,too,short\n")
    assert run(tmp_path, "publish: quarantine committed", json.dumps([["raw/sales"]])) == -9
    file.rename(file.with_name("b.csv"))
    take(here)
    assert here.lake.scan("quarantine/dead_letters").collect().height == 1
    assert [(audit.read, audit.dead_letters) for audit in list_audits(here, "raw/sales")] == [
        (2, 1)
    ]


def test_every_fault_point_of_the_engine_is_killed_at():
    sources = (ROOT / "lakehouse").rglob("*.py")
    named = {
        point
        for path in sources
        for point in re.findall(r"failpoint\(\"([^\"]+)\"\)", path.read_text())
    }
    killed = {point.partition("#")[0] for _, point in FEW}
    assert named == killed | {
        *RESTORE,
        *ARCHIVE,
        "sensor: looked",
    }  # the last one in test_campaign.py
