"""Projects of their own for real processes of Dagster: a folder with lake, landing and storage."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from assets.retail import marts, raw, staged
from campaign.state import hash_tables
from lakehouse.environment import Environment
from lakehouse.ingest.delivery_register import DELIVERIES
from lakehouse.ingest.files.landing_zone import Landing
from lakehouse.project.leases import list_leases
from lakehouse.storage.lake import Lake
from lakehouse.tables.collect import collect_tables
from resources.ui_processes import UI_OF

_ROOT = Path(__file__).resolve().parents[1]
_BIN = Path(sys.executable).parent
_HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
_FIRST_DAY = date(2010, 12, 1)
LONGEST = 300.0


@dataclass(frozen=True)
class Project:
    """A folder in which `lakehouse` and Dagster are called.

    Attributes:
        folder: its root, with the lake, landing and Dagster's storage below it.
    """

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """The variables of the processes that are started in it."""
        path = f"{_BIN}{os.pathsep}{os.environ['PATH']}"
        known = {**os.environ, "PYTHONPATH": str(_ROOT), "PYTHONWARNINGS": "ignore", "PATH": path}
        known |= {"DAGSTER_HOME": str(self.folder / "dagster"), "LAKEHOUSE_DATA": str(self.folder)}
        return known

    @property
    def here(self) -> Environment:
        """Its lake, landing and tables."""
        catalog = collect_tables([raw, staged, marts])
        return Environment(
            Lake(str(self.folder / "lake")), Landing(str(self.folder / "landing")), catalog
        )

    def create(self) -> "Project":
        """Makes the folder a project without files."""
        home = self.folder / "dagster"
        home.mkdir(parents=True)
        for package in ("assets", "checks", "resources", "samples"):
            (self.folder / package).symlink_to(_ROOT / package)
        shutil.copy(_ROOT / "dagster.yaml", home)
        shutil.copy(_ROOT / "workspace.yaml", self.folder)
        return self

    def copy(self, folder: Path) -> "Project":
        """Returns a copy of it in another folder."""
        return Project(Path(shutil.copytree(self.folder, folder, symlinks=True)))

    def deliver(self, number: int) -> date:
        """Delivers nine lines of one day, which a number decides; returns the day."""
        day = _FIRST_DAY + timedelta(days=number % 28)
        rows = "\n".join(
            f"{700000 + number},85123A,THING,{n + 1},{day} 10:0{n}:00,2.5,,France" for n in range(9)
        )
        place = self.folder / "landing" / "invoice_lines" / f"sample-late-{number}.csv"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(f"{_HEADER}\n{rows}\n")
        return day

    def count_lines(self, number: int) -> int:
        """Returns how many lines of a delivery are in the mart of sales."""
        rows = self.here.lake.scan("marts/sales").filter(pl.col("invoice") == str(700000 + number))
        return int(rows.select(pl.len()).collect().item())

    def hash_tables(self) -> dict[str, str]:
        """Returns the content of every table as a hash.

        Without the register of deliveries: files of a copied project look as if delivered anew.
        """
        found = hash_tables(self.here)
        return {name: told for name, told in found.items() if name != DELIVERIES}

    def start(self, *command: str, log: str = "said.txt") -> "subprocess.Popen[bytes]":
        """Starts a command of the virtual environment; what it prints is added to a file."""
        with (self.folder / log).open("ab") as said:
            return subprocess.Popen(
                [str(_BIN / command[0]), *command[1:]],
                cwd=self.folder,
                env=self.environment,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )

    def start_ui(self) -> "subprocess.Popen[bytes]":
        """Starts the UI with its daemon, as `make ui` does."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        serve = (str(_BIN / "python"), "-m", "lakehouse.orchestration.ui", "--port", port)
        return self.start("python", "-m", "resources.ui", *serve)

    def read_log(self) -> str:
        """Returns what its processes printed."""
        file = self.folder / "said.txt"
        return file.read_text(errors="replace") if file.exists() else ""

    def find_processes(self, *names: str) -> list[int]:
        """Returns the processes of its UI whose command line has one of some names; or all."""
        mark = f"{UI_OF}={self.folder}".encode()
        found = []
        for place in Path("/proc").glob("[0-9]*"):
            try:
                marked = mark in (place / "environ").read_bytes().split(b"\0")
                line = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue  # it has ended, or is of somebody else
            if marked and (not names or any(name in line for name in names)):
                found.append(int(place.name))
        return found

    def find_workers(self) -> list[int]:
        """Returns the processes that execute a run by now."""
        leases = list_leases(self.folder / "dagster/leases", "run-").values()
        return [process.pid for process, lives in leases if lives]


def wait_until(what: Callable[[], bool], seconds: float) -> float | None:
    """Waits until something is so; returns how long it took, None if it was too long."""
    started = time.monotonic()
    while not what():
        if time.monotonic() - started > seconds:
            return None
        time.sleep(0.05)
    return time.monotonic() - started


def kill(*pids: int) -> int:
    """Kills processes at once; returns how many there were."""
    killed = 0
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
        killed += 1
    return killed
