"""Lands broken files: no crash, no hang, and each record becomes a row or a dead letter."""

import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from campaign import children, landings, witness
from campaign.broken import BrokenFile, build_broken_file
from campaign.tally import Tally

_LONGEST = 120.0
_AT_ONCE = 2


@dataclass
class Fuzz:
    """The part of a campaign that delivers broken files.

    Attributes:
        folder: where its worlds are made.
        tally: what it tried and found.
        seed: decides the files.
        real: the folder of real data, if there is one.
        at_once: how many files are landed together.
    """

    folder: Path
    tally: Tally
    seed: int
    real: Path | None = None
    at_once: int = 100

    def run(self, numbers: Sequence[int]) -> None:
        """Lands the files of some numbers."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(
                pool.map(
                    self._land,
                    [numbers[n : n + self.at_once] for n in range(0, len(numbers), self.at_once)],
                )
            )

    def _land(self, numbers: Sequence[int]) -> None:
        """Lands one batch; if that breaks, lands each of its files alone."""
        files = [build_broken_file(self.seed, number, self.real) for number in numbers]
        world = self.folder / f"fuzz-{numbers[0]}-{len(numbers)}"
        for file in files:
            path = world / "landing" / file.table / file.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file.content)
        ended = children.run(world, landings.land_all, longest=_LONGEST)
        wrong = self._wrong(ended, world)
        if not wrong:
            self._judge(files, json.loads((world / "stands.json").read_text())["files"])
        elif len(files) > 1:
            for number in numbers:
                self._land([number])
            self.tally.say(
                f"a batch broke, files {numbers[0]} to {numbers[-1]}: {'; '.join(wrong)[:300]}"
            )
        else:
            self._find(files[0], "; ".join(wrong))
        shutil.rmtree(world)

    def _wrong(self, ended: children.Ended, world: Path) -> list[str]:
        if ended.is_hung:
            return [f"it hung for {_LONGEST:.0f} s"]
        if ended.code:
            return [f"the process ended with {ended.code}: {ended.errors[-600:]}"]
        problems: list[str] = json.loads((world / "stands.json").read_text())["problems"]
        return problems

    def _judge(self, files: Sequence[BrokenFile], stands: Mapping[str, Any]) -> None:
        by_name = {source.rpartition("#")[0]: found for source, found in stands.items()}
        twins = Counter((file.table, file.content) for file in files)
        for file in files:
            found = by_name.get(file.name)
            if found is not None and found.get("outcome") == "archive":
                self._judge_archive(file, by_name)
                continue
            if found is None or found.get("outcome") == "repeated":
                if twins[file.table, file.content] == 1:
                    self._find(file, "nothing stands of it")
                self.tally.tried["the same bytes as another file"] += 1
                continue
            stood = witness.parse_landed_file(found)
            for complaint in witness.find_complaints(file, stood):
                self._find(file, complaint)
            self.tally.tried[f"{file.how[0]}: {_outcome(stood)}"] += 1

    def _judge_archive(self, file: BrokenFile, by_name: Mapping[str, Any]) -> None:
        """Checks that something stands of each member of an archive of several."""
        members = {name: one for name, one in by_name.items() if name.startswith(f"{file.name}/")}
        for name, found in members.items():
            numbers = sorted(offset or 0 for offset, *_ in (*found["rows"], *found["dead"]))
            if numbers not in ([0], list(range(1, len(numbers) + 1))):
                self._find(file, f"the records of {name} are numbered {numbers[:9]}")
        if len(members) < 2:
            self._find(file, f"an archive of which {len(members)} members stand")
        self.tally.tried["an archive of several: by its members"] += 1

    def _find(self, file: BrokenFile, what: str) -> None:
        how = f"{', '.join(file.how)}, {len(file.content)} bytes"
        told = f"{file.name} for {file.table} ({how}): {what}"
        number = int(file.name.partition("-")[2][:6])
        self.tally.finding(told, f"make campaign ONLY=fuzz SEED={self.seed} FIRST={number} FILES=1")


def _outcome(found: witness.LandedFile) -> str:
    if found.is_refused:
        return "refused whole"
    if not found.dead:
        return "landed whole"
    return "rows and dead letters" if found.rows else "nothing but dead letters"
