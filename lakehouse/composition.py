"""Where this lakehouse is put together: the domains under `assets/`, and the place where it runs.

What Dagster loads is in `definitions.py`, what a person calls in `command.py`; both begin here.
"""

import importlib
import pkgutil
from types import ModuleType

import assets as domains
from lakehouse.environment import Environment
from lakehouse.tables import collect
from resources import environment as places
from resources import sample_files, settings


def load_domains() -> list[ModuleType]:
    """Every module under `assets/`, in the order of their names."""
    found = pkgutil.walk_packages(domains.__path__, prefix=f"{domains.__name__}.")
    return [importlib.import_module(module.name) for module in found if not module.ispkg]


def load_environment() -> Environment:
    """The lake, the landing zone and the declared tables of this process.

    Raises:
        SetupError: a setting, a contract or a transform is wrong; the message names every problem.
        OutageError: the secret that a setting names cannot be read right now.
    """
    lake, landing = places.places(settings.load_settings())
    tables = collect.collect_tables(load_domains())
    return Environment(lake, landing, tables, undated_domains=sample_files.find_sample_domains)
