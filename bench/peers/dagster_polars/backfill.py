"""Makes some days of readings by dagster-polars: `backfill <folder> <days> [<day>]`.

Its Delta IO manager writes one partition in each run, named by `partition_by`, and overwrites it by
a predicate. Each run is a process, as Dagster's launcher starts it. Its storage is next to the
tables.
"""

import json
import os
import subprocess
import sys
import time
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import polars as pl
from dagster_polars import PolarsDeltaIOManager

TARGET, DAYS = Path(sys.argv[1]), int(sys.argv[2])
FIRST = date(2024, 1, 1)
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dg.asset(
    metadata={"partition_by": "read_date"},
    partitions_def=dg.DailyPartitionsDefinition(str(FIRST), end_date="2024-12-31"),
)
def readings(context: dg.AssetExecutionContext) -> pl.DataFrame:
    """Typed readings of a day."""
    day = date.fromisoformat(context.partition_key)
    received = pl.scan_delta(str(TARGET / "lake" / "raw" / "readings")).filter(
        pl.col("_event_date") == day
    )
    return received.select(
        pl.col("meter").cast(pl.Int64, strict=False),
        pl.col("power").cast(pl.Float64, strict=False),
        pl.col("read_at").str.to_datetime(
            "%Y-%m-%d %H:%M:%S", strict=False, time_zone="UTC", time_unit="us"
        ),
        pl.col("read_at").str.head(10).str.to_date("%Y-%m-%d", strict=False).alias("read_date"),
        "_source",
        "_offset",
    ).collect(engine="streaming")


def make(day: str) -> None:
    """Materializes one day."""
    os.environ["DAGSTER_HOME"] = str(TARGET)
    (TARGET / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    resources = {"io_manager": PolarsDeltaIOManager(base_dir=str(TARGET))}
    instance = dg.DagsterInstance.get()
    dg.materialize(
        [readings], instance=instance, resources=resources, partition_key=day, run_config=QUIET
    )


def main() -> None:
    """Makes some days in turn, or the one that is named; prints the seconds."""
    if sys.argv[3:]:
        make(sys.argv[3])
        return
    started = time.monotonic()
    for number in range(DAYS):
        day = str(FIRST + timedelta(days=number))
        subprocess.run([sys.executable, "-W", "ignore", __file__, *sys.argv[1:], day], check=True)
    print(json.dumps({"seconds": time.monotonic() - started}))


if __name__ == "__main__":
    main()
