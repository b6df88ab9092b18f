"""What a sender does to a landing folder: random files, corrected, touched, copied, taken away.

Belongs here: deliveries and the records in them. Does not belong here: the tables (`stall.py`), and
what a lake makes of the deliveries (`worlds.py`).
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random

from campaign import stall
from campaign.ledger import Delivered, Fields

_SHARE_REFUSED = 0.15
_SHARE_BROKEN = 0.08
_KINDS = 12
"""Of as many records one lacks its article, one its day, and two their price."""


@dataclass
class Sender:
    """A sender, and what it put into a landing folder.

    Attributes:
        folder: the landing folder of the table.
        random: decides everything.
        keeps_files: whether each file stays as it was delivered.
        in_landing: what lies there, by name.
        story: what happened, for a finding.
    """

    folder: Path
    random: Random
    keeps_files: bool
    in_landing: dict[str, Delivered] = field(default_factory=dict)
    story: list[str] = field(default_factory=list)

    def deliver(self) -> None:
        """Delivers a new file, another version of one, an earlier copy, or takes one away."""
        kinds: list[Callable[[], None]] = [self._write_new, self._write_new, self._copy]
        if not self.keeps_files:
            kinds += [self._correct, self._correct, self._touch, self._take_away]
        self.random.choice(kinds if self.in_landing else [self._write_new])()

    def _write_new(self) -> None:
        name = f"{self.random.choice('abc')}{len(self.story)}.csv"
        records = tuple(self._record() for _ in range(self.random.randint(1, 5)))
        self._put(name, records, self._moment(), is_refused=self.random.random() < _SHARE_REFUSED)

    def _correct(self) -> None:
        """Delivers a file again under its name, with its bad records corrected."""
        name = self.random.choice(sorted(self.in_landing))
        before = self.in_landing[name]
        records = tuple(self._correction(one) for one in before.records)
        later = before.modified_at + self.random.choice([1, 1000, 10**9])
        self._put(name, records, later, is_refused=False)

    def _correction(self, record: Fields | None) -> Fields | None:
        if record is None:
            return self._record()
        sku, on, price, op = record
        return sku, on, price if price.isdigit() else "7", op

    def _copy(self) -> None:
        """Delivers the bytes of a file once more, as written earlier."""
        one = self.in_landing[self.random.choice(sorted(self.in_landing))]
        earlier = one.modified_at - self.random.choice([1, 5000])
        name = f"copy of {one.name}"
        # A second copy would take the place of the first, whose time nothing in landing tells then.
        if self.keeps_files and name in self.in_landing:
            self._write_new()
        else:
            self._store(Delivered(name, earlier, one.content, one.records, one.is_refused))

    def _touch(self) -> None:
        name = self.random.choice(sorted(self.in_landing))
        one = self.in_landing[name]
        self._store(replace(one, modified_at=one.modified_at + 1000))

    def _take_away(self) -> None:
        name = self.random.choice(sorted(self.in_landing))
        del self.in_landing[name]
        (self.folder / name).unlink()
        self.story.append(f"take away {name}")

    def _record(self) -> Fields | None:
        """A record: most are good, some are bad in a way, some are of no table."""
        random = self.random
        if random.random() < _SHARE_BROKEN:
            return None
        on = stall.FIRST_DAY + timedelta(days=random.randrange(-1, 16))
        good = (random.choice("pqr"), str(on), str(random.randrange(4)), random.choice("uuuud"))
        kind = random.randrange(_KINDS)
        if kind == 0:
            return ("", *good[1:])
        if kind == 1:
            return (good[0], random.choice(["", "soon", "2024-13-01"]), *good[2:])
        if kind < 4:
            return (*good[:2], random.choice(["-1", "", "x"]), good[3])
        return good

    def _moment(self) -> int:
        """When a file was written: also ahead of every clock."""
        day = self.random.choice([date(2024, 5, 1), date(2024, 6, 1), date(2031, 1, 1)])
        noon = datetime(day.year, day.month, day.day, tzinfo=UTC)
        return int(noon.timestamp() * 1000) + self.random.randrange(10**6)

    def _put(
        self, name: str, records: tuple[Fields | None, ...], moment: int, *, is_refused: bool
    ) -> None:
        # A last record of its own, so that no two files hold the same bytes by chance.
        unique: Fields = (f"only {len(self.story)}", str(stall.FIRST_DAY), "1", "u")
        every = (*records, unique)
        header = "sku,on,op" if is_refused else stall.HEADER
        text = [",".join(one) if one else "too,short" for one in every]
        content = "\n".join([header, *text, ""]).encode()
        self._store(Delivered(name, moment, content, every, is_refused))

    def _store(self, one: Delivered) -> None:
        path = self.folder / one.name
        path.write_bytes(one.content)
        os.utime(path, ns=(one.modified_at * 10**6, one.modified_at * 10**6))
        self.in_landing[one.name] = one
        self.story.append(f"deliver {one.name}")
