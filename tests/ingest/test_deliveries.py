"""What counts as a delivery, which columns it brings, and how deliveries become commits."""

import json
import os
import re
import shutil
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from bad_files import HEADER, invoice, line
from support.worlds import NOW, catalog_of, world, write

from lakehouse.environment import Environment
from lakehouse.ingest.delivery_register import DELIVERIES
from lakehouse.ingest.files.landing_zone import Landing
from lakehouse.ingest.land import LandResult, land, read_news
from lakehouse.ingest.limits import IngestLimits
from lakehouse.quarantine.dead_letters import DEAD_LETTERS
from lakehouse.storage.lake import list_data_files
from lakehouse.system_columns import ORIGIN
from lakehouse.tables.declare import raw

INVOICES = "raw/invoice_lines"
EVENTS = "raw/events"
TOMORROW = NOW + timedelta(days=1)


@pytest.fixture
def events(tmp_path: Path) -> Environment:
    """A lake for one table of text with the columns `id` and `Name`, the second optional."""
    return world(
        tmp_path,
        catalog_of(events=raw("events", "Events.", columns=("id", "Name"), optional=("Name",))),
    )


@pytest.fixture
def typed(tmp_path: Path) -> Environment:
    """A lake for one table that expects whole numbers and days."""
    columns = {"id": pl.Int64(), "day": pl.Date()}
    return world(tmp_path, catalog_of(events=raw("events", "Typed events.", columns=columns)))


def land_now(here: Environment, table: str = EVENTS, **options: object) -> LandResult:
    return land(here.lake, here.landing, here.catalog[table], **{"now": TOMORROW, **options})


def land_in_batches(here: Environment, batch_bytes: int) -> LandResult:
    landing = replace(here.landing, limits=IngestLimits(batch_bytes=batch_bytes))
    return land(here.lake, landing, here.catalog[EVENTS], now=TOMORROW)


def rows(here: Environment, table: str = EVENTS) -> pl.DataFrame:
    lf = here.lake.scan(table)
    return lf.select(n for n in lf.collect_schema().names() if not n.startswith("_")).collect()


def sources(here: Environment, table: str = EVENTS) -> list[str]:
    found = here.lake.scan(table).select(
        pl.col("_source").str.split("#").list.first().unique().sort()
    )
    return found.collect().to_series().to_list()


def notes(report: LandResult) -> tuple[str, ...]:
    return tuple(note for audit in report.audits for note in audit.notes)


def parquet(here: Environment, name: str, **columns: object) -> None:
    write(here, "events", name, b"")
    pl.DataFrame(columns).write_parquet(Path(here.landing.root) / "events" / name)


# Which files are deliveries


def test_the_same_bytes_under_another_name_add_no_rows_and_are_reported_as_superseded(events):
    write(events, "events", "a.csv", "id\n1\n")
    land_now(events)
    write(events, "events", "b.csv", "id\n1\n")
    write(events, "events", "c.csv", "id\n2\n")
    report = land_now(events)
    assert rows(events)["id"].sort().to_list() == ["1", "2"]
    assert [re.sub("#.*", "", text) for text in report.repeated] == ["b.csv: same bytes as a.csv"]
    assert (
        re.sub("#\\w+", "", notes(report)[0]) == "b.csv: same bytes as a.csv, superseded as a whole"
    )


def test_the_same_bytes_twice_in_a_batch_land_once(events):
    write(events, "events", "a.csv", "id\n1\n")
    write(events, "events", "b.csv", "id\n1\n")
    report = land_now(events)
    assert sources(events) == ["a.csv"]
    assert len(report.repeated) == 1


def test_repeated_bytes_alone_make_no_commit(events):
    write(events, "events", "a.csv", "id\n1\n")
    land_now(events)
    write(events, "events", "b.csv", "id\n1\n")
    assert land_now(events).audits == ()
    assert events.lake.version(EVENTS) == 0


def test_the_same_name_with_other_bytes_is_a_new_delivery(events):
    write(events, "events", "a.csv", "id\n1\n")
    land_now(events)
    os.utime(write(events, "events", "a.csv", "id\n2\n"), (NOW.timestamp(), NOW.timestamp()))
    land_now(events)
    assert sorted(rows(events)["id"]) == ["1", "2"]
    assert events.lake.scan(EVENTS).collect()["_source"].n_unique() == 2


def test_a_renamed_file_adds_nothing(events):
    path = write(events, "events", "a.csv", "id\n1\n")
    land_now(events)
    path.rename(path.with_name("renamed.csv"))
    report = land_now(events)
    assert report.repeated[0].startswith("renamed.csv: same bytes as a.csv#")
    assert sources(events) == ["a.csv"]


def test_a_touched_file_with_the_same_bytes_adds_nothing(events):
    path = write(events, "events", "a.csv", "id\n1\n")
    land_now(events)
    later = path.stat().st_mtime + 60
    os.utime(path, (later, later))
    assert land_now(events).audits == ()
    assert rows(events).height == 1


def test_a_refused_file_under_another_name_is_no_second_dead_letter(events):
    write(events, "events", "a.csv", "")
    land_now(events)
    write(events, "events", "b.csv", "")
    land_now(events)
    assert events.lake.scan(DEAD_LETTERS).collect().height == 1


@pytest.mark.parametrize("name", ["a.json", "a.parquet"])
@pytest.mark.parametrize("is_apart", [True, False], ids=["later", "in one batch"])
def test_rows_that_were_refused_under_a_name_of_another_format_land_under_their_own(
    events, name, is_apart
):
    write(events, "events", name, "id\n1\n")
    if is_apart:
        land_now(events)
    write(events, "events", "b.csv", "id\n1\n")
    land_now(events)
    assert sources(events) == ["b.csv"]
    assert rows(events).height == 1
    land_now(
        events
    )  # these bytes came under that name first, whatever became of them: so does their origin
    assert rows(events).height == 1
    assert sources(events) == [name]
    assert ready(events) == []
    assert land_now(events) == LandResult()


@pytest.mark.parametrize("name", ["b.json", "b.parquet"])
def test_a_copy_under_a_name_of_another_format_adds_nothing_and_stops_nothing(events, name):
    write(events, "events", "a.csv", "id\n1\n1,too,wide\n")
    land_now(events)
    write(events, "events", name, "id\n1\n1,too,wide\n")
    assert land_now(events).repeated
    assert ready(events) == []
    write(events, "events", "c.csv", "id\n2\n")
    land_now(events)
    assert sorted(rows(events)["id"]) == ["1", "2"]
    assert events.lake.scan(DEAD_LETTERS).collect().height == 1


def test_files_in_subfolders_land_under_their_path(events):
    write(events, "events", "2010/12/a.csv", "id\n1\n")
    write(events, "events", "2010/a.csv", "id\n2\n")
    land_now(events)
    assert sources(events) == ["2010/12/a.csv", "2010/a.csv"]


@pytest.mark.parametrize(
    "name", [".a.csv", "_a.csv", "~a.csv", "a.csv.tmp", "a.csv.part", "_tmp/a.csv", ".x/a.csv"]
)
@pytest.mark.parametrize("scheme", ["", "file://"], ids=["folder", "store"])
def test_hidden_files_and_files_in_flight_are_ignored(events, scheme, name):
    write(events, "events", name, "id\n1\n")
    landing = Landing(scheme + events.landing.root, rest_seconds=0)
    found = read_news(events.lake, landing, events.catalog[EVENTS], TOMORROW)
    assert (found.ready, found.unfinished, found.unreadable) == ((), (), ())


def test_files_land_from_an_object_store(events):
    write(events, "events", "sub/a.csv", "id\n1\n")
    land(events.lake, Landing(f"file://{events.landing.root}"), events.catalog[EVENTS])
    assert sources(events) == ["sub/a.csv"]


def test_a_file_that_may_still_be_written_is_left_alone_and_reported(events):
    path = write(events, "events", "a.csv", "id\n1\n")
    landing = Landing(events.landing.root, rest_seconds=60)
    written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    early = land(events.lake, landing, events.catalog[EVENTS], now=written + timedelta(seconds=59))
    assert (early.unfinished, early.audits) == (("a.csv",), ())
    late = land(events.lake, landing, events.catalog[EVENTS], now=written + timedelta(seconds=61))
    assert (late.unfinished, late.audits[0].written) == ((), 1)


def test_a_file_that_changes_while_it_is_read_is_not_landed_then_but_next_time(events):
    write(events, "events", "a.csv", "id\n1\n")
    path = write(events, "events", "b.csv", "id\n2\n")
    report = land_now(events, progress=lambda *_: path.write_text("id\n2\n3\n"))
    assert sources(events) == ["a.csv"]
    assert report.unfinished == ("b.csv",)
    land_now(events)
    assert sorted(rows(events)["id"]) == ["1", "2", "3"]


@pytest.mark.parametrize(
    "name", ["a b.csv", "ü#1.csv", "50%.csv", "x'y\".csv", "[a]*?.csv", f"{'n' * 240}.csv"]
)
def test_a_file_may_have_an_odd_name(events, name):
    write(events, "events", name, "id\n1\n")
    land_now(events)
    assert events.lake.scan(EVENTS).collect()["_source"].to_list()[0].rpartition("#")[0] == name
    assert read_news(events.lake, events.landing, events.catalog[EVENTS]).ready == ()


def test_a_large_bad_record_is_kept_completely_whatever_the_name_of_its_file(events):
    content = "id\n1\n" + "x" * (2 << 20) + ',"' + "\n"
    write(events, "events", "ü [1] #50%.csv", content)
    land_now(events)
    [kept] = events.lake.scan(DEAD_LETTERS).collect()["kept_at"].to_list()
    assert (Path(events.lake.root) / kept).read_text() == content


def changing_after(landing: Landing, happens) -> Landing:
    """A landing zone in which something happens to a file as soon as it was read and found unchanged."""

    class Changing(Landing):
        def is_unchanged(self, table, entry):
            unchanged = super().is_unchanged(table, entry)
            happens(Path(self.root) / table / entry.name)
            return unchanged

    return Changing(landing.root, rest_seconds=0)


@pytest.mark.parametrize(
    "happens", [Path.unlink, lambda path: path.write_text("other")], ids=["gone", "changed"]
)
def test_what_is_kept_of_a_large_bad_record_is_what_was_read(events, happens):
    content = "id\n1\n" + "x" * (2 << 20) + ',"' + "\n"
    write(events, "events", "a.csv", content)
    land(events.lake, changing_after(events.landing, happens), events.catalog[EVENTS], now=TOMORROW)
    [kept] = events.lake.scan(DEAD_LETTERS).collect()["kept_at"].to_list()
    assert (Path(events.lake.root) / kept).read_text() == content


def test_a_large_refused_file_is_kept_completely(events):
    content = "no,id2\n" + "x,y\n" * (1 << 19)
    write(events, "events", "a.csv", content)
    land_now(events)
    [kept] = events.lake.scan(DEAD_LETTERS).collect()["kept_at"].to_list()
    assert (Path(events.lake.root) / kept).read_text() == content


def test_json_lines_of_which_none_is_a_record_are_a_dead_letter_each(events):
    write(events, "events", "a.jsonl", "1\n[2]\n\nthree\n")
    report = land_now(events)
    found = (
        events.lake.scan(DEAD_LETTERS)
        .sort("_offset")
        .select("_offset", "place", "payload")
        .collect()
        .rows()
    )
    assert found == [(1, "line 1", b"1"), (2, "line 2", b"2"), (3, "line 4", b"three")]
    assert (report.refused, report.audits[0].read, report.audits[0].dead_letters) == ((), 3, 3)
    assert ready(events) == []


# The register


def registered(here: Environment, *columns: str) -> list[tuple[object, ...]]:
    found = here.lake.scan(DELIVERIES).with_columns(
        file=pl.col("_source").str.split("#").list.first()
    )
    return sorted(found.select("file", *columns).collect().rows(), key=str)


def ready(here: Environment) -> list[str]:
    return [
        entry.name
        for entry in read_news(here.lake, here.landing, here.catalog[EVENTS], TOMORROW).ready
    ]


def test_every_file_is_registered_with_its_outcome(events):
    write(events, "events", "a.csv", "id\n1\n")
    write(events, "events", "b.csv", "id\n1\n")
    write(events, "events", "c.csv", "")
    write(events, "events", "d.csv", "id\n2\n2,too,wide\n")
    land_now(events)
    found = registered(events, "outcome", "size")
    assert found == [
        ("a.csv", "landed", 5),
        ("b.csv", "repeated", 5),
        ("c.csv", "dead", 0),
        ("d.csv", "landed", 16),
    ]
    assert registered(events, "same_bytes_as")[1][1].startswith("a.csv#")


def test_a_file_with_landed_bytes_is_no_news_once_it_was_read(events):
    write(events, "events", "a.csv", "id\n1\n")
    land_now(events)
    write(events, "events", "b.csv", "id\n1\n")
    assert ready(events) == ["b.csv"]
    land_now(events)
    assert ready(events) == []
    assert land_now(events) == LandResult()


def test_a_file_with_landed_bytes_that_was_read_before_a_roll_back_is_news_after_it(events):
    write(events, "events", "a.csv", "id\n1\n")
    land_now(events)
    write(events, "events", "b.csv", "id\n2\n").rename(
        Path(events.landing.root) / "events" / "c.csv"
    )
    write(events, "events", "b.csv", "id\n2\n")
    land_now(events)
    events.lake.open(EVENTS).restore(0)
    assert sorted(ready(events)) == ["b.csv", "c.csv"]
    land_now(events)
    assert sorted(rows(events)["id"]) == ["1", "2"]
    assert len(registered(events)) == 3


def test_another_size_at_the_same_time_under_the_same_name_is_another_delivery(events):
    path = write(events, "events", "a.csv", "id\n1\n")
    os.utime(path, (NOW.timestamp(), NOW.timestamp()))
    land_now(events)
    path.write_text("id\n1\n2\n")
    os.utime(path, (NOW.timestamp(), NOW.timestamp()))
    assert ready(events) == ["a.csv"]
    land_now(events)
    assert sorted(rows(events)["id"]) == ["1", "1", "2"]


def test_a_lost_register_is_written_again_and_nothing_else_changes(events):
    write(events, "events", "a.csv", "id\n1\n")
    write(events, "events", "b.csv", "id\n1\n")
    write(events, "events", "c.csv", "")
    land_now(events)
    before = registered(events, "outcome", "size")
    shutil.rmtree(Path(events.lake.root) / DELIVERIES)
    report = land_now(events)
    assert (report.audits, len(report.repeated), events.lake.version(EVENTS)) == ((), 1, 0)
    assert registered(events, "outcome", "size") == before
    assert ready(events) == []


@pytest.mark.full
def test_the_register_stays_a_few_files_and_keeps_every_row(events):
    for number in range(40):
        write(events, "events", f"{number}.csv", f"id\n{number}\n")
        land_now(events)
    assert len(registered(events)) == 40
    assert list_data_files(events.lake.open(DELIVERIES)).height < 33


# Batches


def test_files_in_several_batches_land_once_each_with_a_commit_a_batch(events):
    for number in range(7):
        write(events, "events", f"{number}.csv", f"id\n{number}\n")
    report = land_in_batches(events, 10)
    assert [audit.read for audit in report.audits] == [2, 2, 2, 1]
    assert sorted(rows(events)["id"]) == list("0123456")
    assert events.lake.version(EVENTS) == 3


def test_a_file_larger_than_a_batch_is_a_batch_of_its_own(events):
    write(events, "events", "a.csv", "id\n1\n2\n3\n4\n5\n")
    write(events, "events", "b.csv", "id\n6\n")
    assert [audit.read for audit in land_in_batches(events, 1).audits] == [5, 1]


def test_a_bad_thing_in_landing_is_counted_in_one_batch_only(events):
    (Path(events.landing.root) / "events" / "folder.csv").mkdir(parents=True)
    for number in range(3):
        write(events, "events", f"{number}.csv", f"id\n{number}\n")
    report = land_in_batches(events, 1)
    assert [audit.dead_letters for audit in report.audits] == [1, 0, 0]
    assert report.refused == (
        "folder.csv: an empty folder with the name of a file; deliver the file, or remove the folder",
    )


def test_the_same_bytes_in_a_later_batch_land_once(events):
    write(events, "events", "a.csv", "id\n1\n")
    write(events, "events", "b.csv", "id\n1\n")
    report = land_in_batches(events, 1)
    assert (sources(events), len(report.audits), len(report.repeated)) == (["a.csv"], 1, 1)


def test_rows_are_numbered_from_one_within_each_file(events):
    write(events, "events", "a.csv", "id\n7\n8\n")
    write(events, "events", "b.csv", "id\n9\n")
    land_now(events)
    found = events.lake.scan(EVENTS).sort("_source", "_offset").select("id", "_offset").collect()
    assert found.rows() == [("7", 1), ("8", 2), ("9", 1)]


# Columns


def test_the_log_has_no_minimum_or_maximum_of_a_delivered_column(events):
    write(
        events, "events", "a.csv", "id,Name,extra\n1,Jane Doe,jane@example.com\nJane,too,wide,Doe\n"
    )
    write(events, "events", "b.csv", "Jane Doe,jane@example.com\n")
    land_now(events)
    for table in (EVENTS, DEAD_LETTERS, DELIVERIES):
        logs = (Path(events.lake.root) / table / "_delta_log").glob("*.json")
        assert not [path for path in logs if re.search("(?i)jane", path.read_text())]
    live = list_data_files(events.lake.open(EVENTS))
    assert {n for n in live.columns if n.startswith("min.") and live[n].count()} == {
        f"min.{name}" for name in ORIGIN
    }


def test_a_new_column_appears_and_is_null_in_other_rows(events):
    write(events, "events", "a.csv", "id\n1\n")
    land_now(events)
    write(events, "events", "b.csv", "id,extra\n2,x\n")
    report = land_now(events)
    assert rows(events).sort("id")["extra"].to_list() == [None, "x"]
    assert "new columns: extra" in notes(report)


def test_new_columns_of_several_files_of_a_batch_all_appear(events):
    write(events, "events", "a.csv", "id,one\n1,x\n")
    write(events, "events", "b.csv", "id,two,ONE\n2,y,z\n")
    report = land_now(events)
    assert rows(events).sort("id").select("one", "two").rows() == [("x", None), ("z", "y")]
    assert "new columns: one, two" in notes(report)


def test_a_missing_optional_column_is_null_and_reported(events):
    write(events, "events", "a.csv", "id\n1\n")
    report = land_now(events)
    assert rows(events)["Name"].to_list() == [None]
    assert notes(report) == ("a.csv: columns missing, so null in the rows: Name",)


def test_what_many_files_have_in_common_is_told_once(events):
    for day in range(75):
        write(events, "events", f"{day:02}.csv", f"id\n{day}\n")
    report = land_now(events)
    assert notes(report) == (
        "00.csv and 74 more files: columns missing, so null in the rows: Name",
    )


def test_an_optional_column_in_another_case_is_not_missing(events):
    write(events, "events", "a.csv", "id,NAME\n1,x\n")
    report = land_now(events)
    assert (rows(events)["Name"].to_list(), notes(report)) == (["x"], ())


def test_a_file_without_a_required_column_is_refused_as_a_whole(events):
    write(events, "events", "a.csv", "Name\nx\n")
    report = land_now(events)
    [refused] = report.refused
    assert refused.startswith("a.csv: columns missing: id; the first line names none of them. Next")
    assert rows(events).height == 0


def test_columns_are_matched_by_name_in_any_case_and_order(here):
    names = HEADER.upper().split(",")
    write(
        here,
        "invoice_lines",
        "a.csv",
        f"{','.join(reversed(names))}\n{','.join(reversed(line(1).split(',')))}\n",
    )
    write(here, "invoice_lines", "b.csv", invoice(2))
    land_now(here, INVOICES)
    found = rows(here, INVOICES).sort("InvoiceNo")
    assert ",".join(found.columns) == HEADER
    assert [",".join(row) for row in found.rows()] == [line(1), line(2)]


@pytest.mark.parametrize("name", ["a.b", "a b", "a;b{}()=", "größe", "'\"", "1", "null"])
def test_a_new_column_may_have_an_odd_name(events, name):
    quoted = name.replace('"', '""')
    write(events, "events", "a.csv", f'id,"{quoted}"\n1,x\n')
    write(events, "events", "b.csv", "id\n2\n")
    land_now(events)
    assert rows(events).sort("id").rows(named=True)[0] == {"id": "1", "Name": None, name: "x"}


@pytest.mark.parametrize("name", ["*", "^i.*$"])
@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
def test_a_name_that_polars_takes_for_a_pattern_lands_under_another(events, suffix, name):
    frame = pl.DataFrame({"id": ["1"], name: ["x"]})
    write(events, "events", "b.csv", "id\n2\n")
    path = write(events, "events", f"a.{suffix}", b"")
    writers = {"csv": frame.write_csv, "parquet": frame.write_parquet, "jsonl": frame.write_ndjson}
    writers[suffix](path)
    for _ in range(2):
        land_now(events)
    found = rows(events).sort("id").select("id", f"source_{name}").rows()
    assert found == [("1", "x"), ("2", None)]


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
def test_a_name_with_a_nul_byte_does_not_shut_the_table_for_ever(events, suffix):
    frame = pl.DataFrame({"id": ["1"], "a\0b": ["x"]})
    path = write(events, "events", f"a.{suffix}", b"")
    {"csv": frame.write_csv, "parquet": frame.write_parquet, "jsonl": frame.write_ndjson}[suffix](
        path
    )
    write(events, "events", "b.csv", "id\n2\n")
    for _ in range(2):
        land_now(events)
    if suffix != "csv":
        assert rows(events).sort("id").select("id", "a b").rows() == [("1", "x"), ("2", None)]
        return
    # NUL bytes in a CSV file say that it is UTF-16.
    assert rows(events).rows() == [("2", None)]
    assert "NUL" in events.lake.scan(DEAD_LETTERS).collect()["reason"].to_list()[0]


def test_a_nested_name_with_a_nul_byte_becomes_text(events):
    parquet(events, "a.parquet", id=["1"], more=[{"a\0b": 1, "c": [2]}])
    for _ in range(2):
        land_now(events)
    assert json.loads(rows(events)["more"].to_list()[0]) == {"a\0b": 1, "c": [2]}


# Types


def test_typed_columns_become_text_in_a_table_of_text(events):
    parquet(events, "a.parquet", id=[1, 2], Name=[date(2010, 12, 1), None])
    land_now(events)
    assert rows(events).rows() == [("1", "2010-12-01"), ("2", None)]


@pytest.mark.parametrize("value", [b"\xff\xfe", [1, 2], {"a": 1}], ids=["bytes", "list", "object"])
def test_a_table_of_text_refuses_values_that_text_cannot_represent(events, value):
    parquet(events, "a.parquet", id=["1"], Name=[value])
    write(events, "events", "b.csv", "id\n2\n")
    kind = str(pl.Series([value]).dtype)
    assert land_now(events).refused == (
        f"a.parquet: types differ: Name is {kind} in the file and String in raw/events",
    )
    assert sources(events) == ["b.csv"]


def test_typed_columns_land_as_they_are_in_a_table_of_their_types(typed):
    parquet(typed, "a.parquet", id=[1], day=[date(2010, 12, 1)])
    land_now(typed)
    assert rows(typed).rows() == [(1, date(2010, 12, 1))]


def test_a_file_with_types_that_do_not_fit_is_refused_with_their_names(typed):
    parquet(typed, "a.parquet", id=["x"], day=[1.5])
    parquet(typed, "b.parquet", id=[2], day=[date(2010, 12, 1)])
    report = land_now(typed)
    problems = "id is String in the file and Int64 in raw/events; day is Float64 in the file and Date in raw/events"
    assert report.refused == (f"a.parquet: types differ: {problems}",)
    assert (sources(typed), report.audits[0].dead_letters) == (["b.parquet"], 1)


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_an_undeclared_column_holds_text_in_any_order_of_deliveries(events, order):
    for name in order:
        if name == "a":
            parquet(events, "a.parquet", id=["1"], extra=[1.5])
        else:
            write(events, "events", "b.csv", "id,extra\n2,3.5\n")
        land_now(events)
    assert rows(events).select("id", "extra").sort("id").rows() == [("1", "1.5"), ("2", "3.5")]
