"""The composition root: the only module that knows the domains and the place where this lakehouse runs.

`dagster … -m lakehouse.definitions` loads `defs`; the `lakehouse` command starts in `command`.
"""

import importlib
import os
import pkgutil
import warnings
from contextlib import suppress
from types import ModuleType

import dagster as dg

import assets as domains
from assets import retail
from lakehouse import catalog, cli, mixing
from lakehouse.environment import Environment
from lakehouse.errors import OutageError
from lakehouse.orchestration import assets, demo, healing, increments, replaying, sensors, storage
from resources import environment as places
from resources import occupied, settings
from samples import retail as retail_samples


def modules() -> list[ModuleType]:
    """Every module under `assets/`, in the order of their names."""
    found = pkgutil.walk_packages(domains.__path__, prefix=f"{domains.__name__}.")
    return [importlib.import_module(module.name) for module in found if not module.ispkg]


def environment() -> Environment:
    """The lake, the landing zone and the declared tables of this process.

    Raises:
        SetupError: a setting, a contract or a transform is wrong; the message names every problem.
        OutageError: the secret that a setting names cannot be read right now.
    """
    lake, landing = places.places(settings.load())
    return Environment(lake, landing, catalog.collect(modules()))


def definitions(here: Environment) -> dg.Definitions:
    """Everything that Dagster knows of an environment."""
    os.environ.setdefault(storage.BATCH_SIZE, "1000")
    with warnings.catch_warnings():
        # Single-run backfills and lenient partition mappings are public and still called beta in Dagster 1.13.
        warnings.simplefilter("ignore", dg.BetaWarning)
        ingest, making = increments.ingest_job(here.catalog), increments.making_jobs(here.catalog)
        return dg.Definitions(
            assets=assets.build(here),
            sensors=sensors.build(here, ingest, making),
            schedules=[healing.nightly_schedule()],
            jobs=[ingest, *making, replaying.replay_job()],
            resources={assets.RESOURCE: dg.ResourceDefinition.hardcoded_resource(here)},
            executor=dg.in_process_executor,
        )


def demonstrate() -> None:
    """`lakehouse demo`."""
    known, here = settings.load(), environment()
    is_usual = known.landing_uri == str(known.data / "landing")
    make_samples = (lambda: retail_samples.generate(here.landing.root)) if is_usual else None
    with occupied.by_demo(known.data):
        demo.run(here, definitions, make_samples, settings.dagster_home(known), retail.FIRST_QUESTION)


def add_samples(days: int) -> list[str]:
    """`lakehouse samples`: the sample files of the next days, written into landing.

    Raises:
        SetupError: landing is no folder of this machine, or holds somebody's own files.
    """
    here = environment()
    mixing.refuse_samples(here, retail.__name__.rpartition(".")[2])
    return retail_samples.add_days(here.landing.root, days)


def command() -> None:
    """The `lakehouse` command."""
    cli.main(cli.App(environment, demonstrate, add_samples))


@dg.definitions
def defs() -> dg.Definitions:
    """What Dagster loads; made when it asks, so that the `lakehouse` command can tell of a wrong setting by itself."""
    here = environment()
    with suppress(OutageError):  # whoever writes first proves it then
        here.lake.prove_writable()
    return definitions(here)
