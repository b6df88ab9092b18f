"""`make bench`: 365 daily partitions in one Dagster run, beside the same rows in one unpartitioned, unaudited write.

Dagster's start is not counted; the share that goes into its event log is named.
"""

import argparse
import json
import os
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory

OUT = Path(__file__).parent / "out"


def one(way: str, lake_folder: Path) -> None:
    """One way, once; prints its figures."""
    from lakehouse.lake import Lake  # noqa: PLC0415

    with TemporaryDirectory(dir=OUT) as target:
        if way == "plain":
            from bench.daily import plain  # noqa: PLC0415

            started = time.monotonic()
            plain(Lake(str(lake_folder)), Path(target))
            print(json.dumps({"seconds": time.monotonic() - started}))
            return
        print(json.dumps(_run(Path(target), lake_folder)))


def _run(home: Path, lake_folder: Path) -> dict[str, float]:
    """The backfill through Dagster, with its storage in a folder of its own."""
    import dagster as dg  # noqa: PLC0415

    from bench import daily  # noqa: PLC0415
    from lakehouse.catalog import collect  # noqa: PLC0415
    from lakehouse.definitions import definitions  # noqa: PLC0415
    from lakehouse.environment import Environment  # noqa: PLC0415
    from lakehouse.lake import Lake  # noqa: PLC0415
    from lakehouse.sources.landing import Landing  # noqa: PLC0415

    here = Environment(Lake(str(lake_folder)), Landing(str(home)), collect([daily]))
    (home / "dagster.yaml").write_text((OUT.parent.parent / "dagster.yaml").read_text())
    os.environ["DAGSTER_HOME"] = str(home)
    instance = dg.DagsterInstance.get()
    job = definitions(here).resolve_implicit_global_asset_job_def()
    tags = {"dagster/asset_partition_range_start": "2024-01-01", "dagster/asset_partition_range_end": "2024-12-30"}
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    started = time.monotonic()
    result = job.execute_in_process(
        asset_selection=[dg.AssetKey(["staged", "readings"])], tags=tags, instance=instance, run_config=quiet
    )
    seconds = time.monotonic() - started
    made = here.lake.log_left("staged/readings")[-1].info["audit"]
    assert result.success
    assert made["read"] == made["written"], made
    return {"seconds": seconds, "engine": made["seconds"], "rows": made["rows"], "events": len(result.all_events)}


def compare(rows_a_day: int, rounds: int) -> None:
    """Both ways; prints times, the ratio and the share of event logging."""
    from bench.daily import DAYS, fill  # noqa: PLC0415
    from bench.measure import drop_written_pages, medians, run  # noqa: PLC0415
    from lakehouse.lake import Lake  # noqa: PLC0415

    with TemporaryDirectory(dir=OUT) as folder:
        fill(Lake(folder), rows_a_day)
        costs: dict[str, list] = {"plain": [], "backfill": []}
        for turn in range(rounds):
            for way in list(costs) if turn % 2 == 0 else list(reversed(costs)):
                costs[way].append(run("bench.backfill", "--way", way, "--lake", folder))
                drop_written_pages()
    base = medians(costs["plain"])
    print(f"\nbackfill, {DAYS} days of {rows_a_day:,} rows, {rounds} rounds")
    print(f"{'way':<12}{'seconds':>9}{'spread':>9}{'x plain':>9}{'peak MiB':>10}")
    for way, taken in costs.items():
        seconds, spread, peak = medians(taken)
        print(f"{way:<12}{seconds:>9.2f}{spread:>9.0%}{seconds / base[0]:>9.2f}{peak:>10.0f}")
    engine = statistics.median(cost.said["engine"] for cost in costs["backfill"])
    whole = medians(costs["backfill"])[0]
    dagster, events = whole - engine, costs["backfill"][0].said["events"]
    print(
        f"of the backfill: engine {engine:.2f} s; Dagster and its event log {dagster:.2f} s ({dagster / whole:.0%}), "
    )
    print(f"which is {dagster / DAYS * 1000:.1f} ms a partition, {events:.0f} events")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--way")
    parser.add_argument("--lake", type=Path)
    parser.add_argument("--rows", type=int, default=30_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    if given.way:
        one(given.way, given.lake)
    else:
        compare(given.rows, given.rounds)


if __name__ == "__main__":
    main()
