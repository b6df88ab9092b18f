"""The benchmarks of keyed and of daily tables run on few rows, in the ways that need nothing but this project.

Each bench raises if two ways made different rows. Their commands are called in this process, which saves importing
everything for each.
"""

import io
import json
from contextlib import redirect_stdout
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import polars as pl
import pytest
from support.sizes import full

from bench import (
    backfill,
    beside,
    daily,
    dedup,
    figures,
    history,
    increment,
    keyed,
    orders,
    stood,
    upsert,
)
from bench.measure import Cost
from lakehouse.storage.lake import Lake

ROWS = 1_000
CHANGED, NEW = 10, 3


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where benchmarks work and keep what they found; their commands are calls."""

    def called(command: list[str]) -> Cost:
        name, *arguments = command[command.index("-m") + 1 :]
        monkeypatch.setattr("sys.argv", [name, *arguments])
        with redirect_stdout(io.StringIO()) as printed:
            import_module(name).main()
        seconds = json.loads(printed.getvalue().splitlines()[-1])["seconds"]
        return Cost(seconds, seconds, 1.0, 1.0, 1.0, {})

    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setattr(beside, "OUT", tmp_path)
    monkeypatch.setattr(figures, "RESULTS", tmp_path / "results")
    for module in (beside, keyed):
        monkeypatch.setattr(module, "run_command", called)
    return tmp_path


def test_orders_are_upserted_as_by_a_bare_merge(out):
    lines = beside.side_by_side(upsert.work(ROWS, out, upsert.of_this_project()), rounds=1)
    assert [(line.way, line.step, line.commits) for line in lines] == [
        (way, step, commits)
        for way, commits in ((upsert.OURS, 2), (upsert.MERGE, 1))
        for step in upsert.STEPS
    ]
    assert [line.ratio for line in lines if line.way == upsert.MERGE] == [1, 1]


@pytest.mark.full
def test_versions_of_orders_are_kept_as_by_hand(out):
    found = []

    def outcome(*run):
        found.append(history.outcome(*run))
        return found[-1]

    work = replace(history.work(ROWS, history.of_this_project(ROWS, out)), outcome=outcome)
    assert {
        line.ratio for line in beside.side_by_side(work, rounds=1) if line.way == history.SQL
    } == {1}
    assert [rows for rows, _ in found] == 2 * [ROWS, ROWS + 9 * (CHANGED + NEW)]


def test_some_orders_change_twice_over_ten_deliveries(tmp_path):
    days = [pl.read_parquet(orders.write_delivery(tmp_path, ROWS, day)) for day in range(10)]
    events = pl.concat(days)
    assert [day.height for day in days] == [ROWS, *[CHANGED + NEW] * 9]
    assert events.group_by("order_id").len()["len"].value_counts().sort("len").rows() == [
        (1, ROWS - 50 + 9 * NEW),
        (2, CHANGED),
        (3, 40),
    ]
    assert events.select("order_id", "status", "amount").is_unique().all()


def test_changes_are_folded_into_few_and_many_as_by_a_bare_merge(out):
    lines = keyed.compare(out, [ROWS], rounds=1)
    assert {line.way for line in lines} == {"upsert", "history", "merge"}
    assert not list(out.glob("run-*"))


def test_repeats_of_readings_are_superseded(out):
    (line,) = dedup.compare(out, [dedup.daily.DAYS * 50], rounds=1)
    assert (line.commits, line.ratio) == (1, 1)


def test_a_repeat_that_stays_is_noticed(tmp_path):
    home = tmp_path / "18250"
    daily.fill(Lake(str(home)), 50, repeated=25)
    dedup.one(Lake(str(home)))
    with pytest.raises(RuntimeError, match="one in 50 was to be superseded"):
        dedup.outcome("ours", "18,250 rows", tmp_path)


@pytest.mark.full
@pytest.mark.usefixtures("out")
@pytest.mark.parametrize("days", [10, full(daily.DAYS)])
def test_all_days_are_made_in_one_run_as_by_a_plain_write(tmp_path, monkeypatch, days):
    monkeypatch.setattr(daily, "DAYS", days)
    lines = backfill.compare(tmp_path, rows_a_day=2, days=1, rounds=1, has_peers=False)
    assert [(line.way, line.step, line.commits) for line in lines] == [
        (backfill.OURS, f"{days} days", 1),
        (backfill.BATCHED, f"{days} days", 1),
        (backfill.ENGINE, f"{days} days", 1),
        (backfill.PLAIN, f"{days} days", 1),
        (backfill.OURS, "1 days", 1),
        (backfill.BY_DAY, "1 days", 1),
    ]


@pytest.mark.full
def test_one_file_comes_after_few_and_after_some_commits(out, capsys):
    keep = out / "keep"
    lines = increment.compare(keep, [2, 4], [], rounds=1)
    assert [(line.way, line.step) for line in lines] == [
        (way, f"{size} commits")
        for way in (increment.OURS, increment.CLEARED, increment.WITHOUT)
        for size in (2, 4)
    ]
    assert lines[0].ratio == 1
    assert capsys.readouterr().out.count("deliveries brought in") == 2
    before = Lake(str(keep / "ours-4" / "lake")).version("raw/readings")
    increment.prepare(keep, increment.OURS, "4 commits", out / "again")
    assert "brought in" not in capsys.readouterr().out
    increment.one(out / "again" / "4", has_cursor=True)
    assert Lake(str(out / "again" / "4" / "lake")).version("raw/readings") == before + 1
    assert Lake(str(keep / "ours-4" / "lake")).version("raw/readings") == before


@pytest.mark.parametrize("commits", [1, 10, increment.DAYS, increment.DAYS + 7])
def test_deliveries_bring_ten_years_whatever_their_number(commits):
    days = increment.deliveries(commits)
    assert len(days) == commits
    assert {day for each in days for day in each} == set(range(increment.DAYS))


def test_what_is_handed_on_does_not_count_as_a_file_that_came(tmp_path):
    (tmp_path / "file.parquet").write_bytes(b"x" * 2**20)
    (tmp_path / "home").mkdir()
    for _ in range(2):
        stood.hand_on(tmp_path / "file.parquet", tmp_path / "home")
    assert (tmp_path / "home" / "arrived.parquet").read_bytes() == b"x" * 2**20
    assert beside.count_files(tmp_path / "home") == (0, 0)
