"""Notices that the code server of a service was killed.

Dagster's daemon replaces its code server once a minute, dead or not, and the web server when a
person asks for it. Until then no sensor looks, and the UI shows no table.
"""

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_LOOK_EVERY = 1.0  # seconds
_SETTLED = 3.0  # seconds; while one server takes the place of another there may be none


@dataclass
class CodeServerWatch:
    """Watches the code servers that a process has started.

    Attributes:
        pid: the process.
    """

    pid: int
    _had_any: bool = False
    _seen_at: float = 0.0
    _looked_at: float = 0.0

    def has_lost_all(self) -> bool:
        """Whether the process had a code server, and has had none for some seconds."""
        now = time.monotonic()
        if now - self._looked_at >= _LOOK_EVERY:
            self._looked_at = now
            if any("api grpc" in line for line in _list_children(self.pid)):
                self._had_any, self._seen_at = True, now
        return self._had_any and self._looked_at - self._seen_at >= _SETTLED


def _list_children(parent: int) -> Iterator[str]:
    """Yields the command lines of a process's children; none where the system has no /proc."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended by now
            # The name in parentheses may hold anything; the parent is the second field after it.
            fields = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
            if fields[1] == str(parent):
                line = (folder / "cmdline").read_bytes()
                yield line.replace(b"\0", b" ").decode(errors="replace")
