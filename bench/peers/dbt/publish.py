"""Publishes line items by dbt on DuckDB: two external Parquet tables, nine rules as tests."""

import json
import os
import sys
import time
from pathlib import Path

CSV, TARGET = Path(sys.argv[1]), Path(sys.argv[2])
PROJECT = Path(__file__).parent / "publish"
os.environ |= {"BENCH_CSV": str(CSV.resolve()), "BENCH_TARGET": str(TARGET), "DO_NOT_TRACK": "1"}

import dbt.adapters.duckdb  # noqa: E402, F401 - imported before the clock starts
from dbt.cli.main import dbtRunner  # noqa: E402


def main() -> None:
    """Calls `dbt build` in this process and prints the seconds."""
    started = time.monotonic()
    folders = ["--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)]
    written = ["--target-path", str(TARGET / "target"), "--log-path", str(TARGET / "logs")]
    done = dbtRunner().invoke(
        ["--no-use-colors", "--log-level-file", "none", "build", *folders, *written]
    )
    if not done.success:
        sys.exit(1)
    print(json.dumps({"seconds": time.monotonic() - started}))


if __name__ == "__main__":
    main()
