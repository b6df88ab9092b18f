"""Archives of several files: each member is a delivery, whatever becomes of the others."""

import gzip
import io
import os
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import zstandard
from support.worlds import catalog_of, write
from support.worlds import world as make_world

from lakehouse.environment import Environment
from lakehouse.ingest.delivery_register import DELIVERIES
from lakehouse.ingest.land import LandResult, land, read_news
from lakehouse.ingest.limits import IngestLimits
from lakehouse.operations.replay_dead_letters import replay_dead_letters
from lakehouse.quarantine.dead_letters import DEAD_LETTERS
from lakehouse.tables.declare import raw
from lakehouse.tables.files import PLAIN, Files

TABLE = "raw/events"
GOOD = {"a.csv": b"id\n1\n2\n", "b.csv": b"id\n3\n"}
BAD = b"other\n1\n"


def zip_of(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return file.getvalue()


def tar_of(members: dict[str, bytes | tarfile.TarInfo], form: int = tarfile.PAX_FORMAT) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as archive:
        for name, content in members.items():
            if isinstance(content, bytes):
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
            else:
                archive.addfile(content)
    return file.getvalue()


def lake_of(folder: Path, files: Files = PLAIN, **options: object) -> Environment:
    table = raw("events", "Events.", columns=("id",), files=files, **options)
    return make_world(folder, catalog_of(events=table))


def land_now(here: Environment, **limits: int) -> LandResult:
    landing = replace(here.landing, limits=IngestLimits(**limits)) if limits else here.landing
    return land(here.lake, landing, here.catalog[TABLE])


def rows(here: Environment) -> list[tuple[str, str]]:
    """The values with the names of their files."""
    if here.lake.open_shared(TABLE) is None:
        return []
    found = here.lake.scan(TABLE).select(pl.col("_source").str.split("#").list.first(), "id")
    return sorted(found.collect().rows())


def letters(here: Environment) -> dict[str, tuple[str, str]]:
    """The reason and the state of each dead letter of a whole file, by the name of the file."""
    found = here.lake.scan(DEAD_LETTERS).filter(pl.col("_offset").is_null()).collect().to_dicts()
    return {one["_source"].rpartition("#")[0]: (one["reason"], one["_state"]) for one in found}


def outcomes(here: Environment) -> dict[str, str]:
    found = here.lake.scan(DELIVERIES).sort("_ingested_at").collect().to_dicts()
    return {one["_source"].rpartition("#")[0]: one["outcome"] for one in found}


def is_settled(here: Environment) -> bool:
    news = read_news(here.lake, here.landing, here.catalog[TABLE])
    return not (news.ready or news.settled) and not land_now(here).audits


def deliver(here: Environment, name: str, content: bytes, at: int = 1_700_000_000) -> None:
    write(here, "events", name, content)
    os.utime(Path(here.landing.root) / "events" / name, (at, at))


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("two.zip", zip_of),
        ("two.tar", tar_of),
        ("two.tar", lambda members: tar_of(members, tarfile.GNU_FORMAT)),
        ("two.tgz", lambda members: gzip.compress(tar_of(members))),
        ("two.tar.zst", lambda members: zstandard.ZstdCompressor().compress(tar_of(members))),
        ("two.csv", zip_of),
        ("dots.tar", lambda members: tar_of({f"./{name}": members[name] for name in members})),
    ],
)
def test_each_file_of_an_archive_lands_under_its_own_name(tmp_path, name, pack):
    here = lake_of(tmp_path)
    deliver(here, name, pack({**GOOD, "sub/c.csv.gz": gzip.compress(b"id\n4\n"), "e.csv": b"id\n"}))
    report = land_now(here)
    assert not report.refused
    assert rows(here) == [
        *((f"{name}/a.csv", "1"), (f"{name}/a.csv", "2"), (f"{name}/b.csv", "3")),
        (f"{name}/sub/c.csv.gz", "4"),
    ]
    assert outcomes(here)[name] == "archive"
    assert outcomes(here)[f"{name}/e.csv"] == "empty"
    assert is_settled(here)


def test_what_a_mac_and_others_leave_in_archives_is_ignored(tmp_path):
    here = lake_of(tmp_path)
    litter = {
        "__MACOSX/._a.csv": b"\0\5",
        ".DS_Store": b"\0",
        "Thumbs.db": b"\0",
        "x/._b.csv": b"\0",
    }
    deliver(here, "mac.zip", zip_of({"folder/": b"", **GOOD, **litter}))
    deliver(here, "one.zip", zip_of({"folder/": b"", "folder/c.csv": b"id\n9\n", **litter}))
    report = land_now(here)
    assert (report.refused, len(rows(here))) == ((), 4)
    assert ("one.zip", "9") in rows(here)


def test_a_bad_member_is_a_dead_letter_with_its_bytes_and_the_others_land(tmp_path):
    here = lake_of(tmp_path)
    deliver(here, "some.zip", zip_of({"a.csv": b"id\n1\n", "bad.csv": BAD, "read.me": b"hello\n"}))
    report = land_now(here)
    assert rows(here) == [("some.zip/a.csv", "1")]
    assert {name.partition(":")[0] for name in report.refused} == {
        "some.zip/bad.csv",
        "some.zip/read.me",
    }
    payloads = here.lake.scan(DEAD_LETTERS).collect()["payload"].to_list()
    assert sorted(payloads) == [b"hello\n", BAD]
    assert is_settled(here)


def test_a_pattern_chooses_the_members_and_the_others_are_noted(tmp_path):
    here = lake_of(tmp_path, Files(members="*.csv"))
    deliver(here, "some.zip", zip_of({**GOOD, "docs/read.me": b"hello\n"}))
    deliver(here, "one.zip", zip_of({"c.csv": b"id\n9\n", "read.me": b"hello\n"}))
    deliver(here, "none.zip", zip_of({"read.me": b"hello\n"}))
    report = land_now(here)
    assert len(rows(here)) == 4
    assert ("one.zip", "9") in rows(here)
    notes = [note for audit in report.audits for note in audit.notes]
    assert "some.zip: left out by members='*.csv': docs/read.me" in notes
    assert "one.zip: left out by members='*.csv': read.me" in notes
    assert report.refused == (
        "none.zip: zip file holds 0 files to read that match members='*.csv', of read.me",
    )


def damage(content: bytes, start: bytes) -> bytes:
    place = content.index(start)
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def test_damage_and_a_password_refuse_a_member_alone(tmp_path):
    here = lake_of(tmp_path)
    content = zip_of({"a.csv": b"id\n1\n", "b.csv": b"id\nxyzzy\n"}, zipfile.ZIP_STORED)
    deliver(here, "damaged.zip", damage(content, b"xyzzy"))
    second = bytearray(content)
    place = content.rindex(b"PK\x01\x02") + 8
    second[place] |= 1
    deliver(here, "locked.zip", bytes(second))
    land_now(here)
    assert rows(here) == [("damaged.zip/a.csv", "1")]
    found = letters(here)
    assert found["damaged.zip/b.csv"][0].startswith("zip file is damaged or cut off: its member")
    assert found["locked.zip/b.csv"][0] == "it is encrypted; deliver it without a password"
    assert is_settled(here)
    replay_dead_letters(here.lake, here.landing, here.catalog[TABLE], run_id="again")
    assert letters(here) == found


def test_what_leads_out_of_an_archive_is_refused(tmp_path):
    here = lake_of(tmp_path)
    link = tarfile.TarInfo("link.csv")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    names = ("../up.csv", "/root.csv", "a/../../b.csv", "..\\win.csv", "C:\\win.csv")
    outside = {name: b"id\n7%d\n" % number for number, name in enumerate(names)}
    deliver(here, "links.tar", tar_of({"a.csv": b"id\n1\n", "link.csv": link, **outside}))
    deliver(here, "up.zip", zip_of({"b.csv": b"id\n2\n", "../up.csv": b"id\n8\n"}))
    land_now(here)
    assert rows(here) == [("links.tar/a.csv", "1"), ("up.zip/b.csv", "2")]
    assert len(letters(here)) == 1 + len(names) + 1
    assert "a link in an archive is not read" in letters(here)["links.tar/link.csv"][0]
    assert is_settled(here)


def test_an_archive_in_an_archive_is_refused_unless_it_is_one_packed_file(tmp_path):
    here = lake_of(tmp_path)
    deliver(
        here, "a.zip", zip_of({"in.zip": zip_of(GOOD), "one.zip": zip_of({"c.csv": b"id\n9\n"})})
    )
    land_now(here)
    assert rows(here) == [("a.zip/one.zip", "9")]
    [(name, (reason, _))] = letters(here).items()
    assert (name, reason) == (
        "a.zip/in.zip",
        "zip file holds 2 files where one is expected: a.csv, b.csv",
    )


def test_limits_hold_for_archives(tmp_path):
    here = lake_of(tmp_path)
    many = {f"{number}.csv": b"id\n1\n" for number in range(30)}
    deliver(here, "many.zip", zip_of(many))
    deliver(here, "many.tar", tar_of(many))
    bomb = b"id\n" + b"1\n" * 100_000
    deliver(here, "bombs.zip", zip_of({"a.csv": b"id\n5\n", "bomb.csv": bomb}))
    deliver(here, "named.zip", zip_of({"b.csv": b"id\n6\n", "n" * 2000 + ".csv": b"id\n1\n"}))
    land_now(here, archive_members=20, ratio=50, ratio_from=1000)
    assert rows(here) == [("bombs.zip/a.csv", "5"), ("named.zip/b.csv", "6")]
    found = letters(here)
    assert "more than 20 files (archive_members)" in found["many.zip"][0]
    assert "more than 20 files (archive_members)" in found["many.tar"][0]
    assert "limit 50 to one (ratio)" in found["bombs.zip/bomb.csv"][0]


def test_members_that_share_their_bytes_cannot_fill_the_disk(tmp_path):
    here = lake_of(tmp_path)
    content = zip_of({f"{n}.csv": b"id\n" + b"%d\n" % n * 9000 for n in range(40)})
    deliver(here, "shared.zip", content)
    land_now(here, ratio=2000, ratio_from=1000, plain_bytes=100_000)
    assert any("come out of its archive" in reason for reason, _ in letters(here).values())


@pytest.mark.parametrize("cut", [-1, -600, -10_000, 700])
def test_a_tar_that_is_cut_off_or_joined_is_refused_whole(tmp_path, cut):
    here = lake_of(tmp_path)
    whole = tar_of({"a.csv": b"id\n1\n" * 400, "b.csv": b"id\n2\n" * 400})
    end = len(whole.rstrip(b"\0"))
    content = whole[: end + 100] if cut == -1 else whole[:cut] if cut > -10_000 else whole * 2
    if cut == -600:
        content = whole[: end - 600]
    deliver(here, "a.tar", content)
    land_now(here)
    assert not rows(here)
    assert letters(here)["a.tar"][0].startswith("tar file is damaged or cut off")


def test_two_members_of_one_name_refuse_the_archive(tmp_path):
    here = lake_of(tmp_path)
    first, second = tarfile.TarInfo("a.csv"), tarfile.TarInfo("a.csv")
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for info, content in ((first, b"id\n1\n"), (second, b"id\n2\n")):
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    deliver(here, "a.tar", file.getvalue())
    assert land_now(here).refused == ("a.tar: tar file holds several files of one name: a.csv",)


def test_a_full_dump_of_several_files_is_refused(tmp_path):
    here = lake_of(tmp_path, full_dumps=True)
    deliver(here, "dump.zip", zip_of(GOOD))
    [reason] = land_now(here).refused
    assert "a full dump is one file, and the archive holds 2" in reason
    assert is_settled(here)


def test_the_same_bytes_plain_and_in_an_archive_are_one_delivery(tmp_path):
    here = lake_of(tmp_path)
    deliver(here, "z.zip", zip_of(GOOD), at=1_700_000_500)
    deliver(here, "copy.tar", tar_of(GOOD), at=1_700_000_600)
    land_now(here)
    deliver(here, "plain.csv", GOOD["a.csv"], at=1_700_000_000)
    land_now(here)
    assert rows(here) == [("plain.csv", "1"), ("plain.csv", "2"), ("z.zip/b.csv", "3")]
    assert is_settled(here)


def test_a_corrected_archive_settles_the_letters_of_its_members(tmp_path):
    here = lake_of(tmp_path)
    members = {
        "a.csv": b"id\n1\n",
        "bad.csv": BAD,
        "gone.csv": BAD + b"3\n",
        "part.csv": b"id\n5\n6,7\n",
    }
    deliver(here, "a.zip", zip_of(members))
    land_now(here)
    fixed = {"a.csv": b"id\n1\n", "bad.csv": b"id\n2\n", "part.csv": b"id\n5\n6\n"}
    deliver(here, "a.zip", zip_of(fixed), at=1_700_000_900)
    land_now(here)
    found = here.lake.scan(DEAD_LETTERS).collect().to_dicts()
    assert {one["_source"].rpartition("#")[0]: one["_state"] for one in found} == {
        "a.zip/bad.csv": "superseded",
        "a.zip/gone.csv": "withdrawn",
        "a.zip/part.csv": "superseded",
    }
    assert is_settled(here)
    (Path(here.landing.root) / "events/a.zip").unlink()
    land_now(here)
    assert rows(here)[0] == ("a.zip/a.csv", "1")


def test_letters_of_members_are_open_while_their_archive_lies_in_landing(tmp_path):
    here = lake_of(tmp_path)
    deliver(here, "a.zip", zip_of({"a.csv": b"id\n1\n", "bad.csv": BAD}))
    for _ in range(2):
        land_now(here)
        assert letters(here)["a.zip/bad.csv"][1] == "open"
    (Path(here.landing.root) / "events/a.zip").unlink()
    land_now(here)
    assert letters(here)["a.zip/bad.csv"][1] == "withdrawn"


@pytest.mark.parametrize("is_renamed", [False, True])
def test_a_replay_reads_the_records_of_a_member_from_its_archive(tmp_path, is_renamed):
    here = lake_of(tmp_path)
    deliver(here, "a.tgz", gzip.compress(tar_of({"x.csv": b"id\n1\n2,x\n", "y.csv": b"id\n3\n"})))
    land_now(here)
    path = Path(here.landing.root) / "events/a.tgz"
    if is_renamed:
        path.rename(path.with_name("b.tgz"))
    relaxed = replace(here.catalog[TABLE], files=Files(separator=";"))
    done = replay_dead_letters(here.lake, here.landing, relaxed, run_id="again")
    assert not [note for note in done.notes if "no longer in landing" in note]
    assert here.lake.scan(DEAD_LETTERS).collect()["_state"].to_list() == ["released"]
    assert sorted(here.lake.scan(TABLE).select("_offset").collect().to_series()) == [1, 1, 2]


def test_a_replay_lands_the_members_of_an_archive_that_was_refused_whole(tmp_path):
    here = lake_of(tmp_path)
    many = {f"{number}.csv": b"id\n%d\n" % number for number in range(5)}
    deliver(here, "many.zip", zip_of(many))
    land_now(here, archive_members=3)
    assert not rows(here)
    replay_dead_letters(here.lake, here.landing, here.catalog[TABLE], run_id="again")
    assert len(rows(here)) == 5
    assert letters(here)["many.zip"][1] == "released"
    assert is_settled(here)


@pytest.mark.parametrize("lost", [DELIVERIES, DEAD_LETTERS])
def test_a_lake_that_lost_its_register_or_its_letters_finds_the_same_again(tmp_path, lost):
    here = lake_of(tmp_path)
    deliver(here, "a.zip", zip_of({**GOOD, "bad.csv": BAD, "part.csv": b"id\n5\n6,7\n"}))
    land_now(here)
    before = (rows(here), letters(here), here.lake.scan(DEAD_LETTERS).collect().height)
    folder = tmp_path / "lake" / lost
    folder.rename(tmp_path / "gone")
    here = lake_of(tmp_path)
    land_now(here)
    assert (rows(here), letters(here), here.lake.scan(DEAD_LETTERS).collect().height) == before
    assert is_settled(here)


def test_archives_and_plain_files_in_any_order_end_in_the_same_rows(tmp_path):
    files = {
        "z.zip": zip_of({**GOOD, "bad.csv": BAD}),
        "copy.tar": tar_of(GOOD),
        "a.csv": GOOD["a.csv"],
        "y.tgz": gzip.compress(tar_of({"b.csv": GOOD["b.csv"], "c.csv": b"id\n4\n5,6\n"})),
    }
    ends = []
    for number, order in enumerate((list(files), list(files)[::-1], sorted(files))):
        here = lake_of(tmp_path / str(number))
        for name in order:
            deliver(here, name, files[name], at=1_700_000_000 + list(files).index(name))
            land_now(here)
        assert is_settled(here)
        found = here.lake.scan(DEAD_LETTERS).select("_source", "_offset").sort("_source").collect()
        ends.append((rows(here), found.rows()))
    assert ends[0] == ends[1] == ends[2]
    assert len(ends[0][0]) == 4
