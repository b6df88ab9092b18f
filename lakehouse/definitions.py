"""What Dagster loads: `dagster … -m lakehouse.definitions`."""

from lakehouse.project import process_settings

process_settings.configure_polars()
process_settings.pause_collector()

import os
import warnings
from contextlib import suppress
from pathlib import Path

import dagster as dg

from lakehouse.environment import Environment
from lakehouse.errors import OutageError
from lakehouse.orchestration import (
    assets,
    first_partitions,
    heal_job,
    ingest_job,
    names,
    replay_job,
    run_leases,
    run_requests,
    sensors,
)
from lakehouse.project.composition import load_environment
from lakehouse.storage.write_guards import check_writable

process_settings.resume_collector()


def definitions(here: Environment, begins: first_partitions.Begins | None = None) -> dg.Definitions:
    """Everything that Dagster knows of an environment; its partitions begin with `begins`."""
    process_settings.batch_events()
    with warnings.catch_warnings():
        # Single-run backfills and lenient partition mappings are public, and beta in Dagster 1.13.
        warnings.simplefilter("ignore", dg.BetaWarning)
        ingest, making = (
            ingest_job.define_ingest_job(here.catalog),
            run_requests.define_partition_jobs(here.catalog),
        )
        return dg.Definitions(
            assets=assets.build_assets(here, begins),
            sensors=sensors.build_sensors(here, making, begins),
            schedules=[heal_job.define_nightly_schedule()],
            jobs=[ingest, *making, replay_job.define_replay_job()],
            resources={names.RESOURCE: dg.ResourceDefinition.hardcoded_resource(here)},
            executor=run_leases.define_leased_executor(),
        )


@dg.definitions
def defs() -> dg.Definitions:
    """Returns what Dagster loads; built on request, so that a wrong setting fails right there."""
    here = load_environment()
    # Without this variable Dagster works in a folder that it deletes in the end.
    if home := os.environ.get("DAGSTER_HOME"):
        run_leases.register_process(Path(home))
    with suppress(OutageError):  # whoever writes first proves it then
        check_writable(here.lake)
    return definitions(here, first_partitions.find_begins(here))
