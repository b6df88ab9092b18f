"""Where a lakehouse is put together: the tables of the current project, and where they live.

The project is the folder where the process was started. It holds `assets/`, and may hold `samples/`
and `resources/`. They are found by name, so that the engine from a wheel serves any project of this
layout. What Dagster loads is in `definitions.py`, what a person calls in `command.py`; both begin
here.
"""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from lakehouse.environment import LISTING_SECONDS, Environment
from lakehouse.errors import SetupError
from lakehouse.ingest.files.landing_zone import Landing
from lakehouse.ingest.limits import REST_SECONDS, set_limits
from lakehouse.project import settings
from lakehouse.project.credentials import read_options
from lakehouse.storage.lake import Lake
from lakehouse.storage.message_queue import MessageQueue
from lakehouse.tables import collect

DOMAINS = "assets"
"""The package of a project whose modules declare its tables."""


def load_environment() -> Environment:
    """Returns the lake, the landing zone and the declared tables of this process.

    Raises:
        SetupError: a setting, a contract or a transform is wrong; the message names every problem.
            Or the project has no folder `assets`.
        OutageError: the secret that a setting names cannot be read right now.
    """
    known = settings.load_settings()
    clear = {name: value.get_secret_value() for name, value in read_options(known).items()}
    lake = Lake(known.lake_uri, clear, known.single_writer)
    rest = REST_SECONDS if known.rest_seconds is None else known.rest_seconds
    limits = set_limits(known.ingest_limits)
    landing = Landing(known.landing_uri, clear, rest, limits, follow_links=known.follow_links)
    tables = collect.collect_tables(load_domains())
    queue = MessageQueue(known.landing_queue, clear) if known.landing_queue else None
    every = LISTING_SECONDS if known.listing_seconds is None else known.listing_seconds
    return Environment(lake, landing, tables, queue=queue, listing_seconds=every)


def load_domains() -> list[ModuleType]:
    """Returns every module under `assets/` of the project, in the order of their names.

    Raises:
        SetupError: there is no such folder.
    """
    domains = _find_domains()
    if domains is None:
        raise SetupError(
            f"There is no folder `{DOMAINS}` in {Path.cwd()}, so no tables are declared.\n"
            "Next: run this in the folder of your project, where `assets/` is."
        )
    files = sorted(domains.rglob("*.py"))
    names = [(DOMAINS, *file.relative_to(domains).with_suffix("").parts) for file in files]
    # A folder needs no `__init__.py` to count; one that no import can name, such as notebooks, does
    # not.
    return [
        importlib.import_module(".".join(parts))
        for parts in names
        if parts[-1] != "__init__" and all(part.isidentifier() for part in parts)
    ]


def load_optional(name: str) -> ModuleType | None:
    """Returns a module of the project; None if the project does not have it."""
    return importlib.import_module(name) if is_in_project(name) else None


def is_in_project(name: str) -> bool:
    """Whether a module, or a package with an `__init__.py`, lies beside `assets/`."""
    domains = _find_domains()
    if domains is None:
        return False
    place = domains.parent.joinpath(*name.split("."))
    return place.with_suffix(".py").is_file() or (place / "__init__.py").is_file()


def _find_domains() -> Path | None:
    """Returns the project's folder `assets/`: in the working directory, else on Python's path."""
    # An installed command does not find modules in the working directory, as `python -m` does.
    project = str(Path.cwd())
    if project not in sys.path:
        sys.path.insert(0, project)
    found = importlib.util.find_spec(DOMAINS)
    folders = found.submodule_search_locations if found else None
    return Path(next(iter(folders))) if folders else None
