"""The report of the benchmarks: kept results become tables and plots where the page has a place for them."""

import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from support.written import at_least

from bench import beside, figures, report
from bench.beside import Way, Work, module, pair_with_first, side_by_side

SAY = """
import json, sys, pathlib
pathlib.Path(sys.argv[1], 'a.parquet').write_bytes(b'x' * 2**20)
%s
print(json.dumps({'seconds': %s}))
"""


def way(name: str, seconds: float | str, first: str = "") -> Way:
    """A way that reports a duration and writes a file of one MiB."""
    return Way(name, {"all": [*module("this")[:-2], "-c", SAY % (first, seconds), "{target}"]})


@pytest.fixture(autouse=True)
def results(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(beside, "OUT", tmp_path)
    monkeypatch.setattr(figures, "RESULTS", tmp_path / "results")
    return tmp_path / "results"


def test_ways_are_compared_and_become_a_table_and_a_plot(results, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(report, "PLOTS", tmp_path / "plots")
    pairs = [
        (("all", "other"), ("all", "ours")),
        (("all", "ours"), ("all", "one that is not there")),
    ]
    ways = [way("ours", 2), way("other", 1)]
    ours, other = side_by_side(Work("small", "a <small> work", ways, "other", pairs=pairs), 3)
    assert (ours.ratio, other.ratio, ours.files) == (2, 1, 1)
    assert not ours.written_mib < at_least(1, tmp_path)
    assert not ours.written_mib >= 2
    printed = capsys.readouterr().out
    assert "2.00" in printed
    assert "other, all / ours, all" in printed
    page = tmp_path / "page.md"
    page.write_text("# Words\n<!-- small -->\nold\n<!-- /small -->\nmore words\n")
    kept = json.loads((results / "small.json").read_text())
    assert report.write(page, [kept, {**kept, "name": "unknown"}]) == ["unknown"]
    text = page.read_text()
    assert "| all | ours | 2.00 | 2.00 to 2.00 | 2.00 | 2.00 to 2.00 |" in text
    assert "| other, all | ours, all | 0.50 | 0.50 to 0.50 |" in text
    assert "not there" not in text
    assert "old" not in text
    assert text.endswith("<!-- /small -->\nmore words\n")
    assert report.write(page, [kept]) == []
    assert page.read_text() == text
    svg = ET.parse(tmp_path / "plots" / "small.svg").getroot()
    assert next(element.text for element in svg if element.tag.endswith("text")) == "a <small> work"


def test_a_ratio_is_that_of_the_rounds_for_a_machine_becomes_slower(tmp_path):
    def runs(name: str, *seconds: int) -> Way:
        """A way with a given duration in each round."""
        ran = tmp_path / name
        ran.mkdir()
        say = f"n = len(list(pathlib.Path({str(ran)!r}).iterdir())); pathlib.Path({str(ran)!r}, str(n)).touch()"
        return way(name, f"{seconds}[n]", say)

    ours, _ = side_by_side(
        Work("drift", "", [runs("ours", 1, 4, 6), runs("other", 1, 2, 9)], "other"), 3
    )
    assert (ours.seconds, ours.ratio, ours.ratio_least, ours.ratio_most) == (4, 1, 6 / 9, 2)


def test_steps_that_do_not_stand_on_each_other_take_turns_in_being_first():
    steps = {"few": way("", 1).steps["all"], "many": way("", 2).steps["all"]}
    order, ours = [], Way("ours", steps)
    work = Work(
        "turns",
        "",
        [ours],
        "ours",
        prepare=lambda _, step, __: order.append(step),
        pairs=pair_with_first([ours]),
    )
    side_by_side(work, 3)
    assert order == ["few", "many"] * 3
    order.clear()
    lines = side_by_side(replace(work, is_apart=True), 3)
    assert order == ["few", "many", "many", "few", "few", "many"]
    assert [line.step for line in lines] == ["few", "many"]
    (pair,) = json.loads((figures.RESULTS / "turns.json").read_text())["pairs"]
    assert (pair["one"], pair["other"], pair["seconds"]) == ("ours, many", "ours, few", 2)


def test_a_way_that_made_something_else_is_named():
    work = Work(
        "odd", "odd", [way("ours", 1), way("other", 1)], "ours", outcome=lambda name, *_: name
    )
    with pytest.raises(RuntimeError, match="odd, all: not all ways made the same"):
        side_by_side(work, 1)


def test_a_way_that_fails_is_shown_with_what_it_said():
    broken = Way("ours", {"all": [*module("this")[:-2], "-c", "raise SystemExit('no such thing')"]})
    with pytest.raises(RuntimeError, match="no such thing"):
        side_by_side(Work("broken", "broken", [broken], "ours"), 1)


def test_the_longest_name_of_a_plot_is_not_cut_off():
    line = {
        "step": "nine deliveries",
        "way": "a peer with a long name",
        "seconds": 1.0,
        "least": 1.0,
        "most": 2.0,
    }
    drawn = report.plot("", [{**line, "step": "all"}, line])
    ends = [
        float(x) for x in re.findall(r'<text x="([0-9.]+)" y="[0-9.]+" text-anchor="end">', drawn)
    ]
    assert ends[0] == ends[1] > 6 * len("nine deliveries: a peer with a long name")
