"""Publishes line items by dlt: read by DuckDB, checked in the pipe, loaded as two Delta tables.

`arrow` takes record batches, which dlt passes through unchanged. `rows` takes dictionaries, dlt's
path for everything that is not a frame. The file is read once for both tables: dlt forks a pipe
that two transformers share.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

WAY, CSV, TARGET = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
os.environ |= {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "ERROR",
    "LOAD__DELETE_COMPLETED_JOBS": "true",
    "DATA_WRITER__DISABLE_COMPRESSION": "true",
}

import deltalake  # noqa: E402, F401 - imported before the clock starts
import dlt  # noqa: E402
import duckdb  # noqa: E402, F401
import pyarrow as pa  # noqa: E402
import pyarrow.compute as pc  # noqa: E402
from dlt.sources.filesystem import filesystem, read_csv_duckdb  # noqa: E402

TYPES = {
    "l_orderkey": "BIGINT",
    "l_partkey": "BIGINT",
    "l_suppkey": "BIGINT",
    "l_linenumber": "INTEGER",
    **dict.fromkeys(("l_quantity", "l_extendedprice", "l_discount", "l_tax"), "DOUBLE"),
    **dict.fromkeys(("l_returnflag", "l_linestatus"), "VARCHAR"),
    **dict.fromkeys(("l_shipdate", "l_commitdate", "l_receiptdate"), "DATE"),
    **dict.fromkeys(("l_shipinstruct", "l_shipmode", "l_comment"), "VARCHAR"),
}
FLAGS, MODES = ["A", "N", "R"], ["AIR", "FOB", "MAIL", "RAIL", "REG AIR", "SHIP", "TRUCK"]
MONTHLY = {"_month": {"data_type": "date", "partition": True}}
Row = dict[str, int | float | str | date | None]


def batch_mask(batch: pa.RecordBatch) -> pa.BooleanArray:
    """Returns for each row of a batch whether it is complete and meets all rules."""
    rules = [
        pc.greater(batch["l_orderkey"], 0),
        pc.greater(batch["l_partkey"], 0),
        pc.and_kleene(
            pc.greater_equal(batch["l_linenumber"], 1), pc.less_equal(batch["l_linenumber"], 7)
        ),
        pc.and_kleene(
            pc.greater_equal(batch["l_quantity"], 1), pc.less_equal(batch["l_quantity"], 50)
        ),
        pc.less(batch["l_extendedprice"], 104_500),
        pc.and_kleene(
            pc.greater_equal(batch["l_discount"], 0), pc.less_equal(batch["l_discount"], 0.1)
        ),
        pc.greater_equal(batch["l_tax"], 0),
        pc.is_in(batch["l_returnflag"], pa.array(FLAGS)),
        pc.is_in(batch["l_shipmode"], pa.array(MODES)),
        *(pc.is_valid(batch[name]) for name in TYPES),
    ]
    held = rules[0]
    for rule in rules[1:]:
        held = pc.and_kleene(held, rule)
    return pc.fill_null(held, False)


def row_holds(row: Row) -> bool:
    """Returns whether a row is complete and meets all rules."""
    return (
        None not in row.values()
        and row["l_orderkey"] > 0
        and row["l_partkey"] > 0
        and 1 <= row["l_linenumber"] <= 7
        and 1 <= row["l_quantity"] <= 50
        and row["l_extendedprice"] < 104_500
        and 0 <= row["l_discount"] <= 0.1
        and row["l_tax"] >= 0
        and row["l_returnflag"] in FLAGS
        and row["l_shipmode"] in MODES
    )


@dlt.transformer(
    name="lineitem", table_format="delta", write_disposition="replace", columns=MONTHLY
)
def valid_batches(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Yields the valid rows of a batch with their month."""
    held = batch.filter(batch_mask(batch))
    month = pc.floor_temporal(held["l_shipdate"], unit="month").cast(pa.date32())
    yield held.append_column("_month", month)


@dlt.transformer(name="lineitem_rejected", table_format="delta", write_disposition="replace")
def rejected_batches(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Yields the rejected rows of a batch."""
    rejected = batch.filter(pc.invert(batch_mask(batch)))
    if rejected.num_rows:
        yield rejected


@dlt.transformer(
    name="lineitem", table_format="delta", write_disposition="replace", columns=MONTHLY
)
def valid_rows(rows: list[Row]) -> Iterator[list[Row]]:
    """Yields the valid rows with their month."""
    yield [{**row, "_month": row["l_shipdate"].replace(day=1)} for row in rows if row_holds(row)]


@dlt.transformer(name="lineitem_rejected", table_format="delta", write_disposition="replace")
def rejected_rows(rows: list[Row]) -> Iterator[list[Row]]:
    """Yields the rejected rows."""
    yield [row for row in rows if not row_holds(row)]


def main() -> None:
    """Runs the pipeline once and prints the seconds."""
    started = time.monotonic()
    file = filesystem(bucket_url=CSV.parent.resolve().as_uri(), file_glob=CSV.name)
    arrow = WAY == "arrow"
    read = file | read_csv_duckdb(
        use_pyarrow=arrow, chunk_size=200_000 if arrow else 5_000, dtype=TYPES
    )
    outputs = (
        [read | valid_batches, read | rejected_batches]
        if arrow
        else [read | valid_rows, read | rejected_rows]
    )
    pipeline = dlt.pipeline(
        pipeline_name="publish",
        pipelines_dir=str(TARGET / "pipeline"),
        destination=dlt.destinations.filesystem(bucket_url=str(TARGET)),
        dataset_name="public",
    )
    pipeline.run(outputs)
    print(json.dumps({"seconds": time.monotonic() - started}))


if __name__ == "__main__":
    main()
