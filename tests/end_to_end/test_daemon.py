"""With the real daemon and the UI's server running: a dropped file is in the mart with no click."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from support.demos import copy_demo
from support.worlds import retail, world

from lakehouse.calendar import Days
from lakehouse.environment import Environment
from lakehouse.ingest.files.landing_zone import Landing
from lakehouse.observe import overview

ROOT = Path(__file__).resolve().parents[2]
DAYS = (date(2011, 1, 10), date(2011, 1, 12), date(2011, 1, 14))
HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
LIMIT, STARTED_BY = 15.0, 180.0


@pytest.fixture
def here(tmp_path: Path) -> Environment:
    made = world(tmp_path, retail())
    return Environment(made.lake, Landing(made.landing.root, rest_seconds=1), made.catalog)


@pytest.fixture
def daemon(demonstrated: Path, tmp_path: Path) -> Iterator[str]:
    """A lake of samples, and the UI with its daemon on it as `make ui` starts them; yields its address."""
    environment = copy_demo(demonstrated, tmp_path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shutil.copy(ROOT / "workspace.yaml", tmp_path)
    command = [sys.executable, "-m", "lakehouse.orchestration.ui", "--port", str(port)]
    log = (tmp_path / "ui.log").open("wb")
    process = subprocess.Popen(
        command, env=environment, cwd=tmp_path, stdout=log, stderr=log, start_new_session=True
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # asked to end, Dagster takes half a minute
        process.wait(20)
        log.close()


def wait_for(what: Callable[[], bool], seconds: float) -> float:
    """Returns how long it took until a condition was true."""
    started = time.monotonic()
    while not what():
        assert time.monotonic() - started < seconds, "it did not happen in time"
        time.sleep(0.1)
    return time.monotonic() - started


def answers(address: str) -> bool:
    try:
        return urllib.request.urlopen(f"{address}/server_info", timeout=2).status == 200
    except OSError:
        return False


def lines_of(here: Environment, day: date) -> int:
    mart = here.lake.scan("marts/daily_sales").filter(pl.col("sales_date") == day)
    return int(mart.select(pl.col("lines").sum()).collect().item())


def drop(here: Environment, day: date) -> float:
    """Drop a file of nine lines of a day; returns the seconds until they are in the mart."""
    before = lines_of(here, day)
    rows = "\n".join(
        f"60000{n},85123A,THING,{n + 1},{day} 10:0{n}:00,2.5,,France" for n in range(9)
    )
    file = Path(here.landing.root) / "invoice_lines" / f"sample-late-{day}.csv"
    file.write_text(f"{HEADER}\n{rows}\n")
    return wait_for(lambda: lines_of(here, day) == before + 9, 60)


def made_days(here: Environment, name: str, since: dict[str, int | None]) -> set[date]:
    """Returns the days of a table that commits after some versions made."""
    fresh = [
        audit
        for audit in overview.list_audits(here, name)
        if (audit.version or 0) > (since[name] or 0)
    ]
    return {day for audit in fresh for span in audit.materialized for day in span}


@pytest.mark.slow("the daemon, the code server and the UI are processes that import everything")
def test_a_dropped_file_is_in_the_mart_within_15_s_and_only_its_days_were_made_again(
    here: Environment, daemon: str, tmp_path: Path
):
    wait_for(lambda: answers(daemon), STARTED_BY)
    log = tmp_path / "ui.log"
    wait_for(
        lambda: all(name in log.read_bytes() for name in (b"commit_sensor", b"landing_sensor")),
        STARTED_BY,
    )
    for day in DAYS:  # a machine that is busy for a while may need another try
        versions = {name: here.lake.version(name) for name in here.catalog.tables}
        taken = drop(here, day)
        wait_for(lambda: not here.create_planner().find_stale_tables(), 60)
        if taken <= LIMIT:
            break
    assert taken <= LIMIT
    held = set(
        here.lake.scan("staged/invoice_lines")
        .select(pl.col("invoice_date").unique())
        .collect()
        .to_series()
    )
    week = Days(day, day).widen(ahead=6)
    assert made_days(here, "staged/invoice_lines", versions) == {day}
    assert made_days(here, "marts/daily_sales", versions) & held == {
        day for day in week if day in held
    }
    january = Days(date(2011, 1, 1), date(2011, 1, 31))
    assert made_days(here, "marts/product_months", versions) == set(january)
