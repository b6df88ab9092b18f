"""Keeps orders by dbt on DuckDB: `orders run <folder>` or `orders snapshot <folder> <file> …`.

`run` makes the incremental model from `<folder>/arrived.parquet`. `snapshot` puts files there one
after another and takes a snapshot of each.
"""

import json
import os
import sys
import time
from pathlib import Path

COMMAND, TARGET, FILES = sys.argv[1], Path(sys.argv[2]), [Path(file) for file in sys.argv[3:]]
PROJECT = Path(__file__).parent / "orders"
os.environ |= {"BENCH_TARGET": str(TARGET), "DO_NOT_TRACK": "1"}

import dbt.adapters.duckdb  # noqa: E402, F401 - imported before the clock starts
from dbt.cli.main import dbtRunner  # noqa: E402


def invoke() -> None:
    """Calls dbt once in this process."""
    folders = ["--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)]
    written = ["--target-path", str(TARGET / "target"), "--log-path", str(TARGET / "logs")]
    if (
        not dbtRunner()
        .invoke(["--no-use-colors", "--log-level-file", "none", COMMAND, *folders, *written])
        .success
    ):
        sys.exit(1)


def main() -> None:
    """Makes all calls and prints the seconds."""
    started = time.monotonic()
    for file in FILES:
        (TARGET / "arrived.parquet").unlink(missing_ok=True)
        (TARGET / "arrived.parquet").symlink_to(file)
        invoke()
    if not FILES:
        invoke()
    print(json.dumps({"seconds": time.monotonic() - started}))


if __name__ == "__main__":
    main()
