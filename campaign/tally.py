"""What a campaign tried and what it found, and how it prints both."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

Say = Callable[[str], None]


@dataclass
class Tally:
    """Counts of one part of the campaign.

    Attributes:
        part: its name.
        say: prints a line.
        tried: how often each thing was tried.
        found: the findings, each with the command that reproduces it.
    """

    part: str
    say: Say
    tried: Counter[str] = field(default_factory=Counter)
    found: list[str] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def finding(self, what: str, again: str) -> None:
        """Keeps a finding."""
        self.found.append(f"{what}\n  again: {again}")
        self.say(f"FOUND {self.part}: {what}\n  again: {again}")

    def lines(self) -> list[str]:
        """Yields the counts as lines of a table."""
        rows = [
            f"  {self.part:<9}{what:<58}{count:>9,}" for what, count in sorted(self.tried.items())
        ]
        duration = f"findings, in {time.monotonic() - self.started:.0f} s"
        return [
            *rows,
            f"  {self.part:<9}{duration:<58}{len(self.found):>9,}",
        ]
