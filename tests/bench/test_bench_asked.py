"""The benchmarks of queries, of start-up and of late files run on few rows."""

import json
from contextlib import ExitStack
from pathlib import Path

import polars as pl
import pytest
from support.sizes import first

from bench import beside, figures, late, publish, query, start, stood
from bench.measure import Cost


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where benchmarks work and keep what they found."""
    for module in (beside, late, publish, query):
        monkeypatch.setattr(module, "OUT", tmp_path)
    monkeypatch.setattr(figures, "RESULTS", tmp_path / "results")
    return tmp_path


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake to ask, and its rows as files."""
    folder = tmp_path_factory.mktemp("query")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(publish, "OUT", folder)
        query.fill(folder, 0.01)
    return folder


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls the ways in this process, which saves importing everything for each."""

    def call(command: list[str]) -> Cost:
        monkeypatch.setattr("sys.argv", command[command.index("-m") + 1 :])
        query.main()
        return Cost(1.0, 1.0, 1.0, 1.0, 1.0, {})

    monkeypatch.setattr(beside, "run_command", call)


@pytest.mark.full
@pytest.mark.usefixtures("called")
def test_all_ways_answer_alike_in_a_lake_that_is_made_for_them(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["query", "--scale", "0.01", "--rounds", "1"])
    query.main()
    lines = json.loads((out / "results" / "query.json").read_text())["lines"]
    assert {(line["way"], line["step"]) for line in lines} == {
        (w, s) for w in query.WAYS for s in ("cold", "warm")
    }
    assert not list(out.glob("query-*"))


@pytest.mark.full
def test_every_question_has_an_answer_in_a_staged_table_or_a_mart(
    filled: Path, tmp_path: Path
) -> None:
    query.one("ours", filled, tmp_path, is_warm=False)
    answers = json.loads(query.outcome("ours", "cold", tmp_path))
    assert [len(rows) for rows in answers] == [4, 10, 1, 83, 2]
    assert [("shipped_months" in question) for question in query.QUESTIONS] == [
        False,
        False,
        False,
        True,
        True,
    ]


@pytest.mark.full
@pytest.mark.usefixtures("out", "called")
@pytest.mark.parametrize(
    "asked", first(2, query.QUESTIONS), ids=["flags", "parts", "day", "months", "year"]
)
def test_a_way_that_answers_a_cent_more_is_not_compared(
    filled: Path, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    def wrong(folder: Path, stack: ExitStack) -> query.Ask:
        ask = query.ask_polars(folder, stack)
        return lambda question: [
            (*row[:-1], row[-1] + 0.01 * (question == asked)) for row in ask(question)
        ]

    monkeypatch.setitem(query.WAYS, "polars on parquet", wrong)
    with pytest.raises(RuntimeError, match="not all ways made the same"):
        beside.side_by_side(query.work(filled, 0.01), rounds=1)


@pytest.mark.full
@pytest.mark.usefixtures("out", "called")
def test_a_way_that_has_lost_a_row_of_the_mart_is_not_compared(
    filled: Path, tmp_path: Path
) -> None:
    stood.clone(filled, tmp_path / "less")
    file = tmp_path / "less" / "snappy" / "shipped_months.parquet"
    rows = pl.read_parquet(file)
    file.unlink()
    rows[1:].write_parquet(file)
    with pytest.raises(RuntimeError, match="not all ways made the same"):
        beside.side_by_side(query.work(tmp_path / "less", 0.01), rounds=1)


@pytest.mark.full
@pytest.mark.slow("six fresh processes are what it measures")
@pytest.mark.usefixtures("out")
def test_the_start_is_measured_beside_a_bare_project() -> None:
    lines = beside.side_by_side(start.work(), rounds=1)
    assert [(line.way, line.step) for line in lines] == [
        (way, step)
        for way in ("ours", "bare dagster")
        for step in ("import", "definitions", "first run")
    ]
    assert lines[2].commits == 3


@pytest.mark.full
@pytest.mark.slow("the daemon, the code server and the UI start, after a demo")
def test_a_late_file_is_timed_until_it_is_in_the_mart(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["late", "--files", "1", "--pause", "0"])
    late.main()
    found = json.loads((out / "results" / "late.json").read_text())
    assert len(found["seconds"]) == 1
    assert found["p50"] == found["p95"] == found["seconds"][0]
