"""A trial of a table: its sample goes from landing to the staged table in a lake of its own."""

import importlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lakehouse.errors import SetupError
from lakehouse.ingest.files.landing_zone import Landing
from lakehouse.ingest.land import land
from lakehouse.quarantine.dead_letters import DEAD_LETTERS
from lakehouse.storage.lake import Lake
from lakehouse.tables.collect import collect_tables
from lakehouse.tables.table_types import RawTable
from lakehouse.transform.make import make


@dataclass(frozen=True)
class TrialOutcome:
    """What became of the records of a sample.

    Attributes:
        records: how many there were; a refused file counts as one.
        written: rows of the staged table, and rows that another one supersedes.
        rejected: rejected rows and dead letters.
        reasons: why, and how often.
        marts: rows of each table that is made from it.
    """

    records: int
    written: int
    rejected: int
    reasons: dict[str, int]
    marts: dict[str, int]


def try_sample(module: str, table: str, samples: Sequence[Path], folder: Path) -> TrialOutcome:
    """Lands samples and makes the tables of a module in a new lake.

    Args:
        module: the name of the module that declares the tables.
        table: the name of the raw and the staged table.
        samples: the files.
        folder: an empty folder for landing and lake.

    Raises:
        SetupError: the tables do not fit together, or the module does not declare the raw table.
        DataError: a transform fails.
    """
    catalog = collect_tables([importlib.import_module(module)])
    raw = catalog.tables.get(f"raw/{table}")
    if not isinstance(raw, RawTable):
        raise SetupError(f"{module} declares no raw table {table}.\nNext: name one that it has.")
    landing = folder / "landing" / raw.landing
    landing.mkdir(parents=True)
    for number, sample in enumerate(samples):
        target = landing / (sample.name if not number else f"{number}-{sample.name}")
        shutil.copyfile(sample, target)
    lake = Lake(str(folder / "lake"))
    land(lake, Landing(str(folder / "landing"), rest_seconds=0), raw)
    reasons: dict[str, int] = {}
    dead = _count(lake, DEAD_LETTERS, "reason", reasons)
    landed = lake.scan(raw.name).collect().height if raw.name in lake.tables() else 0
    marts, written, quarantined = {}, 0, 0
    for derived in catalog.derived_tables:
        audit = make(lake, catalog, derived.name)
        if derived.name == f"staged/{table}":
            written = 0 if audit is None else audit.written + audit.superseded
            quarantined = _count(lake, derived.quarantine, "_rules", reasons)
        elif audit is not None:
            marts[derived.name] = audit.written
    return TrialOutcome(landed + dead, written, quarantined + dead, reasons, marts)


def _count(lake: Lake, name: str, column: str, reasons: dict[str, int]) -> int:
    """Returns how many rows a table of rejects has, and adds their reasons."""
    if name not in lake.tables():
        return 0
    values = lake.scan(name).select(column).collect().to_series().to_list()
    for value in values:
        for reason in value if isinstance(value, list) else [value]:
            reasons[str(reason)] = reasons.get(str(reason), 0) + 1
    return len(values)
