"""`make bench`: 365 daily partitions in one run of Dagster, against a plain write and peers.

The peers are dbt's microbatch, and a run for each partition.

All read the same raw rows of text, which are written beforehand. Against a plain write, Dagster's
start is not counted. Where each day has its own run, the run is a process, as Dagster's launcher
starts it, and the whole process counts. The one run that it is compared with counts whole as well.
"""

import argparse
import json
import os
import subprocess
import time
from collections.abc import Hashable
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import daily
from bench.beside import OUT, TARGET, Way, Work, list_installable, module, peer_module, side_by_side
from bench.dagster_settings import settings
from bench.figures import Line
from bench.measure import ROOT
from bench.stood import clone, in_delta, in_duckdb
from lakehouse.storage.lake import Lake

OURS, BATCHED = "ours, one run", "ours, batched events"
ENGINE, PLAIN = "ours, no dagster", "sink_delta"
DBT, BY_DAY, POLARS_BY_DAY = "dbt microbatch", "ours, a run a day", "dagster-polars"
READING = "meter::bigint, round(power * 10)::bigint, read_at::timestamp, read_date::date"


def some_days(home: Path, days: int, *, is_batched: bool = False) -> dict[str, float]:
    """Makes the first days in one run of Dagster, whose storage may write events in batches."""
    last = daily.FIRST + timedelta(days=days - 1)
    tags = {
        "dagster/asset_partition_range_start": str(daily.FIRST),
        "dagster/asset_partition_range_end": str(last),
    }
    return _run(home, tags, is_batched=is_batched)


def one_day(home: Path, day: date) -> dict[str, float]:
    """Makes one day in a run of Dagster."""
    return _run(home, {"dagster/partition": str(day)})


def _run(home: Path, tags: dict[str, str], *, is_batched: bool = False) -> dict[str, float]:
    """A run of Dagster, with its storage beside the lake."""
    import dagster as dg  # noqa: PLC0415

    from lakehouse.definitions import definitions  # noqa: PLC0415
    from lakehouse.environment import Environment  # noqa: PLC0415
    from lakehouse.ingest.files.landing_zone import Landing  # noqa: PLC0415
    from lakehouse.tables.collect import collect_tables  # noqa: PLC0415

    here = Environment(
        Lake(str(home / "lake")), Landing(str(home / "landing")), collect_tables([daily])
    )
    (home / "dagster.yaml").write_text(settings(is_batched=is_batched))
    os.environ["DAGSTER_HOME"] = str(home)
    instance = dg.DagsterInstance.get()
    job = definitions(here).resolve_implicit_global_asset_job_def()
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    started = time.monotonic()
    result = job.execute_in_process(
        asset_selection=[dg.AssetKey(["staged", "readings"])],
        tags=tags,
        instance=instance,
        run_config=quiet,
    )
    seconds = time.monotonic() - started
    made = here.lake.read_remaining_log("staged/readings")[-1].info["audit"]
    assert result.success
    assert made["read"] == made["written"], made
    return {"seconds": seconds, "rows": made["rows"]}


def by_engine(home: Path) -> None:
    """Makes every day without Dagster."""
    from lakehouse.tables.collect import collect_tables  # noqa: PLC0415
    from lakehouse.transform.make import make  # noqa: PLC0415

    assert make(Lake(str(home / "lake")), collect_tables([daily]), "staged/readings") is not None


def one(way: str, home: Path, days: int) -> dict[str, float]:
    """Runs one way once and returns its figures."""
    if way in (OURS, BATCHED):
        return some_days(home, days, is_batched=way == BATCHED)
    started = time.monotonic()
    if way == ENGINE:
        by_engine(home)
    elif way == PLAIN:
        daily.plain(Lake(str(home / "lake")), home)
    else:
        for number in range(days):
            day = daily.FIRST + timedelta(days=number)
            subprocess.run(
                module("bench.backfill", "--home", str(home), "--day", str(day)),
                check=True,
                cwd=ROOT,
            )
    return {"seconds": time.monotonic() - started}


def outcome(way: str, _step: str, folder: Path) -> Hashable:
    """Returns the readings as a way has written them."""
    if way == DBT:
        return in_duckdb(folder / "readings.duckdb", "readings", READING)
    places = {PLAIN: "plain", POLARS_BY_DAY: "readings.delta"}
    return in_delta(folder / places.get(way, "lake/staged/readings"), READING)


def _of_this_project(step: str, names: list[str], days: int) -> list[Way]:
    given = ("--home", TARGET, "--days", str(days), "--way")
    return [Way(name, {step: module("bench.backfill", *given, name)}) for name in names]


def at_once(raw: Path, *, has_peers: bool = True) -> Work:
    """Returns the bench on all days, each way in one call."""
    step = f"{daily.DAYS} days"
    ways = _of_this_project(step, [OURS, BATCHED, ENGINE, PLAIN], daily.DAYS)
    if has_peers:
        ways += list_installable(
            {DBT: lambda: Way(DBT, {step: peer_module("dbt", "backfill", TARGET)})}
        )
    title = f"{daily.DAYS} days of readings, made again at once"
    return Work("backfill", title, ways, PLAIN, outcome, partial(_prepare, raw))


def by_day(raw: Path, days: int, *, has_peers: bool = True) -> Work:
    """Returns the bench on some days: one run for all, and a run for each."""
    step = f"{days} days"
    ways = _of_this_project(step, [OURS, BY_DAY], days)
    if has_peers:
        command = partial(peer_module, "dagster_polars", "backfill", TARGET, str(days))
        ways += list_installable({POLARS_BY_DAY: lambda: Way(POLARS_BY_DAY, {step: command()})})
    title = f"{days} of {daily.DAYS} days of readings, one run for all and a run for each"
    return Work("backfill-by-day", title, ways, OURS, outcome, partial(_prepare, raw), whole=True)


def _prepare(raw: Path, _way: str, _step: str, folder: Path) -> None:
    clone(raw, folder / "lake")


def compare(
    out: Path, rows_a_day: int, days: int, rounds: int, *, has_peers: bool = True
) -> list[Line]:
    """Compares all ways."""
    with TemporaryDirectory(dir=out) as folder:
        daily.fill(Lake(folder), rows_a_day)
        whole = side_by_side(at_once(Path(folder), has_peers=has_peers), rounds)
        each = by_day(Path(folder), days, has_peers=has_peers)
        some = side_by_side(
            each, 1 if days == daily.DAYS else rounds
        )  # hundreds of runs are rounds enough
    return [*whole, *some]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=30_000, help="of a day")
    parser.add_argument(
        "--days", type=int, default=daily.DAYS, help="how many get a run of their own"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--home", type=Path, help="for one way or day: a folder with a lake")
    parser.add_argument("--way", choices=[OURS, BATCHED, ENGINE, PLAIN, BY_DAY])
    parser.add_argument("--day", type=date.fromisoformat)
    given = parser.parse_args()
    if given.day:
        one_day(given.home, given.day)
    elif given.way:
        print(json.dumps(one(given.way, given.home, given.days)))
    else:
        OUT.mkdir(parents=True, exist_ok=True)
        compare(OUT, given.rows, given.days, given.rounds)


if __name__ == "__main__":
    main()
