"""Full dumps as a source: inserts, updates and deletes compared with the previous dump, on real nightly dumps of OurAirports.

The figures are those that `shared/data/README.md` counts: rows that are new, changed and gone between two dumps.
"""

import gzip
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from polars import LazyFrame, col
from support.sizes import first, full
from support.worlds import NOW, SHARED, catalog_of, world, write

from lakehouse.environment import Environment
from lakehouse.errors import DataError, SetupError
from lakehouse.ingest.land import land
from lakehouse.observe.overview import list_audits
from lakehouse.operations.replay import replay
from lakehouse.tables.casting import cast
from lakehouse.tables.catalog import Catalog
from lakehouse.tables.contract import Contract, Field, Instant
from lakehouse.tables.declare import raw, staged
from lakehouse.tables.keyed_table import FullDumps
from lakehouse.transform.make import make

DUMPS = ("2023-07-01", "2023-07-02", "2024-01-01", "2025-01-01")
AIRPORTS = SHARED / "ourairports"
MOVES = {
    "regions": [(0, 0, 0), (27, 2, 84), (18, 0, 48)],
    "airport-frequencies": [(69, 3, 46), (98, 11, 50), (395, 22, 259)],
    "runways": [(0, 0, 0), (507, 0, 262), (1094, 9, 723)],
    "navaids": [(0, 0, 0), (0, 0, 0), (0, 0, 2)],
}


def typed(raw_places: LazyFrame) -> LazyFrame:
    """Places with their key and the day of their dump, from the file's name."""
    return cast(
        raw_places,
        id=col("id").cast(pl.Int64, strict=False),
        taken_on=col("_source")
        .str.extract(r"(\d{4}-\d{2}-\d{2})")
        .str.to_date("%Y-%m-%d", strict=False),
    )


def columns_of(table: str) -> list[str]:
    """The header of the latest dump, which has every column."""
    with gzip.open(AIRPORTS / DUMPS[-1] / f"{table}.csv.gz", "rt") as file:
        return file.readline().strip().replace('"', "").split(",")


def airports(table: str, mode: str) -> object:
    """A table of OurAirports, made from its dumps."""
    columns = columns_of(table)
    fields = {
        "__annotations__": {
            "id": pl.Int64,
            "taken_on": date,
            **{c: str for c in columns if c != "id"},
        }
    }
    fields |= {c: Field(nullable=True) for c in columns if c != "id"}
    fields["Table"] = type("Table", (), {"key": ("id",), "sequence": ("taken_on",)})
    contract = type("Place", (Contract,), {"__doc__": "A place.", "__module__": __name__, **fields})
    optional = tuple(c for c in columns if c != "id")
    raw_places = raw(
        "places", "Nightly dumps.", columns=tuple(columns), optional=optional, full_dumps=True
    )

    def places(raw_places: LazyFrame) -> LazyFrame:
        """Places as the latest dump has them."""
        return typed(raw_places)

    return catalog_of(
        raw_places=raw_places, places=staged(contract, mode=mode, full_dumps=FullDumps())(places)
    )


def deliver(here: Environment, table: str, day: str) -> None:
    """Lands one dump."""
    write(here, "places", f"{day}.csv.gz", (AIRPORTS / day / f"{table}.csv.gz").read_bytes())
    land(here.lake, here.landing, here.catalog["raw/places"], now=NOW)


def make_places(here: Environment) -> object:
    return make(here.lake, here.catalog, "staged/places", now=NOW)


def real(test: object) -> object:
    """Marks a test that reads the real dumps."""
    is_missing = pytest.mark.skipif(not AIRPORTS.exists(), reason=f"there is no {AIRPORTS}")
    return pytest.mark.real_data(is_missing(test))


def count_changes(versions: pl.DataFrame, day: str) -> tuple[int, int, int]:
    """Inserts, deletes and updates of a day in a history."""
    at = pl.lit(day).str.to_date()
    begun, ended = (versions.filter(col(c) == at).select("id") for c in ("valid_from", "valid_to"))
    updated = begun.join(ended, on="id").height
    return begun.height - updated, ended.height - updated, updated


@real
@pytest.mark.parametrize("table", first(1, MOVES))
def test_a_history_of_real_dumps_has_every_insert_update_and_delete(tmp_path: Path, table: str):
    here = world(tmp_path, airports(table, "history"))
    for day in DUMPS:
        deliver(here, table, day)
        make_places(here)
    versions = here.lake.scan("staged/places").collect()
    assert [count_changes(versions, day) for day in DUMPS[1:]] == MOVES[table]
    latest = pl.read_csv(AIRPORTS / DUMPS[-1] / f"{table}.csv.gz", infer_schema=False)
    assert set(versions.filter("is_current")["id"]) == set(latest["id"].cast(pl.Int64))
    assert [audit.mode for audit in list_audits(here, "staged/places")] == [
        "replace",
        "history",
        "history",
        "history",
    ]


@real
@pytest.mark.parametrize("mode", first(1, ["history", "upsert"]))
def test_dumps_in_any_order_end_in_the_same(tmp_path: Path, mode: str):
    found = []
    for number, order in enumerate([(0, 1, 2, 3), (3, 0, 2, 1)]):
        here = world(tmp_path / str(number), airports("regions", mode))
        for place in order:
            deliver(here, "regions", DUMPS[place])
            make_places(here)
        shown = here.lake.scan("staged/places").select(pl.exclude("^_.*$")).collect()
        found.append(shown.sort("id", "taken_on"))
    assert found[0].equals(found[1])


SMALL = "id,name\n"


def small(max_quarantined: float = 0.5, **declared: object) -> Catalog:
    """Places of a few dumps."""

    class Place(Contract):
        """A place."""

        id: pl.Int64
        taken_on: date
        name: str = Field(nullable=True)

        class Table:
            key = ("id",)
            sequence = ("taken_on",)

    Place.__properties__ = replace(Place.__properties__, max_quarantined=max_quarantined)
    raw_places = raw("places", "Dumps.", columns=("id", "name"), full_dumps=True)

    def places(raw_places: LazyFrame) -> LazyFrame:
        """Places."""
        return typed(raw_places)

    declared = {"mode": "upsert", "full_dumps": FullDumps(may_shrink=0.25), **declared}
    table = staged(Place, **declared)(places)
    return catalog_of(raw_places=raw_places, places=table)


@pytest.fixture
def here(tmp_path: Path) -> Environment:
    """An empty lake for small dumps."""
    return world(tmp_path, small())


def dump(here: Environment, day: int, *lines: str) -> object:
    """Delivers a dump of a day and makes the table."""
    write(here, "places", f"2024-06-{day:02}.csv", SMALL + "".join(f"{line}\n" for line in lines))
    report = land(here.lake, here.landing, here.catalog["raw/places"], now=NOW)
    return report.refused or make_places(here)


def names(here: Environment) -> list[tuple[int, str]]:
    return sorted(here.lake.scan("staged/places").select("id", "name").collect().rows())


def test_what_a_dump_lacks_is_deleted(here):
    dump(here, 1, "1,a", "2,b", "3,c", "4,d")
    dump(here, 2, "1,a", "2,B", "3,c", "5,e")
    assert names(here) == [(1, "a"), (2, "B"), (3, "c"), (5, "e")]


def test_a_key_that_returns_is_visible_again(here):
    dump(here, 1, "1,a", "2,b", "3,c", "4,d")
    dump(here, 2, "1,a", "2,b", "3,c")
    dump(here, 3, "1,a", "2,b", "3,c", "4,again")
    assert names(here) == [(1, "a"), (2, "b"), (3, "c"), (4, "again")]


def test_a_dump_that_shrinks_too_much_is_refused_and_changes_nothing(here):
    dump(here, 1, "1,a", "2,b", "3,c", "4,d")
    with pytest.raises(
        DataError, match=r"the dump of 2024-06-02 .* has 2 rows, the one before 4.*\n.*accepted="
    ):
        dump(here, 2, "1,a", "2,b")
    assert names(here) == [(1, "a"), (2, "b"), (3, "c"), (4, "d")]


@pytest.mark.parametrize("mode", ["upsert", "history"])
@pytest.mark.parametrize("is_made_before", [True, False])
def test_a_dump_can_be_left_out_for_good_and_later_ones_go_on(tmp_path, mode, is_made_before):
    here = world(tmp_path, small(mode=mode))
    dump(here, 1, "1,a", "2,b", "3,c", "4,d")
    with pytest.raises(DataError, match=r"or leave the dump out for good: FullDumps\(refused="):
        dump(here, 2, "1,A", "2,b")
    refused = FullDumps(may_shrink=0.25, refused=("2024-06-02",))
    here = world(tmp_path, small(mode=mode, full_dumps=refused))
    if is_made_before:
        assert make_places(here).superseded == 2
    dump(here, 3, "1,a", "2,B", "3,c", "4,d")
    shown = here.lake.scan("staged/places").select("id", "taken_on", "name").collect()
    current = [(1, 3, "a"), (2, 3, "B"), (3, 3, "c"), (4, 3, "d")]
    if mode == "history":
        current = [(1, 1, "a"), (2, 1, "b"), (2, 3, "B"), (3, 1, "c"), (4, 1, "d")]
    assert sorted((key, on.day, name) for key, on, name in shown.rows()) == current


def test_a_refused_moment_that_is_no_moment_is_named(tmp_path):
    here = world(tmp_path, small(full_dumps=FullDumps(refused=("June",))))
    with pytest.raises(SetupError, match=r"refused=.*does not fit taken_on"):
        dump(here, 1, "1,a")


@pytest.mark.parametrize("is_in_landing", [True, False])
def test_a_refused_dump_is_read_again_when_its_declaration_is_mended(tmp_path, is_in_landing):
    strict = small()
    raw_places = replace(strict["raw/places"], columns={"id": pl.String(), "place": pl.String()})
    tables = {**strict.tables, "raw/places": raw_places}
    here = world(tmp_path, replace(strict, tables=tables))
    (refused,) = dump(here, 1, "1,a", "2,b")
    assert "place" in refused
    if not is_in_landing:
        (Path(here.landing.root) / "places" / "2024-06-01.csv").unlink()
    here = world(tmp_path, strict)
    done = replay(here, "raw/places", now=NOW)
    assert (done.released.rows, done.remaining.rows) == (1, 0)
    make_places(here)
    assert names(here) == [(1, "a"), (2, "b")]
    assert land(here.lake, here.landing, here.catalog["raw/places"], now=NOW).audits == ()


def test_an_empty_dump_deletes_nothing(here):
    dump(here, 1, "1,a", "2,b", "3,c", "4,d")
    dump(here, 2)
    assert names(here) == [(1, "a"), (2, "b"), (3, "c"), (4, "d")]


def test_a_row_whose_key_cannot_be_read_does_not_count_as_deleted(here):
    dump(here, 1, "1,a", "2,b", "3,c", "4,d")
    dump(here, 2, "1,a", "2,b", "x,c", "4,d")
    assert names(here) == [(1, "a"), (2, "b"), (3, "c"), (4, "d")]
    dump(here, 3, "1,a", "2,b", "4,d")
    assert names(here) == [(1, "a"), (2, "b"), (4, "d")]
    make_places(here)  # without a new dump, which rebuilds the table from all
    assert names(here) == [(1, "a"), (2, "b"), (4, "d")]


def test_a_dump_with_a_record_that_cannot_be_parsed_is_refused_whole(here):
    dump(here, 1, "1,a", "2,b", "3,c", "4,d")
    (refused,) = dump(here, 2, "1,a", "2,b", "3,c,oops,x", "4,d")
    assert "a full dump would delete the keys that it lacks" in refused
    assert names(here) == [(1, "a"), (2, "b"), (3, "c"), (4, "d")]


EMPTY = {"header": SMALL, "bytes": "", "blank": "\n\n"}


@pytest.mark.full
@pytest.mark.parametrize(
    ("content", "mode"),
    [
        ("header", "upsert"),
        ("bytes", "history"),
        ("blank", "upsert"),
        *(full(*other) for other in (("header", "history"), ("bytes", "upsert"))),
        full("blank", "history"),
    ],
)
def test_the_error_of_an_empty_dump_says_how_to_accept_it_and_that_works(tmp_path, content, mode):
    def standing():
        rows = here.lake.scan("staged/places")
        rows = rows.filter("is_current") if mode == "history" else rows
        return sorted(rows.select("id", "name").collect().rows())

    here = world(tmp_path, small(mode=mode))
    dump(here, 1, "1,a", "2,b")
    write(here, "places", "2024-06-02.csv", EMPTY[content])
    (refused,) = land(here.lake, here.landing, here.catalog["raw/places"], now=NOW).refused
    assert "an empty dump deletes nothing" in refused
    assert "FullDumps(emptied=(...,))" in refused
    make_places(here)
    assert standing() == [(1, "a"), (2, "b")]
    here = world(
        tmp_path, small(mode=mode, full_dumps=FullDumps(may_shrink=0.25, emptied=("2024-06-02",)))
    )
    make_places(here)
    assert standing() == []
    dump(here, 3, "2,b")
    assert standing() == [(2, "b")]
    assert list_audits(here, "staged/places")[-1].mode == mode


@pytest.mark.full
@pytest.mark.parametrize("mode", first(1, ["history", "upsert"]))
def test_a_source_that_was_empty_gives_the_same_in_any_order_of_its_dumps(tmp_path, mode):
    catalog = small(mode=mode, full_dumps=FullDumps(emptied=("2024-05-01", "2024-06-03")))
    days = {1: ["1,a", "2,b"], 2: ["1,a", "2,b", "3,c"], 4: ["2,b"]}
    found = []
    for order in ((1, 2, 4), (1, 4, 2), (4, 2, 1), (2, 1, 4)):
        here = world(tmp_path / str(order), catalog)
        for day in order:
            dump(here, day, *days[day])
        shown = here.lake.scan("staged/places").select(pl.exclude("^_.*$")).collect()
        found.append(shown.sort(pl.all()))
    assert all(other.equals(found[0]) for other in found)
    standing = found[0].filter("is_current") if mode == "history" else found[0]
    assert standing.select("id", "name").rows() == [(2, "b")]
    if mode == "history":
        assert (
            sorted(found[0].drop_nulls("valid_to")["valid_to"].to_list()) == [date(2024, 6, 3)] * 3
        )


def test_a_dump_with_rows_counts_although_its_moment_was_declared_empty(tmp_path):
    here = world(tmp_path, small(full_dumps=FullDumps(may_shrink=0.25, emptied=("2024-06-02",))))
    dump(here, 1, "1,a", "2,b")
    assert names(here) == []
    dump(here, 2, "1,A", "2,b")
    assert names(here) == [(1, "A"), (2, "b")]


def test_a_declared_moment_that_is_no_moment_is_named(tmp_path):
    here = world(tmp_path, small(full_dumps=FullDumps(emptied=("June",))))
    with pytest.raises(SetupError, match=r"emptied=.*does not fit taken_on"):
        dump(here, 1, "1,a")


@pytest.mark.parametrize("lines", [["x,a,oops", "y,b,oops"], ["x,a,oops"]])
def test_a_dump_without_a_readable_record_is_refused_whole(here, lines):
    dump(here, 1, "1,a")
    (refused,) = dump(here, 2, *lines)
    assert (
        f"{len(lines)} of {len(lines)} records cannot be read, and a full dump would delete"
        in refused
    )
    make_places(here)
    assert names(here) == [(1, "a")]


def test_a_dump_whose_rows_are_all_rejected_changes_nothing(tmp_path):
    here = world(tmp_path, small(max_quarantined=1.0))
    dump(here, 1, "x,a", "y,b")
    dump(here, 2, "1,a", "2,b")
    dump(here, 3, "x,a", "y,b")
    assert names(here) == [(1, "a"), (2, "b")]


def test_a_dump_after_one_without_a_kept_row_is_applied(tmp_path):
    here = world(tmp_path, small(leave_out={"no place": col("name") == "none"}))
    dump(here, 1, "1,none")
    dump(here, 2, "1,a", "2,b")
    assert names(here) == [(1, "a"), (2, "b")]


def test_a_dump_may_return_to_the_state_of_an_earlier_one(here):
    dump(here, 1, "1,a", "2,b", "3,c", "4,d")
    dump(here, 2, "1,a", "2,b", "3,c")
    dump(here, 3, "1,a", "2,b", "3,c", "4,d")
    assert names(here) == [(1, "a"), (2, "b"), (3, "c"), (4, "d")]


def test_a_dump_that_arrives_after_later_ones_finds_its_place(here):
    dump(here, 1, "1,a", "2,b", "3,c", "4,d")
    dump(here, 3, "1,a", "2,b", "3,c")
    dump(here, 2, "1,a", "2,b", "3,C", "4,d")
    assert names(here) == [(1, "a"), (2, "b"), (3, "c")]


NUMBER = col("_source").str.head(1).cast(pl.Int64)
MOMENT = pl.datetime(2024, 1, NUMBER, time_unit="us", time_zone="UTC")


ORDERED = {
    "Int8": (pl.Int8, NUMBER.cast(pl.Int8), 1, "6"),
    "Int32": (pl.Int32, NUMBER.cast(pl.Int32), 1, "6"),
    "Int64": (pl.Int64, NUMBER, 1, "6"),
    "Date": (date, MOMENT.dt.date(), timedelta(days=1), "2024-01-06"),
    "Instant": (Instant, MOMENT, timedelta(days=1), "2024-01-06 00:00"),
}


@pytest.mark.full
@pytest.mark.parametrize(
    ("name", "forgets"),
    [
        ("Int8", True),
        ("Date", True),
        ("Instant", False),
        *(full(name, True) for name in ("Int32", "Int64", "Instant")),
        *(full(name, False) for name in ("Int8", "Int32", "Int64", "Date")),
    ],
)
def test_dumps_may_be_numbered_or_dated_in_any_way(tmp_path, name, forgets):
    kind, taken, kept, sixth = ORDERED[name]
    facts = type("Table", (), {"key": ("id",), "sequence": ("taken",)})
    body = {
        "__annotations__": {"id": str, "taken": kind},
        "__doc__": "A place.",
        "__module__": __name__,
    }
    contract = type("Place", (Contract,), {**body, "Table": facts})

    def places(raw_places: LazyFrame) -> LazyFrame:
        """Places."""
        return cast(raw_places, taken=taken)

    def declare_places(**more):
        full_dumps, kept_for = FullDumps(may_shrink=1.0, **more), kept if forgets else None
        table = staged(
            contract, mode="upsert", full_dumps=full_dumps, tombstone_retention=kept_for
        )(places)
        return catalog_of(
            raw_places=raw("places", "Places.", columns=("id",), full_dumps=True), places=table
        )

    here = world(tmp_path, declare_places())
    for number, ids in enumerate(["ab", "a", "abc", "c", "bc"], start=1):
        write(here, "places", f"{number}.csv", "\n".join(["id", *ids]) + "\n")
        land(here.lake, here.landing, here.catalog["raw/places"], now=NOW)
        make_places(here)
        assert sorted(here.lake.scan("staged/places").collect()["id"]) == [*ids]
    here = world(tmp_path, declare_places(emptied=(sixth,)))
    make_places(here)
    assert here.lake.scan("staged/places").collect().is_empty()
