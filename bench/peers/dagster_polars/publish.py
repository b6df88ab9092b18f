"""Publishes line items by dagster-polars: one asset with two outputs, collected and written.

Its `partition_by` means Dagster's own partitions, each of which would read the whole file. Here the
whole table is partitioned by what its metadata passes to `write_delta`.
"""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
from dagster import AssetOut, DagsterInstance, Output, materialize, multi_asset
from dagster_polars import PolarsDeltaIOManager

from bench.peers.polars_rules import holds, items

CSV, TARGET = Path(sys.argv[1]), Path(sys.argv[2])
MONTHLY = {"streaming": True, "delta_write_options": {"partition_by": ["_month"]}}
QUIET = {"loggers": {"console": {"config": {"log_level": "WARNING"}}}}


@multi_asset(
    outs={
        "lineitem": AssetOut(dagster_type=pl.LazyFrame, metadata=MONTHLY),
        "lineitem_rejected": AssetOut(dagster_type=pl.LazyFrame, metadata={"streaming": True}),
    }
)
def lineitems() -> Iterator[Output[pl.LazyFrame]]:
    """The rows that meet the rules, and those that do not."""
    rows = items(CSV)
    yield Output(rows.filter(holds()), "lineitem")
    yield Output(rows.filter(~holds()).drop("_month"), "lineitem_rejected")


def main() -> None:
    """Materializes both in this process and prints the seconds."""
    with TemporaryDirectory() as home, DagsterInstance.local_temp(home) as instance:
        started = time.monotonic()
        resources = {"io_manager": PolarsDeltaIOManager(base_dir=str(TARGET))}
        materialize([lineitems], instance=instance, resources=resources, run_config=QUIET)
        print(json.dumps({"seconds": time.monotonic() - started}))


if __name__ == "__main__":
    main()
