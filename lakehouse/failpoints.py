"""Numbered places at which a test may kill the process, to prove that nothing is lost there.

A fault point costs one look at the environment. It acts only where `LAKEHOUSE_KILL_AT` names it: `name`; `name#2` for
the second time that it is reached in a process; `#17` for the 17th of all points that are reached.
"""

import os
import signal

KILL_AT = "LAKEHOUSE_KILL_AT"
trail: list[str] = []
"""The points that were reached, in order, where the environment names one; `#0` names none of them."""


def failpoint(point: str) -> None:
    """Die here without any clean-up, if the environment asks for it."""
    wanted = os.environ.get(KILL_AT)
    if wanted is None:
        return
    trail.append(point)
    name, _, turn = wanted.partition("#")
    number = trail.count(point) if name else len(trail)
    if name in ("", point) and number == int(turn or 1):
        os.kill(os.getpid(), signal.SIGKILL)
