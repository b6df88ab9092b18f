"""Rows in parts: each row once, the rows of a key together, and each part small enough for memory."""

import subprocess
import sys
from datetime import date
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.sizes import first

from lakehouse.transform.spill import split_by_key

SCHEMA = {"key": pl.Int64, "day": pl.Int64, "text": pl.String}
rows = st.lists(
    st.tuples(st.integers(0, 20), st.none() | st.integers(0, 9), st.sampled_from("ab")), max_size=80
)


def frame(given_rows) -> pl.LazyFrame:
    return pl.LazyFrame(given_rows, schema=SCHEMA, orient="row")


@pytest.mark.parametrize("group", [None, pl.col("day")])
@pytest.mark.parametrize("open_files", [2, 3, 16])
def test_every_row_is_in_one_part_beside_those_of_its_key(tmp_path_factory, group, open_files):
    key = ["key"] if group is None else ["key", "day"]

    @settings(max_examples=15, deadline=None)
    @given(rows, rows, st.integers(1, 40))
    def holds(left, right, at_once):
        spool = tmp_path_factory.mktemp("spool") / "parts"
        frames = {"left": frame(left), "right": frame(right)}
        found = list(split_by_key(spool, key, frames, at_once, open_files, group=group))
        assert all(part["left"].schema == part["right"].schema == SCHEMA for part in found)
        for name, own in (("left", left), ("right", right)):
            assert sorted(map(str, own)) == sorted(
                str(row) for part in found for row in part[name].rows()
            )
        keys = [{row for one in part.values() for row in one.select(key).rows()} for part in found]
        assert sum(map(len, keys)) == len(set().union(*keys))
        if group is not None:
            days = [[-1 if day is None else day for _, day in own] for own in keys if own]
            assert all(max(one) <= min(other) for one, other in pairwise(days))
        assert not list(spool.rglob("*.parquet"))

    holds()


def test_a_part_holds_about_as_many_rows_as_asked_for_though_one_day_has_most(tmp_path):
    many = pl.LazyFrame({"key": range(20_000), "day": [3] * 18_000 + list(range(2_000))})
    sizes = [
        part["rows"].height
        for part in split_by_key(
            tmp_path / "p", ["key"], {"rows": many}, 500, 16, group=pl.col("day")
        )
    ]
    assert sum(sizes) == 20_000
    assert max(sizes) < 750
    assert len(sizes) < 60


def test_few_rows_are_not_written(tmp_path):
    [one] = split_by_key(tmp_path / "parts", ["key"], {"rows": frame([(1, 1, "a")])}, 1, 16)
    assert one["rows"].rows() == [(1, 1, "a")]
    assert not (tmp_path / "parts").exists()


_DIVIDE = """
import sys, threading, time
from pathlib import Path
import polars as pl
from lakehouse.transform.spill import split_by_key

def held():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssAnon"))

def watch():
    while True:
        most[0] = max(most[0], held())
        time.sleep(0.002)

folder, group = Path(sys.argv[1]), pl.col("day") if sys.argv[2] == "by day" else None
most, found = [held()], 0
threading.Thread(target=watch, daemon=True).start()
for part in split_by_key(folder / "spool", ["n"], {"rows": pl.scan_parquet(folder / "rows.parquet")}, 50_000, 16, group=group):
    found += part["rows"].height
print(found, most[0])
"""


@pytest.mark.full
@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="anonymous memory is read from /proc"
)
@pytest.mark.parametrize("grouped", first(1, ["by day", "whole"]))
def test_rows_are_split_without_holding_a_whole_group_in_memory(tmp_path, grouped):
    def peak(rows: int) -> int:
        folder = tmp_path / str(rows)
        folder.mkdir()
        n = pl.int_range(rows, eager=True)
        text = (pl.lit("x" * 100) + pl.col("n").cast(pl.String)).alias("text")
        frame = pl.LazyFrame({"n": n}).with_columns(text, pl.lit(date(2024, 1, 1)).alias("day"))
        frame.sink_parquet(folder / "rows.parquet", row_group_size=16_384)
        command = [sys.executable, "-c", _DIVIDE, str(folder), grouped]
        found, most = subprocess.run(
            command, check=True, capture_output=True, text=True
        ).stdout.split()
        assert int(found) == rows
        return int(most) << 10

    assert peak(3_600_000) - peak(1_200_000) < 2_400_000 * 40
