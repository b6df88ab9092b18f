"""Our side of the end-to-end bench on a few invented days; the peer needs an environment of its own and is not run."""

import pytest

from bench import end_to_end, retail
from bench.end_to_end import OURS, OURS_BY_DAGSTER, PEER, STEPS
from bench.measure import run_command


@pytest.fixture(scope="module")
def deliveries(tmp_path_factory):
    return end_to_end.sample_days(8, tmp_path_factory.mktemp("samples"))


@pytest.fixture
def at_once(deliveries, tmp_path):
    """The figures of all days, brought in one step."""
    deliver(deliveries, tmp_path / "at once", *STEPS)
    retail.bring(retail.here(tmp_path / "at once"))
    return end_to_end.read_figures(OURS, STEPS[-1], tmp_path / "at once")


def test_the_last_day_alone_comes_with_the_second_step(deliveries, tmp_path):
    deliver(deliveries, tmp_path, STEPS[0])
    before = names(tmp_path)
    deliver(deliveries, tmp_path, STEPS[1])
    assert names(tmp_path) - before == {f"invoice_lines/{deliveries.days[-1].name}"}


@pytest.mark.full
def test_days_in_two_steps_make_what_all_days_at_once_make(deliveries, tmp_path, at_once):
    figures = []
    for step in STEPS:
        deliver(deliveries, tmp_path, step)
        run_command(command(OURS, step, tmp_path))
        figures.append(end_to_end.read_figures(OURS, step, tmp_path))
    assert figures[1] == at_once != figures[0]


@pytest.mark.full
@pytest.mark.slow("every run of Dagster is a process of its own")
def test_dagster_makes_the_same(deliveries, tmp_path, at_once):
    for step in STEPS:
        deliver(deliveries, tmp_path, step)
        run_command(command(OURS_BY_DAGSTER, step, tmp_path))
    assert end_to_end.read_figures(OURS_BY_DAGSTER, STEPS[-1], tmp_path) == at_once


def test_every_way_knows_every_step():
    ways = end_to_end.ways(has_peer=False)
    assert [way.name for way in ways] == [OURS, OURS_BY_DAGSTER]
    assert all(tuple(way.steps) == STEPS for way in ways)


def test_a_peer_that_cannot_be_installed_is_left_out(monkeypatch, capsys):
    def refuse(peer):
        raise RuntimeError(f"{peer} cannot be installed")

    monkeypatch.setattr(end_to_end, "python_of", refuse)
    assert [way.name for way in end_to_end.ways()] == [OURS, OURS_BY_DAGSTER]
    assert f"goes on without {PEER}: dlt cannot be installed" in capsys.readouterr().out


def test_invented_days_or_some_real_ones_do_not_replace_what_is_kept_of_all_real_ones(deliveries):
    asked = (("real", True), ("real", False), ("invented", True), ("invented", False))
    names = [
        end_to_end.work(deliveries, kind, is_all=is_all, has_peer=False).name
        for kind, is_all in asked
    ]
    assert [name == "end-to-end" for name in names] == [True, False, False, False]


def test_the_peer_imports_nothing_of_ours():
    scripts = [
        *(end_to_end.PEERS / "dlt").glob("retail*.py"),
        *(end_to_end.PEERS / "dbt" / "retail").rglob("*.*"),
    ]
    assert scripts
    assert not [path for path in scripts if "lakehouse" in path.read_text()], PEER


def deliver(deliveries, home, *steps):
    """Deliver what comes before some steps."""
    for step in steps:
        deliveries.put(OURS, step, home)


def names(home):
    """What lies in landing."""
    landing = home / "landing"
    return {str(path.relative_to(landing)) for path in landing.rglob("*") if path.is_file()}


def command(way, step, home):
    """The command of a way for a step in a folder."""
    (chosen,) = [one for one in end_to_end.ways(has_peer=False) if one.name == way]
    return [part.replace(end_to_end.TARGET, str(home)) for part in chosen.steps[step]]
