"""A lake may be in a folder of any name: spaces, non-ASCII letters, and characters with a meaning in a URI."""

import io
import tempfile
from dataclasses import replace

import polars as pl
import pytest
from stock import KEYED_TABLES, Event, create_lake, deliver_events, make_tables, read_rows
from support.sizes import first
from support.worlds import NOW, bring_up_to_date, contents, world, write
from tills import lines, sell, till

from lakehouse.errors import SetupError
from lakehouse.ingest.land import land
from lakehouse.ingest.limits import IngestLimits
from lakehouse.observe.sql import open_sql
from lakehouse.storage.lake import Lake
from lakehouse.transform.limits import MakeLimits


def filled(folder):
    """A till after two deliveries; the second corrects a day."""
    folder.mkdir()
    here = world(folder, till())
    for name, text in (("a", lines(3, 1, 2) + lines(4, 3, -1)), ("b", lines(3, 6, first=9))):
        sell(here, name, text)
        bring_up_to_date(here)
    return here


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """What a folder of a plain name holds."""
    return contents(filled(tmp_path_factory.mktemp("folder") / "plain"))


NAMES = ["my lake", "Übersicht", "a#b", "a?b", "a+b&c", "a;b,c'd", "(a)$!@~^"]


@pytest.mark.full
@pytest.mark.parametrize("name", first(1, [" ".join(NAMES), *NAMES]))
def test_a_lake_in_a_folder_of_any_name_holds_the_same(tmp_path, plain, name):
    here = filled(tmp_path / name)
    assert contents(here) == plain
    with open_sql(here.lake) as connection:
        assert connection.execute("SELECT count(*) FROM staged.sales").fetchone() == (4,)
    here.lake.open("staged/sales").restore(0)
    bring_up_to_date(here)
    assert contents(here) == plain


@pytest.mark.parametrize("sign", [*"%*=[]{}"])
def test_a_folder_that_would_be_misread_is_refused(tmp_path, sign):
    with pytest.raises(SetupError, match="readers of Delta and Parquet misread"):
        Lake(str(tmp_path / f"a{sign}b" / "lake"))


SPOOLED = IngestLimits(part_bytes=1, pending_records=1, small_delivery_bytes=0)
"""Every frame of a delivery becomes a part of its own on the disk."""


SCRATCH = ["a[1]", "*?", "{x}", "day=1", "q? & mark%"]


@pytest.fixture(params=first(1, ["/".join(SCRATCH), *SCRATCH]))
def odd_scratch(request, tmp_path, monkeypatch):
    """A folder for temporary files whose name looks like a pattern or like a partition."""
    folder = tmp_path / "scratch" / request.param
    folder.mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.mark.usefixtures("odd_scratch")
@pytest.mark.parametrize("joined_bytes", [1, 1 << 20])
def test_files_of_every_format_land_through_a_scratch_folder_of_any_name(tmp_path, joined_bytes):
    here = world(tmp_path, till())
    typed = io.BytesIO()
    pl.DataFrame(
        {"id": [1], "sold_on": ["2024-06-03"], "shop": ["N"], "amount": [1.5]}
    ).write_parquet(typed)
    write(here, "sales", "a.parquet", typed.getvalue())
    row = '{"id":2,"sold_on":"2024-06-03","shop":"S","amount":1'
    write(here, "sales", "b.jsonl", f'{row}}}\n{row},"late":1}}\nno\n')
    write(here, "sales", "c.csv", "id,sold_on,shop,amount\n4,2024-06-03,N,1\n5,short\n")
    for small in (0, 1 << 20):
        limits = replace(SPOOLED, small_delivery_bytes=small, joined_bytes=joined_bytes)
        land(here.lake, replace(here.landing, limits=limits), here.catalog["raw/sales"], now=NOW)
    assert sorted(here.lake.scan("raw/sales").collect()["id"]) == ["1", "2", "2", "4"]
    assert here.lake.scan("quarantine/dead_letters").collect()["place"].to_list() == [
        "line 3",
        "line 3",
    ]


@pytest.mark.usefixtures("odd_scratch")
def test_tables_are_made_through_a_scratch_folder_of_any_name(tmp_path):
    here = filled(tmp_path / "till")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path))
        assert contents(here) == contents(filled(tmp_path / "plain"))


@pytest.mark.full
@pytest.mark.usefixtures("odd_scratch")
def test_tables_with_keys_are_made_through_a_scratch_folder_of_any_name(tmp_path):
    def made(folder):
        folder.mkdir()
        here = create_lake(folder)
        for number, price in enumerate(("1", "2")):
            deliver_events(
                here, str(number), [Event("a", number, "x", price), Event("b", 1, "y", price)]
            )
            make_tables(here, *KEYED_TABLES, limits=MakeLimits(keyed_rows=1))
        return {name: read_rows(here, name) for name in KEYED_TABLES}

    odd = made(tmp_path / "odd")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path))
        assert odd == made(tmp_path / "plain")
