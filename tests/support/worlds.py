"""Small lakes for tests: a lake, a landing zone and a catalogue in a temporary folder, and their content."""

import hashlib
import os
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from types import ModuleType

import polars as pl
import pytest

from assets.retail import marts, raw, staged
from lakehouse.environment import Environment
from lakehouse.ingest.files.landing_zone import Landing
from lakehouse.ingest.land import LandResult, land
from lakehouse.quarantine.states import State, is_in
from lakehouse.storage.lake import Lake
from lakehouse.storage.limits import WriteLimits
from lakehouse.tables.catalog import Catalog
from lakehouse.tables.collect import collect_tables
from lakehouse.transform.make import make

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
"""The present, for tests."""


@cache
def retail() -> Catalog:
    """The tables of the retail domain."""
    return collect_tables([raw, staged, marts])


LIMITS = WriteLimits()
"""The limits of every lake that `world` makes; the laws set smaller ones."""


def world(folder: Path, catalog: Catalog | None = None) -> Environment:
    """Returns an empty lake and landing zone; its files count as complete at once."""
    (folder / "landing").mkdir(parents=True, exist_ok=True)
    landing = Landing(str(folder / "landing"), rest_seconds=0)
    return Environment(Lake(str(folder / "lake"), limits=LIMITS), landing, catalog or retail())


def copy_world(template: Path, folder: Path, catalog: Catalog | None = None) -> Environment:
    """A world that begins as a copy of one that was made for several tests; its catalogue is not copied."""
    shutil.copytree(template, folder, dirs_exist_ok=True)
    return world(folder, catalog)


def with_limits(here: Environment, **limits: int) -> Environment:
    """The same world, with other limits for what is written to it."""
    lake = here.lake
    return replace(here, lake=replace(lake, limits=replace(lake.limits, **limits)))


def catalog_of(**tables: object) -> Catalog:
    """A catalogue of tables that a test declares itself."""
    module = ModuleType("declared")
    vars(module).update(tables)
    with pytest.MonkeyPatch.context() as patch:
        for table in tables.values():
            if hasattr(table, "transform"):
                # Taken back afterwards: the table may be one of the project, which others collect.
                patch.setattr(table.transform, "__module__", "declared")
        return collect_tables([module])


def deliver(here: Environment, table: str, *files: Path, at: datetime | None = None) -> None:
    """Put files into the landing folder of a raw table, as if written at a time (theirs by default)."""
    folder = Path(here.landing.root) / table
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        target = folder / file.name
        shutil.copy2(file, target)
        target.chmod(0o644)
        if at is not None:
            os.utime(target, (at.timestamp(), at.timestamp()))


def write(here: Environment, table: str, name: str, content: bytes | str) -> Path:
    """Write a file into the landing folder of a raw table."""
    path = Path(here.landing.root) / table / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def land_all(here: Environment) -> dict[str, LandResult]:
    """Land everything that lies in landing."""
    return {
        table.name: land(here.lake, here.landing, table, now=NOW + timedelta(days=1))
        for table in here.catalog.raw_tables
    }


def bring_up_to_date(here: Environment) -> None:
    """Lands the files in landing and rebuilds stale tables until none is left.

    Each table is checked once a round: checking all of them after each one took most of the time.
    """
    land_all(here)
    tried: set[tuple[object, ...]] = set()
    while _make_each(here, tried):
        pass


def _make_each(here: Environment, tried: set[tuple[object, ...]]) -> bool:
    """Makes each stale table once, inputs first; returns whether there was one that was not tried before."""
    is_made = False
    for table in here.catalog.derived_tables:
        part = here.create_planner().find_stale_part(table)
        if part is None or (attempt := (part.table, part.keys, _versions(here))) in tried:
            continue
        is_made = True
        tried.add(attempt)
        for days in part.spans or (None,):
            make(here.lake, here.catalog, part.table, days, now=NOW)
    return is_made


def _versions(here: Environment) -> tuple[int | None, ...]:
    return tuple(here.lake.version(name) for name in here.catalog.tables)


def content(here: Environment, table: str) -> str:
    """An order-free hash of a table's rows without the engine's columns; floats count to nine digits."""
    rows = here.lake.scan(table)
    columns = [name for name in rows.collect_schema().names() if not name.startswith("_")]
    floats = [
        pl.col(name).round_sig_figs(9)
        for name, t in rows.collect_schema().items()
        if t.is_float() and name in columns
    ]
    frame = rows.select(columns).with_columns(floats).collect().sort(columns, nulls_last=True)
    return hashlib.sha256(frame.write_csv().encode()).hexdigest()


def in_state(here: Environment, table: str, state: State = "open") -> pl.DataFrame:
    """The rows of a table; of a quarantine those in a state."""
    rows = here.lake.scan(table)
    return (rows.filter(is_in(state)) if table.startswith("quarantine/") else rows).collect()


def contents(here: Environment) -> dict[str, str]:
    """The content of every staged and mart table that exists."""
    return {
        name: content(here, name)
        for name in here.lake.tables()
        if name.startswith(("staged/", "marts/"))
    }
