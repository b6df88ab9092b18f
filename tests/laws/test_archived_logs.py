"""Old log entries move from the log to its archive, and nothing shows it: not rows, audits, staleness or a restore."""

import re
from contextlib import suppress
from pathlib import Path
from shutil import copytree, rmtree

import obstore
import polars as pl
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError
from support import children
from support.sizes import first, full
from support.worlds import bring_up_to_date, contents, copy_world, with_limits, world
from tills import lines, only, redo, rows, sell, take, till

from lakehouse.errors import SetupError
from lakehouse.lineage.staleness import Planner
from lakehouse.observe import sql
from lakehouse.observe.overview import list_audits
from lakehouse.operations.restore import RestoreRequest, restore
from lakehouse.operations.restore_plan import plan_restore
from lakehouse.publish import publish
from lakehouse.storage import log_reader
from lakehouse.storage.object_store import fetch_all

RAW, STAGED = "raw/sales", "staged/sales"
DELIVERIES = 28


def deliver(here, number: int) -> None:
    """One file of one line, landed."""
    sell(here, f"n{number:03}", lines(1 + number % 28, number, first=number))
    take(here)


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A till after many deliveries; only some of the last entries are left in the log of its raw table."""
    folder = tmp_path_factory.mktemp("template")
    here = world(folder, till())
    for number in range(DELIVERIES):
        deliver(here, number)
        if number % 9 == 0:
            bring_up_to_date(here)
    bring_up_to_date(here)
    return folder


@pytest.fixture
def grown(template, tmp_path):
    """A copy of it."""
    return copy_world(template, tmp_path / "grown", till())


@pytest.fixture(scope="module")
def nineteen_template(tmp_path_factory):
    """A till after nineteen deliveries: the next one moves the first ten entries out of the log."""
    folder = tmp_path_factory.mktemp("nineteen")
    here = world(folder, till())
    for number in range(19):
        deliver(here, number)
    return folder


@pytest.fixture
def nineteen(nineteen_template, tmp_path):
    """A copy of it."""
    return copy_world(nineteen_template, tmp_path / "nineteen", till())


def in_log(here, table: str = RAW) -> list[int]:
    """The versions whose entries are in the log itself."""
    names = (path.name for path in (Path(here.lake.uri(table)) / "_delta_log").iterdir())
    return sorted(int(name[:20]) for name in names if re.fullmatch(r"\d{20}\.json", name))


def checkpoints(here) -> list[int]:
    return sorted(
        int(path.name[:20])
        for path in (Path(here.lake.uri(RAW)) / "_delta_log").glob("*.checkpoint.parquet")
    )


@pytest.mark.full
def test_the_log_is_short_and_every_entry_is_told(grown):
    assert in_log(grown) == list(range(10, DELIVERIES))
    assert in_log(grown, "quarantine/deliveries")[0] == 10
    assert checkpoints(grown) == [9, 19]
    assert [commit.version for commit in grown.lake.read_log(RAW)] == list(range(DELIVERIES))
    assert [commit.version for commit in grown.lake.read_log(RAW, after=4)] == list(
        range(5, DELIVERIES)
    )
    assert [commit.version for commit in grown.lake.read_remaining_log(RAW, after=7)] == list(
        range(8, DELIVERIES)
    )
    assert sum(audit.written for audit in list_audits(grown, RAW)) == DELIVERIES


@pytest.mark.full
def test_what_is_archived_is_as_current_as_what_is_not(grown):
    assert grown.create_planner().find_stale_tables() == []
    before = contents(grown)
    bring_up_to_date(grown)
    assert (contents(grown), grown.lake.version(RAW)) == (before, DELIVERIES - 1)


@pytest.mark.parametrize("version", first(4, [0, 9, 10, DELIVERIES - 1, 4, 11, 19, 20]))
def test_any_version_can_be_opened(grown, version):
    assert grown.lake.scan(RAW, version).collect().height == version + 1
    assert grown.lake.scan(RAW).collect().height == DELIVERIES


@pytest.mark.parametrize("version", first(1, [7, 0, 12]))
def test_a_restore_to_an_archived_version_heals(grown, version):
    before = contents(grown)
    restore(grown, plan_restore(grown, RAW, version), RestoreRequest("test"))
    assert len(rows(grown, RAW)) == version + 1
    bring_up_to_date(grown)
    assert (contents(grown), len(rows(grown, RAW))) == (before, DELIVERIES)
    assert [commit.version for commit in grown.lake.read_log(RAW)] == list(
        range(grown.lake.version(RAW) + 1)
    )


def test_entries_that_were_put_back_leave_the_log_again(grown):
    grown.lake.open(RAW, 3)
    assert in_log(grown)[0] == 0
    for number in range(DELIVERIES, 32):
        deliver(grown, number)
    assert in_log(grown) == list(range(20, 32))
    assert [commit.version for commit in grown.lake.read_log(RAW)] == list(range(32))


def test_other_readers_see_the_table_and_its_last_versions(grown):
    assert DeltaTable(grown.lake.uri(RAW)).version() == DELIVERIES - 1
    handle = DeltaTable(grown.lake.uri(RAW), version=15)
    assert pl.scan_delta(handle).collect().height == 16
    assert next(iter(sql.run_query(grown.lake, "SELECT count(*) FROM raw.sales")[1])) == (
        DELIVERIES,
    )


def test_a_full_vacuum_and_a_cleaning_of_logs_leave_the_archive(grown):
    handle = grown.lake.open(RAW)
    handle.vacuum(0, dry_run=False, enforce_retention_duration=False, full=True)
    handle.cleanup_metadata()
    last = grown.lake.version(RAW)  # a vacuum that deletes something commits that it did
    assert [commit.version for commit in grown.lake.read_log(RAW)] == list(range(last + 1))


def test_without_its_archive_a_log_is_one_that_was_cleaned_up(grown):
    before = contents(grown)
    for table in grown.lake.tables():
        rmtree(Path(grown.lake.uri(table)) / "_delta_log" / "_archive", ignore_errors=True)
    assert grown.lake.read_log(RAW) is None
    bring_up_to_date(grown)
    assert (contents(grown), grown.create_planner().find_stale_tables()) == (before, [])


@pytest.mark.full
def test_a_log_without_the_checkpoint_to_begin_with_stays_as_it_is(nineteen):
    shop = nineteen
    (Path(shop.lake.uri(RAW)) / "_delta_log" / f"{9:020}.checkpoint.parquet").unlink()
    (Path(shop.lake.uri(RAW)) / "_delta_log" / "_last_checkpoint").unlink()
    deliver(shop, 19)
    assert in_log(shop) == list(range(20))
    assert len(rows(shop, RAW)) == 20


class KilledError(BaseException):
    """A simulated kill in the middle of a call."""


@pytest.fixture(scope="module")
def restored_template(tmp_path_factory):
    """A till after nineteen commits, one of them a restore, and the rows that each version holds."""
    folder = tmp_path_factory.mktemp("restored")
    here, heights = world(folder, till()), {}
    for number in range(19):
        if number == 5:
            restore(here, plan_restore(here, RAW, 3), RestoreRequest("test"))
        else:
            deliver(here, number)
        heights[number] = here.lake.scan(RAW).collect().height
    return folder, heights


@pytest.mark.full
@pytest.mark.parametrize("gone", first(2, [0, 6, 2, 4, 8, 10]))
def test_no_version_opens_with_rows_missing_while_entries_leave_the_log(
    restored_template, tmp_path, monkeypatch, gone
):
    template, before = restored_template
    shop, heights = copy_world(template, tmp_path, till()), dict(before)
    delete, left = obstore.delete, iter(range(gone))

    def killed(store, paths):
        for path in paths:
            if next(left, None) is None:
                raise KilledError
            delete(store, path)

    with monkeypatch.context() as patched:
        patched.setattr("lakehouse.publish.table_commit.shorten_log", lambda *_: None)
        deliver(shop, 19)
        patched.setattr(obstore, "delete", killed)
        with suppress(KilledError):
            shop.lake.log_archive(RAW).archive_old_entries(19)
    for version in range(10):
        with suppress(DeltaError):
            opened = DeltaTable(shop.lake.uri(RAW), version=version)
            assert pl.scan_delta(opened).collect().height == heights[version]
    assert {
        version: shop.lake.scan(RAW, version).collect().height for version in heights
    } == heights


def damaged(here) -> Path:
    """The first file of the archive, cut off in the middle."""
    file = next((Path(here.lake.uri(RAW)) / "_delta_log" / "_archive").glob("entries-*0.parquet"))
    file.write_bytes(file.read_bytes()[:100])
    return file


def test_a_damaged_archive_is_told_with_what_to_do(grown):
    file = damaged(grown)
    for asked in (
        grown.create_planner().find_stale_tables,
        lambda: grown.lake.read_log(RAW),
        lambda: grown.lake.open(RAW, 3),
    ):
        with pytest.raises(SetupError, match=f"raw/sales: old log entries.*{file.name} is damaged"):
            asked()
    file.unlink()
    assert grown.lake.read_log(RAW) is None


def test_a_damaged_archive_keeps_nothing_from_landing(grown, caplog):
    grown.lake.open(RAW, 3)
    damaged(grown)
    for number in range(DELIVERIES, 41):
        deliver(grown, number)
    assert len(rows(grown, RAW)) == grown.lake.scan(RAW).collect().height == 41
    assert in_log(grown)[:4] == [0, 1, 2, 3]
    assert "old log entries stay in the log for now" in caplog.text


@pytest.mark.full
def test_an_archive_that_outlived_its_table_says_nothing_of_the_next_one(grown, tmp_path):
    again = world(tmp_path / "again", till())
    folder = Path(again.lake.uri(RAW)) / "_delta_log" / "_archive"
    copytree(Path(grown.lake.uri(RAW)) / "_delta_log" / "_archive", folder)
    for number in range(20):
        deliver(again, number)
        if number == 3:
            with pytest.raises(DeltaError):
                again.lake.open(RAW, 15)
            assert again.lake.version(RAW) == 3
    ids = [audit.provenance.batch_id for audit in list_audits(again, RAW)]
    assert ids == list(
        dict.fromkeys(again.lake.scan(RAW).sort(pl.col("id").cast(int)).collect()["_batch_id"])
    )


def test_entries_that_are_archived_while_they_are_read_are_read(shop, monkeypatch):
    late = with_limits(shop, entries_per_archive_file=500)
    for number in range(20):
        deliver(late, number)

    def fetch_late(*given):
        shop.lake.log_archive(RAW).archive_old_entries(19)
        return fetch_all(*given)

    monkeypatch.setattr(log_reader, "fetch_all", fetch_late)
    found = shop.lake.read_remaining_log(RAW)
    assert [commit.version for commit in found] == list(range(20))
    assert in_log(shop) == list(range(10, 20))


def land_with_archive(folder):
    """Land what waits; half of twenty log entries are archived."""
    take(with_limits(world(folder, till()), entries_per_archive_file=10))


@pytest.mark.parametrize(
    "point",
    [
        *("archive: entries written", "archive: log shortened#1"),
        *(full(f"archive: log shortened#{n}") for n in (2, 3)),
    ],
)
def test_a_kill_in_between_is_made_good_by_the_next_ones(nineteen, point):
    shop = nineteen
    sell(shop, "n019", lines(20, 19, first=19))
    assert children.run(land_with_archive, Path(shop.lake.root).parent, kill_at=point) == -9
    for number in range(20, 30):
        deliver(shop, number)
    bring_up_to_date(shop)
    assert in_log(shop) == list(range(20, 30))
    assert [commit.version for commit in shop.lake.read_log(RAW)] == list(range(30))
    assert [row[0] for row in rows(shop, RAW)] == sorted(str(n) for n in range(30))
    assert Planner(shop.lake, shop.catalog, shop.create_planner().now).find_stale_tables() == []


@pytest.mark.full
def test_a_writer_whom_others_left_far_behind_starts_again(shop, tmp_path, monkeypatch):
    for number in range(3):
        deliver(shop, number)
    bring_up_to_date(shop)
    before, others, passed = contents(shop), world(tmp_path, till()), iter(range(22))

    def overtaken(_: str) -> None:
        for _ in passed:
            redo(others, STAGED, only(1))

    monkeypatch.setattr(publish, "failpoint", overtaken)
    redo(shop, STAGED, only(2))
    # The writer opened the version that it had planned on, so that entry is back in the log.
    assert [version for version in in_log(shop, STAGED) if version < 10] in ([], [0])
    assert (contents(shop), next(passed, None)) == (before, None)


def test_a_commit_whose_answer_was_lost_is_found_in_the_archive(grown):
    marked = grown.lake.read_log(RAW)[3].info["commit_id"]
    assert next(grown.lake.follow_log(RAW, after=2)).info["commit_id"] == marked
    assert [commit.version for commit in grown.lake.follow_log(RAW, after=2)] == list(
        range(3, DELIVERIES)
    )
