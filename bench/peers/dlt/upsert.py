"""Loads orders by dlt into a Delta table, with its merge strategy `upsert`: `upsert <folder>`.

DuckDB reads `<folder>/arrived.parquet`, and dlt passes it through as Arrow.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

TARGET = Path(sys.argv[1])
os.environ |= {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "ERROR",
    "LOAD__DELETE_COMPLETED_JOBS": "true",
    "DATA_WRITER__DISABLE_COMPRESSION": "true",
}

import deltalake  # noqa: E402, F401 - imported before the clock starts
import dlt  # noqa: E402
import duckdb  # noqa: E402
import pyarrow as pa  # noqa: E402

TYPED = (
    "order_id::BIGINT AS order_id, changed_on::DATE AS changed_on, status, "
    "amount::DOUBLE AS amount, remark"
)


@dlt.resource(
    primary_key="order_id",
    write_disposition={"disposition": "merge", "strategy": "upsert"},
    table_format="delta",
)
def orders() -> Iterator[pa.RecordBatch]:
    """Yields the arrived orders with their types."""
    yield from duckdb.sql(f"SELECT {TYPED} FROM '{TARGET / 'arrived.parquet'}'").to_arrow_reader(
        200_000
    )


def main() -> None:
    """Runs the pipeline once and prints the seconds."""
    started = time.monotonic()
    pipeline = dlt.pipeline(
        pipeline_name="upsert",
        pipelines_dir=str(TARGET / "pipeline"),
        destination=dlt.destinations.filesystem(bucket_url=str(TARGET)),
        dataset_name="public",
    )
    pipeline.run(orders()).raise_on_failed_jobs()
    print(json.dumps({"seconds": time.monotonic() - started}))


if __name__ == "__main__":
    main()
