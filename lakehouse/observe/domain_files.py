"""The delivered files of each domain: those in landing, and those whose rows are in the lake."""

from dataclasses import dataclass

from lakehouse.environment import Environment
from lakehouse.ingest.landed_files import read_landed_files
from lakehouse.storage.lake import Lake
from lakehouse.tables.catalog import Catalog


@dataclass(frozen=True)
class DomainFiles:
    """The files of a domain, each as `<raw table's folder>/<file>`.

    Attributes:
        waiting: the files that lie in landing, whether or not they are landed.
        landed: the files whose rows are in the lake.
    """

    waiting: frozenset[str]
    landed: frozenset[str]

    @property
    def all(self) -> frozenset[str]:
        """Every file of the domain, wherever it is."""
        return self.waiting | self.landed


def list_domain_files(here: Environment) -> dict[str, DomainFiles]:
    """Returns the files of each domain that declares a raw table, whether it has any or not.

    Raises:
        SetupError: the landing zone does not exist.
        BusyError: the landing zone cannot be listed right now.
    """
    waiting: dict[str, set[str]] = {}
    for raw in here.catalog.raw_tables:
        entries = here.landing.list_entries(raw.landing)
        names = {f"{raw.landing}/{entry.name}" for entry in entries if entry.problem is None}
        waiting.setdefault(raw.domain, set()).update(names)
    in_lake = list_landed_files(here.lake, here.catalog)
    return {
        domain: DomainFiles(frozenset(names), frozenset(in_lake[domain]))
        for domain, names in waiting.items()
    }


def list_landed_files(lake: Lake, catalog: Catalog) -> dict[str, set[str]]:
    """Returns the files of each domain whose rows are in the lake."""
    known: dict[str, set[str]] = {}
    for raw in catalog.raw_tables:
        # Bytes that came under several names count once, under the name that was written first.
        origins = read_landed_files(lake, raw.name).by_digest.values()
        names = {f"{raw.landing}/{origin.name}" for origin in origins}
        known.setdefault(raw.domain, set()).update(names)
    return known
