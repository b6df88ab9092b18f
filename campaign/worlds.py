"""Random histories of a lake under attack, each compared with a second opinion in plain Python.

A world is made by its seed: files of random records in random order and batches, corrected,
touched, copied and replaced; tables that another program rolls back, deletes, compacts or vacuums;
clocks that are ahead. After each run every record has exactly one fate, and each table holds what
`ledger.py` says.
"""

import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
from deltalake.exceptions import DeltaError

from campaign import stall
from campaign.children import SMALL_LIMITS
from campaign.ledger import (
    JUDGES,
    Calendar,
    Delivered,
    Fates,
    Origin,
    list_dead,
    read_records,
)
from campaign.sender import Sender
from campaign.tally import Tally
from lakehouse.environment import Environment
from lakehouse.errors import LakehouseError
from lakehouse.ingest.files.landing_zone import Landing
from lakehouse.ingest.land import land
from lakehouse.lineage.staleness import Planner
from lakehouse.observe.overview import list_audits
from lakehouse.operations.restore import RestoreRequest, restore
from lakehouse.operations.restore_plan import plan_restore
from lakehouse.quarantine.dead_letters import DEAD_LETTERS
from lakehouse.quarantine.states import fill_states
from lakehouse.storage.lake import Lake
from lakehouse.tables.table_types import DerivedTable
from lakehouse.transform.make import make

_FIRST_NOON = datetime(2024, 6, 10, 12, tzinfo=UTC)
_ROUNDS = (3, 5)
_MOST_MAKES = 8
"""Rounds after which a lake that still makes tables never settles."""

_RAW, _REGISTER = "raw/prices", "quarantine/deliveries"


@dataclass
class World:
    """A lake, its landing zone, and what was delivered to it.

    Attributes:
        folder: where it is.
        random: decides everything.
        sender: who delivers. Where it keeps its files, any table may be attacked; else those whose
            rows come from landing alone are spared.
        tables: the tables that are made, by their short names.
        now: the present.
        landed: every version of a file that landed.
    """

    folder: Path
    random: Random
    sender: Sender
    tables: list[str]
    now: datetime = _FIRST_NOON
    landed: list[Delivered] = field(default_factory=list)

    @classmethod
    def create(cls, folder: Path, seed: int) -> "World":
        """Returns an empty world."""
        random = Random(seed)
        tables = random.sample(sorted(stall.TABLES), 2)
        landing = folder / "landing" / "prices"
        landing.mkdir(parents=True)
        return cls(folder, random, Sender(landing, random, random.choice([True, False])), tables)

    @property
    def here(self) -> Environment:
        """The world as a process that just started sees it."""
        lake = Lake(str(self.folder / "lake"), limits=SMALL_LIMITS)
        landing = Landing(str(self.folder / "landing"), rest_seconds=0)
        return Environment(lake, landing, stall.build_catalog(*self.tables))

    def attack(self) -> None:
        """Lets another program change a table, or somebody restore one."""
        here = self.here
        derived = [table.name for table in here.catalog.derived_tables]
        spared = () if self.sender.keeps_files else (_RAW, DEAD_LETTERS)
        names = [name for name in here.lake.tables() if name not in spared]
        if not names:
            return
        name = self.random.choice(names)
        kinds = ["restore", "restore", "lose", "compact", "vacuum"]
        kind = self.random.choice([*kinds, "lakehouse restore"] if name in derived else kinds)
        self.sender.story.append(f"{kind} {name}")
        handle = here.lake.open(name)
        if handle is None:
            return
        version = self.random.randint(0, handle.version())
        try:
            if kind == "restore":
                handle.restore(version)
            elif kind == "compact":
                handle.optimize.compact()
            elif kind == "vacuum":
                handle.vacuum(0, enforce_retention_duration=False, dry_run=False)
            elif kind == "lose":
                shutil.rmtree(here.lake.uri(name))
            elif not (plan := plan_restore(here, name, version)).is_noop:
                restore(here, plan, RestoreRequest("somebody"))
        except (DeltaError, LakehouseError) as error:
            # A version whose files were vacuumed cannot be restored, and says so.
            self.sender.story.append(f"  refused: {str(error).splitlines()[0][:80]}")

    def heal(self) -> Iterator[str]:
        """Lands what is in landing, and makes what is stale; yields what goes wrong."""
        here = self.here
        result = land(here.lake, here.landing, here.catalog.raw_tables[0])
        if result.unfinished:
            yield f"files are left alone: {result.unfinished}"
        self.landed += self.sender.in_landing.values()
        self.sender.story.append(f"run on {self.now:%Y-%m-%d}")
        for _ in range(_MOST_MAKES):
            if not self._make_stale(here):
                return
        stale = Planner(here.lake, here.catalog, self.now).find_stale_tables()
        yield f"it never settles: {[(one.table, [*map(str, one.keys)]) for one in stale]}"

    def _make_stale(self, here: Environment) -> bool:
        is_made = False
        for table in here.catalog.derived_tables:
            part = Planner(here.lake, here.catalog, self.now).find_stale_part(table)
            for days in () if part is None else part.spans or (None,):
                make(here.lake, here.catalog, table.name, days, now=self.now)
                is_made = True
        return is_made

    def check(self) -> Iterator[str]:
        """Yields where the lake differs from the second opinion."""
        here = self.here
        records, calendar = read_records(self.landed), Calendar(stall.FIRST_DAY, self.now.date())
        wanted = Counter((one.origin, one.source) for one in records)
        yield from _compare(f"{_RAW} holds", wanted, Counter(_read_raw(here)))
        yield from self._check_letters(here)
        for name in self.tables:
            table = here.catalog[f"staged/{name}"]
            assert isinstance(table, DerivedTable)
            fates = JUDGES[table.name](records, calendar)
            yield from _check_rows(here, table, fates)
            # A row that was dated ahead was rejected with the first day. It leaves that day as
            # released, whatever becomes of it on its own one.
            ahead = {one.origin for one in records if one.day and one.day > _FIRST_NOON.date()}
            yield from _check_rejects(here, table, fates, ahead)

    def _check_letters(self, here: Environment) -> Iterator[str]:
        wanted = list_dead(self.landed)
        letters = _read_rows(here, DEAD_LETTERS, ["_source", "_offset", "_state"])
        found = Counter((source.rpartition("#")[2], offset) for source, offset, _ in letters)
        yield from _compare("dead letters", Counter(wanted), found)
        for source, offset, state in letters:
            if offset is None:
                name, _, digest = source.rpartition("#")
                present = self.sender.in_landing.get(name)
                is_there = present is not None and present.digest == digest
                if is_there != (state == "open"):
                    yield f"the refused file {source} is {state}, in landing: {is_there}"


def _check_rows(here: Environment, table: DerivedTable, fates: Fates) -> Iterator[str]:
    rows = _read_rows(here, table.name, ["_source", "_offset", "sku", "on", "price"])
    origins = Counter((source.rpartition("#")[2], offset) for source, offset, *_ in rows)
    yield from _compare(f"{table.name} holds", Counter(fates.written), origins)
    shown = Counter(tuple(values) for _, _, *values in rows)
    yield from _compare(f"{table.name} shows", Counter(fates.values), shown)
    audits = list_audits(here, table.name) if here.lake.version(table.name) is not None else []
    for audit in audits:
        if audit.accounted_rows != audit.read:
            yield f"{table.name}: version {audit.version} does not balance"


def _check_rejects(
    here: Environment, table: DerivedTable, fates: Fates, ahead: set[Origin]
) -> Iterator[str]:
    states: dict[str, list[Origin]] = {}
    for source, offset, state in _read_rows(
        here, table.quarantine, ["_source", "_offset", "_state"]
    ):
        states.setdefault(state, []).append((source.rpartition("#")[2], offset))
    found = Counter(states.get("open", []))
    doubtful = Counter(fates.doubtful) & found
    yield from _compare(f"{table.name} open", Counter(fates.open), found - doubtful)
    if wrong := set(states.get("superseded", [])) - fates.superseded:
        yield f"{table.name}: superseded, but are not: {wrong}"
    if wrong := set(states.get("released", [])) & (fates.open | fates.superseded) - ahead:
        yield f"{table.name}: released, but are broken: {wrong}"


def _read_raw(here: Environment) -> Iterator[tuple[tuple[str, int], str]]:
    for source, offset in _read_rows(here, _RAW, ["_source", "_offset"]):
        yield (source.rpartition("#")[2], offset), source


def _read_rows(here: Environment, table: str, columns: list[str]) -> list[tuple[Any, ...]]:
    if here.lake.version(table) is None:
        return []
    rows = here.lake.scan(table)
    if "_state" in columns:
        rows = fill_states(rows)
    return rows.select(columns).collect().rows()


def _compare(what: str, wanted: Counter[Any], found: Counter[Any]) -> Iterator[str]:
    for kind, some in (("misses", wanted - found), ("has too many", found - wanted)):
        if some:
            yield f"{what}: {kind} {some.total()}, for example {min(some, key=str)}"


@dataclass
class Worlds:
    """The part of a campaign that attacks random worlds.

    Attributes:
        folder: where they are made; those with findings stay.
        tally: what it tried and found.
    """

    folder: Path
    tally: Tally

    def run(self, seeds: range) -> None:
        """Tries some worlds."""
        for seed in seeds:
            self._try(seed)

    def _try(self, seed: int) -> None:
        folder = self.folder / f"world-{seed}"
        world = World.create(folder, seed)
        problems = self._live(world)
        kind = "kept" if world.sender.keeps_files else "changing"
        self.tally.tried[f"{kind} landing: {', '.join(world.tables)}"] += 1
        if problems:
            story = "; ".join(world.sender.story)
            self.tally.finding(
                f"world {seed}: {'; '.join(problems[:3])}\n  story: {story}",
                f"make campaign ONLY=worlds SEED={seed} WORLDS=1",
            )
        else:
            shutil.rmtree(folder)

    def _live(self, world: World) -> list[str]:
        rounds = world.random.randint(*_ROUNDS)
        for number in range(rounds):
            for _ in range(world.random.randint(1, 3)):
                world.sender.deliver()
            if number:
                for _ in range(world.random.randint(0, 2)):
                    world.attack()
            if world.random.random() < 0.4:
                world.now += timedelta(days=world.random.randint(1, 4))
            try:
                problems = [*world.heal(), *world.check()]
            except (LakehouseError, DeltaError, pl.exceptions.PolarsError, OSError) as error:
                problems = [f"{type(error).__name__}: {error}"]
            if problems:
                return problems
        return []
