"""What Dagster's pages show: rows that are in the table, open dead letters, and names as plain text."""

from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from support.sizes import full
from support.worlds import bring_up_to_date, catalog_of, land_all, world, write

from lakehouse.definitions import definitions
from lakehouse.environment import Environment
from lakehouse.orchestration.ingest_job import build_run_config
from lakehouse.orchestration.metadata import list_as_text, quote_as_code
from lakehouse.quarantine.discard import Choice, discard
from lakehouse.tables import Contract, Instant, cast, raw, staged

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
RAW, LINES, SALES = "raw/invoice_lines", "staged/invoice_lines", "marts/daily_sales"


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def lines(*days: int, first: int = 0) -> str:
    rows = [
        f"5363{first + n:02},85123A,X,1,2010-12-{day:02} 08:20:00,1,1,France"
        for n, day in enumerate(days)
    ]
    return "\n".join([HEADER, *rows]) + "\n"


def run(here: Environment, instance: dg.DagsterInstance, *tables: str, span: str = "") -> Any:
    first, _, last = span.partition("...")
    tags = (
        {
            "dagster/asset_partition_range_start": first,
            "dagster/asset_partition_range_end": last or first,
        }
        if first
        else {}
    )
    return (
        definitions(here)
        .resolve_implicit_global_asset_job_def()
        .execute_in_process(
            asset_selection=[dg.AssetKey(table.split("/")) for table in tables],
            tags=tags,
            instance=instance,
            run_config=QUIET,
            raise_on_error=False,
        )
    )


def ingest(here: Environment, instance: dg.DagsterInstance, *tables: str) -> Any:
    config = build_run_config(here.catalog, list(tables), here.list_revisions())
    job = definitions(here).resolve_job_def("ingest_job")
    return job.execute_in_process(
        instance=instance, run_config={**QUIET, **config}, raise_on_error=False
    )


def shown(instance: dg.DagsterInstance, table: str, partition: str | None = None) -> dict[str, Any]:
    """The metadata that the page of a table shows, or of one partition of it."""
    filters = dg.AssetRecordsFilter(
        asset_key=dg.AssetKey(table.split("/")),
        asset_partitions=[partition] if partition else None,
    )
    [record] = instance.fetch_materializations(filters, limit=1).records
    return {name: value.value for name, value in record.asset_materialization.metadata.items()}


def check(instance: dg.DagsterInstance, table: str) -> dg.AssetCheckEvaluation:
    key = dg.AssetCheckKey(dg.AssetKey(table.split("/")), "every_record_is_readable")
    [record] = instance.event_log_storage.get_latest_asset_check_execution_by_key([key]).values()
    return record.event.dagster_event.event_specific_data


def test_the_rows_of_an_asset_are_those_of_its_table_and_of_its_partition(here, instance):
    write(here, "invoice_lines", "a.csv", lines(1, 1, 3))
    ingest(here, instance, RAW)
    assert shown(instance, RAW)["dagster/row_count"] == 3
    write(here, "invoice_lines", "b.csv", lines(1, 4, first=10))
    ingest(here, instance, RAW)
    assert shown(instance, RAW)["dagster/row_count"] == 5
    assert shown(instance, LINES)["dagster/row_count"] == 5
    assert shown(instance, LINES, "2010-12-01")["dagster/partition_row_count"] == 3
    # A row of the mart stands for several of the lines.
    rows = here.lake.scan(SALES).collect()
    of_day = rows.filter(pl.col("sales_date") == date(2010, 12, 1))
    assert shown(instance, SALES)["dagster/row_count"] == rows.height
    assert shown(instance, SALES, "2010-12-01")["dagster/partition_row_count"] == of_day.height


def test_a_range_counts_each_partition_and_an_empty_one_as_empty(here, instance):
    write(here, "invoice_lines", "a.csv", lines(1, 1, 3))
    land_all(here)
    assert run(here, instance, LINES, span="2010-12-01...2010-12-03").success
    counts = {
        day: shown(instance, LINES, f"2010-12-0{day}")["dagster/partition_row_count"]
        for day in (1, 2, 3)
    }
    assert counts == {1: 2, 2: 0, 3: 1}
    assert shown(instance, LINES)["dagster/row_count"] == 3


@pytest.mark.parametrize("span", ["2010-12-01...2010-12-03", full("2010-12-01")])
def test_a_run_that_changes_nothing_changes_no_count(here, instance, span):
    write(here, "invoice_lines", "a.csv", lines(1, 1, 3))
    bring_up_to_date(here)
    stale = here.create_planner().find_stale_tables()
    for _ in range(2):
        assert run(here, instance, RAW).success
        assert run(here, instance, LINES, SALES, span=span).success
        assert shown(instance, RAW)["dagster/row_count"] == 3
        told = shown(instance, LINES, "2010-12-01")
        assert (told["dagster/row_count"], told["dagster/partition_row_count"]) == (3, 2)
    assert (stale, here.create_planner().find_stale_tables()) == ([], [])


def test_days_without_rows_do_not_empty_the_table_on_its_page(here, instance):
    write(here, "invoice_lines", "a.csv", lines(1))
    bring_up_to_date(here)
    assert run(here, instance, LINES, span="2020-01-01").success
    told = shown(instance, LINES, "2020-01-01")
    assert (told["dagster/row_count"], told["dagster/partition_row_count"]) == (1, 0)


def test_a_run_that_lands_nothing_leaves_the_data_version(here, instance):
    def version() -> str:
        return instance.get_latest_materialization_event(
            dg.AssetKey(["raw", "invoice_lines"])
        ).asset_materialization.tags["dagster/data_version"]

    write(here, "invoice_lines", "a.csv", lines(1))
    run(here, instance, RAW)
    before = version()
    run(here, instance, RAW)
    assert version() == before
    write(here, "invoice_lines", "b.csv", lines(2, first=9))
    run(here, instance, RAW)
    assert version() != before


def test_a_run_that_lands_no_row_says_which_files_it_read(here, instance):
    def notes() -> str:
        asset = dg.AssetKey(["raw", "invoice_lines"])
        event = instance.get_latest_materialization_event(asset).asset_materialization
        return event.metadata["notes"].value

    written = write(here, "invoice_lines", "a.csv", lines(1))
    run(here, instance, RAW)
    write(here, "invoice_lines", "b.csv", written.read_text().splitlines()[0] + "\n")
    write(here, "invoice_lines", "copy.csv", written.read_bytes())
    run(here, instance, RAW)
    assert notes() == (
        "no new rows: 1 file without a record, 1 file with the bytes of another delivery"
    )
    run(here, instance, RAW)
    assert notes() == "nothing new in landing"


def test_an_ingest_run_without_news_is_no_event_of_the_table(here, instance):
    write(here, "invoice_lines", "a.csv", lines(1))
    ingest(here, instance, RAW)
    before = instance.get_latest_materialization_event(dg.AssetKey(["raw", "invoice_lines"]))
    ingest(here, instance, RAW)
    after = instance.get_latest_materialization_event(dg.AssetKey(["raw", "invoice_lines"]))
    assert after.timestamp == before.timestamp


class Price(Contract):
    """A price."""

    sku: str
    price: float
    at: Instant

    class Table:
        key = ("sku",)
        sequence = ("at",)
        max_quarantined = 0.9


raw_prices = raw("prices", "Prices.", columns=("sku", "price", "at", "gone"))


@staged(Price, mode="upsert", deletes=pl.col("gone") == "1")
def prices(raw_prices: pl.LazyFrame) -> pl.LazyFrame:
    """The price of each article."""
    return cast(
        raw_prices,
        price=pl.col("price").cast(pl.Float64, strict=False),
        at=pl.col("at").str.to_datetime("%Y-%m-%d", time_unit="us", time_zone="UTC", strict=False),
    )


def test_a_keyed_table_counts_all_of_its_rows_and_no_tombstone(tmp_path, instance):
    here = world(tmp_path, catalog_of(raw_prices=raw_prices, prices=prices))
    write(here, "prices", "a.csv", "sku,price,at,gone\na,1,2024-01-01,\nb,2,2024-01-01,\n")
    ingest(here, instance, "raw/prices")
    write(here, "prices", "b.csv", "sku,price,at,gone\nb,2,2024-01-02,1\nc,3,2024-01-02,\n")
    ingest(here, instance, "raw/prices")
    write(here, "prices", "c.csv", "sku,price,at,gone\nd,2,2024-01-03,\n")
    ingest(here, instance, "raw/prices")
    assert shown(instance, "staged/prices")["dagster/row_count"] == 3
    assert run(here, instance, "staged/prices").success
    assert shown(instance, "staged/prices")["dagster/row_count"] == 3


def test_the_check_tells_of_every_open_dead_letter_until_it_is_settled(here, instance):
    write(here, "invoice_lines", "a.csv", f"{lines(1)}536399,cut off\n")
    ingest(here, instance, RAW)
    assert not check(instance, RAW).passed
    write(here, "invoice_lines", "b.csv", lines(2, first=9))
    ingest(here, instance, RAW)
    found = check(instance, RAW)
    assert (found.passed, found.metadata["dead_letters"].value) == (False, 1)
    assert "1 open dead letter" in (found.description or "")
    run(here, instance, RAW)
    assert not check(instance, RAW).passed
    discard(here.lake, here.catalog, RAW, Choice(is_all=True), reason="a test", who="ann")
    run(here, instance, RAW)
    assert check(instance, RAW).passed


@pytest.mark.full
def test_a_replay_tells_of_what_is_left(here, instance):
    write(here, "invoice_lines", "a.csv", f"{lines(1)}536399,cut off\n")
    ingest(here, instance, RAW)
    discard(here.lake, here.catalog, RAW, Choice(is_all=True), reason="a test", who="ann")
    job = definitions(here).resolve_job_def("replay_job")
    config = {"ops": {"replay_table": {"config": {"table": RAW}}}}
    assert job.execute_in_process(instance=instance, run_config={**QUIET, **config}).success
    assert check(instance, RAW).passed


def test_what_is_settled_at_the_command_line_is_told_to_dagster(here, instance):
    sensor = next(s for s in definitions(here).sensors or () if s.name == "settled_sensor")
    cursor: str | None = None

    def tick() -> list[bool]:
        nonlocal cursor
        with dg.build_sensor_context(instance=instance, cursor=cursor) as context:
            answer = sensor(context)
        if isinstance(answer, dg.SkipReason):
            return []
        cursor = answer.cursor
        return [event.passed for event in answer.asset_events]

    write(here, "invoice_lines", "a.csv", f"{lines(1)}536399,cut off\n")
    ingest(here, instance, RAW)
    assert (tick(), tick()) == ([False], [])
    discard(here.lake, here.catalog, RAW, Choice(is_all=True), reason="a test", who="ann")
    assert (tick(), tick()) == ([True], [])


def test_the_check_names_every_file_that_is_refused_until_it_is_settled(here, instance):
    def refused(event) -> str:
        return event.metadata["refused_files"].value

    def readable(run):
        checks = run.get_asset_check_evaluations()
        return next(one for one in checks if one.check_name == "every_record_is_readable")

    sensor = next(s for s in definitions(here).sensors or () if s.name == "settled_sensor")
    broken = write(here, "invoice_lines", "broken.csv", "no,such,columns\n1,2,3\n")
    ingest(here, instance, RAW)
    with dg.build_sensor_context(instance=instance) as context:
        [told] = sensor(context).asset_events
    assert "broken.csv: columns missing" in refused(told)
    write(here, "invoice_lines", "a.csv", lines(1))
    check = readable(ingest(here, instance, RAW))
    assert "broken.csv: columns missing" in refused(check)
    assert check.description.startswith("1 open dead letter")
    broken.unlink()
    check = readable(ingest(here, instance, RAW))
    assert (refused(check), check.passed) == ("none", True)


IMAGE = "![x](http:graphql?query=mutation) <img src=x> \u202e\x1b[2J"


def test_names_from_files_are_plain_text_on_the_pages(tmp_path: Path, instance):
    visits = raw("visits", "Visits.", columns=("id",))
    here = world(tmp_path, catalog_of(visits=visits))
    write(here, "visits", f"{IMAGE}.csv", f"id,{IMAGE}\n1,2\n")
    write(here, "visits", f"b{IMAGE}.csv", b"\xff\xfe\x00")
    result = run(here, instance, "raw/visits")
    told = [
        value
        for event in (
            *result.asset_materializations_for_node("raw__visits"),
            *result.get_asset_check_evaluations(),
        )
        for value in event.metadata.values()
    ]
    assert [value for value in told if isinstance(value, dg.MarkdownMetadataValue)] == []
    texts = [value.value for value in told if isinstance(value, dg.TextMetadataValue)]
    assert any("![x]" in text for text in texts)
    assert [t for text in texts for t in text.split("\n") if not t.isprintable()] == []


def test_a_refusal_is_a_block_that_markdown_does_not_read():
    assert quote_as_code("a\nb") == "```\na\nb\n```"
    assert quote_as_code("`````x").startswith("``````\n")
    assert "\x1b" not in quote_as_code("\x1b[2J")
    assert list_as_text(["a\nb", "c"]).value == "a\\nb\nc"
