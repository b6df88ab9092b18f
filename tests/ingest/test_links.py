"""Links, devices and other odd things in landing: nothing outside of it is read through them."""

import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from support.worlds import NOW, write

from lakehouse.errors import SetupError
from lakehouse.ingest.files.listing import Entry
from lakehouse.ingest.land import land, read_news
from lakehouse.quarantine.dead_letters import DEAD_LETTERS

CONTENT = "Date,USD\n2010-12-01,1.31\n"
SECRET = "Date,USD\nsecret,1\n"


@pytest.fixture
def secret(tmp_path) -> Path:
    """A folder outside of landing with a file that the engine can read."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.csv").write_text(SECRET)
    return tmp_path / "outside"


def folder_of(here) -> Path:
    folder = Path(here.landing.root) / "fx_rates"
    folder.mkdir(exist_ok=True)
    return folder


def land_now(here):
    return land(here.lake, here.landing, here.catalog["raw/fx_rates"], now=NOW)


def letters(here):
    return here.lake.scan(DEAD_LETTERS).collect()


LINKS = {
    "file": lambda folder, secret: (folder / "x.csv").symlink_to(secret / "secret.csv"),
    "relative": lambda folder, _: (folder / "x.csv").symlink_to("../../outside/secret.csv"),
    "process": lambda folder, _: (folder / "x.csv").symlink_to("/proc/self/environ"),
    "device": lambda folder, _: (folder / "x.csv").symlink_to("/dev/zero"),
    "folder": lambda folder, secret: (folder / "x").symlink_to(secret),
    "twice": lambda folder, secret: (
        (folder / "y.csv").symlink_to(secret / "secret.csv"),
        (folder / "x.csv").symlink_to("y.csv"),
    ),
}


@pytest.mark.parametrize("follow", [False, True])
@pytest.mark.parametrize("kind", LINKS)
def test_nothing_outside_of_landing_is_read_through_a_link(here, secret, kind, follow):
    here = replace(here, landing=replace(here.landing, follow_links=follow))
    LINKS[kind](folder_of(here), secret)
    write(here, "fx_rates", "good.csv", CONTENT)
    report = land_now(here)
    assert here.lake.scan("raw/fx_rates").collect()["Date"].to_list() == ["2010-12-01"]
    expected = "a link that leads out of the landing folder" if follow else "a link; LAKEHOUSE"
    assert report.refused
    assert all(expected in reason for reason in report.refused)
    assert letters(here)["payload"].to_list() == [None] * len(report.refused)


def test_a_link_within_landing_is_followed_if_a_setting_says_so(here):
    write(here, "elsewhere", "real.csv", CONTENT)
    (folder_of(here) / "x.csv").symlink_to("../elsewhere/real.csv")
    (folder_of(here) / "sub").symlink_to("../elsewhere")
    assert len(land_now(here).refused) == 2
    here = replace(here, landing=replace(here.landing, follow_links=True))
    assert land_now(here).refused == ()
    assert here.lake.scan("raw/fx_rates").collect().height == 1


def test_a_circle_of_links_ends(here):
    here = replace(here, landing=replace(here.landing, follow_links=True))
    write(here, "fx_rates", "good.csv", CONTENT)
    (folder_of(here) / "back").symlink_to(".")
    (folder_of(here) / "loop.csv").symlink_to("loop.csv")
    (folder_of(here) / "dangling.csv").symlink_to("nothing.csv")
    assert [line.split(":")[0] for line in sorted(land_now(here).refused)] == [
        "back",
        "dangling.csv",
        "loop.csv",
    ]


def test_a_raw_table_whose_folder_is_a_link_is_a_wrong_setup(here, secret):
    (Path(here.landing.root) / "fx_rates").symlink_to(secret)
    with pytest.raises(SetupError, match=r"fx_rates is a link; .*\nNext: "):
        read_news(here.lake, here.landing, here.catalog["raw/fx_rates"])


def test_a_file_that_becomes_a_link_after_the_listing_is_not_read_through_it(here, secret):
    folder = folder_of(here)
    for follow in (False, True):
        landing = replace(here.landing, follow_links=follow)
        (folder / "x.csv").unlink(missing_ok=True)
        (folder / "x.csv").symlink_to(secret / "secret.csv")
        entry = landing.try_open("fx_rates", Entry("x.csv", NOW, 5))
        assert entry.problem is not None
        assert entry.problem.startswith("cannot be read: ")


def test_a_folder_that_becomes_a_link_after_the_listing_is_not_read_through_it(here, secret):
    (folder_of(here) / "sub").symlink_to(secret)
    entry = here.landing.try_open("fx_rates", Entry("sub/secret.csv", NOW, 5))
    assert "leads out of the landing folder" in str(entry.problem)


def test_pipes_and_sockets_are_refused_without_waiting_for_them(here):
    os.mkfifo(folder_of(here) / "pipe.csv")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder_of(here) / "socket.csv"))
        write(here, "fx_rates", "good.csv", CONTENT)
        assert len(land_now(here).refused) == 2
    assert here.lake.scan("raw/fx_rates").collect().height == 1
    entry = here.landing.try_open("fx_rates", Entry("pipe.csv", NOW, 5))
    assert "neither a file nor a folder" in str(entry.problem)


def test_folders_nested_without_end_are_refused_and_the_others_land(here):
    write(here, "fx_rates", "d/" * 400 + "deep.csv", CONTENT)
    write(here, "fx_rates", "good.csv", CONTENT)
    [reason] = land_now(here).refused
    assert "a folder below more than 100 others" in reason
    assert here.lake.scan("raw/fx_rates").collect().height == 1
