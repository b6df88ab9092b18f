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
from lakehouse.ingest.files import local_files
from lakehouse.ingest.files.landing_zone import Landing
from lakehouse.ingest.files.listing import Stamp, walk
from lakehouse.ingest.files.local_files import Links
from lakehouse.ingest.landed_files import read_landed_files
from lakehouse.observe.landing_report import report_landing

NAMES = ["a.csv", "2024/b.csv", "2024/ü.csv"]
WRITTEN_AT = 1_700_000_000_123
"""Milliseconds since 1970."""


@pytest.fixture
def folder(tmp_path) -> Path:
    for name in NAMES:
        put(tmp_path / "events" / name)
    for root in ("{}", "file://{}"):
        learn(tmp_path / "events", root)
    return tmp_path / "events"


def put(file: Path, content: str = "id\n1\n", at: int = WRITTEN_AT) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)
    os.utime(file, ns=(at * 1_000_000, at * 1_000_000))


def listed(folder: Path, root: str = "{}") -> list[str]:
    """Returns what is listed of a folder whose files were known as they were made."""
    landing = Landing(root.format(folder.parent))
    return [entry.name for entry in landing.list_entries(folder.name, KNOWN[root])]


def learn(folder: Path, root: str) -> None:
    """Notes the stamps of the files of a folder."""
    listing = Landing(root.format(folder.parent)).list_files(folder.name)
    KNOWN[root] = {name: stamp for name, stamp, _ in listing}


KNOWN: dict[str, dict[str, Stamp]] = {}
"""The stamps of the files in the folder, by the root of landing."""


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
    found = (folder / "a.csv").stat()
    stamp = (WRITTEN_AT, found.st_size, str(found.st_ctime_ns))
    [entry] = Landing(str(folder.parent)).list_entries("events", dict.fromkeys(NAMES, stamp))[-1:]
    assert (entry.name, entry.problem) == (
        "a.csv",
        "an empty folder with the name of a file; deliver the file, or remove the folder",
    )


def test_a_folder_of_spark_is_walked_though_it_is_named_like_a_file(folder):
    part = folder / "clicks.parquet" / "dt=2026-11-01" / "part-0.snappy.parquet"
    part.parent.mkdir(parents=True)
    put(part)
    (folder / "clicks.parquet" / "_SUCCESS").touch()
    names = [name for name, _, _ in Landing(str(folder.parent)).list_files(folder.name)]
    assert "clicks.parquet/dt=2026-11-01/part-0.snappy.parquet" in names


def test_an_entry_that_cannot_be_inspected_is_listed(folder):
    (folder / "a.csv").unlink()
    (folder / "a.csv").symlink_to(folder / "nowhere.csv")
    assert listed(folder) == ["a.csv"]


def test_a_file_removed_during_the_listing_is_not_listed(folder):
    files = [folder / f"{number}.csv" for number in range(3)]
    for file in files:
        put(file)
    seen = walk(folder, Links(folder.parent))
    first = next(seen)
    for file in files:
        file.unlink()
    listed = [first, *seen]
    assert {name for name, _, _ in listed} - {first[0]} <= set(NAMES)
    assert [problem for _, _, problem in listed if problem] == []


def test_what_becomes_a_link_while_its_folder_is_listed_is_a_link(tmp_path):
    names = {f"{number}.csv" for number in range(3)}
    for name in names:
        put(tmp_path / "events" / name)
    put(tmp_path / "elsewhere.csv")
    seen = walk(tmp_path / "events", Links(tmp_path))
    first = next(seen)
    for name in names - {first[0]}:
        (tmp_path / "events" / name).unlink()
        (tmp_path / "events" / name).symlink_to(tmp_path / "elsewhere.csv")
    assert [problem.split(";")[0] for _, _, problem in seen if problem] == ["a link", "a link"]


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


@pytest.mark.parametrize("root", ["{}", "file://{}"])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("how", ["in place", "renamed"])
def test_a_file_of_the_same_name_time_and_size_with_other_bytes_is_listed(folder, root, name, how):
    target = folder / name if how == "in place" else folder.parent / "new"
    put(target, content="id\n2\n")
    if how == "renamed":
        target.rename(folder / name)
    # obstore's tag of a local file knows time, size and inode alone.
    if root == "{}" or how == "renamed":
        assert listed(folder, root) == [name]


def test_a_file_that_was_only_touched_in_its_rights_is_read_again_and_adds_nothing(here):
    path = write(here, "fx_rates", "fx.csv", "Date,USD\n2010-12-01,1.31\n")
    raw = here.catalog["raw/fx_rates"]
    land.land(here.lake, here.landing, raw)
    path.chmod(0o600)
    assert [entry.name for entry in land.read_news(here.lake, here.landing, raw).ready] == [
        "fx.csv"
    ]
    for _ in range(2):
        assert land.land(here.lake, here.landing, raw).audits == ()
        assert land.read_news(here.lake, here.landing, raw).ready == ()
    assert here.lake.scan("raw/fx_rates").collect().height == 1


@pytest.mark.parametrize("shift", [-300, 300], ids=["behind", "ahead"])
def test_a_file_that_is_being_written_is_left_whatever_clock_dates_it(here, shift):
    """A writer that adds a line every hundredth of a second, as another clock dates it."""
    path = write(here, "fx_rates", "fx.csv", "Date,USD\n")
    may_end = threading.Event()

    def write_on():
        while not may_end.wait(0.01):
            with path.open("a") as file:
                file.write("2010-12-01,1.31\n")
            then = time.time() + shift
            os.utime(path, (then, then))

    landing, raw = replace(here.landing, rest_seconds=0.2), here.catalog["raw/fx_rates"]
    writer = threading.Thread(target=write_on)
    writer.start()
    time.sleep(0.1)
    seen = land.read_news(here.lake, landing, raw)
    may_end.set()
    writer.join()
    assert (seen.ready, seen.unfinished) == ((), ("fx.csv",))
    time.sleep(0.2)
    assert [entry.name for entry in land.read_news(here.lake, landing, raw).ready] == ["fx.csv"]


def test_names_that_are_ignored_are_listed_as_such(here):
    ignored = ["_x.csv", "sub/y.csv.filepart", "x.CSV.part", "x.crdownload", "x.partial", "~x.csv"]
    for name in (*ignored, ".hidden.csv", "_SUCCESS", "good.csv"):
        write(here, "fx_rates", name, "Date,USD\n2010-12-01,1.31\n")
    raw = here.catalog["raw/fx_rates"]
    seen = land.read_news(here.lake, here.landing, raw)
    assert (seen.ignored, [entry.name for entry in seen.ready]) == (tuple(ignored), ["good.csv"])
    words = report_landing(here).describe("raw/fx_rates")
    assert "6 files are ignored by name: _x.csv, sub/y.csv.filepart" in words[-1]


@pytest.mark.parametrize(
    ("mounts", "is_remote"),
    [
        ("1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 0:5 / {} rw - nfs4 server:/x rw", True),
        ("1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 0:5 / {} rw shared:1 - fuse.sshfs x rw", True),
        ("1 0 0:5 / / rw - nfs x rw\n2 1 8:1 / {} rw - ext4 /dev/a rw", False),
        ("1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 0:5 / {}x rw - nfs4 server:/x rw", False),
    ],
)
def test_a_folder_on_a_file_server_is_known_by_its_mount(tmp_path, monkeypatch, mounts, is_remote):
    file = tmp_path / "mountinfo"
    file.write_text(mounts.replace("{}", str(tmp_path)))
    monkeypatch.setattr(local_files, "_MOUNTS", file)
    assert local_files.is_on_network(tmp_path / "landing") == is_remote


def test_a_long_rest_is_left_to_the_next_run_and_not_waited_for(here):
    path = write(here, "fx_rates", "fx.csv", "Date,USD\n2010-12-01,1.31\n")
    then = time.time() - 86_400
    os.utime(path, (then, then))  # as `cp -p` and `rsync -t` do
    landing, raw = replace(here.landing, rest_seconds=3600), here.catalog["raw/fx_rates"]
    began = time.monotonic()
    assert land.read_news(here.lake, landing, raw).unfinished == ("fx.csv",)
    assert time.monotonic() - began < 60
