"""The sensors and the healing job, on a real lake and an ephemeral Dagster instance."""

from datetime import date
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from support.worlds import NOW, bring_up_to_date, deliver, land_all, write

from lakehouse.calendar import Days
from lakehouse.definitions import definitions
from lakehouse.environment import Environment
from lakehouse.errors import SetupError
from lakehouse.orchestration import sensors
from lakehouse.transform.make import make

FIRST = Days(date(2010, 12, 1), date(2010, 12, 1))


@pytest.fixture(autouse=True)
def one_look(monkeypatch):
    monkeypatch.setattr(sensors, "_WATCH_SECONDS", 0)


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def tick(here: Environment, instance: dg.DagsterInstance, name: str, cursor: str | None = None):
    defs = definitions(here)
    sensor = next(sensor for sensor in defs.sensors or [] if sensor.name == name)
    with dg.build_sensor_context(instance=instance, cursor=cursor, definitions=defs) as context:
        return sensor(context)


def lines(day: str, count: int = 5) -> str:
    rows = "".join(f"53636{n},85123A,X,{n + 1},{day} 08:2{n}:00,1,1,France\n" for n in range(count))
    return (
        f"InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n{rows}"
    )


def lands(result) -> list[set[str]]:
    """Returns the landing steps of each requested ingest run."""
    ops = [request.run_config["ops"] for request in result.run_requests or []]
    return [{name for name, op in one.items() if op["config"].get("asked")} for one in ops]


def requests(result) -> list[tuple[list[str], str | None]]:
    found = []
    for request in result.run_requests or []:
        first = request.partition_key or request.tags.get("dagster/asset_partition_range_start")
        last = request.partition_key or request.tags.get("dagster/asset_partition_range_end")
        found.append(
            (
                ["/".join(k.path) for k in request.asset_selection],
                f"{first}...{last}" if first else None,
            )
        )
    return found


def test_news_in_landing_asks_for_one_run_of_the_tables_that_have_it(here, instance):
    write(here, "invoice_lines", "a.csv", lines("2010-12-01"))
    write(here, "invoice_lines", "b.csv", lines("2010-12-02"))
    assert lands(tick(here, instance, "landing_sensor")) == [{"land_raw_invoice_lines"}]


def test_nothing_new_in_landing_asks_for_nothing(here, instance):
    write(here, "invoice_lines", "a.csv", lines("2010-12-01"))
    land_all(here)
    assert isinstance(tick(here, instance, "landing_sensor"), dg.SkipReason)


def test_a_file_that_stays_behind_is_asked_for_once(here, instance):
    write(here, "invoice_lines", "a.csv", lines("2010-12-01"))
    land_all(here)
    write(here, "invoice_lines", "b.csv", lines("2010-12-01"))
    asked = tick(here, instance, "landing_sensor")
    assert isinstance(tick(here, instance, "landing_sensor", cursor=asked.cursor), dg.SkipReason)


def test_a_file_that_comes_later_is_asked_for_beside_one_that_stays_behind(here, instance):
    write(here, "invoice_lines", "a.csv", lines("2010-12-01"))
    asked = tick(here, instance, "landing_sensor")
    write(here, "fx_rates", "b.csv", "Date,USD\n2010-12-01,1.3\n")
    assert lands(tick(here, instance, "landing_sensor", cursor=asked.cursor)) == [
        {"land_raw_fx_rates"}
    ]


def test_a_missing_landing_zone_is_an_error_and_not_an_empty_one(here, instance, tmp_path):
    (tmp_path / "landing").rmdir()
    with pytest.raises(SetupError, match="does not exist"):
        tick(here, instance, "landing_sensor")


def test_a_raw_commit_asks_for_exactly_its_days_downstream(here, instance):
    write(here, "invoice_lines", "a.csv", lines("2010-12-01"))
    bring_up_to_date(here)
    done = tick(here, instance, "commit_sensor").cursor
    write(
        here, "invoice_lines", "b.csv", lines("2010-12-07") + lines("2010-12-20").partition("\n")[2]
    )
    land_all(here)
    found = requests(tick(here, instance, "commit_sensor", cursor=done))
    assert [days for _, days in found] == ["2010-12-07...2010-12-20"]
    folded = ["staged/products", "staged/customers"]
    assert found[0][0] == [
        "staged/invoice_lines",
        *folded,
        "marts/daily_sales",
        "marts/sales",
        "marts/customers",
    ]


def test_a_staged_commit_asks_for_the_days_whose_mean_it_enters(here, instance):
    for day in ("2010-12-01", "2010-12-03", "2010-12-09"):
        write(here, "invoice_lines", f"{day}.csv", lines(day))
    bring_up_to_date(here)
    done = tick(here, instance, "commit_sensor").cursor
    write(here, "invoice_lines", "late.csv", lines("2010-12-01", 6))
    land_all(here)
    make(here.lake, here.catalog, "staged/invoice_lines", FIRST, now=NOW)
    make(here.lake, here.catalog, "staged/customers", now=NOW)
    runs = requests(tick(here, instance, "commit_sensor", cursor=done))
    found = {table: days for tables, days in runs for table in tables}
    assert found["marts/daily_sales"] == "2010-12-01...2010-12-03"
    assert found["marts/product_months"] == "2010-12-01...2010-12-01"


def test_a_commit_sensor_that_lost_its_cursor_asks_for_what_is_stale(here, instance):
    write(here, "invoice_lines", "a.csv", lines("2010-12-01"))
    bring_up_to_date(here)
    write(here, "invoice_lines", "b.csv", lines("2010-12-07"))
    land_all(here)
    assert [days for _, days in requests(tick(here, instance, "commit_sensor"))] == [
        "2010-12-07...2010-12-07"
    ]


def test_a_sensor_asks_for_the_same_stale_days_only_once(here, instance):
    write(here, "invoice_lines", "a.csv", lines("2010-12-01"))
    land_all(here)
    asked = tick(here, instance, "commit_sensor")
    assert requests(asked)
    assert not requests(tick(here, instance, "commit_sensor", cursor=asked.cursor))


def test_the_nightly_job_lands_and_makes_whatever_no_sensor_saw(here, instance, samples):
    deliver(here, "invoice_lines", *(samples[0] / "invoice_lines").iterdir())
    job = definitions(here).resolve_job_def("heal_job")
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    assert job.execute_in_process(instance=instance, run_config=quiet).success
    assert here.create_planner().find_stale_tables() == []
    found = instance.get_materialized_partitions(dg.AssetKey(["marts", "daily_sales"]))
    assert len(found) == len(samples[1].invoice_lines.rows_by_day)


def test_the_nightly_job_goes_on_past_a_table_that_fails_and_ends_red(here, instance):
    write(
        here,
        "invoice_lines",
        "a.csv",
        lines("2010-12-01").replace(",X,", ",X,0 ").replace(",1,1,France", ",-1,1,France"),
    )
    write(here, "fx_rates", "b.csv", "Date,USD\n2010-12-01,1.3\n")
    job = definitions(here).resolve_job_def("heal_job")
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    result = job.execute_in_process(instance=instance, run_config=quiet, raise_on_error=False)
    assert not result.success
    assert here.lake.open("staged/fx_rates") is not None
    assert here.lake.open("staged/invoice_lines") is None
    [check] = [check for check in result.get_asset_check_evaluations() if not check.passed]
    assert check.asset_key == dg.AssetKey(["staged", "invoice_lines"])


def heal(here, instance):
    """Does the nightly run."""
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    job = definitions(here).resolve_job_def("heal_job")
    return job.execute_in_process(instance=instance, run_config=quiet, raise_on_error=False)


@pytest.mark.full
def test_the_nightly_job_tells_each_days_own_counts_and_checks(here, instance):
    write(here, "invoice_lines", "a.csv", lines("2010-12-01"))
    write(here, "invoice_lines", "b.csv", lines("2010-12-02", 2).replace(",X,", ",Y,"))
    result = heal(here, instance)
    assert result.success
    key = dg.AssetKey(["staged", "invoice_lines"])
    made = {
        r.partition_key: r.asset_materialization
        for r in instance.fetch_materializations(key, limit=10).records
    }
    assert {day: event.metadata["partition_read"].value for day, event in made.items()} == {
        day: here.lake.scan("raw/invoice_lines")
        .filter(pl.col("_event_date") == date.fromisoformat(day))
        .collect()
        .height
        for day in ("2010-12-01", "2010-12-02")
    }
    assert key in {
        check.asset_key for check in result.get_asset_check_evaluations() if check.passed
    }


@pytest.mark.full
def test_the_nightly_job_names_refused_files_although_everything_else_went_well(here, instance):
    write(here, "invoice_lines", "a.csv", lines("2010-12-01"))
    write(here, "invoice_lines", "bad.csv", "")
    result = heal(here, instance)
    assert not result.success
    assert "bad.csv" in str(result.failure_data_for_node("heal").user_failure_data.description)
    assert here.create_planner().find_stale_tables() == []


def test_the_nightly_job_heals_although_landing_is_away(here, instance):
    write(here, "invoice_lines", "a.csv", lines("2010-12-01"))
    land_all(here)
    Path(here.landing.root).rename(Path(here.landing.root).with_name("away"))
    result = heal(here, instance)
    assert not result.success
    assert here.create_planner().find_stale_tables() == []


def run_asked(here: Environment, instance: dg.DagsterInstance, result) -> list[bool]:
    """Runs the requested ingest runs; returns whether each succeeded."""
    job = definitions(here).resolve_job_def("ingest_job")
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    return [
        job.execute_in_process(
            instance=instance,
            run_config={**quiet, **one.run_config},
            tags=one.tags,
            raise_on_error=False,
        ).success
        for one in result.run_requests
    ]


def test_the_run_that_news_in_landing_asks_for_leaves_the_commit_sensor_nothing_to_ask_for(
    here, instance
):
    write(here, "invoice_lines", "a.csv", lines("2010-12-01"))
    bring_up_to_date(here)
    done = tick(here, instance, "commit_sensor").cursor
    write(here, "invoice_lines", "b.csv", lines("2010-12-01", 6))
    assert run_asked(here, instance, tick(here, instance, "landing_sensor")) == [True]
    assert here.create_planner().find_stale_tables() == []
    assert not requests(tick(here, instance, "commit_sensor", cursor=done))


def begun(
    here: Environment, instance: dg.DagsterInstance, status: dg.DagsterRunStatus
) -> dg.DagsterRun:
    """Adds an ingest run with a status."""
    job = definitions(here).resolve_job_def("ingest_job")
    return instance.create_run_for_job(job, status=status)


@pytest.mark.parametrize(
    ("status", "waits"), [("STARTED", True), ("STARTING", False), ("FAILURE", False)]
)
def test_the_commit_sensor_waits_for_an_ingest_run_that_is_at_work(here, instance, status, waits):
    write(here, "invoice_lines", "a.csv", lines("2010-12-01"))
    land_all(here)
    begun(here, instance, dg.DagsterRunStatus(status))
    found = tick(here, instance, "commit_sensor")
    assert isinstance(found, dg.SkipReason) if waits else requests(found)


def watched(
    here: Environment, instance: dg.DagsterInstance, *looks: dg.SensorResult | dg.SkipReason
):
    """Returns the result of a tick whose looks return these answers, and the cursors that the looks got."""
    given, found = [], list(looks)

    def look(_, cursor):
        given.append(cursor)
        return found.pop(0) if len(found) > 1 else found[0]

    with dg.build_sensor_context(instance=instance, cursor="old") as context:
        return sensors._watch(here, look, context), given


def test_a_look_that_only_moves_the_cursor_does_not_end_the_tick(here, instance, monkeypatch):
    monkeypatch.setattr(sensors, "_WATCH_SECONDS", 30)
    monkeypatch.setattr(sensors, "_LOOK_EVERY", 0)
    moved, asks = (
        dg.SensorResult(cursor="new"),
        dg.SensorResult(run_requests=[dg.RunRequest()], cursor="asked"),
    )
    result, given = watched(here, instance, moved, dg.SkipReason("nothing"), asks)
    assert given == ["old", "new", "new"]
    assert result is asks


def test_a_cursor_that_moved_during_a_tick_is_kept_at_its_end(here, instance, monkeypatch):
    monkeypatch.setattr(sensors, "_WATCH_SECONDS", 0.2)
    monkeypatch.setattr(sensors, "_LOOK_EVERY", 0.15)
    result, _ = watched(here, instance, dg.SensorResult(cursor="new"), dg.SkipReason("nothing"))
    assert (result.cursor, result.run_requests) == ("new", [])
    assert "nothing" in str(result.skip_reason)


@pytest.mark.full
def test_what_an_ingest_run_could_not_make_is_left_to_the_commit_sensor(here, instance):
    write(
        here, "invoice_lines", "a.csv", lines("2010-12-01") + lines("2010-12-02").partition("\n")[2]
    )
    bring_up_to_date(here)
    done = tick(here, instance, "commit_sensor").cursor
    write(here, "invoice_lines", "good.csv", lines("2010-12-01", 6))
    write(
        here,
        "invoice_lines",
        "poisoned.csv",
        lines("2010-12-02", 6).replace(",1,1,France", ",-1,1,France"),
    )
    assert run_asked(here, instance, tick(here, instance, "landing_sensor")) == [False]
    asked = requests(tick(here, instance, "commit_sensor", cursor=done))
    assert {table for tables, _ in asked for table in tables} >= {
        "marts/daily_sales",
        "marts/product_months",
    }
    assert not {table for tables, _ in asked for table in tables} & {"staged/invoice_lines"}
