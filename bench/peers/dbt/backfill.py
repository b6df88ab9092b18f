"""Makes a year of readings by dbt on DuckDB with its strategy `microbatch`: `backfill <folder>`.

A batch is a day, which dbt deletes and inserts.
"""

import json
import os
import sys
import time
from pathlib import Path

TARGET = Path(sys.argv[1])
PROJECT = Path(__file__).parent / "backfill"
os.environ |= {"BENCH_TARGET": str(TARGET), "DO_NOT_TRACK": "1"}

import dbt.adapters.duckdb  # noqa: E402, F401 - imported before the clock starts
from dbt.cli.main import dbtRunner  # noqa: E402


def main() -> None:
    """Calls `dbt run` in this process and prints the seconds."""
    started = time.monotonic()
    folders = ["--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)]
    written = ["--target-path", str(TARGET / "target"), "--log-path", str(TARGET / "logs")]
    days = ["--event-time-start", "2024-01-01", "--event-time-end", "2024-12-31"]
    quiet = ["--no-use-colors", "--quiet", "--log-level-file", "none"]
    if not dbtRunner().invoke([*quiet, "run", *days, *folders, *written]).success:
        sys.exit(1)
    print(json.dumps({"seconds": time.monotonic() - started}))


if __name__ == "__main__":
    main()
