"""One file that is damaged, too large or oddly named stops no other, and is named itself."""

import bz2
import gzip
import io
import lzma
import zipfile
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from support.worlds import NOW, catalog_of, world, write

from lakehouse.ingest.delivery_register import DELIVERIES
from lakehouse.ingest.land import land, read_news
from lakehouse.ingest.limits import IngestLimits
from lakehouse.quarantine.dead_letters import DEAD_LETTERS
from lakehouse.tables.declare import raw

EVENTS = "raw/events"
LIMITS = IngestLimits(
    ratio=50,
    ratio_from=1 << 12,
    plain_bytes=4 << 20,
    rows=50_000,
    columns=20,
    table_columns=30,
    nesting=5,
    name_bytes=300,
)


def lake_of(folder: Path, **declared: object):
    table = raw("events", "Events.", columns=("id",), **declared)
    here = world(folder, catalog_of(events=table))
    return replace(here, landing=replace(here.landing, limits=LIMITS))


def land_now(here):
    return land(here.lake, here.landing, here.catalog[EVENTS], now=NOW)


def zip_of(content: bytes, method: int, *, flip: bool = True) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("inner.csv", content)
    damaged = bytearray(file.getvalue())
    damaged[len(damaged) // 3] ^= 4 * flip
    return bytes(damaged)


def parquet_of(**columns: object) -> bytes:
    file = io.BytesIO()
    pl.DataFrame(columns).write_parquet(file)
    return file.getvalue()


TEXT = b"id\n" + b"".join(b"%d\n" % (n * n) for n in range(300))
LARGE = b"id,id\n" + b"x,y\n" * (1 << 19)
POISON = {
    "deflate.zip": zip_of(TEXT, zipfile.ZIP_DEFLATED),
    "bzip2.zip": zip_of(TEXT, zipfile.ZIP_BZIP2),
    "lzma.zip": zip_of(TEXT, zipfile.ZIP_LZMA),
    "bzip2.csv.gz": bz2.compress(TEXT)[:-9],
    "lzma.csv.gz": lzma.compress(TEXT)[:-9],
    "bomb.csv.gz": gzip.compress(b"id\n" + b"1\n" * 50_000),
    "bomb.zip": zip_of(b"id\n" + b"1\n" * 50_000, zipfile.ZIP_DEFLATED, flip=False),
    "records.csv": b"id\n" + b"1\n" * 50_001,
    "large.csv": b"id\n" + b"1234567\n" * 600_000,
    "claims.parquet": parquet_of(id=[None] * 40_000),
    "rows.parquet": parquet_of(id=list(range(50_001))),
    "deep.parquet": parquet_of(id=[[[[[[[1]]]]]]]),
    "wide.csv": b",".join(b"c%d" % n for n in range(20)) + b",id\n" + b"1," * 20 + b"1\n",
    "bell\a.csv": LARGE,
    "line\nfeed.csv": LARGE,
    "\x1b[31mred.csv": LARGE,
    "del\x7f.csv": LARGE,
    f"{'n' * 237}.csv": LARGE,
    f"{'ü' * 120}.csv": LARGE,
    "a/" + "b" * 200 + "/" + "c" * 120 + ".csv": b"id\n1\n",
}


@pytest.mark.parametrize("name", POISON)
def test_a_poisoned_file_is_a_dead_letter_with_its_bytes_and_the_others_land(tmp_path, name):
    here = lake_of(tmp_path)
    write(here, "events", name, POISON[name])
    write(here, "events", "good.csv", "id\n1\n")
    report = land_now(here)
    assert here.lake.scan(EVENTS).collect()["id"].to_list() == ["1"]
    [reason] = report.refused
    assert reason.startswith(f"{name}: ")
    [letter] = here.lake.scan(DEAD_LETTERS).collect().to_dicts()
    if len(name.encode()) <= LIMITS.name_bytes:
        kept = letter["kept_at"]
        bytes_left = letter["payload"] if kept is None else (tmp_path / "lake" / kept).read_bytes()
        assert bytes_left == POISON[name]
        assert read_news(here.lake, here.landing, here.catalog[EVENTS]).ready == ()


def test_a_long_bad_record_of_an_oddly_named_file_is_kept(tmp_path):
    here = lake_of(tmp_path)
    content = b"id\n1\n" + b"x" * (2 << 20) + b",y\n"
    write(here, "events", "\x07" + "n" * 230 + ".csv", content)
    land_now(here)
    [kept] = here.lake.scan(DEAD_LETTERS).collect()["kept_at"].to_list()
    assert (tmp_path / "lake" / kept).read_bytes() == content


@pytest.mark.parametrize("drift", ["evolve", "rescue"])
def test_a_raw_table_does_not_grow_without_bound_in_columns(tmp_path, drift):
    here = lake_of(tmp_path, drift=drift)
    for number in range(4):
        keys = ",".join(f'"k{number}_{n}":1' for n in range(12))
        write(here, "events", f"{number}.jsonl", f'{{"id":{number},{keys}}}\n')
    write(here, "events", "plain.csv", "id\n9\n")
    report = land_now(here)
    rows = here.lake.scan(EVENTS).collect()
    assert len([name for name in rows.columns if not name.startswith("_")]) <= 30
    assert "9" in rows["id"]
    if drift == "rescue":
        assert (rows.height, report.refused) == (5, ())
    else:
        assert rows.height == 3
        assert all("would have 37 columns; limit 30 (table_columns)" in r for r in report.refused)


EMPTY = {
    "header.csv": b"id\n",
    "header.csv.gz": gzip.compress(b"id\n"),
    "header.tsv": b"id\tname\n\n",
    "header.zip": zip_of(b"id\n", zipfile.ZIP_DEFLATED, flip=False),
    "none.parquet": parquet_of(id=[]),
    "list.json": b"[]\n",
    "blank.jsonl": b"\n",
}


@pytest.mark.parametrize("name", EMPTY)
def test_a_sound_file_without_a_record_is_registered_and_nothing_else(tmp_path, name):
    here = lake_of(tmp_path)
    write(here, "events", name, EMPTY[name])
    report = land_now(here)
    assert (report.audits, report.refused, len(report.empty)) == ((), (), 1)
    assert here.lake.scan(DELIVERIES).collect()["outcome"].to_list() == ["empty"]
    assert here.lake.tables() == ["quarantine/deliveries"]
    assert read_news(here.lake, here.landing, here.catalog[EVENTS]).ready == ()
    write(here, "events", f"tomorrow-{name}", EMPTY[name])
    write(here, "events", "more.csv", "id\n1\n")
    assert [a.read for a in land_now(here).audits] == [1]
    assert land_now(here).audits == ()
    assert read_news(here.lake, here.landing, here.catalog[EVENTS]).ready == ()


@pytest.mark.parametrize("name", EMPTY)
def test_a_full_dump_without_a_record_is_refused_because_it_would_delete_every_key(tmp_path, name):
    here = lake_of(tmp_path, full_dumps=True)
    write(here, "events", name, EMPTY[name])
    [reason] = land_now(here).refused
    assert "an empty dump deletes nothing" in reason
