"""What is attacked: the kinds of change to a lake, each as steps that a child takes.

A way is one kind of change. To attack a new mode, declare a table of it in `shop.py` and name its
steps in `WAYS`.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import date
from pathlib import Path
from random import Random
from typing import Any

import dagster as dg
from deltalake.exceptions import CommitFailedError

from campaign.shop import DAYS, FIRST_DAY, NOW, create_planner, open_shop
from lakehouse import failpoints
from lakehouse.calendar import Days
from lakehouse.definitions import definitions
from lakehouse.environment import Environment
from lakehouse.errors import BusyError, DataError
from lakehouse.failpoints import failpoint
from lakehouse.ingest.land import land
from lakehouse.operations.restore import RestoreRequest, restore
from lakehouse.operations.restore_plan import plan_restore
from lakehouse.orchestration import sensors
from lakehouse.storage.locks import hold_lock
from lakehouse.transform.make import make

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
_MOST_TICKS = 20


def land_all_files(here: Environment) -> None:
    """Lands the files in landing."""
    for raw in here.catalog.raw_tables:
        land(here.lake, here.landing, raw, now=NOW)


def make_tables(*tables: str) -> Callable[[Environment], None]:
    """Rebuilds all periods of some tables; refused periods stay as they are."""

    def work(here: Environment) -> None:
        for table in tables:
            with suppress(DataError):
                make(here.lake, here.catalog, table, now=NOW)

    return work


def make_by_spans(*tables: str) -> Callable[[Environment], None]:
    """Rebuilds some tables, a few days at a time."""

    def work(here: Environment) -> None:
        for table in tables:
            for days in iterate_spans(4):
                with suppress(DataError):
                    make(here.lake, here.catalog, table, days, now=NOW)

    return work


def iterate_spans(length: int) -> Iterator[Days]:
    """Yields the days of the shop, a number at a time."""
    first = FIRST_DAY.toordinal()
    for start in range(first, first + DAYS, length):
        last = min(start + length, first + DAYS) - 1
        yield Days(date.fromordinal(start), date.fromordinal(last))


def compact(here: Environment, tables: tuple[str, ...] | None = None) -> None:
    """Compacts the small files of tables by delta-rs, all tables by default; it yields to writers.

    One compaction of a table at a time: delta-rs lets two concurrent ones commit, and every row is
    then there twice.
    """
    for table in tables or tuple(here.lake.tables()):
        lock = Path(here.landing.root).with_name("locks") / table.replace("/", "_")
        with suppress(CommitFailedError, BusyError), hold_lock(lock, f"{table} is being compacted"):
            failpoint(f"campaign: compaction of {table}")
            handle = here.lake.open(table)
            assert handle is not None
            handle.optimize.compact()
            handle.create_checkpoint()


def go_back(here: Environment) -> None:
    """Restores tables to the version before the last, as `lakehouse restore` does."""
    for table in ("staged/sales", "staged/last_sales"):
        version = here.lake.version(table)
        if version:
            restore(here, plan_restore(here, table, version - 1), RestoreRequest("campaign"))


def tick(here: Environment) -> None:
    """Does what Dagster's daemon does: evaluates sensors and runs their requests."""
    vars(sensors)["_WATCH_SECONDS"] = 0
    defs, cursors = definitions(here), Path(here.landing.root).with_name("cursors.json")
    stored = json.loads(cursors.read_text()) if cursors.exists() else {}
    with dg.DagsterInstance.ephemeral() as instance:
        for _ in range(_MOST_TICKS):
            asked = [
                _tick(defs, instance, sensor, stored, cursors) for sensor in defs.sensors or []
            ]
            if not any(asked):
                return


def _tick(
    defs: dg.Definitions,
    instance: dg.DagsterInstance,
    sensor: Any,  # noqa: ANN401
    stored: dict[str, str],
    cursors: Path,
) -> bool:
    """Evaluates one sensor; returns whether it requested runs."""
    with dg.build_sensor_context(
        instance=instance, cursor=stored.get(sensor.name), definitions=defs
    ) as context:
        found = sensor(context)
    failpoint("campaign: sensor ticked")
    asked = list(found.run_requests or []) if isinstance(found, dg.SensorResult) else []
    for request in asked:
        job = defs.resolve_job_def(request.job_name or sensor.job_name)
        job.execute_in_process(
            instance=instance,
            asset_selection=list(request.asset_selection or []),
            tags=dict(request.tags),
            partition_key=request.partition_key,
            run_config={**_QUIET, **request.run_config},
            raise_on_error=False,
        )
        failpoint("campaign: run ended")
    if isinstance(found, dg.SensorResult) and found.cursor is not None:
        stored[sensor.name] = found.cursor
        fresh = cursors.with_suffix(".new")
        fresh.write_text(json.dumps(stored))
        fresh.rename(cursors)
    return bool(asked)


def bring_up_to_date(here: Environment) -> None:
    """Heals: lands the files in landing, and makes stale tables until nothing is stale."""
    land_all_files(here)
    tried: set[tuple[object, ...]] = set()
    while _make_each(here, tried):
        pass


def _make_each(here: Environment, tried: set[tuple[object, ...]]) -> bool:
    """Makes each stale table once, inputs first; returns whether one is new at these versions."""
    is_made = False
    for table in here.catalog.derived_tables:
        look = create_planner(here)
        part = look.find_stale_part(table)
        versions = tuple(look.lake.version(name) for name in here.catalog.tables)
        if part is None or (attempt := (part.table, part.keys, versions)) in tried:
            continue
        is_made = True
        tried.add(attempt)
        for days in part.spans or (None,):
            make(here.lake, here.catalog, part.table, days, now=NOW)
    return is_made


def make_days(here: Environment, table: str, days: Days | None) -> None:
    """Makes a table, or some days of it."""
    make(here.lake, here.catalog, table, days, now=NOW)


def try_action(act: Callable[[], None]) -> str:
    """Returns the outcome of an action that other writers or refused rows may stop."""
    try:
        act()
    except BusyError:
        return "busy"
    except DataError:
        return "refused"
    except CommitFailedError:
        return "conflict"
    return "done"


def _vacuum(here: Environment, random: Random) -> None:
    handle = here.lake.open(random.choice(here.lake.tables()))
    if handle is not None:
        handle.vacuum(dry_run=False, full=True)


def _some_days(random: Random) -> Days:
    return random.choice(list(iterate_spans(random.randint(1, DAYS))))


STAGED, MARTS = ("staged/sales", "staged/last_sales"), ("marts/shop_days", "marts/shops")
UPSERT, HISTORY = "staged/shelves", "staged/shelf_versions"
Step = Callable[[Environment], None]
_STAGED, _SPANS, _KEYED, _MARTS = (
    make_tables(*STAGED),
    make_by_spans(*STAGED),
    make_tables(UPSERT, HISTORY),
    make_tables(*MARTS),
)

WAYS: Mapping[str, tuple[tuple[Step, ...], Step]] = {
    "append": ((), land_all_files),
    "replace": ((land_all_files,), _STAGED),
    "spans": ((land_all_files,), _SPANS),
    "upsert": ((land_all_files,), make_tables(UPSERT)),
    "history": ((land_all_files,), make_tables(HISTORY)),
    "marts": ((land_all_files, _STAGED), _MARTS),
    "restore": ((land_all_files, _STAGED, _SPANS), go_back),
    "compaction": ((land_all_files, _STAGED, _KEYED, _MARTS), compact),
    "sensors": ((), tick),
    "healing": ((), bring_up_to_date),
}
"""For each way: the steps that lead there, and the step that is attacked."""

ACTIONS: Mapping[str, Callable[[Environment, Random], None]] = {
    "append": lambda here, _: land_all_files(here),
    "replace": lambda here, random: make_days(here, random.choice(STAGED), _some_days(random)),
    "upsert": lambda here, _: make_days(here, UPSERT, None),
    "history": lambda here, _: make_days(here, HISTORY, None),
    "mart by day": lambda here, random: make_days(here, MARTS[0], _some_days(random)),
    "mart": lambda here, _: make_days(here, MARTS[1], None),
    "compaction": lambda here, random: compact(here, (random.choice(here.lake.tables()),)),
    "vacuum": _vacuum,
}
"""What a writer does next to others."""


def prepare(folder: Path, way: str, number: int) -> None:
    """In a child: takes one of the steps that prepare a way."""
    WAYS[way][0][number](open_shop(folder))


def attack(folder: Path, way: str) -> None:
    """In a child: takes the step of a way; writes the failpoints that it passed."""
    WAYS[way][1](open_shop(folder))
    (folder / "trail.json").write_text(json.dumps(failpoints.trail))


def heal(folder: Path) -> None:
    """In a child: does one healing run."""
    bring_up_to_date(open_shop(folder))
