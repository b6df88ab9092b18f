"""The campaign of faults at a size that fits here; `make campaign` is the long one. And that it sees what is wrong."""

import io
import json
import re
import zipfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import polars as pl
import pytest
from support.sizes import full
from support.worlds import SHARED

import lakehouse
from campaign import children, shop, state, steps, witness
from campaign.broken import build_broken_file
from campaign.fuzz import Fuzz
from campaign.kill import Kills
from campaign.structure import STRUCTURE
from campaign.tally import Tally
from campaign.writers import Writers

WAYS = (
    *steps.WAYS,
    *["healing"] * (len(steps.WAYS) % 2),
)  # an even number: each way meets one of two stories


@pytest.fixture
def tally():
    return Tally("law", print)


FEW_WAYS = ("compaction", "sensors")
"""Those that no other test kills."""


@pytest.mark.full
@pytest.mark.slow("each way is killed, healed and compared in processes of its own")
@pytest.mark.parametrize(("ways", "stories", "turns"), [(FEW_WAYS, 1, 1), full(WAYS, 2, 2)])
def test_whatever_is_killed_when_ends_as_if_nothing_had_happened(
    tmp_path, tally, ways, stories, turns
):
    seeds = range(1, turns * len(ways) + 1)
    Kills(tmp_path, tally, stories=stories, files=4).run(
        [(seed, ways[seed % len(ways)]) for seed in seeds]
    )
    assert tally.found == []
    killed = sum(count for what, count in tally.tried.items() if "killed at" in what)
    assert killed >= 3 * len(seeds) // 4
    assert min(Counter(what.split()[0] for what in tally.tried.elements()).values()) >= turns


@pytest.mark.full
@pytest.mark.parametrize("seconds", [3, full(12)])
def test_eight_writers_that_are_killed_lose_and_double_nothing(tmp_path, tally, seconds):
    Writers(tmp_path, tally, seed=1, seconds=seconds).run()
    assert tally.found == []
    done = {"append: done", "replace: done", "compaction: done", "vacuum: done"}
    assert {"writer killed", *(done if seconds == 12 else ())} <= set(tally.tried)


@pytest.mark.parametrize("files", [100, full(1_000)])
def test_every_record_of_a_broken_file_is_a_row_or_a_dead_letter(tmp_path, tally, files):
    Fuzz(tmp_path, tally, seed=1, real=SHARED if SHARED.is_dir() else None).run(range(files))
    assert tally.found == []
    assert {what.partition(": ")[2] for what in tally.tried} >= {
        "landed whole",
        "rows and dead letters",
        "refused whole",
    }


def test_a_record_is_broken_again_however_deep_it_is_nested():
    def again(depth):
        line = f'{{"a":{"[" * depth}1{"]" * depth}}}'
        return line, json.loads(STRUCTURE["jsonl"]["printed with blanks"](Random(1), line.encode()))

    deep, printed = again(60_000)
    assert printed == deep  # as a text
    assert again(1)[1] == {"a": [1]}


@pytest.mark.full
def test_the_campaign_comes_by_every_fault_point_of_the_engine(tmp_path):
    sources = (Path(lakehouse.__file__).parent).rglob("*.py")
    named = {
        point
        for path in sources
        for point in re.findall(r"failpoint\(\"([^\"]+)\"\)", path.read_text())
    }
    for one in shop.create_deliveries("0", 3):
        one.put(tmp_path)
    two = io.BytesIO()
    with zipfile.ZipFile(two, "w") as archive:
        archive.writestr("a.csv", f"{shop.HEADER}\n71,2024-06-01,north,1\n")
        archive.writestr("b.csv", f"{shop.HEADER}\n72,2024-06-01,north,1\n")
    shop.Delivery("two.zip", two.getvalue(), 1).put(tmp_path)
    reached: set[str] = set()
    for way in ("sensors", "healing", "spans", "restore"):
        children.run(tmp_path, steps.attack, way, kill_at="#0")
        reached |= set(json.loads((tmp_path / "trail.json").read_text()))
        shop.Delivery(
            "remark.csv", f"{shop.HEADER},remark\n1,2024-06-01,north,1,new\n".encode(), 1
        ).put(tmp_path)
    assert named
    assert named <= reached


def test_the_end_of_a_child_is_told_to_every_thread_that_waits_for_it(tmp_path):
    for _ in range(20):
        process = children.start(tmp_path, shop.open_shop)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: children.wait_for_end(process, 60), range(4)))  # noqa: B023, it waits here
        assert process.exitcode == 0


# What the campaign has to see


@pytest.fixture
def sold(tmp_path):
    """A lake that is in order, and the records of its deliveries."""
    delivered = shop.create_deliveries("3", 3)
    for one in delivered:
        one.put(tmp_path)
    here = shop.open_shop(tmp_path)
    steps.bring_up_to_date(here)
    contents = {one.name: one.content for one in delivered}
    return here, state.key_by_digest(
        (contents[name], count) for name, count in shop.count_records(delivered)
    )


def test_a_lake_in_order_has_no_problems(sold):
    assert list(state.find_problems(*sold)) == []


def test_a_lost_row_is_seen(sold):
    here, records = sold
    before = state.hash_tables(here)
    here.lake.open("raw/sales").delete("_offset = 1")
    assert "records missing" in next(state.find_problems(here, records))
    assert state.find_differences(before, state.hash_tables(here))[0].startswith("raw/sales: ")


def test_a_doubled_row_is_seen(sold):
    here, records = sold
    rows = here.lake.scan("raw/sales").head(2).collect()
    rows.write_delta(here.lake.uri("raw/sales"), mode="append")
    assert "2 records too often" in next(state.find_problems(here, records))


@pytest.mark.parametrize(
    ("forge", "said"),
    [
        (lambda rows: rows, "1 rejected rows are there twice"),
        (
            lambda rows: rows.with_columns(_offset=pl.lit(999, pl.Int64)),
            "1 rejected rows are none of raw/sales",
        ),
    ],
    ids=["doubled", "of nowhere"],
)
def test_a_released_row_that_is_doubled_or_of_nowhere_is_seen(sold, forge, said):
    here, records = sold
    rows = here.lake.scan("quarantine/staged_sales").head(1).collect()
    forge(rows).with_columns(_state=pl.lit("released")).write_delta(
        here.lake.uri("quarantine/staged_sales"), mode="append"
    )
    assert f"quarantine/staged_sales: {said}" in list(state.find_problems(here, records))


def test_a_file_that_nobody_owns_is_seen(sold):
    here, _ = sold
    path = Path(here.lake.uri("staged/sales"), "_left_behind.parquet")
    path.write_bytes(b"x")
    assert list(state.find_orphans(here, "staged/sales")) == [path.name]


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        (lambda stood: stood.rows.pop(), "marks are lost"),
        (lambda stood: stood.rows.append(stood.rows[0]), "its records are numbered"),
        (lambda stood: stood.rows[0][1].__setitem__(0, "other"), "marks are lost"),
    ],
)
def test_the_witness_sees_a_record_that_is_not_there(change, seen):
    file = next(
        one
        for one in (build_broken_file(1, n, None) for n in range(999))
        if one.how == ("csv",) and one.table == "loose"
    )
    plain = file.content.decode().splitlines()
    rows = [(n, line.split(",")) for n, line in enumerate(plain[1:], 1)]
    stood = witness.LandedFile(rows, [], plain[0].split(","))
    change(stood)
    assert any(seen in complaint for complaint in witness.find_complaints(file, stood))
