"""Of a landing folder only what is not known is told; a file that changed in any way is not known."""

import os
from pathlib import Path

import pytest

from lakehouse.sources.landing import Landing

NAMES = ["a.csv", "2024/b.csv", "2024/ü.csv"]
WRITTEN_AT = 1_700_000_000_123
"""Milliseconds since 1970."""


@pytest.fixture
def folder(tmp_path) -> Path:
    for name in NAMES:
        put(tmp_path / "events" / name)
    return tmp_path / "events"


def put(file: Path, content: str = "id\n1\n", at: int = WRITTEN_AT) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)
    os.utime(file, ns=(at * 1_000_000, at * 1_000_000))


def listed(folder: Path, root: str = "{}") -> list[str]:
    """What is told of a folder where all is known that `NAMES` names."""
    known = {name: (WRITTEN_AT, len("id\n1\n")) for name in NAMES}
    return [entry.name for entry in Landing(root.format(folder.parent)).entries(folder.name, known)]


@pytest.mark.parametrize("root", ["{}", "file://{}"])
def test_files_that_lie_as_they_are_known_are_left_out(folder, root):
    put(folder / "c.csv")
    put(folder / "2024" / "a.csv")
    assert listed(folder, root) == ["2024/a.csv", "c.csv"]
    assert len(Landing(root.format(folder.parent)).entries("events")) == len(NAMES) + 2


@pytest.mark.parametrize("root", ["{}", "file://{}"])
@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_another_time_or_size_is_told(folder, root, name):
    put(folder / name, at=WRITTEN_AT + 1)
    assert listed(folder, root) == [name]
    put(folder / name, content="id\n10\n")
    assert listed(folder, root) == [name]


def test_what_is_no_file_is_told_though_its_time_and_size_are_known(folder):
    (folder / "a.csv").unlink()
    (folder / "a.csv").mkdir()
    os.utime(folder / "a.csv", ns=(WRITTEN_AT * 1_000_000,) * 2)
    stamp = (WRITTEN_AT, (folder / "a.csv").stat().st_size)
    [entry] = Landing(str(folder.parent)).entries("events", dict.fromkeys(NAMES, stamp))[-1:]
    assert (entry.name, entry.problem) == ("a.csv", "a folder that is named like a file")


def test_what_cannot_be_looked_at_is_told(folder):
    (folder / "a.csv").unlink()
    (folder / "a.csv").symlink_to(folder / "nowhere.csv")
    assert listed(folder) == ["a.csv"]
