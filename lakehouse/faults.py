"""Numbered places at which a test may kill the process, to prove that nothing is lost there.

A fault point costs one look at the environment. It acts only where `LAKEHOUSE_KILL_AT` names it; `name#2` means the
second time that it is reached in a process.
"""

import os
import signal
from collections import Counter

KILL_AT = "LAKEHOUSE_KILL_AT"
_reached: Counter[str] = Counter()


def reached(point: str) -> None:
    """Die here without any clean-up, if the environment asks for it."""
    wanted = os.environ.get(KILL_AT)
    if wanted is None:
        return
    _reached[point] += 1
    name, _, turn = wanted.partition("#")
    if name == point and _reached[point] == int(turn or 1):
        os.kill(os.getpid(), signal.SIGKILL)
