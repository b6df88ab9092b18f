"""A listing leaves out the files that are known; a file that changed in any way is not known."""

import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from support.worlds import write

from lakehouse.errors import OutageError
from lakehouse.ingest import land
from lakehouse.ingest.files.landing_zone import Landing
from lakehouse.ingest.files.listing import walk
from lakehouse.ingest.landed_files import read_landed_files

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
    """Lists a folder in which all files of `NAMES` are known."""
    known = {name: (WRITTEN_AT, len("id\n1\n")) for name in NAMES}
    return [
        entry.name for entry in Landing(root.format(folder.parent)).list_entries(folder.name, known)
    ]


@pytest.mark.parametrize("root", ["{}", "file://{}"])
def test_files_with_the_known_time_and_size_are_left_out(folder, root):
    put(folder / "c.csv")
    put(folder / "2024" / "a.csv")
    assert listed(folder, root) == ["2024/a.csv", "c.csv"]
    assert len(Landing(root.format(folder.parent)).list_entries("events")) == len(NAMES) + 2


@pytest.mark.parametrize("root", ["{}", "file://{}"])
@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_another_time_or_size_is_listed(folder, root, name):
    put(folder / name, at=WRITTEN_AT + 1)
    assert listed(folder, root) == [name]
    put(folder / name, content="id\n10\n")
    assert listed(folder, root) == [name]


def test_an_entry_that_is_not_a_file_is_listed_even_if_its_time_and_size_are_known(folder):
    (folder / "a.csv").unlink()
    (folder / "a.csv").mkdir()
    os.utime(folder / "a.csv", ns=(WRITTEN_AT * 1_000_000,) * 2)
    stamp = (WRITTEN_AT, (folder / "a.csv").stat().st_size)
    [entry] = Landing(str(folder.parent)).list_entries("events", dict.fromkeys(NAMES, stamp))[-1:]
    assert (entry.name, entry.problem) == ("a.csv", "a folder with the name of a file")


def test_an_entry_that_cannot_be_inspected_is_listed(folder):
    (folder / "a.csv").unlink()
    (folder / "a.csv").symlink_to(folder / "nowhere.csv")
    assert listed(folder) == ["a.csv"]


def test_a_file_removed_during_the_listing_is_not_listed(folder):
    links = [folder / f"{number}.csv" for number in range(3)]
    for link in links:
        link.symlink_to(folder / "a.csv")
    seen = walk(folder)
    first = next(seen)
    for link in links:
        link.unlink()
    told = [first, *seen]
    assert {name for name, _, _ in told} - {first[0]} <= set(NAMES)
    assert [problem for _, _, problem in told if problem] == []


def test_what_becomes_a_link_while_its_folder_is_listed_is_a_file_yet(tmp_path):
    names = {f"{number}.csv" for number in range(3)}
    for name in names:
        put(tmp_path / "events" / name)
    put(tmp_path / "elsewhere.csv")
    seen = walk(tmp_path / "events")
    told = [next(seen)]
    for name in names - {told[0][0]}:
        (tmp_path / "events" / name).unlink()
        (tmp_path / "events" / name).symlink_to(tmp_path / "elsewhere.csv")
    assert {(name, problem) for name, _, problem in (*told, *seen)} == {
        (name, None) for name in names
    }


def test_a_bucket_lists_names_whatever_the_text_encoding_of_the_machine(folder):
    told = f"print(ascii([e.name for e in Landing({f'file://{folder.parent}'!r}).list_entries('events')]))"
    command = [
        sys.executable,
        "-X",
        "utf8=0",
        "-c",
        f"from lakehouse.ingest.files.landing_zone import Landing; {told}",
    ]
    environment = {**os.environ, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}
    shown = subprocess.run(
        command, check=True, capture_output=True, text=True, env=environment
    ).stdout
    assert shown.strip() == ascii(sorted(NAMES))


def test_a_file_is_complete_by_the_time_at_which_it_was_listed(here, monkeypatch):
    landing = replace(here.landing, rest_seconds=0.4)
    write(here, "fx_rates", "fx.csv", "Date,USD\n2010-12-01,1.31\n")

    def slowly(lake, table):
        time.sleep(0.6)
        return read_landed_files(lake, table)

    monkeypatch.setattr(land, "read_landed_files", slowly)
    seen = land.read_news(here.lake, landing, here.catalog["raw/fx_rates"])
    assert (seen.ready, seen.unfinished) == ((), ("fx.csv",))


def test_a_lake_that_does_not_answer_is_reported_without_waiting_for_the_listing(here, monkeypatch):
    may_end, has_ended = threading.Event(), threading.Event()

    def listed(*_):
        may_end.wait(30)
        has_ended.set()
        return []

    def refused(*_):
        raise OutageError("the lake does not answer")

    monkeypatch.setattr(land, "read_landed_files", refused)
    monkeypatch.setattr(Landing, "list_files", listed)
    with pytest.raises(OutageError):
        land.read_news(here.lake, here.landing, here.catalog["raw/fx_rates"])
    assert not has_ended.is_set()
    may_end.set()
