"""Lands a batch of broken files in a child, and describes what the lake holds of each file."""

import json
import time
from collections import defaultdict
from pathlib import Path

import polars as pl

from campaign.broken import REQUIRED
from campaign.children import SMALL_LIMITS
from lakehouse.errors import LakehouseError
from lakehouse.ingest.files.landing_zone import Landing
from lakehouse.ingest.land import land
from lakehouse.storage.lake import Lake
from lakehouse.tables.declare import raw
from lakehouse.tables.table_types import RawTable

_DAY = pl.col("day").str.to_date("%Y-%m-%d", strict=False)
TABLES = (
    raw("loose", "Files with any columns.", columns=()),
    raw("strict", "Files with some columns that they must have.", columns=REQUIRED, day=_DAY),
)


def land_all(folder: Path) -> None:
    """In a child: lands everything, and writes what became of each file to `stands.json`."""
    lake, landing = (
        Lake(str(folder / "lake"), limits=SMALL_LIMITS),
        Landing(str(folder / "landing"), rest_seconds=0),
    )
    problems: list[str] = []
    for table in TABLES:
        (folder / "landing" / table.landing).mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        try:
            report = land(lake, landing, table)
            again = land(lake, landing, table)
        except LakehouseError as error:
            problems.append(f"{table.name}: {error}")
            continue
        problems += [f"{table.name}: {name} rests" for name in report.unfinished]
        problems += (
            [f"{table.name}: landed something twice"]
            if any(audit.written for audit in again.audits)
            else []
        )
        problems += (
            [f"{table.name}: {seconds:.0f} s"]
            if (seconds := time.monotonic() - started) > 60
            else []
        )
    (folder / "stands.json").write_text(json.dumps({"problems": problems, "files": _files(lake)}))


def _files(lake: Lake) -> dict[str, dict[str, object]]:
    """Returns for each source the rows, the dead letters and the column names."""
    found: dict[str, dict[str, object]] = {}
    for table in TABLES:
        found |= _of_table(lake, table)
    if lake.open("quarantine/deliveries") is not None:
        for source, outcome in (
            lake.scan("quarantine/deliveries").select("_source", "outcome").collect().iter_rows()
        ):
            found.setdefault(source, {"rows": [], "dead": [], "columns": []})["outcome"] = outcome
    return found


def _of_table(lake: Lake, table: RawTable) -> dict[str, dict[str, object]]:
    rows: dict[str, list[tuple[int, list[str]]]] = defaultdict(list)
    dead: dict[str, list[tuple[int | None, str, str]]] = defaultdict(list)
    columns: list[str] = []
    if lake.open(table.name) is not None:
        frame = lake.scan(table.name).collect()
        columns = [name for name in frame.columns if not name.startswith("_")]
        for source, offset, *values in frame.select("_source", "_offset", *columns).iter_rows():
            rows[source].append((offset, [str(value) for value in values if value is not None]))
    if lake.open("quarantine/dead_letters") is not None:
        letters = (
            lake.scan("quarantine/dead_letters").filter(pl.col("table") == table.name).collect()
        )
        for source, offset, reason, payload in letters.select(
            "_source", "_offset", "reason", "payload"
        ).iter_rows():
            dead[source].append((offset, reason, (payload or b"").decode("latin-1")))
    return {
        source: {"rows": rows[source], "dead": dead[source], "columns": columns}
        for source in {*rows, *dead}
    }
