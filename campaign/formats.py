"""Lands files of every format and dialect, sound ones and broken copies of them.

A sound file must give exactly its rows. A broken copy must be refused or land, with each record
once; no mark that it still holds may vanish; and nothing that is wrong with it may stop another
file.
"""

import json
import re
import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import polars as pl

from campaign import children
from campaign.children import SMALL_LIMITS
from campaign.dialects import COLUMNS, DialectFile, build_dialect_file
from campaign.mutations import BYTES
from campaign.packing import pack
from campaign.tally import Tally
from lakehouse.errors import LakehouseError
from lakehouse.ingest.files.landing_zone import Landing
from lakehouse.ingest.land import land
from lakehouse.quarantine.dead_letters import DEAD_LETTERS
from lakehouse.storage.lake import Lake
from lakehouse.tables.declare import raw
from lakehouse.tables.table_types import RawTable

COPIES = 9
"""How many broken copies are made of each sound file."""

_LONGEST = 300.0
_AT_ONCE = 2
_TABLES_AT_ONCE = 20
_MARK = re.compile(r"q\d{6}x\d{3}a")


@dataclass(frozen=True)
class BrokenCopy:
    """A broken copy of a sound file.

    Attributes:
        name: its name in landing.
        content: its bytes as delivered.
        plain: its bytes before they were packed; None if it was broken after that.
        how: what was done to it.
    """

    name: str
    content: bytes
    plain: bytes | None
    how: tuple[str, ...]


@dataclass
class Formats:
    """The part of a campaign that delivers files of every dialect.

    Attributes:
        folder: where its worlds are made.
        tally: what it tried and found.
        seed: decides the files.
    """

    folder: Path
    tally: Tally
    seed: int

    def run(self, numbers: Sequence[int]) -> None:
        """Lands the files of some numbers, each with its broken copies."""
        parts = [numbers[n : n + _TABLES_AT_ONCE] for n in range(0, len(numbers), _TABLES_AT_ONCE)]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(self._land, parts))

    def _land(self, numbers: Sequence[int]) -> None:
        world = self.folder / f"formats-{numbers[0]}-{len(numbers)}"
        ended = children.run(world, land_dialects, self.seed, list(numbers), longest=_LONGEST)
        if ended.is_hung or ended.code:
            if len(numbers) > 1:
                for number in numbers:
                    self._land([number])
            else:
                what = "it hung" if ended.is_hung else f"code {ended.code}: {ended.errors[-600:]}"
                self._find(numbers[0], what)
        else:
            found = json.loads((world / "found.json").read_text())
            for number in numbers:
                for complaint in self._judge(number, found[str(number)]):
                    self._find(number, complaint)
        shutil.rmtree(world)

    def _judge(self, number: int, found: Mapping[str, Any]) -> Iterator[str]:
        if found["problem"]:
            yield found["problem"]
            return
        file = build_dialect_file(self.seed, number)
        files = found["files"]
        yield from find_difference(file, files.get(file.name))
        self.tally.tried[f"{file.how[0]}: sound"] += 1
        for copy in break_copies(self.seed, number, file):
            landed = files.get(copy.name)
            self.tally.tried[f"{file.how[0]}: broken, {_describe_outcome(landed)}"] += 1
            for complaint in find_losses(file, copy, landed):
                yield f"{copy.name} ({', '.join(copy.how)}): {complaint}"

    def _find(self, number: int, what: str) -> None:
        file = build_dialect_file(self.seed, number)
        again = f"make campaign ONLY=formats SEED={self.seed} FIRST={number} FILES=1"
        self.tally.finding(f"{file.name} ({', '.join(file.how)}): {what}", again)


def break_copies(seed: int, number: int, file: DialectFile) -> list[BrokenCopy]:
    """Returns broken copies of a file: some broken before they are packed, some after."""
    random = Random(f"break {seed} {number}")
    copies = []
    for place in range(COPIES):
        stem, _, suffix = file.name.partition(".")
        name, content = f"{stem}-{place}.{suffix}", file.content
        is_packed, is_broken_first = random.random() < 0.3, random.random() < 0.6
        how: tuple[str, ...] = ()
        if is_broken_first or not is_packed:
            content, how = _break(random, content)
        plain: bytes | None = content
        if is_packed:
            name, content, way = pack(random, name, content)
            how = (*how, f"in {way}")
            if not is_broken_first:
                content, more = _break(random, content)
                plain, how = None, (*how, *more)
        copies.append(BrokenCopy(name, content, plain, how))
    return copies


def _break(random: Random, content: bytes) -> tuple[bytes, tuple[str, ...]]:
    names = [random.choice(list(BYTES)) for _ in range(random.choice([1, 1, 2, 4]))]
    for name in names:
        content = BYTES[name](random, content)
    return content, tuple(names)


def find_difference(file: DialectFile, landed: Mapping[str, Any] | None) -> Iterator[str]:
    """Finds where a sound file did not give exactly its rows."""
    if landed is None:
        yield "nothing is left of the sound file"
    elif landed["dead"]:
        yield f"{len(landed['dead'])} dead letters of a sound file: {landed['dead'][0][1][:300]}"
    else:
        rows = [tuple(values) for _, values in sorted(landed["rows"])]
        if rows != file.rows:
            pairs = zip([*rows, None], [*file.rows, None], strict=False)
            first = next(pair for pair in pairs if pair[0] != pair[1])
            yield f"{len(rows)} rows of {len(file.rows)}; first difference: {first}"


def find_losses(
    file: DialectFile, copy: BrokenCopy, landed: Mapping[str, Any] | None
) -> Iterator[str]:
    """Finds what landing lost or doubled of a broken copy."""
    if landed is None:
        yield "nothing is left of it"
        return
    if landed.get("outcome") in ("repeated", "empty"):
        return
    dead = landed["dead"]
    if not landed["rows"] and [offset for offset, *_ in dead] == [None]:
        return
    numbers = sorted([offset for offset, *_ in (*landed["rows"], *dead)])
    if numbers != list(range(1, len(numbers) + 1)):
        yield f"its records are numbered {numbers[:9]} … {numbers[-3:]}"
    if copy.plain is None or file.encoding is None:
        if not dead and copy.plain is None and len(numbers) != len(file.rows):
            yield f"{len(numbers)} records of {len(file.rows)}, and it is not refused"
        return
    yield from _find_lost_marks(file, copy.plain.decode(file.encoding, "replace"), landed)


def _find_lost_marks(file: DialectFile, text: str, landed: Mapping[str, Any]) -> Iterator[str]:
    held = " ".join(
        [
            *(value for _, values in landed["rows"] for value in values if value),
            *landed.get("other", ()),
            *(
                bytes.fromhex(payload).decode(file.encoding or "", "replace")
                for *_, payload in landed["dead"]
            ),
        ]
    )
    kept = set(_MARK.findall(held))
    lines = re.split(r"\r\n|\r|\n", text)
    options = file.files
    ignored = {
        mark
        for place, line in enumerate(lines)
        if place <= options.skip_lines
        or place >= len(lines) - options.skip_last_lines - 1
        or (options.comment and line.startswith(options.comment))
        for mark in _MARK.findall(line)
    }
    if lost := sorted(set(_MARK.findall(text)) - kept - ignored):
        yield f"{len(lost)} marks are lost, as {lost[0]}"


def _describe_outcome(landed: Mapping[str, Any] | None) -> str:
    if landed is None:
        return "nothing"
    if landed.get("outcome") in ("repeated", "empty"):
        return str(landed["outcome"])
    if not landed["rows"] and [offset for offset, *_ in landed["dead"]] == [None]:
        return "refused whole"
    return "rows and dead letters" if landed["dead"] else "landed whole"


def land_dialects(folder: Path, seed: int, numbers: Sequence[int]) -> None:
    """In a child: lands each file with its broken copies, and writes what became of them."""
    lake = Lake(str(folder / "lake"), limits=SMALL_LIMITS)
    landing = Landing(str(folder / "landing"), rest_seconds=0)
    found: dict[str, dict[str, object]] = {}
    for number in numbers:
        file = build_dialect_file(seed, number)
        table = raw(
            f"t{number}", "A dialect.", columns=COLUMNS, optional=("note",), files=file.files
        )
        target = folder / "landing" / table.landing
        target.mkdir(parents=True)
        (target / file.name).write_bytes(file.content)
        for copy in break_copies(seed, number, file):
            (target / copy.name).write_bytes(copy.content)
        problem = ""
        try:
            land(lake, landing, table)
            again = land(lake, landing, table)
            if any(audit.written for audit in again.audits):
                problem = "a second landing landed something again"
        except LakehouseError as error:
            problem = f"landing failed: {error}"
        found[str(number)] = {"problem": problem, "files": _read_outcomes(lake, table)}
    (folder / "found.json").write_text(json.dumps(found))


def _read_outcomes(lake: Lake, table: RawTable) -> dict[str, dict[str, Any]]:
    """Returns rows, dead letters and outcome of each file, by its name."""
    outcomes: dict[str, dict[str, Any]] = defaultdict(lambda: {"rows": [], "dead": [], "other": []})
    if lake.open(table.name) is not None:
        frame = lake.scan(table.name).collect()
        for source, offset, *values in frame.select("_source", "_offset", *COLUMNS).iter_rows():
            outcomes[_name(source)]["rows"].append((offset, values))
        # A broken name is a column of its own, and its values are not lost.
        more = [name for name in frame.columns if name not in COLUMNS and not name.startswith("_")]
        for source, *values in frame.select("_source", *more).iter_rows():
            outcomes[_name(source)]["other"] += [
                str(value) for value in values if value is not None
            ]
    if lake.open(DEAD_LETTERS) is not None:
        letters = lake.scan(DEAD_LETTERS).filter(pl.col("table") == table.name).collect()
        for source, *values in letters.select("_source", "_offset", "reason", "payload").rows():
            offset, reason, payload = values
            outcomes[_name(source)]["dead"].append((offset, reason, (payload or b"").hex()))
    if lake.open("quarantine/deliveries") is not None:
        register = lake.scan("quarantine/deliveries").filter(pl.col("table") == table.name)
        for source, outcome in register.select("_source", "outcome").collect().rows():
            outcomes[_name(source)]["outcome"] = outcome
    return outcomes


def _name(source: str) -> str:
    return source.rpartition("#")[0]
