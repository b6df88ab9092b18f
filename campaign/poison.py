"""Worlds in which some records and files are poisoned: everything else is as if they were not.

A world has a raw table that is read by a table of days, an upsert, a history, a table without
periods, and marts in Polars and SQL over the first. What is expected is made in plain Python.
"""

import io
import shutil
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random

import polars as pl
from click.testing import CliRunner

from campaign import poisoned_tables
from campaign.poisons import FILES, VALUES, Record, as_csv, as_json, as_parquet
from campaign.tally import Tally
from lakehouse.cli import commands
from lakehouse.environment import Environment
from lakehouse.errors import LakehouseError
from lakehouse.ingest.files.landing_zone import Landing
from lakehouse.ingest.land import land
from lakehouse.storage.lake import Lake
from lakehouse.tables.collect import collect_tables
from lakehouse.transform.make import make

_FIRST = date(2024, 3, 1)
_NOW = datetime(2024, 6, 1, tzinfo=UTC)
_FORMATS: tuple[tuple[str, Callable[[list[Record]], bytes]], ...] = (
    (".csv", as_csv),
    (".jsonl", as_json),
    (".parquet", as_parquet),
)
_EMPTY = ("a header alone", "no bytes")
_STAGED = ("staged/sales", "staged/latest", "staged/versions", "staged/entries")


@dataclass
class Plan:
    """What a world holds: its files, what is poisoned, and what has to be there in the end."""

    files: dict[str, bytes] = field(default_factory=dict)
    clean: list[Record] = field(default_factory=list)
    poisoned: dict[str, str] = field(default_factory=dict)
    odd_files: dict[str, str] = field(default_factory=dict)


def build_plan(seed: int) -> Plan:
    """Builds the world of a seed: always the same."""
    random, plan = Random(f"poison {seed}"), Plan()
    for number in range(random.randint(2, 4)):
        suffix, write = random.choice(_FORMATS)
        records = [_invent(random, f"c{number}x{n}") for n in range(random.randint(3, 12))]
        plan.clean += records
        for n in range(random.choice([0, 1, 1, 2, 4])):
            name = random.choice(list(VALUES))
            column, value, _ = VALUES[name]
            record = {**_invent(random, f"p{number}x{n}"), column: value}
            plan.poisoned[str(record["id"])] = name
            records = [*records, record]
        random.shuffle(records)
        plan.files[f"{number}{suffix}"] = write(records)
    for number in range(random.choice([0, 1, 1, 2])):
        name = random.choice(list(FILES))
        suffix, spoil = FILES[name]
        records = [_invent(random, f"p9{number}x{n}") for n in range(3)]
        plan.files[f"odd{number}{suffix}"] = spoil(random, records)
        plan.odd_files[f"odd{number}{suffix}"] = name
    return plan


def _invent(random: Random, key: str) -> Record:
    at = datetime(2024, 3, 1, tzinfo=UTC) + timedelta(seconds=random.randrange(5 * 86_400))
    return {
        "id": key,
        "day": str(at.date()),
        "at": at.isoformat(),
        "pieces": str(random.randrange(1, 1000)),
        "price": str(random.randrange(1, 4000) / 4),
        "note": random.choice(["plain", "Zürich 北京", "a, b", "", None]),
    }


class Poison:
    """The part of a campaign that poisons worlds."""

    def __init__(self, folder: Path, tally: Tally) -> None:
        self.folder, self.tally = folder, tally
        self.catalog = collect_tables([poisoned_tables])

    def run(self, seeds: Iterable[int]) -> None:
        """Makes the worlds of some seeds."""
        for seed in seeds:
            found = self._try(seed)
            for problem in found:
                again = f"make campaign ONLY=poison SEED={seed} SEEDS=1"
                self.tally.finding(f"world {seed}: {problem}", again)
            if not found:
                shutil.rmtree(self.folder / f"poison-{seed}")

    def _try(self, seed: int) -> list[str]:
        plan, folder = build_plan(seed), self.folder / f"poison-{seed}"
        (folder / "landing" / "sales").mkdir(parents=True)
        for name, content in plan.files.items():
            (folder / "landing" / "sales" / name).write_bytes(content)
        landing = Landing(str(folder / "landing"), rest_seconds=0)
        here = Environment(Lake(str(folder / "lake")), landing, self.catalog)
        self.tally.tried["world"] += 1
        for name in (*plan.poisoned.values(), *plan.odd_files.values()):
            self.tally.tried[name] += 1
        try:
            return [*_bring_up_to_date(here), *_judge(here, plan), *_ask(here)]
        # A panic of Polars is no `Exception`, and anything that gets here is a finding.
        except (Exception, pl.exceptions.PanicException):  # noqa: BLE001
            return [traceback.format_exc()[-1500:]]


def _bring_up_to_date(here: Environment) -> list[str]:
    """Lands and makes all tables; returns what was refused, which nothing should be."""
    for raw in here.catalog.raw_tables:
        land(here.lake, here.landing, raw, now=datetime.now(UTC) + timedelta(days=1))
    wrong = []
    for table in here.catalog.derived_tables:
        try:
            make(here.lake, here.catalog, table.name, now=_NOW)
        except LakehouseError as error:
            wrong.append(f"{table.name} was refused: {error}")
    return wrong


def _judge(here: Environment, plan: Plan) -> list[str]:
    """Compares the tables with what plain Python makes of the records that are not poisoned."""
    wrong = []
    letters = _read(here, "quarantine/dead_letters")
    named = b"".join(_as_bytes(letter["payload"]) for letter in letters)
    landed = {str(row["id"]) for row in _read(here, "raw/sales")}
    for name, what in plan.odd_files.items():
        ids = {key for key in landed if key.startswith(f"p9{name[3]}")}
        is_named = any(str(letter["_source"]).startswith(name) for letter in letters)
        if not ids and not is_named and what not in _EMPTY:
            wrong.append(f"{name} ({what}) is neither landed nor named")
    wanted = {str(record["id"]): record for record in plan.clean}
    if missing := sorted(set(wanted) - landed):
        wrong.append(f"clean records are missing from raw: {missing}")
    for table in _STAGED:
        wrong += _judge_table(here, plan, table, wanted, named)
    return [*wrong, *_judge_marts(here)]


def _judge_table(
    here: Environment, plan: Plan, table: str, wanted: dict[str, Record], named: bytes
) -> list[str]:
    rows = {str(row["id"]): row for row in _read(here, table)}
    rejected = {str(row["id"]) for row in _read(here, f"quarantine/{table.replace('/', '_')}")}
    wrong = [
        f"{table}: {key} is not as delivered: {rows.get(key)}"
        for key, record in wanted.items()
        if key not in rows or not _is_equal(record, rows[key])
    ]
    for key, name in plan.poisoned.items():
        is_named = key in rejected or key.encode() in named
        may_pass = VALUES[name][2]
        if key in rows and not may_pass:
            wrong.append(f"{table}: {key} ({name}) is published")
        if key not in rows and not is_named:
            wrong.append(f"{table}: {key} ({name}) is neither published nor named")
    return wrong


def _is_equal(record: Record, row: dict[str, object]) -> bool:
    return (
        str(row["day"]) == record["day"]
        and row["at"] == datetime.fromisoformat(str(record["at"]))
        and str(row["pieces"]) == record["pieces"]
        and float(str(row["price"])) == float(str(record["price"]))
    )


def _judge_marts(here: Environment) -> list[str]:
    """Compares the marts with sums in plain Python over the rows that are published."""
    pieces: dict[str, int] = defaultdict(int)
    sales: Counter[str] = Counter()
    for row in _read(here, "staged/sales"):
        pieces[str(row["day"])] += int(str(row["pieces"]))
        sales[str(row["day"])] += 1
    wrong = []
    for table in ("marts/days", "marts/days_in_sql"):
        found = {str(row["day"]): (row["pieces"], row["sales"]) for row in _read(here, table)}
        if found != {day: (pieces[day], sales[day]) for day in pieces}:
            wrong.append(f"{table}: {found} is not the sum of the published rows")
    return wrong


def _as_bytes(payload: object) -> bytes:
    return payload if isinstance(payload, bytes) else b""


def _read(here: Environment, table: str) -> list[dict[str, object]]:
    if table not in here.lake.tables():
        return []
    return here.lake.scan(table).collect().to_dicts()


def _ask(here: Environment) -> list[str]:
    """Runs every command that reads; each ends with an exit code and a message."""
    tables = here.lake.tables()
    asked = [
        ("tables",),
        *(("audit", name) for name in tables if not name.startswith("quarantine")),
    ]
    asked += [
        ("quarantine", name, "--format", form) for name in _STAGED for form in ("table", "json")
    ]
    asked += [("quarantine", "raw/sales"), ("sql", "select * from staged.entries order by id")]
    app = commands.App(lambda: here, lambda: None, lambda _: [])
    wrong = []
    for arguments in asked:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            result = CliRunner().invoke(commands.cli, list(arguments), obj=app)
        is_told = isinstance(result.exception, SystemExit | None)
        if not is_told or "Traceback" in result.output or result.exit_code not in (0, 2, 3):
            wrong.append(f"{' '.join(arguments)}: {result.exception!r} {result.output[-300:]}")
    return wrong
