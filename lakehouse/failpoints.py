"""Failpoints: places at which a test may kill the process, to prove that nothing is lost there.

A failpoint costs one look at the environment. It acts only where `LAKEHOUSE_KILL_AT` names it: by
its `name`; by `name#2` the second time that the process passes it; by `#17` when it is the 17th of
all failpoints that the process passes.
"""

import os
import signal

KILL_AT = "LAKEHOUSE_KILL_AT"
trail: list[str] = []
"""The failpoints passed so far, if the environment names one; `#0` records and kills nowhere."""


def failpoint(name: str) -> None:
    """Kills the process without any clean-up, if the environment asks for it here."""
    wanted = os.environ.get(KILL_AT)
    if wanted is None:
        return
    trail.append(name)
    wanted_name, _, turn = wanted.partition("#")
    number = trail.count(name) if wanted_name else len(trail)
    if wanted_name in ("", name) and number == int(turn or 1):
        # Not an exception: no handler, `finally` or exit hook may run, as when memory runs out.
        os.kill(os.getpid(), signal.SIGKILL)
