"""The benchmarks of questions, of the start and of late files run on little."""

import json
from contextlib import ExitStack
from pathlib import Path

import pytest

from bench import beside, late, publish, query, start


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where benchmarks work and keep what they found."""
    for module in (beside, late, publish, query):
        monkeypatch.setattr(module, "OUT", tmp_path)
    for module in (beside, late):
        monkeypatch.setattr(module, "RESULTS", tmp_path / "results")
    return tmp_path


@pytest.mark.usefixtures("out")
@pytest.mark.parametrize("is_warm", [False, True], ids=["cold", "warm"])
def test_all_ways_answer_the_questions(capsys: pytest.CaptureFixture[str], is_warm: bool) -> None:
    folder, rows = query.lake_of(0.01), []
    for way in query.WAYS:
        query.one(way, folder, is_warm=is_warm)
        rows.append(json.loads(capsys.readouterr().out)["rows"])
    assert set(rows) == {rows[0]}
    assert rows[0] > 10


@pytest.mark.usefixtures("out")
def test_a_question_is_answered_alike_by_all_ways() -> None:
    folder = query.lake_of(0.01)
    with ExitStack() as stack:
        asks = [ask(folder, stack) for ask in query.WAYS.values()]
        for question in query.QUESTIONS[2:4]:
            first, *others = [[row[0] for row in ask(question)] for ask in asks]
            assert first
            assert all(other == first for other in others)


@pytest.mark.usefixtures("out")
def test_the_start_is_measured_beside_a_bare_project() -> None:
    lines = beside.side_by_side(start.work(), rounds=1)
    assert [(line.way, line.step) for line in lines] == [
        (way, step) for way in ("ours", "bare dagster") for step in ("import", "definitions", "first run")
    ]
    assert lines[2].commits == 3


def test_a_late_file_is_timed_until_it_is_in_the_mart(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["late", "--files", "1", "--pause", "0"])
    late.main()
    found = json.loads((out / "results" / "late.json").read_text())
    assert len(found["seconds"]) == 1
    assert found["p50"] == found["p95"] == found["seconds"][0]
