"""What the engine relies on in its libraries, each tested with the library alone."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import duckdb
import pandera.polars as pa
import polars as pl
import pytest
from deltalake import (
    CommitProperties,
    DeltaTable,
    Field,
    Schema,
    TableFeatures,
    Transaction,
    write_deltalake,
)
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.schema import PrimitiveType
from deltalake.transaction import AddAction, RemoveAction, create_table_with_add_actions
from pandera.errors import SchemaErrors

NUMBERS = pl.DataFrame({"n": [1, 2, 3]})


@pytest.fixture
def table(tmp_path) -> str:
    path = str(tmp_path / "table")
    write_deltalake(path, NUMBERS)
    return path


def added(table: str, name: str, rows: pl.DataFrame, stats: str | None = None) -> AddAction:
    """A file that Polars wrote, as an action that makes it part of the table."""
    rows.write_parquet(f"{table}/{name}")
    return AddAction(name, Path(table, name).stat().st_size, {}, 0, True, stats)


def removed(handle: DeltaTable) -> list[RemoveAction]:
    live = pl.DataFrame(handle.get_add_actions(flatten=True))
    return [
        RemoveAction(row["path"], True, 0, row["size_bytes"], {})
        for row in live.iter_rows(named=True)
    ]


def commit(handle: DeltaTable, actions: list, *transactions: Transaction, **metadata) -> None:
    properties = CommitProperties(
        custom_metadata=metadata or None, app_transactions=list(transactions)
    )
    handle.create_write_transaction(
        actions, "append", handle.schema(), commit_properties=properties
    )


def test_files_are_added_and_removed_in_one_commit(table):
    handle = DeltaTable(table)
    commit(handle, [added(table, "new.parquet", NUMBERS.head(1)), *removed(handle)])
    assert DeltaTable(table).version() == 1
    assert pl.scan_delta(table).collect()["n"].to_list() == [1]


def test_a_commit_keeps_metadata_of_any_depth(table):
    commit(
        DeltaTable(table),
        [added(table, "new.parquet", NUMBERS)],
        audit={"read": 3, "made": [["a", "b"]], "dead": None},
    )
    assert DeltaTable(table).history(1)[0]["audit"] == {
        "read": 3,
        "made": [["a", "b"]],
        "dead": None,
    }


def test_a_table_keeps_its_id_until_it_is_built_again(table, tmp_path):
    before = DeltaTable(table).metadata().id
    write_deltalake(table, NUMBERS.with_columns(m=1), mode="append", schema_mode="merge")
    DeltaTable(table).restore(0)
    assert DeltaTable(table).metadata().id == before
    write_deltalake(str(tmp_path / "again"), NUMBERS)
    assert DeltaTable(str(tmp_path / "again")).metadata().id != before


def test_the_same_transaction_twice_in_sequence_lands_twice(table):
    for number in range(2):
        commit(
            DeltaTable(table), [added(table, f"{number}.parquet", NUMBERS)], Transaction("app", 1)
        )
    assert pl.scan_delta(table).collect().height == 9


def test_a_transaction_fences_off_an_older_handle(table):
    early, late = DeltaTable(table), DeltaTable(table)
    commit(early, [added(table, "a.parquet", NUMBERS)], Transaction("app", 1))
    with pytest.raises(CommitFailedError):
        commit(late, [added(table, "b.parquet", NUMBERS)], Transaction("app", 1))


def test_transactions_of_different_names_do_not_collide(table):
    early, late = DeltaTable(table), DeltaTable(table)
    commit(early, [added(table, "a.parquet", NUMBERS)], Transaction("one", 1))
    commit(late, [added(table, "b.parquet", NUMBERS)], Transaction("other", 1))
    assert DeltaTable(table).version() == 2


def test_without_a_transaction_two_appends_of_old_handles_both_land(table):
    early, late = DeltaTable(table), DeltaTable(table)
    for handle, name in ((early, "a.parquet"), (late, "b.parquet")):
        commit(handle, [added(table, name, NUMBERS)])
    assert pl.scan_delta(table).collect().height == 9


def test_two_writers_that_remove_the_same_file_collide(table):
    early, late = DeltaTable(table), DeltaTable(table)
    commit(early, removed(early))
    with pytest.raises(CommitFailedError):
        commit(late, removed(late))


def test_a_replacement_does_not_collide_with_an_append_of_a_stranger(table):
    handle = DeltaTable(table)
    write_deltalake(table, NUMBERS, mode="append")
    commit(handle, removed(handle))
    assert pl.scan_delta(table).collect().height == 3


def test_a_table_is_made_from_files_that_are_there(tmp_path, table):
    new = str(tmp_path / "new")
    Path(new).mkdir()
    create_table_with_add_actions(
        new, DeltaTable(table).schema(), [added(new, "a.parquet", NUMBERS)], name="raw/new"
    )
    assert (DeltaTable(new).metadata().name, pl.scan_delta(new).collect().height) == ("raw/new", 3)


def test_a_table_that_exists_is_not_made_again(table):
    with pytest.raises(DeltaError, match="already exists"):
        create_table_with_add_actions(table, DeltaTable(table).schema(), [])


@pytest.mark.parametrize("folder", ["nothing", "."])
def test_what_is_no_table_is_not_found(tmp_path, folder):
    with pytest.raises(TableNotFoundError):
        DeltaTable(str(tmp_path / folder))


def test_added_columns_are_null_in_older_rows(table):
    handle = DeltaTable(table)
    write_deltalake(
        table, NUMBERS.with_columns(more=pl.lit("x")), mode="append", schema_mode="merge"
    )
    assert pl.scan_delta(table).select(pl.col("more").null_count()).collect().item() == 3
    assert handle.version() == 0


def test_delta_rs_knows_no_type_widening():
    assert not [name for name in dir(TableFeatures) if "widen" in name.lower()]


def test_an_append_takes_no_new_schema_and_an_overwrite_does(table):
    rows, handle = NUMBERS.select(pl.col("n").cast(pl.Float64), m="n"), DeltaTable(table)
    wide = Schema([Field("n", PrimitiveType("double")), Field("m", PrimitiveType("long"))])
    handle.create_write_transaction([added(table, "a.parquet", rows.head(0))], "append", wide)
    assert [field.name for field in DeltaTable(table).schema().fields] == ["n"]
    DeltaTable(table).create_write_transaction([added(table, "b.parquet", rows)], "overwrite", wide)
    assert pl.scan_delta(table).collect().schema == rows.schema
    assert pl.scan_delta(table, version=0).collect().equals(NUMBERS)


def test_a_restore_is_a_new_version_that_names_the_old_one(table):
    write_deltalake(table, NUMBERS, mode="append")
    DeltaTable(table).restore(0)
    last = DeltaTable(table).history(1)[0]
    assert (last["version"], last["operation"], last["operationParameters"]["version"]) == (
        2,
        "RESTORE",
        "0",
    )


def test_a_compaction_marks_its_files_as_no_change_of_data(table):
    write_deltalake(table, NUMBERS, mode="append")
    DeltaTable(table).optimize.compact()
    entry = Path(table, "_delta_log", f"{2:020}.json").read_text().splitlines()
    actions = [json.loads(line) for line in entry]
    assert {
        action[kind]["dataChange"]
        for action in actions
        for kind in ("add", "remove")
        if kind in action
    } == {False}


def test_two_compactions_at_once_double_every_row(table):
    """The reason for one compaction at a time for each table; if this fails, delta-rs has fixed it."""
    write_deltalake(table, NUMBERS, mode="append")
    first, second = DeltaTable(table), DeltaTable(table)
    fence = CommitProperties(max_commit_retries=0, app_transactions=[Transaction("compaction", 2)])
    for handle in (first, second):
        handle.optimize.compact(commit_properties=fence)
    assert pl.scan_delta(table).collect().height == 4 * NUMBERS.height


def test_files_that_a_compaction_removed_can_be_removed_once_more(table):
    """The reason why commits that remove files look for them (`conflicts.py`); if this fails, delta-rs has fixed it."""
    write_deltalake(table, NUMBERS, mode="append")
    late = DeltaTable(table)
    live = pl.DataFrame(late.get_add_actions(flatten=True))
    DeltaTable(table).optimize.compact()
    gone = [
        RemoveAction(path, True, 0, size, {})
        for path, size in live.select("path", "size_bytes").iter_rows()
    ]
    late.create_write_transaction(gone, "append", late.schema())
    assert pl.scan_delta(table).collect().height == 2 * NUMBERS.height


def test_escaped_letters_beyond_the_first_plane_make_statistics_wrong_in_readers(tmp_path):
    """The reason why the engine writes statistics unescaped; if this fails, the reader has fixed it."""
    path, text = str(tmp_path / "table"), "𠮷"
    write_deltalake(path, pl.DataFrame({"x": [""]}).head(0))
    stats = {
        "numRecords": 1,
        "minValues": {"x": text},
        "maxValues": {"x": text},
        "nullCount": {"x": 0},
    }
    for number, plain in enumerate((True, False)):
        name = f"{number}.parquet"
        commit(
            DeltaTable(path),
            [added(path, name, pl.DataFrame({"x": [text]}), json.dumps(stats, ensure_ascii=plain))],
        )
    assert pl.scan_delta(path).filter(pl.col("x") == text).collect().height == 1


def test_a_partitioned_sink_reports_each_file_with_its_key_and_rows(tmp_path):
    seen = []
    sink = pl.LazyFrame({"k": ["a", "b", "b"], "n": [1, 2, 3]}).sink_parquet(
        pl.PartitionBy(
            tmp_path,
            key="k",
            include_key=False,
            file_path_provider=lambda file: f"{file.partition_keys['k'][0]}/x.parquet",
        ),
        mkdir=True,
        lazy=True,
        sinked_paths_callback=lambda sinked: seen.extend(sinked.paths),
    )
    pl.collect_all([sink], engine="streaming")
    assert sorted((Path(f.path).relative_to(tmp_path).as_posix(), f.num_rows) for f in seen) == [
        ("a/x.parquet", 1),
        ("b/x.parquet", 2),
    ]
    assert all(f.num_bytes == Path(f.path).stat().st_size for f in seen)


def test_several_sinks_and_an_aggregate_run_in_one_pass(tmp_path):
    rows = pl.LazyFrame({"n": range(1000)})
    good, bad = rows.filter(pl.col("n") < 900), rows.filter(pl.col("n") >= 900)
    sinks = [
        part.sink_parquet(tmp_path / f"{n}.parquet", lazy=True)
        for n, part in enumerate((good, bad))
    ]
    *_, count = pl.collect_all([*sinks, rows.select(pl.len())], engine="streaming")
    assert count.item() == 1000
    assert [pl.read_parquet(tmp_path / f"{n}.parquet").height for n in range(2)] == [900, 100]


def test_a_sink_asks_for_the_second_part_of_a_union_when_the_first_has_ended(tmp_path):
    seen: list[int] = []
    rows = pl.LazyFrame({"n": range(1_000_000)})

    def first(batch: pl.DataFrame) -> pl.DataFrame:
        seen.append(batch.height)
        return batch

    def second(_: pl.DataFrame) -> pl.DataFrame:
        return pl.DataFrame({"n": [sum(seen)]}, schema=rows.collect_schema())

    told = pl.LazyFrame({"": [None]}).map_batches(
        second, schema=rows.collect_schema(), streamable=True
    )
    both = pl.concat([rows.map_batches(first, schema=rows.collect_schema(), streamable=True), told])
    sink = both.sink_parquet(
        pl.PartitionBy(tmp_path, key=(pl.col("n") % 3).alias("part")), lazy=True
    )
    pl.collect_all([sink, rows.select(pl.len())], engine="streaming")
    assert len(seen) > 1
    assert pl.read_parquet(tmp_path / "**/*.parquet")["n"].max() == 1_000_000


def test_the_allocator_of_polars_is_set_up_by_the_environment_before_polars_is_loaded():
    code = "import os; os.environ['_RJEM_MALLOC_CONF'] = 'no_such_thing:1'; import polars; polars.select(1)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "no_such_thing" in ended.stderr


def test_how_far_polars_reads_ahead_is_set_up_by_the_environment(tmp_path):
    NUMBERS.write_parquet(tmp_path / "a.parquet")
    name = "POLARS_ROW_GROUP_PREFETCH_KBYTES_BUDGET"
    read = f"import polars; polars.scan_parquet({str(tmp_path / 'a.parquet')!r}).collect(engine='streaming')"
    code = f"import os; os.environ[{name!r}] = 'much'; {read}"
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert f"invalid value for {name}: much" in ended.stderr


def test_dagster_loads_no_polars_by_itself():
    code = (
        "import sys, dagster._cli.api, dagster._grpc.server, dagster_webserver\n"
        "print('polars' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "False\n"


def test_a_pass_that_fails_raises_an_error_of_polars(tmp_path):
    sink = (
        pl.LazyFrame({"n": ["x"]})
        .select(pl.col("n").cast(pl.Int64))
        .sink_parquet(tmp_path / "a.parquet", lazy=True)
    )
    with pytest.raises(pl.exceptions.PolarsError):
        pl.collect_all([sink], engine="streaming")


def test_missing_columns_of_a_file_are_inserted_as_null(tmp_path):
    NUMBERS.write_parquet(tmp_path / "a.parquet")
    schema = {"n": pl.Int64(), "more": pl.String()}
    df = pl.scan_parquet(tmp_path / "a.parquet", schema=schema, missing_columns="insert").collect()
    assert df["more"].null_count() == 3


def test_not_a_number_is_larger_than_every_number():
    assert pl.select(pl.lit(float("nan")) > 1e308).item()


class Positive(pa.DataFrameModel):
    """A rule that the rows below break."""

    n: int = pa.Field(gt=5)


def test_pandera_checks_rows_of_a_data_frame():
    with pytest.raises(SchemaErrors):
        Positive.to_schema().validate(NUMBERS, lazy=True)


def test_pandera_checks_only_the_schema_of_a_lazy_frame():
    assert Positive.to_schema().validate(NUMBERS.lazy(), lazy=True).collect().height == 3


def offline_duckdb() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(
        config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
    )


def load(connection: duckdb.DuckDBPyConnection, extension: str) -> None:
    folder = files(f"duckdb_extension_{extension}") / "extensions" / f"v{duckdb.__version__}"
    connection.execute(f"LOAD '{folder}/{extension}.duckdb_extension'")


@pytest.mark.parametrize("extension", ["delta", "httpfs"])
def test_an_extension_of_duckdb_loads_from_its_wheel(extension):
    with offline_duckdb() as connection:
        load(connection, extension)
        query = "SELECT loaded FROM duckdb_extensions() WHERE extension_name = ?"
        assert connection.execute(query, [extension]).fetchone() == (True,)


def test_an_extension_for_another_duckdb_is_refused_though_nobody_looks_at_its_signature(tmp_path):
    release = f"v{duckdb.__version__}"
    extension = (
        Path(str(files("duckdb_extension_httpfs")))
        / "extensions"
        / release
        / "httpfs.duckdb_extension"
    )
    built = extension.read_bytes()
    (other := tmp_path / extension.name).write_bytes(
        built[:-512] + built[-512:].replace(release.encode(), b"v0.0.0")
    )
    with duckdb.connect(config={"allow_unsigned_extensions": "true"}) as connection:
        with pytest.raises(duckdb.Error, match=r"v0\.0\.0"):
            connection.execute(f"LOAD '{other}'")
        connection.execute(f"LOAD '{extension}'")


def test_with_autoload_off_duckdb_fetches_nothing_by_itself(table):
    with offline_duckdb() as connection, pytest.raises(duckdb.Error, match="delta"):
        connection.execute(f"SELECT * FROM delta_scan('{table}')")


def test_duckdb_reads_a_pinned_version(table):
    write_deltalake(table, NUMBERS, mode="append")
    with offline_duckdb() as connection:
        load(connection, "delta")
        counts = [
            connection.execute(
                f"SELECT count(*) FROM delta_scan('{table}', version => {v})"
            ).fetchone()
            for v in (0, 1)
        ]
    assert counts == [(3,), (6,)]


def test_duckdb_gives_instants_with_microseconds_back_to_polars(tmp_path):
    moment = datetime(2024, 1, 1, 0, 0, 0, 123456, tzinfo=UTC)
    pl.DataFrame({"at": [moment]}).write_parquet(tmp_path / "a.parquet")
    with offline_duckdb() as connection:
        connection.execute(
            f"COPY (FROM '{tmp_path}/a.parquet') TO '{tmp_path}/b.parquet' (FORMAT parquet)"
        )
    assert pl.read_parquet(tmp_path / "b.parquet")["at"].to_list() == [moment]
