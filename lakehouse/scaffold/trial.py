"""A trial of a table: its samples go from landing to the staged table in a lake of its own."""

import importlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import polars as pl

from lakehouse.errors import SetupError
from lakehouse.ingest.files.landing_zone import Landing
from lakehouse.ingest.land import land
from lakehouse.quarantine.dead_letters import DEAD_LETTERS
from lakehouse.scaffold.samples import SampleFile
from lakehouse.storage.lake import Lake
from lakehouse.tables.catalog import Catalog
from lakehouse.tables.collect import collect_tables
from lakehouse.tables.contract import to_polars_schema
from lakehouse.tables.table_types import DerivedTable, RawTable
from lakehouse.transform.make import make


@dataclass(frozen=True)
class TrialOutcome:
    """What became of the records of samples.

    Attributes:
        files: how many files there were.
        refused: how many of them were refused whole.
        records: how many records the others have.
        written: rows of the staged table, and rows that another one supersedes.
        rejected: rejected rows, and dead letters of records.
        reasons: why records were rejected and files refused, and how often.
        rows: the rows of the staged table.
        marts: rows of each table that is made from it.
    """

    files: int
    refused: int
    records: int
    written: int
    rejected: int
    reasons: dict[str, int]
    rows: pl.DataFrame
    marts: dict[str, int]


def try_samples(
    table: str, samples: Mapping[str, Sequence[SampleFile]], folder: Path, package: str = "assets"
) -> TrialOutcome:
    """Lands samples in a new lake, and makes a table, what it reads, and what is made from it.

    Args:
        table: the name of the raw and the staged table.
        samples: the files of each raw table, by its name: those of the table, and of others that it
            joins or refers to.
        folder: an empty folder for landing and lake.
        package: the package whose modules declare the tables.

    Raises:
        SetupError: the tables do not fit together, or a raw table is not declared.
        DataError: a transform fails.
    """
    catalog = collect_tables(_load_modules(package))
    lake, landing = Lake(str(folder / "lake")), folder / "landing"
    for name, files in samples.items():
        raw = _find_raw(catalog, name)
        _deliver(files, landing / raw.landing)
        land(lake, Landing(str(landing), rest_seconds=0), raw)
    own = _find_raw(catalog, table)
    letters = _read_dead_letters(lake, own.name)
    refused = letters.filter(pl.col("_offset").is_null()).height
    reasons = _count_values(letters["reason"])
    landed = lake.scan(own.name).collect().height if own.name in lake.tables() else 0
    marts: dict[str, int] = {}
    written, quarantined = 0, 0
    rows = pl.DataFrame()
    for derived in _list_concerned(catalog, own.name):
        audit = make(lake, catalog, derived.name)
        if derived.name != f"staged/{own.name.partition('/')[2]}":
            marts |= {} if audit is None else {derived.name: audit.written}
            continue
        written = 0 if audit is None else audit.written + audit.superseded
        if derived.name in lake.tables():
            rows = (
                lake.scan(derived.name).select(to_polars_schema(derived.contract).names()).collect()
            )
        if derived.quarantine in lake.tables():
            rules = lake.scan(derived.quarantine).select("_rules").collect().to_series()
            quarantined = rules.len()
            reasons |= _count_values(rules.explode())
    rejected = quarantined + letters.height - refused
    count = len(samples.get(table, ()))
    records = landed + letters.height - refused
    return TrialOutcome(count, refused, records, written, rejected, reasons, rows, marts)


def _load_modules(package: str) -> Iterator[ModuleType]:
    """Yields every module of a package: a table may read those of others."""
    for folder in map(Path, importlib.import_module(package).__path__):
        for file in sorted(folder.rglob("*.py")):
            parts = file.relative_to(folder).with_suffix("").parts
            if parts[-1] != "__init__" and all(part.isidentifier() for part in parts):
                yield importlib.import_module(".".join((package, *parts)))


def _find_raw(catalog: Catalog, name: str) -> RawTable:
    raw = catalog.tables.get(f"raw/{name}")
    if not isinstance(raw, RawTable):
        known = ", ".join(one.name.removeprefix("raw/") for one in catalog.raw_tables)
        raise SetupError(f"No raw table {name} is declared.\nNext: name one of {known}.")
    return raw


def _deliver(samples: Sequence[SampleFile], landing: Path) -> None:
    for sample in samples:
        target = landing / sample.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(sample.path, target)


def _list_concerned(catalog: Catalog, raw: str) -> list[DerivedTable]:
    """Returns the tables that are made from a raw table, and those that they read, in order."""
    inputs = {one.name: set(catalog.find_inputs(one).values()) for one in catalog.derived_tables}
    wanted = {raw}
    for name, read in inputs.items():
        if wanted & read:
            wanted.add(name)
    for name in reversed(inputs):
        if name in wanted:
            wanted |= inputs[name]
    return [one for one in catalog.derived_tables if one.name in wanted]


def _read_dead_letters(lake: Lake, table: str) -> pl.DataFrame:
    if DEAD_LETTERS not in lake.tables():
        return pl.DataFrame(schema={"_offset": pl.Int64, "reason": pl.String})
    letters = lake.scan(DEAD_LETTERS).filter(pl.col("table") == table)
    return letters.select("_offset", "reason").collect()


def _count_values(values: pl.Series) -> dict[str, int]:
    counts = values.drop_nulls().value_counts(sort=True, name="times")
    return {str(value): int(count) for value, count in counts.iter_rows()}
