"""`lakehouse restore`: a table is restored with the rows that it rejected, by one commit that names the person and the reason."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import copytree

import pytest
from polars import col
from support import children
from support.sizes import first, full
from support.worlds import bring_up_to_date, contents, world, write
from test_kills import RESTORE
from tills import june, lines, redo, rows, sell, take, till, typed, with_sales

from lakehouse.errors import BusyError, SetupError
from lakehouse.lineage.commit_history import read_audit, read_commit_history
from lakehouse.operations.restorable_versions import find_version_at
from lakehouse.operations.restore import RestoreRequest, restore
from lakehouse.operations.restore_plan import plan_restore
from lakehouse.publish.publish import publish
from lakehouse.transform import make

ME = RestoreRequest("somebody", "a bad file")
LETTERS, REJECTS = "quarantine/dead_letters", "quarantine/staged_sales"


def go_back(here, table, version):
    return restore(here, plan_restore(here, table, version), ME)


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A till after three deliveries: new days, lines of an earlier day, rejects, records that cannot be parsed."""
    folder = tmp_path_factory.mktemp("template")
    shop = world(folder, till())
    sell(shop, "a", lines(3, 1, 2, -1), lines(4, 3, first=4), "8,too,short\n")
    bring_up_to_date(shop)
    sell(shop, "b", lines(5, 4, 5, first=5), lines(3, 6, first=9), "9,too,short\n")
    sell(shop, "dead", "10,too,short\n")
    bring_up_to_date(shop)
    sell(shop, "c", lines(4, 7, 8, -1, first=11), lines(20, 9, -1, -1, 9, first=20))
    bring_up_to_date(shop)
    return folder


@pytest.fixture
def grown(template, tmp_path):
    """A copy of it."""
    return world(copytree(template, tmp_path / "grown"), till())


def state(here):
    """Returns all columns but those that name a run or a moment."""
    rejected = {name: rows(here, name) for name in (LETTERS, REJECTS)}
    origins = sorted(here.lake.scan("raw/sales").select("_source", "_offset").collect().rows())
    return contents(here), origins, rejected


def held_then(here, table, version):
    return sorted(here.lake.scan(table, version).collect().rows(), key=str)


@pytest.mark.parametrize("version", first(1, [0, 1]))
@pytest.mark.parametrize("table", ["raw/sales", "staged/sales", "marts/shop_days", "marts/shops"])
def test_a_table_goes_back_and_the_next_run_makes_the_present_again(grown, table, version):
    before, then = state(grown), held_then(grown, table, version)
    go_back(grown, table, version)
    assert held_then(grown, table, None) == then
    bring_up_to_date(grown)
    assert (state(grown), grown.create_planner().find_stale_tables()) == (before, [])


def test_rejected_rows_go_back_with_their_table(grown):
    first = grown.lake.scan(REJECTS, 0).collect().height
    go_back(grown, "staged/sales", 0)
    assert (first, grown.lake.scan(REJECTS).collect().height) == (1, 1)


def test_dead_letters_go_back_with_their_raw_table_and_those_of_others_stay(grown):
    write(grown, "shops", "shops.csv", "shop,town\nnorth,A\ntoo,many,fields\n")
    bring_up_to_date(grown)
    go_back(grown, "raw/sales", 0)
    assert sorted(grown.lake.scan(LETTERS).collect()["table"]) == ["raw/sales", "raw/shops"]


def test_every_dead_letter_is_counted_once_by_the_commits_in_effect_after_going_back(grown):
    go_back(grown, "raw/sales", 0)
    take(grown)
    letters = grown.lake.scan(LETTERS).collect().height
    effective = read_commit_history(grown.lake, "raw/sales").effective
    assert sum(read_audit(commit).dead_letters for commit in effective) == letters == 3


def test_a_bad_file_is_gone_for_good_when_it_is_taken_out_of_landing_first(grown, tmp_path):
    other = world(tmp_path / "other", till())
    for name in "ab":
        copytree_file(grown, other, f"{name}.csv")
    copytree_file(grown, other, "dead.csv")
    bring_up_to_date(other)
    (Path(grown.landing.root) / "sales" / "c.csv").unlink()
    go_back(grown, "raw/sales", 1)
    bring_up_to_date(grown)
    assert state(grown) == state(other)


def copytree_file(here, other, name):
    target = Path(other.landing.root) / "sales" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    source = Path(here.landing.root) / "sales" / name
    target.write_bytes(source.read_bytes())
    os.utime(target, ns=(source.stat().st_atime_ns, source.stat().st_mtime_ns))


def test_the_commit_says_who_went_back_and_why(grown):
    version = go_back(grown, "raw/sales", 0)
    (commit,) = grown.lake.read_log("raw/sales", after=version - 1)
    assert commit.info["operation"] == "RESTORE"
    assert commit.info["restored"] == {"version": 0, "by": "somebody", "reason": "a bad file"}


def test_it_says_what_it_will_undo(grown):
    found = plan_restore(grown, "raw/sales", 0)
    assert [commit.version for commit in found.undone] == [1, 2]
    assert (found.rows, found.quarantined, found.landed_again, found.lost_files) == (
        (14, 4),
        (3, 1),
        ("b.csv", "c.csv"),
        (),
    )
    assert found.readers == ("staged/sales", "marts/shop_days", "marts/shops")


def test_files_that_are_not_in_landing_are_told_to_be_lost(grown):
    (Path(grown.landing.root) / "sales" / "b.csv").unlink()
    assert plan_restore(grown, "raw/sales", 0).lost_files == ("b.csv",)


def test_going_back_can_be_undone_in_the_same_way(grown):
    before = state(grown)
    go_back(grown, "raw/sales", 0)
    found = plan_restore(grown, "raw/sales", 2)
    assert ([c.version for c in found.undone], [c.version for c in found.reapplied]) == ([], [1, 2])
    restore(grown, found, ME)
    assert state(grown) == before


def test_there_is_nothing_to_go_back_to_twice(grown):
    go_back(grown, "staged/sales", 0)
    assert plan_restore(grown, "staged/sales", 0).is_noop


def test_a_version_is_found_by_its_time(grown):
    first, second = (
        commit.info["timestamp"] / 1000 for commit in grown.lake.read_log("raw/sales")[:2]
    )
    assert find_version_at(grown.lake, "raw/sales", datetime.fromtimestamp(second, UTC)) >= 1
    with pytest.raises(SetupError, match="there was no version at"):
        find_version_at(
            grown.lake, "raw/sales", datetime.fromtimestamp(first, UTC) - timedelta(seconds=2)
        )


def test_a_version_that_does_not_exist_is_refused(grown):
    with pytest.raises(SetupError, match="raw/sales has no version 7; the latest is 2"):
        plan_restore(grown, "raw/sales", 7)


def test_a_version_that_was_vacuumed_is_refused_and_nothing_changes(grown):
    grown.lake.open("staged/sales").vacuum(0, enforce_retention_duration=False, dry_run=False)
    before = grown.lake.version("staged/sales")
    with pytest.raises(SetupError, match=r"is incomplete: \d of its \d files have been vacuumed"):
        plan_restore(grown, "staged/sales", 0)
    assert grown.lake.version("staged/sales") == before


def test_a_version_whose_log_was_cleaned_up_is_refused(grown):
    grown.lake.open("raw/sales").create_checkpoint()
    for entry in sorted((Path(grown.lake.uri("raw/sales")) / "_delta_log").glob("*.json"))[:-1]:
        entry.unlink()
    with pytest.raises(SetupError, match="version 0 is gone, its log has been cleaned up"):
        plan_restore(grown, "raw/sales", 0)


def test_a_writer_that_was_faster_stops_it(grown):
    found = plan_restore(grown, "raw/sales", 0)
    sell(grown, "d", lines(6, 1, first=40))
    take(grown)
    before = state(grown)
    with pytest.raises(BusyError, match="another writer committed in the meantime"):
        restore(grown, found, ME)
    assert state(grown) == before


def test_a_writer_that_began_before_starts_anew(grown, monkeypatch):
    """Rows of a day that was empty when it was read must not be added to the rows that were restored."""
    go_back(grown, "staged/sales", 0)
    before, published = contents(grown), []

    def interrupted(*arguments, **asked):
        if not published:
            published.append(go_back(grown, "staged/sales", 2))
        return publish(*arguments, **asked)

    monkeypatch.setattr(make, "publish", interrupted)
    redo(grown, "staged/sales")
    assert grown.lake.scan("staged/sales").collect().height == 10
    assert contents(grown) != before


def doubled(raw_sales):
    return typed(raw_sales).with_columns(amount=col("amount") * 2)


def test_rows_of_other_code_are_made_again_when_it_is_not_put_back(tmp_path):
    now, then = (world(tmp_path, with_sales(transform)) for transform in (typed, doubled))
    sell(then, "a", lines(3, 1, 2))
    bring_up_to_date(then)
    redo(now, "staged/sales")
    go_back(now, "staged/sales", 0)
    assert [part.keys for part in now.create_planner().find_stale_tables()] == [(june(3),)]
    assert then.create_planner().find_stale_tables() == []
    bring_up_to_date(now)
    assert [row[3] for row in rows(now, "staged/sales")] == [1.0, 2.0]


def restore_first(folder, table):
    """Restore a table to its first version."""
    here = world(folder, till())
    restore(here, plan_restore(here, table, 0), RestoreRequest("somebody"))


def killed(folder, table, point):
    return children.run(restore_first, folder, table, kill_at=point)


@pytest.mark.parametrize(
    ("table", "point", "is_asked_again"),
    [
        ("raw/sales", RESTORE[0], False),
        ("staged/sales", RESTORE[0], True),
        ("raw/sales", RESTORE[1], True),
        full("staged/sales", RESTORE[1], False),
        full("raw/sales", RESTORE[0], True),
        full("staged/sales", RESTORE[0], False),
        full("raw/sales", RESTORE[1], False),
        full("staged/sales", RESTORE[1], True),
    ],
)
def test_a_restore_that_is_killed_is_healed_or_ended(grown, tmp_path, table, point, is_asked_again):
    before, then = state(grown), held_then(grown, table, 0)
    assert killed(tmp_path / "grown", table, point) == -9
    if is_asked_again:
        found = plan_restore(grown, table, 0)
        assert found.is_noop == (point == RESTORE[1])
        if not found.is_noop:
            restore(grown, found, ME)
        assert held_then(grown, table, None) == then
    bring_up_to_date(grown)
    assert (state(grown), grown.create_planner().find_stale_tables()) == (before, [])
