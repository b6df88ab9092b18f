"""With the real daemon and the UI's server running: a dropped file is in the mart with no click."""

import os
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
from support.projects import link_project
from support.worlds import retail, world

from lakehouse.calendar import Days
from lakehouse.environment import Environment
from lakehouse.ingest.files.landing_zone import Landing
from lakehouse.observe import overview

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
DAY = date(2011, 1, 10)
HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
LIMIT = 15.0


@pytest.fixture
def here(tmp_path: Path) -> Environment:
    made = world(tmp_path, retail())
    return Environment(made.lake, Landing(made.landing.root, rest_seconds=1), made.catalog)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[str]:
    """A lake of samples, and `dagster dev` on it as `make ui` starts it; gives its address."""
    link_project(tmp_path)
    home = tmp_path / "dagster"
    home.mkdir()
    (home / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())
    (tmp_path / ".env").write_text(f"DAGSTER_HOME={home}\nLAKEHOUSE_DATA={tmp_path}\n")
    environment = {**os.environ, "DAGSTER_HOME": str(home), "PYTHONWARNINGS": "ignore"}
    subprocess.run(
        [BIN / "lakehouse", "demo"], env=environment, cwd=tmp_path, check=True, capture_output=True
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        BIN / "dagster",
        "dev",
        "-m",
        "lakehouse.definitions",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    log = (tmp_path / "ui.log").open("wb")
    process = subprocess.Popen(
        command, env=environment, cwd=tmp_path, stdout=log, stderr=log, start_new_session=True
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)
        log.close()


def wait_for(what: Callable[[], bool], seconds: float) -> float:
    """How long it took until something became true."""
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


@pytest.mark.slow
def test_a_dropped_file_is_in_the_mart_within_15_s_and_only_its_days_were_made_again(
    here: Environment, daemon: str, tmp_path: Path
):
    wait_for(lambda: answers(daemon), 60)
    log = tmp_path / "ui.log"
    wait_for(
        lambda: b"commit_sensor" in log.read_bytes() and b"landing_sensor" in log.read_bytes(), 60
    )
    before, versions = (
        lines_of(here, DAY),
        {name: here.lake.version(name) for name in here.catalog.tables},
    )
    rows = "\n".join(
        f"60000{n},85123A,THING,{n + 1},{DAY} 10:0{n}:00,2.5,,France" for n in range(9)
    )
    (Path(here.landing.root) / "invoice_lines" / "sample-late.csv").write_text(
        f"{HEADER}\n{rows}\n"
    )

    taken = wait_for(lambda: lines_of(here, DAY) == before + 9, 60)
    assert taken <= LIMIT
    wait_for(lambda: not here.create_planner().find_stale_tables(), 60)

    def made(name: str) -> set[date]:
        fresh = [
            audit
            for audit in overview.list_audits(here, name)
            if (audit.version or 0) > (versions[name] or 0)
        ]
        return {day for audit in fresh for span in audit.materialized for day in span}

    held = set(
        here.lake.scan("staged/invoice_lines")
        .select(pl.col("invoice_date").unique())
        .collect()
        .to_series()
    )
    week = Days(DAY, DAY).widen(ahead=6)
    assert made("staged/invoice_lines") == {DAY}
    assert made("marts/daily_sales") & held == {day for day in week if day in held}
    assert made("marts/product_months") == set(Days(date(2011, 1, 1), date(2011, 1, 31)))
