"""A period rebuilt with the same content is unchanged: its readers stay, and every table ends as after a full rebuild."""

from pathlib import Path
from shutil import copytree
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import strategies as st
from polars import col
from support.sizes import examples, first
from support.worlds import bring_up_to_date, catalog_of, contents, copy_world, world
from test_kills import run
from tills import (
    JUNE,
    Sale,
    files_of,
    june,
    lines,
    live_files,
    only,
    raw_sales,
    raw_shops,
    redo,
    same_tables,
    sell,
    shop_days,
    shops,
    take,
    till,
    typed,
)

from lakehouse.lineage import content_hash
from lakehouse.observe.overview import list_audits
from lakehouse.operations.replay import replay
from lakehouse.tables.declare import staged

STAGED, BY_DAY, BY_SHOP = "staged/sales", "marts/shop_days", "marts/shops"
READERS = (BY_DAY, BY_SHOP)


def coded(rounded: int, factor: int = 1):
    """The till with other code for its sales: `rounded` changes the code alone, `factor` the amounts."""

    @staged(Sale, partitions=JUNE, distinct=tuple(raw_sales.columns))
    def sales(raw_sales):
        """Typed sales."""
        return typed(raw_sales).with_columns(amount=(col("amount") * factor).round(rounded))

    return catalog_of(
        raw_sales=raw_sales, raw_shops=raw_shops, sales=sales, shop_days=shop_days, shops=shops
    )


def again(here, catalog):
    """The same place with other declarations."""
    return world(Path(here.landing.root).parent, catalog)


def filled(folder: Path, catalog=None):
    """Sales of three days, some of them rejected, and all tables made from them."""
    here = world(folder, catalog or till())
    sell(here, "a", lines(3, 1, 2), lines(4, 3, 4, -1, first=3), lines(6, 5, first=6))
    bring_up_to_date(here)
    return here


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    folder = tmp_path_factory.mktemp("template")
    filled(folder)
    return folder


@pytest.fixture
def here(template, tmp_path):
    return copy_world(template, tmp_path, till())


def versions(here, names=READERS):
    return [here.lake.version(name) for name in names]


def test_a_backfill_without_news_keeps_the_files_and_makes_no_reader_again(here):
    before, files, made = live_files(here, STAGED), files_of(here, STAGED), versions(here)
    audit = redo(here, STAGED)
    assert (audit.unchanged, audit.is_unchanged, audit.keeps_files) == (
        audit.materialized,
        True,
        True,
    )
    assert (audit.files, audit.bytes, audit.carried, audit.rows) == (0, 0, 0, 5)
    assert (live_files(here, STAGED), files_of(here, STAGED)) == (before, files)
    bring_up_to_date(here)
    assert versions(here) == made


def test_a_backfill_with_one_changed_row_makes_exactly_its_readers_again(here):
    sell(here, "b", lines(4, 9, first=9))
    take(here)
    audit = redo(here, STAGED)
    assert [*audit.unchanged] == [only(3), only(6)]
    assert (audit.is_unchanged, audit.keeps_files) == (False, False)
    part = here.create_planner().find_stale_part(here.catalog[BY_DAY])
    assert part.keys == (june(4),)
    bring_up_to_date(here)
    assert list_audits(here, BY_DAY)[-1].materialized == (only(4),)


def test_a_day_that_was_made_too_long_ago_counts_as_changed_and_ends_the_same(here, monkeypatch):
    monkeypatch.setattr(content_hash, "_FIRST_ENTRIES", (1,))
    monkeypatch.setattr(content_hash, "_ENTRIES_PER_PERIOD", 2)
    before = contents(here)
    for day in (4, 4, 3):
        assert redo(here, STAGED, only(day)).is_unchanged is (day == 4)
    bring_up_to_date(here)
    assert contents(here) == before


def test_other_code_with_the_same_content_settles_the_table_and_leaves_its_readers(here):
    made, coded_again = versions(here), again(here, coded(6))
    audit = redo(coded_again, STAGED)
    assert (audit.is_unchanged, audit.keeps_files) == (True, True)
    assert audit.provenance.code_version == coded_again.catalog[STAGED].code_version
    bring_up_to_date(coded_again)
    assert versions(coded_again) == made


def test_a_day_whose_quarantine_alone_changes_is_unchanged(here):
    sell(here, "b", lines(4, -9, first=9))
    made = versions(here)
    bring_up_to_date(here)
    audit = list_audits(here, STAGED)[-1]
    assert (audit.quarantined, audit.is_unchanged, audit.unchanged) == (2, True, (only(4),))
    assert versions(here) == made
    assert here.create_planner().find_stale_tables() == []


def test_a_row_from_another_file_counts_as_changed(tmp_path):
    other = filled(tmp_path)
    other.lake.open("raw/sales").delete()
    sell(other, "z", lines(3, 1, 2), lines(4, 3, 4, -1, first=3), lines(6, 5, first=6))
    (Path(other.landing.root) / "sales" / "a.csv").unlink()
    take(other)
    assert redo(other, STAGED).unchanged == ()


def test_rows_that_somebody_deleted_by_hand_are_written_again(here):
    here.lake.open(STAGED).delete("sold_on = DATE '2024-06-04'")
    assert redo(here, STAGED).unchanged == ()
    assert here.lake.scan(STAGED).select(pl.len()).collect().item() == 5


def test_a_lost_file_is_written_again(here):
    before = contents(here)
    for name in live_files(here, BY_SHOP):
        Path(here.lake.uri(BY_SHOP), name).unlink()
    audit = redo(here, BY_SHOP)
    assert (audit.is_unchanged, audit.keeps_files) == (True, False)
    assert contents(here) == before


def test_hashes_of_another_polars_cost_a_rebuild_and_skip_nothing(here, monkeypatch):
    monkeypatch.setattr(content_hash, "_describe_polars", lambda: "another")
    assert redo(here, STAGED).unchanged == ()
    assert redo(here, STAGED).is_unchanged


def test_a_table_without_periods_is_unchanged_as_a_whole(here):
    audit = redo(here, BY_SHOP)
    assert (audit.is_unchanged, audit.keeps_files, audit.unchanged) == (True, True, ())


def test_a_day_made_empty_twice_empties_its_readers_and_stays_settled(tmp_path):
    def voided(name):
        @staged(
            Sale,
            partitions=JUNE,
            distinct=tuple(raw_sales.columns),
            leave_out={name: col("id") == "6"},
        )
        def sales(raw_sales):
            return typed(raw_sales)

        return catalog_of(
            raw_sales=raw_sales, raw_shops=raw_shops, sales=sales, shop_days=shop_days, shops=shops
        )

    here = again(filled(tmp_path), voided("late"))
    for _ in range(2):
        redo(here, STAGED)
        bring_up_to_date(here)
        days = here.lake.scan(BY_DAY).select("sold_on").collect().to_series()
        assert set(days) == {june(3), june(4)}
        assert here.create_planner().find_stale_tables() == []


def test_a_restore_over_an_unchanged_commit_makes_its_readers_again(here):
    sell(here, "b", lines(3, 7, first=9))
    bring_up_to_date(here)
    redo(here, STAGED)
    before = contents(here)
    here.lake.open(STAGED).restore(0)
    assert here.create_planner().find_stale_tables() != []
    bring_up_to_date(here)
    assert contents(here) == before


STEPS = st.one_of(
    st.tuples(st.just("deliver"), st.integers(3, 6)),
    st.tuples(st.just("reject"), st.integers(3, 6)),
    st.tuples(st.just("backfill"), st.integers(3, 6)),
    st.tuples(st.just("backfill all"), st.just(0)),
    st.tuples(st.just("code"), st.sampled_from([(6, 1), (5, 1), (6, 2)])),
    st.tuples(
        st.just("restore"), st.tuples(st.sampled_from([STAGED, *READERS]), st.integers(1, 9))
    ),
    st.tuples(st.just("delete"), st.integers(3, 6)),
    st.tuples(st.just("catch up"), st.just(0)),
)


def step(here, number: int, kind: str, what):
    """Does one thing to a lake; returns it with the declarations that are then current."""
    if kind == "deliver":
        sell(here, f"more-{number}", lines(what, number, first=100 + 2 * number))
    elif kind == "reject":
        sell(here, f"bad-{number}", lines(what, number, -1, first=100 + 2 * number))
    elif kind == "backfill":
        redo(here, STAGED, only(3, what))
    elif kind == "backfill all":
        redo(here, STAGED)
    elif kind == "code":
        return again(here, coded(*what))
    elif kind == "restore":
        name, back = what
        if latest := here.lake.version(name):
            here.lake.open(name).restore(max(latest - back, 0))
    elif kind == "delete":
        here.lake.open(STAGED).delete(f"sold_on = DATE '{june(what)}'")
    else:
        bring_up_to_date(here)
    return here


@examples(2, 12, steps=st.lists(STEPS, max_size=8))
def test_any_mix_of_changed_and_unchanged_backfills_ends_as_a_full_rebuild(steps):
    with TemporaryDirectory() as folder:
        here = filled(Path(folder) / "one")
        for number, (kind, what) in enumerate(steps, start=1):
            here = step(here, number, kind, what)
        bring_up_to_date(here)
        redo(here, STAGED)
        bring_up_to_date(here)
        assert here.create_planner().find_stale_tables() == []
        copytree(here.landing.root, Path(folder) / "other" / "landing")
        other = world(Path(folder) / "other", here.catalog)
        bring_up_to_date(other)
        same_tables(here, other)


POINTS = [
    "publish: files written",
    "publish: quarantine committed",
    "publish: committed",
    "publish: before files",
    "files: file begun",
    "commit: before commit",
]


@pytest.mark.parametrize("point", first(3, POINTS))
def test_a_backfill_without_news_that_is_killed_leaves_everything_as_it_was(here, tmp_path, point):
    before, made = contents(here), versions(here)
    assert run(tmp_path, point, '[["staged/sales"]]') not in (0, 1)
    assert run(tmp_path, None, '[["staged/sales"]]') == 0
    here = world(tmp_path, till())
    bring_up_to_date(here)
    assert (contents(here), versions(here)) == (before, made)
    assert here.create_planner().find_stale_tables() == []


def test_a_day_of_rejected_rows_alone_makes_no_reader_stale_when_it_is_replayed(here):
    sell(here, "b", "9,some day,n,5\n")
    bring_up_to_date(here)
    made = versions(here)
    assert replay(here, STAGED).remaining.rows > 0
    assert here.create_planner().find_stale_tables() == []
    bring_up_to_date(here)
    assert versions(here) == made
