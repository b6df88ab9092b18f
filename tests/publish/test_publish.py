"""Write, audit, commit: nothing is published without a verdict, and nothing else is left behind."""

import shutil
from datetime import date
from pathlib import Path

import duckdb
import polars as pl
import pytest
from deltalake import CommitProperties, write_deltalake

from lakehouse.errors import BusyError, DataError, LawError, OutageError, SetupError
from lakehouse.ingest.landed_files import read_landed_files
from lakehouse.lineage.commit_history import read_audit
from lakehouse.publish.audit import AUDIT_KEY, Audit, Provenance
from lakehouse.publish.commit import COMMIT_ID, commit_once
from lakehouse.publish.file_writer import FileWriter
from lakehouse.publish.publish import publish
from lakehouse.publish.request import (
    Append,
    Partitioning,
    ReplaceAll,
    ReplaceDays,
    ReplaceKeys,
    TableInfo,
)
from lakehouse.publish.write_plan import plan_write
from lakehouse.storage.lake import Lake, list_data_files
from lakehouse.storage.revision import Revision

TABLE = "staged/orders"
MONTHS = Partitioning("day", "month")
ROWS = pl.LazyFrame({"day": [date(2024, 1, 1), date(2024, 2, 1)], "text": ["a", "b"]})


def accepted(findings):
    return Audit(TABLE, "replace", findings.rows, findings.rows)


def replace_all(rows=ROWS, table=TABLE, **more) -> ReplaceAll:
    return ReplaceAll(table, rows, **more)


def replace_days(rows, days, **more) -> ReplaceDays:
    return ReplaceDays(TABLE, rows, day_column="day", days=days, physical="month", **more)


def append(rows=ROWS, **more) -> Append:
    return Append(TABLE, rows, **more)


def parquet(lake: Lake) -> list[Path]:
    """Every data file in the lake, of a table or not."""
    return sorted(Path(lake.root).rglob("*.parquet"))


@pytest.fixture
def lake(tmp_path):
    return Lake(str(tmp_path / "lake"))


def test_the_first_commit_creates_the_table_with_its_descriptions_and_partitions(lake):
    publish(
        lake,
        replace_all(
            partitioning=MONTHS,
            info=TableInfo(description="Orders.", comments={"text": "A remark"}),
        ),
        accepted,
    )
    handle = lake.open(TABLE)
    assert (
        handle.version(),
        handle.metadata().partition_columns,
        handle.metadata().description,
    ) == (
        0,
        ["_month"],
        "Orders.",
    )
    assert {f.name: f.metadata.get("comment") for f in handle.schema().fields} == {
        "day": None,
        "text": "A remark",
        "_month": None,
    }
    assert sorted(list_data_files(handle)["partition._month"]) == [
        date(2024, 1, 1),
        date(2024, 2, 1),
    ]


def test_files_are_compressed_like_those_of_other_delta_writers(lake):
    publish(lake, replace_all(), accepted)
    [file] = parquet(lake)
    codecs = duckdb.sql(f"SELECT DISTINCT compression FROM parquet_metadata('{file}')").fetchall()
    assert codecs == [("SNAPPY",)]


def test_the_published_rows_are_the_rows(lake):
    publish(lake, replace_all(), accepted)
    assert lake.scan(TABLE).sort("day").collect().equals(ROWS.collect())


def test_the_audit_in_the_log_equals_the_one_that_was_returned(lake):
    provenance = Provenance("run 1", "code", "contract", {"raw/orders": Revision(4, "id")})
    given = publish(
        lake,
        replace_all(),
        lambda f: Audit(TABLE, "replace", 3, f.rows, quarantined=1, provenance=provenance),
    )
    assert read_audit(lake.read_log(TABLE)[0]) == given
    assert (given.version, given.rows, given.files, given.provenance.run_id) == (0, 2, 1, "run 1")


def test_the_audit_counts_the_same_bytes_and_files_as_the_log(lake):
    audit = publish(lake, replace_all(partitioning=Partitioning("day", "day")), accepted)
    live = list_data_files(lake.open(TABLE))
    assert (audit.files, audit.bytes) == (live.height, live["size_bytes"].sum())


def test_a_commit_of_another_writer_carries_no_audit(lake):
    write_deltalake(lake.uri(TABLE), ROWS.collect())
    assert read_audit(lake.read_log(TABLE)[0]) is None


def test_questions_are_answered_in_the_same_pass(lake):
    found = {}

    def judge(findings):
        found.update(n=findings.read_number("n"), rows=findings.rows, rejected=findings.rejected)
        return accepted(findings)

    rejects = replace_all(ROWS.head(1), table="quarantine/staged_orders")
    publish(lake, replace_all(), judge, rejects=rejects, questions={"n": ROWS.select(pl.len())})
    assert found == {"n": 2, "rows": 2, "rejected": 1}


def test_a_quarantine_commit_names_the_table_that_rejected_the_rows(lake):
    publish(lake, replace_all(), accepted, rejects=replace_all(table="quarantine/staged_orders"))
    assert lake.read_log("quarantine/staged_orders")[0].info["published_with"] == TABLE


def test_without_rejected_rows_there_is_no_quarantine(lake):
    publish(
        lake,
        replace_all(),
        accepted,
        rejects=replace_all(ROWS.head(0), table="quarantine/staged_orders"),
    )
    assert lake.tables() == [TABLE]


def refuse(_):
    raise DataError("refused")


def unbalanced(findings):
    return Audit(TABLE, "replace", findings.rows + 1, findings.rows)


@pytest.mark.parametrize(("judge", "error"), [(refuse, DataError), (unbalanced, LawError)])
@pytest.mark.parametrize("partitioned", [{}, {"partitioning": MONTHS}])
def test_a_refused_verdict_leaves_no_file_and_no_table(lake, judge, error, partitioned):
    with pytest.raises(error):
        publish(
            lake,
            replace_all(**partitioned),
            judge,
            rejects=replace_all(table="quarantine/staged_orders"),
        )
    assert parquet(lake) == []
    assert lake.tables() == []


def test_a_refused_verdict_leaves_the_table_as_it_was(lake):
    publish(lake, replace_all(partitioning=MONTHS), accepted)
    before = (lake.version(TABLE), parquet(lake))
    with pytest.raises(DataError):
        publish(
            lake,
            replace_days(ROWS.head(1), [date(2024, 1, 1)]),
            refuse,
        )
    assert (lake.version(TABLE), parquet(lake)) == before


def test_a_pass_that_breaks_off_leaves_no_table(lake):
    many = pl.LazyFrame({"n": range(300_000)}).with_columns(
        folder=pl.col("n") // 50_000,
        bad=pl.when(pl.col("n") < 299_000).then(pl.lit("1")).otherwise(pl.lit("x")),
    )
    with pytest.raises(pl.exceptions.PolarsError):
        publish(
            lake,
            append(many.with_columns(pl.col("bad").cast(pl.Int64)), split_by="folder"),
            accepted,
        )
    assert lake.tables() == []


def test_files_of_a_broken_pass_are_deleted_even_if_no_sink_reported_them(lake):
    files = FileWriter(lake, plan_write(lake, replace_all(partitioning=MONTHS)))
    files.sink_new_rows().collect()
    files.new.clear()
    files.delete_files()
    assert parquet(lake) == []


def test_a_failed_commit_deletes_its_files(lake):
    publish(lake, replace_all(), accepted)
    before = parquet(lake)
    with pytest.raises(SetupError):
        publish(lake, append(ROWS.with_columns(text=1)), accepted)
    assert parquet(lake) == before


def test_files_are_deleted_in_a_lake_below_a_folder_named_like_its_table(tmp_path):
    lake = Lake(str(tmp_path / TABLE / "lake"))
    publish(lake, replace_all(), accepted)
    with pytest.raises(DataError):
        publish(lake, replace_all(), refuse)
    assert len(parquet(lake)) == list_data_files(lake.open(TABLE)).height == 1


def test_an_empty_publish_creates_an_empty_table(lake):
    audit = publish(lake, replace_all(ROWS.head(0), partitioning=MONTHS), accepted)
    assert (audit.rows, audit.files, audit.version) == (0, 0, 0)
    assert lake.scan(TABLE).collect().is_empty()
    assert parquet(lake) == []


def test_an_empty_replacement_of_everything_empties_the_table(lake):
    publish(lake, replace_all(), accepted)
    publish(lake, replace_all(ROWS.head(0)), accepted)
    assert lake.scan(TABLE).collect().is_empty()


def test_appended_rows_join_the_rows_of_the_table(lake):
    for _ in range(2):
        publish(lake, append(), accepted)
    assert lake.scan(TABLE).collect().height == 4
    assert lake.version(TABLE) == 1


def test_new_columns_are_added_and_are_null_in_older_rows(lake):
    publish(lake, append(), accepted)
    publish(
        lake,
        append(
            ROWS.with_columns(more=pl.lit(1, pl.Int64)), info=TableInfo(comments={"more": "New"})
        ),
        accepted,
    )
    assert sorted(lake.scan(TABLE).collect()["more"].to_list(), key=str) == [1, 1, None, None]
    assert lake.open(TABLE).schema().fields[2].metadata == {"comment": "New"}


def test_columns_that_are_no_longer_written_stay_and_are_null(lake):
    publish(lake, append(), accepted)
    publish(lake, append(ROWS.drop("text")), accepted)
    assert lake.scan(TABLE).collect()["text"].null_count() == 2


def test_a_changed_type_is_refused_with_every_column_that_would_change(lake):
    publish(lake, replace_all(), accepted)
    with pytest.raises(SetupError) as refusal:
        publish(lake, append(ROWS.with_columns(text=1, day=pl.lit("x"))), accepted)
    assert "day is date in the table and string" in str(refusal.value)
    assert "text is string in the table and integer" in str(refusal.value)
    assert lake.version(TABLE) == 0


def test_a_replacement_of_everything_takes_the_columns_of_the_new_rows_in_the_same_commit(lake):
    publish(lake, replace_all(), accepted)
    publish(
        lake, replace_all(ROWS.select("day", text=pl.lit(1, pl.Int64), more=pl.lit("x"))), accepted
    )
    assert lake.version(TABLE) == 1
    assert lake.scan(TABLE).collect_schema() == pl.Schema(
        {"day": pl.Date, "text": pl.Int64, "more": pl.String}
    )
    assert lake.scan(TABLE, 0).collect().height == 2


def test_other_columns_are_not_put_under_the_rows_of_a_writer_that_was_faster(lake):
    march = pl.LazyFrame({"day": [date(2020, 3, 1)], "text": ["c"]})
    publish(lake, replace_all(partitioning=MONTHS), accepted)
    first = lake.revision(TABLE)

    def meanwhile(found):
        publish(lake, replace_days(march, [date(2020, 3, 1)]), accepted)
        return accepted(found)

    days = ROWS.collect()["day"].to_list()
    with pytest.raises(BusyError):
        publish(
            lake,
            replace_days(ROWS.with_columns(text=pl.lit(1, pl.Int64)), days, base=first),
            meanwhile,
        )
    assert lake.scan(TABLE).collect().height == 3


@pytest.mark.parametrize("other", [Partitioning("day", "day"), None])
def test_a_changed_partitioning_is_refused(lake, other):
    publish(lake, replace_all(partitioning=MONTHS), accepted)
    with pytest.raises(SetupError, match="partitioned by _month, not by"):
        publish(lake, replace_all(partitioning=other), accepted)
    assert lake.version(TABLE) == 0


@pytest.mark.parametrize("request_of", [append, replace_all])
def test_a_commit_since_the_version_that_was_read_makes_a_writer_busy(lake, request_of):
    publish(lake, request_of(), accepted)
    first = lake.revision(TABLE)
    publish(lake, request_of(base=first), accepted)
    before = parquet(lake)
    with pytest.raises(BusyError, match="another writer committed first"):
        publish(lake, request_of(base=first), accepted)
    assert (lake.version(TABLE), parquet(lake)) == (1, before)


def test_rows_of_another_writer_are_not_left_beside_a_replacement_of_everything(lake):
    publish(lake, replace_all(), accepted)
    first = lake.revision(TABLE)
    write_deltalake(lake.uri(TABLE), ROWS.collect(), mode="append")
    with pytest.raises(BusyError):
        publish(lake, replace_all(base=first), accepted)


def test_a_table_that_was_created_meanwhile_makes_a_writer_busy(lake):
    publish(lake, replace_all(), accepted)
    with pytest.raises(BusyError, match="another writer created the table first"):
        publish(lake, replace_all(base=None), accepted)
    assert (lake.version(TABLE), len(parquet(lake))) == (0, 1)


def test_two_writers_of_the_same_empty_month_collide(lake):
    publish(lake, replace_all(ROWS.head(1), partitioning=MONTHS), accepted)
    first = lake.revision(TABLE)
    late = ROWS.tail(1)
    publish(lake, replace_days(late, [date(2024, 2, 1)], base=first), accepted)
    with pytest.raises(BusyError):
        publish(lake, replace_days(late, [date(2024, 2, 9)], base=first), accepted)


def test_two_writers_that_fill_different_empty_months_do_not_disturb_each_other(lake):
    publish(lake, replace_all(ROWS.head(0), partitioning=MONTHS), accepted)
    first = lake.revision(TABLE)
    publish(lake, replace_days(ROWS.head(1), [date(2024, 1, 1)], base=first), accepted)
    audit = publish(lake, replace_days(ROWS.tail(1), [date(2024, 2, 1)], base=first), accepted)
    assert lake.scan(TABLE).collect().height == 2
    assert audit.version == 2


def test_the_returned_version_is_our_own_after_a_commit_of_another_writer(lake):
    publish(lake, append(), accepted)
    first = lake.revision(TABLE)
    write_deltalake(lake.uri(TABLE), ROWS.collect(), mode="append")
    audit = publish(lake, append(base=first), accepted)
    assert AUDIT_KEY not in lake.read_log(TABLE)[1].info
    assert read_audit(lake.read_log(TABLE)[audit.version]) == audit


def test_a_compacted_raw_table_still_knows_every_delivery(lake):
    origin = {"_offset": 1, "_modified_at": pl.lit(0).cast(pl.Datetime("us", "UTC"))}
    for digest, name in enumerate(("a.csv", "b" * 80 + ".csv")):
        rows = pl.LazyFrame({"x": ["1"]}).with_columns(
            pl.lit(f"{name}#{digest:064x}").alias("_source"), **origin
        )
        publish(lake, Append("raw/orders", rows, split_by="_source"), accepted)
    before = read_landed_files(lake, "raw/orders")
    lake.open("raw/orders").optimize.compact()
    after = read_landed_files(lake, "raw/orders")
    assert list_data_files(lake.open("raw/orders")).height == 1
    assert after.by_digest == before.by_digest
    assert {name for _, name in after.by_digest.values()} == {"a.csv", "b" * 80 + ".csv"}


def rebuilt(lake: Lake, commits: int, table: str = TABLE) -> None:
    """Deletes a table and builds it again, by some commits of another writer."""
    shutil.rmtree(lake.uri(table))
    for number in range(commits):
        rows = pl.DataFrame({"day": [date(2030, 1, 1)], "text": [f"theirs {number}"]})
        write_deltalake(lake.uri(table), rows, mode="append")


@pytest.mark.parametrize("commits", [1, 2, 3])
@pytest.mark.parametrize(
    "request_of",
    [
        append,
        replace_all,
        lambda **more: ReplaceDays(TABLE, ROWS, day_column="day", days=[date(2024, 1, 1)], **more),
        lambda **more: ReplaceKeys(TABLE, ROWS, keys=ROWS.select("text").collect(), **more),
    ],
    ids=["append", "all", "days", "keys"],
)
@pytest.mark.parametrize("is_planned", [False, True])
def test_a_table_that_was_built_again_makes_a_writer_busy(lake, request_of, commits, is_planned):
    for _ in range(2):
        publish(lake, append(), accepted)
    base = lake.revision(TABLE)

    def judge(findings):
        if is_planned:
            rebuilt(lake, commits)
        return accepted(findings)

    if not is_planned:
        rebuilt(lake, commits)
    with pytest.raises(BusyError):
        publish(lake, request_of(base=base), judge)
    assert sorted(set(lake.scan(TABLE).collect()["text"])) == [
        f"theirs {n}" for n in range(commits)
    ]


def test_a_copy_of_a_table_that_was_put_back_makes_a_writer_busy(lake, tmp_path):
    publish(lake, append(), accepted)
    shutil.copytree(lake.uri(TABLE), tmp_path / "copy")
    publish(lake, append(), accepted)
    base = lake.revision(TABLE)

    def judge(findings):
        shutil.rmtree(lake.uri(TABLE))
        shutil.copytree(tmp_path / "copy", lake.uri(TABLE))
        publish(lake, append(ROWS.with_columns(text=pl.lit("theirs"))), accepted)
        return accepted(findings)

    assert base.version == 1
    with pytest.raises(BusyError):
        publish(lake, replace_all(base=base), judge)
    assert lake.scan(TABLE).collect().height == 4


REJECTS = "quarantine/staged_orders"


def test_a_commit_between_the_rejected_rows_and_the_audit_is_not_known_to_the_audit(lake):
    publish(lake, append(), accepted, rejects=Append(REJECTS, ROWS))

    class Disturbed(Lake):
        """A lake in which another program deletes rejected rows right after each commit of them."""

        def open_shared(self, table, version=None):
            if table == TABLE and version is None and super().version(REJECTS) == 1:
                super().open(REJECTS).delete("text = 'a'")
            return super().open_shared(table, version)

    disturbed = Disturbed(lake.root)
    audit = publish(disturbed, append(), accepted, rejects=Append(REJECTS, ROWS))
    assert (lake.version(REJECTS), audit.provenance.quarantine.version) == (2, 1)


def test_rejected_rows_are_not_committed_beside_those_that_another_program_put_there(lake):
    publish(lake, append(), accepted, rejects=Append(REJECTS, ROWS))
    base = lake.revision(REJECTS)
    write_deltalake(lake.uri(REJECTS), ROWS.collect(), mode="append")
    with pytest.raises(BusyError):
        publish(lake, append(), accepted, rejects=Append(REJECTS, ROWS, base=base))


def test_without_a_commit_the_audit_names_the_rejected_rows_that_were_read(lake):
    publish(lake, append(), accepted, rejects=Append(REJECTS, ROWS))
    base = lake.revision(REJECTS)

    def judge(findings):
        lake.open(REJECTS).delete("text = 'a'")
        return accepted(findings)

    audit = publish(lake, append(), judge, rejects=Append(REJECTS, ROWS.clear(), base=base))
    assert audit.provenance.quarantine == base


def test_a_commit_without_an_id_is_not_taken_for_another_one(lake):
    publish(lake, append(), accepted)
    base = lake.revision(TABLE)
    write_deltalake(lake.uri(TABLE), ROWS.collect(), mode="append")
    with pytest.raises(OutageError, match="it is not in the log any more"):
        commit_once(lake, TABLE, base, CommitProperties(), lambda: None)


def test_a_commit_is_found_behind_log_entries_that_were_cleaned_up(lake):
    publish(lake, append(), accepted)
    base = lake.revision(TABLE)
    for _ in range(2):
        write_deltalake(lake.uri(TABLE), ROWS.collect(), mode="append")
    properties = CommitProperties({COMMIT_ID: "ours"})

    def attempt():
        write_deltalake(
            lake.uri(TABLE), ROWS.collect(), mode="append", commit_properties=properties
        )
        lake.open(TABLE).create_checkpoint()
        for version in range(3):
            (Path(lake.uri(TABLE)) / "_delta_log" / f"{version:020}.json").unlink()

    assert commit_once(lake, TABLE, base, properties, attempt) == 3
