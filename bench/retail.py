"""Our side of the end-to-end bench: lands files and makes the retail marts in one process.

`python -m bench.retail --home <folder>` does what the runs do that the sensors request. With
`--dagster`, Dagster runs them one after another in this process, as `make demo` does.
"""

import argparse
import os
import shutil
from pathlib import Path

from assets.retail import marts, raw, staged
from lakehouse.environment import Environment
from lakehouse.ingest.files.landing_zone import Landing
from lakehouse.ingest.land import land
from lakehouse.storage.lake import Lake
from lakehouse.tables.catalog import Catalog
from lakehouse.tables.collect import collect_tables
from lakehouse.transform.make import make

ROOT = Path(__file__).parent.parent
_NOT_MADE = "marts/sales"
_MOST_LOOKS = 10


def here(home: Path) -> Environment:
    """Returns the retail environment in a folder, without tables that no other way makes."""
    declared = collect_tables([raw, staged, marts]).tables
    catalog = Catalog({name: table for name, table in declared.items() if name != _NOT_MADE})
    return Environment(
        Lake(str(home / "lake")), Landing(str(home / "landing"), rest_seconds=0), catalog
    )


def bring(at: Environment) -> None:
    """Lands the files and makes what is stale, until nothing is stale.

    Raises:
        RuntimeError: something stays stale.
    """
    for table in at.catalog.raw_tables:
        land(at.lake, at.landing, table)
    for _ in range(_MOST_LOOKS):
        parts = at.create_planner().find_stale_tables()
        if not parts:
            return
        for part in parts:
            for days in part.spans or (None,):
                make(at.lake, at.catalog, part.table, days)
    raise RuntimeError(
        f"still stale: {', '.join(part.table for part in at.create_planner().find_stale_tables())}"
    )


def bring_by_dagster(at: Environment, home: Path) -> None:
    """Does the same by runs of Dagster, with their events in its own storage.

    Raises:
        RuntimeError: something stays stale.
    """
    import dagster as dg  # noqa: PLC0415

    from lakehouse.definitions import definitions  # noqa: PLC0415
    from lakehouse.orchestration.names import to_asset_key  # noqa: PLC0415
    from lakehouse.orchestration.run_requests import PlannedRun, plan_runs  # noqa: PLC0415

    job = definitions(at).resolve_implicit_global_asset_job_def()
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    storage = home / "dagster"
    storage.mkdir(exist_ok=True)
    shutil.copyfile(ROOT / "dagster.yaml", storage / "dagster.yaml")
    os.environ["DAGSTER_HOME"] = str(storage)
    with dg.DagsterInstance.get() as instance:

        def run(one: PlannedRun) -> None:
            keys = [to_asset_key(table) for table in one.tables]
            job.execute_in_process(
                asset_selection=keys, tags=one.partition, instance=instance, run_config=quiet
            )

        run(PlannedRun(tuple(table.name for table in at.catalog.raw_tables)))
        for _ in range(_MOST_LOOKS):
            runs = plan_runs(at.catalog, at.create_planner().find_stale_tables())
            if not runs:
                return
            for one in runs:
                run(one)
    raise RuntimeError(
        f"still stale: {', '.join(part.table for part in at.create_planner().find_stale_tables())}"
    )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--dagster", action="store_true")
    given = parser.parse_args()
    at = here(given.home)
    if given.dagster:
        bring_by_dagster(at, given.home)
    else:
        bring(at)


if __name__ == "__main__":
    main()
